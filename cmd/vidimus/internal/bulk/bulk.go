// SPDX-License-Identifier: Apache-2.0

// Package bulk inserts the rows of an event log the plain way, into a bare table, to say what a database can do.
//
// The table has the columns of an event and no index but its primary key, nothing is checked, and as many rows are
// committed at once as an import commits. So it is a bound that no journal on the same database can pass by much.
package bulk

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/ncruces/go-sqlite3"

	"example.com/vidimus/cmd/vidimus/internal/eventlog"
	"example.com/vidimus/cmd/vidimus/internal/importer"
	"example.com/vidimus/internal/chance"
	"example.com/vidimus/internal/clock"
)

// Result is what was measured, from the first event read to the last commit.
type Result struct {
	Rows int64
	Took time.Duration
	// How says in words what was done.
	How string
}

// table is a bare table that rows go into.
type table interface {
	// insert commits the items in one transaction, at positions from first.
	insert(ctx context.Context, first int64, items []importer.Item) error
}

// SQLite inserts the rows into a temporary file in the folder, which is removed. The file has the settings of a
// journal. Errors are those of events, of the database and of ctx.
func SQLite(ctx context.Context, folder string, events iter.Seq2[eventlog.Record, error]) (r Result, err error) {
	work, err := os.MkdirTemp(folder, "vidimus-compare-")
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	db, err := sqlite3.OpenContext(ctx, filepath.Join(work, "bulk.db"))
	if err != nil {
		return Result{}, err
	}
	defer db.Close()
	err = db.Exec(`
		PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 1000;
		PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY;
		CREATE TABLE events (
			position INTEGER PRIMARY KEY, stream TEXT NOT NULL, id BLOB NOT NULL, type TEXT NOT NULL,
			schema INTEGER NOT NULL, time INTEGER NOT NULL, data BLOB, meta BLOB, tags TEXT
		) STRICT`)
	if err != nil {
		return Result{}, err
	}
	stmt, _, err := db.Prepare(`INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`)
	if err != nil {
		return Result{}, err
	}
	defer stmt.Close()
	return measure(ctx, &sqliteTable{db, stmt}, "SQLite, prepared INSERT, WAL, synchronous=FULL", events)
}

// Postgres inserts the rows into a table of a schema of its own, which is dropped. Errors are those of events, of the
// database and of ctx.
func Postgres(ctx context.Context, url string, events iter.Seq2[eventlog.Record, error]) (r Result, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return Result{}, err
	}
	schema := pgx.Identifier{"vidimus_compare_" + chance.Short()}
	defer func() {
		const patience = 30 * time.Second
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		_, dropErr := conn.Exec(ending, "DROP SCHEMA IF EXISTS "+schema.Sanitize()+" CASCADE")
		err = errors.Join(err, dropErr, conn.Close(ending))
	}()
	_, err = conn.Exec(ctx, fmt.Sprintf(`
		CREATE SCHEMA %[1]s;
		CREATE TABLE %[1]s.events (
			position bigint PRIMARY KEY, stream text NOT NULL, id uuid NOT NULL, type text NOT NULL,
			schema integer NOT NULL, time timestamptz NOT NULL, data bytea, meta bytea, tags text[]
		)`, schema.Sanitize()))
	if err != nil {
		return Result{}, err
	}
	to := &postgresTable{conn, pgx.Identifier{schema[0], "events"}}
	return measure(ctx, to, "PostgreSQL, COPY, one transaction each 4,000 rows", events)
}

func measure(ctx context.Context, t table, how string, events iter.Seq2[eventlog.Record, error]) (Result, error) {
	r := Result{How: how}
	began := clock.Now()
	err := importer.Feed(ctx, events, func(items []importer.Item) error {
		if err := t.insert(ctx, r.Rows+1, items); err != nil {
			return err
		}
		r.Rows += int64(len(items))
		return nil
	})
	r.Took = clock.Since(began)
	return r, err
}

type sqliteTable struct {
	db   *sqlite3.Conn
	stmt *sqlite3.Stmt
}

func (t *sqliteTable) insert(_ context.Context, first int64, items []importer.Item) (err error) {
	tx, err := t.db.BeginImmediate()
	if err != nil {
		return err
	}
	defer tx.End(&err)
	for i := range items {
		e := &items[i].Event
		err := errors.Join(
			t.stmt.BindInt64(1, first+int64(i)), t.stmt.BindText(2, string(items[i].Stream)),
			t.stmt.BindBlob(3, e.ID[:]), t.stmt.BindText(4, e.Type), t.stmt.BindInt(5, e.Schema),
			t.stmt.BindInt64(6, e.Time.UnixMicro()), t.stmt.BindBlob(7, e.Data), t.stmt.BindBlob(8, e.Meta),
			t.stmt.BindText(9, strings.Join(e.Tags, "\n")),
		)
		if err == nil {
			err = errors.Join(t.stmt.Exec(), t.stmt.Reset())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

type postgresTable struct {
	conn *pgx.Conn
	name pgx.Identifier
}

func (t *postgresTable) insert(ctx context.Context, first int64, items []importer.Item) error {
	columns := []string{"position", "stream", "id", "type", "schema", "time", "data", "meta", "tags"}
	rows := pgx.CopyFromSlice(len(items), func(i int) ([]any, error) {
		e := &items[i].Event
		return []any{
			first + int64(i), string(items[i].Stream), [16]byte(e.ID), e.Type, int32(e.Schema), e.Time,
			e.Data, e.Meta, e.Tags,
		}, nil
	})
	// A COPY that is cut off takes the connection with it, and then the schema cannot be dropped.
	_, err := t.conn.CopyFrom(context.WithoutCancel(ctx), t.name, columns, rows)
	return err
}
