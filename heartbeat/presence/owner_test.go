// SPDX-License-Identifier: Apache-2.0

// What an owner does over time, in bubbles where time costs nothing.

package presence_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/heartbeat/presence"
)

// numbered returns an id that holds a number.
func numbered(n int) presence.ID {
	return presence.ID{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n), 1}
}

// morgue remembers who expired and when.
type morgue struct {
	sync.Mutex
	began time.Time
	after map[presence.ID]time.Duration
	fail  error
	calls int
}

func newMorgue() *morgue {
	return &morgue{began: time.Now(), after: map[presence.ID]time.Duration{}}
}

func (m *morgue) expire(_ context.Context, sessions []presence.Expired) error {
	m.Lock()
	defer m.Unlock()
	m.calls++
	if m.fail != nil {
		return m.fail
	}
	for _, s := range sessions {
		m.after[s.ID] = time.Since(m.began)
	}
	return nil
}

func (m *morgue) refuse(err error) {
	m.Lock()
	defer m.Unlock()
	m.fail = err
}

func (m *morgue) len() int {
	m.Lock()
	defer m.Unlock()
	return len(m.after)
}

// at returns when a session expired, 0 if it did not.
func (m *morgue) at(id presence.ID) time.Duration {
	m.Lock()
	defer m.Unlock()
	return m.after[id]
}

func (m *morgue) all() map[presence.ID]time.Duration {
	m.Lock()
	defer m.Unlock()
	return maps.Clone(m.after)
}

// run opens an owner in a bubble and runs it until the test ends. Fill tracks what lived before.
func run(t *testing.T, cfg presence.Config, fill func(*presence.Owner)) *presence.Owner {
	t.Helper()
	o, err := presence.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if fill != nil {
		fill(o)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- o.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
	synctest.Wait()
	return o
}

func track(t *testing.T, o *presence.Owner, idle time.Duration, ids ...presence.ID) {
	t.Helper()
	for _, id := range ids {
		if err := o.Track(id, idle); err != nil {
			t.Fatal(err)
		}
	}
}

func beat(t *testing.T, o *presence.Owner, ids ...presence.ID) {
	t.Helper()
	beats := make([]presence.Beat, len(ids))
	for i, id := range ids {
		beats[i].ID = id
	}
	if err := o.Beats(t.Context(), beats); err != nil {
		t.Fatal(err)
	}
}

func TestSilentSessionExpiresWithinOneTickOfItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMorgue()
		o := run(t, presence.Config{Expire: m.expire, Grace: 1}, nil)
		time.Sleep(10*time.Second + 700*time.Millisecond)
		began := time.Since(m.began)
		for i, idle := range []time.Duration{1, 5, 89, 90, 1000, 1800, 5000, 43200} {
			track(t, o, idle*time.Second, numbered(i))
		}
		time.Sleep(13 * time.Hour)
		for i, idle := range []time.Duration{1, 5, 89, 90, 1000, 1800, 5000, 43200} {
			got := m.at(numbered(i)) - began
			if limit := idle * time.Second; got < limit || got > limit+time.Second {
				t.Errorf("a session with a limit of %v expired after %v", limit, got)
			}
		}
		if got := o.Stats(); got.Tracked != 0 || got.Expired != 8 {
			t.Errorf("got %+v, want all expired and forgotten", got)
		}
	})
}

func TestBeatsKeepASessionAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMorgue()
		o := run(t, presence.Config{Expire: m.expire}, nil)
		track(t, o, 90*time.Second, numbered(1), numbered(2))
		for range 100 {
			time.Sleep(30 * time.Second)
			beat(t, o, numbered(1), numbered(7))
		}
		if got := o.Stats(); got.Tracked != 1 || got.Expired != 1 || got.Unknown != 100 || got.Beats != 200 {
			t.Fatalf("got %+v, want the silent one expired and the unknown one counted", got)
		}
		time.Sleep(92 * time.Second)
		if m.len() != 2 {
			t.Error("the session lives on after its last beat")
		}
	})
}

func TestAgeOfABeatCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMorgue()
		o := run(t, presence.Config{Expire: m.expire, Grace: 1}, nil)
		track(t, o, 60*time.Second, numbered(1), numbered(2))
		time.Sleep(50 * time.Second)
		for id, age := range map[presence.ID]time.Duration{numbered(1): 20 * time.Second, numbered(2): time.Hour} {
			if err := o.Beats(t.Context(), []presence.Beat{{ID: id, Age: age}}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(5 * time.Minute)
		if got := m.at(numbered(1)); got < 90*time.Second || got > 91*time.Second {
			t.Errorf("a session last heard at 30s, with a limit of 60s, expired at %v", got)
		}
		if got := m.at(numbered(2)); got < 60*time.Second || got > 61*time.Second {
			t.Errorf("a beat from before the session was tracked moved its end to %v", got)
		}
	})
}

func TestForgottenSessionDoesNotExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMorgue()
		o := run(t, presence.Config{Expire: m.expire, Grace: 1}, nil)
		track(t, o, 10*time.Second, numbered(1), numbered(2))
		o.Forget(numbered(1))
		o.Forget(numbered(1))
		time.Sleep(time.Minute)
		if m.at(numbered(1)) != 0 || m.len() != 1 || o.Stats().Tracked != 0 {
			t.Errorf("expired %v, stats %+v; want only the session that was not forgotten", m.all(), o.Stats())
		}
	})
}

