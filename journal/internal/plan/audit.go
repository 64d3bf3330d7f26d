// SPDX-License-Identifier: Apache-2.0

// Checking a whole journal.

package plan

import (
	"fmt"
	"slices"

	"example.com/vidimus/journal"
)

// Audit checks what a journal promises while somebody hands it all events in their order. It remembers the head of
// every stream.
type Audit struct {
	progress func(journal.Position)
	last     journal.Position
	events   int64
	heads    map[journal.Stream]Head
	breaches []string
}

const (
	maxBreaches   = 100
	progressEvery = 10_000
)

// NewAudit starts an audit; progress may be nil.
func NewAudit(progress func(journal.Position)) *Audit {
	if progress == nil {
		progress = func(journal.Position) {}
	}
	return &Audit{progress: progress, heads: map[journal.Stream]Head{}}
}

// Event checks the next event: positions rise, versions have no gap. It returns the head of the stream before the
// event, so that the caller can check what else the event says of it.
func (a *Audit) Event(s journal.Stream, v journal.Version, p journal.Position, id journal.ID) Head {
	before := a.heads[s]
	if p <= a.last {
		a.Breach("position %d follows %d", p, a.last)
	}
	if v != before.Version+1 {
		a.Breach("stream %s: version %d at position %d follows version %d", s, v, p, before.Version)
	}
	h := Head{Version: v, Position: p, Skip: before.Skip, Newest: before.Newest}
	if before.Version > 0 && before.Version%Stride == 0 {
		h.Skip = before.Position
	}
	if id.Compare(h.Newest) > 0 {
		h.Newest = id
	}
	a.heads[s], a.last = h, p
	if a.events++; a.events%progressEvery == 0 {
		a.progress(p)
	}
	return before
}

// Head checks a head that the database keeps for a stream, once all events were handed over.
func (a *Audit) Head(s journal.Stream, kept Head) {
	if found := a.heads[s]; found != kept {
		a.Breach("stream %s: kept head %+v, its events end at %+v", s, kept, found)
	}
}

// Found returns the head that the stream's events lead to.
func (a *Audit) Found(s journal.Stream) Head { return a.heads[s] }

// Last is the position of the last event handed over.
func (a *Audit) Last() journal.Position { return a.last }

// Breach notes a broken promise.
func (a *Audit) Breach(format string, args ...any) {
	if len(a.breaches) < maxBreaches {
		a.breaches = append(a.breaches, fmt.Sprintf(format, args...))
	}
}

// Breaches returns what was found, sorted; none is good.
func (a *Audit) Breaches() []string {
	a.progress(a.last)
	slices.Sort(a.breaches)
	return a.breaches
}
