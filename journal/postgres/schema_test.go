// SPDX-License-Identifier: Apache-2.0

// Creating and upgrading the schema, and who may do what in it.

//go:build unix

package postgres

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"example.com/vidimus/internal/pgtest"
	"example.com/vidimus/journal"
)

// migrateTo brings a schema to the given formats, as Open does.
func migrateTo(t *testing.T, url string, steps []format) error {
	t.Helper()
	p, err := newPool(url, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	return p.with(t.Context(), func(c *conn) error { return migrate(t.Context(), c, DefaultSchema, steps) })
}

func TestEachFormatIsMadeOutOfTheOneBefore(t *testing.T) {
	t.Parallel()
	steps := formats()
	for first := 1; first <= len(steps); first++ {
		url := pgtest.Open(t)
		if err := migrateTo(t, url, steps[:first]); err != nil {
			t.Fatalf("format %d: %v", first, err)
		}
		log := openLog(t, Config{URL: url})
		appendOne(t, log, "order-1", journal.None)
		sound(t, log)
	}
}

func TestANextFormatIsAppliedAndThenRefusedByThisOne(t *testing.T) {
	t.Parallel()
	url := pgtest.Open(t)
	log := openLog(t, Config{URL: url})
	appendOne(t, log, "order-1", journal.None)
	next := append(formats(), format{name: "next", sql: "alter table {{schema}}.records add column more text"})
	broken := append(formats(), format{name: "broken", sql: "create table {{schema}}.half (); select nonsense"})
	if err := migrateTo(t, url, broken); err == nil {
		t.Fatal("a step that fails was taken for done")
	}
	c := connect(t, url)
	var half *string
	if err := c.QueryRow(t.Context(), "select to_regclass('vidimus.half')::text").Scan(&half); err != nil || half != nil {
		t.Errorf("a step that failed left something: %v, %v", half, err)
	}
	for range 2 {
		if err := migrateTo(t, url, next); err != nil {
			t.Fatal(err)
		}
	}
	appendOne(t, log, "order-1", journal.Exactly(1)) // nodes that have it open go on
	_, err := Open(t.Context(), Config{URL: url})
	if !errors.Is(err, journal.ErrTooNew) || errors.Is(err, journal.ErrUnavailable) {
		t.Errorf("open: got %v, want ErrTooNew", err)
	}
}

func TestOpenRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	at := pgtest.Open(t)
	c := connect(t, at)
	exec(t, c, "drop role if exists nobody; create role nobody login")
	gone, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	gone.Path = "/gone"
	for name, test := range map[string]struct {
		config Config
		want   error
		says   string
	}{
		"no url":       {Config{}, journal.ErrInvalid, "url"},
		"bad url":      {Config{URL: "postgres://%zz"}, journal.ErrInvalid, "url"},
		"bad schema":   {Config{URL: at, Schema: "Robert'); drop"}, journal.ErrInvalid, "schema"},
		"pg_ schema":   {Config{URL: at, Schema: "pg_mine"}, journal.ErrInvalid, "schema"},
		"readers":      {Config{URL: at, Readers: -1}, journal.ErrInvalid, "readers"},
		"poll":         {Config{URL: at, Poll: -1}, journal.ErrInvalid, "poll"},
		"no database":  {Config{URL: gone.String()}, journal.ErrUnavailable, "gone"},
		"nobody there": {Config{URL: "postgres://127.0.0.1:1/x"}, journal.ErrUnavailable, "127.0.0.1"},
		"no rights":    {Config{URL: as(t, at, "nobody")}, journal.ErrUnavailable, "grant"},
	} {
		log, err := Open(t.Context(), test.config)
		if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: got %v, %v; want %v that mentions %q", name, log, err, test.want, test.says)
		}
	}
}

// as returns a URL with another role.
func as(t *testing.T, at, role string) string {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("user", role)
	u.RawQuery = q.Encode()
	return u.String()
}

