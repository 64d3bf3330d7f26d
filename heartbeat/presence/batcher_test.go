// SPDX-License-Identifier: Apache-2.0

// What a batcher sends, and what it keeps when it cannot.

package presence_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/heartbeat/presence"
	"example.com/vidimus/internal/clock"
)

// wire is a way to an owner that can fail. It remembers when each session was heard, by the ages it was sent.
type wire struct {
	sync.Mutex
	fail    error
	batches []int
	heard   map[presence.ID][]time.Time
	delay   time.Duration
}

func (w *wire) send(ctx context.Context, beats []presence.Beat) error {
	w.Lock()
	defer w.Unlock()
	if w.fail != nil {
		return w.fail
	}
	w.batches = append(w.batches, len(beats))
	for _, b := range beats {
		w.heard[b.ID] = append(w.heard[b.ID], time.Now().Add(-b.Age))
	}
	return clock.Sleep(ctx, w.delay)
}

func (w *wire) set(fail error) {
	w.Lock()
	defer w.Unlock()
	w.fail = fail
}

func (w *wire) times(id presence.ID) []time.Time {
	w.Lock()
	defer w.Unlock()
	return w.heard[id]
}

// batching runs a batcher until stop is called, and in any case until the test ends.
func batching(t *testing.T, cfg presence.BatcherConfig) (b *presence.Batcher, stop func()) {
	t.Helper()
	b, err := presence.OpenBatcher(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
	t.Cleanup(stop)
	return b, stop
}

func TestBatcherSendsEachSessionOnceAPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{heard: map[presence.ID][]time.Time{}}
		b, _ := batching(t, presence.BatcherConfig{Send: w.send, Batch: 100})
		for range 10 {
			for i := range 250 {
				b.Beat(numbered(i))
			}
			time.Sleep(50 * time.Millisecond)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if len(w.batches) != 3 || w.batches[0] != 100 || w.batches[2] != 50 {
			t.Errorf("sent batches of %v, want 100, 100, 50", w.batches)
		}
		b.Beat(numbered(3))
		time.Sleep(2 * time.Second)
		if got := w.times(numbered(3)); len(got) != 2 {
			t.Errorf("a session heard in two periods was sent %d times", len(got))
		}
		if got := b.Stats(); got.Sent != 251 || got.Batches != 4 || got.Waiting != 0 || got.Dropped != 0 {
			t.Errorf("got %+v", got)
		}
	})
}

func TestBatcherNeverMakesASessionOlderThanItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{heard: map[presence.ID][]time.Time{}}
		b, _ := batching(t, presence.BatcherConfig{Send: w.send})
		time.Sleep(1050 * time.Millisecond)
		for outage := range 3 {
			w.set(errors.New("no way"))
			b.Beat(numbered(1))
			time.Sleep(700 * time.Millisecond)
			b.Beat(numbered(1)) // the last in its period counts
			last := time.Now()
			time.Sleep(time.Duration(40*outage) * time.Second)
			w.set(nil)
			time.Sleep(time.Minute)
			times := w.times(numbered(1))
			if len(times) != outage+1 {
				t.Fatalf("sent %d times, want once after each outage", len(times))
			}
			if got := times[outage].Sub(last); got < 0 || got > time.Second {
				t.Errorf("after an outage of %ds the beat is sent as %v after it was, want 0 to 1s", 40*outage, got)
			}
		}
		if got := b.Stats(); got.Failures == 0 || got.Waiting != 0 {
			t.Errorf("got %+v", got)
		}
	})
}

func TestBatcherWaitsLongerWhileTheOwnerIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{heard: map[presence.ID][]time.Time{}, fail: errors.New("no way")}
		b, _ := batching(t, presence.BatcherConfig{Send: w.send})
		b.Beat(numbered(1))
		time.Sleep(10 * time.Minute)
		if got := b.Stats().Failures; got < 20 || got > 50 {
			t.Errorf("tried %d times in ten minutes, want a try every 15 to 30 seconds in the end", got)
		}
	})
}

func TestBatcherHasALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{heard: map[presence.ID][]time.Time{}, fail: errors.New("no way")}
		b, _ := batching(t, presence.BatcherConfig{Send: w.send, Limit: 100})
		for i := range 150 {
			b.Beat(numbered(i))
		}
		time.Sleep(1500 * time.Millisecond)
		for i := range 150 {
			b.Beat(numbered(i)) // those that wait are refreshed, the others dropped again
		}
		time.Sleep(10 * time.Second)
		w.set(nil)
		time.Sleep(time.Minute)
		if got := b.Stats(); got.Sent < 100 || got.Sent > 150 || got.Dropped < 50 || got.Waiting != 0 {
			t.Errorf("got %+v, want about 100 sent and the rest counted", got)
		}
	})
}

func TestBatcherSendsALastTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{heard: map[presence.ID][]time.Time{}}
		b, stop := batching(t, presence.BatcherConfig{Send: w.send})
		time.Sleep(10 * time.Millisecond)
		b.Beat(numbered(1))
		stop()
		if len(w.times(numbered(1))) != 1 {
			t.Error("a beat was lost when the batcher ended")
		}
		if err := b.Run(t.Context()); err == nil {
			t.Error("Run may be called twice")
		}
	})
}

func TestBatcherTakesBeatsWhileItSends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{heard: map[presence.ID][]time.Time{}, delay: 3 * time.Second}
		b, stop := batching(t, presence.BatcherConfig{Send: w.send})
		var group sync.WaitGroup
		const each = 200
		for g := range 8 {
			group.Go(func() {
				for i := range each {
					b.Beat(numbered(g*each + i))
					b.Beat(numbered(i))
					time.Sleep(17 * time.Millisecond)
				}
			})
		}
		group.Wait()
		stop()
		w.Lock()
		defer w.Unlock()
		if len(w.heard) != 8*each {
			t.Errorf("%d sessions were sent, want %d", len(w.heard), 8*each)
		}
	})
}
