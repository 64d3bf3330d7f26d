// SPDX-License-Identifier: Apache-2.0

// The temporary directory of a server, the watchdog that removes it, and the sweep for those a crash left behind.

//go:build unix

package pgtest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"example.com/vidimus/internal/chance"
)

// prefix marks our directories among others' in the temporary directory.
const prefix = "vidimus-pg-"

// guard is what the watchdog runs in its own session: wait for the end of standard input, which is the end of the test
// process, then end the server or pooler named in the pid file and remove everything. The server removes its pid file
// when it ends; a process id alone would not tell, as a zombie keeps it.
const guard = `
trap '' INT TERM HUP
while read -r _; do :; done
pidfile=$1/data/postmaster.pid
if pid=$(head -n 1 "$pidfile" 2>/dev/null); then
	kill -QUIT "$pid" 2>/dev/null
	n=0
	while [ $n -lt 50 ] && [ -e "$pidfile" ]; do sleep 0.1; n=$((n + 1)); done
	[ -e "$pidfile" ] && kill -KILL "$pid" 2>/dev/null
fi
pid=$(head -n 1 "$1/pooler.pid" 2>/dev/null) && kill -KILL "$pid" 2>/dev/null
cd / && rm -rf "$1"
`

// home is one directory with its owner's lock and its watchdog.
type home struct {
	dir      string
	as       *syscall.Credential // nil unless we are root, whom the server refuses
	lock     *os.File
	watchdog *exec.Cmd
	leash    io.Closer // closing it sends the watchdog to work
}

// settle makes a directory, locks it for as long as this process lives, and posts the watchdog.
func settle() (*home, error) {
	sweep(os.TempDir())
	dir, err := os.MkdirTemp("", prefix)
	if err != nil {
		return nil, fmt.Errorf("directory for the server: %w", err)
	}
	h := &home{dir: dir}
	if err := h.furnish(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return h, nil
}

// furnish is the part of settle that may fail with the directory already made.
func (h *home) furnish() error {
	var err error
	if h.lock, err = lockFile(h.dir); err != nil {
		return err
	}
	if h.as, err = serverUser(); err != nil {
		return err
	}
	if h.as != nil {
		if err := os.Chown(h.dir, int(h.as.Uid), int(h.as.Gid)); err != nil {
			return err
		}
	}
	h.watchdog = exec.Command("/bin/sh", "-c", guard, "vidimus-pg-watchdog", h.dir)
	h.watchdog.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: h.as}
	h.watchdog.Dir = "/"
	if h.leash, err = h.watchdog.StdinPipe(); err != nil {
		return err
	}
	if err := h.watchdog.Start(); err != nil {
		return fmt.Errorf("start the watchdog: %w", err)
	}
	return nil
}

// command prepares a program to run as the server's user, out of reach of the terminal's interrupts.
func (h *home) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir = h.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: h.as}
	return cmd
}

// write puts a file into the directory, readable by the server's user alone.
func (h *home) write(name, text string) (string, error) {
	path := filepath.Join(h.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return "", err
	}
	if h.as != nil {
		return path, os.Chown(path, int(h.as.Uid), int(h.as.Gid))
	}
	return path, nil
}

// close lets the watchdog clean up and waits for it.
func (h *home) close() error {
	return errors.Join(h.leash.Close(), h.watchdog.Wait(), h.lock.Close())
}

// logFile is where the server's standard error goes.
func (h *home) logFile() string { return filepath.Join(h.dir, "log") }

// tail returns the last lines of the server's log.
func (h *home) tail() string {
	text, err := os.ReadFile(h.logFile())
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-30):], "\n")
}

// lockFile takes the kernel's lock that marks the directory as owned by a living process. The name appears only once
// the lock is held, so a sweeping process never sees it free.
func lockFile(dir string) (*os.File, error) {
	f, err := os.Create(filepath.Join(dir, "lock.new"))
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return f, os.Rename(f.Name(), filepath.Join(dir, "lock"))
}

// sweep removes directories whose owner is gone and whose watchdog never came to do it, as when a machine was switched
// off.
func sweep(tmp string) {
	locks, err := filepath.Glob(filepath.Join(tmp, prefix+"*", "lock"))
	if err != nil {
		return
	}
	for _, path := range locks {
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			endLeftover(filepath.Join(filepath.Dir(path), "data"))
			_ = os.RemoveAll(filepath.Dir(path)) // another user's stays; the next start of that user takes it
		}
		f.Close()
	}
}

// endLeftover kills the server of a data directory if it still runs. A server works inside its data directory, which
// tells it from a stranger that was given the same process id later.
func endLeftover(data string) {
	text, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil || pid <= 1 {
		return
	}
	if cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid)); err == nil && cwd == data {
		_ = syscall.Kill(pid, syscall.SIGQUIT)
	}
}

// serverUser is the account to run servers as: nil means our own, which works for everyone but root.
func serverUser() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL refuses to run as root and there is no user postgres (%w): "+
			"run the tests as an ordinary user, or %s", err, remedy)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("uid of user postgres: %w", err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("gid of user postgres: %w", err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// secret is random text for passwords and names that must not meet another process's.
func secret() string { return chance.Short() + chance.Short() }
