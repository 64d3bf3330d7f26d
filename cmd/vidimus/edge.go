// SPDX-License-Identifier: Apache-2.0

// vidimus edge: what stands between browsers and services.

package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
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
	Listen    string `placeholder:"ADDR" help:"Where to listen: 127.0.0.1:7430 if not given, and with --auth alone nowhere; port 0 takes a free one."`
	Auth      string `placeholder:"ADDR" help:"Answer the questions of another proxy here (nginx auth_request, forward_auth of Caddy and Traefik, Envoy ext_authz)."`

	Upstream  string        `placeholder:"URL" help:"The service behind the edge: http, https or h2c. Not needed with --auth alone."`
	Open      []string      `sep:"none" placeholder:"PATH" help:"A path that needs no session, as /assets/; may be repeated."`
	SignIn    []string      `name:"sign-in" sep:"none" placeholder:"PATH" help:"A path where people sign in or out (with all below it, if it ends in /); only here the cookie is set."`
	Limit     string        `name:"sign-in-limit" default:"10/1m" placeholder:"N/DURATION" help:"Attempts of one address on --sign-in paths, all but GET and HEAD: N at once, N per DURATION (10/1m)."`
	SignInURL string        `name:"sign-in-url" placeholder:"URL" help:"Where browsers without a session are sent."`
	MaxStale  time.Duration `name:"max-stale" default:"2s" placeholder:"DURATION" help:"How stale a decision may be before the authority is asked (2s)."`
	WhenStale string        `name:"when-stale" enum:"refuse,read-only" default:"refuse" help:"When the authority does not answer: refuse, or read-only, where safe requests go on with the last passport."`
	Host      []string      `sep:"none" placeholder:"NAME" help:"A name that requests may be for, with its port; without any, all."`
	Proxy     []string      `name:"trusted-proxy" sep:"none" placeholder:"CIDR" help:"Who may say for whom it asks; may be repeated. With --auth, without it this machine."`
	Origin    []string      `name:"trusted-origin" sep:"none" placeholder:"ORIGIN" help:"Another origin whose pages may change things; may be repeated."`
	Notice    time.Duration `default:"0s" placeholder:"DURATION" help:"When interrupted, go on for so long while the status page answers 503, so that who spreads requests over edges sends no more."`
	KeepHost  bool          `name:"keep-host" help:"Send the client's Host to the service, instead of the service's own."`

	Routes string `placeholder:"FILE" help:"JSON that says of each path whose it is, who may reach it and how fresh that is known; see docs/edge.md. The flags say what it leaves out."`

	Strip   []string      `sep:"none" placeholder:"NAME" help:"A header that clients may not send, as X-Employee: it is taken off their requests; may be repeated."`
	Drain   time.Duration `default:"20s" placeholder:"DURATION" help:"How long requests under way may take when the edge ends, before they are cut (20s)."`
	TLSCert string        `name:"tls-cert" placeholder:"FILE" help:"Certificate chain in PEM, for --listen and --auth; with --tls-key."`
	TLSKey  string        `name:"tls-key" placeholder:"FILE" help:"Private key in PEM; with --tls-cert."`

	Legacy string `placeholder:"FILE" help:"JSON that says how users with cookies of Auth.js, next-auth, iron-session or jose are taken over; see docs/migration.md."`
}

// Help is shown by --help.
func (c *edgeCmd) Help() string {
	return `A browser's cookie comes in, a passport in the header Txn-Token goes out to the service. The edge follows the
authority's feed, so that what was revoked is refused within the bound.

Examples:

    vidimus edge --authority http://127.0.0.1:7420 --upstream http://127.0.0.1:8080 --sign-in /login --sign-in /logout
    vidimus edge --authority https://id.example --audience shop.example --auth 127.0.0.1:7431
    vidimus edge --authority http://127.0.0.1:7420 --upstream http://127.0.0.1:3000 --open / --legacy legacy.json
    vidimus edge --authority https://id.example --routes routes.json --listen 0.0.0.0:443 --tls-cert edge.crt --tls-key edge.key`
}

