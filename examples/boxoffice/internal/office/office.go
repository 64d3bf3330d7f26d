// SPDX-License-Identifier: Apache-2.0

// Package office puts the box office together: an authority with its journal, the services, and the edge in front of
// them, all in one process. Each part talks to the others as it would over a network.
package office

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"example.com/vidimus"
	"example.com/vidimus/cell"
	"example.com/vidimus/edge"
	"example.com/vidimus/examples/boxoffice/internal/account"
	"example.com/vidimus/examples/boxoffice/internal/seats"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/sqlite"
	"example.com/vidimus/passport/keyring"
	"example.com/vidimus/server/authority"
	"example.com/vidimus/server/remote"
	"example.com/vidimus/session"
)

// What the zero values of a [Config] stand for.
const (
	DefaultData      = "vidimus-data"
	DefaultAuthority = "127.0.0.1:7420"
	DefaultEdge      = "127.0.0.1:7430"
)

// TrustDomain is the audience of the passports.
const TrustDomain = "boxoffice.example"

// drainMax bounds how long each part may take to end.
const drainMax = 5 * time.Second

// Config configures an [Office]. The zero value is fine.
type Config struct {
	// Data is the directory of the journal and of the key that seals the signing keys; it is made when there is none.
	Data string
	// Authority and Edge are the addresses to listen at; port 0 takes a free one. Both must be loopback addresses: the
	// sample lets everybody in who reaches them.
	Authority, Edge string
	// SignIn limits the attempts to sign in from one address; the zero value for the edge's own limit.
	SignIn edge.Limit
	// Ready, if not nil, is called by Run once every part knows what it needs.
	Ready func()
	// Logger is told what an operator must know; nil for nobody.
	Logger *slog.Logger
}

// Office is the box office. Goroutines may share it.
type Office struct {
	cfg      Config
	log      *journal.Log
	node     *vidimus.Node
	sessions *session.Sessions
	ring     *keyring.Ring
	token    string      // what the services show to the authority
	far      *remote.Log // the authority, as the edge reaches it
	edge     *edge.Edge
	// The guests, in the order in which they start.
	seats, account, front, gate *guest
}

// guests returns those that are open, in the order in which they start.
func (o *Office) guests() []*guest {
	return slices.DeleteFunc([]*guest{o.seats, o.account, o.front, o.gate}, func(g *guest) bool { return g == nil })
}

// Open opens the journal and takes the addresses; [Office.Run] does the work. A port that is taken is an error that
// names the address. Close the office afterwards.
func Open(ctx context.Context, cfg Config) (*Office, error) {
	for _, d := range []struct {
		field *string
		usual string
	}{{&cfg.Data, DefaultData}, {&cfg.Authority, DefaultAuthority}, {&cfg.Edge, DefaultEdge}} {
		if *d.field == "" {
			*d.field = d.usual
		}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	o := &Office{cfg: cfg}
	for _, step := range []func(context.Context) error{o.openAuthority, o.openGuests, o.wire, o.openEdge} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, o.Close())
		}
	}
	return o, nil
}

// openAuthority opens the journal, the node, the keys and the sessions.
func (o *Office) openAuthority(ctx context.Context) error {
	seal, err := sealKey(o.cfg.Data)
	if err != nil {
		return err
	}
	if o.log, err = sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(o.cfg.Data, "boxoffice.db")}); err != nil {
		return err
	}
	o.node, err = vidimus.Open(ctx, vidimus.Config{
		Cell:   cell.Config{Log: o.log, Drain: drainMax, Logger: o.cfg.Logger},
		Listen: o.cfg.Authority, Open: true,
	})
	if err != nil {
		return fmt.Errorf("authority: %w", err)
	}
	if o.ring, err = keyring.Open(ctx, keyring.Config{Log: o.log, Seal: seal}); err != nil {
		return err
	}
	o.sessions, err = session.Open(ctx, session.Config{
		Cell: o.node.Cell(), Keys: o.ring, Issuer: o.node.URL(), TrustDomain: TrustDomain,
		Schema: "boxoffice/1", Public: public(), Scopes: []string{account.Scope, seats.Scope}, Logger: o.cfg.Logger,
	})
	if err != nil {
		return err
	}
	a, err := authority.Open(authority.Config{
		Cell: o.node.Cell(), Sessions: o.sessions, Keys: o.ring, Tokens: o.node.Tokens(),
		Issuer: o.node.URL(), TrustDomain: TrustDomain, Logger: o.cfg.Logger,
	})
	if err != nil {
		return err
	}
	if o.token, err = nodeToken(ctx, o.node.Tokens(), o.cfg.Data); err != nil {
		return err
	}
	o.node.Add(o.ring, o.sessions, a)
	return a.Mount(o.node)
}

// public declares what of an account travels in passports. Whatever is not named here stays at home.
func public() session.Public {
	return session.Public{Subject: map[string]session.Attribute{
		"name": {Type: "string"}, "permit": {Type: "string"}, "limit": {Type: "number"},
	}}
}

// URLs returns where the edge, the authority and the services are.
func (o *Office) URLs() (edge, authority, seats, account string) {
	_, port, _ := net.SplitHostPort(o.gate.listener.Addr().String())
	return "http://localhost:" + port, o.node.URL(), o.seats.url(), o.account.url()
}

// Pages returns where the pages are, signing in and out among them, for another proxy than the office's own edge.
func (o *Office) Pages() string { return o.front.url() }

// Run works until ctx ends or a part fails, then ends the parts in order: the edge first, so that nothing new comes
// in, the services, their feeds, and the authority last. It returns nil after an orderly end. Call it once.
func (o *Office) Run(ctx context.Context) error {
	running, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var ends []func()
	start := func(parts ...func(context.Context) error) {
		own, stop := context.WithCancel(context.WithoutCancel(ctx))
		var work sync.WaitGroup
		for _, part := range parts {
			work.Go(func() {
				if err := part(own); err != nil {
					fail(err)
				}
			})
		}
		ends = append(ends, func() { stop(); work.Wait() })
	}
	start(o.node.Run)
	for _, g := range o.guests() {
		start(g.follow)
		if g.also != nil {
			start(g.also)
		}
	}
	for _, g := range o.guests() {
		start(g.serve)
	}
	o.settle(running)
	<-running.Done()
	for i := len(ends) - 1; i >= 0; i-- {
		ends[i]()
	}
	if err := context.Cause(running); ctx.Err() == nil {
		return err
	}
	return nil
}

// settle waits until every service knows that it is fresh, then says that the office is open.
func (o *Office) settle(ctx context.Context) {
	for _, g := range o.guests() {
		for ctx.Err() == nil {
			if _, err := g.client.Sync(ctx); err == nil {
				break
			}
		}
	}
	if o.cfg.Ready != nil && ctx.Err() == nil {
		o.cfg.Ready()
	}
}

// Close gives back what Open took. Twice is fine.
func (o *Office) Close() error {
	var errs []error
	closed := func(err error) {
		if err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if o.edge != nil {
		closed(o.edge.Close())
	}
	if o.far != nil {
		closed(o.far.Close())
	}
	for _, g := range o.guests() {
		closed(g.close())
	}
	if o.node != nil {
		closed(o.node.Close())
	}
	if o.log != nil {
		closed(o.log.Close())
	}
	return errors.Join(errs...)
}
