// SPDX-License-Identifier: Apache-2.0

// Waiting for events, of this node and of others.

package postgres

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
)

// news is what this node knows of how far the journal goes. Those who wait share one connection that listens: the one
// among them who has the turn uses it, and passes the turn on when it has what it waited for.
type news struct {
	turn chan struct{} // holds one token
	mu   struct {
		sync.Mutex
		last   journal.Position
		grown  chan struct{} // closed when last rises
		wake   context.CancelFunc
		closed bool
	}
	// Of the one who has the turn:
	conn   *conn     // listens, unless a pooler stands in between
	looked time.Time // when the database was last asked
}

func (n *news) init() {
	n.turn = make(chan struct{}, 1)
	n.turn <- struct{}{}
	n.mu.grown = make(chan struct{})
}

// publish says that the journal goes up to a position.
func (n *news) publish(at journal.Position) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if at > n.mu.last {
		n.mu.last = at
		n.rouse()
	}
}

// rouse wakes all who wait. The caller holds the lock.
func (n *news) rouse() {
	close(n.mu.grown)
	n.mu.grown = make(chan struct{})
	if n.mu.wake != nil {
		n.mu.wake()
	}
}

// close wakes all who wait, then closes the connection once nobody uses it.
func (n *news) close() {
	n.mu.Lock()
	first := !n.mu.closed
	n.mu.closed = true
	n.rouse()
	n.mu.Unlock()
	if !first {
		return
	}
	<-n.turn
	n.hangUp()
	n.turn <- struct{}{}
}

func (n *news) hangUp() {
	if n.conn != nil {
		n.conn.discard()
		n.conn = nil
	}
}

// wakeBy says how to wake the one who has the turn.
func (n *news) wakeBy(wake context.CancelFunc) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mu.wake = wake
}

// beyond reports whether the journal is known to go beyond a position, and if not, what closes when it grows.
func (n *news) beyond(after journal.Position) (grown chan struct{}, yes bool, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.mu.closed {
		return nil, false, journal.ErrClosed
	}
	return n.mu.grown, n.mu.last > after, nil
}

// Wait implements [journal.Store].
func (s *store) Wait(ctx context.Context, after journal.Position) error {
	for {
		grown, yes, err := s.news.beyond(after)
		if yes || err != nil {
			return err
		}
		select {
		case <-grown:
		case <-s.news.turn:
			err := s.listen(ctx, after)
			s.news.turn <- struct{}{}
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// listen hears of events for all who wait, until there is one after a position. It looks by itself now and then: what
// was announced while nobody listened, or could not be, is found that way.
func (s *store) listen(ctx context.Context, after journal.Position) error {
	n := &s.news
	awake, cancel := context.WithCancel(ctx)
	defer cancel()
	n.wakeBy(cancel)
	defer n.wakeBy(nil)
	for {
		if _, yes, err := n.beyond(after); yes || err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		wait := s.poll - clock.Since(n.looked)
		if n.conn == nil || wait <= 0 {
			if s.look(ctx) == nil { // else it is tried again later, and reading reports what is wrong
				continue
			}
			n.hangUp()
			wait = s.poll
		}
		s.hear(awake, wait)
	}
}

// look asks how far the journal goes, on the connection that listens.
func (s *store) look(ctx context.Context) error {
	n := &s.news
	if n.conn == nil {
		var err error
		if n.conn, err = s.pool.dial(ctx); err != nil {
			n.conn = nil
			return err
		}
		if !s.pool.pooled {
			if err := n.conn.script(ctx, fmt.Sprintf("listen %q", s.sql.channel)); err != nil {
				return err
			}
		}
	}
	n.conn.begin()
	var last journal.Position
	if err := n.conn.run(ctx, s.sql.last, func(r *row) { last = journal.Position(r.int8()) }); err != nil {
		return err
	}
	n.looked = clock.Now()
	n.publish(last)
	return nil
}

// hear waits for an announcement, but not for long. It ends early with its context.
func (s *store) hear(ctx context.Context, limit time.Duration) {
	n := &s.news
	if n.conn == nil || s.pool.pooled {
		_ = clock.Sleep(ctx, limit) // the caller looks at what ended it
		return
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := n.conn.WaitForNotification(limited); err != nil && limited.Err() == nil {
		n.hangUp()
	}
}

// announced reads what the function commit says to those who listen.
func announced(n *pgconn.Notification) journal.Position {
	at, err := strconv.ParseInt(n.Payload, 10, 64)
	if err != nil {
		return 0
	}
	return journal.Position(at)
}
