// SPDX-License-Identifier: Apache-2.0

// What a start is foretold is what it is answered with.

package session_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"example.com/vidimus/heartbeat"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/passport"
	"example.com/vidimus/session"
)

func TestAStartIsForetoldWhatItIsAnsweredWith(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	large := `"` + long(session.MaxState) + `"`
	proved := func(st *session.Start) { st.Proved = time.Now().Add(-time.Minute) }
	for name, tt := range map[string]struct {
		alter func(*session.Start)
		fails bool
	}{
		"as it should be":     {func(*session.Start) {}, false},
		"proved after":        {func(st *session.Start) { st.Proved = time.Now().Add(time.Minute) }, false},
		"undeclared":          {func(st *session.Start) { st.State = state("permit", `"ny"`) }, true},
		"undeclared, subject": {func(st *session.Start) { st.SubjectState = state("tab", `1`) }, true},
		"of another type":     {func(st *session.Start) { st.SubjectState = state("limit", `"abc"`) }, true},
		"null":                {func(st *session.Start) { st.SubjectState = state("extra", `null`) }, true},
		"too large":           {func(st *session.Start) { st.SubjectState = state("extra", large) }, true},
		"no subject":          {func(st *session.Start) { st.Subject = "" }, true},
		"a long subject":      {func(st *session.Start) { st.Subject = long(5000) }, true},
		"a subject of two":    {func(st *session.Start) { st.Subject = "a\nb" }, true},
		"a long tenant":       {func(st *session.Start) { st.Tenant = long(5000) }, true},
		"one too many":        {func(st *session.Start) { st.Subject = "bob" }, true},
		"revoked since":       {proved, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open(t, mem.Open(), func(c *session.Config) { c.Concurrent = 1 })
			revoked := session.Target{Scope: heartbeat.Subject, Tenant: "acme", Subject: "ada"}
			if _, err := h.Revoke(ctx, revoked, "", ""); err != nil {
				t.Fatal(err)
			}
			if _, err := h.Start(ctx, session.Start{Tenant: "acme", Subject: "bob"}); err != nil {
				t.Fatal(err)
			}
			st := session.Start{ID: journal.NewID(), Tenant: "acme", Subject: "ada", SubjectState: state("limit", "5")}
			tt.alter(&st)
			before := h.end(t)
			foretold, got := h.Foretell(ctx, st)
			if at := h.end(t); at != before || foretold.ID != "" {
				t.Errorf("it wrote from %d to %d, and told of session %q", before, at, foretold.ID)
			}
			_, want := h.Start(ctx, st)
			// Start says what it was about to do.
			if (want != nil) != tt.fails || fmt.Sprint(want) != fmt.Sprint(got) &&
				fmt.Sprint(want) != fmt.Sprint("start a session: ", got) {
				t.Errorf("foretold %v, answered %v", got, want)
			}
		})
	}
}

func (h *house) end(t *testing.T) journal.Position {
	t.Helper()
	head, err := h.log.Head(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return head.Position
}

func TestARepeatedStartIsForetoldItsSessionAsItIsNow(t *testing.T) {
	t.Parallel()
	ctx, h := context.Background(), open(t, mem.Open(), nil)
	st := session.Start{ID: journal.NewID(), Tenant: "acme", Subject: "ada"}
	begun, err := h.Start(ctx, st)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := h.Foretell(ctx, st); err != nil || got.ID != begun.ID || got.Ended != nil || got.Generation != 1 {
		t.Errorf("got %+v, %v; want the session that lives", got, err)
	}
	if _, err := h.End(ctx, begun.ID, session.Ended{}); err != nil {
		t.Fatal(err)
	}
	if got, err := h.Foretell(ctx, st); err != nil || got.ID != begun.ID || got.Ended == nil {
		t.Errorf("got %+v, %v; want the session that has ended", got, err)
	}
	st.ID = journal.NewID()
	if got, err := h.Foretell(ctx, st); err != nil || got.ID != "" {
		t.Errorf("another start: got %+v, %v; want none", got, err)
	}
}

func TestAChangeIsAnsweredWithItsPlaceInTheLog(t *testing.T) {
	t.Parallel()
	ctx, h := context.Background(), open(t, mem.Open(), nil)
	if of, err := h.Subject(ctx, "acme", "ada"); err != nil || of.Mark != (passport.Mark{}) {
		t.Errorf("what is not there stands at %v, %v", of.Mark, err)
	}
	st := h.start(t)
	for name, change := range map[string]func() (passport.Mark, error){
		"subject": func() (passport.Mark, error) {
			s, err := h.ChangeSubject(ctx, "acme", "ada", session.Change{Expect: journal.Any, Set: state("limit", "5")})
			return s.Mark, errors.Join(err, atPosition(s.Mark, s.Position))
		},
		"session": func() (passport.Mark, error) {
			s, err := h.Change(ctx, st.ID, session.Change{Expect: journal.Any, Set: state("tab", "5")})
			return s.Mark, errors.Join(err, atPosition(s.Mark, s.Position))
		},
	} {
		before := h.mint(t, st.Handle).Claims
		at, err := change()
		after := h.mint(t, st.Handle).Claims
		if err != nil || before.Mark.Reaches(at) || !after.Mark.Reaches(at) {
			t.Errorf("%s: changed at %v, %v; minted at %v before it and %v after it", name, at, err, before.Mark, after.Mark)
		}
	}
}

func atPosition(m passport.Mark, at journal.Position) error {
	if m.Log == "" || m.Position != int64(at) {
		return fmt.Errorf("%v is not position %d", m, at)
	}
	return nil
}
