// SPDX-License-Identifier: Apache-2.0

// What a handler gets, and how it completes it.

package timer

import (
	"slices"
	"sync/atomic"

	"example.com/vidimus/journal"
)

// Fired is a timer that fires now.
type Fired struct {
	Pending
	fences    []journal.Fence
	completed *atomic.Bool // the handler was given the means to complete it
}

// Done returns the write that completes the timer, for the unit that holds the handler's effect. The unit is refused
// with [journal.ErrConflict] when the timer was moved, cancelled or completed meanwhile: then return the error, the
// timer does not fire again for that. Put Fences into the same unit, or use Complete, which does both.
func (f Fired) Done() journal.RecordWrite {
	f.completed.Store(true)
	return journal.RecordWrite{
		Op: journal.Delete, Kind: Kind, Key: recordKey(f.Key), Expect: journal.Exactly(f.Version),
	}
}

// Fences returns the fences under which the timer fires. A process that was paused while it fired, and others went on,
// is refused by them.
func (f Fired) Fences() []journal.Fence { return slices.Clone(f.fences) }

// Complete returns the unit with the timer's completion and its fences: committed, it has its effect exactly once,
// however often the timer fires.
func (f Fired) Complete(u journal.Unit) journal.Unit {
	for _, fence := range f.fences {
		if !slices.Contains(u.Fences, fence) {
			u.Fences = append(slices.Clone(u.Fences), fence)
		}
	}
	u.Records = append(slices.Clone(u.Records), f.Done())
	return u
}
