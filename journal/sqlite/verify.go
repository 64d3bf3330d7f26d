// SPDX-License-Identifier: Apache-2.0

// Counting and checking everything.

package sqlite

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/internal/plan"
)

// Renew implements [journal.Store].
func (s *store) Renew(ctx context.Context) (at journal.Checkpoint, err error) {
	c, err := s.take(ctx, s.writer)
	if err != nil {
		return at, err
	}
	defer s.writer.give(c)
	err = c.writing(func() error {
		if err := c.exec("UPDATE journal_log SET epoch = epoch + 1"); err != nil {
			return err
		}
		at, err = readHead(c)
		return err
	})
	if err != nil {
		return journal.Checkpoint{}, s.unavailable("write to", err)
	}
	s.state.Lock()
	s.state.epoch = at.Epoch
	s.state.Unlock()
	return at, nil
}

// Stat implements [journal.Store]. It counts the records; the other numbers are kept.
func (s *store) Stat(ctx context.Context) (st journal.Stat, err error) {
	const q = "SELECT sqlite_version(), (SELECT missing FROM journal_log), (SELECT count(*) FROM journal_records), " +
		"(SELECT page_count FROM pragma_page_count) * (SELECT page_size FROM pragma_page_size)"
	err = s.reading(ctx, func(c *conn) error {
		if err := s.catchUp(c); err != nil {
			return err
		}
		if st.Head, err = readHead(c); err != nil {
			return err
		}
		s.state.Lock()
		st.Streams = s.state.streams
		s.state.Unlock()
		return c.query(q, nil, func(r row) error {
			st.Backend = "sqlite " + r.text(0)
			st.Events, st.Records, st.Bytes = int64(st.Head.Position)-r.int(1), r.int(2), r.int(3)
			return nil
		})
	})
	if s.tuning.vfs == "" {
		if info, err := os.Stat(s.path + "-wal"); err == nil {
			st.Bytes += info.Size()
		}
	}
	return st, err
}

// Verify implements [journal.Store]. Events may be appended meanwhile; it checks those that were there at the start.
func (s *store) Verify(ctx context.Context, progress func(journal.Position)) ([]string, error) {
	audit := plan.NewAudit(progress)
	a := auditor{Audit: audit, seen: map[journal.Stream]bool{}}
	if err := s.reading(ctx, func(c *conn) error { return a.begin(s, c) }); err != nil {
		return nil, err
	}
	for _, step := range []func(c *conn) (more bool, err error){a.events, a.savedHeads, a.file} {
		for more := true; more; {
			err := s.reading(ctx, func(c *conn) (err error) {
				more, err = step(c)
				return err
			})
			if err != nil {
				return nil, err
			}
		}
	}
	a.unsavedHeads()
	return a.Breaches(), nil
}

// auditor checks a journal up to where it ended at the beginning, in short steps.
type auditor struct {
	*plan.Audit
	end     journal.Position
	unsaved map[journal.Stream]plan.Head
	missing int64
	tags    int64                   // entries that journal_tags should have
	seen    map[journal.Stream]bool // streams that have events, true for those whose end was found
	name    string                  // the last row of journal_streams that was checked
}

func (a *auditor) begin(s *store, c *conn) error {
	if err := s.catchUp(c); err != nil {
		return err
	}
	s.state.Lock()
	a.end, a.unsaved = s.state.last, maps.Clone(s.state.heads.unsaved)
	s.state.Unlock()
	return c.query("SELECT missing FROM journal_log", nil, func(r row) error {
		a.missing = r.int(0)
		return nil
	})
}

// events checks the next events: their chain and their tags.
func (a *auditor) events(c *conn) (more bool, err error) {
	const q = "SELECT position, stream, version, prev, skip, id, tags FROM journal_events " +
		"WHERE position > ? AND position <= ? ORDER BY position LIMIT ?"
	n := 0
	err = c.query(q, []any{int64(a.Last()), int64(a.end), scanned}, func(r row) error {
		n++
		return a.event(c, r)
	})
	return n == scanned, err
}

func (a *auditor) event(c *conn, r row) error {
	at, name := journal.Position(r.int(0)), journal.Stream(r.text(1))
	if a.missing == 0 && at != a.Last()+1 {
		a.Breach("position %d follows %d", at, a.Last())
	}
	var id journal.ID
	if copy(id[:], r.bytes(5)) != len(id) {
		a.Breach("position %d: the id has %d bytes", at, len(r.bytes(5)))
	}
	if !a.seen[name] {
		a.seen[name] = false
	}
	before := a.Event(name, journal.Version(r.int(2)), at, id)
	if prev := journal.Position(r.int(3)); prev != before.Position {
		a.Breach("stream %s: the event at %d follows %d, it says %d", name, at, before.Position, prev)
	}
	if skip := journal.Position(r.int(4)); skip != a.Found(name).Skip {
		a.Breach("stream %s: the event at %d skips to %d, should to %d", name, at, skip, a.Found(name).Skip)
	}
	if tags := r.text(6); tags != "" {
		return a.eventTags(c, at, tags)
	}
	return nil
}

func (a *auditor) eventTags(c *conn, at journal.Position, joined string) error {
	tags := strings.Split(joined, "\n")
	slices.Sort(tags)
	for _, tag := range slices.Compact(tags) {
		a.tags++
		found := false
		err := c.query("SELECT 1 FROM journal_tags WHERE tag = ? AND position = ?", []any{tag, int64(at)}, func(row) error {
			found = true
			return nil
		})
		if err != nil {
			return err
		}
		if !found {
			a.Breach("position %d: tag %s is not in the index", at, tag)
		}
	}
	return nil
}

// savedHeads checks the next ends of streams in the file, but for those that memory has newer ones of.
func (a *auditor) savedHeads(c *conn) (more bool, err error) {
	const q = "SELECT name, version, position, skip, newest FROM journal_streams WHERE name > ? ORDER BY name LIMIT ?"
	n := 0
	err = c.query(q, []any{a.name, scanned}, func(r row) error {
		n++
		a.name = r.text(0)
		name := journal.Stream(a.name)
		h := plan.Head{
			Version: journal.Version(r.int(1)), Position: journal.Position(r.int(2)),
			Skip: journal.Position(r.int(3)),
		}
		copy(h.Newest[:], r.bytes(4))
		_, newer := a.unsaved[name]
		if newer && h.Position > a.Found(name).Position && h.Position <= a.end {
			a.Breach("stream %s: the file has its end at %d, its events end at %d", name, h.Position,
				a.Found(name).Position)
		}
		if !newer && h.Position <= a.end {
			a.Head(name, h)
		}
		a.seen[name] = true
		return nil
	})
	return n == scanned, err
}

// unsavedHeads checks the ends of streams in memory, and that no stream is without one.
func (a *auditor) unsavedHeads() {
	for name, h := range a.unsaved {
		a.Head(name, h)
		a.seen[name] = true
	}
	for name, seen := range a.seen {
		if !seen {
			a.Breach("stream %s: has events but no end", name)
		}
	}
}

// file lets SQLite check itself, and counts the index of tags.
func (a *auditor) file(c *conn) (more bool, err error) {
	err = c.query("SELECT count(*) FROM journal_tags WHERE position <= ?", []any{int64(a.end)}, func(r row) error {
		if n := r.int(0); n != a.tags {
			a.Breach("the index of tags has %d entries, the events have %d tags", n, a.tags)
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	return false, c.query("PRAGMA integrity_check", nil, func(r row) error {
		if text := r.text(0); text != "ok" {
			a.Breach("%s", fmt.Sprintf("sqlite: %s", text))
		}
		return nil
	})
}
