// SPDX-License-Identifier: Apache-2.0

// Sessions with events of a newer release: they are told of, they end, and they keep nobody else.

package session_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/entity"
	"example.com/vidimus/heartbeat"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/journaltest/stores"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/lease"
	"example.com/vidimus/passport"
	"example.com/vidimus/session"
)

// spoil appends an event that only a newer release knows.
func (h *house) spoil(t *testing.T, sid string) {
	t.Helper()
	crowd(t, h.log, session.Stream(sid), "session.of-tomorrow", func(int) string { return `{}` }, 1)
	if _, err := h.Get(context.Background(), sid); !errors.Is(err, entity.ErrHistory) {
		t.Fatalf("the spoilt session is read: %v", err)
	}
}

// ends returns the events that end a session, oldest first.
func (h *house) ends(t *testing.T, sid string) (all []string) {
	t.Helper()
	for e, err := range h.History(context.Background(), sid) {
		must(t, err)
		for _, c := range session.Changes(&journal.Event{
			EventData: journal.EventData{Type: e.Type}, Stream: session.Stream(sid), Position: e.Position,
		}) {
			if c.Effect == heartbeat.Revoked {
				all = append(all, e.Type+" "+string(e.Detail))
			}
		}
	}
	return all
}

// live returns the ids of the sessions that live, as a watcher of presence finds them.
func (h *house) live(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for live, err := range h.Live(context.Background()) {
		must(t, err)
		all[live.ID] = true
	}
	return all
}

func TestIdleSessionsEndBesideOneThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, openLog := range stores.All() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := context.Background()
			h := open(t, openLog(t), nil)
			leases := lease.NewTable(h.log)
			owner, err := leases.Start(ctx, lease.Session{Owner: "n"})
			must(t, err)
			epoch, err := leases.Acquire(ctx, lease.Claim{Name: "presence", Session: owner.ID})
			must(t, err)
			var idle []session.IdleSession
			for live, err := range h.fill(t, 5) {
				must(t, err)
				idle = append(idle, session.IdleSession{ID: live.ID, Since: time.Now()})
			}
			bad := idle[2].ID
			h.spoil(t, bad)
			for range 2 {
				err := h.Idle(ctx, journal.Fence{Lease: "presence", Epoch: epoch}, idle)
				if !errors.Is(err, entity.ErrHistory) {
					t.Errorf("the batch: %v, want ErrHistory", err)
				}
			}
			if left := h.live(t); len(left) != 1 || !left[bad] {
				t.Errorf("%v live, want %s alone", left, bad)
			}
			if got := h.ends(t, bad); got != nil {
				t.Errorf("what could not be read ended by %q", got)
			}
		})
	}
}

func TestWhatCannotBeReadIsListed(t *testing.T) {
	t.Parallel()
	ctx, h := context.Background(), open(t, mem.Open(), nil)
	phone := session.Start{Tenant: "acme", Subject: "ada", Device: session.Device{Name: "phone"}, State: state("tab", "1")}
	bad, err := h.Start(ctx, phone)
	must(t, err)
	good := h.start(t)
	h.spoil(t, bad.ID)
	list, err := h.List(ctx, "acme", "ada")
	if err != nil || len(list) != 2 || list[0].ID != bad.ID || list[1].ID != good.ID || list[1].Version != 1 {
		t.Fatalf("listed are %+v, %v", list, err)
	}
	if got := &list[0]; got.Version != 0 || got.State != nil || got.Scopes != nil || got.Tenant != "acme" ||
		got.Subject != "ada" || got.Device.Name != "phone" || !got.Started.Equal(bad.Started) || got.Idle != bad.Idle ||
		!got.Expires.Equal(bad.Expires) || got.Ended != nil {
		t.Errorf("it is listed as %+v, want what cannot have changed of %+v", got, bad)
	}
	tenant, subject, err := h.Whose(ctx, bad.ID)
	if err != nil || tenant != "acme" || subject != "ada" {
		t.Errorf("it is of %q at %q, %v", subject, tenant, err)
	}
	strange := "ssssssssssssssssssssss"
	if _, _, err := h.Whose(ctx, strange); !errors.Is(err, passport.ErrNoSession) {
		t.Errorf("nobody's session: %v, want ErrNoSession", err)
	}
	h.spoil(t, strange)
	if _, _, err := h.Whose(ctx, strange); !errors.Is(err, entity.ErrHistory) {
		t.Errorf("a session that a newer release began: %v, want ErrHistory", err)
	}
	target := session.Target{Scope: heartbeat.Subject, Tenant: "acme", Subject: "ada"}
	_, err = h.Revoke(ctx, target, "ops", "")
	must(t, err)
	if list, err := h.List(ctx, "acme", "ada"); err != nil || len(list) != 0 {
		t.Errorf("after the revocation of the subject %+v are listed, %v", list, err)
	}
	if left, ended := h.live(t), h.ends(t, bad.ID); len(left) != 0 || len(ended) != 1 {
		t.Errorf("after it %v have their places, and the end is %q", left, ended)
	}
}

