// SPDX-License-Identifier: Apache-2.0

// Pools of connections, opened when they are first needed.

package sqlite

import (
	"context"

	"example.com/vidimus/journal"
)

// keptStatements bounds what an idle connection keeps prepared. Conditions come in many shapes.
const keptStatements = 200

// pool lends a bounded number of connections. Goroutines may share it.
type pool struct {
	idle chan *conn // nil stands for one that is not open
	dial func(context.Context) (*conn, error)
}

func newPool(size int, dial func(context.Context) (*conn, error)) pool {
	return pool{idle: make(chan *conn, size), dial: dial}
}

// fill puts connections in, and leaves to open later those that are left out.
func (p pool) fill(open ...*conn) {
	for i := range cap(p.idle) {
		if i < len(open) {
			p.idle <- open[i]
		} else {
			p.idle <- nil
		}
	}
}

// take lends a connection that is to be given back. It waits until one is free, or ctx or the pool ends.
func (p pool) take(ctx context.Context, closed <-chan struct{}) (*conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var c *conn
	select {
	case c = <-p.idle:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-closed:
		return nil, journal.ErrClosed
	}
	if c != nil {
		return c, nil
	}
	c, err := p.dial(ctx)
	if err != nil {
		p.idle <- nil
		return nil, err
	}
	return c, nil
}

// give takes a connection back. One that cannot leave its transaction is replaced.
func (p pool) give(c *conn) {
	if c.rollback() != nil && !c.GetAutocommit() {
		c.close()
		c = nil
	}
	if c != nil && len(c.stmts) > keptStatements {
		c.closeStatements()
	}
	p.idle <- c
}

// drain waits for all connections and returns those that are open. The pool is empty for good.
func (p pool) drain() (open []*conn) {
	for range cap(p.idle) {
		if c := <-p.idle; c != nil {
			open = append(open, c)
		}
	}
	return open
}
