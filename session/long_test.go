// SPDX-License-Identifier: Apache-2.0

// Histories without an end: whatever happened before, a session is changed, ended and revoked.

package session_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"example.com/vidimus/entity"
	"example.com/vidimus/heartbeat"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/journaltest/stores"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/passport"
	"example.com/vidimus/session"
)

// crowd appends so many events of a type to a stream, past everything that guards it.
func crowd(t *testing.T, log *journal.Log, stream journal.Stream, event string, data func(int) string, n int) {
	t.Helper()
	var events []journal.EventData
	for i := range n {
		events = append(events, journal.EventData{ID: journal.NewID(), Type: event, Data: []byte(data(i))})
	}
	for part := range slices.Chunk(events, 500) {
		if _, err := log.Append(context.Background(), stream, journal.Any, part...); err != nil {
			t.Fatal(err)
		}
	}
}

// refusedFor makes sure that no passport is minted for a handle.
func (h *house) refusedFor(t *testing.T, handle, when string) {
	t.Helper()
	if _, err := h.Mint(context.Background(), ask(handle)); !errors.Is(err, passport.ErrNoSession) {
		t.Errorf("a passport %s: %v, want ErrNoSession", when, err)
	}
}

func TestALongHistoryIsChangedEndedAndRevoked(t *testing.T) {
	t.Parallel()
	const events = entity.MaxHistory + 500
	ctx, h := context.Background(), open(t, mem.Open(), nil)
	ended, revoked := h.start(t), h.start(t)
	subject := session.SubjectStream("acme", "ada")
	crowd(t, h.log, subject, "subject.changed",
		func(i int) string { return fmt.Sprintf(`{"set":{"limit":%d}}`, i) }, events)
	for _, st := range []session.Started{ended, revoked} {
		crowd(t, h.log, session.Stream(st.ID), "session.changed",
			func(i int) string { return fmt.Sprintf(`{"set":{"tab":%d}}`, i) }, events)
		h.mint(t, st.Handle)
	}
	if p, err := h.Subject(ctx, "acme", "ada"); err != nil || string(p.State["limit"]) != fmt.Sprint(events-1) {
		t.Errorf("the subject is %v, %v", p, err)
	}
	change := session.Change{Expect: journal.Any, Set: state("limit", "7")}
	if p, err := h.ChangeSubject(ctx, "acme", "ada", change); err != nil || string(p.State["limit"]) != "7" {
		t.Errorf("the subject is changed to %v, %v", p, err)
	}
	if s, err := h.Change(ctx, ended.ID, session.Change{Expect: journal.Any, Set: state("tab", "7")}); err != nil {
		t.Errorf("the session is changed to %v, %v", s, err)
	}
	if _, err := h.End(ctx, ended.ID, session.Ended{}); err != nil {
		t.Errorf("the logout: %v", err)
	}
	h.refusedFor(t, ended.Handle, "after the logout")
	h.mint(t, revoked.Handle)
	target := session.Target{Scope: heartbeat.Subject, Tenant: "acme", Subject: "ada"}
	if _, err := h.Revoke(ctx, target, "ops", "stolen"); err != nil {
		t.Errorf("the revocation: %v", err)
	}
	h.refusedFor(t, revoked.Handle, "after the revocation")
	h.mint(t, h.start(t).Handle) // who signs in again is welcome
}

// TestManyChangesCostTheSame changes a subject 12,000 times in the long run.
func TestManyChangesCostTheSame(t *testing.T) {
	t.Parallel()
	changes := 1500
	if os.Getenv("VIDIMUS_SOAK") != "" {
		changes = 12_000
	}
	ctx, store := context.Background(), &stores.Counting{Store: mem.Open().Store()}
	h := open(t, journal.New(store), nil)
	st, id := h.start(t), journal.NewID()
	change := session.Change{Expect: journal.Any}
	var first session.Subject
	for i := range changes {
		change.ID, change.Set = journal.ID{}, state("limit", fmt.Sprint(i))
		if i == changes-900 {
			change.ID = id
		}
		store.Events = 0
		p, err := h.ChangeSubject(ctx, "acme", "ada", change)
		if err != nil {
			t.Fatal(err)
		}
		if i == changes-900 {
			first = p
		} else if most := 4 * entity.CarryAfter; store.Events > most {
			t.Fatalf("change %d reads %d events, want %d at most", i, store.Events, most)
		}
	}
	store.Events = 0
	change.ID, change.Set = id, state("limit", fmt.Sprint(changes-900))
	again, err := h.ChangeSubject(ctx, "acme", "ada", change)
	if err != nil || !reflect.DeepEqual(again, first) || store.Events > 2200 {
		t.Errorf("a change repeated: %v, %v, by %d events; first it was %v", again, err, store.Events, first)
	}
	late := h.start(t)
	target := session.Target{Scope: heartbeat.Subject, Tenant: "acme", Subject: "ada"}
	if _, err := h.Revoke(ctx, target, "ops", "stolen"); err != nil {
		t.Errorf("the revocation: %v", err)
	}
	for _, of := range []session.Started{st, late} {
		h.refusedFor(t, of.Handle, "after the revocation")
	}
	if p, err := h.PersonWays(ctx, "acme", "ada"); err != nil || !reflect.DeepEqual(p.Loaded, p.Replayed) {
		t.Errorf("the subject is %+v, %v", p, err)
	}
	h.mint(t, h.start(t).Handle)
	seen := 0
	for e, err := range h.SubjectHistory(ctx, "acme", "ada") {
		if seen++; err != nil || strings.HasSuffix(e.Type, ".carried") {
			t.Fatalf("the history has %v, %v", e, err)
		}
	}
	if want := changes + 6; seen != want { // three sessions began, two ended, one revocation
		t.Errorf("the history has %d entries, want %d", seen, want)
	}
}

