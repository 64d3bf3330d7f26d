// SPDX-License-Identifier: Apache-2.0

// Package plan decides what a batch of units does to a journal: which are refused and why, which were there before,
// and what the others write. It is the one copy of the journal's rules, shared by every database; it does no I/O.
package plan

import (
	"fmt"

	"example.com/vidimus/journal"
)

// Head is the end of a stream.
type Head struct {
	Version  journal.Version
	Position journal.Position
	// Skip is the position of the stream's event at the last version below Version that is a multiple of [Stride],
	// or 0.
	Skip journal.Position
	// Newest is the greatest id among the stream's events: a greater one cannot be among them.
	Newest journal.ID
}

// Stride is the distance of the events that [Row.Skip] leads along.
const Stride = 64

// Seen is an event of a stream, as the search for retried appends sees it.
type Seen struct {
	ID       journal.ID
	Version  journal.Version
	Position journal.Position
}

// Facts is what a database knows of the committed state.
type Facts interface {
	// Head returns the end of a stream; the zero Head for one without events.
	Head(s journal.Stream) (Head, error)
	// Recent returns the last n events of a stream that ends at h, the newest first.
	Recent(s journal.Stream, h Head, n int) ([]Seen, error)
	// Record returns the version of a record, 0 if it does not exist.
	Record(kind, key string) (journal.Version, error)
	// Match returns the position of an event that violates the condition, or 0.
	Match(c *journal.Condition) (journal.Position, error)
}

// Row is an event to be inserted.
type Row struct {
	*journal.EventData
	Stream   journal.Stream
	Version  journal.Version
	Position journal.Position
	// Prev is the position of the stream's event before, 0 for the first.
	Prev journal.Position
	// Skip is the position of the stream's event at the last version below Version that is a multiple of [Stride],
	// or 0: a reader that looks for an old version follows Skip first, then Prev.
	Skip journal.Position
}

// Change is a record to be put or deleted.
type Change struct {
	*journal.RecordWrite
	// Version is the record's new version.
	Version journal.Version
}

// Batch is a plan in the making.
type Batch struct {
	// Epoch is the epoch of the log, to be set before the first Add: a lease that is written under it gets a version
	// above all that it can have had under an earlier one, in a history that a restore has made undone.
	Epoch journal.LogEpoch
	// Rows are the events to insert, in the order of their positions, which follow each other.
	Rows []Row
	// Changes are the writes of records, to be applied in this order.
	Changes []Change
	// Heads are the new ends of the streams that Rows belong to.
	Heads map[journal.Stream]Head

	facts   Facts
	last    journal.Position
	records map[recordName]journal.Version
	checked struct { // what the unit being added found, for each of its streams and records
		heads    []Head
		versions []journal.Version
	}
}

type recordName struct{ kind, key string }

// New starts a plan for a journal that ends at last.
func New(facts Facts, last journal.Position) *Batch {
	return &Batch{
		facts: facts, last: last, Heads: map[journal.Stream]Head{}, records: map[recordName]journal.Version{},
	}
}

// Last is the position of the last event, planned or committed.
func (b *Batch) Last() journal.Position { return b.last }

// Add decides one unit. The error is that of the facts, and ends the plan; what the unit's caller did wrong is in the
// outcome.
func (b *Batch) Add(u *journal.Unit) (journal.Outcome, error) {
	if err := b.look(u); err != nil {
		return journal.Outcome{}, err
	}
	if out, known, err := b.duplicate(u); known || err != nil {
		return out, err
	}
	for _, check := range []func(*journal.Unit) (refusal, err error){
		b.checkFences, b.checkStreams, b.checkConditions, b.checkRecords,
	} {
		refusal, err := check(u)
		if refusal != nil || err != nil {
			return journal.Outcome{Err: refusal}, err
		}
	}
	return journal.Outcome{Result: b.apply(u)}, nil
}

// look finds out where the unit's streams are, once for all that follows.
func (b *Batch) look(u *journal.Unit) (err error) {
	b.checked.heads = b.checked.heads[:0]
	for i := range u.Appends {
		h, ok := b.Heads[u.Appends[i].Stream]
		if !ok {
			if h, err = b.facts.Head(u.Appends[i].Stream); err != nil {
				return err
			}
		}
		b.checked.heads = append(b.checked.heads, h)
	}
	return nil
}

