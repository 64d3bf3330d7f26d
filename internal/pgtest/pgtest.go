// SPDX-License-Identifier: Apache-2.0

//go:build unix

// Package pgtest lends tests a real PostgreSQL that cannot outlive them.
//
// Open hands a test its own empty database in a server that the whole test process shares. Server hands it a private
// server to stop, kill and start again. Pooler puts PgBouncer in front of a database. Nothing here skips: when the
// programs are missing the test fails and says what to install.
//
// Every server lives in one temporary directory and beside one small watchdog that reads from a pipe held by the test
// process. However that process ends, the pipe closes, and the watchdog stops the server and removes the directory.
//
// Three environment variables steer it: VIDIMUS_PG_BIN names the directory of initdb and postgres, VIDIMUS_PG_URL names
// a running server for Open to use instead of a throw-away one, and VIDIMUS_PG_FSYNC=off trades durability for speed.
package pgtest

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// patience bounds every single thing asked of a server: to start, to stop, to create a database.
const patience = time.Minute

// Open returns the URL of a fresh, empty database that is dropped when the test ends.
// All tests of one process share the server, so parallel tests must not depend on server-wide state; take Server for
// that. It fails the test when PostgreSQL is missing or does not start. Tests may call it from several goroutines.
func Open(t testing.TB) string {
	t.Helper()
	if at := os.Getenv("VIDIMUS_PG_URL"); at != "" {
		return freshDatabase(t, at, func(database string) string { return withDatabase(t, at, database) })
	}
	c, err := shared()
	if err != nil {
		t.Fatalf("start the shared test server: %v", err)
	}
	return c.Database(t)
}

// shared starts the server of this test process once; the watchdog ends it with the process.
var shared = sync.OnceValues(func() (*Cluster, error) { return launch(Options{}) })

// Options shape a private server.
type Options struct {
	// Settings are configuration parameters such as "wal_level": "logical"; they win over this package's own.
	Settings map[string]string
}

// Server starts a server that belongs to this test alone and ends with it. opts may be nil.
// It fails the test when PostgreSQL is missing or does not start.
func Server(t testing.TB, opts *Options) *Cluster {
	t.Helper()
	var o Options
	if opts != nil {
		o = *opts
	}
	c, err := launch(o)
	if err != nil {
		t.Fatalf("start a private test server: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("last lines of the server's log:\n%s", c.home.tail())
		}
		if err := c.close(); err != nil {
			t.Errorf("end the private test server: %v", err)
		}
	})
	return c
}

// Database creates an empty database in the server, drops it when the test ends, and returns its URL over the
// server's socket. It fails the test when the server does not answer.
func (c *Cluster) Database(t testing.TB) string {
	t.Helper()
	return freshDatabase(t, c.DSN("postgres"), c.DSN)
}

// freshDatabase creates a database named after the test through the administrator's URL.
func freshDatabase(t testing.TB, admin string, dsn func(database string) string) string {
	t.Helper()
	name := databaseName(t.Name())
	if err := execute(admin, "create database "+name+" template template0"); err != nil {
		t.Fatalf("create the test's database: %v", err)
	}
	t.Cleanup(func() {
		// A test may leave its server dead; the watchdog removes the files then.
		if err := execute(admin, "drop database if exists "+name+" with (force)"); err != nil {
			t.Logf("drop the test's database: %v", err)
		}
	})
	return dsn(name)
}

// databaseName is unique on the server and still tells a reader of pg_stat_activity which test it is.
func databaseName(test string) string {
	keep := func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}
	base := strings.Map(keep, strings.ToLower(test))
	return fmt.Sprintf("t_%s_%.30s", secret(), base)
}

// execute runs one statement on a connection of its own.
func execute(dsn, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	return err
}
