// SPDX-License-Identifier: Apache-2.0

// What a keeper promises, on a simulated clock.

package lease_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/lease"
)

const ttl = 10 * time.Second

func TestALeaseIsHeldByOneUntilItIsReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := mem.Open()
		a, b := start(t, log, "a"), start(t, log, "b")
		l := a.acquire(t, "printer")
		if l.Epoch() != 1 || l.Name() != "printer" || l.Err() != nil {
			t.Fatalf("got epoch %d of %s, %v", l.Epoch(), l.Name(), l.Err())
		}
		var held *lease.HeldError
		if _, err := b.TryAcquire(t.Context(), "printer"); !errors.As(err, &held) || held.Holder.Owner != "a" {
			t.Fatalf("got %v, want held by a", err)
		}
		if _, err := a.TryAcquire(t.Context(), "printer"); !errors.Is(err, lease.ErrHeld) {
			t.Fatalf("got %v, want held: a keeper does not hold a lease twice", err)
		}
		pass(t, 10*ttl)
		if l.Err() != nil {
			t.Fatalf("lost while renewed: %v", l.Err())
		}
		if err := errors.Join(l.Release(t.Context()), l.Release(t.Context())); err != nil {
			t.Fatal(err)
		}
		cause := context.Cause(l.Context())
		if !errors.Is(cause, lease.ErrReleased) || !errors.Is(l.Err(), lease.ErrReleased) {
			t.Fatalf("context ended by %v", cause)
		}
		if err := a.write(t.Context(), l); !errors.Is(err, journal.ErrFenced) {
			t.Fatalf("wrote under a released lease: %v", err)
		}
		if l := b.acquire(t, "printer"); l.Epoch() != 3 {
			t.Fatalf("got epoch %d, want 3", l.Epoch())
		}
		a.end(t)
		b.end(t)
	})
}

func TestWaitersGetTheLeaseInTheOrderTheyCame(t *testing.T) {
	for name, keepers := range map[string]int{"each with its keeper": 5, "all with one keeper": 1, "with two keepers": 2} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := mem.Open()
				first := start(t, log, "first")
				l := first.acquire(t, "seat")
				var nodes []*node
				for i := range keepers {
					nodes = append(nodes, start(t, log, fmt.Sprint("k", i)))
				}
				var mu sync.Mutex
				var order []int
				var all sync.WaitGroup
				for i := range 5 {
					all.Go(func() {
						mine := nodes[i%keepers].acquire(t, "seat")
						mu.Lock()
						order = append(order, i)
						mu.Unlock()
						pass(t, time.Second)
						if err := mine.Release(t.Context()); err != nil {
							t.Error(err)
						}
					})
					pass(t, time.Second)
				}
				began := clock.Now()
				if err := l.Release(t.Context()); err != nil {
					t.Fatal(err)
				}
				all.Wait()
				if !slices.Equal(order, []int{0, 1, 2, 3, 4}) {
					t.Errorf("served in the order %v", order)
				}
				if took := clock.Since(began) - 5*time.Second; took > 5*100*time.Millisecond {
					t.Errorf("five handovers took %v, want 100 ms each at most", took)
				}
				for _, n := range append(nodes, first) {
					n.end(t)
				}
			})
		})
	}
}

func TestASilentOwnerIsReplacedAfterTheTTLAndFenced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := mem.Open()
		a, b := start(t, log, "a"), start(t, log, "b")
		old := a.acquire(t, "ledger")
		if err := a.write(t.Context(), old); err != nil {
			t.Fatal(err)
		}
		waited := make(chan *lease.Lease)
		go func() { waited <- b.acquire(t, "ledger") }()
		pass(t, 3*ttl+time.Second)
		killed := clock.Now()
		a.kill()
		if old.Err() == nil {
			t.Error("the lease outlives its keeper")
		}
		l := <-waited
		if took := clock.Since(killed); took < ttl/2 || took > ttl+time.Second {
			t.Errorf("taken over %v after the kill, want at most %v", took, ttl+time.Second)
		}
		if l.Epoch() != 2 {
			t.Errorf("got epoch %d, want 2", l.Epoch())
		}
		a.way.cut(false)
		if err := a.write(t.Context(), old); !errors.Is(err, journal.ErrFenced) {
			t.Errorf("the old owner wrote: %v", err)
		}
		b.end(t)
	})
}

