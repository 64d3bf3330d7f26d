// SPDX-License-Identifier: Apache-2.0

// Reading the journal in the order of positions.

package sqlite

import (
	"context"
	"math"

	"example.com/vidimus/journal"
)

const (
	scanned     = 10_000 // events that one step of a filtered read looks at
	scannedTags = 2_000  // entries of a tag that it looks at
)

// Head implements [journal.Store].
func (s *store) Head(ctx context.Context) (at journal.Checkpoint, err error) {
	err = s.reading(ctx, func(c *conn) error {
		at, err = readHead(c)
		return err
	})
	return at, err
}

func readHead(c *conn) (at journal.Checkpoint, err error) {
	const q = "SELECT l.log, l.epoch, max(l.high, coalesce(e.position, 0)), e.position, e.id FROM journal_log l " +
		"LEFT JOIN journal_events e ON e.position = (SELECT max(position) FROM journal_events)"
	err = c.query(q, nil, func(r row) error {
		at.Log, at.Epoch, at.Position = r.text(0), journal.LogEpoch(r.int(1)), journal.Position(r.int(2))
		if r.int(3) == r.int(2) {
			copy(at.ID[:], r.bytes(4))
		}
		return nil
	})
	return at, err
}

// Read implements [journal.Store].
func (s *store) Read(ctx context.Context, q journal.Query) (page journal.Page, err error) {
	err = s.reading(ctx, func(c *conn) error {
		return c.snapshot(func() error {
			page, err = readPage(c, q)
			return err
		})
	})
	return page, err
}

// span is a range of positions, both ends in it.
type span struct{ first, last int64 }

func readPage(c *conn, q journal.Query) (page journal.Page, err error) {
	page.Through = q.After
	if q.Backwards {
		page.Through = q.Before
	}
	all, err := wholeSpan(c, q)
	if err != nil || all.last == 0 {
		return page, err
	}
	step, err := oneStep(c, q, all)
	if err != nil {
		return page, err
	}
	full, err := readSpan(c, q, step)
	if err != nil {
		return page, err
	}
	end := step.last
	if q.Backwards {
		end = step.first
	}
	if full {
		end = int64(c.page.last().Position)
	}
	page.Events = c.page.finish()
	if err := through(c, &page, end, q.Backwards); err != nil {
		return page, err
	}
	page.More = int64(page.Through) < all.last
	if q.Backwards {
		page.More = int64(page.Through) > all.first
	}
	return page, nil
}

// wholeSpan returns the first and the last position in the query's range that have an event, zeros if none has.
func wholeSpan(c *conn, q journal.Query) (all span, err error) {
	before := int64(q.Before)
	if before == 0 {
		before = math.MaxInt64
	}
	const text = "SELECT (SELECT min(position) FROM journal_events WHERE position > ?1 AND position < ?2), " +
		"(SELECT max(position) FROM journal_events WHERE position > ?1 AND position < ?2)"
	err = c.query(text, []any{int64(q.After), before}, func(r row) error {
		all = span{r.int(0), r.int(1)}
		return nil
	})
	return all, err
}

// oneStep bounds what is looked at.
func oneStep(c *conn, q journal.Query, all span) (span, error) {
	if len(q.Filter) == 0 {
		return all, nil
	}
	if tags := leadingTags(q.Filter); tags != nil {
		return taggedStep(c, tags, q.Backwards, all)
	}
	if q.Backwards {
		all.first = max(all.first, all.last-scanned+1)
	} else {
		all.last = min(all.last, all.first+scanned-1)
	}
	return all, nil
}

// leadingTags returns the first tag of each match, nil if a match has none.
func leadingTags(f journal.Filter) []string {
	tags := make([]string, len(f))
	for i := range f {
		if len(f[i].Tags) == 0 {
			return nil
		}
		tags[i] = f[i].Tags[0]
	}
	return tags
}

// taggedStep bounds the range so that no tag has more than scannedTags entries in it.
func taggedStep(c *conn, tags []string, backwards bool, all span) (span, error) {
	text := "SELECT position FROM journal_tags WHERE tag = ? AND position BETWEEN ? AND ? " +
		"ORDER BY position LIMIT 1 OFFSET ?"
	if backwards {
		text = "SELECT position FROM journal_tags WHERE tag = ? AND position BETWEEN ? AND ? " +
			"ORDER BY position DESC LIMIT 1 OFFSET ?"
	}
	for _, tag := range tags {
		err := c.query(text, []any{tag, all.first, all.last, scannedTags}, func(r row) error {
			if backwards {
				all.first = r.int(0)
			} else {
				all.last = r.int(0)
			}
			return nil
		})
		if err != nil {
			return span{}, err
		}
	}
	return all, nil
}

// readSpan fills the connection's page with what fits the filter. Full says that it ended before the span did.
func readSpan(c *conn, q journal.Query, step span) (full bool, err error) {
	c.page.reset()
	each := func(r row) error {
		c.page.add(r.(stmtRow).Stmt)
		if full = len(c.page.events) == q.Limit || c.page.size() > q.Bytes; full {
			return errEnough
		}
		return nil
	}
	order := " ORDER BY e.position"
	if q.Backwards {
		order += " DESC"
	}
	const text = "SELECT " + eventColumns + " FROM journal_events e WHERE e.position BETWEEN ? AND ?"
	args := []any{step.first, step.last}
	if len(q.Filter) == 0 {
		return full, c.query(text+order, args, each)
	}
	filtered := text
	if tags := leadingTags(q.Filter); tags != nil {
		filtered += " AND e.position IN ("
		for i, tag := range tags {
			if i > 0 {
				filtered += " UNION ALL "
			}
			filtered += "SELECT position FROM journal_tags WHERE tag = ? AND position BETWEEN ? AND ?"
			args = append(args, tag, step.first, step.last)
		}
		filtered += ")"
	}
	test, more := filterTest(q.Filter)
	err = c.once(filtered+" AND "+test+order, append(args, more...), each)
	return full, err
}

// through notes the last event that was looked at: the one at end, or the next before it in the order of reading.
func through(c *conn, page *journal.Page, end int64, backwards bool) error {
	if n := len(page.Events); n > 0 && int64(page.Events[n-1].Position) == end {
		page.Through, page.ThroughID = page.Events[n-1].Position, page.Events[n-1].ID
		return nil
	}
	text := "SELECT position, id FROM journal_events WHERE position <= ? ORDER BY position DESC LIMIT 1"
	if backwards {
		text = "SELECT position, id FROM journal_events WHERE position >= ? ORDER BY position LIMIT 1"
	}
	return c.query(text, []any{end}, func(r row) error {
		page.Through = journal.Position(r.int(0))
		copy(page.ThroughID[:], r.bytes(1))
		return nil
	})
}
