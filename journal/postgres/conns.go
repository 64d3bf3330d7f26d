// SPDX-License-Identifier: Apache-2.0

// Connections: a bounded set for readers, and patience with a server that is away.

package postgres

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"example.com/vidimus/internal/chance"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
)

const (
	connectTimeout = 10 * time.Second
	closeTimeout   = time.Second
	backoffMin     = 25 * time.Millisecond
	backoffMax     = 2 * time.Second
)

// conn is one connection, used by one goroutine at a time.
type conn struct {
	*pgconn.PgConn
	params   params
	prepared map[string]*pgconn.StatementDescription // nil behind a pooler, which loses them
}

// pool lends connections. It opens them when they are needed and has no goroutine of its own.
type pool struct {
	config *pgconn.Config
	// pooled: a pooler stands in between, so that a session lasts no longer than a transaction.
	pooled bool
	setup  string // is executed on each new connection
	slots  chan struct{}
	mu     struct {
		sync.Mutex
		idle     []*conn
		closed   bool
		failures int       // in a row
		next     time.Time // no attempt to connect before
	}
}

// sessionSetup makes sessions ours, where they are: nobody else's defaults, and nothing left open.
const sessionSetup = "set default_transaction_isolation = 'read committed'; " +
	"set default_transaction_deferrable = off; set idle_in_transaction_session_timeout = '20s'; set lock_timeout = '20s'"

func newPool(url string, size int) (*pool, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, &journal.InvalidError{Field: "url", Problem: err.Error() +
			"; write it as postgres://user:password@host:5432/database"}
	}
	for name := range config.RuntimeParams {
		if strings.HasPrefix(name, "pool_") { // pgxpool's, for URLs that are shared with it
			delete(config.RuntimeParams, name)
		}
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "vidimus"
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	return &pool{config: &config.Config, slots: make(chan struct{}, size)}, nil
}

// dial opens a connection. After a failure it first waits a little, longer each time, so that a server that is away
// is not run over when it returns.
func (p *pool) dial(ctx context.Context) (*conn, error) {
	p.mu.Lock()
	closed, wait := p.mu.closed, clock.Until(p.mu.next)
	p.mu.Unlock()
	if closed {
		return nil, journal.ErrClosed
	}
	if err := clock.Sleep(ctx, wait); err != nil {
		return nil, err
	}
	c, err := p.connect(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		delay := min(backoffMin<<min(p.mu.failures, 10), backoffMax)
		p.mu.failures++
		p.mu.next = clock.Now().Add(chance.Jitter(delay))
		return nil, err
	}
	p.mu.failures, p.mu.next = 0, time.Time{}
	return c, nil
}

func (p *pool) connect(ctx context.Context) (*conn, error) {
	pg, err := pgconn.ConnectConfig(ctx, p.config)
	if err != nil {
		return nil, err
	}
	c := &conn{PgConn: pg}
	if p.pooled {
		return c, nil
	}
	c.prepared = map[string]*pgconn.StatementDescription{}
	if err := c.script(ctx, p.setup); err != nil {
		c.discard()
		return nil, err
	}
	return c, nil
}

// with lends a connection to read. It calls read a second time, on a new connection, when the first one turns out to
// be broken, as those do that were idle while the server restarted.
func (p *pool) with(ctx context.Context, read func(c *conn) error) error {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	c := p.takeIdle()
	used := c != nil
	for {
		if c == nil {
			var err error
			if c, err = p.dial(ctx); err != nil {
				return p.reading(ctx, err)
			}
		}
		err := read(c)
		p.putBack(c)
		if err == nil {
			return nil
		}
		if !used || !c.IsClosed() || ctx.Err() != nil {
			return p.reading(ctx, err)
		}
		c, used = nil, false
		p.dropIdle()
	}
}

func (p *pool) reading(ctx context.Context, err error) error {
	p.mu.Lock()
	closed := p.mu.closed
	p.mu.Unlock()
	if closed {
		return journal.ErrClosed
	}
	return reading(ctx, err)
}

func (p *pool) takeIdle() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.mu.idle)
	if n == 0 {
		return nil
	}
	c := p.mu.idle[n-1]
	p.mu.idle = p.mu.idle[:n-1]
	return c
}

func (p *pool) putBack(c *conn) {
	p.mu.Lock()
	keep := !p.mu.closed && !c.IsClosed() && c.TxStatus() == 'I'
	if keep {
		p.mu.idle = append(p.mu.idle, c)
	}
	p.mu.Unlock()
	if !keep {
		c.discard()
	}
}

func (p *pool) dropIdle() {
	p.mu.Lock()
	idle := p.mu.idle
	p.mu.idle = nil
	p.mu.Unlock()
	for _, c := range idle {
		c.discard()
	}
}

// close lends no more connections. Those lent are closed when they come back.
func (p *pool) close() {
	p.mu.Lock()
	p.mu.closed = true
	p.mu.Unlock()
	p.dropIdle()
}

// discard closes the connection, politely if that is quick.
func (c *conn) discard() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = c.Close(ctx) // nothing is lost with it
}

// begin empties the parameters for the next statement.
func (c *conn) begin() *params {
	c.params.reset()
	return &c.params
}

// run executes a statement that is used often, with the parameters at hand, and hands each row to each, which may be
// nil. An error before anything was sent is safe to retry in the words of [pgconn.SafeToRetry].
func (c *conn) run(ctx context.Context, sql string, each func(r *row)) error {
	if c.prepared == nil {
		return c.once(ctx, sql, each)
	}
	statement := c.prepared[sql]
	if statement == nil {
		var err error
		name := fmt.Sprintf("vidimus_%d", len(c.prepared))
		if statement, err = c.Prepare(ctx, name, sql, c.params.oids); err != nil {
			return unsent{err}
		}
		c.prepared[sql] = statement
	}
	return rows(c.ExecStatement(ctx, statement, c.params.list(), binaryFormat, binaryFormat), each)
}

// once executes a statement that is planned for these parameters.
func (c *conn) once(ctx context.Context, sql string, each func(r *row)) error {
	return rows(c.ExecParams(ctx, sql, c.params.list(), c.params.oids, binaryFormat, binaryFormat), each)
}

// script executes statements without parameters.
func (c *conn) script(ctx context.Context, sql string) error { return c.Exec(ctx, sql).Close() }

func rows(result *pgconn.ResultReader, each func(r *row)) error {
	var r row
	for result.NextRow() {
		if each != nil {
			r.columns = result.Values()
			each(&r)
		}
	}
	if _, err := result.Close(); err != nil {
		return err
	}
	return r.err
}

// unsent is the error of a statement that was not executed.
type unsent struct{ error }

func (unsent) SafeToRetry() bool { return true }

func (u unsent) Unwrap() error { return u.error }