func TestGrantsAreEnoughAndNotTooMuch(t *testing.T) {
	t.Parallel()
	at := pgtest.Server(t, nil).Database(t)
	openLog(t, Config{URL: at})
	c := connect(t, at)
	exec(t, c, `create role node login; create role app login;
		grant usage on schema vidimus to node, app;
		grant select on all tables in schema vidimus to node;
		grant execute on function vidimus.commit, vidimus.heads, vidimus.violation, vidimus.renew to node;
		grant execute on function vidimus.append, vidimus.stage, vidimus.new_id to app`)
	node := openLog(t, Config{URL: as(t, at, "node")})
	appendOne(t, node, "order-1", journal.None)
	_, err := node.Commit(t.Context(), journal.Unit{
		Appends: []journal.Append{
			{Stream: "order-1", Expect: journal.Exactly(1), Events: []journal.EventData{event("a")}},
		},
		Conditions: []journal.Condition{{After: 1, Filter: journal.Filter{{Tags: []string{"x"}}}}},
		Records:    []journal.RecordWrite{{Kind: "k", Key: "1"}},
	})
	if err != nil {
		t.Error(err)
	}
	if _, err := node.Stat(t.Context()); err != nil {
		t.Error(err)
	}
	sound(t, node)
	if _, err := node.Renew(t.Context()); err != nil {
		t.Error(err)
	}
	app := connect(t, as(t, at, "app"))
	exec(t, app, `select vidimus.append('order-2', 0, 'order.placed', '{}')`)
	for _, forbidden := range []string{
		"insert into vidimus.events (position, stream, version, time, schema, id, type) " +
			"values (99, 1, 99, now(), 1, gen_random_uuid(), 'x')",
		"insert into vidimus.records (kind, key, version) values ('lease', 'mine', 1)",
		"insert into vidimus.staged default values",
		"select * from vidimus.events", "select vidimus.renew()", "select setval('vidimus.positions', 1)",
		"delete from vidimus.streams", "drop table vidimus.events",
	} {
		if _, err := app.Exec(t.Context(), forbidden); code(err) != "42501" {
			t.Errorf("%s: got %v, want it to be refused", forbidden, err)
		}
	}
}

func code(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

func TestEventsCannotBeChangedEvenByTheOwner(t *testing.T) {
	t.Parallel()
	at := pgtest.Open(t)
	log := openLog(t, Config{URL: at})
	appendOne(t, log, "order-1", journal.None)
	c := connect(t, at)
	for _, forbidden := range []string{
		"update vidimus.events set type = 'other'", "delete from vidimus.events", "truncate vidimus.events",
		"update vidimus.streams set name = 'other'", "delete from vidimus.streams", "truncate vidimus.streams",
	} {
		if _, err := c.Exec(t.Context(), forbidden); code(err) != "VD007" {
			t.Errorf("%s: got %v, want it to be refused", forbidden, err)
		}
	}
	sound(t, log)
}

func TestVerifyFindsWhatWasTamperedWith(t *testing.T) {
	t.Parallel()
	at := pgtest.Open(t)
	log := openLog(t, Config{URL: at})
	for v := range journal.Version(3) {
		appendOne(t, log, "order-1", journal.Exactly(v))
	}
	c := connect(t, at)
	exec(t, c, "set session_replication_role = replica") // no triggers
	for _, step := range []struct{ tamper, repair, finds string }{
		{
			"update vidimus.events set version = 9 where position = 2",
			"update vidimus.events set version = 2 where position = 2", "version 9",
		},
		{
			"update vidimus.events set newest = '00000000-0000-0000-0000-000000000001' where position = 3",
			"update vidimus.events set newest = null where position = 3", "greatest id",
		},
		{
			"insert into vidimus.streams values (99, 'lost-1')",
			"delete from vidimus.streams where id = 99", "lost-1",
		},
		{
			"update vidimus.events set stream = 98 where position = 3",
			"update vidimus.events set stream = 1 where position = 3", "no name",
		},
	} {
		exec(t, c, step.tamper)
		breaches, err := log.Verify(t.Context(), nil)
		if err != nil || !strings.Contains(strings.Join(breaches, "\n"), step.finds) {
			t.Errorf("%s: got %q, %v; want a breach about %q", step.tamper, breaches, err, step.finds)
		}
		exec(t, c, step.repair)
	}
	sound(t, log)
}

func TestCommitsAreDurableWhateverTheDefault(t *testing.T) {
	t.Parallel()
	at := pgtest.Open(t)
	c := connect(t, at)
	alter(t, c, "set synchronous_commit = off")
	alter(t, c, "set default_transaction_isolation = serializable")
	log := openLog(t, Config{URL: at})
	appendOne(t, log, "order-1", journal.None)
	tx, err := c.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
	if err != nil {
		t.Fatal(err)
	}
	if err := Tx(tx, "").Append(t.Context(), "order-1", journal.Exactly(1), event("test.tx")); err != nil {
		t.Fatal(err)
	}
	exec(t, tx.Conn(), "set constraints all immediate")
	var setting string
	if err := tx.QueryRow(t.Context(), "show synchronous_commit").Scan(&setting); err != nil || setting != "on" {
		t.Errorf("synchronous_commit is %q, %v; want on", setting, err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Error(Error(err))
	}
}