// TestRandomCommandsComeToWhatTheWholeHistorySays closes the books in between: once at least, and in memory, where that
// takes no time, more often.
func TestRandomCommandsComeToWhatTheWholeHistorySays(t *testing.T) {
	t.Parallel()
	for name, openLog := range stores.All() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := openLog(t)
			w := &walker{
				T: t, ctx: context.Background(), nodes: [2]*house{open(t, log, nil), open(t, log, nil)},
				chance: rand.New(rand.NewPCG(3, 4)),
			}
			w.begin = session.Start{ID: journal.NewID(), Tenant: "acme", Subject: "ada"}
			var err error
			if w.st, err = w.nodes[0].Start(w.ctx, w.begin); err != nil {
				t.Fatal(err)
			}
			w.handle = w.st.Handle
			steps, carried := 500, 1
			if name == "mem" {
				steps, carried = 1000, 2
			}
			for i := range steps {
				w.step()
				if i%50 == 0 {
					w.check(0)
				}
			}
			w.check(carried)
			again, err := w.nodes[0].Start(w.ctx, w.begin)
			if err != nil || again.Handle != w.st.Handle || again.Version != w.st.Version {
				t.Errorf("the start repeated: %v, %v; first it was %v", again, err, w.st)
			}
		})
	}
}

// walker does random commands on one session and its subject, by two nodes.
type walker struct {
	*testing.T
	ctx    context.Context
	nodes  [2]*house
	chance *rand.Rand
	begin  session.Start
	st     session.Started
	handle string
	old    [2]string // the handles before
	last   session.Change
	lastTo session.Session
	tab    string
	expect journal.Version
}

func (w *walker) step() {
	w.Helper()
	h := w.nodes[w.chance.IntN(2)]
	value := fmt.Sprint(w.chance.IntN(4))
	var err error
	switch w.chance.IntN(9) {
	case 0, 1:
		c := session.Change{ID: journal.NewID(), Expect: journal.Any, Set: state("tab", value)}
		if w.expect > 0 && w.chance.IntN(2) == 0 {
			c.Expect = journal.Exactly(w.expect)
		}
		var to session.Session
		if to, err = h.Change(w.ctx, w.st.ID, c); err == nil && value != w.tab {
			w.last, w.lastTo, w.tab = c, to, value // a change that changes nothing leaves nothing to find it by
		}
		w.expect = to.Version
	case 2, 3:
		_, err = h.ChangeSubject(w.ctx, "acme", "ada", session.Change{Expect: journal.Any, Set: state("limit", value)})
	case 4:
		_, err = h.ChangeSubject(w.ctx, "acme", "ada", session.Change{
			Expect: journal.Any, Set: state("permit", `"`+value+`"`), Unset: []string{"limit"}, Via: w.st.ID,
		})
	case 5:
		var st session.Started
		if st, err = h.Rotate(w.ctx, w.handle); err == nil {
			w.replaced(st)
		}
	case 6:
		var st session.Started
		if st, err = h.StepUp(w.ctx, w.st.ID, session.StepUp{Expect: journal.Any, ACR: value}); err == nil {
			w.replaced(st)
		}
	case 7:
		if w.last.ID == (journal.ID{}) {
			return
		}
		var again session.Session
		again, err = h.Change(w.ctx, w.st.ID, w.last)
		if !reflect.DeepEqual(again, w.lastTo) {
			w.Errorf("a change repeated: %+v; first it was %+v", again, w.lastTo)
		}
	case 8:
		if w.old[1] == "" {
			return
		}
		if _, refused := h.Resolve(w.ctx, w.old[1]); !errors.Is(refused, passport.ErrNoSession) {
			w.Errorf("a handle from long ago: %v, want ErrNoSession", refused)
		}
		w.expect = 0
	}
	if err != nil {
		w.Fatalf("a command: %v", err)
	}
}

// replaced notes the next handle.
func (w *walker) replaced(st session.Started) {
	w.old, w.handle, w.expect = [2]string{w.handle, w.old[0]}, st.Handle, st.Version
}

