// SPDX-License-Identifier: Apache-2.0

// How nodes share a cell, on a simulated clock.

package cell_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/cell"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/lease"
	"example.com/vidimus/timer"
)

// way is one node's way to the shared journal. It can be cut.
type way struct {
	journal.Store
	mu   sync.Mutex
	down bool
}

func (w *way) cut(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = down
}

func (w *way) err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down {
		return fmt.Errorf("%w: the way is cut", journal.ErrUnavailable)
	}
	return nil
}

func (w *way) Commit(ctx context.Context, units []*journal.Unit) ([]journal.Outcome, error) {
	if err := w.err(); err != nil {
		return nil, err
	}
	return w.Store.Commit(ctx, units)
}

func (w *way) Record(ctx context.Context, kind, key string) (journal.Record, error) {
	if err := w.err(); err != nil {
		return journal.Record{}, err
	}
	return w.Store.Record(ctx, kind, key)
}

func (w *way) Records(ctx context.Context, q journal.RecordQuery) ([]journal.Record, error) {
	if err := w.err(); err != nil {
		return nil, err
	}
	return w.Store.Records(ctx, q)
}

type node struct {
	*cell.Cell
	way  *way
	stop context.CancelFunc
	done chan error
}

func start(t *testing.T, log *journal.Log, name string, services ...cell.Service) *node {
	t.Helper()
	w := &way{Store: log.Store()}
	c, err := cell.Open(t.Context(), cell.Config{Log: journal.New(w), Node: name})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	n := &node{Cell: c, way: w, stop: cancel, done: make(chan error, 1)}
	go func() { n.done <- c.Run(ctx, services...) }()
	return n
}

// end stops the node in order.
func (n *node) end(t *testing.T) {
	t.Helper()
	n.stop()
	if err := <-n.done; err != nil {
		t.Errorf("Run of %s: %v", n.Node(), err)
	}
}

// kill stops the node without a word.
func (n *node) kill() {
	n.way.cut(true)
	n.stop()
	<-n.done
}

func pass(t *testing.T, d time.Duration) {
	t.Helper()
	if err := clock.Sleep(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

// epochs sums the epochs of all shards: it rises with every change of owner.
func epochs(t *testing.T, log *journal.Log) (sum journal.Epoch) {
	t.Helper()
	list, err := lease.NewTable(log).List(t.Context(), "shard/", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range list {
		sum += info.Epoch
	}
	return sum
}

func TestNodesShareTheShards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := mem.Open()
		var nodes []*node
		for i := range 5 {
			nodes = append(nodes, start(t, log, fmt.Sprint("n", i)))
			pass(t, 3*time.Second)
			var all []int
			for _, n := range nodes {
				mine := n.Owned()
				if len(mine) < 64/len(nodes) || len(mine) > 64/len(nodes)+1 {
					t.Errorf("%s owns %d shards among %d nodes", n.Node(), len(mine), len(nodes))
				}
				all = append(all, mine...)
			}
			if slices.Sort(all); len(slices.Compact(all)) != 64 {
				t.Errorf("%d shards are owned among %d nodes", len(all), len(nodes))
			}
		}
		before := epochs(t, log)
		pass(t, 10*time.Minute)
		if after := epochs(t, log); after != before {
			t.Errorf("%d changes of owner at rest", after-before)
		}

		left := clock.Now()
		nodes[0].end(t)
		for len(nodes[1].Owned())+len(nodes[2].Owned())+len(nodes[3].Owned())+len(nodes[4].Owned()) < 64 {
			pass(t, 100*time.Millisecond)
		}
		if took := clock.Since(left); took > time.Second {
			t.Errorf("the shards of a node that left were taken after %v", took)
		}

		died := clock.Now()
		nodes[1].kill()
		for len(nodes[2].Owned())+len(nodes[3].Owned())+len(nodes[4].Owned()) < 64 {
			pass(t, 100*time.Millisecond)
		}
		if took := clock.Since(died); took > lease.DefaultTTL+1500*time.Millisecond {
			t.Errorf("the shards of a node that died were taken after %v", took)
		}
		for _, n := range nodes[2:] {
			n.end(t)
		}
	})
}

