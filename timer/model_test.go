// SPDX-License-Identifier: Apache-2.0

// Random schedules: every timer has its effect, and has it once.

package timer_test

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
	"example.com/vidimus/timer"
)

// dice are the chance of one schedule, by its seed (splitmix64).
type dice struct {
	sync.Mutex
	state uint64
}

func (d *dice) roll(sides int) int {
	d.Lock()
	defer d.Unlock()
	d.state += 0x9e3779b97f4a7c15
	z := d.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return int((z ^ z>>31) % uint64(sides))
}

func (d *dice) duration(most time.Duration) time.Duration {
	return time.Duration(d.roll(int(most/time.Millisecond))) * time.Millisecond
}

// faulty is a way to a journal that loses answers and is down at times.
type faulty struct {
	journal.Store
	d    *dice
	calm chan struct{} // closed when the faults end
}

func (s *faulty) fails(odds int) bool {
	select {
	case <-s.calm:
		return false
	default:
		return s.d.roll(odds) == 0
	}
}

func (s *faulty) Commit(ctx context.Context, units []*journal.Unit) ([]journal.Outcome, error) {
	if s.fails(10) {
		return nil, journal.ErrUnavailable
	}
	out, err := s.Store.Commit(ctx, units)
	if s.fails(10) {
		return nil, journal.ErrUncertain
	}
	return out, err
}

func (s *faulty) Record(ctx context.Context, kind, key string) (journal.Record, error) {
	if s.fails(10) {
		return journal.Record{}, journal.ErrUnavailable
	}
	return s.Store.Record(ctx, kind, key)
}

func (s *faulty) Records(ctx context.Context, q journal.RecordQuery) ([]journal.Record, error) {
	if s.fails(10) {
		return nil, journal.ErrUnavailable
	}
	return s.Store.Records(ctx, q)
}

// office gives the one lease of a schedule to one node after another. The node before learns of it late.
type office struct {
	mu struct {
		sync.Mutex
		rights [2]*right
	}
}

func (o *office) owner(node int) func(string) (timer.Lease, bool) {
	return func(string) (timer.Lease, bool) {
		o.mu.Lock()
		defer o.mu.Unlock()
		r := o.mu.rights[node]
		return r, r != nil && r.ctx.Err() == nil
	}
}

func (o *office) give(t *testing.T, log *journal.Log, node int, d *dice) {
	res, err := log.Commit(t.Context(), journal.Unit{Records: []journal.RecordWrite{
		{Kind: journal.KindLease, Key: "all", Expect: journal.Any},
	}})
	if err != nil {
		t.Fatal(err)
	}
	o.mu.Lock()
	before := o.mu.rights[1-node]
	o.mu.rights[node] = newRight("all", journal.Epoch(res.Records[0]))
	o.mu.Unlock()
	if before != nil {
		pass(t, d.duration(5*time.Second)) // it is paused, or its clock is slow
		before.end()
	}
}

func TestEveryTimerHasItsEffectOnce(t *testing.T) {
	for seed := range 20 {
		synctest.Test(t, func(t *testing.T) {
			d := &dice{state: uint64(seed)}
			log, o, calm := mem.Open(), &office{}, make(chan struct{})
			var stops []func()
			for node := range 2 {
				way := journal.New(&faulty{log.Store(), d, calm})
				cfg := timer.Config{Owner: o.owner(node), RetryMax: 5 * time.Second, Timeout: 10 * time.Second}
				_, stop := run(t, way, cfg, func(ctx context.Context, f timer.Fired) error {
					return effect(ctx, way, d, f)
				})
				stops = append(stops, stop)
			}
			due := change(t, log, o, d)
			close(calm)
			pass(t, 2*time.Minute)
			for _, stop := range stops {
				stop()
			}
			judge(t, log, due, seed)
		})
	}
}

// change sets, moves and cancels timers for two minutes. It returns, for each setting, whether it must take effect.
func change(t *testing.T, log *journal.Log, o *office, d *dice) map[string]bool {
	due := map[string]bool{}
	latest := map[string]string{}
	for i := range 200 {
		key := fmt.Sprintf("k/%d", d.roll(12))
		if old, ok := latest[key]; ok {
			due[old] = false // it may have taken effect or not
			delete(latest, key)
		}
		if d.roll(4) == 0 {
			write(t, log, timer.Cancel(key))
		} else {
			setting := fmt.Sprintf("%s-%d", key, i)
			write(t, log, timer.Set(key, clock.Now().Add(d.duration(4*time.Second)), []byte(setting)))
			latest[key], due[setting] = setting, true
		}
		if i%20 == 0 {
			o.give(t, log, d.roll(2), d)
		}
		pass(t, d.duration(time.Second))
	}
	return due
}

// effect notes that a setting took effect, in the unit that completes the timer.
func effect(ctx context.Context, log *journal.Log, d *dice, f timer.Fired) error {
	switch d.roll(8) {
	case 0:
		return errors.New("the handler has a bad day")
	case 1:
		_ = clock.Sleep(ctx, d.duration(8*time.Second))
	}
	_, err := log.Commit(context.WithoutCancel(ctx), f.Complete(journal.Unit{Appends: []journal.Append{{
		Stream: "effects", Expect: journal.Any,
		Events: []journal.EventData{{ID: journal.NewID(), Type: "done", Data: f.Payload}},
	}}}))
	return err
}

func judge(t *testing.T, log *journal.Log, due map[string]bool, seed int) {
	t.Helper()
	count := map[string]int{}
	for e, err := range log.ReadStream(t.Context(), "effects", nil) {
		if err != nil {
			t.Fatal(err)
		}
		count[string(e.Data)]++
	}
	for setting, must := range due {
		if n := count[setting]; n > 1 || must && n == 0 {
			t.Errorf("seed %d: %s took effect %d times", seed, setting, n)
		}
	}
	left, err := log.Records(t.Context(), journal.RecordQuery{Kind: timer.Kind})
	if err != nil || len(left) > 0 {
		t.Errorf("seed %d: %d records are left, %v", seed, len(left), err)
	}
}
