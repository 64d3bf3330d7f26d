// SPDX-License-Identifier: Apache-2.0

// The ends of streams that the file does not hold yet, and the sweep that saves them.

package sqlite

import (
	"slices"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/internal/plan"
)

// heads holds the end of every stream whose row in journal_streams is out of date. Writing each end with its event
// would dirty a page of the table per event. Instead a sweep now and then goes through the streams in the order of
// their names, so that neighbours share pages, a few with each commit. Once it is through, the table covers every
// event up to where the sweep began, and the file says so; what came later is read again when the file is opened.
type heads struct {
	every   int64
	unsaved map[journal.Stream]plan.Head
	from    mark             // where the last complete sweep began, or the file was read from
	begun   mark             // where the running one began
	rest    []journal.Stream // what it has still to save
}

// mark is a position and the number of streams that began up to there.
type mark struct {
	position journal.Position
	streams  int64
}

func newHeads(every int64, from journal.Position, streams int64) heads {
	at := mark{from, streams}
	return heads{every: every, unsaved: map[journal.Stream]plan.Head{}, from: at, begun: at}
}

// saving is what one commit saves of the sweep.
type saving struct {
	streams []journal.Stream
	heads   []plan.Head
	begun   mark // where the sweep began
	last    bool // this completes it
}

// overdue is how many ends a commit saves at the least when far too many wait.
const overdue = 4096

// next chooses at most n ends to save in a commit that moves some of them. A sweep begins here when it is time; now
// is the end of what was committed.
func (h *heads) next(n int, now mark, moved map[journal.Stream]plan.Head) saving {
	if int64(len(h.unsaved)) > 4*h.every {
		n = max(n, overdue) // foreign commits bring ends, but save none
	}
	if n == 0 {
		return saving{}
	}
	if len(h.rest) == 0 {
		if int64(now.position-h.begun.position) < h.every {
			return saving{}
		}
		h.begin(now)
	}
	part := h.rest[:min(n, len(h.rest))]
	s := saving{streams: part, heads: make([]plan.Head, len(part)), begun: h.begun, last: len(part) == len(h.rest)}
	for i, name := range part {
		head, ok := moved[name]
		if !ok {
			head = h.unsaved[name]
		}
		s.heads[i] = head
	}
	return s
}

func (h *heads) begin(now mark) {
	h.rest = make([]journal.Stream, 0, len(h.unsaved))
	for name := range h.unsaved {
		h.rest = append(h.rest, name)
	}
	slices.Sort(h.rest)
	h.begun = now
}

// saved notes that what next returned is in the file. An end that moved on meanwhile stays.
func (h *heads) saved(s saving) {
	for i, name := range s.streams {
		if h.unsaved[name] == s.heads[i] {
			delete(h.unsaved, name)
		}
	}
	h.rest = h.rest[len(s.streams):]
	if s.last {
		h.rest = nil
		h.from = h.begun
	}
}
