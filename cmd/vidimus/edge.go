// SPDX-License-Identifier: Apache-2.0

// vidimus edge: what stands between browsers and services.

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"example.com/vidimus/edge"
	"example.com/vidimus/edge/extauthz"
	"example.com/vidimus/heartbeat"
	"example.com/vidimus/heartbeat/presence"
	"example.com/vidimus/passport"
	"example.com/vidimus/server/remote"
)

type edgeCmd struct {
	Authority string `required:"" placeholder:"URL" help:"The authority that passports are asked of."`
	Token     string `placeholder:"TOKEN" help:"API token with the rights passport:AUDIENCE and feed; better in $VIDIMUS_TOKEN."`
	Plain     bool   `help:"Allow the token to go over http to another machine, where everybody on the way can read it."`
	Audience  string `placeholder:"NAME" help:"The trust domain that passports are for; without it the authority is asked at the start."`
	Listen    string `default:"127.0.0.1:7430" placeholder:"ADDR" help:"Where to listen; port 0 takes a free one."`
	Auth      string `placeholder:"ADDR" help:"Answer the questions of another proxy here (nginx auth_request, forward_auth of Caddy and Traefik, Envoy ext_authz)."`

	Upstream  string        `placeholder:"URL" help:"The service behind the edge: http, https or h2c. Not needed with --auth alone."`
	Open      []string      `sep:"none" placeholder:"PATH" help:"A path that needs no session, as /assets/; may be repeated."`
	SignIn    []string      `name:"sign-in" sep:"none" placeholder:"PATH" help:"A path where people sign in or out; may be repeated."`
	SignInURL string        `name:"sign-in-url" placeholder:"URL" help:"Where browsers without a session are sent."`
	MaxStale  time.Duration `name:"max-stale" default:"2s" placeholder:"DURATION" help:"How stale a decision may be before the authority is asked."`
	WhenStale string        `name:"when-stale" enum:"refuse,read-only" default:"refuse" help:"When the authority does not answer: refuse, or read-only, where safe requests go on with the last passport."`
	Host      []string      `sep:"none" placeholder:"NAME" help:"A name that requests may be for, with its port; without any, all."`
	Proxy     []string      `name:"trusted-proxy" sep:"none" placeholder:"CIDR" help:"Who may say for whom it asks; may be repeated. With --auth, without it this machine."`
	Origin    []string      `name:"trusted-origin" sep:"none" placeholder:"ORIGIN" help:"Another origin whose pages may change things; may be repeated."`
	KeepHost  bool          `name:"keep-host" help:"Send the client's Host to the service, instead of the service's own."`

	Legacy string `placeholder:"FILE" help:"JSON that says how users with cookies of Auth.js, next-auth, iron-session or jose are taken over; see docs/migration.md."`
}

// Help is shown by --help.
func (c *edgeCmd) Help() string {
	return `A browser's cookie comes in, a passport in the header Txn-Token goes out to the service. The edge follows the
authority's feed, so that what was revoked is refused within the bound.

Examples:

    vidimus edge --authority http://127.0.0.1:7420 --upstream http://127.0.0.1:8080 --open /assets/ --sign-in /login
    vidimus edge --authority https://id.example --audience shop.example --auth 127.0.0.1:7431
    vidimus edge --authority http://127.0.0.1:7420 --upstream http://127.0.0.1:3000 --open / --legacy legacy.json`
}

// Run runs the edge until it is interrupted.
func (c *edgeCmd) Run(ctx context.Context, a *app) error {
	if c.Upstream == "" && c.Auth == "" {
		return usage("--upstream", "is missing; name the service behind the edge, or use --auth")
	}
	c.Token = cmp.Or(c.Token, a.getenv("VIDIMUS_TOKEN"))
	parts, err := c.open(ctx, a)
	if err != nil {
		return err
	}
	defer func() { _ = parts.edge.Close() }() // gives idle connections back
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return listenUsage(err)
	}
	var asked net.Listener
	if c.Auth != "" {
		if asked, err = net.Listen("tcp", c.Auth); err != nil {
			return errors.Join(listenUsage(err), listener.Close())
		}
	}
	if err := c.welcome(a, listener, asked); err != nil {
		return err
	}
	return parts.Run(ctx, listener, asked)
}

// edgeParts is everything that runs.
type edgeParts struct {
	edge   *edge.Edge
	legacy *legacyGate // nil without --legacy
	client *heartbeat.Client
	beats  *presence.Batcher
}

// open opens everything.
func (c *edgeCmd) open(ctx context.Context, a *app) (*edgeParts, error) {
	log, err := remote.New(remote.Config{URL: c.Authority, Token: c.Token, Plain: c.Plain})
	if err != nil {
		return nil, usage("--authority", "%v", err)
	}
	if c.Audience == "" {
		if c.Audience, err = askAudience(ctx, c.Authority); err != nil {
			return nil, err
		}
	}
	authority, err := remote.NewAuthority(remote.AuthorityConfig{
		URL: c.Authority, Token: c.Token, Audience: c.Audience, Plain: c.Plain,
	})
	if err != nil {
		return nil, usage("--authority", "%v", err)
	}
	logger := a.logger()
	p := &edgeParts{}
	p.client, err = heartbeat.Open(heartbeat.Config{
		Sources: []heartbeat.Source{&heartbeat.Remote{URL: strings.TrimRight(c.Authority, "/"), Token: c.Token}},
		Logger:  logger,
	})
	if err != nil {
		return nil, err
	}
	if p.beats, err = presence.OpenBatcher(presence.BatcherConfig{Send: log.Feed().Beats, Logger: logger}); err != nil {
		return nil, err
	}
	config, err := c.config()
	if err != nil {
		return nil, err
	}
	config.Authority, config.View, config.Beats, config.Logger = authority, p.client.View(), p.beats, logger
	if p.legacy, err = c.openLegacy(ctx, a, log); err != nil {
		return nil, err
	}
	if p.legacy != nil {
		config.Legacy = p.legacy.Gate
	}
	if p.edge, err = edge.Open(config); err != nil {
		if bad, ok := errors.AsType[*edge.InvalidError](err); ok {
			return nil, usage(cmp.Or(edgeFlag(bad.Field), bad.Field), "%s", bad.Problem)
		}
		return nil, err
	}
	return p, nil
}

