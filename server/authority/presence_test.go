// SPDX-License-Identifier: Apache-2.0

// Presence: beats keep sessions alive, silence ends them, and one node of a cell keeps it.

package authority_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"example.com/vidimus/heartbeat/presence"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/server/authority"
	"example.com/vidimus/session"
)

// quick is presence that notices silence soon.
func quick(c *authority.Config) {
	c.Presence = presence.Config{Tick: 100 * time.Millisecond, Interval: 100 * time.Millisecond, Grace: time.Millisecond}
}

// keeps waits until the node keeps presence and tracks so many sessions.
func (o *office) keeps(t *testing.T, sessions int) {
	t.Helper()
	for {
		if stats, ok := o.Attendance(); ok && stats.Tracked == sessions {
			return
		}
		if err := clock.Sleep(t.Context(), time.Millisecond); err != nil {
			t.Fatalf("it does not keep presence of %d sessions: %+v", sessions, err)
		}
	}
}

// ended waits until a session has ended, and returns how.
func (o *office) ended(t *testing.T, id string) *session.Ended {
	t.Helper()
	for frame, err := range o.log.Follow(t.Context(), journal.FollowOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		for range frame.Events {
			if s, err := o.sessions.Get(t.Context(), id); err != nil {
				t.Fatal(err)
			} else if s.Ended != nil {
				return s.Ended
			}
		}
	}
	return nil
}

func (o *office) beat(t *testing.T, bearer string, ids ...string) said {
	t.Helper()
	var beats []presence.Beat
	for _, text := range ids {
		id, err := presence.ParseID(text)
		if err != nil {
			t.Fatal(err)
		}
		beats = append(beats, presence.Beat{ID: id})
	}
	batch, err := presence.AppendBatch(nil, beats)
	if err != nil {
		t.Fatal(err)
	}
	return o.do(t, ask{
		path: "/v1/beats", bearer: bearer, body: bytes.NewReader(batch),
		header: map[string]string{"Content-Type": presence.ContentType},
	})
}

