// SPDX-License-Identifier: Apache-2.0

// The steps that a server does for clients elsewhere.

package lease_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/lease"
)

func session(t *testing.T, table *lease.Table, owner string) lease.Session {
	t.Helper()
	s, err := table.Start(t.Context(), lease.Session{Owner: owner, Node: "host", Group: "remote", TTL: ttl})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestClientsElsewhereTakeTurns(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	table := lease.NewTable(mem.Open())
	a, b := session(t, table, "a"), session(t, table, "b")
	claimA := lease.Claim{Name: "printer", Session: a.ID}
	claimB := lease.Claim{Name: "printer", Session: b.ID, Wait: true}
	for range 2 { // a repeated claim is the same claim
		if epoch, err := table.Acquire(ctx, claimA); epoch != 1 || err != nil {
			t.Fatalf("got %d, %v", epoch, err)
		}
	}
	for range 2 {
		var held *lease.HeldError
		if _, err := table.Acquire(ctx, claimB); !errors.As(err, &held) || held.Place != 1 || held.Holder.Session != a.ID {
			t.Fatalf("got %v", err)
		}
	}
	list, err := table.List(ctx, "print", "", 0)
	if err != nil || len(list) != 1 || list[0].Holder.Owner != "a" ||
		len(list[0].Waiting) != 1 || list[0].Waiting[0].Owner != "b" {
		t.Fatalf("got %+v, %v", list, err)
	}
	if err := errors.Join(table.Release(ctx, claimA), table.Release(ctx, claimA)); err != nil {
		t.Fatal(err)
	}
	var held *lease.HeldError
	if _, err := table.Acquire(ctx, claimA); !errors.As(err, &held) || held.Holder.Session != "" {
		t.Fatalf("got %v, want that the next in the queue comes first", err)
	}
	if epoch, err := table.Acquire(ctx, claimB); epoch != 3 || err != nil {
		t.Fatalf("got %d, %v", epoch, err)
	}
	if err := table.End(ctx, b.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := table.Renew(ctx, b.ID); !errors.Is(err, lease.ErrLost) {
		t.Fatalf("got %v, want lost", err)
	}
	if _, err := table.Acquire(ctx, claimB); !errors.Is(err, lease.ErrLost) {
		t.Fatalf("got %v, want lost", err)
	}
	if epoch, err := table.Acquire(ctx, claimA); epoch != 4 || err != nil {
		t.Fatalf("got %d, %v", epoch, err)
	}
}

func TestASilentClientLosesItsLeasesAndItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		table := lease.NewTable(mem.Open())
		silent, waiting, last := session(t, table, "silent"), session(t, table, "waiting"), session(t, table, "last")
		for _, name := range []string{"x", "y"} {
			if _, err := table.Acquire(ctx, lease.Claim{Name: name, Session: silent.ID}); err != nil {
				t.Fatal(err)
			}
		}
		claim := func(s lease.Session) (journal.Epoch, error) {
			return table.Acquire(ctx, lease.Claim{Name: "x", Session: s.ID, Wait: true})
		}
		_, errWaiting := claim(waiting)
		_, errLast := claim(last)
		if !errors.Is(errWaiting, lease.ErrHeld) || !errors.Is(errLast, lease.ErrHeld) {
			t.Fatalf("got %v and %v", errWaiting, errLast)
		}
		var epoch journal.Epoch
		var err error
		began := 0
		for ; epoch == 0 && began < 100; began++ { // waiting is silent as well, and last repeats its claim
			pass(t, time.Second)
			if _, err := table.Renew(ctx, last.ID); err != nil {
				t.Fatal(err)
			}
			if epoch, err = claim(last); err != nil && !errors.Is(err, lease.ErrHeld) {
				t.Fatal(err)
			}
		}
		if epoch != 2 || err != nil || began > 11 {
			t.Fatalf("got epoch %d after %d s, %v", epoch, began, err)
		}
		info, err := table.Look(ctx, "y")
		if err != nil || info.Holder.Session != "" || info.Epoch != 1 {
			t.Fatalf("the silent client still has y: %+v, %v", info, err)
		}
	})
}

func TestAFreeLeaseDoesNotWaitForeverForWhoDoesNotCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		table := lease.NewTable(mem.Open())
		a, idle, b := session(t, table, "a"), session(t, table, "idle"), session(t, table, "b")
		if _, err := table.Acquire(ctx, lease.Claim{Name: "x", Session: a.ID}); err != nil {
			t.Fatal(err)
		}
		for _, s := range []lease.Session{idle, b} {
			if _, err := table.Acquire(ctx, lease.Claim{Name: "x", Session: s.ID, Wait: true}); !errors.Is(err, lease.ErrHeld) {
				t.Fatal(err)
			}
		}
		if err := table.Release(ctx, lease.Claim{Name: "x", Session: a.ID}); err != nil {
			t.Fatal(err)
		}
		seconds := 0
		for {
			if _, err := table.Acquire(ctx, lease.Claim{Name: "x", Session: b.ID, Wait: true}); err == nil {
				break
			}
			pass(t, time.Second)
			for _, s := range []lease.Session{idle, b} {
				if _, err := table.Renew(ctx, s.ID); err != nil {
					t.Fatal(err)
				}
			}
			if seconds++; seconds > 100 {
				t.Fatal("the lease stays free forever")
			}
		}
		if seconds < 9 || seconds > 11 {
			t.Errorf("the idle first lost its place after %d s, want its TTL", seconds)
		}
	})
}

