// SPDX-License-Identifier: Apache-2.0

// Counting and checking a whole journal.

package postgres

import (
	"context"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/internal/plan"
)

// verifyPage is how many events or streams are checked in one step.
const verifyPage = 5000

// Stat implements [journal.Store]. It counts events by reading an index.
func (s *store) Stat(ctx context.Context) (journal.Stat, error) {
	st := journal.Stat{Backend: s.backend}
	err := s.pool.with(ctx, func(c *conn) error {
		c.begin()
		return c.once(ctx, s.sql.count, func(r *row) {
			st.Events, st.Streams, st.Records, st.Bytes = r.int8(), r.int8(), r.int8(), r.int8()
		})
	})
	if err != nil {
		return journal.Stat{}, err
	}
	st.Head, err = s.Head(ctx)
	return st, err
}

// Verify implements [journal.Store]. What is appended meanwhile may be checked or not.
func (s *store) Verify(ctx context.Context, progress func(journal.Position)) ([]string, error) {
	a := plan.NewAudit(progress)
	for more := true; more; {
		err := s.pool.with(ctx, func(c *conn) (err error) {
			more, err = s.verifyEvents(ctx, c, a)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	for id := int64(0); id >= 0; {
		err := s.pool.with(ctx, func(c *conn) (err error) {
			id, err = s.verifyStreams(ctx, c, a, id)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return a.Breaches(), nil
}

// checked is what Verify looks at in an event.
type checked struct {
	event  journal.Event
	newest journal.ID
}

// verifyEvents audits the next events after a.Last.
func (s *store) verifyEvents(ctx context.Context, c *conn, a *plan.Audit) (more bool, err error) {
	var found []checked
	p := newPage(verifyPage)
	params := c.begin()
	params.int8(int64(a.Last()))
	params.int8(verifyPage)
	err = c.run(ctx, s.sql.audit, func(r *row) {
		e := checked{event: journal.Event{Position: journal.Position(r.int8())}}
		p.streams = append(p.streams, r.int8())
		e.event.Version, e.event.ID, e.newest = journal.Version(r.int8()), r.id(), r.id()
		found = append(found, e)
		p.events = append(p.events, e.event)
	})
	if err == nil {
		err = s.name(ctx, c, p)
	}
	if err != nil {
		return false, err
	}
	for i := range found {
		e := &p.events[i]
		if e.Stream == "" {
			a.Breach("position %d: its stream %d has no name", e.Position, p.streams[i])
		}
		a.Event(e.Stream, e.Version, e.Position, e.ID)
		if h := a.Found(e.Stream); h.Newest != found[i].newest {
			a.Breach("stream %s: version %d says that the greatest id is %s, it is %s",
				e.Stream, e.Version, found[i].newest, h.Newest)
		}
	}
	return len(found) == verifyPage, nil
}

// verifyStreams compares the ends of streams, as the index of versions has them, with the events. It returns the
// id to go on after, or -1 after the last.
func (s *store) verifyStreams(ctx context.Context, c *conn, a *plan.Audit, after int64) (next int64, err error) {
	n := 0
	params := c.begin()
	params.int8(after)
	params.int8(verifyPage)
	last := a.Last()
	err = c.run(ctx, s.sql.ends, func(r *row) {
		next = r.int8()
		name := journal.Stream(r.text())
		version, position := journal.Version(r.int8()), journal.Position(r.int8())
		h := a.Found(name)
		switch {
		case position > last: // came meanwhile
		case version == 0:
			a.Breach("stream %s has a name but no events", name)
		case h.Version != version:
			a.Breach("stream %s: its index ends at version %d, its events at %d", name, version, h.Version)
		}
		n++
	})
	if n < verifyPage {
		next = -1
	}
	return next, err
}
