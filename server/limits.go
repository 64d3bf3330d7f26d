// SPDX-License-Identifier: Apache-2.0

// How much fits into an answer, and how many connections there may be.

package server

import (
	"context"
	"net"
	"sync"
)

// Limits that are not for configuration.
const (
	bytesDefault  = 256 << 20
	messageBytes  = 1 << 20 // where a message with several events ends
	messageEvents = 500
	pageDefault   = 100
)

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
