// SPDX-License-Identifier: Apache-2.0

// Reading records.

package postgres

import (
	"context"
	"slices"
	"strings"
	"unicode/utf8"

	"example.com/vidimus/journal"
)

// Record implements [journal.Store].
func (s *store) Record(ctx context.Context, kind, key string) (journal.Record, error) {
	if !storable(kind) || !storable(key) {
		return journal.Record{}, journal.ErrNotFound
	}
	var found []journal.Record
	err := s.pool.with(ctx, func(c *conn) error {
		p := c.begin()
		p.text(kind)
		p.text(key)
		found = nil
		return c.run(ctx, s.sql.record, func(r *row) { found = append(found, readRecord(kind, r)) })
	})
	if err != nil {
		return journal.Record{}, err
	}
	if len(found) == 0 {
		return journal.Record{}, journal.ErrNotFound
	}
	return found[0], nil
}

// Records implements [journal.Store].
func (s *store) Records(ctx context.Context, q journal.RecordQuery) ([]journal.Record, error) {
	if !storable(q.Prefix) || !storable(q.After) {
		return nil, &journal.InvalidError{
			Field: "prefix", Problem: "and after must be UTF-8 without control characters, as keys are",
		}
	}
	var found []journal.Record
	err := s.pool.with(ctx, func(c *conn) error {
		p := c.begin()
		p.text(q.Kind)
		p.text(q.Prefix)
		p.text(behind(q.Prefix))
		sql := s.sql.byKey
		if q.DueBy.IsZero() {
			p.text(q.After)
		} else {
			p.time(q.DueBy)
			sql = s.sql.byDue
		}
		p.int8(int64(q.Limit))
		found = nil
		return c.run(ctx, sql, func(r *row) { found = append(found, readRecord(q.Kind, r)) })
	})
	return found, err
}

func readRecord(kind string, r *row) journal.Record {
	return journal.Record{
		Kind: kind, Key: r.text(), Version: journal.Version(r.int8()), Due: r.time(), Value: slices.Clone(r.next()),
	}
}

// storable reports whether PostgreSQL can store a text. What it cannot store is not there.
func storable(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// behind returns a text that sorts behind all keys that begin with prefix, and before all others behind them.
func behind(prefix string) string {
	for prefix != "" {
		r, size := utf8.DecodeLastRuneInString(prefix)
		prefix = prefix[:len(prefix)-size]
		switch {
		case r == utf8.MaxRune:
			continue
		case r == 0xd7ff: // surrogates are no text
			r = 0xdfff
		}
		return prefix + string(r+1)
	}
	return strings.Repeat(string(utf8.MaxRune), journal.MaxName)
}
