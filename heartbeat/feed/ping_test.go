// SPDX-License-Identifier: Apache-2.0

// Pings that share a look, and never one that began before them.

package feed_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/heartbeat/feed"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
)

// slow is a database whose end is read at once, and told a second later.
type slow struct {
	journal.Store
	looks atomic.Int64
}

func (s *slow) Head(ctx context.Context) (journal.Checkpoint, error) {
	s.looks.Add(1)
	head, err := s.Store.Head(ctx)
	if err := clock.Sleep(ctx, time.Second); err != nil {
		return journal.Checkpoint{}, err
	}
	return head, err
}

func TestPingKnowsWhatWasAcknowledgedBeforeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memory(t)
		store := &slow{Store: log.Store()}
		f, err := feed.Open(feed.Config{Log: journal.New(store), Changes: changes})
		if err != nil {
			t.Fatal(err)
		}
		const pings = 500
		rnd := rand.New(rand.NewPCG(1, 2))
		var work sync.WaitGroup
		for range pings {
			at := commit(t, log, "session-a", "session.changed")
			work.Go(func() {
				if head, err := f.Ping(t.Context()); err != nil || head.Position < at {
					t.Errorf("%d was acknowledged, and the ping says %v, %v", at, head, err)
				}
			})
			time.Sleep(time.Duration(rnd.Int64N(int64(20 * time.Millisecond))))
		}
		began := time.Now()
		work.Wait()
		if looks := store.looks.Load(); looks > 10 || time.Since(began) > 2*time.Second {
			t.Errorf("%d pings within five seconds took %d looks, and %v more", pings, looks, time.Since(began))
		}
	})
}

func TestPingThatGivesUpLeavesTheOthersTheirAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, err := feed.Open(feed.Config{Log: journal.New(&slow{Store: memory(t).Store()}), Changes: changes})
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = f.Ping(t.Context()) }()
		synctest.Wait()
		hasty, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		var work sync.WaitGroup
		work.Go(func() { _, _ = f.Ping(hasty) }) // is to take the next look, and leaves
		synctest.Wait()
		work.Go(func() {
			if _, err := f.Ping(t.Context()); err != nil {
				t.Errorf("the other got %v", err)
			}
		})
		work.Go(func() {
			brief, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			if _, err := f.Ping(brief); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the brief one got %v", err)
			}
		})
		work.Wait()
	})
}