func (b *Batch) record(kind, key string) (journal.Version, error) {
	name := recordName{kind, key}
	if v, ok := b.records[name]; ok {
		return v, nil
	}
	v, err := b.facts.Record(kind, key)
	if err == nil {
		b.records[name] = v // a fence that many units name is asked for once
	}
	return v, err
}

func (b *Batch) checkFences(u *journal.Unit) (refusal, err error) {
	for _, f := range u.Fences {
		v, err := b.record(journal.KindLease, f.Lease)
		if err != nil {
			return nil, err
		}
		if current := journal.Epoch(v); current != f.Epoch {
			return &journal.FencedError{Lease: f.Lease, Held: f.Epoch, Current: current}, nil
		}
	}
	return nil, nil
}

func (b *Batch) checkStreams(u *journal.Unit) (refusal, err error) {
	for i := range u.Appends {
		a := &u.Appends[i]
		if at := b.checked.heads[i].Version; !a.Expect.Holds(at) {
			return &journal.ConflictError{Name: string(a.Stream), Expect: a.Expect, Actual: at}, nil
		}
	}
	return nil, nil
}

func (b *Batch) checkConditions(u *journal.Unit) (refusal, err error) {
	for i := range u.Conditions {
		c := &u.Conditions[i]
		at := b.matchPlanned(c)
		if at == 0 {
			if at, err = b.facts.Match(c); err != nil {
				return nil, err
			}
		}
		if at != 0 {
			return fmt.Errorf("%w: the event at position %d matches conditions[%d], which looks after %d; read up to "+
				"there and decide anew", journal.ErrCondition, at, i, c.After), nil
		}
	}
	return nil, nil
}

// matchPlanned looks for a violation among the rows of this batch.
func (b *Batch) matchPlanned(c *journal.Condition) journal.Position {
	for i := range b.Rows {
		r := &b.Rows[i]
		if r.Position > c.After && c.Filter.Matches(r.EventData, r.Stream) {
			return r.Position
		}
	}
	return 0
}

func (b *Batch) checkRecords(u *journal.Unit) (refusal, err error) {
	b.checked.versions = b.checked.versions[:0]
	for i := range u.Records {
		w := &u.Records[i]
		v, err := b.record(w.Kind, w.Key)
		if err != nil {
			return nil, err
		}
		if !w.Expect.Holds(v) {
			return &journal.ConflictError{Name: w.Kind + "/" + w.Key, Expect: w.Expect, Actual: v}, nil
		}
		b.checked.versions = append(b.checked.versions, v)
	}
	return nil, nil
}

// apply plans what a unit writes, once all checks have passed.
func (b *Batch) apply(u *journal.Unit) journal.Result {
	var res journal.Result
	if len(u.Appends) > 0 {
		res.Versions = make([]journal.Version, len(u.Appends))
	}
	for i := range u.Appends {
		a := &u.Appends[i]
		h := b.checked.heads[i]
		for k := range a.Events {
			h = b.insert(a.Stream, h, &a.Events[k])
			res.Position = b.last
		}
		if len(a.Events) > 0 {
			b.Heads[a.Stream] = h
		}
		res.Versions[i] = h.Version
	}
	for i := range u.Records {
		res.Records = append(res.Records, b.write(&u.Records[i], b.checked.versions[i]))
	}
	return res
}

func (b *Batch) insert(s journal.Stream, h Head, e *journal.EventData) Head {
	b.last++
	skip := h.Skip
	if h.Version > 0 && h.Version%Stride == 0 {
		skip = h.Position
	}
	b.Rows = append(b.Rows, Row{
		EventData: e, Stream: s, Version: h.Version + 1, Position: b.last, Prev: h.Position, Skip: skip,
	})
	if e.ID.Compare(h.Newest) > 0 {
		h.Newest = e.ID
	}
	return Head{Version: h.Version + 1, Position: b.last, Skip: skip, Newest: h.Newest}
}

// leasesPerEpoch is how many versions a lease has for each epoch of the log.
const leasesPerEpoch = 1_000_000_000

// write plans the write of a record that is at version v.
func (b *Batch) write(w *journal.RecordWrite, v journal.Version) journal.Version {
	switch w.Op {
	case journal.Put:
		v++
		if w.Kind == journal.KindLease {
			v = max(v, leasesPerEpoch*journal.Version(b.Epoch-1)+1)
		}
	case journal.Delete:
		v = 0
	case journal.Check:
		return v
	}
	b.records[recordName{w.Kind, w.Key}] = v
	b.Changes = append(b.Changes, Change{RecordWrite: w, Version: v})
	return v
}
