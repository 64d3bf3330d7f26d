// SPDX-License-Identifier: Apache-2.0

// Where the journal is: in a file, in PostgreSQL, or behind a running node.

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/postgres"
	"example.com/vidimus/journal/sqlite"
	"example.com/vidimus/server/remote"
)

// defaultDB is where `vidimus dev` keeps its journal.
const defaultDB = "vidimus-data/main.db"

// where are the flags that name a journal.
type where struct {
	DB     string `name:"db" placeholder:"PATH|URL" help:"The journal: a SQLite file or a postgres:// URL ($VIDIMUS_DB; without it vidimus-data/main.db)."`
	Schema string `name:"db-schema" placeholder:"NAME" help:"Schema of PostgreSQL that the journal is kept in; without it vidimus."`
	Server string `placeholder:"URL" help:"Ask this running node instead ($VIDIMUS_SERVER)."`
	Token  string `placeholder:"TOKEN" help:"API token for --server; better in $VIDIMUS_TOKEN, where other users do not see it."`
	Plain  bool   `help:"Allow the token to go over http to another machine, where everybody on the way can read it."`
	Cell   string `placeholder:"NAME" help:"Cell of the node, where it has several."`
}

// book is a journal, here or behind a node: a *journal.Log or a *remote.Log.
type book interface {
	Commit(ctx context.Context, u journal.Unit) (journal.Result, error)
	CommitMany(ctx context.Context, units []journal.Unit) ([]journal.Outcome, error)
	Read(ctx context.Context, o journal.ReadOptions) iter.Seq2[journal.Event, error]
	ReadStream(ctx context.Context, s journal.Stream, o *journal.StreamOptions) iter.Seq2[journal.Event, error]
	Follow(ctx context.Context, o journal.FollowOptions) iter.Seq2[journal.Frame, error]
	Checkpoint(ctx context.Context, consumer string) (journal.Checkpoint, journal.Version, error)
	Head(ctx context.Context) (journal.Checkpoint, error)
	Stat(ctx context.Context) (journal.Stat, error)
	Verify(ctx context.Context, progress func(journal.Position)) ([]string, error)
	Renew(ctx context.Context) (journal.Checkpoint, error)
	Close() error
}

// settle fills in what the flags leave to the environment.
func (w *where) settle(a *app) error {
	if w.DB != "" && w.Server != "" {
		return usage("--server", "cannot be joined with --db; a node has its own journal")
	}
	if w.DB == "" {
		w.Server = cmp.Or(w.Server, a.getenv("VIDIMUS_SERVER"))
	}
	if w.Server == "" {
		w.DB = cmp.Or(w.DB, a.getenv("VIDIMUS_DB"), defaultDB)
		if w.Token != "" || w.Cell != "" {
			return usage("--server", "is missing; --token and --cell go with it")
		}
		return nil
	}
	w.Token = cmp.Or(w.Token, a.getenv("VIDIMUS_TOKEN"))
	return nil
}

// open opens the journal. Only writers may make one that is not there.
func (w *where) open(ctx context.Context, a *app, create bool) (book, error) {
	if err := w.settle(a); err != nil {
		return nil, err
	}
	if w.Server != "" {
		return w.dial()
	}
	return openDB(ctx, w.DB, w.Schema, create)
}

// dial returns the journal behind a node. Whether the node is there is found out by the first call.
func (w *where) dial() (*remote.Log, error) {
	log, err := remote.New(remote.Config{URL: w.Server, Token: w.Token, Cell: w.Cell, Plain: w.Plain})
	if bad, ok := errors.AsType[*journal.InvalidError](err); ok {
		flag := map[string]string{"URL": "--server", "Token": "--token"}[bad.Field]
		return nil, usage(cmp.Or(flag, bad.Field), "%s", strings.Replace(bad.Problem, "or allow it", "or --plain", 1))
	}
	return log, err
}

// openDB opens a journal in a database of one's own. The schema is one of PostgreSQL.
func openDB(ctx context.Context, db, schema string, create bool) (*journal.Log, error) {
	if isPostgres(db) {
		if err := findSchema(ctx, db, cmp.Or(schema, postgres.DefaultSchema), create); err != nil {
			return nil, err
		}
		return postgres.Open(ctx, postgres.Config{URL: db, Schema: schema})
	}
	if schema != "" {
		return nil, usage("--db-schema", "goes with a postgres:// URL; a SQLite file has one journal")
	}
	if strings.Contains(db, "://") {
		return nil, usage("--db", "%q is neither a path nor a postgres:// URL; use --server for a running node", db)
	}
	if err := findFile(ctx, db, create); err != nil {
		return nil, err
	}
	log, err := sqlite.Open(ctx, sqlite.Config{Path: db})
	if errors.Is(err, journal.ErrLocked) {
		return nil, fmt.Errorf("%w; %s", err, whoHas(db))
	}
	return log, err
}

func isPostgres(db string) bool {
	return strings.HasPrefix(db, "postgres://") || strings.HasPrefix(db, "postgresql://")
}

// findFile looks whether the file is there, and makes the default directory for one that may be created.
func findFile(ctx context.Context, path string, create bool) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return usage("--db", "%s is a directory; name the file in it", path)
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return err
	case create && err != nil && path == defaultDB:
		return os.MkdirAll(filepath.Dir(path), 0o700)
	case create:
		return nil
	}
	found, err := sqlite.Exists(ctx, path)
	if err == nil && !found {
		err = fmt.Errorf("%w: there is no journal at %s; name another with --db, make one with `vidimus dev` or "+
			"`vidimus journal append`, or ask a node with --server", journal.ErrNotFound, path)
	}
	return err
}

// findSchema looks whether the database has the journal, unless it may be created. A database that cannot be reached
// is left to those who open it.
func findSchema(ctx context.Context, url, schema string, create bool) error {
	if create {
		return nil
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil
	}
	defer conn.Close(context.WithoutCancel(ctx))
	there := false
	const q = "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)"
	if err := conn.QueryRow(ctx, q, schema).Scan(&there); err != nil || there {
		return nil
	}
	return fmt.Errorf("%w: the database has no journal in schema %s; name another with --db or --db-schema, or make one "+
		"with `vidimus serve` or `vidimus journal append`", journal.ErrNotFound, schema)
}

// addressFile is where a node that has a SQLite file open says how to reach it.
func addressFile(db string) string { return db + ".url" }

// whoHas says how to reach the process that has the file open.
func whoHas(db string) string {
	const addressMax = 1000
	address, err := os.ReadFile(addressFile(db))
	if err != nil || len(address) == 0 || len(address) > addressMax {
		return "if it is a vidimus node, ask it with --server URL"
	}
	return "ask the node that has it with --server " + strings.TrimSpace(string(address))
}
