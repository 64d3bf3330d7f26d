// SPDX-License-Identifier: Apache-2.0

// What a tail remembers, and what it gives to readers who stand in it, before it, or elsewhere.

package heartbeat

import (
	"errors"
	"fmt"
	"testing"

	"example.com/vidimus/passport"
)

func superseded1(position int64, session string) Change {
	return Change{Position: position, Scope: Session, Key: session, Effect: Superseded}
}

func TestTailGoesOnFromAnywhere(t *testing.T) {
	t.Parallel()
	tail := NewTail(mark(10), 100)
	must(t, tail.Add(15, ended(12, "a"), ended(14, "b")))
	must(t, tail.Add(20))
	elsewhere := mark(12)
	elsewhere.Epoch = 6
	for name, c := range map[string]struct {
		from          passport.Mark
		after         int64
		changes       int
		news, snapped bool
	}{
		"a new reader":         {passport.Mark{}, 10, 2, true, true},
		"another epoch":        {elsewhere, 10, 2, true, true},
		"before the base":      {mark(9), 10, 2, true, true},
		"at the base":          {mark(10), 10, 2, true, false},
		"between two changes":  {mark(12), 12, 1, true, false},
		"behind the last":      {mark(14), 14, 0, true, false},
		"at the end":           {mark(20), 20, 0, false, false},
		"further than the log": {mark(25), 25, 0, false, false},
	} {
		f, news := tail.Next(c.from)
		if f.After != c.after || len(f.Changes) != c.changes || news != c.news || f.Snapshot != c.snapped {
			t.Errorf("%s: got %+v, news %v", name, f, news)
		}
		if want := max(20, c.from.Position); f.Through != want {
			t.Errorf("%s: through %d, want %d", name, f.Through, want)
		}
		if err := f.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLongTailIsGivenInFramesThatEndBetweenPositions(t *testing.T) {
	t.Parallel()
	tail := NewTail(mark(0), 10*MaxChanges)
	const events, each = 999, 7
	for i := range int64(events) {
		var changes []Change
		for k := range each {
			changes = append(changes, superseded1(i+1, fmt.Sprint(k)))
		}
		must(t, tail.Add(i+1, changes...))
	}
	v, _ := newTestView(10 * MaxChanges)
	total, frames := 0, 0
	for f, news := tail.Next(v.Through()); news; f, news = tail.Next(v.Through()) {
		must(t, v.Apply(f))
		total, frames = total+len(f.Changes), frames+1
		if last := f.Changes[len(f.Changes)-1].Position; len(f.Changes)%each != 0 || f.Through < last {
			t.Fatalf("a frame of %d changes ends at %d, through %d: within an event", len(f.Changes), last, f.Through)
		}
	}
	if total != events*each || frames < total/MaxChanges || v.Through() != mark(events) {
		t.Errorf("%d changes in %d frames, up to %v", total, frames, v.Through())
	}
}

func TestTooManyChangesAtOnceSupersedeAll(t *testing.T) {
	t.Parallel()
	tail := NewTail(mark(0), 10*MaxChanges)
	changes := []Change{ended(1, "a")}
	for i := range MaxChanges + 1 {
		changes = append(changes, ended(2, fmt.Sprint(i)))
	}
	changes = append(changes, ended(3, "b"))
	must(t, tail.Add(5, changes...))
	f, _ := tail.Next(passport.Mark{})
	if len(f.Changes) != 3 || f.Changes[1] != (Change{Position: 2, Scope: All, Effect: Superseded}) {
		t.Errorf("got %+v", f.Changes)
	}
}

// TestTailDropsTheOldestAndRaisesItsBase also shows why nothing else is dropped: a reader who stands between a change
// and the one that outdoes it still needs it.
func TestTailDropsTheOldestAndRaisesItsBase(t *testing.T) {
	t.Parallel()
	tail := NewTail(mark(0), 10)
	for p := int64(1); p <= 20; p++ {
		must(t, tail.Add(2*p, superseded1(2*p, "hot"), superseded1(2*p, "as hot")))
		if n := len(tail.changes); n > 20 {
			t.Fatalf("%d changes are kept", n)
		}
		f, _ := tail.Next(tail.Base())
		if f.Snapshot || len(f.Changes) > 0 && f.Changes[0].Position <= tail.base {
			t.Fatalf("from the base %d: %+v", tail.base, f)
		}
		if f, _ := tail.Next(mark(tail.base - 1)); f.After != tail.base || !f.Snapshot {
			t.Fatalf("from before the base %d: %+v", tail.base, f)
		}
	}
	if tail.base == 0 {
		t.Error("the base was never raised")
	}
}

func TestFramesAreNotChangedByWhatComesLater(t *testing.T) {
	t.Parallel()
	tail := NewTail(mark(0), 5)
	must(t, tail.Add(1, ended(1, "a")))
	f, _ := tail.Next(mark(0))
	for p := int64(2); p < 50; p++ {
		must(t, tail.Add(p, ended(p, "b")))
	}
	if len(f.Changes) != 1 || cap(f.Changes) != 1 || f.Changes[0] != ended(1, "a") {
		t.Errorf("the frame became %+v", f)
	}
}

func TestTailRefusesWhatIsOutOfOrder(t *testing.T) {
	t.Parallel()
	tail := NewTail(mark(10), 5)
	for name, err := range map[string]error{
		"a change before its end":     tail.Add(12, ended(10, "a")),
		"a change behind its through": tail.Add(12, ended(13, "a")),
		"changes out of order":        tail.Add(14, ended(13, "a"), ended(12, "a")),
		"an end that goes backwards":  tail.Add(9),
		"a change of nothing":         tail.Add(12, Change{Position: 11}),
	} {
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if tail.Through() != mark(10) || len(tail.changes) != 0 {
		t.Errorf("something was taken in: %+v", tail)
	}
}
