// SPDX-License-Identifier: Apache-2.0

// The suite that every store passes, directly and behind a pooler.

// The suite of all stores, run on PostgreSQL, directly and behind a pooler.

//go:build unix

package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"example.com/vidimus/internal/pgtest"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/journaltest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	conform(t, pgtest.Open(t), true)
}

func TestConformanceBehindAPooler(t *testing.T) {
	t.Parallel()
	conform(t, pgtest.Pooler(t, pgtest.Open(t)), false)
}

// conform runs the suite in one database, each case in a schema of its own.
func conform(t *testing.T, url string, transactions bool) {
	t.Helper()
	var last atomic.Int64
	journaltest.Run(t, func(t testing.TB) journaltest.Harness {
		schema := fmt.Sprintf("v%d", last.Add(1))
		open := func(t testing.TB) *journal.Log { return openLog(t, Config{URL: url, Schema: schema}) }
		h := journaltest.Harness{
			Open: open, Second: open, Reopens: true, Seeds: seeds(),
			Hold: func(t testing.TB) func() { return hold(t, url) },
		}
		if transactions {
			h.Tx = userTransactions(t, url, schema)
		}
		return h
	})
}

// seeds is how many random histories to try; a long run asks for more.
func seeds() int {
	if os.Getenv("VIDIMUS_SOAK") != "" {
		return 100
	}
	return 2
}

func openLog(t testing.TB, c Config) *journal.Log {
	t.Helper()
	log, err := Open(t.Context(), c)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return log
}

func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func exec(t testing.TB, c *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := c.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// hold keeps a snapshot open, and with it everything that vacuum would remove.
func hold(t testing.TB, url string) (release func()) {
	t.Helper()
	c := connect(t, url)
	exec(t, c, "begin isolation level repeatable read")
	exec(t, c, "select count(*) from pg_class")
	return func() { _ = c.Close(context.Background()) }
}

// userTransactions are transactions with a table of the user's beside the journal.
func userTransactions(t testing.TB, url, schema string) *journaltest.Transactions {
	t.Helper()
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	config.MaxConns = 4
	config.MaxConnIdleTime, config.HealthCheckPeriod = time.Second, time.Second // a long run makes hundreds of pools
	config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	table := "rows_" + schema
	if _, err := pool.Exec(t.Context(), "create table "+table+" (name text)"); err != nil {
		t.Fatal(err)
	}
	levels := []pgx.TxIsoLevel{pgx.ReadCommitted, pgx.RepeatableRead, pgx.Serializable}
	u := &journaltest.Transactions{
		Snapshot: []string{string(pgx.RepeatableRead), string(pgx.Serializable)},
		Do: func(ctx context.Context, _ *journal.Log, isolation string, fn func(tx journaltest.Tx) error) error {
			tx, err := pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.TxIsoLevel(isolation)})
			if err != nil {
				return err
			}
			if err := fn(&userTx{Transaction: Tx(tx, schema), tx: tx, table: table}); err != nil {
				return errors.Join(err, tx.Rollback(ctx))
			}
			return Error(tx.Commit(ctx))
		},
		Rows: func(t testing.TB) []string {
			rows, err := pool.Query(t.Context(), "select name from "+table)
			if err != nil {
				t.Fatal(err)
			}
			names, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil {
				t.Fatal(err)
			}
			return names
		},
	}
	for _, level := range levels {
		u.Isolations = append(u.Isolations, string(level))
	}
	return u
}

type userTx struct {
	*Transaction
	tx    pgx.Tx
	table string
}

func (u *userTx) Insert(ctx context.Context, row string) error {
	_, err := u.tx.Exec(ctx, "insert into "+u.table+" values ($1)", row)
	return err
}
