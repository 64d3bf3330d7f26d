// SPDX-License-Identifier: Apache-2.0

// What a view decides, without I/O, clocks or locks: one goroutine, and time comes in from outside.

package heartbeat

import (
	"fmt"
	"slices"
	"time"

	"example.com/vidimus/passport"
)

// maxPending bounds the answers to pings that wait for frames.
const maxPending = 16

// moment is one instant by both clocks of a process, counted from when its view was made.
type moment struct{ mono, wall time.Duration }

// since is the time that passed between two moments: the longer of both clocks. The monotonic clock of Linux stands
// still while a machine is suspended; the wall clock does not. A wall clock that jumps ahead makes the time too long,
// until the next ping is answered. One that is set back takes nothing from the time that the machine was awake, which
// the monotonic clock counts. But of time that it was suspended, between the same two moments, as much is missing as
// the clock was set back: a machine whose clock was set back by an hour, and which sleeps for 50 minutes before its
// next ping is answered, does not count them.
func (m moment) since(then moment) time.Duration { return max(0, m.mono-then.mono, m.wall-then.wall) }

// answer is a ping that was answered: everything acknowledged before sent stands at or below head.
type answer struct {
	sent moment
	head Head
}

// core is a view's state. It knows every change of one log in (floors.base, through].
type core struct {
	at         passport.Mark // the log, and through
	floors     floors
	gap        bool
	told       passport.Mark // the furthest end that a ping was answered with, of the log that the last one was
	rewound    int64         // up to where the log was known before it lost commits; 0 once it grew past that
	rewinds    uint64        // how often it lost some
	pending    []answer      // none says less than another; all of the log of at, once that is known
	owed       moment        // since when some head is waited for, if there is one
	dated      bool
	asOf       moment // everything acknowledged before this moment was applied
	generation uint64
}

// apply takes a frame in.
func (c *core) apply(f *Frame) error {
	if err := f.Validate(); err != nil {
		return err
	}
	mark := f.Mark()
	if mark.Log == c.at.Log && mark.Epoch < c.at.Epoch {
		return fmt.Errorf("%w: the frame is of %s, %s was followed", ErrRewound, mark, c.at)
	}
	contiguous := mark.SameLog(c.at) && f.After <= c.at.Position
	switch {
	case !contiguous && !f.Snapshot:
		c.gap = c.at.Log != ""
		return fmt.Errorf("%w: the frame begins behind %d of %s.%d, applied is %s", ErrGap, f.After, f.Log, f.Epoch, c.at)
	case !mark.SameLog(c.at):
		c.reset(mark, f.After)
	}
	changed := false
	if !contiguous {
		changed = c.floors.raiseBase(f.After)
	}
	for i := range f.Changes {
		if c.floors.raise(&f.Changes[i]) {
			changed = true
		}
	}
	if changed {
		c.generation++
	}
	c.at.Position = max(c.at.Position, f.Through)
	c.gap = false
	c.settle()
	return nil
}

// reset forgets one log and begins with another, of which nothing before base is known.
func (c *core) reset(mark passport.Mark, base int64) {
	c.at = passport.Mark{Log: mark.Log, Epoch: mark.Epoch}
	stolen := c.floors.revoked.carried()
	c.floors = newFloors(base, c.floors.limit)
	c.floors.revoked = stolen
	c.dated, c.rewound = false, 0
	c.generation++
	c.pending = slices.DeleteFunc(c.pending, func(a answer) bool { return !a.head.SameLog(c.at) })
}

// known is the furthest place that the log is known to have reached.
func (c *core) known() passport.Mark {
	if c.told.SameLog(c.at) && c.told.Position > c.at.Position {
		return c.told
	}
	return c.at
}

// answered takes in that a ping was answered.
func (c *core) answered(p Ping, head Head) error {
	if !head.Valid() {
		return noPlace("head", head)
	}
	switch {
	case head.SameLog(p.known) && head.Position < p.known.Position:
		c.rewind(p.known)
	case c.rewound > 0 && head.SameLog(c.at) && p.rewinds != c.rewinds:
		c.rewound = max(c.rewound, head.Position) // it may have been read before commits were lost
	}
	deposed := head.Log == c.at.Log && head.Epoch < c.at.Epoch
	if deposed || c.rewound > 0 && head.SameLog(c.at) && head.Position <= c.rewound {
		was := c.at
		was.Position = max(was.Position, c.rewound)
		return fmt.Errorf("%w: it ends at %s, known was %s: if it was restored, renew the journal", ErrRewound, head, was)
	}
	if c.at.Log != "" && !head.SameLog(c.at) {
		return fmt.Errorf("%w: the log ends at %s, followed is %s", ErrGap, head, c.at)
	}
	if c.rewound > 0 { // the log has grown past what it lost, of which some passports may be
		c.floors.raiseBase(c.rewound + 1)
		c.rewound = 0
		c.generation++
	}
	if !c.told.Reaches(head) {
		c.told = head
	}
	c.await(answer{p.sent, head})
	c.settle()
	return nil
}

// rewind minds that the log lost what was known of it, as when a database falls back to a replica that was behind, or
// a backup is restored and not renewed. The floors stay, for what was acknowledged is obeyed; nothing is vouched for
// until the log has grown past what it lost; and what it then holds is asked for from the beginning.
func (c *core) rewind(known passport.Mark) {
	if !c.at.SameLog(known) {
		return
	}
	c.rewound = max(c.rewound, c.known().Position, known.Position)
	c.rewinds++
	c.told = passport.Mark{}
	c.at.Position, c.gap, c.dated, c.pending = 0, true, false, nil
}

// await adds an answer to those that wait for frames. One that says less than another is dropped.
func (c *core) await(a answer) {
	covers := func(x, y answer) bool { return x.sent.mono >= y.sent.mono && y.head.Reaches(x.head) }
	if slices.ContainsFunc(c.pending, func(b answer) bool { return covers(b, a) }) {
		return
	}
	if len(c.pending) == 0 {
		c.owed = a.sent
	}
	kept := slices.DeleteFunc(c.pending, func(b answer) bool { return covers(a, b) })
	if len(kept) == maxPending {
		kept = kept[:maxPending-1] // the oldest stay, or a feed that lags for long would never be dated
	}
	c.pending = append(kept, a)
}

// settle dates the view by the newest answer whose head it has reached.
func (c *core) settle() {
	reached := func(a answer) bool { return c.at.Reaches(a.head) }
	if !slices.ContainsFunc(c.pending, reached) {
		return
	}
	for _, a := range c.pending {
		if reached(a) && (!c.dated || a.sent.mono > c.asOf.mono) {
			c.dated, c.asOf = true, a.sent
		}
	}
	c.pending = slices.DeleteFunc(c.pending, reached)
	for i, a := range c.pending {
		if i == 0 || a.sent.mono < c.owed.mono {
			c.owed = a.sent
		}
	}
}

// behind is for how long heads have been waited for that no frame reached; 0 if none is.
func (c *core) behind(now moment) time.Duration {
	if len(c.pending) == 0 {
		return 0
	}
	return now.since(c.owed)
}

func (c *core) judge(claims *passport.Claims) error {
	if c.at.Log == "" {
		return nil // nothing is known, and the staleness says so
	}
	if !claims.SameLog(c.at) {
		return passport.ErrForeign
	}
	switch c.floors.judge(claims) {
	case revoked:
		return passport.ErrRevoked
	case superseded:
		return passport.ErrSuperseded
	}
	return nil
}
