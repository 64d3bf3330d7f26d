// SPDX-License-Identifier: Apache-2.0

// Many sessions: no more than there may be, those that go idle, what is listed, and what is told of them.

package session_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/vidimus/heartbeat"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/journaltest/stores"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/lease"
	"example.com/vidimus/passport"
	"example.com/vidimus/session"
)

func TestNoMoreSessionsThanThereMayBe(t *testing.T) {
	t.Parallel()
	for name, openLog := range stores.All() {
		for _, evict := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " evict ", evict), func(t *testing.T) {
				t.Parallel()
				const places, starts = 3, 12
				ctx, log := context.Background(), openLog(t)
				few := func(c *session.Config) { c.Concurrent, c.Evict = places, evict }
				nodes := []*house{open(t, log, few), open(t, log, few)}
				errs := make([]error, starts)
				var done sync.WaitGroup
				for i := range starts {
					done.Go(func() {
						_, errs[i] = nodes[i%2].Start(ctx, session.Start{Tenant: "acme", Subject: "ada"})
					})
				}
				done.Wait()
				list, err := nodes[0].List(ctx, "acme", "ada")
				if err != nil || len(list) != places {
					t.Errorf("%d sessions live, want %d; %v", len(list), places, err)
				}
				refused := 0
				for _, err := range errs {
					if errors.Is(err, session.ErrTooMany) {
						refused++
					} else if err != nil {
						t.Error(err)
					}
				}
				if want := map[bool]int{false: starts - places, true: 0}[evict]; refused != want {
					t.Errorf("%d starts were refused, want %d", refused, want)
				}
				if !evict {
					return
				}
				over := 0
				for e, err := range nodes[0].SubjectHistory(ctx, "acme", "ada") {
					if err != nil {
						t.Error(err)
					}
					if e.Type == "subject.signed-out" {
						over++
					}
				}
				if over != starts-places {
					t.Errorf("%d sessions are noted as over, want %d", over, starts-places)
				}
			})
		}
	}
}

func TestAPlaceIsFreeOnceItsSessionIsOver(t *testing.T) {
	t.Parallel()
	ctx, h := context.Background(), open(t, mem.Open(), func(c *session.Config) { c.Concurrent = 1 })
	for _, over := range []func(session.Started) error{
		func(st session.Started) error { _, err := h.End(ctx, st.ID, session.Ended{}); return err },
		func(session.Started) error {
			_, err := h.Revoke(ctx, session.Target{Scope: heartbeat.Subject, Tenant: "acme", Subject: "ada"}, "", "")
			return err
		},
		func(session.Started) error {
			_, err := h.Revoke(ctx, session.Target{Scope: heartbeat.Tenant, Key: "acme"}, "", "")
			return err
		},
		func(session.Started) error {
			_, err := h.Revoke(ctx, session.Target{Scope: heartbeat.All}, "", "")
			return err
		},
		func(st session.Started) error { return nil },
	} {
		st := h.start(t)
		if _, err := h.Start(ctx, session.Start{Tenant: "acme", Subject: "ada"}); !errors.Is(err, session.ErrTooMany) {
			t.Errorf("a second session: %v, want ErrTooMany", err)
		}
		if err := over(st); err != nil {
			t.Fatal(err)
		}
	}
}

func TestIdleSessionsEndUnderTheLeaseOfWhoWatchesThem(t *testing.T) {
	t.Parallel()
	for name, openLog := range stores.All() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, log := context.Background(), openLog(t)
			h := open(t, log, nil)
			leases := lease.NewTable(log)
			var claims [2]lease.Claim
			var fences [2]journal.Fence
			for i, owner := range []string{"slow", "new"} {
				s, err := leases.Start(ctx, lease.Session{Owner: owner})
				if err != nil {
					t.Fatal(err)
				}
				claims[i] = lease.Claim{Name: "presence", Session: s.ID}
				epoch, err := leases.Acquire(ctx, claims[i])
				if err != nil {
					t.Fatal(err)
				}
				fences[i] = journal.Fence{Lease: "presence", Epoch: epoch}
				if i == 0 {
					if err := leases.Release(ctx, claims[i]); err != nil {
						t.Fatal(err)
					}
				}
			}
			var idle []session.IdleSession
			since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
			for live, err := range h.fill(t, 7) {
				if err != nil || live.Idle != session.DefaultIdle {
					t.Fatal(live, err)
				}
				idle = append(idle, session.IdleSession{ID: live.ID, Since: since})
			}
			if len(idle) != 7 {
				t.Fatalf("%d sessions live, want 7", len(idle))
			}
			if err := h.Idle(ctx, fences[0], idle); !errors.Is(err, journal.ErrFenced) {
				t.Errorf("who was replaced: %v, want ErrFenced", err)
			}
			if _, err := h.End(ctx, idle[0].ID, session.Ended{}); err != nil {
				t.Error(err)
			}
			of, err := h.Change(ctx, idle[1].ID, session.Change{Expect: 1, Set: state("tab", "1")})
			if err != nil || of.Ended != nil {
				t.Errorf("a session that a replaced watcher took for idle: %+v, %v", of, err)
			}
			idle = append(idle, idle[2], session.IdleSession{ID: strings.Repeat("x", 22)}, session.IdleSession{ID: "?"})
			for range 2 { // twice is fine
				if err := h.Idle(ctx, fences[1], idle); err != nil {
					t.Error(err)
				}
			}
			for i, of := range idle[:7] {
				want := map[bool]session.Why{true: session.LoggedOut, false: session.Idle}[i == 0]
				if got, err := h.Get(ctx, of.ID); err != nil || got.Ended == nil || got.Ended.Why != want {
					t.Errorf("session %d: %+v, %v, want %s", i, got.Ended, err, want)
				}
			}
			for live := range h.Live(ctx) {
				t.Errorf("%s still lives", live.ID)
			}
		})
	}
}