func TestWhatCannotBeReadEndsOnce(t *testing.T) {
	t.Parallel()
	for name, openLog := range stores.All() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := context.Background()
			h := open(t, openLog(t), nil)
			ended, revoked, strange := h.start(t), h.start(t), "ssssssssssssssssssssss"
			for _, sid := range []string{ended.ID, revoked.ID, strange} {
				h.spoil(t, sid)
			}
			over, err := h.End(ctx, ended.ID, session.Ended{By: "ada"})
			if err != nil || over.Ended == nil || over.Ended.By != "ada" || over.Version != 3 || over.Mark.Position == 0 {
				t.Errorf("the end: %+v, %v", over, err)
			}
			for range 2 {
				at, err := h.Revoke(ctx, session.Target{Scope: heartbeat.Session, Key: revoked.ID}, "ops", "stolen")
				if err != nil || at == 0 {
					t.Errorf("the revocation: %d, %v", at, err)
				}
				again, err := h.End(ctx, ended.ID, session.Ended{By: "bob"})
				if err != nil || again.Ended == nil || again.Ended.By != "ada" || again.Version != 3 {
					t.Errorf("the end again: %+v, %v", again, err)
				}
			}
			if _, err := h.End(ctx, strange, session.Ended{}); err != nil {
				t.Errorf("the end of what a newer release began: %v", err)
			}
			for _, sid := range []string{ended.ID, revoked.ID, strange} {
				if got := h.ends(t, sid); len(got) != 1 {
					t.Errorf("%s ended by %q, want once", sid, got)
				}
			}
			if left := h.live(t); len(left) != 0 {
				t.Errorf("%v have their places", left)
			}
			signedOut := 0
			for e, err := range h.SubjectHistory(ctx, "acme", "ada") {
				must(t, err)
				if e.Type == "subject.signed-out" {
					signedOut++
				}
			}
			if signedOut != 2 {
				t.Errorf("%d sessions are noted as over, want 2", signedOut)
			}
		})
	}
}

func TestWhatCannotBeReadGetsTooOld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(context.Background())
		h := open(t, mem.Open(), func(c *session.Config) { c.Absolute = time.Minute })
		st := h.start(t)
		h.spoil(t, st.ID)
		done := make(chan error)
		go func() { done <- h.cell.Run(ctx, h.Sessions) }()
		time.Sleep(2 * time.Minute)
		if got := h.ends(t, st.ID); len(got) != 1 || !strings.HasPrefix(got[0], "session.expired") {
			t.Errorf("it ended by %q", got)
		}
		stop()
		must(t, <-done)
		if next, err := h.cell.Timers().Next(context.Background()); !errors.Is(err, journal.ErrNotFound) {
			t.Errorf("a timer is left: %+v, %v", next, err)
		}
	})
}

func TestALoweredLimitLocksNobodyOut(t *testing.T) {
	t.Parallel()
	for _, unread := range []int{0, 30, 100} {
		t.Run(fmt.Sprint(unread, " unread"), func(t *testing.T) {
			t.Parallel()
			const many, few = 100, 5
			ctx, log := context.Background(), mem.Open()
			h := open(t, log, func(c *session.Config) { c.Concurrent = many })
			begun := make([]session.Started, many)
			for i := range begun {
				if begun[i] = h.start(t); i < unread {
					h.spoil(t, begun[i].ID)
				}
			}
			low := open(t, log, func(c *session.Config) { c.Concurrent, c.Evict = few, true })
			start := session.Start{Tenant: "acme", Subject: "ada"}
			if _, err := low.Foretell(ctx, start); err != nil || len(h.live(t)) != many {
				t.Errorf("a start is foretold %v", err)
			}
			st, err := low.Start(ctx, start)
			if err != nil {
				t.Fatalf("a start: %v", err)
			}
			left := h.live(t)
			for _, kept := range append(begun[many-few+1:], st) {
				if !left[kept.ID] {
					t.Errorf("session %s is gone, want the oldest to go", kept.ID)
				}
			}
			if len(left) != few {
				t.Errorf("%d live, want %d", len(left), few)
			}
			for _, gone := range begun[:many-few+1] {
				if got := h.ends(t, gone.ID); len(got) != 1 {
					t.Errorf("%s ended by %q, want once", gone.ID, got)
				}
			}
			refusing := open(t, log, func(c *session.Config) { c.Concurrent = 1 })
			if _, err := refusing.Start(ctx, start); !errors.Is(err, session.ErrTooMany) {
				t.Errorf("without Evict: %v, want ErrTooMany", err)
			}
		})
	}
}
