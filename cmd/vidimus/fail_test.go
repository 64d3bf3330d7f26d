// SPDX-License-Identifier: Apache-2.0

// The table of errors, and how far long work is.

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/cmd/vidimus/internal/eventlog"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/server/remote"
)

func TestEachErrorHasItsCodeAndExit(t *testing.T) {
	t.Parallel()
	wrap := func(err error) error { return fmt.Errorf("append order-7: %w", err) }
	for _, c := range []struct {
		err  error
		code string
		exit int
	}{
		{errors.New("what?"), "failed", 1},
		{usage("--db", "is wrong"), "usage", 2},
		{&brokenError{"2 places"}, "broken", 1},
		{wrap(&journal.InvalidError{Field: "type", Problem: "is missing"}), "invalid", 2},
		{&stoppedError{err: &eventlog.Error{Field: "kind", Problem: "unknown"}}, "invalid", 2},
		{wrap(&journal.ConflictError{Name: "order-7"}), "conflict", 3},
		{&stoppedError{err: wrap(journal.ErrUnavailable)}, "unavailable", 5},
		{wrap(journal.ErrCondition), "condition", 3},
		{wrap(&journal.FencedError{Lease: "l"}), "fenced", 3},
		{wrap(journal.ErrIDReused), "id_reused", 3},
		{wrap(journal.ErrNotFound), "not_found", 4},
		{wrap(journal.ErrLocked), "locked", 5},
		{wrap(journal.ErrOverloaded), "overloaded", 5},
		{fmt.Errorf("%w: %w", journal.ErrUncertain, journal.ErrUnavailable), "uncertain", 5},
		{fmt.Errorf("%w: %w", journal.ErrUncertain, context.DeadlineExceeded), "uncertain", 5},
		{wrap(journal.ErrTooNew), "too_new", 1},
		{wrap(journal.ErrDiverged), "diverged", 1},
		{wrap(remote.ErrUnauthenticated), "unauthenticated", 6},
		{wrap(remote.ErrPermission), "permission", 6},
		{wrap(remote.ErrDraining), "draining", 5},
		{wrap(remote.ErrLimit), "limit", 5},
		{wrap(remote.ErrUnknownCell), "not_found", 4},
		{&signalError{signal: syscall.SIGINT, done: &haltError{"3 events are in"}}, "interrupted", 130},
		{&signalError{signal: syscall.SIGTERM, done: context.Canceled}, "interrupted", 143},
		{wrap(syscall.EPIPE), "failed", 141},
	} {
		if f := describe(c.err); f.Code != c.code || f.exit != c.exit {
			t.Errorf("%v: got %s and exit %d, want %s and %d", c.err, f.Code, f.exit, c.code, c.exit)
		}
	}
}

func TestExpectations(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]journal.Expect{
		"any": journal.Any, "none": journal.None, "exists": journal.Exists, "0": journal.None, "12": journal.Exactly(12),
	} {
		if got, err := parseExpect(text); err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-1", "some", "1.5", "99999999999999999999"} {
		if got, err := parseExpect(text); !errors.Is(err, errUsage) {
			t.Errorf("%q: got %v, %v, want a usage error", text, got, err)
		}
	}
}

func TestAMeterWithoutATerminalWritesALineEveryTwoSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var err bytes.Buffer
		a := &app{out: io.Discard, err: &err}
		m := a.newMeter("import", 4000, "events")
		for i := int64(1); i <= 4; i++ {
			if sleepErr := clock.Sleep(t.Context(), time.Second); sleepErr != nil {
				t.Fatal(sleepErr)
			}
			m.at(1000*i, 2000*i)
		}
		m.end()
		want := "import: 4,000 events (50 %), 2,000 events/s\nimport: 8,000 events (100 %), 2,000 events/s\n"
		if err.String() != want {
			t.Errorf("got %q, want %q", err.String(), want)
		}
	})
}

func TestAMeterOnATerminalDrawsABarAndTakesItAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var err bytes.Buffer
		a := &app{out: io.Discard, err: &err, live: true}
		m := a.newMeter("import", 4000, "events")
		if sleepErr := clock.Sleep(t.Context(), time.Second); sleepErr != nil {
			t.Fatal(sleepErr)
		}
		m.at(4000, 1000)
		m.end()
		lines := strings.Split(err.String(), "\r")
		drawn := strings.Contains(err.String(), "import 1,000 events, 1,000 events/s")
		if !drawn || strings.TrimSpace(lines[len(lines)-1]) != "" {
			t.Errorf("got %q", lines)
		}
	})
}
