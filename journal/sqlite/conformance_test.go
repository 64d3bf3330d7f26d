// SPDX-License-Identifier: Apache-2.0

// The suite of all stores, run on a file.

package sqlite_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	_ "github.com/ncruces/go-sqlite3/driver"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/journaltest"
	"example.com/vidimus/journal/sqlite"
)

func TestStoreKeepsEveryPromise(t *testing.T) {
	t.Parallel()
	journaltest.Run(t, func(t testing.TB) journaltest.Harness {
		path := filepath.Join(t.TempDir(), "journal.db")
		return journaltest.Harness{
			Open:    func(t testing.TB) *journal.Log { return open(t, path) },
			Reopens: true,
			Seeds:   seeds(),
			Tx: &journaltest.Transactions{
				Isolations: []string{"immediate", "deferred"},
				Exclusive:  true,
				Do: func(ctx context.Context, log *journal.Log, isolation string, fn func(journaltest.Tx) error) error {
					return do(ctx, log, dsn(path, isolation), fn)
				},
				Rows: func(t testing.TB) []string { return rows(t, path) },
			},
			Hold: func(t testing.TB) (release func()) { return hold(t, path) },
		}
	})
}

// seeds is how many random histories to try; a long run asks for more.
func seeds() int {
	if os.Getenv("VIDIMUS_SOAK") != "" {
		return 300
	}
	return 3
}

func open(t testing.TB, path string) *journal.Log {
	t.Helper()
	log, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func dsn(path, isolation string) string {
	if isolation == "deferred" {
		return "file:" + path + "?_pragma=busy_timeout(5000)&_pragma=synchronous(full)"
	}
	return sqlite.DSN(path)
}

func do(ctx context.Context, log *journal.Log, dsn string, fn func(journaltest.Tx) error) error {
	db, err := sql.Open("sqlite3", dsn)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS seats(name TEXT NOT NULL)"); err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := fn(userTx{tx, sqlite.Tx(log, tx)}); err != nil {
		_ = tx.Rollback()
		return err
	}
	return tx.Commit()
}

type userTx struct {
	tx     *sql.Tx
	events *sqlite.Transaction
}

func (u userTx) Add(ctx context.Context, unit journal.Unit) error {
	_, err := u.events.Add(ctx, unit)
	return err
}

func (u userTx) Insert(ctx context.Context, row string) error {
	_, err := u.tx.ExecContext(ctx, "INSERT INTO seats VALUES(?)", row)
	return err
}

func rows(t testing.TB, path string) (out []string) {
	t.Helper()
	db, err := sql.Open("sqlite3", sqlite.DSN(path))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE IF NOT EXISTS seats(name TEXT NOT NULL)"); err != nil {
		t.Fatal(err)
	}
	found, err := db.QueryContext(t.Context(), "SELECT name FROM seats")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = found.Close() }()
	for found.Next() {
		var name string
		if err := found.Scan(&name); err != nil {
			t.Fatal(err)
		}
		out = append(out, name)
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// hold begins a transaction that reads, and keeps it open.
func hold(t testing.TB, path string) (release func()) {
	t.Helper()
	db, err := sql.Open("sqlite3", dsn(path, "deferred"))
	if err != nil {
		t.Fatal(err)
	}
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := tx.QueryRowContext(t.Context(), "SELECT count(*) FROM sqlite_schema").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return func() {
		_ = tx.Rollback()
		_ = db.Close()
	}
}
