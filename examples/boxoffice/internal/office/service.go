// SPDX-License-Identifier: Apache-2.0

// One service behind the edge: what it needs to believe passports, and how it is served.

package office

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"example.com/vidimus/examples/boxoffice/internal/live"
	"example.com/vidimus/heartbeat"
	"example.com/vidimus/passport"
	"example.com/vidimus/server/remote"
)

// guest is a service, or the edge, that knows the authority by its URL alone, as one on another machine would: it
// fetches the keys, follows the feed, and decides on passports by itself.
type guest struct {
	client    *heartbeat.Client
	verifier  *passport.Verifier
	authority *remote.Authority
	transport *http.Transport // of the feed
	watch     *live.Watch
	listener  net.Listener
	serve     func(context.Context) error // works until ctx ends
	also      func(context.Context) error // so does this, and ends after it; may be nil
}

// newGuest makes what a service needs to believe passports.
func newGuest(name, authority, token string, rules map[string]passport.Rule) (*guest, error) {
	transport := &http.Transport{}
	feed := &heartbeat.Remote{URL: authority, Token: token, HTTP: &http.Client{Transport: transport}}
	valve := &live.Valve{Source: feed}
	client, err := heartbeat.Open(heartbeat.Config{Sources: []heartbeat.Source{valve}})
	if err != nil {
		return nil, err
	}
	ask, err := remote.NewAuthority(remote.AuthorityConfig{URL: authority, Token: token, Audience: TrustDomain})
	if err != nil {
		return nil, err
	}
	verifier, err := passport.New(passport.Config{
		Issuer: authority, Audience: TrustDomain, KeysURL: authority + "/.well-known/jwks.json",
		View: client.View(), Authority: ask,
	})
	if err != nil {
		return nil, err
	}
	watch := live.NewWatch(name, client, valve, rules)
	return &guest{client: client, verifier: verifier, watch: watch, authority: ask, transport: transport}, nil
}

// listen takes an address. A port that is taken is an error that names the address.
func (g *guest) listen(address string) (err error) {
	g.listener, err = net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("%w; choose another address, or port 0 for a free one", err)
	}
	return nil
}

// follow follows the feed until ctx ends.
func (g *guest) follow(ctx context.Context) error {
	defer g.transport.CloseIdleConnections() // or the authority would wait for them when it ends
	return g.client.Run(ctx)
}

// close gives back what the guest took. Twice is fine.
func (g *guest) close() error {
	err := g.authority.Close()
	if g.listener != nil {
		err = errors.Join(err, g.listener.Close())
	}
	return err
}

// url is where the service is reached.
func (g *guest) url() string { return "http://" + g.listener.Addr().String() }

// server answers requests at a listener with a handler.
type server struct {
	listener net.Listener
	handler  http.Handler
}

// Serve answers requests until ctx ends, then ends event streams and lets other requests finish.
func (s server) Serve(ctx context.Context) error {
	streams, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	h := &http.Server{
		Handler: s.handler, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		BaseContext: func(net.Listener) context.Context { return streams },
	}
	failed := make(chan error, 1)
	go func() { failed <- h.Serve(s.listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	end()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainMax)
	defer cancel()
	return h.Shutdown(drain)
}
