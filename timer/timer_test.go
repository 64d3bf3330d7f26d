// SPDX-License-Identifier: Apache-2.0

// What timers promise, on a simulated clock.

package timer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/timer"
)

// write commits records.
func write(t *testing.T, log *journal.Log, records ...journal.RecordWrite) {
	t.Helper()
	if _, err := log.Commit(t.Context(), journal.Unit{Records: records}); err != nil {
		t.Fatal(err)
	}
}

// firing is what a handler saw.
type firing struct {
	key  string
	late time.Duration
}

// recorder keeps what fired.
type recorder struct {
	mu    sync.Mutex
	fired []firing
}

func (r *recorder) fire(_ context.Context, f timer.Fired) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fired = append(r.fired, firing{f.Key, clock.Since(f.Due)})
	return nil
}

func (r *recorder) keys() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, f := range r.fired {
		out = append(out, f.key)
	}
	return out
}

// run runs timers until the returned function is called.
func run(
	t *testing.T, log *journal.Log, cfg timer.Config, fire func(context.Context, timer.Fired) error,
) (timers *timer.Timers, stop func()) {
	t.Helper()
	timers, err := timer.Open(log, cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- timers.Run(ctx, fire) }()
	return timers, func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

func pass(t *testing.T, d time.Duration) {
	t.Helper()
	if err := clock.Sleep(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

func TestTimersFireThenAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := mem.Open()
		now := clock.Now()
		var r recorder
		timers, stop := run(t, log, timer.Config{Poll: time.Minute}, r.fire)
		for i := 9; i >= 0; i-- {
			write(t, log, timer.Set(fmt.Sprintf("flow/order-1#%d", i), now.Add(time.Duration(10+i)*time.Minute), nil))
		}
		write(t, log, timer.Set("month", now.Add(30*24*time.Hour), []byte("payload")))
		next, err := timers.Next(t.Context())
		if err != nil || next.Key != "flow/order-1#0" {
			t.Errorf("next is %+v, %v", next, err)
		}
		pass(t, 31*24*time.Hour)
		stop()
		var want []string
		for i := range 10 {
			want = append(want, fmt.Sprintf("flow/order-1#%d", i))
		}
		if got := r.keys(); !slices.Equal(got, append(want, "month")) {
			t.Errorf("fired %v", got)
		}
		for _, f := range r.fired {
			if f.late < 0 || f.late > time.Millisecond {
				t.Errorf("%s fired %v late", f.key, f.late)
			}
		}
		if _, err := timers.Next(t.Context()); !errors.Is(err, journal.ErrNotFound) {
			t.Errorf("something is left: %v", err)
		}
	})
}

func TestATimerSetForThisMomentIsLateByOnePollAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := mem.Open()
		var r recorder
		_, stop := run(t, log, timer.Config{}, r.fire)
		for i := range 50 {
			write(t, log, timer.Set(fmt.Sprint(i), clock.Now().Add(time.Duration(i)*17*time.Millisecond), nil))
			pass(t, 333*time.Millisecond)
		}
		pass(t, time.Second)
		stop()
		if len(r.fired) != 50 {
			t.Errorf("%d fired, want 50", len(r.fired))
		}
		for _, f := range r.fired {
			if f.late < 0 || f.late > 500*time.Millisecond {
				t.Errorf("%s fired %v late", f.key, f.late)
			}
		}
	})
}

func TestWhatFellDueWhileNobodyRanFiresAtOnceTheEarliestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := mem.Open()
		now := clock.Now()
		const lanes, each = 40, 60
		for i := range lanes * each {
			key := fmt.Sprintf("flow/order-%d#%d", i%lanes, i)
			write(t, log, timer.Set(key, now.Add(time.Duration(lanes*each-i)*time.Second), nil))
		}
		write(t, log, timer.Set("zero", time.Time{}, nil))
		pass(t, 24*time.Hour)
		began := clock.Now()
		var r recorder
		_, stop := run(t, log, timer.Config{}, r.fire)
		pass(t, 5*time.Second)
		stop()
		if len(r.fired) != lanes*each+1 {
			t.Errorf("%d fired in %v, want %d", len(r.fired), clock.Since(began), lanes*each+1)
		}
		last := map[string]time.Duration{}
		for _, f := range r.fired {
			route := timer.Route(f.key)
			if before, ok := last[route]; ok && f.late > before {
				t.Fatalf("%s fired after a later one", f.key)
			}
			last[route] = f.late
		}
	})
}

