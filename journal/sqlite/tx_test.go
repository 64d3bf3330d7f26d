// SPDX-License-Identifier: Apache-2.0

// Events in the application's own transactions.

package sqlite_test

import (
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/journal/sqlite"
)

// openBoth opens a journal and the application's own tables in one file.
func openBoth(t testing.TB) (*journal.Log, *sql.DB) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "app.db")
	log := open(t, path)
	db, err := sql.Open("sqlite3", sqlite.DSN(path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = db.Close(), log.Close() })
	if _, err := db.Exec("CREATE TABLE orders(id TEXT PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	return log, db
}

func begin(t testing.TB, db *sql.DB) *sql.Tx {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

func placed() journal.EventData {
	return journal.EventData{ID: journal.NewID(), Type: "order.placed", Tags: []string{"order:1"}}
}

func TestTransactionsOfTheApplicationKeepAllTheRules(t *testing.T) {
	t.Parallel()
	log, db := openBoth(t)
	ctx := t.Context()
	first := placed()
	for round := range 200 { // as many commits of each kind, so that each must learn of the other's
		expect := journal.Exactly(journal.Version(2 * round))
		tx := begin(t, db)
		e := placed()
		res, err := sqlite.Tx(log, tx).Append(ctx, "order-1", expect, e)
		if err != nil || res.Versions[0] != journal.Version(2*round+1) {
			t.Fatalf("round %d: %+v, %v", round, res, err)
		}
		if round%3 == 0 {
			if again, err := sqlite.Tx(log, tx).Append(ctx, "order-1", expect, e); err != nil || !again.Duplicate {
				t.Fatalf("the same in one transaction: %+v, %v", again, err)
			}
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			first = e
		}
		if _, err := log.Append(ctx, "order-1", journal.Exactly(journal.Version(2*round+1)), placed()); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
	tx := begin(t, db)
	if again, err := sqlite.Tx(log, tx).Append(ctx, "order-1", journal.None, first); err != nil || !again.Duplicate {
		t.Fatalf("retry in another transaction: %+v, %v", again, err)
	}
	_, err := sqlite.Tx(log, tx).Append(ctx, "order-1", journal.None, placed())
	if !errors.Is(err, journal.ErrConflict) {
		t.Fatalf("wrong expectation: got %v, want ErrConflict", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if breaches, err := log.Verify(ctx, nil); err != nil || len(breaches) > 0 {
		t.Fatalf("verify: %q, %v", breaches, err)
	}
}

func TestNothingOfARolledBackTransactionSticks(t *testing.T) {
	t.Parallel()
	log, db := openBoth(t)
	ctx := t.Context()
	tx := begin(t, db)
	if _, err := tx.Exec("INSERT INTO orders VALUES('1')"); err != nil {
		t.Fatal(err)
	}
	kept, dropped := placed(), placed()
	joined := sqlite.Tx(log, tx)
	if _, err := joined.Append(ctx, "order-1", journal.None, kept); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec("SAVEPOINT half"); err != nil {
		t.Fatal(err)
	}
	if _, err := joined.Append(ctx, "order-1", journal.Exactly(1), dropped); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec("ROLLBACK TO half"); err != nil {
		t.Fatal(err)
	}
	res, err := joined.Append(ctx, "order-1", journal.Exactly(1), placed())
	if err != nil || res.Versions[0] != 2 || res.Position != 2 {
		t.Fatalf("after rolling back half: %+v, %v", res, err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	res, err = log.Append(ctx, "order-1", journal.None, kept)
	if err != nil || res.Duplicate || res.Position != 1 {
		t.Fatalf("after rolling back all: %+v, %v", res, err)
	}
}

func TestFollowersSeeTransactionsOfTheApplication(t *testing.T) {
	t.Parallel()
	log, db := openBoth(t)
	for i := range 3 {
		tx := begin(t, db)
		if _, err := sqlite.Tx(log, tx).Append(t.Context(), "order-1", journal.Any, placed()); err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		if err := log.Store().Wait(t.Context(), journal.Position(i)); err != nil { // ends when it is seen
			t.Fatal(err)
		}
	}
}

func TestTransactionsThatCannotKeepThePromisesAreRefused(t *testing.T) {
	t.Parallel()
	log, db := openBoth(t)
	other, otherDB := openBoth(t)
	lax, err := sql.Open("sqlite3", "file:"+filepath.Join(t.TempDir(), "none.db")+"?_pragma=synchronous(normal)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lax.Close() })
	for _, c := range []struct {
		name string
		log  *journal.Log
		tx   *sql.Tx
		says string
	}{
		{"another journal's file", log, begin(t, otherDB), "is on a file with journal"},
		{"a file without a journal", log, begin(t, lax), "no journal"},
		{"a log of another kind", mem.Open(), begin(t, db), "sqlite.Open"},
	} {
		_, err := sqlite.Tx(c.log, c.tx).Append(t.Context(), "order-1", journal.Any, placed())
		if !errors.Is(err, journal.ErrInvalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want ErrInvalid saying %q", c.name, err, c.says)
		}
		_ = c.tx.Rollback()
	}
	if _, err := db.Exec("PRAGMA synchronous = NORMAL"); err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	tx := begin(t, db)
	if _, err := sqlite.Tx(log, tx).Append(t.Context(), "order-1", journal.Any, placed()); err == nil ||
		!strings.Contains(err.Error(), "synchronous") {
		t.Errorf("a connection that may lose commits: got %v", err)
	}
	_ = tx.Rollback()
	_ = other.Close()
	tx = begin(t, otherDB)
	if _, err := sqlite.Tx(other, tx).Append(t.Context(), "a", journal.Any, placed()); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("a closed log: got %v, want ErrClosed", err)
	}
	_ = tx.Rollback()
}
