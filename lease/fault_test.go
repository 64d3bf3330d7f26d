// SPDX-License-Identifier: Apache-2.0

// Keepers whose way to the journal can be cut, and a table of nodes to test with.

package lease_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/lease"
)

// way is one node's way to a journal that several share.
type way struct {
	journal.Store
	mu struct {
		sync.Mutex
		down    bool
		hung    chan struct{} // closed when calls may go on
		commits int
		skew    time.Duration // how far the node's wall clock is off, as seen in due times
		lose    int           // answers of commits to lose
	}
}

func (w *way) pass(ctx context.Context) error {
	w.mu.Lock()
	down, hung := w.mu.down, w.mu.hung
	w.mu.Unlock()
	if hung != nil {
		select {
		case <-hung:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if down {
		return fmt.Errorf("%w: the way is cut", journal.ErrUnavailable)
	}
	return ctx.Err()
}

func (w *way) Commit(ctx context.Context, units []*journal.Unit) ([]journal.Outcome, error) {
	if err := w.pass(ctx); err != nil {
		return nil, err
	}
	w.mu.Lock()
	w.mu.commits++
	lost := w.mu.lose > 0
	if lost {
		w.mu.lose--
	}
	for _, u := range units {
		for i := range u.Records {
			if r := &u.Records[i]; !r.Due.IsZero() {
				r.Due = r.Due.Add(w.mu.skew)
			}
		}
	}
	w.mu.Unlock()
	out, err := w.Store.Commit(ctx, units)
	if lost && err == nil {
		return nil, journal.ErrUncertain
	}
	return out, err
}

func (w *way) Head(ctx context.Context) (journal.Checkpoint, error) {
	if err := w.pass(ctx); err != nil {
		return journal.Checkpoint{}, err
	}
	return w.Store.Head(ctx)
}

func (w *way) Record(ctx context.Context, kind, key string) (journal.Record, error) {
	if err := w.pass(ctx); err != nil {
		return journal.Record{}, err
	}
	return w.Store.Record(ctx, kind, key)
}

func (w *way) Records(ctx context.Context, q journal.RecordQuery) ([]journal.Record, error) {
	if err := w.pass(ctx); err != nil {
		return nil, err
	}
	return w.Store.Records(ctx, q)
}

func (w *way) cut(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mu.down = down
}

// loseAnswer has the next commit written, and its answer lost.
func (w *way) loseAnswer() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mu.lose = 1
}

// setSkew puts the node's wall clock off.
func (w *way) setSkew(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mu.skew = d
}

// hang stops every call until the returned function is called.
func (w *way) hang() (resume func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	hung := make(chan struct{})
	w.mu.hung = hung
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.mu.hung == hung {
			w.mu.hung = nil
		}
		close(hung)
	}
}

func (w *way) commits() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.mu.commits
}

// node is a keeper whose Run runs, on a way of its own.
type node struct {
	*lease.Keeper
	way  *way
	log  *journal.Log
	stop context.CancelFunc
	done chan error
}

func start(t *testing.T, shared *journal.Log, owner string) *node {
	t.Helper()
	w := &way{Store: shared.Store()}
	log := journal.New(w)
	k, err := lease.Open(t.Context(), log, lease.Config{Owner: owner, Node: "host-" + owner, Group: "test", TTL: ttl})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	n := &node{Keeper: k, way: w, log: log, stop: cancel, done: make(chan error, 1)}
	go func() { n.done <- k.Run(ctx) }()
	return n
}

// end stops the node in order.
func (n *node) end(t *testing.T) {
	t.Helper()
	n.stop()
	if err := <-n.done; err != nil {
		t.Errorf("Run of %s: %v", n.Owner(), err)
	}
}

// kill stops the node without a word.
func (n *node) kill() {
	n.way.cut(true)
	n.stop()
	<-n.done
}

func (n *node) acquire(t *testing.T, name string) *lease.Lease {
	t.Helper()
	l, err := n.Acquire(t.Context(), name)
	if err != nil {
		t.Fatalf("%s acquires %s: %v", n.Owner(), name, err)
	}
	return l
}

// write appends to a stream under a lease, on the node's way.
func (n *node) write(ctx context.Context, l *lease.Lease) error {
	_, err := n.log.Commit(ctx, journal.Unit{
		Fences:  []journal.Fence{l.Fence()},
		Appends: []journal.Append{{Stream: "work", Expect: journal.Any, Events: []journal.EventData{note(n.Owner(), l)}}},
	})
	return err
}

func note(owner string, l *lease.Lease) journal.EventData {
	return journal.EventData{ID: journal.NewID(), Type: "noted", Data: fmt.Appendf(nil, "%d %s", l.Epoch(), owner)}
}

// pass lets time pass.
func pass(t *testing.T, d time.Duration) {
	t.Helper()
	if err := clock.Sleep(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}
