// SPDX-License-Identifier: Apache-2.0

// The rules, one by one, without any database.

package plan_test

import (
	"errors"
	"fmt"
	"reflect"
	"testing"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/internal/plan"
)

// commit plans units in one batch on a world and applies it.
func commit(t *testing.T, w *world, facts plan.Facts, units ...*journal.Unit) (*plan.Batch, []journal.Outcome) {
	t.Helper()
	b := plan.New(facts, w.last())
	outcomes := make([]journal.Outcome, len(units))
	for i, u := range units {
		out, err := b.Add(u)
		if err != nil {
			t.Fatalf("unit %d: %v", i, err)
		}
		outcomes[i] = out
	}
	w.apply(b)
	return b, outcomes
}

// decision is a unit, and what it comes to where stream a is at 3, b at 1, lease l at 3 and note/n at 2.
type decision struct {
	what string
	unit *journal.Unit
	want journal.Result
	err  error
}

// beside puts other parts into a unit that would be accepted.
func beside(change func(u *journal.Unit)) *journal.Unit {
	u := to("a", 3, 5)
	change(u)
	return u
}

func fenced(f journal.Fence) *journal.Unit {
	return beside(func(u *journal.Unit) { u.Fences = []journal.Fence{f} })
}

func conditional(after journal.Position) *journal.Unit {
	return beside(func(u *journal.Unit) { u.Conditions = []journal.Condition{{After: after}} })
}

func recording(w ...journal.RecordWrite) *journal.Unit {
	return beside(func(u *journal.Unit) { u.Records = w })
}

// at5 is the result of a unit whose last event is at position 5.
func at5(versions ...journal.Version) journal.Result {
	return journal.Result{Position: 5, Versions: versions}
}

func decisions() []decision {
	var refused journal.Result
	checked := beside(func(u *journal.Unit) { u.Appends = append(u.Appends, to("c", journal.None).Appends[0]) })
	return []decision{
		{"exactly", to("a", 3, 5), at5(4), nil},
		{"any", to("a", journal.Any, 5), at5(4), nil},
		{"exists", to("b", journal.Exists, 5), at5(2), nil},
		{"none", to("c", journal.None, 5), at5(1), nil},
		{"checked beside", checked, at5(4, 0), nil},
		{"stale", to("a", 2, 5), refused, &journal.ConflictError{Name: "a", Expect: 2, Actual: 3}},
		{"not there", to("c", journal.Exists, 5), refused, &journal.ConflictError{Name: "c", Expect: journal.Exists}},
		{"retry", to("a", 99, 2, 3), journal.Result{Duplicate: true, Position: 3, Versions: []journal.Version{3}}, nil},
		{"half a retry", to("a", journal.Any, 3, 5), refused, journal.ErrIDReused},
		{"turned round", to("a", journal.Any, 2, 1), refused, journal.ErrIDReused},
		{"an older id that is new", to("b", journal.Any, 2), at5(2), nil},
		{"fence", fenced(journal.Fence{Lease: "l", Epoch: 3}), at5(4), nil},
		{
			"stale fence", fenced(journal.Fence{Lease: "l", Epoch: 2}), refused,
			&journal.FencedError{Lease: "l", Held: 2, Current: 3},
		},
		{
			"unknown lease", fenced(journal.Fence{Lease: "m", Epoch: 1}), refused,
			&journal.FencedError{Lease: "m", Held: 1},
		},
		{"condition", conditional(4), at5(4), nil},
		{"violated condition", conditional(3), refused, journal.ErrCondition},
		{
			"records", recording(journal.RecordWrite{Kind: "note", Key: "n", Expect: 2},
				journal.RecordWrite{Op: journal.Delete, Kind: "x", Key: "n", Expect: journal.Any}),
			journal.Result{Position: 5, Versions: []journal.Version{4}, Records: []journal.Version{3, 0}},
			nil,
		},
		{
			"stale record", recording(journal.RecordWrite{Kind: "note", Key: "n", Expect: 1}), refused,
			&journal.ConflictError{Name: "note/n", Expect: 1, Actual: 2},
		},
	}
}