// fill begins sessions of several subjects and yields what lives.
func (h *house) fill(t testing.TB, n int) func(func(session.LiveSession, error) bool) {
	t.Helper()
	for i := range n {
		st := session.Start{Tenant: "acme", Subject: fmt.Sprint("guest ", i%3)}
		if _, err := h.Start(context.Background(), st); err != nil {
			t.Fatal(err)
		}
	}
	return h.Live(context.Background())
}

func TestLiveSessionsAreReadInPages(t *testing.T) {
	t.Parallel()
	h := open(t, mem.Open(), func(c *session.Config) { c.Concurrent = session.MaxConcurrent })
	const n = journal.MaxPage + 5
	seen := map[string]bool{}
	for live, err := range h.fill(t, n) {
		if err != nil {
			t.Fatal(err)
		}
		seen[live.ID] = true
	}
	if len(seen) != n {
		t.Errorf("%d live sessions are seen, want %d", len(seen), n)
	}
	for range h.Live(context.Background()) {
		break // and no more is asked for
	}
}

func TestHistoriesTellEverything(t *testing.T) {
	t.Parallel()
	ctx, h := context.Background(), open(t, mem.Open(), nil)
	st, err := h.Start(ctx, session.Start{Tenant: "acme", Subject: "ada", SubjectState: state("limit", "1")})
	if err != nil {
		t.Fatal(err)
	}
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(h.Change(ctx, st.ID, session.Change{Expect: 1, Set: state("tab", "1"), By: "cart"}))
	must(h.StepUp(ctx, st.ID, session.StepUp{Expect: 2, ACR: "2", By: "login"}))
	must(h.ChangeSubject(ctx, "acme", "ada", session.Change{Expect: 1, Set: state("limit", "2"), By: "desk"}))
	must(h.Rotate(ctx, h.keys.Handle("main", st.ID, 2)))
	must(h.Revoke(ctx, session.Target{Scope: heartbeat.Subject, Tenant: "acme", Subject: "ada"}, "ops", "lost phone"))
	tell := func(entries func(func(session.Entry, error) bool)) (told []string, data string) {
		at := journal.Position(0)
		for e, err := range entries {
			if err != nil || e.Position <= at || e.Time.IsZero() {
				t.Errorf("%+v behind %d: %v", e, at, err)
			}
			at = e.Position
			told = append(told, e.Type+" "+e.By)
			data += string(e.Detail)
		}
		return told, data
	}
	told, data := tell(h.History(ctx, st.ID))
	want := []string{
		"session.started ", "session.changed cart", "session.stepped-up login", "session.rotated ", "session.ended ops",
	}
	if !slices.Equal(told, want) || !strings.Contains(data, "lost phone") {
		t.Errorf("the session's history is %q, want %q", told, want)
	}
	told, data = tell(h.SubjectHistory(ctx, "acme", "ada"))
	want = []string{
		"subject.changed ", "subject.signed-in ", "subject.changed desk", "subject.revoked ops", "subject.signed-out ",
	}
	if !slices.Equal(told, want) || strings.Count(data, st.ID) != 2 {
		t.Errorf("the subject's history is %q with %s, want %q", told, data, want)
	}
	for range h.SubjectHistory(ctx, "acme", "ada") {
		break
	}
	for e := range h.History(ctx, "nobody") {
		t.Errorf("nobody's history has %+v", e)
	}
}

