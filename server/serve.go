// SPDX-License-Identifier: Apache-2.0

// Listening, and ending well.

package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"example.com/vidimus/server/internal/door"
	"example.com/vidimus/server/internal/wire"
)

const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute

	headerMax  = 64 << 10
	h2Streams  = 1000
	h2PingIdle = idleTimeout / 4
)

// Serve answers what comes through the listener until ctx ends. Then it drains: it is not ready any more, followers
// are told to go on elsewhere from their last checkpoint, and calls under way have until the configured limit. It
// closes the listener, and returns nil after draining in time.
//
// Without TLS it speaks HTTP/1.1 and HTTP/2 in the clear, which gRPC needs. It refuses to listen beyond this machine
// when it is Open, or when no cell has a token: nobody could use it then, or everybody.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	return s.serve(ctx, l, (*http.Server).Serve)
}

// ServeTLS is [Server.Serve] with the certificates of c.
func (s *Server) ServeTLS(ctx context.Context, l net.Listener, c *tls.Config) error {
	return s.serve(ctx, l, func(hs *http.Server, l net.Listener) error {
		hs.TLSConfig = c.Clone()
		return hs.ServeTLS(l, "", "")
	})
}

func (s *Server) serve(ctx context.Context, l net.Listener, accept func(*http.Server, net.Listener) error) error {
	if err := s.MayListen(ctx, l.Addr()); err != nil {
		return errors.Join(err, l.Close())
	}
	drain, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	hs := s.httpServer(drain)
	ended := make(chan error, 1)
	bounded := bound(l, s.config.Connections)
	hs.ConnState = bounded.state
	go func() { ended <- accept(hs, bounded) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	s.draining.Store(true)
	cancel(fmt.Errorf("%w: go on from your last checkpoint, here later or at another node", wire.ErrDraining))
	limited, end := context.WithTimeout(context.WithoutCancel(ctx), s.config.Drain)
	defer end()
	err := hs.Shutdown(limited)
	if err != nil {
		err = fmt.Errorf("calls were cut off after %v: %w", s.config.Drain, errors.Join(err, hs.Close()))
	}
	<-ended
	return err
}

// MayListen returns nil if [Server.Serve] takes an address, and otherwise why it refuses: it keeps a server without
// authentication on its own machine. It also returns what [token.Book.Any] returns.
func (s *Server) MayListen(ctx context.Context, a net.Addr) error {
	if door.Local(a) {
		return nil
	}
	if s.config.Open {
		return fmt.Errorf("refusing to listen on %s without authentication: listen on 127.0.0.1, or create a token and "+
			"serve with authentication", a)
	}
	for _, name := range s.names() {
		if some, err := s.cells[name].book.Any(ctx); some || err != nil {
			return err
		}
	}
	return fmt.Errorf("refusing to listen on %s: there is no token yet; create one first "+
		"(vidimus token create), or listen on 127.0.0.1", a)
}

func (s *Server) httpServer(drain context.Context) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           s,
		Protocols:         protocols,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: h2Streams, SendPingTimeout: h2PingIdle},
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    headerMax,
		ErrorLog:          slog.NewLogLogger(s.config.Logger.Handler(), slog.LevelWarn),
		BaseContext: func(net.Listener) context.Context {
			return door.WithDrain(context.Background(), drain)
		},
	}
}
