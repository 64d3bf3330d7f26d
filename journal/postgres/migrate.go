// SPDX-License-Identifier: Apache-2.0

// Bringing the schema up to date, forwards only.

package postgres

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"example.com/vidimus/internal/chance"
	"example.com/vidimus/journal"
)

//go:embed migrations/*.sql
var migrations embed.FS

// format is a step of the schema: the n-th makes format n out of format n-1.
type format struct {
	name string
	sql  string
}

// formats returns the steps in their order.
func formats() []format {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		panic("postgres: " + err.Error())
	}
	steps := make([]format, 0, len(files))
	for _, name := range files {
		sql, err := migrations.ReadFile(name)
		if err != nil {
			panic("postgres: " + err.Error())
		}
		steps = append(steps, format{name: name, sql: string(sql)})
	}
	return steps
}

// migrate applies the steps that the schema lacks, in one transaction. Nodes that start together do it one after
// another; a schema that is up to date is left alone.
func migrate(ctx context.Context, c *conn, schema string, steps []format) error {
	at, err := formatOf(ctx, c, schema)
	if err != nil || at == len(steps) {
		return err
	}
	if at > len(steps) {
		return fmt.Errorf("%w: schema %s has format %d, this program knows up to %d; run a newer release",
			journal.ErrTooNew, schema, at, len(steps))
	}
	if err := upgrade(ctx, c, schema, steps); err != nil {
		c.discard() // the transaction goes with it
		return err
	}
	return nil
}

func upgrade(ctx context.Context, c *conn, schema string, steps []format) error {
	begin := fmt.Sprintf("begin; set local statement_timeout = 0; select pg_advisory_xact_lock(%d)",
		lockKey("migrate", schema))
	if err := c.script(ctx, begin); err != nil {
		return err
	}
	at, err := formatOf(ctx, c, schema)
	if err != nil {
		return err
	}
	if err := createSchema(ctx, c, schema); err != nil {
		return err
	}
	for ; at < len(steps); at++ {
		if err := c.script(ctx, fill(steps[at].sql, schema)); err != nil {
			return fmt.Errorf("%s: %w", steps[at].name, err)
		}
		if err := setFormat(ctx, c, schema, at+1); err != nil {
			return err
		}
	}
	return c.script(ctx, "commit")
}

// createSchema needs the right to create schemas only where there is none yet.
func createSchema(ctx context.Context, c *conn, schema string) error {
	exists := false
	c.begin().text(schema)
	err := c.once(ctx, "select exists (select from pg_namespace where nspname = $1)", func(r *row) { exists = r.bool() })
	if err != nil || exists {
		return err
	}
	return c.script(ctx, fill("create schema {{schema}}", schema))
}

func setFormat(ctx context.Context, c *conn, schema string, to int) error {
	p := c.begin()
	p.text(chance.Short())
	p.int4(to)
	return c.once(ctx, fill(`insert into {{schema}}.log as l (id, format) values ($1, $2)
		on conflict (one) do update set format = excluded.format`, schema), nil)
}

// formatOf returns the format of the schema, 0 where there is none. It reads the catalog as a table: to_regclass may
// answer from a cache that has not heard of what was committed while this transaction waited for the lock.
func formatOf(ctx context.Context, c *conn, schema string) (at int, err error) {
	exists := false
	c.begin().text(schema)
	err = c.once(ctx, "select exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace "+
		"where n.nspname = $1 and c.relname = 'log')", func(r *row) { exists = r.bool() })
	if err != nil {
		return 0, err
	}
	if !exists {
		return 0, nil
	}
	c.begin()
	err = c.once(ctx, fill("select format from {{schema}}.log", schema), func(r *row) { at = r.int4() })
	return at, err
}
