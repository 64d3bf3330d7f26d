// SPDX-License-Identifier: Apache-2.0

// How many may do what at once.

package server

import (
	"context"
	"fmt"
	"net"
	"sync"

	"example.com/vidimus/server/internal/wire"
)

// Limits that are not for configuration.
const (
	bodyMax       = 16 << 20 // a request, after decompression
	publicMax     = 4 << 10  // a request that needs no token
	compressMin   = 1 << 10  // smaller answers are cheaper to send as they are
	messageBytes  = 1 << 20  // where a message with several events ends
	messageEvents = 500
	pageDefault   = 100
)

// counter bounds how much each holder has open. Goroutines may share it.
type counter struct {
	limit int
	mu    struct {
		sync.Mutex
		open map[string]int
	}
}

func newCounter(limit int) *counter {
	c := &counter{limit: limit}
	c.mu.open = map[string]int{}
	return c
}

// enter counts one more for a holder, until leave is called.
func (c *counter) enter(holder string) (leave func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.open[holder] >= c.limit {
		return nil, fmt.Errorf("%w: %d are open with this token, which is the limit; close some, or use another token",
			wire.ErrLimit, c.limit)
	}
	c.mu.open[holder]++
	return sync.OnceFunc(func() { c.leave(holder) }), nil
}

func (c *counter) leave(holder string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.open[holder]--; c.mu.open[holder] == 0 {
		delete(c.mu.open, holder)
	}
}

// boundedListener accepts no more connections than it has places.
type boundedListener struct {
	net.Listener
	places chan struct{}
	closed context.Context // ends with the listener; kept here because Accept takes none
	end    context.CancelFunc
}

func bound(l net.Listener, connections int) *boundedListener {
	b := &boundedListener{Listener: l, places: make(chan struct{}, connections)}
	b.closed, b.end = context.WithCancel(context.Background())
	return b
}

// Accept waits for a place, then for a connection.
func (b *boundedListener) Accept() (net.Conn, error) {
	select {
	case b.places <- struct{}{}:
	case <-b.closed.Done():
		return nil, net.ErrClosed
	}
	conn, err := b.Listener.Accept()
	if err != nil {
		<-b.places
		return nil, err
	}
	return &boundedConn{Conn: conn, leave: sync.OnceFunc(func() { <-b.places })}, nil
}

// Close ends Accept, too.
func (b *boundedListener) Close() error {
	b.end()
	return b.Listener.Close()
}

type boundedConn struct {
	net.Conn
	leave func()
}

// Close gives the place back.
func (c *boundedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
