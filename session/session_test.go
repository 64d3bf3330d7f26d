// SPDX-License-Identifier: Apache-2.0

// The life of sessions: starting, changing, stepping up, rotating, ending, on every store.

package session_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/heartbeat"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/journaltest/stores"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/passport"
	"example.com/vidimus/session"
)

func TestACommandOnAnotherVersionIsRefused(t *testing.T) {
	t.Parallel()
	ctx, h := context.Background(), open(t, mem.Open(), nil)
	st := h.start(t)
	for name, do := range map[string]func(journal.Expect) error{
		"change": func(e journal.Expect) error {
			_, err := h.Change(ctx, st.ID, session.Change{Expect: e, Set: state("tab", "1")})
			return err
		},
		"step-up": func(e journal.Expect) error {
			_, err := h.StepUp(ctx, st.ID, session.StepUp{Expect: e, ACR: "2"})
			return err
		},
		"change of the subject": func(e journal.Expect) error {
			_, err := h.ChangeSubject(ctx, "acme", "ada", session.Change{Expect: e, Set: state("limit", "1")})
			return err
		},
	} {
		var conflict *journal.ConflictError
		if err := do(77); !errors.As(err, &conflict) || conflict.Expect != 77 || conflict.Actual > 7 {
			t.Errorf("%s at version 77: %v, want a conflict that says the version", name, err)
		}
		if err := do(journal.Any); err != nil {
			t.Errorf("%s at any version: %v", name, err)
		}
	}
	if _, err := h.End(ctx, st.ID, session.Ended{}); err != nil {
		t.Fatal(err)
	}
	_, err := h.Change(ctx, st.ID, session.Change{Expect: 1, Set: state("tab", "2")})
	if !errors.Is(err, session.ErrEnded) {
		t.Errorf("a session that ended, at another version: %v, want ErrEnded", err)
	}
}

func TestTheLifeOfASession(t *testing.T) {
	t.Parallel()
	for name, openLog := range stores.All() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, h := context.Background(), open(t, openLog(t), nil)
			st, err := h.Start(ctx, session.Start{
				Tenant: "acme", Subject: "ada", Device: session.Device{Name: "Firefox on Linux"}, ACR: "1", AMR: []string{"pwd"},
				State: state("tab", "1"), SubjectState: state("permit", `"NV"`, "limit", "100"),
			})
			if err != nil || st.Version != 1 || st.Generation != 1 || len(st.ID) != 22 || st.Ended != nil {
				t.Fatalf("Start = %+v, %v", st, err)
			}
			g := h.mint(t, st.Handle)
			const want = `{"subject":{"limit":100,"permit":"NV"},"session":{"tab":1}}`
			if c := g.Claims; string(c.State) != want || c.Subject != "ada" || c.Tenant != "acme" || c.Scope != "read buy" ||
				c.Session != st.ID || c.Version != 1 || c.SubjectVersion != 1 || c.ACR != "1" || c.Position < int64(st.Position) ||
				c.ExpiresAt.Sub(c.IssuedAt) != time.Minute || c.Schema != "shop/1" || c.Workload != "edge" || g.Handle != "" {
				t.Errorf("the passport says %+v with %s; handle %q", c, c.State, g.Handle)
			}
			cart := session.Change{Expect: 1, Set: state("cart", `{"A12": 1}`), Unset: []string{"tab"}}
			changed, err := h.Change(ctx, st.ID, cart)
			if err != nil || changed.Version != 2 || string(changed.State["cart"]) != `{"A12":1}` || len(changed.State) != 1 {
				t.Errorf("Change = %+v, %v", changed, err)
			}
			_, err = h.Change(ctx, st.ID, session.Change{Expect: 1, Set: state("tab", "2")})
			var conflict *journal.ConflictError
			if !errors.As(err, &conflict) || conflict.Actual != 2 {
				t.Errorf("a change of version 1: %v, want a conflict that says 2", err)
			}
			move := session.Change{Expect: journal.Any, Set: state("permit", `"CA"`), Via: st.ID}
			sub, err := h.ChangeSubject(ctx, "acme", "ada", move)
			if err != nil || sub.Version != 2 || string(sub.State["permit"]) != `"CA"` {
				t.Errorf("ChangeSubject = %+v, %v", sub, err)
			}
			up, err := h.StepUp(ctx, st.ID, session.StepUp{Expect: 2, ACR: "2", AMR: []string{"otp"}, Scopes: []string{"admin"}})
			if err != nil || up.Generation != 2 || up.ACR != "2" || !reflect.DeepEqual(up.AMR, []string{"pwd", "otp"}) {
				t.Errorf("StepUp = %+v, %v", up, err)
			}
			if g := h.mint(t, up.Handle); g.Handle != "" || g.Claims.Scope != "read buy admin" || g.Claims.ACR != "2" {
				t.Errorf("the new handle's passport says %+v; handle %q", g.Claims, g.Handle)
			}
			h.gainsNothing(t, st.Handle) // which is noted: version 4
			list, err := h.List(ctx, "acme", "ada")
			if err != nil || len(list) != 1 || list[0].Device.Name != "Firefox on Linux" || list[0].Version != 4 {
				t.Errorf("List = %+v, %v", list, err)
			}
			for range 2 { // twice is fine
				end, err := h.End(ctx, st.ID, session.Ended{By: "ada"})
				if err != nil || end.Ended == nil || end.Ended.Why != session.LoggedOut || end.Version != 5 {
					t.Errorf("End = %+v, %v", end, err)
				}
			}
			h.isOver(t, up.ID, up.Handle)
			if list, err := h.List(ctx, "acme", "ada"); err != nil || len(list) != 0 {
				t.Errorf("List after the end = %+v, %v", list, err)
			}
		})
	}
}