func TestARenewedLeaseStaysWhateverTheWallClocksSay(t *testing.T) {
	for _, skew := range []time.Duration{-time.Hour, -ttl, ttl, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			log := mem.Open()
			a, b := start(t, log, "a"), start(t, log, "b")
			a.way.setSkew(skew) // a's renewals look an hour old, or from the future
			l := a.acquire(t, "ledger")
			ctx, cancel := context.WithTimeout(t.Context(), 20*ttl)
			defer cancel()
			if _, err := b.Acquire(ctx, "ledger"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("skew %v: got %v, want no takeover", skew, err)
			}
			if l.Err() != nil {
				t.Errorf("skew %v: lost: %v", skew, l.Err())
			}
			if info, err := a.Table().Look(t.Context(), "ledger"); err != nil || len(info.Waiting) != 0 {
				t.Errorf("a waiter that gave up is still in the queue: %+v, %v", info, err)
			}
			a.end(t)
			b.end(t)
		})
	}
}

func TestTheContextEndsBeforeAnybodyElseGetsTheLease(t *testing.T) {
	for name, fail := range map[string]func(*way){
		"the journal is unavailable": func(w *way) { w.cut(true) },
		"the journal does not answer": func(w *way) {
			resume := w.hang()
			context.AfterFunc(deadline(3*ttl), resume)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := mem.Open()
				a, b := start(t, log, "a"), start(t, log, "b")
				l := a.acquire(t, "ledger")
				waited := make(chan *lease.Lease)
				go func() { waited <- b.acquire(t, "ledger") }()
				pass(t, ttl)
				began := clock.Now()
				fail(a.way)
				<-l.Context().Done()
				if took := clock.Since(began); took > ttl-ttl/10 || took < ttl/3 {
					t.Errorf("context ended after %v, want before the TTL", took)
				}
				if cause := context.Cause(l.Context()); !errors.Is(cause, lease.ErrLost) {
					t.Errorf("cause %v, want lost", cause)
				}
				select {
				case <-waited:
					t.Error("taken over before the context ended")
				default:
				}
				next := <-waited
				pass(t, 3*ttl)
				a.way.cut(false)
				pass(t, ttl)
				if _, err := a.TryAcquire(t.Context(), "ledger"); !errors.Is(err, lease.ErrHeld) {
					t.Errorf("got %v, want held", err)
				}
				if err := next.Release(t.Context()); err != nil {
					t.Error(err)
				}
				a.acquire(t, "ledger") // the keeper has a new session
				a.end(t)
				b.end(t)
			})
		})
	}
}

// deadline returns a context that ends after d, inside a bubble.
func deadline(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	context.AfterFunc(ctx, cancel)
	return ctx
}

func TestAHandoverGoesToTheSuccessorInOneStep(t *testing.T) {
	for name, waits := range map[string]bool{"who waits behind another": true, "who does not wait": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := mem.Open()
				a, b, c := start(t, log, "a"), start(t, log, "b"), start(t, log, "c")
				l := a.acquire(t, "ledger")
				other := make(chan *lease.Lease, 1)
				go func() { other <- b.acquire(t, "ledger") }()
				pass(t, time.Second)
				got := make(chan *lease.Lease, 1)
				if waits {
					go func() { got <- c.acquire(t, "ledger") }()
					pass(t, time.Second)
				}
				began := clock.Now()
				if err := l.Handover(t.Context(), "c"); err != nil {
					t.Fatal(err)
				}
				if !waits {
					go func() { got <- c.acquire(t, "ledger") }()
				}
				next := <-got
				if took := clock.Since(began); next.Epoch() != l.Epoch()+1 || took > 100*time.Millisecond {
					t.Errorf("got epoch %d after %v", next.Epoch(), took)
				}
				if err := c.write(t.Context(), next); err != nil {
					t.Error(err)
				}
				if err := next.Release(t.Context()); err != nil {
					t.Error(err)
				}
				<-other
				if err := next.Handover(t.Context(), "a"); !errors.Is(err, lease.ErrLost) {
					t.Errorf("handed over what was released: %v", err)
				}
				a.end(t)
				b.end(t)
				c.end(t)
			})
		})
	}
}