func TestChangesTellVerifiersWhatToRefuse(t *testing.T) {
	t.Parallel()
	sid := strings.Repeat("s", 22)
	for name, c := range map[string]struct {
		stream journal.Stream
		event  string
		want   []heartbeat.Change
	}{
		"a start":             {"session-" + journal.Stream(sid), "session.started", nil},
		"a rotation":          {"session-" + journal.Stream(sid), "session.rotated", nil},
		"a refused handle":    {"session-" + journal.Stream(sid), "session.refused", nil},
		"a change":            {"session-" + journal.Stream(sid), "session.changed", superseded(heartbeat.Session, sid)},
		"a step-up":           {"session-" + journal.Stream(sid), "session.stepped-up", superseded(heartbeat.Session, sid)},
		"idleness":            {"session-" + journal.Stream(sid), "session.idle", revoked(heartbeat.Session, sid)},
		"age":                 {"session-" + journal.Stream(sid), "session.expired", revoked(heartbeat.Session, sid)},
		"an end":              {"session-" + journal.Stream(sid), "session.ended", revoked(heartbeat.Session, sid)},
		"a subject's change":  {"subject--k", "subject.changed", superseded(heartbeat.Subject, "-k")},
		"a revoked subject":   {"subject-k", "subject.revoked", revoked(heartbeat.Subject, "k")},
		"a revoked tenant":    {"tenant-a-b", "tenant.revoked", revoked(heartbeat.Tenant, "a-b")},
		"a revoked no tenant": {"tenant-", "tenant.revoked", revoked(heartbeat.Tenant, "")},
		"a revoked key":       {"key-k", "key.revoked", revoked(heartbeat.Key, "k")},
		"a revoked token":     {"revocation-token/t-1", "token.revoked", revoked(heartbeat.Token, "t-1")},
		"everything":          {"revocation-all", "all.revoked", revoked(heartbeat.All, "")},
		"a new key":           {"key-k", "key.made", nil},
		"a note":              {"activity-k", "subject.signed-out", nil},
		"somebody else's":     {"order-7", "session.ended", nil},
		"another event":       {"order-7", "order.placed", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := journal.Event{Position: 7, Stream: c.stream, EventData: journal.EventData{Type: c.event}}
			got := session.Changes(&e)
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("Changes = %+v, want %+v", got, c.want)
			}
			if got != nil && !session.ChangesFilter().Matches(&e.EventData, e.Stream) {
				t.Error("a feed does not read it")
			}
			for i := range got {
				if err := got[i].Validate(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func superseded(scope heartbeat.Scope, key string) []heartbeat.Change {
	return []heartbeat.Change{{Position: 7, Scope: scope, Key: key, Effect: heartbeat.Superseded}}
}

func revoked(scope heartbeat.Scope, key string) []heartbeat.Change {
	return []heartbeat.Change{{Position: 7, Scope: scope, Key: key, Effect: heartbeat.Revoked}}
}

// What the journal says of a session is what verifiers are told, and it is enough to refuse each passport that says
// something else than the next one.
func TestEveryPassportThatIsOldIsToldOf(t *testing.T) {
	t.Parallel()
	ctx, log := context.Background(), mem.Open()
	h := open(t, log, nil)
	st := h.start(t)
	var grants []passport.Grant
	steps := []func() error{
		func() error {
			_, err := h.Change(ctx, st.ID, session.Change{Expect: journal.Any, Set: state("tab", "1")})
			return err
		},
		func() error {
			_, err := h.ChangeSubject(ctx, "acme", "ada", session.Change{Expect: journal.Any, Set: state("limit", "1")})
			return err
		},
		func() error {
			_, err := h.StepUp(ctx, st.ID, session.StepUp{Expect: journal.Any, ACR: "2"})
			return err
		},
		func() error { _, err := h.End(ctx, st.ID, session.Ended{}); return err },
	}
	for _, step := range steps {
		grants = append(grants, h.mint(t, st.Handle))
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	for i, g := range grants {
		hit := 0
		for e, err := range log.Read(ctx, journal.ReadOptions{After: journal.Position(g.Claims.Position)}) {
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range session.Changes(&e) {
				key := map[heartbeat.Scope]string{
					heartbeat.Session: g.Claims.Session, heartbeat.Subject: passport.SubjectKey("acme", "ada"),
				}[c.Scope]
				if c.Key == key && c.Position > g.Claims.Position {
					hit++
				}
			}
		}
		if hit != len(grants)-i {
			t.Errorf("passport %d is told of %d times, want %d", i, hit, len(grants)-i)
		}
	}
}

func TestBeginsAndEndsAreChosen(t *testing.T) {
	t.Parallel()
	ctx, h := context.Background(), open(t, mem.Open(), nil)
	st := h.start(t)
	if _, err := h.Change(ctx, st.ID, session.Change{Expect: 1, Set: state("tab", "1")}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.End(ctx, st.ID, session.Ended{}); err != nil {
		t.Fatal(err)
	}
	var got []bool
	for e, err := range h.log.Read(ctx, journal.ReadOptions{Filter: session.LifeFilter()}) {
		sid, begins := session.Begins(&e)
		if err != nil || sid != st.ID || e.Stream != session.Stream(st.ID) {
			t.Errorf("chosen is %s of %s, %v", e.Type, e.Stream, err)
		}
		got = append(got, begins)
	}
	if !slices.Equal(got, []bool{true, false}) {
		t.Errorf("it begins: %v, want once, and then ends", got)
	}
}
