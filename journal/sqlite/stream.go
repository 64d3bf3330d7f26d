// SPDX-License-Identifier: Apache-2.0

// Reading one stream along the chain of its events.

package sqlite

import (
	"context"
	"fmt"
	"slices"

	"github.com/ncruces/go-sqlite3"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/internal/plan"
)

// ReadStream implements [journal.Store].
func (s *store) ReadStream(ctx context.Context, q journal.StreamQuery) (events []journal.Event, err error) {
	err = s.reading(ctx, func(c *conn) error {
		if err := s.catchUp(c); err != nil {
			return err
		}
		// Only now take the snapshot: it has what memory knows, and every end that memory gave to the file.
		h, unsaved := s.unsavedHead(q.Stream)
		return c.snapshot(func() error {
			if !unsaved {
				if h, err = savedHead(c, q.Stream); err != nil {
					return err
				}
			}
			events, err = readStream(c, h, q)
			return err
		})
	})
	return events, err
}

func (s *store) unsavedHead(name journal.Stream) (plan.Head, bool) {
	s.state.Lock()
	defer s.state.Unlock()
	h, ok := s.state.heads.unsaved[name]
	return h, ok
}

// catchUp learns what the file has and the store does not know: the commits of the application's own transactions.
// No transaction may be open on c, for an old snapshot does not fit what memory knows by now.
func (s *store) catchUp(c *conn) error {
	if s.alone {
		return nil
	}
	var last int64
	err := c.query("SELECT max(position) FROM journal_events", nil, func(r row) error {
		last = r.int(0)
		return nil
	})
	if err != nil || last <= s.known.Load() {
		return err
	}
	s.state.Lock()
	defer s.state.Unlock()
	return s.absorb(c)
}

// readStream walks back from the newest event that is asked for to the oldest.
func readStream(c *conn, h plan.Head, q journal.StreamQuery) ([]journal.Event, error) {
	newest := h.Version
	if q.Before > 0 {
		newest = min(newest, q.Before-1)
	}
	if newest <= q.After {
		return nil, nil
	}
	oldest := q.After + 1
	limit := journal.Version(q.Limit)
	if q.Backwards {
		oldest = max(oldest, newest-limit+1)
	} else {
		newest = min(newest, oldest+limit-1)
	}
	at, err := locate(c, h, newest)
	if err != nil {
		return nil, err
	}
	events, err := walk(c, at, int(newest-oldest+1))
	if err != nil {
		return nil, err
	}
	if !q.Backwards {
		slices.Reverse(events)
	}
	return events, nil
}

// locate returns the position of a stream's event at version v: it jumps along the skips while those do not lead too
// far, then steps along the events.
func locate(c *conn, h plan.Head, v journal.Version) (journal.Position, error) {
	const q = "SELECT prev, skip FROM journal_events WHERE position = ?"
	at, version := h.Position, h.Version
	for version > v {
		before := journal.Position(0)
		err := c.query(q, []any{int64(at)}, func(r row) error {
			before, version = journal.Position(r.int(0)), version-1
			if stop := version / plan.Stride * plan.Stride; stop >= v && r.int(1) != 0 {
				before, version = journal.Position(r.int(1)), stop
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
		if before == 0 {
			return 0, brokenChain(at)
		}
		at = before
	}
	return at, nil
}

// walk returns the event at a position and those before it in its stream, n in all.
func walk(c *conn, at journal.Position, n int) ([]journal.Event, error) {
	st, err := c.statement("SELECT " + eventColumns + ", e.prev FROM journal_events e WHERE e.position = ?")
	if err != nil {
		return nil, err
	}
	c.page.reset()
	for range n {
		if err := st.BindInt64(1, int64(at)); err != nil {
			return nil, err
		}
		prev, found := journal.Position(0), st.Step()
		if found {
			c.page.add(st)
			prev = journal.Position(st.ColumnInt64(10))
		}
		if err := st.Reset(); err != nil {
			return nil, err
		}
		if !found {
			return nil, brokenChain(at)
		}
		at = prev
	}
	return c.page.finish(), nil
}

func brokenChain(at journal.Position) error {
	return fmt.Errorf("%w: the chain of a stream is broken at position %d", sqlite3.CORRUPT, at)
}
