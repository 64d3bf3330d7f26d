// SPDX-License-Identifier: Apache-2.0

// Package postgres keeps a journal in a PostgreSQL database that several processes write to at once.
//
// [Open] creates what it needs in a schema of its own and brings it up to date. Any number of nodes may have the same
// journal open; none needs a lease for that. A batch of units is one call of one function in one transaction: it takes
// the sequencing lock, checks what the node believed against what others did since, and inserts. Nothing is updated on
// that way but records, so an open snapshot elsewhere in the cluster (a report, a dump, a forgotten psql) costs
// nothing.
//
// Events can also be appended in a transaction of your own, so that they are committed together with your rows: see
// [Tx], and [Error] for what COMMIT returns. Plain SQL does it with
//
//	SELECT vidimus.append('order-42', 3, 'order.paid', '{"amount": 12}');
//
// A transaction must not be prepared for two-phase commit after that; PostgreSQL refuses it.
//
// PostgreSQL 13 or later is needed, with the encoding UTF8. A pooler such as PgBouncer in transaction mode may stand in
// between: it is noticed, and nothing of a session is used then. Followers are told of events at once where LISTEN
// works, and find them by polling otherwise.
//
// Events and stream names can only be inserted; triggers refuse everything else. Nobody but the owner may do anything
// until it is granted. A node that does not own the schema needs
//
//	GRANT USAGE ON SCHEMA vidimus TO node;
//	GRANT SELECT ON ALL TABLES IN SCHEMA vidimus TO node;
//	GRANT EXECUTE ON FUNCTION vidimus.commit, vidimus.heads, vidimus.violation, vidimus.renew TO node;
//
// and a role that appends in its own transactions
//
//	GRANT USAGE ON SCHEMA vidimus TO app;
//	GRANT EXECUTE ON FUNCTION vidimus.append, vidimus.stage, vidimus.new_id TO app;
//
// Who may execute these may append to any stream; it is for the nodes to tell users apart.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"example.com/vidimus/journal"
)

// DefaultSchema is the schema that a journal is kept in where none is named.
const DefaultSchema = "vidimus"

// Config says where the journal is.
type Config struct {
	// URL of the database, as postgres://user:password@host:5432/database or as key=value pairs. Name all hosts of a
	// cluster and add target_session_attrs=read-write to find the primary after a failover.
	URL string
	// Schema that the journal is kept in; "" is [DefaultSchema]. Each schema is a journal of its own.
	Schema string
	// Readers bounds the connections that read; 0 is 8. Writing takes one more, waiting for events another.
	Readers int
	// Poll is how often a node that waits for events looks for those that it was not told of; 0 is 250 ms.
	Poll time.Duration
}

// Limits and defaults.
const (
	readersDefault = 8
	readersMax     = 1000
	pollDefault    = 250 * time.Millisecond
	pollMin        = time.Millisecond
	versionMin     = 130000
	schemaMax      = 63
)

// store is a journal in a database. It implements [journal.Store].
type store struct {
	pool    *pool
	sql     statements
	poll    time.Duration
	log     string
	backend string
	epoch   atomic.Int64 // under which this node writes
	writer  writer
	news    news
	names   names
	weight  atomic.Int64 // bytes of an event, as last seen by readers
}

// Open opens a journal, and creates or upgrades it where it has to. It returns [journal.ErrInvalid] when the
// configuration breaks a rule or the server is too old, [journal.ErrTooNew] when a newer release wrote the journal,
// and [journal.ErrUnavailable] when the database cannot be reached or written to. The log is safe for concurrent use;
// it opens connections when it needs them, and gets over a server that goes away and returns.
func Open(ctx context.Context, c Config) (*journal.Log, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	p, err := newPool(c.URL, c.Readers)
	if err != nil {
		return nil, err
	}
	s := &store{pool: p, sql: newStatements(c.Schema), poll: c.Poll}
	s.writer.init()
	s.news.init()
	s.names.init()
	p.config.OnNotification = func(_ *pgconn.PgConn, n *pgconn.Notification) { s.news.publish(announced(n)) }
	if err := s.start(ctx, c.Schema, formats()); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return journal.New(s), nil
}