func TestACancelledTimerDoesNotFire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := mem.Open()
		var r recorder
		timers, stop := run(t, log, timer.Config{}, r.fire)
		write(t, log, timer.Set("a", clock.Now().Add(time.Hour), nil))
		write(t, log, timer.Set("b", clock.Now().Add(300*time.Millisecond), nil))
		pass(t, 100*time.Millisecond)
		write(t, log, timer.Cancel("a"), timer.Cancel("b"), timer.Cancel("never set"))
		if _, err := timers.Get(t.Context(), "a"); !errors.Is(err, journal.ErrNotFound) {
			t.Errorf("got %v, want not found", err)
		}
		pass(t, 2*time.Hour)
		stop()
		if len(r.fired) != 0 {
			t.Errorf("fired %v", r.keys())
		}
		left, err := log.Records(t.Context(), journal.RecordQuery{Kind: timer.Kind})
		if err != nil || len(left) != 0 {
			t.Errorf("%d records are left, %v", len(left), err)
		}
	})
}

func TestATimerChangedWhileItFiresIsNotLost(t *testing.T) {
	again := func(due time.Time) journal.RecordWrite { return timer.Set("k", due, []byte("second")) }
	for name, change := range map[string][]func(due time.Time) journal.RecordWrite{
		"moved": {again}, "cancelled and set": {cancelled, again}, "cancelled": {cancelled},
	} {
		for _, own := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, completed by the handler %t", name, own), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					log := mem.Open()
					var payloads []string
					_, stop := run(t, log, timer.Config{}, func(ctx context.Context, f timer.Fired) error {
						payloads = append(payloads, string(f.Payload))
						if len(payloads) > 1 {
							return nil
						}
						for _, c := range change {
							write(t, log, c(clock.Now().Add(time.Minute)))
							pass(t, time.Second) // others look meanwhile
						}
						if !own {
							return nil
						}
						_, err := log.Commit(ctx, f.Complete(journal.Unit{}))
						if !errors.Is(err, journal.ErrConflict) {
							t.Errorf("completed a timer that was changed: %v", err)
						}
						return err
					})
					write(t, log, timer.Set("k", clock.Now(), []byte("first")))
					pass(t, 10*time.Minute)
					stop()
					want := []string{"first", "second"}
					if name == "cancelled" {
						want = want[:1]
					}
					if !slices.Equal(payloads, want) {
						t.Errorf("fired %q, want %q", payloads, want)
					}
				})
			})
		}
	}
}

func TestATimerMovedWhileItWaitsBehindAnotherFiresThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := mem.Open()
		now := clock.Now()
		var second []time.Duration
		_, stop := run(t, log, timer.Config{}, func(_ context.Context, f timer.Fired) error {
			if f.Key == "k#1" {
				write(t, log, timer.Set("k#2", now.Add(time.Hour), nil))
				return nil
			}
			second = append(second, clock.Since(now))
			return nil
		})
		write(t, log, timer.Set("k#1", now, nil), timer.Set("k#2", now, nil))
		pass(t, 2*time.Hour)
		stop()
		if len(second) != 1 || second[0] < time.Hour {
			t.Errorf("fired after %v, want after an hour", second)
		}
	})
}

func cancelled(time.Time) journal.RecordWrite { return timer.Cancel("k") }

func TestAFailedTimerIsTriedAgainLaterAndLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := mem.Open()
		var at []time.Time
		due := clock.Now().Add(time.Second)
		timers, stop := run(t, log, timer.Config{RetryMax: time.Minute}, func(_ context.Context, f timer.Fired) error {
			if at = append(at, clock.Now()); f.Attempts != len(at)-1 || !f.Due.Equal(due) {
				t.Errorf("attempt %d says %d, due %v", len(at), f.Attempts, f.Due)
			}
			if len(at) == 10 {
				return nil
			}
			return errors.New("no paper")
		})
		write(t, log, timer.Set("print", due, nil))
		pass(t, 90*time.Second)
		p, err := timers.Get(t.Context(), "print")
		if err != nil || p.Problem != "no paper" || p.Attempts < 5 || !p.Next.After(p.Due) {
			t.Errorf("got %+v, %v", p, err)
		}
		pass(t, time.Hour)
		stop()
		if len(at) != 10 {
			t.Fatalf("tried %d times, want 10", len(at))
		}
		for i := 1; i < len(at); i++ {
			pause, most := at[i].Sub(at[i-1]), min(time.Second<<(i-1), time.Minute)
			if pause < most/2 || pause > most+time.Second {
				t.Errorf("pause %d is %v, want %v to %v", i, pause, most/2, most)
			}
		}
	})
}