func TestAJoiningNodeCostsOneChangeOfOwnerAShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := mem.Open()
		a := start(t, log, "a")
		pass(t, 2*time.Second)
		before := epochs(t, log)
		b := start(t, log, "b")
		pass(t, 3*time.Second)
		if n := epochs(t, log) - before; n != 32 {
			t.Errorf("%d changes of owner, want 32", n)
		}
		a.end(t)
		b.end(t)
	})
}

func TestFencesAreForShardsThatAreOwned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := mem.Open()
		a, b := start(t, log, "a"), start(t, log, "b")
		pass(t, 5*time.Second)
		for i := range 100 {
			key := fmt.Sprint("order-", i)
			number := a.Shard(key)
			owner, other := a, b
			if slices.Contains(b.Owned(), number) {
				owner, other = b, a
			}
			fence, err := owner.Fence(key)
			if err != nil || fence.Lease != fmt.Sprintf("shard/%02d", number) || fence.Epoch == 0 {
				t.Fatalf("got %v, %v", fence, err)
			}
			if _, err := other.Fence(key); !errors.Is(err, cell.ErrNotOwner) {
				t.Fatalf("got %v, want not the owner", err)
			}
			if h, ok := other.Owner(number); !ok || h.Owner != owner.Node() {
				t.Fatalf("%s says that %s owns shard %d", other.Node(), h.Owner, number)
			}
		}
		if _, ok := a.Owner(64); ok {
			t.Error("somebody owns a shard that there is not")
		}
		a.end(t)
		if _, err := a.Fence("x"); !errors.Is(err, cell.ErrNotOwner) {
			t.Errorf("got %v, want not the owner", err)
		}
		b.end(t)
	})
}

func TestACellGetsOverAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := mem.Open()
		a, b := start(t, log, "a"), start(t, log, "b")
		pass(t, 5*time.Second)
		a.way.cut(true)
		b.way.cut(true)
		pass(t, time.Minute)
		if n := len(a.Owned()) + len(b.Owned()); n != 0 {
			t.Errorf("%d shards are owned without the journal", n)
		}
		a.way.cut(false)
		b.way.cut(false)
		pass(t, 5*time.Second)
		if x, y := len(a.Owned()), len(b.Owned()); x != 32 || y != 32 {
			t.Errorf("own %d and %d shards after the outage", x, y)
		}
		a.end(t)
		b.end(t)
	})
}

func TestAJournalKeepsWhatItsCellIs(t *testing.T) {
	t.Parallel()
	log := mem.Open()
	open := func(cfg cell.Config) (*cell.Cell, error) {
		cfg.Log = log
		return cell.Open(t.Context(), cfg)
	}
	if c, err := open(cell.Config{Name: "eu-1", Shards: 16}); err != nil || c.Shards() != 16 || c.Log() != log {
		t.Fatalf("got %v, %v", c, err)
	}
	if c, err := open(cell.Config{}); err != nil || c.Name() != "eu-1" || c.Shards() != 16 || c.Node() == "" {
		t.Fatalf("got %v, %v", c, err)
	}
	for field, cfg := range map[string]cell.Config{
		"name": {Name: "eu-2"}, "shards": {Shards: 64}, "drain": {Drain: -1}, "ttl": {TTL: 1},
		"poll": {Timers: timer.Config{Poll: -1}},
	} {
		var invalid *journal.InvalidError
		if _, err := open(cfg); !errors.As(err, &invalid) || invalid.Field != field {
			t.Errorf("got %v, want invalid %s", err, field)
		}
	}
	for _, shards := range []int{-1, 3, 512} {
		_, err := cell.Open(t.Context(), cell.Config{Log: mem.Open(), Shards: shards})
		if !errors.Is(err, journal.ErrInvalid) {
			t.Errorf("%d shards: got %v, want invalid", shards, err)
		}
	}
	if _, err := cell.Open(t.Context(), cell.Config{}); !errors.Is(err, journal.ErrInvalid) {
		t.Errorf("got %v, want invalid log", err)
	}
}

// Keys must stay in their shards for ever: what is written is found there by later releases.
func TestKeysStayInTheirShards(t *testing.T) {
	t.Parallel()
	c, err := cell.Open(t.Context(), cell.Config{Log: mem.Open()})
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]int{"": 0x25, "a": 0x0c, "b": 0x25, "foobar": 0x28, "order-7": 0x3b} {
		if got := c.Shard(key); got != want {
			t.Errorf("%q is in shard %#x, want %#x", key, got, want)
		}
	}
}
