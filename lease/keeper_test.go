// SPDX-License-Identifier: Apache-2.0

// What a keeper promises, on a simulated clock.

package lease_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/lease"
)

const ttl = 10 * time.Second

// running is a keeper whose Run runs.
type running struct {
	*lease.Keeper
	stop context.CancelFunc
	done chan error
}

func start(t *testing.T, log *journal.Log, owner string) *running {
	t.Helper()
	k, err := lease.Open(t.Context(), log, lease.Config{Owner: owner, TTL: ttl})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{Keeper: k, stop: cancel, done: make(chan error, 1)}
	go func() { r.done <- k.Run(ctx) }()
	return r
}

// end stops the keeper and returns what Run returned.
func (r *running) end(t *testing.T) {
	t.Helper()
	r.stop()
	if err := <-r.done; err != nil {
		t.Errorf("Run of %s: %v", r.Owner(), err)
	}
}

func acquire(t *testing.T, k *running, name string) *lease.Lease {
	t.Helper()
	l, err := k.Acquire(t.Context(), name)
	if err != nil {
		t.Fatalf("%s acquires %s: %v", k.Owner(), name, err)
	}
	return l
}

func TestALeaseIsHeldByOneUntilItIsReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := mem.Open()
		a, b := start(t, log, "a"), start(t, log, "b")
		l := acquire(t, a, "printer")
		if l.Epoch() != 1 || l.Name() != "printer" || l.Err() != nil {
			t.Fatalf("got epoch %d of %s, %v", l.Epoch(), l.Name(), l.Err())
		}
		var held *lease.HeldError
		if _, err := b.TryAcquire(t.Context(), "printer"); !errors.As(err, &held) || held.Holder.Owner != "a" {
			t.Fatalf("got %v, want held by a", err)
		}
		if _, err := a.TryAcquire(t.Context(), "printer"); !errors.Is(err, lease.ErrHeld) {
			t.Fatalf("got %v, want held: a keeper does not hold a lease twice", err)
		}
		clock.Sleep(t.Context(), 10*ttl)
		if l.Err() != nil {
			t.Fatalf("lost while renewed: %v", l.Err())
		}
		if err := l.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		if cause := context.Cause(l.Context()); !errors.Is(cause, lease.ErrReleased) {
			t.Fatalf("context ended by %v", cause)
		}
		if l := acquire(t, b, "printer"); l.Epoch() != 3 {
			t.Fatalf("got epoch %d, want 3", l.Epoch())
		}
		a.end(t)
		b.end(t)
	})
}