func TestAHandoverToNobodyReleases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := mem.Open()
		a := start(t, log, "a")
		l := a.acquire(t, "ledger")
		if err := l.Handover(t.Context(), "nobody"); !errors.Is(err, journal.ErrNotFound) {
			t.Fatalf("got %v, want not found", err)
		}
		if _, err := a.TryAcquire(t.Context(), "ledger"); err != nil {
			t.Fatal(err)
		}
		a.end(t)
	})
}

func TestARestartUnderTheSameNameIsAnotherHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := mem.Open()
		a := start(t, log, "a")
		old := a.acquire(t, "ledger")
		a.kill()
		again := start(t, log, "a")
		if _, err := again.TryAcquire(t.Context(), "ledger"); !errors.Is(err, lease.ErrHeld) {
			t.Fatalf("got %v, want held by the session before", err)
		}
		l := again.acquire(t, "ledger")
		if l.Epoch() != old.Epoch()+1 {
			t.Fatalf("got epoch %d after %d", l.Epoch(), old.Epoch())
		}
		again.end(t)
	})
}

func TestLeavingReleasesEverythingAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := mem.Open()
		a, b := start(t, log, "a"), start(t, log, "b")
		var leases []*lease.Lease
		for i := range 150 {
			leases = append(leases, a.acquire(t, fmt.Sprint("shard/", i)))
		}
		if err := leases[7].Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		before := a.way.commits()
		a.end(t)
		if n := a.way.commits() - before; n > 3 {
			t.Errorf("leaving took %d commits", n)
		}
		for i, l := range leases {
			if err := a.write(t.Context(), l); !errors.Is(err, journal.ErrFenced) {
				t.Fatalf("lease %d: wrote after leaving: %v", i, err)
			}
			if _, err := b.TryAcquire(t.Context(), l.Name()); err != nil {
				t.Fatalf("lease %d: %v", i, err)
			}
		}
		if _, err := a.Acquire(t.Context(), "x"); !errors.Is(err, lease.ErrStopped) {
			t.Errorf("got %v, want stopped", err)
		}
		if err := a.Run(t.Context()); err == nil {
			t.Error("ran twice")
		}
		b.end(t)
	})
}

func TestManyLeasesNeedOneHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := mem.Open()
		a := start(t, log, "a")
		for i := range 64 {
			a.acquire(t, fmt.Sprint("shard/", i))
		}
		before := a.way.commits()
		pass(t, 10*ttl)
		if n := a.way.commits() - before; n < 29 || n > 31 {
			t.Errorf("64 leases cost %d commits in ten TTLs, want 30", n)
		}
		a.end(t)
	})
}

func TestAKeeperOfARestoredJournalStartsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := mem.Open()
		a := start(t, log, "a")
		l := a.acquire(t, "ledger")
		if _, err := log.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-l.Context().Done()
		if cause := context.Cause(l.Context()); !errors.Is(cause, lease.ErrLost) {
			t.Errorf("cause %v, want lost", cause)
		}
		next := a.acquire(t, "ledger")
		if next.Epoch() <= l.Epoch() {
			t.Errorf("got epoch %d after %d", next.Epoch(), l.Epoch())
		}
		a.end(t)
	})
}

func TestAForcedReleaseIsNoticedAndNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := mem.Open()
		a := start(t, log, "a")
		l, kept := a.acquire(t, "ledger"), a.acquire(t, "other")
		table := lease.NewTable(log)
		epoch, err := table.ForceRelease(t.Context(), "ledger", "ops@example.com")
		if err != nil || epoch != 2 {
			t.Fatalf("got %d, %v", epoch, err)
		}
		info, err := table.Look(t.Context(), "ledger")
		if err != nil || info.Forced != "ops@example.com" || info.Holder.Session != "" {
			t.Fatalf("got %+v, %v", info, err)
		}
		if err := a.write(t.Context(), l); !errors.Is(err, journal.ErrFenced) {
			t.Errorf("wrote after a forced release: %v", err)
		}
		began := clock.Now()
		<-l.Context().Done()
		if took := clock.Since(began); took > ttl/3+time.Second || !errors.Is(l.Err(), lease.ErrLost) {
			t.Errorf("noticed after %v: %v", took, l.Err())
		}
		if kept.Err() != nil {
			t.Errorf("another lease was lost, too: %v", kept.Err())
		}
		pass(t, 5*ttl)
		if kept.Err() != nil {
			t.Errorf("another lease was lost later: %v", kept.Err())
		}
		a.end(t)
	})
}

func TestLostAnswersDoNoHarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := mem.Open()
		a := start(t, log, "a")
		a.acquire(t, "warm")
		a.way.loseAnswer()
		l := a.acquire(t, "ledger")
		if l.Epoch() != 1 {
			t.Errorf("acquired twice: epoch %d", l.Epoch())
		}
		for range 5 {
			a.way.loseAnswer()
			pass(t, ttl)
		}
		if l.Err() != nil {
			t.Errorf("lost: %v", l.Err())
		}
		a.way.loseAnswer()
		if err := l.Release(t.Context()); err != nil {
			t.Error(err)
		}
		next := a.acquire(t, "ledger")
		if next.Epoch() != 3 {
			t.Errorf("released twice: epoch %d", next.Epoch())
		}
		a.way.loseAnswer()
		if err := next.Handover(t.Context(), "a"); err != nil {
			t.Errorf("handed over with a lost answer: %v", err)
		}
		a.acquire(t, "ledger")
		a.way.loseAnswer()
		if epoch, err := a.Table().ForceRelease(t.Context(), "ledger", "ops"); epoch != 5 || err != nil {
			t.Errorf("released by force at epoch %d, %v", epoch, err)
		}
		a.end(t)
	})
}

func TestAReleaseThatFailsIsMadeUpFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := mem.Open()
		a, b := start(t, log, "a"), start(t, log, "b")
		l := a.acquire(t, "ledger")
		a.way.cut(true)
		if err := l.Release(t.Context()); !errors.Is(err, journal.ErrUnavailable) {
			t.Fatalf("got %v, want unavailable", err)
		}
		pass(t, time.Second)
		a.way.cut(false)
		began := clock.Now()
		b.acquire(t, "ledger")
		if took := clock.Since(began); took > ttl/2 {
			t.Errorf("free after %v, want with the next renewal", took)
		}
		a.end(t)
		b.end(t)
	})
}

func TestDeadWaitersAreSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := mem.Open()
		a, last := start(t, log, "a"), start(t, log, "last")
		l := a.acquire(t, "ledger")
		for i := range 12 {
			n := start(t, log, fmt.Sprint("dead", i))
			ctx, cancel := context.WithCancel(t.Context())
			go func() { _, _ = n.Acquire(ctx, "ledger") }()
			pass(t, 100*time.Millisecond)
			n.kill()
			cancel()
		}
		got := make(chan *lease.Lease)
		go func() { got <- last.acquire(t, "ledger") }()
		pass(t, 3*ttl)
		began := clock.Now()
		if err := l.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-got
		if took := clock.Since(began); took > 100*time.Millisecond {
			t.Errorf("got the lease after %v", took)
		}
		a.end(t)
		last.end(t)
		if list, err := a.Table().Sessions(t.Context(), "test", "", 0); err == nil && len(list) != 0 {
			t.Errorf("%d sessions are left, want the dead swept away", len(list))
		}
	})
}