func TestAQueueIsBounded(t *testing.T) {
	t.Parallel()
	table := lease.NewTable(mem.Open())
	s := session(t, table, "s")
	claim := func(i int) error {
		c := lease.Claim{Name: "x", Session: s.ID, Ticket: fmt.Sprint(i), Wait: true}
		_, err := table.Acquire(t.Context(), c)
		return err
	}
	if err := claim(0); err != nil {
		t.Fatal(err)
	}
	for i := range lease.MaxWaiting {
		if err := claim(i + 1); !errors.Is(err, lease.ErrHeld) {
			t.Fatalf("waiter %d: %v", i, err)
		}
	}
	if err := claim(1000); !errors.Is(err, journal.ErrOverloaded) {
		t.Fatalf("got %v, want overloaded", err)
	}
}

func TestBadFieldsAreNamed(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	log := mem.Open()
	table := lease.NewTable(log)
	s := session(t, table, "s")
	for field, do := range map[string]func() error{
		"owner": func() error { _, err := table.Start(ctx, lease.Session{}); return err },
		"node": func() error {
			_, err := table.Start(ctx, lease.Session{Owner: "a", Node: strings.Repeat("x", 300)})
			return err
		},
		"group": func() error { _, err := table.Start(ctx, lease.Session{Owner: "a", Group: "a/b"}); return err },
		"ttl":   func() error { _, err := lease.Open(ctx, log, lease.Config{TTL: time.Millisecond}); return err },
		"poll":  func() error { _, err := lease.Open(ctx, log, lease.Config{Poll: -1}); return err },
		"by":    func() error { _, err := table.ForceRelease(ctx, "x", ""); return err },
		"name": func() error {
			_, err := table.Acquire(ctx, lease.Claim{Session: s.ID})
			return err
		},
	} {
		var invalid *journal.InvalidError
		if err := do(); !errors.As(err, &invalid) || invalid.Field != field {
			t.Errorf("got %v, want invalid %s", err, field)
		}
	}
	if _, err := table.ForceRelease(ctx, "never", "me"); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("got %v, want not found", err)
	}
}

// What is stored is read by later releases: it must not change.
func TestTheStoredFormStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		log := mem.Open()
		table := lease.NewTable(log)
		a := session(t, table, "a")
		for _, ticket := range []string{"1", "2"} {
			_, _ = table.Acquire(ctx, lease.Claim{Name: "x", Session: a.ID, Ticket: ticket, Wait: true})
		}
		for kind, want := range map[string]string{
			journal.KindLease: `{"owner":"a","node":"host","session":"ID","ticket":"1","since":"2000-01-01T00:00:00Z"}`,
			lease.KindQueue:   `{"tickets":[{"owner":"a","node":"host","session":"ID","id":"2"}]}`,
			lease.KindSession: `{"owner":"a","node":"host","ttl_ms":10000,"started":"2000-01-01T00:00:00Z"}`,
		} {
			list, err := log.Records(ctx, journal.RecordQuery{Kind: kind})
			if err != nil || len(list) != 1 {
				t.Fatalf("%s: %d records, %v", kind, len(list), err)
			}
			if got := strings.ReplaceAll(string(list[0].Value), a.ID, "ID"); got != want {
				t.Errorf("%s is stored as\n%s, want\n%s", kind, got, want)
			}
		}
	})
}

func TestAStoppedContextStopsAStep(t *testing.T) {
	t.Parallel()
	table := lease.NewTable(mem.Open())
	s := session(t, table, "s")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := table.Acquire(ctx, lease.Claim{Name: "x", Session: s.ID}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
}

func TestAHandoverStaysInTheGroup(t *testing.T) {
	t.Parallel()
	table := lease.NewTable(mem.Open())
	begin := func(owner, group string) lease.Session {
		s, err := table.Start(t.Context(), lease.Session{Owner: owner, Group: group})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	a, b := begin("a", "node"), begin("b", "node")
	begin("b", "elsewhere") // later, by the same name
	claim := lease.Claim{Name: "ledger", Session: a.ID}
	if _, err := table.Acquire(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	if err := table.Handover(t.Context(), claim, "b"); err != nil {
		t.Fatal(err)
	}
	if info, err := table.Look(t.Context(), "ledger"); err != nil || info.Holder.Session != b.ID {
		t.Fatalf("held by %+v, %v, want session %s", info.Holder, err, b.ID)
	}
	claim.Session = b.ID
	claim.Ticket = strings.Repeat("x", journal.MaxName+1)
	if _, err := table.Acquire(t.Context(), claim); !errors.Is(err, journal.ErrInvalid) {
		t.Fatalf("a long ticket: %v, want invalid", err)
	}
}