func TestAHandlerHasLimitedTimeAndOthersDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := mem.Open()
		var busy, most, hung int
		var mu sync.Mutex
		cfg := timer.Config{Timeout: time.Minute, Concurrency: 4}
		_, stop := run(t, log, cfg, func(ctx context.Context, f timer.Fired) error {
			mu.Lock()
			busy++
			most = max(most, busy)
			mu.Unlock()
			defer func() { mu.Lock(); busy--; mu.Unlock() }()
			if f.Key == "hangs" {
				hung++
				<-ctx.Done()
				return ctx.Err()
			}
			return clock.Sleep(ctx, time.Second)
		})
		write(t, log, timer.Set("hangs", clock.Now(), nil))
		for i := range 60 {
			write(t, log, timer.Set(fmt.Sprint("k", i), clock.Now(), nil))
		}
		pass(t, 30*time.Second)
		left, err := log.Records(t.Context(), journal.RecordQuery{Kind: timer.Kind})
		if err != nil || len(left) != 1 {
			t.Errorf("%d timers are left, want the one that hangs, %v", len(left), err)
		}
		pass(t, time.Minute)
		stop()
		if most != 4 {
			t.Errorf("%d fired at once, want 4", most)
		}
		if hung < 2 {
			t.Error("the handler that hung was not tried again")
		}
	})
}

func TestOnlyTheOwnerFiresAndOnlyWhileItOwns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := mem.Open()
		write(t, log, journal.RecordWrite{Kind: journal.KindLease, Key: "mine"})
		mine := newRight("mine", 1)
		cfg := timer.Config{Owner: func(key string) (timer.Lease, bool) { return mine, strings.HasPrefix(key, "mine") }}
		reached, goOn := make(chan struct{}), make(chan struct{})
		var results []error
		var r recorder
		_, stop := run(t, log, cfg, func(ctx context.Context, f timer.Fired) error {
			_ = r.fire(ctx, f)
			if f.Key != "mine/late" {
				return nil
			}
			close(reached)
			<-goOn // the process is paused, and loses the lease
			_, err := log.Commit(context.WithoutCancel(ctx), f.Complete(journal.Unit{}))
			results = append(results, err)
			return err
		})
		for i := range 1500 { // many that are others', and due before
			write(t, log, timer.Set(fmt.Sprint("others/", i), clock.Now(), nil))
		}
		write(t, log, timer.Set("mine/1", clock.Now(), nil), timer.Set("mine/late", clock.Now().Add(time.Minute), nil))
		<-reached
		write(t, log, journal.RecordWrite{Kind: journal.KindLease, Key: "mine", Expect: journal.Exists})
		mine.end()
		write(t, log, timer.Set("mine/late", clock.Now().Add(time.Hour), nil), timer.Set("mine/2", clock.Now(), nil))
		close(goOn)
		pass(t, time.Minute)
		stop()
		if got := r.keys(); !slices.Equal(got, []string{"mine/1", "mine/late"}) {
			t.Errorf("fired %v", got)
		}
		if len(results) != 1 || !errors.Is(results[0], journal.ErrFenced) {
			t.Errorf("completed under a lost lease: %v", results)
		}
	})
}

// right is a lease for tests.
type right struct {
	ctx   context.Context
	end   context.CancelFunc
	fence journal.Fence
}

func newRight(name string, epoch journal.Epoch) *right {
	r := &right{fence: journal.Fence{Lease: name, Epoch: epoch}}
	r.ctx, r.end = context.WithCancel(context.Background())
	return r
}

func (r *right) Context() context.Context { return r.ctx }

func (r *right) Fence() journal.Fence { return r.fence }
