// SPDX-License-Identifier: Apache-2.0

// The tail: what an authority remembers of its log. Pure; one goroutine.

package heartbeat

import (
	"slices"

	"example.com/vidimus/passport"
)

// Tail is the end of a log as far as it is remembered: every change in (base, through]. Readers that stand anywhere in
// it go on from there; for others it has a snapshot. Goroutines must take turns.
type Tail struct {
	at      passport.Mark // the log, and through
	base    int64
	limit   int
	changes []Change // in the order of the log; what was handed out in frames is never written to
}

// NewTail returns a tail that remembers nothing before start, and between limit and 2*limit changes at a time; 0 for
// [DefaultLimit].
func NewTail(start passport.Mark, limit int) *Tail {
	if limit <= 0 {
		limit = DefaultLimit
	}
	return &Tail{at: start, base: start.Position, limit: limit}
}

// Through is the place up to which the log is known.
func (t *Tail) Through() passport.Mark { return t.at }

// Base is the place behind which every change is remembered.
func (t *Tail) Base() passport.Mark {
	return passport.Mark{Log: t.at.Log, Epoch: t.at.Epoch, Position: t.base}
}

// Add takes in the log up to through: the changes are all there are behind what was added before, in their order. More
// than [MaxChanges] at one position become one, which supersedes all. It returns an [InvalidError] if they are not in
// order, and then takes nothing in.
func (t *Tail) Add(through int64, changes ...Change) error {
	changes = merge(changes)
	last := t.at.Position + 1
	for i := range changes {
		c := &changes[i]
		if c.Position < last || c.Position > through {
			return invalid("changes", "has position %d at index %d; it lies between %d and %d", c.Position, i, last, through)
		}
		if err := c.Validate(); err != nil {
			return err
		}
		last = c.Position
	}
	if through < t.at.Position {
		return invalid("through", "is %d, before %d which was added", through, t.at.Position)
	}
	t.changes = append(t.changes, changes...)
	t.at.Position = through
	if len(t.changes) > 2*t.limit {
		t.shrink()
	}
	return nil
}

// merge makes one change of those at one position that are too many for a frame.
func merge(changes []Change) []Change {
	out := changes
	for i := 0; i < len(out); {
		n := i + 1
		for n < len(out) && out[n].Position == out[i].Position {
			n++
		}
		if n-i > MaxChanges {
			all := Change{Position: out[i].Position, Scope: All, Effect: Superseded}
			out = slices.Concat(out[:i], []Change{all}, out[n:])
			n = i + 1
		}
		i = n
	}
	return out
}

// shrink drops the oldest changes. Nothing else may go: a change that a later one outdoes is still needed by a reader
// who stands between the two.
func (t *Tail) shrink() {
	drop := len(t.changes) - t.limit
	for drop < len(t.changes) && t.changes[drop].Position == t.changes[drop-1].Position {
		drop++
	}
	t.base = t.changes[drop-1].Position
	t.changes = slices.Clone(t.changes[drop:])
}

// Next returns the frame that a reader who has reached from needs next, and whether there is news in it. A reader of
// another log, or from before the base, is given a snapshot, which may go on in the frames behind it. It costs no
// copy.
func (t *Tail) Next(from passport.Mark) (Frame, bool) {
	f := Frame{Log: t.at.Log, Epoch: t.at.Epoch, After: from.Position}
	if !from.SameLog(t.at) || from.Position < t.base {
		f.Snapshot, f.After = true, t.base
	}
	if !f.Snapshot && f.After >= t.at.Position {
		f.Through = f.After
		return f, false
	}
	byPosition := func(c Change, p int64) int {
		if c.Position <= p {
			return -1
		}
		return 1
	}
	first, _ := slices.BinarySearchFunc(t.changes, f.After, byPosition)
	end := first + MaxChanges
	if end >= len(t.changes) {
		f.Changes, f.Through = slices.Clip(t.changes[first:]), t.at.Position
		return f, true
	}
	for t.changes[end-1].Position == t.changes[end].Position {
		end--
	}
	f.Changes, f.Through = slices.Clip(t.changes[first:end]), t.changes[end-1].Position
	return f, true
}
