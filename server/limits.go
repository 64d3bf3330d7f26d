// SPDX-License-Identifier: Apache-2.0

// How much fits into an answer, and how many connections there may be.

package server

import (
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"example.com/vidimus/internal/clock"
)

// Limits that are not for configuration.
const (
	bytesDefault  = 256 << 20
	messageBytes  = 1 << 20 // where a message with several events ends
	messageEvents = 500
	pageDefault   = 100
)

// idleGrace is for how long a connection may wait for a request before it may have to make room for another one. It
// has its first request within that.
const idleGrace = time.Second

// boundedListener has so many places for connections. When all are taken, the next one gets that of the connection
// which has waited for a request for longest: to hold one open costs nothing, so strangers would otherwise keep
// everybody out.
type boundedListener struct {
	net.Listener
	places chan struct{}
	closed context.Context // ends with the listener; kept here because Accept takes none
	end    context.CancelFunc
	mu     struct {
		sync.Mutex
		idle list.List // of *boundedConn, the one that has waited for longest first
	}
}

func bound(l net.Listener, connections int) *boundedListener {
	b := &boundedListener{Listener: l, places: make(chan struct{}, connections)}
	b.closed, b.end = context.WithCancel(context.Background())
	return b
}

// Accept waits for a connection, then for a place for it.
func (b *boundedListener) Accept() (net.Conn, error) {
	conn, err := b.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if !b.enter() {
		return nil, errors.Join(net.ErrClosed, conn.Close())
	}
	return &boundedConn{Conn: conn, leave: sync.OnceFunc(func() { <-b.places })}, nil
}

// enter takes a place, and makes room when there is none. It returns false when the listener was closed.
func (b *boundedListener) enter() bool {
	for {
		select {
		case b.places <- struct{}{}:
			return true
		default:
		}
		again := clock.NewTimer(b.makeRoom())
		select {
		case b.places <- struct{}{}:
			again.Stop()
			return true
		case <-again.C:
		case <-b.closed.Done():
			again.Stop()
			return false
		}
	}
}

// makeRoom closes the connection that has waited for longest, if that is long enough, and returns when to look again.
func (b *boundedListener) makeRoom() time.Duration {
	c, again := b.oldest()
	if c != nil {
		_ = c.Close() // the server finds out when it reads
	}
	return again
}

// oldest takes the connection that has waited for longest out of those that wait, if that is long enough, and returns
// when to look again.
func (b *boundedListener) oldest() (c *boundedConn, again time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	first := b.mu.idle.Front()
	if first == nil {
		return nil, idleGrace
	}
	c = first.Value.(*boundedConn)
	if young := idleGrace - clock.Since(c.since); young > 0 {
		return nil, young
	}
	b.forget(c)
	return c, idleGrace
}

// state notes which connections wait for a request. It is an http.Server's ConnState.
func (b *boundedListener) state(conn net.Conn, state http.ConnState) {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	c, ok := conn.(*boundedConn)
	if !ok {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forget(c)
	if state == http.StateNew || state == http.StateIdle {
		c.since, c.waits = clock.Now(), b.mu.idle.PushBack(c)
	}
}

// forget takes a connection out of those that wait. The lock is held.
func (b *boundedListener) forget(c *boundedConn) {
	if c.waits != nil {
		b.mu.idle.Remove(c.waits)
		c.waits = nil
	}
}

// Close ends Accept, too.
func (b *boundedListener) Close() error {
	b.end()
	return b.Listener.Close()
}

type boundedConn struct {
	net.Conn
	leave func()
	// Of the listener, under its lock:
	waits *list.Element // nil while it does not wait for a request
	since time.Time
}

// Close gives the place back.
func (c *boundedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
