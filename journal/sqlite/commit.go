// SPDX-License-Identifier: Apache-2.0

// Committing: one transaction for a batch of units.

package sqlite

import (
	"context"
	"strings"

	"github.com/ncruces/go-sqlite3"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/internal/plan"
)

const (
	insertEvent = "INSERT INTO journal_events" +
		"(position, stream, version, prev, skip, id, type, schema, time, tags, meta, data) " +
		"VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
	insertTag  = "INSERT OR IGNORE INTO journal_tags(tag, position) VALUES(?, ?)"
	saveHead   = "REPLACE INTO journal_streams(name, version, position, skip, newest) VALUES(?, ?, ?, ?, ?)"
	saveMark   = "UPDATE journal_log SET heads_from = ?, streams = ?"
	putRecord  = "REPLACE INTO journal_records(kind, key, version, due, value) VALUES(?, ?, ?, ?, ?)"
	dropRecord = "DELETE FROM journal_records WHERE kind = ? AND key = ?"
)

// Commit implements [journal.Store].
func (s *store) Commit(ctx context.Context, units []*journal.Unit) ([]journal.Outcome, error) {
	c, err := s.take(ctx, s.writer)
	if err != nil {
		return nil, err
	}
	defer s.writer.give(c) // and roll back what is not committed
	if err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return nil, s.unavailable("write to", err)
	}
	outcomes, b, part, err := s.plan(c, units)
	if err == nil {
		err = write(c, b, part)
	}
	if err != nil {
		s.forget()
		return nil, s.unavailable("write to", err)
	}
	if len(b.Rows) == 0 && len(b.Changes) == 0 && len(part.streams) == 0 {
		return outcomes, nil
	}
	if err := c.exec("COMMIT"); err != nil {
		s.forget()
		return nil, s.uncertain(err)
	}
	s.apply(b, part)
	return outcomes, nil
}

// plan decides the units while nobody else can write to the file, and what the commit saves of the sweep.
func (s *store) plan(c *conn, units []*journal.Unit) ([]journal.Outcome, *plan.Batch, saving, error) {
	s.state.Lock()
	defer s.state.Unlock()
	if err := s.absorb(c); err != nil {
		return nil, nil, saving{}, err
	}
	s.state.facts.db = c
	b := plan.New(s.state.memory, s.state.last)
	outcomes := make([]journal.Outcome, len(units))
	for i, u := range units {
		var err error
		if outcomes[i], err = b.Add(u); err != nil {
			return nil, nil, saving{}, err
		}
	}
	part := s.state.heads.next(len(b.Rows), mark{s.state.last, s.state.streams}, b.Heads)
	return outcomes, b, part, nil
}

// write carries a plan out, short of committing it.
func write(c *conn, b *plan.Batch, part saving) error {
	insert, err := c.statement(insertEvent)
	if err != nil {
		return err
	}
	for i := range b.Rows {
		if err := writeEvent(c, insert, &b.Rows[i]); err != nil {
			return err
		}
	}
	for i := range b.Changes {
		if err := writeRecord(c, &b.Changes[i]); err != nil {
			return err
		}
	}
	return writeHeads(c, part)
}

func writeEvent(c *conn, insert *sqlite3.Stmt, r *plan.Row) error {
	b := binder{st: insert}
	b.int(int64(r.Position))
	b.text(string(r.Stream))
	b.int(int64(r.Version))
	b.int(int64(r.Prev))
	b.int(int64(r.Skip))
	b.bytes(r.ID[:])
	b.text(r.Type)
	b.int(int64(r.Schema))
	b.int(r.Time.UnixMicro())
	b.text(strings.Join(r.Tags, "\n"))
	b.bytes(r.Meta)
	b.bytes(r.Data)
	if b.err != nil {
		return b.err
	}
	if err := insert.Exec(); err != nil || len(r.Tags) == 0 {
		return err
	}
	return writeTags(c, r)
}

