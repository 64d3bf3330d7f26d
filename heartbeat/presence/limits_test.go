// SPDX-License-Identifier: Apache-2.0

// Where an owner stops: its settings, its size, and its end.

package presence_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/heartbeat/presence"
)

func TestSettingsThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	expire := newMorgue().expire
	for field, cfg := range map[string]presence.Config{
		"Expire":    {},
		"Tick":      {Expire: expire, Tick: time.Millisecond},
		"Interval":  {Expire: expire, Interval: time.Millisecond},
		"Grace":     {Expire: expire, Grace: -1},
		"Stall":     {Expire: expire, Stall: -1},
		"SaveEvery": {Expire: expire, SaveEvery: 1},
		"HoldShare": {Expire: expire, HoldShare: 1.5},
		"HoldMin":   {Expire: expire, HoldMin: -1},
		"HoldFor":   {Expire: expire, HoldFor: time.Second},
		"Batch":     {Expire: expire, Batch: presence.MaxBatch + 1},
		"Limit":     {Expire: expire, Limit: -1},
	} {
		if _, err := presence.Open(cfg); !isInvalid(err, field, "") {
			t.Errorf("%s: got %v, want it refused", field, err)
		}
	}
	send := func(context.Context, []presence.Beat) error { return nil }
	for field, cfg := range map[string]presence.BatcherConfig{
		"Send":    {},
		"Every":   {Send: send, Every: time.Hour},
		"Timeout": {Send: send, Timeout: -1},
		"Batch":   {Send: send, Batch: -1},
		"Limit":   {Send: send, Limit: -1},
	} {
		if _, err := presence.OpenBatcher(cfg); !isInvalid(err, field, "") {
			t.Errorf("%s of a batcher: got %v, want it refused", field, err)
		}
	}
}

func TestFullOwnerTakesNobodyNew(t *testing.T) {
	t.Parallel()
	o, err := presence.Open(presence.Config{Expire: newMorgue().expire, Limit: 3})
	if err != nil {
		t.Fatal(err)
	}
	track(t, o, time.Minute, numbered(1), numbered(2), numbered(3))
	if err := o.Track(numbered(4), time.Minute); !errors.Is(err, presence.ErrFull) {
		t.Errorf("a fourth session was answered %v", err)
	}
	track(t, o, time.Hour, numbered(2)) // known already
	o.Forget(numbered(1))
	track(t, o, time.Minute, numbered(4))
	if got := o.Stats(); got.Tracked != 3 || got.Refused != 1 {
		t.Errorf("got %+v, want 3 tracked and 1 refused", got)
	}
	for _, idle := range []time.Duration{0, -1, presence.MaxIdle + 1} {
		if err := o.Track(numbered(2), idle); !isInvalid(err, "idle", "give more than 0") {
			t.Errorf("an idle limit of %v was answered %v", idle, err)
		}
	}
}

func TestStoppedOwnerTakesNoBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, err := presence.Open(presence.Config{Expire: newMorgue().expire})
		if err != nil {
			t.Fatal(err)
		}
		track(t, o, time.Minute, numbered(1))
		beat(t, o, numbered(1)) // before Run, too
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := o.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if err := o.Beats(t.Context(), []presence.Beat{{ID: numbered(1)}}); !errors.Is(err, presence.ErrStopped) {
			t.Errorf("a beat after the end was answered %v", err)
		}
		if err := o.Run(t.Context()); err == nil {
			t.Error("Run may be called twice")
		}
	})
}

func TestManyGoroutinesShareAnOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMorgue()
		o := run(t, presence.Config{Expire: m.expire, Grace: 1, HoldMin: 1 << 20}, nil)
		const each = 500
		var group sync.WaitGroup
		for g := range 8 {
			group.Go(func() {
				for i := range each {
					id := numbered(g*each + i)
					track(t, o, 20*time.Second, id)
					beat(t, o, id, numbered(i))
					if i%5 == 0 {
						o.Forget(id)
					}
					if i%50 == 0 {
						time.Sleep(time.Second)
					}
				}
			})
		}
		group.Wait()
		time.Sleep(time.Minute)
		if got := o.Stats(); got.Tracked != 0 || got.Expired != 8*each*4/5 {
			t.Errorf("got %+v, want %d expired and nobody left", got, 8*each*4/5)
		}
	})
}