func TestFailedExpiryIsTriedAgainAndLosesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMorgue()
		m.refuse(errors.New("the journal is away"))
		o := run(t, presence.Config{Expire: m.expire, Grace: 1, Batch: 8}, nil)
		for i := range 50 {
			track(t, o, 10*time.Second, numbered(i))
		}
		time.Sleep(time.Minute)
		if got := o.Stats(); got.Tracked != 50 || got.Failures == 0 || got.Expired != 0 {
			t.Fatalf("got %+v, want 50 that wait", got)
		}
		beat(t, o, numbered(3)) // was it not gone after all
		m.refuse(nil)
		time.Sleep(8 * time.Second)
		beat(t, o, numbered(3))
		time.Sleep(time.Minute)
		if got := m.len(); got != 50 {
			t.Errorf("%d sessions expired, want 50", got)
		}
		if first, other := m.at(numbered(3)), m.at(numbered(4)); first < other {
			t.Errorf("the session that was heard again expired at %v, the silent one at %v", first, other)
		}
	})
}

func TestOneSessionThatCannotExpireKeepsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMorgue()
		poisoned := func(ctx context.Context, sessions []presence.Expired) error {
			if slices.ContainsFunc(sessions, func(s presence.Expired) bool { return s.ID == numbered(7) }) {
				return errors.New("damaged stream")
			}
			return m.expire(ctx, sessions)
		}
		o := run(t, presence.Config{Expire: poisoned, Grace: 1, Batch: 64}, nil)
		for i := range 90 {
			track(t, o, 10*time.Second, numbered(i))
		}
		time.Sleep(15 * time.Minute)
		if got := m.len(); got != 89 || o.Stats().Tracked != 1 {
			t.Errorf("%d sessions expired and %d are left, want 89 and 1", got, o.Stats().Tracked)
		}
	})
}

func TestRestartGivesEverybodyTheWholeLimitAtLeast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMorgue()
		const n, limit = 1000, 30 * time.Minute
		o := run(t, presence.Config{Expire: m.expire}, func(o *presence.Owner) {
			for i := range n {
				track(t, o, limit, numbered(i))
			}
		})
		time.Sleep(time.Hour)
		if got := o.Stats(); got.Expired != n || got.Held {
			t.Fatalf("got %+v, want all expired without a hold: those who left before must not fall due at once", got)
		}
		for id, after := range m.all() {
			if after < limit || after > limit+limit/4+time.Second {
				t.Fatalf("session %v expired %v after the restart, want from %v to a quarter more", id, after, limit)
			}
		}
	})
}

func TestRestartsDoNotKeepASilentSessionForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMorgue()
		var saved bytes.Buffer
		cfg := presence.Config{Expire: m.expire, Save: func(_ context.Context, w io.WriterTo) error {
			saved.Reset()
			_, err := w.WriteTo(&saved)
			return err
		}}
		for restarts := 0; m.len() == 0; restarts++ {
			if restarts == 10 {
				t.Fatal("ten owners of ten minutes did not end a session with a limit of 30 minutes")
			}
			o, err := presence.Open(cfg)
			if err != nil {
				t.Fatal(err)
			}
			track(t, o, 30*time.Minute, numbered(1))
			if saved.Len() > 0 {
				if _, err := o.ReadFrom(&saved); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			if err := o.Run(ctx); err != nil {
				t.Fatal(err)
			}
			cancel()
			time.Sleep(8 * time.Hour) // nobody runs, and nobody could beat
		}
		if got := m.at(numbered(1)) % (8 * time.Hour); got > 38*time.Minute {
			t.Errorf("the session expired after %v of owners that ran", got)
		}
	})
}

func TestLateTickFreezesExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMorgue()
		var stall atomic.Int64
		cfg := presence.Config{Expire: m.expire, Grace: 1, Interval: 30 * time.Second, HoldMin: 10}
		cfg.Held = func(presence.Hold) { time.Sleep(time.Duration(stall.Load())) } // Run calls it, so this stops the ticks
		o := run(t, cfg, nil)
		for i := range 40 {
			track(t, o, 20*time.Second, numbered(i))
		}
		track(t, o, 35*time.Second, numbered(99))
		stall.Store(int64(time.Minute))
		time.Sleep(82 * time.Second) // the hold at 21s stopped the owner until 81s
		if got := o.Stats(); !got.Frozen || got.Stalls != 1 || got.Expired != 0 {
			t.Fatalf("got %+v, want frozen after a late tick", got)
		}
		stall.Store(0)
		o.Release()
		time.Sleep(80 * time.Second)
		beat(t, o, numbered(99))
		if got := o.Stats(); got.Expired != 0 {
			t.Fatalf("%d sessions expired within the freeze", got.Expired)
		}
		time.Sleep(12 * time.Second)
		if got := o.Stats(); got.Expired != 40 || got.Tracked != 1 {
			t.Errorf("got %+v, want those expired who were silent all the while, and the one that was heard kept", got)
		}
	})
}