// Run runs the edge until it is interrupted.
func (c *edgeCmd) Run(ctx context.Context, a *app) error {
	if c.Upstream == "" && c.Auth == "" && c.Routes == "" {
		return usage("--upstream", "is missing; name the service behind the edge, or use --routes or --auth")
	}
	c.Token = cmp.Or(c.Token, a.getenv("VIDIMUS_TOKEN"))
	secure, err := certificate(c.TLSCert, c.TLSKey)
	if err != nil {
		return err
	}
	parts, err := c.open(ctx, a)
	if err != nil {
		return err
	}
	defer func() { _ = parts.edge.Close() }() // gives idle connections back
	if c.Listen == "" && parts.serves {
		c.Listen = "127.0.0.1:7430"
	}
	listener, err := listenAt("--listen", c.Listen, secure)
	if err != nil {
		return err
	}
	asked, err := listenAt("--auth", c.Auth, secure)
	if err == nil {
		if err = c.welcome(a, parts.serves, listener, asked); err == nil {
			return parts.Run(ctx, listener, asked)
		}
	}
	for _, l := range []net.Listener{listener, asked} {
		if l != nil {
			err = errors.Join(err, l.Close())
		}
	}
	return err
}

// listenAt listens at the address of a flag, in TLS if there is a certificate; at none if it is empty.
func listenAt(flag, address string, secure *tls.Config) (net.Listener, error) {
	if address == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, usage(flag, "%v; choose another address, or port 0 for a free one", err)
	}
	if secure != nil {
		l = tls.NewListener(l, secure)
	}
	return l, nil
}