func TestEachUnitIsDecidedByTheRules(t *testing.T) {
	t.Parallel()
	for _, d := range decisions() {
		w := newWorld()
		w.records[[2]string{journal.KindLease, "l"}] = 3
		w.records[[2]string{"note", "n"}] = 2
		commit(t, w, w, to("a", journal.None, 1, 2, 3), to("b", journal.None, 4))
		b, out := commit(t, w, w, d.unit)
		if !reflect.DeepEqual(out[0].Result, d.want) {
			t.Errorf("%s: got %+v, want %+v", d.what, out[0].Result, d.want)
		}
		if err := out[0].Err; !errors.Is(err, d.err) && !reflect.DeepEqual(err, d.err) {
			t.Errorf("%s: got the error %v, want %v", d.what, err, d.err)
		}
		if (out[0].Err != nil || out[0].Result.Duplicate) && len(b.Rows)+len(b.Changes)+len(b.Heads) > 0 {
			t.Errorf("%s: a unit that is not written leaves %d rows in the plan", d.what, len(b.Rows))
		}
	}
}

func TestRowsAreChained(t *testing.T) {
	t.Parallel()
	w := newWorld()
	made := 0
	for batch := range 40 {
		var units []*journal.Unit
		for i := range 7 {
			u := to(journal.Stream(fmt.Sprintf("s-%d", (batch+i)%2)), journal.Any)
			for range (batch+i)%5 + 1 {
				made++
				u.Appends[0].Events = append(u.Appends[0].Events, journal.EventData{ID: id(made), Type: "t"})
			}
			units = append(units, u)
		}
		before := w.last()
		b, _ := commit(t, w, w, units...)
		if b.Last() != w.last() || b.Last() != before+journal.Position(len(b.Rows)) {
			t.Fatalf("the plan ends at %d, its %d rows follow %d", b.Last(), len(b.Rows), before)
		}
		for s, h := range b.Heads {
			if want, _ := w.Head(s); h != want {
				t.Fatalf("head of %s: got %+v, want %+v", s, h, want)
			}
		}
	}
	at := map[journal.Stream][]journal.Position{}
	for _, r := range w.rows {
		before := at[r.Stream]
		if int(r.Version) != len(before)+1 {
			t.Fatalf("%s: version %d after %d events", r.Stream, r.Version, len(before))
		}
		var prev, skip journal.Position
		if n := len(before); n > 0 {
			prev = before[n-1]
		}
		if n := len(before) / plan.Stride * plan.Stride; n > 0 {
			skip = before[n-1]
		}
		if r.Prev != prev || r.Skip != skip {
			t.Fatalf("%s version %d: prev %d, skip %d; want %d and %d", r.Stream, r.Version, r.Prev, r.Skip, prev, skip)
		}
		at[r.Stream] = append(before, r.Position)
	}
}

func TestAFactThatCannotBeHadEndsThePlan(t *testing.T) {
	t.Parallel()
	for fact, u := range map[string]*journal.Unit{
		"head":   to("a", journal.Any, 1),
		"recent": to("a", journal.Any, 1),
		"record": {Records: []journal.RecordWrite{{Kind: "k", Key: "n"}}},
		"match":  {Conditions: []journal.Condition{{}}},
	} {
		w := newWorld()
		commit(t, w, w, to("a", journal.None, 7))
		w.down = fact
		b := plan.New(w, w.last())
		if out, err := b.Add(u); !errors.Is(err, errDown) || out.Err != nil {
			t.Errorf("%s: got %+v, %v; want the error of the facts", fact, out, err)
		}
		if len(b.Rows)+len(b.Changes) > 0 {
			t.Errorf("%s: a plan without facts writes %+v, %+v", fact, b.Rows, b.Changes)
		}
	}
}

func TestTheUsualAppendAsksForItsHeadOnly(t *testing.T) {
	t.Parallel()
	w := newWorld()
	commit(t, w, w, to("a", journal.None, 1))
	clear(w.asked)
	commit(t, w, w, to("a", 1, 2), to("a", 2, 3), to("b", journal.Any, 4))
	if w.asked["recent"]+w.asked["record"]+w.asked["match"] > 0 {
		t.Errorf("asked %v, though every id is new", w.asked)
	}
	m := plan.NewMemory(w, 10)
	b, _ := commit(t, w, m, to("a", 3, 5), to("b", 1, 6))
	m.Apply(b)
	clear(w.asked)
	b, out := commit(t, w, m, to("a", 4, 7), to("b", 2, 8))
	if m.Apply(b); len(w.asked) > 0 || out[1].Result.Position != 8 {
		t.Errorf("a memory that knows both streams asked %v, and got %+v", w.asked, out[1])
	}
}