// gainsNothing makes sure that a handle which a step-up replaced is worth what it was before, and not for long.
func (h *house) gainsNothing(t testing.TB, handle string) {
	t.Helper()
	g := h.mint(t, handle)
	c := g.Claims
	if g.Handle != "" || c.Scope != "read buy" || c.ACR != "1" || !reflect.DeepEqual(c.AMR, []string{"pwd"}) ||
		c.ExpiresAt.Sub(c.IssuedAt) > 5*time.Second {
		t.Errorf("a handle that a step-up replaced is given %+v; handle %q", c, g.Handle)
	}
	if st, err := h.Resolve(t.Context(), handle); err != nil || st.Handle != handle || st.ACR != "1" {
		t.Errorf("Resolve = %+v, %v", st, err)
	}
	if st, err := h.Rotate(t.Context(), handle); !errors.Is(err, passport.ErrNoSession) {
		t.Errorf("Rotate = %+v, %v", st, err)
	}
	ask := passport.Ask{Handle: handle, Workload: "edge", Scope: "admin"}
	if _, err := h.Mint(t.Context(), ask); !errors.Is(err, passport.ErrScope) {
		t.Errorf("the new scope is given: %v", err)
	}
}

// isOver makes sure that nothing can be done with a session any more.
func (h *house) isOver(t testing.TB, id, handle string) {
	t.Helper()
	ctx := context.Background()
	if _, err := h.Mint(ctx, ask(handle)); !errors.Is(err, passport.ErrNoSession) || !errors.Is(err, session.ErrEnded) {
		t.Errorf("Mint after the end: %v, want ErrNoSession and ErrEnded", err)
	}
	if _, err := h.Resolve(ctx, handle); !errors.Is(err, passport.ErrNoSession) {
		t.Errorf("Resolve after the end: %v", err)
	}
	if _, err := h.Rotate(ctx, handle); !errors.Is(err, passport.ErrNoSession) {
		t.Errorf("Rotate after the end: %v", err)
	}
	for _, set := range []session.State{state("tab", "99"), nil} {
		if _, err := h.Change(ctx, id, session.Change{Expect: journal.Any, Set: set}); !errors.Is(err, session.ErrEnded) {
			t.Errorf("Change by %v after the end: %v", set, err)
		}
	}
	if _, err := h.StepUp(ctx, id, session.StepUp{Expect: journal.Any}); !errors.Is(err, session.ErrEnded) {
		t.Errorf("StepUp after the end: %v", err)
	}
	_, err := h.ChangeSubject(ctx, "acme", "ada", session.Change{Expect: journal.Any, Set: state("limit", "99"), Via: id})
	if !errors.Is(err, session.ErrEnded) {
		t.Errorf("ChangeSubject after the end: %v", err)
	}
	if got, err := h.Get(ctx, id); err != nil || got.Ended == nil {
		t.Errorf("Get after the end: %+v, %v", got, err)
	}
}

func TestRevokingEndsWhatItNames(t *testing.T) {
	t.Parallel()
	for name, openLog := range stores.All() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, h := context.Background(), open(t, openLog(t), nil)
			other, err := h.Start(ctx, session.Start{Tenant: "other", Subject: "bob"})
			if err != nil {
				t.Fatal(err)
			}
			for _, scope := range []heartbeat.Scope{heartbeat.Session, heartbeat.Subject, heartbeat.Tenant, heartbeat.All} {
				st := h.start(t)
				before := h.mint(t, st.Handle).Claims
				target := map[heartbeat.Scope]session.Target{
					heartbeat.Session: {Key: st.ID}, heartbeat.Subject: {Tenant: "acme", Subject: "ada"},
					heartbeat.Tenant: {Key: "acme"},
				}[scope]
				target.Scope = scope
				at, err := h.Revoke(ctx, target, "ops", "stolen laptop")
				if err != nil || int64(at) <= before.Position {
					t.Fatalf("Revoke %s = %d, %v; a passport has %d", scope, at, err, before.Position)
				}
				h.isOver(t, st.ID, st.Handle)
				got, err := h.Get(ctx, st.ID)
				e := got.Ended
				if err != nil || e.Why != session.Revoked || e.By != "ops" || e.Reason != "stolen laptop" {
					t.Errorf("%s: Get = %+v, %v", scope, e, err)
				}
				again := h.start(t)
				if c := h.mint(t, again.Handle).Claims; c.Position < int64(at) {
					t.Errorf("%s: who signs in again gets a passport at %d, below the floor %d", scope, c.Position, at)
				}
				_, err = h.Mint(ctx, ask(other.Handle))
				if hit := scope == heartbeat.All; hit != errors.Is(err, passport.ErrNoSession) {
					t.Errorf("%s: somebody else's session: %v", scope, err)
				}
			}
		})
	}
}

