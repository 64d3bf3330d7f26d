// SPDX-License-Identifier: Apache-2.0

// A plan with a memory decides as one without.

package plan_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/internal/plan"
)

func TestAMemoryChangesNothing(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		w := newWorld()
		m := plan.NewMemory(w, 1+r.IntN(8))
		var done []*journal.Unit
		made := 0
		for range 80 {
			var units []*journal.Unit
			for range r.IntN(6) {
				units = append(units, draw(r, &made, done))
			}
			plain, remembered := plan.New(w, w.last()), plan.New(m, w.last())
			for _, u := range units {
				want, _ := plain.Add(u)
				got, err := remembered.Add(u)
				if err != nil || fmt.Sprint(got) != fmt.Sprint(want) || !reflect.DeepEqual(got.Result, want.Result) {
					t.Fatalf("seed %d: %+v: got %+v, %v; want %+v", seed, *u, got, err, want)
				}
				if want.Err == nil {
					done = append(done, u)
				}
			}
			if !reflect.DeepEqual(remembered.Rows, plain.Rows) || !reflect.DeepEqual(remembered.Heads, plain.Heads) ||
				!reflect.DeepEqual(remembered.Changes, plain.Changes) {
				t.Fatalf("seed %d: the plans differ", seed)
			}
			tell(r, w, m, remembered)
		}
	}
}

// tell commits a plan, and has the memory learn of it in one of the ways there are, or lets it be lost.
func tell(r *rand.Rand, w *world, m *plan.Memory, b *plan.Batch) {
	if r.IntN(10) == 0 {
		return // the transaction failed, and is known to have failed
	}
	heads := map[journal.Stream]plan.Head{}
	for s := range b.Heads {
		heads[s], _ = w.Head(s)
	}
	w.apply(b)
	switch r.IntN(6) {
	case 0:
		m.Forget()
	case 1, 2: // others wrote it, and its rows are read
		for i := range b.Rows {
			row := &b.Rows[i]
			h := heads[row.Stream]
			h = plan.Head{Version: row.Version, Position: row.Position, Skip: row.Skip, Newest: h.Newest}
			if row.ID.Compare(h.Newest) > 0 {
				h.Newest = row.ID
			}
			heads[row.Stream] = h
			m.Saw(row.Stream, h, plan.Seen{ID: row.ID, Version: row.Version, Position: row.Position})
		}
	case 3: // others wrote it, and its heads are told
		for s, h := range b.Heads {
			m.Learn(s, h)
		}
	default:
		m.Apply(b)
	}
}

// draw returns a random unit, now and then an earlier one.
func draw(r *rand.Rand, made *int, done []*journal.Unit) *journal.Unit {
	if len(done) > 0 && r.IntN(3) == 0 {
		return done[r.IntN(len(done))]
	}
	u := &journal.Unit{}
	first := r.IntN(7)
	for i := range r.IntN(3) {
		a := to(journal.Stream(fmt.Sprintf("s-%d", (first+i)%7)), journal.Expect(r.IntN(8)-2)).Appends[0]
		for range r.IntN(4) {
			*made++
			n := *made
			if r.IntN(4) == 0 { // an id that does not rise, and may be taken
				n = r.IntN(n + 1)
			}
			a.Events = append(a.Events, journal.EventData{ID: id(n), Type: fmt.Sprintf("t%d", r.IntN(3))})
		}
		u.Appends = append(u.Appends, a)
	}
	if r.IntN(4) == 0 {
		u.Conditions = []journal.Condition{{
			After: journal.Position(r.IntN(*made + 1)), Filter: journal.Filter{{Types: []string{"t0"}}},
		}}
	}
	if r.IntN(3) == 0 {
		u.Records = []journal.RecordWrite{{
			Op: journal.RecordOp(r.IntN(3)), Kind: "note", Key: fmt.Sprint(r.IntN(3)), Expect: journal.Expect(r.IntN(5) - 2),
		}}
	}
	return u
}

func TestAMemoryKeepsTheWindowOfALongStream(t *testing.T) {
	t.Parallel()
	w := newWorld()
	m := plan.NewMemory(w, 100)
	made := 0
	unit := func(n int) *journal.Unit {
		u := to("long", journal.Any)
		for range n {
			made++
			u.Appends[0].Events = append(u.Appends[0].Events, journal.EventData{ID: id(made), Type: "t"})
		}
		return u
	}
	var units []*journal.Unit
	for i := range 120 {
		u := unit([]int{1, 99, 3, 17, 200}[i%5])
		b, _ := commit(t, w, m, u)
		m.Apply(b)
		units = append(units, u)
		behind := 0
		for k := len(units) - 1; k >= 0 && behind < 2*journal.Window; k-- {
			b := plan.New(m, w.last())
			out, err := b.Add(units[k])
			if err != nil {
				t.Fatal(err)
			}
			if in := behind < journal.Window; in && !out.Result.Duplicate {
				t.Fatalf("a retry %d events behind the end: got %+v", behind, out)
			} else if !in && out.Result.Duplicate {
				t.Fatalf("a retry %d events behind the end is recognised, beyond what is promised", behind)
			}
			behind += len(units[k].Appends[0].Events)
		}
	}
}

func TestAMemoryIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld()
	m := plan.NewMemory(w, 10)
	for i := range 50 {
		b, _ := commit(t, w, m, to(journal.Stream(fmt.Sprintf("s-%d", i)), journal.None, i+1))
		m.Apply(b)
	}
	known := 0
	for i := range 50 {
		if m.Knows(journal.Stream(fmt.Sprintf("s-%d", i))) {
			known++
		}
	}
	if known > 10 || known < 5 {
		t.Errorf("it knows %d streams, want at most 10 and at least half of them", known)
	}
	if m.Knows("s-0") || !m.Knows("s-49") {
		t.Error("it has not forgotten what it did not meet for longest")
	}
	m.Forget()
	if m.Knows("s-49") {
		t.Error("it has not forgotten everything")
	}
}
