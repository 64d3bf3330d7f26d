// SPDX-License-Identifier: Apache-2.0

// How nodes share a cell, on a simulated clock.

package cell_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/cell"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
)

type node struct {
	*cell.Cell
	stop context.CancelFunc
	done chan error
}

func start(t *testing.T, log *journal.Log, name string, services ...cell.Service) *node {
	t.Helper()
	c, err := cell.Open(t.Context(), cell.Config{Log: log, Node: name})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	n := &node{Cell: c, stop: cancel, done: make(chan error, 1)}
	go func() { n.done <- c.Run(ctx, services...) }()
	return n
}

func (n *node) end(t *testing.T) {
	t.Helper()
	n.stop()
	if err := <-n.done; err != nil {
		t.Errorf("Run of %s: %v", n.Node(), err)
	}
}

func TestNodesShareTheShards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := mem.Open()
		a := start(t, log, "a")
		clock.Sleep(t.Context(), 2*time.Second)
		if got := len(a.Owned()); got != 64 {
			t.Fatalf("one node owns %d shards, want all 64", got)
		}
		b := start(t, log, "b")
		clock.Sleep(t.Context(), 3*time.Second)
		if x, y := len(a.Owned()), len(b.Owned()); x != 32 || y != 32 {
			t.Fatalf("two nodes own %d and %d shards, want 32 each", x, y)
		}
		a.end(t)
		clock.Sleep(t.Context(), time.Second)
		if got := len(b.Owned()); got != 64 {
			t.Fatalf("the node left over owns %d shards, want all 64", got)
		}
		b.end(t)
	})
}