func TestHandlesRotate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, h := context.Background(), open(t, mem.Open(), nil)
		st := h.start(t)
		second, err := h.Rotate(ctx, st.Handle)
		if err != nil || second.Generation != 2 || second.Handle == st.Handle {
			t.Fatalf("Rotate = %+v, %v", second, err)
		}
		again, err := h.Rotate(ctx, st.Handle)
		if err != nil || again.Handle != second.Handle || again.Version != second.Version {
			t.Errorf("the loser of a race gets %+v, %v, want the winner's %q", again, err, second.Handle)
		}
		time.Sleep(session.RotationGrace)
		if got, err := h.Resolve(ctx, st.Handle); err != nil || got.Handle != second.Handle {
			t.Errorf("within the grace: %+v, %v", got, err)
		}
		time.Sleep(time.Second)
		for range 50 {
			if _, err := h.Resolve(ctx, st.Handle); !errors.Is(err, passport.ErrNoSession) || errors.Is(err, session.ErrEnded) {
				t.Errorf("behind the grace: %v, want ErrNoSession", err)
			}
			time.Sleep(10 * time.Second)
		}
		if _, err := h.Resolve(ctx, second.Handle); err != nil {
			t.Errorf("the present handle: %v", err)
		}
		noted := 0
		for e := range h.History(ctx, st.ID) {
			if e.Type == "session.refused" {
				noted++
			}
		}
		if noted != 9 { // one a minute in 500 s
			t.Errorf("%d refusals are noted of 50, want one a minute", noted)
		}
		third, err := h.Rotate(ctx, second.Handle)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = h.Rotate(ctx, third.Handle); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Resolve(ctx, second.Handle); !errors.Is(err, passport.ErrNoSession) {
			t.Errorf("a handle two generations old: %v, want ErrNoSession at once", err)
		}
	})
}

func TestAStartWithTheSameIDIsTheSameSession(t *testing.T) {
	t.Parallel()
	ctx, h := context.Background(), open(t, mem.Open(), nil)
	start := session.Start{ID: journal.NewID(), Tenant: "acme", Subject: "ada", State: state("tab", "1")}
	first, err := h.Start(ctx, start)
	if err != nil {
		t.Fatal(err)
	}
	again, err := h.Start(ctx, start)
	if err != nil || !reflect.DeepEqual(first, again) {
		t.Errorf("again: %+v, %v; first %+v", again, err, first)
	}
	start.Subject = "bob"
	if other, err := h.Start(ctx, start); err != nil || other.ID == first.ID {
		t.Errorf("of another subject: %+v, %v", other, err)
	}
}

func TestNoIDIsTakenForAFlag(t *testing.T) {
	t.Parallel()
	ctx, h := context.Background(), open(t, mem.Open(), nil)
	for i := range 600 { // of those without care, one in 64 begins so
		start := session.Start{Tenant: "acme", Subject: fmt.Sprint("u-", i)}
		if i%2 == 0 {
			start.ID = journal.NewID()
		}
		begun, err := h.Start(ctx, start)
		if err != nil {
			t.Fatal(err)
		}
		if txn := h.mint(t, begun.Handle).Claims.Txn; strings.HasPrefix(begun.ID, "-") || strings.HasPrefix(txn, "-") {
			t.Fatalf("session %s, transaction %s: a shell command would take it for a flag", begun.ID, txn)
		}
	}
}

func TestSessionsGetTooOld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(context.Background())
		h := open(t, mem.Open(), func(c *session.Config) { c.Absolute = 2 * time.Hour })
		done := make(chan error)
		go func() { done <- h.keys.Serve(ctx, h.cell) }()
		st := h.start(t)
		time.Sleep(2*time.Hour - 30*time.Second)
		if c := h.mint(t, st.Handle).Claims; !c.ExpiresAt.Equal(st.Expires.Truncate(time.Second)) {
			t.Errorf("a passport lasts until %v, the session until %v", c.ExpiresAt, st.Expires)
		}
		time.Sleep(30 * time.Second)
		h.isOver(t, st.ID, st.Handle) // before any timer has fired
		go func() { done <- h.cell.Run(ctx, h.Sessions) }()
		time.Sleep(time.Minute)
		var types []string
		for e := range h.History(ctx, st.ID) {
			types = append(types, e.Type)
		}
		if got := strings.Join(types, " "); got != "session.started session.expired" {
			t.Errorf("its history is %s", got)
		}
		stop()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if next, err := h.cell.Timers().Next(context.Background()); !errors.Is(err, journal.ErrNotFound) {
			t.Errorf("a timer is left: %+v, %v", next, err)
		}
	})
}
