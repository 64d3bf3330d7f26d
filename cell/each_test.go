// SPDX-License-Identifier: Apache-2.0

// Work that follows the shards.

package cell_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/cell"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal/mem"
)

func TestAHandoverWaitsForTheWorkInTheShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := mem.Open()
		var mu sync.Mutex
		late := 0
		slow := service{"slow", func(ctx context.Context, c *cell.Cell) error {
			return c.EachShard(ctx, func(ctx context.Context, number int) error {
				<-ctx.Done()
				pass(t, 2*time.Second) // what is under way is ended first
				if h, _ := c.Owner(number); h.Owner != "a" {
					mu.Lock()
					late++
					mu.Unlock()
				}
				return nil
			})
		}}
		a := start(t, log, "a", slow)
		pass(t, 2*time.Second)
		b := start(t, log, "b")
		pass(t, 10*time.Second)
		if len(b.Owned()) != 32 || late != 0 {
			t.Errorf("b owns %d shards, %d calls were cut short", len(b.Owned()), late)
		}
		a.end(t)
		b.end(t)
	})
}

func TestACallThatReturnsIsNotRepeatedUntilTheShardComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := mem.Open()
		var mu sync.Mutex
		calls := 0
		once := service{"once", func(ctx context.Context, c *cell.Cell) error {
			return c.EachShard(ctx, func(context.Context, int) error {
				mu.Lock()
				defer mu.Unlock()
				calls++
				return nil
			})
		}}
		a := start(t, log, "a", once)
		pass(t, time.Minute)
		if calls != 64 {
			t.Errorf("%d calls, want one a shard", calls)
		}
		b := start(t, log, "b")
		pass(t, time.Minute)
		b.end(t)
		pass(t, time.Minute)
		if calls != 64+32 {
			t.Errorf("%d calls, want one more for each of the 32 shards that came back", calls)
		}
		a.end(t)
	})
}

func TestACallThatFailsEndsTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		n := start(t, mem.Open(), "a", service{"weak", func(ctx context.Context, c *cell.Cell) error {
			return c.EachShard(ctx, func(ctx context.Context, number int) error {
				if number == 7 {
					_ = clock.Sleep(ctx, time.Minute)
					return broken
				}
				<-ctx.Done()
				return nil
			})
		}})
		if err := <-n.done; !errors.Is(err, broken) {
			t.Errorf("got %v, want broken", err)
		}
	})
}
