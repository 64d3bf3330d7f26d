// SPDX-License-Identifier: Apache-2.0

// A child process whose log says when it is ready and when it is entirely gone.

//go:build unix

package pgtest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// process is a running server with all the processes it has forked.
type process struct {
	cmd   *exec.Cmd
	ready chan struct{} // closed when the log says that clients may connect
	gone  chan struct{} // closed when the last process that could write the log has ended
}

// run starts cmd, appends its standard error to the log file, and returns when a line of it contains readyText.
// Every forked process inherits that pipe, so its end tells that none of them is left to hold memory or files.
func run(cmd *exec.Cmd, logFile, readyText string) (*process, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("pipe for the log: %w", err)
	}
	cmd.Stderr = w
	err = cmd.Start()
	w.Close()
	if err != nil {
		r.Close()
		log.Close()
		return nil, err
	}
	p := &process{cmd: cmd, ready: make(chan struct{}), gone: make(chan struct{})}
	go p.watch(r, log, readyText)

	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	select {
	case <-p.ready:
		return p, nil
	case <-p.gone:
		return nil, fmt.Errorf("%s ended before it was ready: %v", cmd.Path, cmd.ProcessState)
	case <-ctx.Done():
		return nil, fmt.Errorf("%s was not ready after %v: %w", cmd.Path, patience, p.end(syscall.SIGKILL))
	}
}

// watch copies the child's output until its last process has ended.
func (p *process) watch(r, log *os.File, readyText string) {
	defer close(p.gone)
	defer log.Close()
	defer r.Close()
	waiting := true
	lines := bufio.NewReader(io.TeeReader(r, log))
	for {
		line, _, err := lines.ReadLine()
		if waiting && strings.Contains(string(line), readyText) {
			waiting = false
			close(p.ready)
		}
		if err != nil {
			break
		}
	}
	_ = p.cmd.Wait() // how it ended is in ProcessState
}

// end signals the child and waits until it and all it forked are gone; a child already gone is no error.
func (p *process) end(sig os.Signal) error {
	select {
	case <-p.gone:
		return nil
	default:
	}
	_ = p.cmd.Process.Signal(sig) // fails only when it has just ended
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	select {
	case <-p.gone:
		return nil
	case <-ctx.Done():
		_ = p.cmd.Process.Kill()
		return fmt.Errorf("%s did not end within %v of %v", p.cmd.Path, patience, sig)
	}
}
