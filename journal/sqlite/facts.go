// SPDX-License-Identifier: Apache-2.0

// What the planner asks of the file.

package sqlite

import (
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/internal/plan"
)

// facts implements [plan.Facts] on a transaction that holds the write lock.
type facts struct {
	db database
	// ends know the streams whose row in the file is out of date; the first that knows one is right.
	ends []map[journal.Stream]plan.Head
}

// Head implements [plan.Facts].
func (f *facts) Head(s journal.Stream) (plan.Head, error) {
	for _, known := range f.ends {
		if h, ok := known[s]; ok {
			return h, nil
		}
	}
	return savedHead(f.db, s)
}

// savedHead returns the end of a stream as the file has it.
func savedHead(db database, s journal.Stream) (h plan.Head, err error) {
	const q = "SELECT version, position, skip, newest FROM journal_streams WHERE name = ?"
	err = db.query(q, []any{string(s)}, func(r row) error {
		h.Version, h.Position, h.Skip = journal.Version(r.int(0)), journal.Position(r.int(1)), journal.Position(r.int(2))
		copy(h.Newest[:], r.bytes(3))
		return nil
	})
	return h, err
}

// Recent implements [plan.Facts].
func (f *facts) Recent(_ journal.Stream, h plan.Head, n int) (out []plan.Seen, err error) {
	const q = "SELECT id, version, prev FROM journal_events WHERE position = ?"
	for at := h.Position; at != 0 && len(out) < n; {
		seen := plan.Seen{Position: at}
		at = 0
		err := f.db.query(q, []any{int64(seen.Position)}, func(r row) error {
			copy(seen.ID[:], r.bytes(0))
			seen.Version, at = journal.Version(r.int(1)), journal.Position(r.int(2))
			return nil
		})
		if err != nil {
			return nil, err
		}
		out = append(out, seen)
	}
	return out, nil
}

// Record implements [plan.Facts].
func (f *facts) Record(kind, key string) (v journal.Version, err error) {
	const q = "SELECT version FROM journal_records WHERE kind = ? AND key = ?"
	err = f.db.query(q, []any{kind, key}, func(r row) error {
		v = journal.Version(r.int(0))
		return nil
	})
	return v, err
}

// Match implements [plan.Facts].
func (f *facts) Match(c *journal.Condition) (at journal.Position, err error) {
	filter := c.Filter
	if len(filter) == 0 {
		filter = journal.Filter{{}}
	}
	for i := range filter {
		if at, err = f.match(&filter[i], c.After); at != 0 || err != nil {
			return at, err
		}
	}
	return 0, nil
}

// match looks for one event that fits after a position.
func (f *facts) match(m *journal.Match, after journal.Position) (at journal.Position, err error) {
	if m.Stream != "" {
		h, err := f.Head(m.Stream)
		if err != nil || h.Position <= after {
			return 0, err
		}
	}
	test, args := conditions(m)
	q := "SELECT e.position FROM journal_events e WHERE e.position > ? AND " + test
	args = append([]any{int64(after)}, args...)
	if len(m.Tags) > 0 {
		q = "SELECT e.position FROM journal_tags t CROSS JOIN journal_events e ON e.position = t.position " +
			"WHERE t.position > ? AND t.tag = ? AND " + test
		args = append([]any{int64(after), m.Tags[0]}, args[1:]...)
	}
	err = f.db.query(q+" LIMIT 1", args, func(r row) error {
		at = journal.Position(r.int(0))
		return nil
	})
	return at, err
}

// tailEvent is an event as it is read again, to find the end of its stream.
type tailEvent struct {
	plan.Seen
	stream journal.Stream
	skip   journal.Position
}

// readTail reads the events after a position.
func readTail(db database, after journal.Position, each func(e tailEvent) error) error {
	const q = "SELECT position, stream, version, skip, id FROM journal_events WHERE position > ? ORDER BY position"
	return db.query(q, []any{int64(after)}, func(r row) error {
		e := tailEvent{stream: journal.Stream(r.text(1)), skip: journal.Position(r.int(3))}
		e.Position, e.Version = journal.Position(r.int(0)), journal.Version(r.int(2))
		copy(e.ID[:], r.bytes(4))
		return each(e)
	})
}

// after returns the end of a stream behind its next event. The file may have a newer end of it, whose greatest id then
// covers this one as well.
func (f *facts) after(e tailEvent) (h plan.Head, err error) {
	if e.Version > 1 {
		if h, err = f.Head(e.stream); err != nil {
			return h, err
		}
	}
	h.Version, h.Position, h.Skip = e.Version, e.Position, e.skip
	if e.ID.Compare(h.Newest) > 0 {
		h.Newest = e.ID
	}
	return h, nil
}
