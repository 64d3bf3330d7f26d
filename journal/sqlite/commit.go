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
	b.Epoch = s.state.epoch
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