// edgeFlag is the flag that a field was given by.
func edgeFlag(field string) string {
	if strings.HasPrefix(field, "Routes") && !strings.HasSuffix(field, ".Upstream") {
		return "--open or --sign-in"
	}
	for begin, flag := range map[string]string{
		"Routes": "--upstream", "SignInURL": "--sign-in-url", "TrustedOrigins": "--trusted-origin", "Hosts": "--host",
	} {
		if strings.HasPrefix(field, begin) {
			return flag
		}
	}
	return ""
}

// config turns the flags into what an edge is opened with.
func (c *edgeCmd) config() (edge.Config, error) {
	config := edge.Config{Hosts: c.Host, TrustedOrigins: c.Origin, SignInURL: c.SignInURL}
	rule := edge.Route{Upstream: c.Upstream, KeepHost: c.KeepHost, MaxStale: c.MaxStale}
	if c.WhenStale == "read-only" {
		rule.WhenStale = passport.ReadOnly
	}
	if c.MaxStale <= 0 {
		return config, usage("--max-stale", "%v is no bound; use 2s", c.MaxStale)
	}
	add := func(path string, change func(*edge.Route)) {
		route := rule
		route.Path = path
		change(&route)
		config.Routes = append(config.Routes, route)
	}
	for _, path := range c.SignIn {
		add(path, func(r *edge.Route) { r.Public, r.SignIn = true, true })
	}
	for _, path := range c.Open {
		add(path, func(r *edge.Route) { r.Public = true })
	}
	if !slices.Contains(c.Open, "/") {
		add("/", func(*edge.Route) {})
	}
	if c.Auth != "" && len(c.Proxy) == 0 {
		c.Proxy = []string{"127.0.0.0/8", "::1/128"}
	}
	for _, text := range c.Proxy {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return config, usage("--trusted-proxy", "%q is no range of addresses; write it as 10.0.0.0/8", text)
		}
		config.TrustedProxies = append(config.TrustedProxies, prefix)
	}
	return config, nil
}

// askAudience asks an authority whom its passports are for.
func askAudience(ctx context.Context, authority string) (string, error) {
	const wait, most = 10 * time.Second, 64 << 10
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	address := strings.TrimRight(authority, "/") + "/.well-known/vidimus"
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", usage("--authority", "%v", err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", fmt.Errorf("%w: %w; give --audience to start without it", passport.ErrUnavailable, err)
	}
	defer res.Body.Close()
	var said struct {
		TrustDomain string `json:"trust_domain"`
	}
	err = json.NewDecoder(io.LimitReader(res.Body, most)).Decode(&said)
	if err != nil || res.StatusCode != http.StatusOK || said.TrustDomain == "" {
		return "", usage("--authority", "%s answers %s and no trust domain; is it an authority?", address, res.Status)
	}
	return said.TrustDomain, nil
}

// welcome says where the edge is.
func (c *edgeCmd) welcome(a *app, listener, asked net.Listener) error {
	answer := struct {
		URL  string `json:"url"`
		Auth string `json:"auth,omitempty"`
		For  string `json:"audience"`
	}{URL: "http://" + listener.Addr().String(), For: c.Audience}
	if asked != nil {
		answer.Auth = "http://" + asked.Addr().String()
	}
	if a.json {
		return a.object(answer)
	}
	if err := a.tell("edge %s for %s", answer.URL, c.Audience); err != nil || asked == nil {
		return err
	}
	return a.tell("auth %s", answer.Auth)
}

// Run runs the parts until ctx ends.
func (p *edgeParts) Run(ctx context.Context, listener, asked net.Listener) error {
	beside, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var work sync.WaitGroup
	work.Go(func() { _ = p.client.Run(beside) }) // returns nil
	work.Go(func() { _ = p.beats.Run(beside) })  // sends what it has, as far as that goes
	if p.legacy != nil {
		work.Go(func() { p.legacy.report(beside) })
	}
	if asked != nil {
		work.Go(func() { _ = serveAuth(beside, asked, asking(p.edge)) }) // ends with the edge
	}
	err := p.edge.Serve(ctx, listener)
	stop()
	work.Wait()
	return err
}

// asking answers other proxies: Envoy by its own procedure, all others by headers. No [http.ServeMux]: that would
// redirect paths that it finds unclean.
func asking(e *edge.Edge) http.Handler {
	envoy, others := extauthz.New(e), e.Auth()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == extauthz.Procedure {
			envoy.ServeHTTP(w, r)
			return
		}
		others.ServeHTTP(w, r)
	})
}

// serveAuth answers another proxy until ctx ends.
func serveAuth(ctx context.Context, l net.Listener, h http.Handler) error {
	const headerTimeout, idleTimeout, headerMax = 10 * time.Second, 2 * time.Minute, 64 << 10
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, ReadTimeout: headerTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: headerMax, Protocols: new(http.Protocols),
	}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true) // Envoy speaks gRPC
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	return server.Serve(l)
}