func (c *Config) complete() error {
	if c.URL == "" {
		return &journal.InvalidError{Field: "url", Problem: "is missing; write it as postgres://user@host/database"}
	}
	if c.Schema == "" {
		c.Schema = DefaultSchema
	}
	if err := checkSchema(c.Schema); err != nil {
		return err
	}
	if c.Readers == 0 {
		c.Readers = readersDefault
	}
	if c.Readers < 1 || c.Readers > readersMax {
		return &journal.InvalidError{
			Field: "readers", Problem: fmt.Sprintf("%d is out of range; use 1 to %d, or 0", c.Readers, readersMax),
		}
	}
	if c.Poll == 0 {
		c.Poll = pollDefault
	}
	if c.Poll < pollMin {
		return &journal.InvalidError{
			Field: "poll", Problem: fmt.Sprintf("%v is too short; use at least %v, or 0", c.Poll, pollMin),
		}
	}
	return nil
}

// checkSchema allows names that need no thought when they are typed into psql.
func checkSchema(name string) error {
	ok := len(name) <= schemaMax && !strings.HasPrefix(name, "pg_")
	for i, r := range name {
		ok = ok && (r >= 'a' && r <= 'z' || r == '_' || i > 0 && r >= '0' && r <= '9')
	}
	if !ok {
		return &journal.InvalidError{Field: "schema", Problem: fmt.Sprintf(
			"%q is no name for a schema; use up to %d of a-z, 0-9 and _, not pg_ first", name, schemaMax)}
	}
	return nil
}

// start looks at the server and gets the schema ready.
func (s *store) start(ctx context.Context, schema string, formats []format) error {
	return s.pool.with(ctx, func(c *conn) error {
		if err := s.inspect(ctx, c); err != nil {
			return err
		}
		if err := migrate(ctx, c, schema, formats); err != nil {
			return err
		}
		c.begin()
		return c.once(ctx, s.sql.log, func(r *row) {
			s.log = r.text()
			s.epoch.Store(r.int8())
		})
	})
}

// inspect refuses servers that cannot keep a journal, and finds out whether a pooler stands in between: it makes up
// the process id that a session is told.
func (s *store) inspect(ctx context.Context, c *conn) error {
	var version, pid int
	var standby bool
	var encoding string
	c.begin()
	err := c.once(ctx, "select current_setting('server_version_num')::int, pg_backend_pid(), pg_is_in_recovery(), "+
		"current_setting('server_encoding'), current_setting('server_version')", func(r *row) {
		version, pid, standby, encoding, s.backend = r.int4(), r.int4(), r.bool(), r.text(), "PostgreSQL "+r.text()
	})
	switch {
	case err != nil:
		return err
	case version < versionMin:
		return &journal.InvalidError{Field: "server", Problem: s.backend + " is too old; 13 or later is needed"}
	case encoding != "UTF8":
		return &journal.InvalidError{Field: "server", Problem: "the database has the encoding " + encoding +
			"; create one with ENCODING 'UTF8' TEMPLATE template0"}
	case standby:
		return fmt.Errorf("%w: the server is a standby; connect to the primary", journal.ErrUnavailable)
	}
	if uint32(pid) != c.PID() {
		s.pool.pooled = true
		c.prepared = nil
		return nil
	}
	s.pool.setup = sessionSetup
	return c.script(ctx, sessionSetup)
}

// Head implements [journal.Store]. It asks the primary, and so sees every commit that was answered before.
func (s *store) Head(ctx context.Context) (journal.Checkpoint, error) {
	var at journal.Checkpoint
	standby := false
	err := s.pool.with(ctx, func(c *conn) error {
		c.begin()
		return c.run(ctx, s.sql.head, func(r *row) {
			at.Log, at.Epoch = r.text(), journal.LogEpoch(r.int8())
			standby = r.bool()
			at.Position, at.ID = journal.Position(r.int8()), r.id()
		})
	})
	if err == nil && standby {
		err = fmt.Errorf("%w: the server is a standby; connect to the primary", journal.ErrUnavailable)
	}
	if err == nil && at.Log != s.log {
		err = fmt.Errorf("%w: this is log %s, the one that was opened is %s; open it again",
			journal.ErrUnavailable, at.Log, s.log)
	}
	return at, err
}

// Renew implements [journal.Store].
func (s *store) Renew(ctx context.Context) (journal.Checkpoint, error) {
	s.writer.mu.Lock()
	defer s.writer.mu.Unlock()
	err := s.pool.with(ctx, func(c *conn) error {
		c.begin()
		return c.once(ctx, s.sql.renew, func(r *row) { s.epoch.Store(r.int8()) })
	})
	if err != nil {
		return journal.Checkpoint{}, err
	}
	s.writer.forget()
	return s.Head(ctx)
}

// Close implements [journal.Store]. It waits for a commit under way.
func (s *store) Close() error {
	s.pool.close()
	s.news.close()
	s.writer.close()
	return nil
}
