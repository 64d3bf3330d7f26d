// SPDX-License-Identifier: Apache-2.0

// An owner whose process is stopped and goes on, as on a machine that swaps, or is moved.

package presence_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"example.com/vidimus/heartbeat/presence"
)

// ownerProcess asks this test binary to be an owner.
const ownerProcess = "VIDIMUS_PRESENCE_OWNER"

const (
	living  = 25                     // sessions that beat whenever the owner can hear them
	silent  = 25                     // sessions that stop when the owner does
	allowed = 2 * time.Second        // silence
	stop    = 3 * time.Second        // of the process
	apart   = 100 * time.Millisecond // beats
)

func TestMain(m *testing.M) {
	if os.Getenv(ownerProcess) == "" {
		m.Run()
		return
	}
	if err := beOwner(os.Stdin, os.Stdout); err != nil {
		panic(err)
	}
}

// beOwner tracks the sessions, hears beats from in, and names those that expire on out.
func beOwner(in io.Reader, out io.Writer) error {
	o, err := presence.Open(presence.Config{
		Tick: 100 * time.Millisecond, Interval: 500 * time.Millisecond, Stall: 500 * time.Millisecond, Grace: 1,
		HoldMin: 1000,
		Expire: func(_ context.Context, sessions []presence.Expired) error {
			for _, s := range sessions {
				if _, err := fmt.Fprintln(out, s.ID); err != nil {
					return err
				}
			}
			return nil
		},
	})
	if err != nil {
		return err
	}
	for i := range living + silent {
		if err := o.Track(numbered(i), allowed); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- o.Run(ctx) }()
	err = hear(in, o)
	cancel()
	return errors.Join(err, <-done)
}

// hear reads batches, each behind its length, until their end.
func hear(in io.Reader, o *presence.Owner) error {
	var head [4]byte
	for {
		if _, err := io.ReadFull(in, head[:]); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		batch := make([]byte, min(binary.BigEndian.Uint32(head[:]), presence.MaxBatchBytes))
		if _, err := io.ReadFull(in, batch); err != nil {
			return err
		}
		beats, err := presence.ParseBatch(nil, batch)
		if err != nil {
			return err
		}
		if err := o.Beats(context.Background(), beats); err != nil {
			return err
		}
	}
}

func TestStoppedProcessExpiresNobodyWhoLives(t *testing.T) {
	t.Parallel()
	owner := exec.Command(os.Args[0])
	owner.Env = append(os.Environ(), ownerProcess+"=1")
	owner.Stderr = os.Stderr
	in, errIn := owner.StdinPipe()
	out, errOut := owner.StdoutPipe()
	if err := errors.Join(errIn, errOut, owner.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(in.Close(), owner.Wait()); err != nil {
			t.Error(err)
		}
	})
	expired := make(chan string, living+silent)
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			expired <- lines.Text()
		}
		close(expired)
	}()

	sendFor(t, in, time.Second, living+silent)
	if err := owner.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	<-time.NewTimer(stop).C // nobody hears a beat meanwhile
	if err := owner.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	<-time.NewTimer(2 * apart).C // and the first one comes a little later
	began := time.Now()
	gone := map[string]bool{}
	for len(gone) < silent {
		sendFor(t, in, apart, living)
		for more := true; more; {
			select {
			case id := <-expired:
				gone[id] = true
			default:
				more = false
			}
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("%d of %d silent sessions expired", len(gone), silent)
		}
	}
	for i := range living {
		if gone[numbered(i).String()] {
			t.Errorf("session %d beats, and expired", i)
		}
	}
	if took := time.Since(began); took < stop {
		t.Errorf("sessions expired %v after a stop of %v, want a freeze of at least that", took, stop)
	}
}

// sendFor sends beats of the first n sessions for a while.
func sendFor(t *testing.T, in io.Writer, length time.Duration, n int) {
	t.Helper()
	beats := make([]presence.Beat, n)
	for i := range beats {
		beats[i].ID = numbered(i)
	}
	batch, err := presence.AppendBatch(make([]byte, 4, 2048), beats)
	if err != nil {
		t.Fatal(err)
	}
	binary.BigEndian.PutUint32(batch, uint32(len(batch)-4))
	every := time.NewTicker(apart)
	defer every.Stop()
	for end := time.Now().Add(length); time.Now().Before(end); <-every.C {
		if _, err := in.Write(batch); err != nil {
			t.Fatal(err)
		}
	}
}
