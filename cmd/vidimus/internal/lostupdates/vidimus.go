// SPDX-License-Identifier: Apache-2.0

// The shop on Vidimus, with all its parts: a journal on SQLite, sessions in it, a feed of what changes, a service that
// believes passports, and an edge in front.

package lostupdates

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"example.com/vidimus/cell"
	"example.com/vidimus/edge"
	"example.com/vidimus/heartbeat"
	"example.com/vidimus/heartbeat/feed"
	"example.com/vidimus/internal/chance"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/sqlite"
	"example.com/vidimus/passport"
	"example.com/vidimus/passport/keyring"
	"example.com/vidimus/session"
)

const (
	// maxStale is what the shop promises: nothing it shows has been outdated for longer.
	maxStale = time.Second
	// pingEvery is how often it asks how fresh it is.
	pingEvery = 100 * time.Millisecond

	issuer      = "https://id.shop.example"
	trustDomain = "shop.example"
	tenant      = "shop"
	customer    = "ada"
)

// vidimusShop is what runs.
type vidimusShop struct {
	log      *journal.Log
	cell     *cell.Cell
	keys     *keyring.Ring
	sessions *session.Sessions
	feed     *feed.Feed
	retries  atomic.Int64
}

func openVidimusShop(ctx context.Context, dir string) (*shop, error) {
	v, err := openVidimus(ctx, dir)
	if err != nil {
		return nil, errors.Join(err, v.close())
	}
	return &shop{serve: v.serve, retries: func() int { return int(v.retries.Load()) }, bound: maxStale}, nil
}

func openVidimus(ctx context.Context, dir string) (v *vidimusShop, err error) {
	v = &vidimusShop{}
	if v.log, err = sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(dir, "journal.db")}); err != nil {
		return v, err
	}
	if v.cell, err = cell.Open(ctx, cell.Config{Log: v.log}); err != nil {
		return v, err
	}
	seal := make([]byte, keyring.SealSize)
	chance.Fill(seal)
	if v.keys, err = keyring.Open(ctx, keyring.Config{Log: v.log, Seal: seal}); err != nil {
		return v, err
	}
	v.sessions, err = session.Open(ctx, session.Config{
		Cell: v.cell, Keys: v.keys, Issuer: issuer, TrustDomain: trustDomain, Schema: "shop/1", Scopes: []string{"shop"},
		Public: session.Public{
			Subject: map[string]session.Attribute{"limit": {Type: "number"}},
			Session: map[string]session.Attribute{"items": {Type: "array"}},
		},
	})
	if err != nil {
		return v, err
	}
	v.feed, err = feed.Open(feed.Config{Log: v.log, Changes: session.Changes})
	return v, err
}

func (v *vidimusShop) close() error {
	if v.log == nil {
		return nil
	}
	return v.log.Close()
}

// serve runs every part until stop is called.
func (v *vidimusShop) serve(ctx context.Context) (url string, stop func() error, err error) {
	parts := &parts{}
	ctx, parts.cancel = context.WithCancel(ctx)
	defer func() {
		if err != nil {
			err = errors.Join(err, parts.stop(), v.close())
		}
	}()
	parts.run(func() error { return v.feed.Run(ctx) })
	parts.run(func() error { return v.cell.Run(ctx, v.sessions) })
	inFront, err := v.follow(ctx, parts)
	if err != nil {
		return "", nil, err
	}
	behind, err := v.follow(ctx, parts)
	if err != nil {
		return "", nil, err
	}
	verifier, err := passport.New(passport.Config{
		Issuer: issuer, Audience: trustDomain, KeysNow: v.keys.KeySet, View: behind, Authority: v.sessions,
	})
	if err != nil {
		return "", nil, err
	}
	upstream, stopService, err := listen(ctx, v.service(verifier))
	if err != nil {
		return "", nil, err
	}
	parts.stops = append(parts.stops, stopService)
	e, err := edge.Open(v.edge(inFront, upstream))
	if err != nil {
		return "", nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	parts.run(func() error { return e.Serve(ctx, l) })
	parts.stops = append(parts.stops, e.Close, v.close)
	return "http://" + l.Addr().String(), parts.stop, nil
}

// follow runs a view of its own, as every process has one.
func (v *vidimusShop) follow(ctx context.Context, p *parts) (*heartbeat.View, error) {
	c, err := heartbeat.Open(heartbeat.Config{Sources: []heartbeat.Source{v.feed}, Every: pingEvery})
	if err != nil {
		return nil, err
	}
	p.run(func() error { return c.Run(ctx) })
	_, err = c.Sync(ctx)
	return c.View(), err
}

func (v *vidimusShop) edge(view passport.View, upstream string) edge.Config {
	often := edge.Limit{Every: time.Millisecond, Burst: 10 * MaxLogouts} // the script signs in more often than people
	return edge.Config{
		Authority: v.sessions, View: view, SignIn: often, SignInRoute: often,
		Routes: []edge.Route{
			{Path: "/", Upstream: upstream, MaxStale: maxStale, Scopes: []string{"shop"}},
			{Path: "/sign-in", Upstream: upstream, Public: true, SignIn: true},
			{Path: "/sign-out", Upstream: upstream, SignIn: true},
			{Path: "/limit", Upstream: upstream, Public: true},
		},
	}
}

// parts are what runs together.
type parts struct {
	cancel   context.CancelFunc
	group    sync.WaitGroup
	mu       sync.Mutex
	failures []error
	stops    []func() error
}

// run lets a part work until the parts are stopped.
func (p *parts) run(work func() error) {
	p.group.Go(func() {
		if err := work(); err != nil && !errors.Is(err, context.Canceled) {
			p.mu.Lock()
			p.failures = append(p.failures, err)
			p.mu.Unlock()
		}
	})
}

// stop ends the parts and says what failed.
func (p *parts) stop() error {
	p.cancel()
	p.group.Wait()
	for _, stop := range p.stops {
		p.failures = append(p.failures, stop())
	}
	return errors.Join(p.failures...)
}

// attributes are the shop's state as passports carry it.
type attributes struct {
	Subject struct {
		Limit int `json:"limit"`
	} `json:"subject"`
	Session struct {
		Items []int `json:"items"`
	} `json:"session"`
}

func attribute(name string, value any) (session.State, error) {
	text, err := json.Marshal(value)
	return session.State{name: text}, err
}
