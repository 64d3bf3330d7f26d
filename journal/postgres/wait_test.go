// SPDX-License-Identifier: Apache-2.0

// Waiting for events of others, told or not.

//go:build unix

package postgres

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"example.com/vidimus/internal/pgtest"
	"example.com/vidimus/journal"
)

// TestWaitersAreToldByOtherNodes never polls, so that only an announcement can wake them.
func TestWaitersAreToldByOtherNodes(t *testing.T) {
	t.Parallel()
	url := pgtest.Open(t)
	log := openLog(t, Config{URL: url, Poll: time.Hour})
	other := openLog(t, Config{URL: url})
	s := storeOf(t, log)
	for round := range journal.Position(5) {
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() {
				if err := s.Wait(t.Context(), round); err != nil {
					t.Errorf("wait: %v", err)
				}
			})
		}
		appendOne(t, other, "order-1", journal.Any)
		group.Wait()
	}
}

func TestATransactionTellsWaiters(t *testing.T) {
	t.Parallel()
	url := pgtest.Open(t)
	log := openLog(t, Config{URL: url, Poll: time.Hour})
	done := make(chan error, 1)
	go func() { done <- storeOf(t, log).Wait(t.Context(), 0) }()
	exec(t, connect(t, url), `select vidimus.append('order-1', 0, 'order.placed', '{}')`)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestAWaiterThatLeavesHandsTheTurnOn ends the one that listens, and wants another to go on.
func TestAWaiterThatLeavesHandsTheTurnOn(t *testing.T) {
	t.Parallel()
	url := pgtest.Open(t)
	log := openLog(t, Config{URL: url, Poll: time.Hour})
	other := openLog(t, Config{URL: url})
	s := storeOf(t, log)
	for round := range journal.Position(5) {
		ctx, leave := context.WithCancel(t.Context())
		var group sync.WaitGroup
		for range 3 {
			group.Go(func() {
				if err := s.Wait(ctx, round); err != nil && !errors.Is(err, context.Canceled) {
					t.Errorf("wait: %v", err)
				}
			})
		}
		group.Go(func() {
			if err := s.Wait(t.Context(), round); err != nil {
				t.Errorf("wait: %v", err)
			}
		})
		leave()
		appendOne(t, other, "order-1", journal.Any)
		group.Wait()
	}
}

// TestAListenerThatIsCutOffFindsEventsByLooking takes the connection away between two events.
func TestAListenerThatIsCutOffFindsEventsByLooking(t *testing.T) {
	t.Parallel()
	url := pgtest.Open(t)
	log := openLog(t, Config{URL: url, Poll: 20 * time.Millisecond})
	c := connect(t, url)
	for round := range journal.Position(3) {
		done := make(chan error, 1)
		go func() { done <- storeOf(t, log).Wait(t.Context(), round) }()
		cut(t, c)
		exec(t, c, `select vidimus.append('order-1', -1, 'order.placed', '{}')`)
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestAPoolerIsNoticed(t *testing.T) {
	t.Parallel()
	url := pgtest.Open(t)
	direct := openLog(t, Config{URL: url})
	pooled := openLog(t, Config{URL: pgtest.Pooler(t, url), Poll: 10 * time.Millisecond})
	if storeOf(t, direct).pool.pooled || !storeOf(t, pooled).pool.pooled {
		t.Error("a direct connection and one through a pooler were taken for each other")
	}
	appendOne(t, direct, "order-1", journal.None)
	if err := storeOf(t, pooled).Wait(t.Context(), 0); err != nil {
		t.Error(err)
	}
}
