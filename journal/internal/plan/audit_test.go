// SPDX-License-Identifier: Apache-2.0

// The audit finds each breach that is planted, and nothing where there is none.

package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/internal/plan"
)

// audited hands all rows and heads of a world to an audit.
func audited(w *world, heads map[journal.Stream]plan.Head, progress func(journal.Position)) []string {
	a := plan.NewAudit(progress)
	for _, r := range w.rows {
		a.Event(r.Stream, r.Version, r.Position, r.ID)
	}
	for s, h := range heads {
		a.Head(s, h)
	}
	return a.Breaches()
}

func soundWorld(t *testing.T) (*world, map[journal.Stream]plan.Head) {
	t.Helper()
	w := newWorld()
	for n := range 150 {
		commit(t, w, w, to("a", journal.Any, n+1), to("b", journal.Any, 1000-n))
	}
	heads := map[journal.Stream]plan.Head{}
	for _, s := range []journal.Stream{"a", "b"} {
		heads[s], _ = w.Head(s)
	}
	return w, heads
}

func TestAnAuditFindsWhatIsPlanted(t *testing.T) {
	t.Parallel()
	alter := func(change func(h *plan.Head)) func(*world, map[journal.Stream]plan.Head) {
		return func(_ *world, heads map[journal.Stream]plan.Head) {
			h := heads["a"]
			change(&h)
			heads["a"] = h
		}
	}
	for what, tt := range map[string]struct {
		plant func(w *world, heads map[journal.Stream]plan.Head)
		want  string
	}{
		"nothing": {func(*world, map[journal.Stream]plan.Head) {}, ""},
		"a position twice": {func(w *world, _ map[journal.Stream]plan.Head) {
			w.rows[50].Position = w.rows[49].Position
		}, "position 50 follows 50"},
		"a position that falls": {func(w *world, _ map[journal.Stream]plan.Head) {
			w.rows[50].Position = 7
		}, "position 7 follows 50"},
		"a version left out": {func(w *world, _ map[journal.Stream]plan.Head) {
			w.rows = slices.Delete(w.rows, 20, 21)
		}, "stream a: version 12 at position 23 follows version 10"},
		"a version twice": {func(w *world, _ map[journal.Stream]plan.Head) {
			w.rows[20].Version--
		}, "version 10 at position 21 follows version 10"},
		"the last event lost": {func(w *world, _ map[journal.Stream]plan.Head) {
			w.rows = w.rows[:len(w.rows)-1]
		}, "stream b: kept head"},
		"a head too low":        {alter(func(h *plan.Head) { h.Version-- }), "stream a: kept head"},
		"a head elsewhere":      {alter(func(h *plan.Head) { h.Position -= 2 }), "stream a: kept head"},
		"a head that skips bad": {alter(func(h *plan.Head) { h.Skip = 1 }), "stream a: kept head"},
		"a wrong newest id":     {alter(func(h *plan.Head) { h.Newest = id(3) }), "stream a: kept head"},
		"a head of nothing": {func(_ *world, heads map[journal.Stream]plan.Head) {
			heads["c"] = plan.Head{Version: 1, Position: 1}
		}, "stream c: kept head"},
	} {
		w, heads := soundWorld(t)
		tt.plant(w, heads)
		got := audited(w, heads, nil)
		if tt.want == "" && len(got) > 0 || tt.want != "" && !strings.Contains(strings.Join(got, "\n"), tt.want) {
			t.Errorf("%s: got %q, want %q", what, got, tt.want)
		}
	}
}

func TestAnAuditEndsItsListSomewhere(t *testing.T) {
	t.Parallel()
	w, heads := soundWorld(t)
	for i := range w.rows {
		w.rows[i].Version += 2 * journal.Version(i)
	}
	if got := audited(w, heads, nil); len(got) != 100 || !slices.IsSorted(got) {
		t.Errorf("got %d breaches, sorted %t; want the first 100", len(got), slices.IsSorted(got))
	}
}

func TestAnAuditTellsHowFarItIs(t *testing.T) {
	t.Parallel()
	a := plan.NewAudit(nil)
	var told []journal.Position
	b := plan.NewAudit(func(p journal.Position) { told = append(told, p) })
	for n := range 25_000 {
		for _, audit := range []*plan.Audit{a, b} {
			audit.Event("a", journal.Version(n+1), journal.Position(2*n+2), id(n+1))
		}
	}
	if got := b.Breaches(); len(got) > 0 || b.Last() != 50_000 || b.Found("a").Version != 25_000 {
		t.Errorf("got %q, at %d, head %+v", got, b.Last(), b.Found("a"))
	}
	if fmt.Sprint(told) != "[20000 40000 50000]" {
		t.Errorf("told %v", told)
	}
	if got := a.Breaches(); len(got) > 0 {
		t.Errorf("without progress: got %q", got)
	}
}
