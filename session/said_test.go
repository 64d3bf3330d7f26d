// SPDX-License-Identifier: Apache-2.0

// An id stands for one command: another one under it is refused, and changes nothing.

package session_test

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"example.com/vidimus/entity"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/session"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAnIDUnderAnotherCommandIsRefused(t *testing.T) {
	t.Parallel()
	ctx, h := context.Background(), open(t, mem.Open(), nil)
	begin := session.Start{ID: journal.NewID(), Tenant: "acme", Subject: "ada"}
	st, err := h.Start(ctx, begin)
	must(t, err)
	change := session.Change{ID: journal.NewID(), Expect: journal.Any, Set: state("tab", "1")}
	_, err = h.Change(ctx, st.ID, change)
	must(t, err)
	up := session.StepUp{ID: journal.NewID(), Expect: journal.Any, ACR: "2", Scopes: []string{"pay"}}
	_, err = h.StepUp(ctx, st.ID, up)
	must(t, err)
	limit := session.Change{ID: journal.NewID(), Expect: journal.Any, Set: state("limit", "1"), Via: st.ID}
	_, err = h.ChangeSubject(ctx, "acme", "ada", limit)
	must(t, err)
	was, err := h.Get(ctx, st.ID)
	must(t, err)
	changing := func(alter func(*session.Change)) func() error {
		return func() error {
			c := change
			alter(&c)
			_, err := h.Change(ctx, st.ID, c)
			return err
		}
	}
	stepping := func(alter func(*session.StepUp)) func() error {
		return func() error {
			u := up
			alter(&u)
			_, err := h.StepUp(ctx, st.ID, u)
			return err
		}
	}
	starting := func(alter func(*session.Start)) func() error {
		return func() error {
			s := begin
			alter(&s)
			told, refused := h.Foretell(ctx, s)
			if told.ID != "" || !errors.Is(refused, journal.ErrIDReused) {
				t.Errorf("it is foretold session %q and %v", told.ID, refused)
			}
			_, err := h.Start(ctx, s)
			return err
		}
	}
	for name, do := range map[string]func() error{
		"another value":   changing(func(c *session.Change) { c.Set = state("tab", "2") }),
		"removed instead": changing(func(c *session.Change) { c.Set, c.Unset = nil, []string{"tab"} }),
		"of the start":    changing(func(c *session.Change) { c.ID = begin.ID }),
		"of a change":     stepping(func(u *session.StepUp) { u.ID = change.ID }),
		"more scopes":     stepping(func(u *session.StepUp) { u.Scopes = []string{"pay", "admin"} }),
		"another time":    stepping(func(u *session.StepUp) { u.AuthTime = time.Unix(1, 0) }),
		"other scopes":    starting(func(s *session.Start) { s.Scopes = []string{"read"} }),
		"another state":   starting(func(s *session.Start) { s.State = state("tab", "9") }),
		"for another session": func() error {
			c := limit
			c.Via = ""
			_, err := h.ChangeSubject(ctx, "acme", "ada", c)
			return err
		},
	} {
		if err := do(); !errors.Is(err, journal.ErrIDReused) {
			t.Errorf("%s: %v, want ErrIDReused", name, err)
		}
		if now, err := h.Get(ctx, st.ID); err != nil || !reflect.DeepEqual(now, was) {
			t.Errorf("%s: the session became %+v, %v", name, now, err)
		}
	}
}

// TestARepeatedCommandMayDifferInWhatItDoesNotSay repeats commands as those do who lost the answer, also later and
// somewhere else.
func TestARepeatedCommandMayDifferInWhatItDoesNotSay(t *testing.T) {
	t.Parallel()
	ctx, log := context.Background(), mem.Open()
	h := open(t, log, nil)
	other := open(t, log, func(c *session.Config) { c.Scopes, c.Idle = []string{"read"}, time.Hour })
	begin := session.Start{ID: journal.NewID(), Tenant: "acme", Subject: "ada", State: state("cart", `{"a":1,"b":2}`)}
	st, err := h.Start(ctx, begin)
	if err != nil {
		t.Fatal(err)
	}
	begin.State, begin.Device = state("cart", ` {"b": 2, "a": 1}`), session.Device{Name: "another one"}
	if again, err := other.Start(ctx, begin); err != nil || again.Handle != st.Handle || again.Version != 1 {
		t.Errorf("the start repeated: %+v, %v", again, err)
	}
	change := session.Change{ID: journal.NewID(), Expect: 1, Set: state("tab", "1"), By: "ada"}
	if _, err := h.Change(ctx, st.ID, change); err != nil {
		t.Fatal(err)
	}
	change.Expect, change.By = 2, "bob"
	if again, err := other.Change(ctx, st.ID, change); err != nil || again.Version != 2 {
		t.Errorf("the change repeated: %+v, %v", again, err)
	}
	up := session.StepUp{ID: journal.NewID(), Expect: 2, ACR: "2"}
	first, err := h.StepUp(ctx, st.ID, up)
	if err != nil {
		t.Fatal(err)
	}
	up.Expect = 3
	if again, err := other.StepUp(ctx, st.ID, up); err != nil || !reflect.DeepEqual(again, first) {
		t.Errorf("the step-up repeated: %+v, %v; first it was %+v", again, err, first)
	}
	// What was proved is known by its proof, and may be read again with another state.
	proof := session.Start{
		ID: journal.NewID(), Tenant: "acme", Subject: "ada", Proved: time.Now().Add(-time.Hour), State: state("tab", "1"),
	}
	took, err := h.Start(ctx, proof)
	if err != nil {
		t.Fatal(err)
	}
	proof.State, proof.AuthTime, proof.Proved = state("tab", "2"), time.Unix(7, 0), time.Now()
	if again, err := h.Start(ctx, proof); err != nil || again.Handle != took.Handle || string(again.State["tab"]) != "1" {
		t.Errorf("the proof again: %+v, %v", again, err)
	}
}

func TestAnotherStartIsNoticedForEver(t *testing.T) {
	t.Parallel()
	ctx, h := context.Background(), open(t, mem.Open(), nil)
	start := session.Start{ID: journal.NewID(), Tenant: "acme", Subject: "ada"}
	first, err := h.Start(ctx, start)
	if err != nil {
		t.Fatal(err)
	}
	crowd(t, h.log, session.Stream(first.ID), "session.changed", func(int) string { return `{"set":{"tab":1}}` },
		journal.Window+entity.MaxEvents)
	start.ACR = "high"
	if got, err := h.Start(ctx, start); !errors.Is(err, journal.ErrIDReused) || got.ID != "" {
		t.Errorf("another start: %+v, %v, want ErrIDReused", got, err)
	}
}