func writeTags(db database, r *plan.Row) error {
	for _, tag := range r.Tags {
		if err := db.exec(insertTag, tag, int64(r.Position)); err != nil {
			return err
		}
	}
	return nil
}

func writeRecord(db database, w *plan.Change) error {
	if w.Op == journal.Delete {
		return db.exec(dropRecord, w.Kind, w.Key)
	}
	var due any
	if !w.Due.IsZero() {
		due = w.Due.UnixMicro()
	}
	return db.exec(putRecord, w.Kind, w.Key, int64(w.Version), due, w.Value)
}

func writeHeads(c *conn, part saving) error {
	for i, name := range part.streams {
		h := &part.heads[i]
		err := c.exec(saveHead, string(name), int64(h.Version), int64(h.Position), int64(h.Skip), h.Newest[:])
		if err != nil {
			return err
		}
	}
	if !part.last {
		return nil
	}
	return c.exec(saveMark, int64(part.begun.position), part.begun.streams)
}

// apply remembers what was committed. A reader may have found it in the file before.
func (s *store) apply(b *plan.Batch, part saving) {
	s.state.Lock()
	defer s.state.Unlock()
	if s.state.last < b.Last() {
		s.state.memory.Apply(b)
		for name, h := range b.Heads {
			s.state.heads.unsaved[name] = h
		}
		for i := range b.Rows {
			if b.Rows[i].Version == 1 {
				s.state.streams++
			}
		}
		s.moveTo(b.Last())
	}
	s.state.heads.saved(part)
}

// moveTo sets the end of the journal. The caller holds the state.
func (s *store) moveTo(last journal.Position) {
	s.state.last = last
	s.known.Store(int64(last))
	s.announce()
}

// forget drops what is only remembered, for when a commit failed. The ends that are not in the file stay.
func (s *store) forget() {
	s.state.Lock()
	defer s.state.Unlock()
	s.state.memory.Forget()
}

// absorb learns the events after the known end, as another connection or an earlier process committed them. The
// caller holds the state.
func (s *store) absorb(db database) error {
	const q = "SELECT position, stream, version, skip, id FROM journal_events WHERE position > ? ORDER BY position"
	last := s.state.last
	err := db.query(q, []any{int64(last)}, func(r row) error {
		name := journal.Stream(r.text(1))
		seen := plan.Seen{Position: journal.Position(r.int(0)), Version: journal.Version(r.int(2))}
		copy(seen.ID[:], r.bytes(4))
		h, err := follow(db, s.state.heads.unsaved, name, seen, journal.Position(r.int(3)))
		if err != nil {
			return err
		}
		s.state.heads.unsaved[name] = h
		s.state.memory.Saw(name, h, seen)
		if seen.Version == 1 {
			s.state.streams++
		}
		last = seen.Position
		return nil
	})
	if last > s.state.last {
		s.moveTo(last)
	}
	return err
}

// follow returns the end of a stream after an event that was read from the file.
func follow(db database, ends map[journal.Stream]plan.Head, name journal.Stream, e plan.Seen,
	skip journal.Position,
) (plan.Head, error) {
	before, ok := ends[name]
	if !ok && e.Version > 1 {
		var err error
		if before, err = savedHead(db, name); err != nil {
			return plan.Head{}, err
		}
	}
	h := plan.Head{Version: e.Version, Position: e.Position, Skip: skip, Newest: before.Newest}
	if e.ID.Compare(h.Newest) > 0 {
		h.Newest = e.ID
	}
	return h, nil
}

// saveAllHeads saves every end, so that the next Open has nothing to read again.
func (s *store) saveAllHeads(c *conn) error {
	s.state.Lock()
	defer s.state.Unlock()
	h := &s.state.heads
	if len(h.unsaved) == 0 {
		return nil
	}
	return c.writing(func() error {
		if err := s.absorb(c); err != nil {
			return err
		}
		h.begin(mark{s.state.last, s.state.streams})
		return writeHeads(c, h.next(len(h.rest), h.begun, nil))
	})
}