func TestSilenceEndsASession(t *testing.T) {
	t.Parallel()
	o := start(t, options{edit: quick})
	bearer := o.token(t, "feed")
	o.keeps(t, 0)
	begin := func(subject string) session.Started {
		s, err := o.sessions.Start(t.Context(), session.Start{
			ID: journal.NewID(), Tenant: "acme", Subject: subject, Idle: 2 * time.Second,
		})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	silent, heard := begin("u-1"), begin("u-2")
	o.keeps(t, 2)
	ctx, cancel := context.WithCancel(t.Context())
	beating := make(chan struct{})
	go func() {
		defer close(beating)
		for clock.Sleep(ctx, 100*time.Millisecond) == nil {
			if got := o.beat(t, bearer, heard.ID); got.status != http.StatusNoContent {
				t.Errorf("a beat is answered %d %s", got.status, got.text)
			}
		}
	}()
	over := o.ended(t, silent.ID)
	cancel()
	<-beating
	if over.Why != session.Idle {
		t.Errorf("the silent session ended as %+v, want idle", over)
	}
	if s, err := o.sessions.Get(t.Context(), heard.ID); err != nil || s.Ended != nil {
		t.Errorf("the one that was heard is %+v, %v, want alive", s.Ended, err)
	}
	if _, err := o.sessions.End(t.Context(), heard.ID, session.Ended{Why: session.LoggedOut}); err != nil {
		t.Fatal(err)
	}
	o.keeps(t, 0) // a session that ends is not watched any more
}

func TestOneNodeKeepsPresenceAndTheOthersSayWhich(t *testing.T) {
	t.Parallel()
	log := mem.Open()
	first := start(t, options{log: log, node: "n1", edit: quick})
	first.keeps(t, 0)
	second := start(t, options{log: log, node: "n2", edit: quick})
	s := first.signIn(t, "acme", "u-42")
	first.keeps(t, 1)
	bearer := first.token(t, "feed")
	got := second.beat(t, bearer, s.ID)
	if got.status != http.StatusTemporaryRedirect || got.header.Get("Location") != first.url+"/v1/beats" {
		t.Errorf("the other node answers %d %v %s, want the address of the first", got.status, got.header, got.text)
	}
	before, _ := first.Attendance()
	if got := first.beat(t, bearer, s.ID); got.status != http.StatusNoContent {
		t.Errorf("there the beats are answered %d %s", got.status, got.text)
	}
	if after, _ := first.Attendance(); after.Beats != before.Beats+1 {
		t.Errorf("%d beats arrived at the first node, want 1", after.Beats-before.Beats)
	}
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	second.keeps(t, 1) // from what lives in the journal
	if got := second.beat(t, bearer, s.ID); got.status != http.StatusNoContent {
		t.Errorf("beats at the node that took over are answered %d %s", got.status, got.text)
	}
}

func TestBadBatchesAreRefused(t *testing.T) {
	t.Parallel()
	o := start(t, options{})
	bearer := o.token(t, "feed")
	o.keeps(t, 0)
	send := func(kind string, body []byte) said {
		return o.do(t, ask{
			path: "/v1/beats", bearer: bearer, body: bytes.NewReader(body), header: map[string]string{"Content-Type": kind},
		})
	}
	for _, tt := range []struct {
		name, kind string
		body       []byte
		status     int
	}{
		{"another type", "application/json", []byte("{}"), http.StatusUnsupportedMediaType},
		{"nothing", presence.ContentType, nil, http.StatusBadRequest},
		{"garbage", presence.ContentType, []byte("garbage"), http.StatusBadRequest},
		{"cut short", presence.ContentType, []byte{1, 2, 3}, http.StatusBadRequest},
		{"too large", presence.ContentType, make([]byte, presence.MaxBatchBytes+1), http.StatusRequestEntityTooLarge},
	} {
		got := send(tt.kind, tt.body)
		if got.status != tt.status || got.body["message"] == nil {
			t.Errorf("%s: %d %s, want %d and a message", tt.name, got.status, got.text, tt.status)
		}
	}
}

func TestNobodyKeepsPresenceBeforeTheNodeRuns(t *testing.T) {
	t.Parallel()
	o := start(t, options{})
	a, err := authority.Open(authority.Config{
		Cell: o.cell, Sessions: o.sessions, Keys: o.keys, Issuer: issuer, TrustDomain: domain, URL: "http://elsewhere",
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := a.Attendance(); ok {
		t.Error("it keeps presence without having been run")
	}
	if _, ok := a.Release(); ok {
		t.Error("it releases what it does not keep")
	}
}

func TestSilenceOutlivesTheNode(t *testing.T) {
	t.Parallel()
	log := mem.Open()
	first := start(t, options{log: log, node: "n1", edit: quick})
	first.keeps(t, 0)
	s, err := first.sessions.Start(t.Context(), session.Start{
		ID: journal.NewID(), Tenant: "acme", Subject: "u-42", Idle: 4 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	first.keeps(t, 1)
	// Nothing but time makes silence: an interval, and a quarter of the limit, which presence may add at its start.
	if err := clock.Sleep(t.Context(), 1300*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if err := first.stop(); err != nil { // writes down who was silent
		t.Fatal(err)
	}
	r, err := log.Record(t.Context(), "presence", "silent/00")
	if err != nil {
		t.Fatal(err)
	}
	id, err := presence.ParseID(s.ID)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(r.Value, id[:]) {
		t.Errorf("the silence written down is %x, want that of %s", r.Value, s.ID)
	}
	second := start(t, options{log: log, node: "n2", edit: quick})
	second.keeps(t, 1)
}

func TestADeposedNodeEndsNobody(t *testing.T) {
	t.Parallel()
	o := start(t, options{edit: quick})
	o.keeps(t, 0)
	s := o.signIn(t, "acme", "u-42")
	err := o.sessions.Idle(t.Context(), journal.Fence{Lease: "presence", Epoch: 99}, []session.IdleSession{{ID: s.ID}})
	if !errors.Is(err, journal.ErrFenced) {
		t.Errorf("under a foreign epoch: %v, want fenced", err)
	}
	if now, err := o.sessions.Get(t.Context(), s.ID); err != nil || now.Ended != nil {
		t.Errorf("the session is %+v, %v, want alive", now.Ended, err)
	}
	if got := o.do(t, ask{path: "/v1/beats"}); !strings.Contains(got.text, "Bearer") {
		t.Errorf("nobody is answered %s", got.text)
	}
}
