// SPDX-License-Identifier: Apache-2.0

// Reading records.

package sqlite

import (
	"context"
	"slices"
	"time"

	"github.com/ncruces/go-sqlite3"

	"example.com/vidimus/journal"
)

const recordColumns = "key, version, due, value"

// Record implements [journal.Store].
func (s *store) Record(ctx context.Context, kind, key string) (rec journal.Record, err error) {
	const q = "SELECT " + recordColumns + " FROM journal_records WHERE kind = ? AND key = ?"
	err = s.reading(ctx, func(c *conn) error {
		found := false
		err := c.query(q, []any{kind, key}, func(r row) error {
			rec, found = readRecord(kind, r), true
			return nil
		})
		if err == nil && !found {
			return journal.ErrNotFound
		}
		return err
	})
	return rec, err
}

func readRecord(kind string, r row) journal.Record {
	rec := journal.Record{Kind: kind, Key: r.text(0), Version: journal.Version(r.int(1))}
	if r.(stmtRow).ColumnType(2) != sqlite3.NULL {
		rec.Due = time.UnixMicro(r.int(2)).UTC()
	}
	if value := r.bytes(3); len(value) > 0 {
		rec.Value = slices.Clone(value)
	}
	return rec
}

// Records implements [journal.Store].
func (s *store) Records(ctx context.Context, q journal.RecordQuery) (out []journal.Record, err error) {
	text := "SELECT " + recordColumns + " FROM journal_records WHERE kind = ? AND key >= ? AND key < ? AND key > ? "
	// No name holds the byte 0xff, so every name with the prefix sorts before this.
	args := []any{q.Kind, q.Prefix, q.Prefix + "\xff", q.After}
	if q.DueBy.IsZero() {
		text += "ORDER BY key LIMIT ?"
	} else {
		text += "AND due IS NOT NULL AND due <= ? ORDER BY due, key LIMIT ?"
		args = append(args, q.DueBy.UnixMicro())
	}
	err = s.reading(ctx, func(c *conn) error {
		return c.query(text, append(args, q.Limit), func(r row) error {
			out = append(out, readRecord(q.Kind, r))
			return nil
		})
	})
	return out, err
}