// edgeParts is everything that runs.
type edgeParts struct {
	logger *slog.Logger
	edge   *edge.Edge
	serves bool        // whether a route has a service, or all are only asked about
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
	if err := c.agree(ctx); err != nil {
		return nil, err
	}
	authority, err := remote.NewAuthority(remote.AuthorityConfig{
		URL: c.Authority, Token: c.Token, Audience: c.Audience, Plain: c.Plain,
	})
	if err != nil {
		return nil, usage("--authority", "%v", err)
	}
	logger := a.logger()
	p := &edgeParts{logger: logger}
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
	p.serves = slices.ContainsFunc(config.Routes, func(r edge.Route) bool { return r.Upstream != "" })
	config.Authority, config.View, config.Beats, config.Logger = authority, p.client.View(), p.beats, logger
	if p.legacy, err = c.openLegacy(ctx, a, log); err != nil {
		return nil, err
	}
	if p.legacy != nil {
		config.Legacy = p.legacy.Gate
	}
	if p.edge, err = edge.Open(config); err != nil {
		if bad, ok := errors.AsType[*edge.InvalidError](err); ok {
			return nil, c.blame(&config, bad)
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
		"Strip": "--strip",
	} {
		if strings.HasPrefix(field, begin) {
			return flag
		}
	}
	return ""
}

// config turns the flags into what an edge is opened with.
func (c *edgeCmd) config() (edge.Config, error) {
	config := edge.Config{Hosts: c.Host, TrustedOrigins: c.Origin, SignInURL: c.SignInURL, Strip: c.Strip}
	config.Notice, config.Drain = c.Notice, c.Drain
	var err error
	if config.SignIn, err = limitOf(c.Limit); err != nil {
		return config, err
	}
	rule := edge.Route{Upstream: c.Upstream, KeepHost: c.KeepHost, MaxStale: c.MaxStale}
	if c.WhenStale == "read-only" {
		rule.WhenStale = passport.ReadOnly
	}
	if c.Notice < 0 {
		return config, usage("--notice", "%v is below 0; use 5s, or leave it out", c.Notice)
	}
	if c.MaxStale <= 0 {
		return config, usage("--max-stale", "%v is no bound; use 2s", c.MaxStale)
	}
	if c.Drain <= 0 {
		return config, usage("--drain", "%v is no time to end in; use 20s", c.Drain)
	}
	if config.Routes, err = c.routes(rule); err != nil {
		return config, err
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

// limitOf reads N/DURATION.
func limitOf(text string) (edge.Limit, error) {
	n, every, _ := strings.Cut(text, "/")
	burst, err1 := strconv.Atoi(n)
	span, err2 := time.ParseDuration(every)
	if err1 != nil || err2 != nil || burst < 1 || span < time.Duration(burst) {
		return edge.Limit{}, usage("--sign-in-limit", "%q is no limit; write it as 10/1m", text)
	}
	return edge.Limit{Burst: burst, Every: span / time.Duration(burst)}, nil
}

// agree finds out whom the authority's passports are for. Who says it beforehand may start before the authority, but
// not be wrong.
func (c *edgeCmd) agree(ctx context.Context) error {
	const asked, checked = 10 * time.Second, 2 * time.Second
	if c.Audience == "" {
		domain, err := askAudience(ctx, c.Authority, asked)
		c.Audience = domain
		return err
	}
	if domain, err := askAudience(ctx, c.Authority, checked); err == nil && domain != c.Audience {
		return usage("--audience", "is %q, but the passports of %s are for %q; give that, or leave it out",
			c.Audience, c.Authority, domain)
	}
	return nil
}

// askAudience asks an authority whom its passports are for.
func askAudience(ctx context.Context, authority string, wait time.Duration) (string, error) {
	const most = 64 << 10
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
func (c *edgeCmd) welcome(a *app, serves bool, listener, asked net.Listener) error {
	const statusPath = "/.vidimus/status"
	var answer struct {
		URL    string `json:"url,omitempty"`
		Auth   string `json:"auth,omitempty"`
		Status string `json:"status,omitempty"` // where nothing else is
		For    string `json:"audience"`
	}
	answer.For = c.Audience
	var lines []string
	if listener != nil && serves {
		answer.URL = c.shownAs(c.Listen, listener)
		lines = append(lines, "edge "+answer.URL)
	}
	if asked != nil {
		answer.Auth = c.shownAs(c.Auth, asked)
		lines = append(lines, "auth "+answer.Auth)
	}
	if listener != nil && !serves {
		answer.Status = c.shownAs(c.Listen, listener) + statusPath
		lines = append(lines, "status "+answer.Status)
	}
	if a.json {
		return a.object(answer)
	}
	lines[0] += " for " + c.Audience
	return a.tell("%s", strings.Join(lines, "\n"))
}

// shownAs is the URL of a listener by the host that it was asked for: that of 0.0.0.0 would be [::].
func (c *edgeCmd) shownAs(address string, l net.Listener) string {
	at := l.Addr().String()
	if host, _, err := net.SplitHostPort(address); err == nil && host != "" {
		if _, port, err := net.SplitHostPort(at); err == nil {
			at = net.JoinHostPort(host, port)
		}
	}
	if c.TLSCert != "" {
		return "https://" + at
	}
	return "http://" + at
}

// Run runs the parts until ctx ends, or another proxy could not be answered any more.
func (p *edgeParts) Run(ctx context.Context, listener, asked net.Listener) error {
	beside, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ctx, end := context.WithCancel(ctx)
	defer end()
	var work sync.WaitGroup
	work.Go(func() { _ = p.client.Run(beside) }) // returns nil
	work.Go(func() { _ = p.beats.Run(beside) })  // sends what it has, as far as that goes
	if p.legacy != nil {
		work.Go(func() { p.legacy.report(beside) })
	}
	var unasked error
	if asked != nil {
		work.Go(func() {
			if err := serveAuth(beside, p.logger, asked, asking(p.edge)); beside.Err() == nil {
				unasked = fmt.Errorf("answer other proxies at %s: %w", asked.Addr(), err)
				end()
			}
		})
	}
	var err error
	if listener != nil {
		err = p.edge.Serve(ctx, listener)
	} else {
		err = p.edge.Run(ctx)
	}
	stop()
	work.Wait()
	return errors.Join(err, unasked)
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

// serveAuth answers another proxy until ctx ends, and then what was asked by then.
func serveAuth(ctx context.Context, logger *slog.Logger, l net.Listener, h http.Handler) error {
	const headerTimeout, idleTimeout, headerMax = 10 * time.Second, 2 * time.Minute, 64 << 10
	const drain = 6 * time.Second // longer than a question takes
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, ReadTimeout: headerTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: headerMax, Protocols: new(http.Protocols),
		ErrorLog: slog.NewLogLogger(noise{logger.Handler(), &seldom{}}, slog.LevelWarn),
	}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetHTTP2(true)
	server.Protocols.SetUnencryptedHTTP2(true) // Envoy speaks gRPC
	drained := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		limited, end := context.WithTimeout(context.WithoutCancel(ctx), drain)
		defer end()
		if server.Shutdown(limited) == nil {
			drained <- nil
			return
		}
		drained <- server.Close()
	})
	if err := server.Serve(l); stop() {
		return err
	}
	return <-drained
}