func (w *walker) check(carried int) {
	w.Helper()
	for i, h := range w.nodes {
		life, err := h.LifeWays(w.ctx, w.st.ID)
		person, failed := h.PersonWays(w.ctx, "acme", "ada")
		for _, ways := range []session.Ways{life, person} {
			if err != nil || failed != nil || !reflect.DeepEqual(ways.Loaded, ways.Replayed) ||
				!reflect.DeepEqual(ways.Remembered, ways.Replayed) || ways.Carried < carried {
				w.Fatalf("node %d has %+v, want all alike and %d carried; %v, %v", i, ways, carried, err, failed)
			}
		}
	}
	if st, err := w.nodes[0].Resolve(w.ctx, w.handle); err != nil || st.Handle != w.handle {
		w.Errorf("the handle: %v, %v", st, err)
	}
}

// busy is a house with much history, and a session in it.
func busy(t *testing.T, store journal.Store) (*house, session.Started) {
	t.Helper()
	ctx := context.Background()
	h := open(t, journal.New(store), func(c *session.Config) { c.Concurrent = session.MaxConcurrent })
	st := h.start(t)
	for i := range 1000 {
		change := session.Change{Expect: journal.Any, Set: state("limit", fmt.Sprint(i))}
		if _, err := h.ChangeSubject(ctx, "acme", "ada", change); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			change.Set = state("tab", fmt.Sprint(i))
			if _, err := h.Change(ctx, st.ID, change); err != nil {
				t.Fatal(err)
			}
		}
		if i%10 == 0 {
			h.start(t)
		}
	}
	return h, st
}

func TestAHistoryIsReadPageByPage(t *testing.T) {
	t.Parallel()
	const limit = 40
	ctx, store := context.Background(), &stores.Counting{Store: mem.Open().Store()}
	h, st := busy(t, store)
	type pager func(page string) ([]session.Entry, string, error)
	for name, of := range map[string]struct {
		whole iter.Seq2[session.Entry, error]
		page  pager
		other pager
	}{
		"session": {
			h.History(ctx, st.ID),
			func(page string) ([]session.Entry, string, error) { return h.HistoryPage(ctx, st.ID, page, limit) },
			func(page string) ([]session.Entry, string, error) { return h.HistoryPage(ctx, "other", page, limit) },
		},
		"subject": {
			h.SubjectHistory(ctx, "acme", "ada"),
			func(page string) ([]session.Entry, string, error) {
				return h.SubjectHistoryPage(ctx, "acme", "ada", page, limit)
			},
			func(page string) ([]session.Entry, string, error) {
				return h.SubjectHistoryPage(ctx, "", "ada", page, limit)
			},
		},
	} {
		var want, got []session.Entry
		for e, err := range of.whole {
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, e)
		}
		invalid := (*journal.InvalidError)(nil)
		for page, pages := "", 0; pages == 0 || page != ""; pages++ {
			store.Events = 0
			entries, next, err := of.page(page)
			if err != nil || len(entries) > limit || pages > len(want) {
				t.Fatalf("%s: page %d has %d entries, %v", name, pages, len(entries), err)
			}
			if most := 400; store.Events > most {
				t.Errorf("%s: page %d is made of %d events, want %d at most", name, pages, store.Events, most)
			}
			for _, bad := range []string{next + "A", next + "=", "A" + next, "x", "-1"} {
				if _, _, err := of.page(bad); !errors.As(err, &invalid) || invalid.Field != "page_token" {
					t.Errorf("%s: the page %q: %v, want an InvalidError", name, bad, err)
				}
			}
			if _, _, err := of.other(next); next != "" && !errors.As(err, &invalid) {
				t.Errorf("%s: a page of another history: %v, want an InvalidError", name, err)
			}
			got, page = append(got, entries...), next
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: the pages have %d entries, the whole %d", name, len(got), len(want))
		}
	}
}

func TestAStartIsRepeatableForEver(t *testing.T) {
	t.Parallel()
	ctx, h := context.Background(), open(t, mem.Open(), nil)
	start := session.Start{ID: journal.NewID(), Tenant: "acme", Subject: "ada", State: state("tab", "1")}
	first, err := h.Start(ctx, start)
	if err != nil {
		t.Fatal(err)
	}
	crowd(t, h.log, session.Stream(first.ID), "session.changed",
		func(i int) string { return fmt.Sprintf(`{"set":{"tab":%d}}`, i) }, 2*journal.Window)
	for i := range 2 * entity.CarryAfter {
		change := session.Change{Expect: journal.Any, Set: state("tab", fmt.Sprint(i))}
		if _, err := h.Change(ctx, first.ID, change); err != nil {
			t.Fatal(err)
		}
	}
	if again, err := h.Start(ctx, start); err != nil || !reflect.DeepEqual(again, first) {
		t.Errorf("repeated: %+v, %v; first it was %+v", again, err, first)
	}
}

func TestCarriedStatesChangeNoPassport(t *testing.T) {
	t.Parallel()
	for stream, event := range map[journal.Stream]string{"session-x": "session.carried", "subject-x": "subject.carried"} {
		e := journal.Event{EventData: journal.EventData{Type: event}, Stream: stream, Position: 7}
		if got := session.Changes(&e); got != nil {
			t.Errorf("%s is told of as %v", event, got)
		}
	}
}
