// SPDX-License-Identifier: Apache-2.0

// Random schedules: whatever happens, writes of two epochs never interleave.

package lease_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/lease"
)

// dice are the chance of one schedule, by its seed (splitmix64).
type dice uint64

func (d *dice) roll(sides int) int {
	*d += 0x9e3779b97f4a7c15
	z := uint64(*d)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return int((z ^ z>>31) % uint64(sides))
}

func (d *dice) duration(most time.Duration) time.Duration {
	return time.Duration(d.roll(int(most/time.Millisecond))) * time.Millisecond
}

// verdict is what a schedule came to.
type verdict struct {
	writes, epochs, refused, interleaved int
}

// schedule lets keepers fight for one lease for five minutes and reads what they wrote.
func schedule(t *testing.T, seed int, fenced bool) (v verdict) {
	synctest.Test(t, func(t *testing.T) {
		log := mem.Open()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		var all sync.WaitGroup
		var refused counter
		for i := range 4 {
			d := dice(seed*10 + i)
			all.Go(func() {
				for life := 0; ctx.Err() == nil; life++ {
					live(t, ctx, log, fmt.Sprintf("k%d.%d", i, life), &d, fenced, &refused)
				}
			})
		}
		all.Wait()
		v = judge(t, log)
		v.refused = refused.n
	})
	return v
}

type counter struct {
	sync.Mutex
	n int
}

func (c *counter) add() {
	c.Lock()
	defer c.Unlock()
	c.n++
}

// live runs one keeper until it is killed or stopped in order.
func live(t *testing.T, ctx context.Context, log *journal.Log, owner string, d *dice, fenced bool, refused *counter) {
	n := start(t, log, owner)
	died := clock.Now().Add(d.duration(3 * time.Minute))
	for ctx.Err() == nil && clock.Now().Before(died) {
		waiting, cancel := context.WithTimeout(ctx, d.duration(40*time.Second)+time.Second)
		l, err := n.Acquire(waiting, "ledger")
		cancel()
		if err != nil {
			_ = clock.Sleep(ctx, d.duration(time.Second))
			continue
		}
		use(ctx, n, l, d, fenced, refused)
	}
	if d.roll(2) == 0 {
		n.kill()
	} else {
		n.way.cut(false)
		n.end(t)
	}
}

// use writes under a lease, with pauses between the look at the lease and the write, and cuts on the way.
func use(ctx context.Context, n *node, l *lease.Lease, d *dice, fenced bool, refused *counter) {
	for l.Err() == nil && ctx.Err() == nil {
		switch d.roll(12) {
		case 0:
			n.way.cut(true)
			_ = clock.Sleep(ctx, d.duration(2*ttl))
			n.way.cut(false)
		case 1:
			resume := n.way.hang()
			_ = clock.Sleep(ctx, d.duration(2*ttl))
			resume()
		case 2:
			_ = l.Release(ctx)
			return
		case 3:
			_ = l.Handover(ctx, fmt.Sprintf("k%d.%d", d.roll(4), d.roll(3)))
			return
		case 4:
			stalled := n.way.hang() // a paused process: its renewals stop as well
			_ = clock.Sleep(ctx, d.duration(3*ttl))
			stalled()
		default:
			_ = clock.Sleep(ctx, d.duration(time.Second))
		}
		u := journal.Unit{Appends: []journal.Append{{
			Stream: "work", Expect: journal.Any, Events: []journal.EventData{note(n.Owner(), l)},
		}}}
		if fenced {
			u.Fences = []journal.Fence{l.Fence()}
		}
		if _, err := n.log.Commit(ctx, u); errors.Is(err, journal.ErrFenced) {
			refused.add()
		}
	}
}

// judge reads the writes: epochs must not go back, and one epoch is one owner's.
func judge(t *testing.T, log *journal.Log) (v verdict) {
	owners := map[int]string{}
	last := 0
	for e, err := range log.ReadStream(t.Context(), "work", nil) {
		if err != nil {
			t.Fatal(err)
		}
		var epoch int
		var owner string
		if _, err := fmt.Sscan(string(e.Data), &epoch, &owner); err != nil {
			t.Fatal(err)
		}
		if owners[epoch] == "" {
			owners[epoch] = owner
		}
		if epoch < last || owners[epoch] != owner {
			v.interleaved++
		}
		last = max(last, epoch)
		v.writes++
	}
	v.epochs = len(owners)
	return v
}

func TestWritesOfTwoEpochsNeverInterleave(t *testing.T) {
	var sum verdict
	for seed := range 16 {
		v := schedule(t, seed, true)
		if v.interleaved > 0 {
			t.Errorf("seed %d: %d writes out of order", seed, v.interleaved)
		}
		if v.epochs < 5 || v.writes < 30 {
			t.Errorf("seed %d: only %d epochs and %d writes: nothing goes on", seed, v.epochs, v.writes)
		}
		sum.writes, sum.epochs, sum.refused = sum.writes+v.writes, sum.epochs+v.epochs, sum.refused+v.refused
	}
	t.Logf("%d writes under %d epochs, %d refused", sum.writes, sum.epochs, sum.refused)
	if sum.refused == 0 {
		t.Error("no late write was tried: the schedules are too tame")
	}
}

func TestWithoutTheFenceTheyDo(t *testing.T) {
	interleaved := 0
	for seed := range 6 {
		interleaved += schedule(t, seed, false).interleaved
	}
	if interleaved == 0 {
		t.Error("no late write landed: the schedules prove nothing of the fence")
	}
	t.Logf("%d writes out of order without the fence", interleaved)
}
