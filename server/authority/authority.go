// SPDX-License-Identifier: Apache-2.0

// The authority: its configuration, what it answers, and what it does.

// Package authority is the authority of a cell over HTTP: it mints passports in exchange for handles, says which are
// still good, tells verifiers what changes, and keeps the sessions and their presence.
//
// It answers at
//
//	GET  /.well-known/jwks.json   the public keys (RFC 7517)
//	GET  /.well-known/vidimus     where everything is, and under which names
//	POST /oauth/token             a passport for a handle, or for a superseded passport (RFC 8693, Transaction Tokens)
//	POST /oauth/introspect        whether a passport is good now (RFC 7662)
//	POST /oauth/revoke            the end of a passport, or of a session by its handle (RFC 7009)
//	GET  /v1/feed                 the feed of changes as server-sent events, resumable by Last-Event-ID
//	POST /v1/ping                 the end of the log, read after the ping arrived
//	POST /v1/beats                which sessions were heard, in batches
//
// and serves SessionService, FeedService and PresenceService of proto/vidimus/v1. The first two are public. Everything
// else takes an API token as its bearer (see package token) with the right that the call needs: passport:<audience> to
// exchange, to introspect and to revoke a passport, session:<tenant> for sessions, feed for the feed, for pings and for
// beats, session:* to see who is present, and admin for what concerns everybody. What can be guessed at without a token
// costs one hash, and a handle that is forged one MAC more: there is nothing to be gained by counting failures, and
// nobody can lock others out by causing them.
package authority

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"example.com/vidimus/cell"
	"example.com/vidimus/heartbeat"
	"example.com/vidimus/heartbeat/feed"
	"example.com/vidimus/heartbeat/presence"
	"example.com/vidimus/journal"
	"example.com/vidimus/passport"
	"example.com/vidimus/passport/keyring"
	"example.com/vidimus/server/internal/door"
	"example.com/vidimus/server/token"
	"example.com/vidimus/server/vidimusv1/vidimusv1connect"
	"example.com/vidimus/session"
)

// Config configures an [Authority].
type Config struct {
	// Cell is where the sessions live.
	Cell *cell.Cell
	// Sessions are the sessions, and Keys what their passports are signed with. Both are services of the cell beside the
	// authority.
	Sessions *session.Sessions
	Keys     *keyring.Ring
	// Tokens says who may call; nil for the tokens of the cell's journal.
	Tokens *token.Book
	// Issuer and TrustDomain are those of the sessions.
	Issuer, TrustDomain string
	// URL is where other processes reach this very node, for beats that went to another one; empty for Issuer, which is
	// right for a single node.
	URL string
	// Presence says how silence is measured. Its Expire, Save, Held and Logger are set by the authority.
	Presence presence.Config
	// Streams is how many streams one token may have open, one for each process that verifies; 0 for 1024. Requests is how
	// many other calls may be under way; 0 for 1024.
	Streams, Requests int
	// Logger is told of failures and of what administrators do; nil for slog.Default().
	Logger *slog.Logger
}

func (c *Config) validate() error {
	invalid := func(field, problem string) error {
		return &journal.InvalidError{Field: "Config." + field, Problem: problem}
	}
	for _, needed := range []struct {
		name    string
		missing bool
	}{
		{"Cell", c.Cell == nil},
		{"Sessions", c.Sessions == nil},
		{"Keys", c.Keys == nil},
		{"Issuer", c.Issuer == ""},
		{"TrustDomain", c.TrustDomain == ""},
	} {
		if needed.missing {
			return invalid(needed.name, "is missing; give the one that the sessions were opened with")
		}
	}
	for _, address := range []struct {
		name string
		at   *string
	}{{"Issuer", &c.Issuer}, {"URL", &c.URL}} {
		u, err := url.Parse(*address.at)
		if *address.at != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
			return invalid(address.name, fmt.Sprintf("%q is no address; write it as https://id.example", *address.at))
		}
	}
	if c.Streams < 0 || c.Requests < 0 {
		return invalid("Streams", "or Requests is negative; use 0 for what is usual")
	}
	return nil
}

func (c *Config) complete() {
	if c.Tokens == nil {
		c.Tokens = token.NewBook(c.Cell.Log())
	}
	if c.URL == "" {
		c.URL = c.Issuer
	}
	c.URL = strings.TrimSuffix(c.URL, "/")
	if c.Streams == 0 {
		c.Streams = 1024
	}
	if c.Requests == 0 {
		c.Requests = 1024
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
}

// Authority is the authority of a cell on this node. It is an [http.Handler], a service of its cell, and a
// [heartbeat.Source]. Goroutines may share it.
type Authority struct {
	cfg      Config
	cell     *cell.Cell
	sessions *session.Sessions
	keys     *keyring.Ring
	door     *door.Door
	mux      *http.ServeMux
	feed     *feed.Feed
	client   *heartbeat.Client
	verifier *passport.Verifier
	presence attendance
	mounted  []string
}

// requestBytes is how much memory the bodies of requests under way may take together.
const requestBytes = 64 << 20

// Open returns an authority. It returns a [journal.InvalidError]. It answers at once, but follows the journal and
// keeps presence only while the cell runs it as a service. There is nothing to close.
func Open(cfg Config) (*Authority, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg.complete()
	a := &Authority{cfg: cfg, cell: cfg.Cell, sessions: cfg.Sessions, keys: cfg.Keys, mux: http.NewServeMux()}
	a.door = door.New(door.Config{
		Books: map[string]*token.Book{cfg.Cell.Name(): cfg.Tokens}, Streams: cfg.Streams, Requests: cfg.Requests,
		Bytes: requestBytes, Logger: cfg.Logger,
	})
	var err error
	a.feed, err = feed.Open(feed.Config{
		Log: cfg.Cell.Log(), Changes: session.Changes, Filter: session.ChangesFilter(), Logger: cfg.Logger,
	})
	if err != nil {
		return nil, err
	}
	if a.client, err = heartbeat.Open(heartbeat.Config{Sources: []heartbeat.Source{a.feed}}); err != nil {
		return nil, err
	}
	a.verifier, err = passport.New(passport.Config{
		Issuer: cfg.Issuer, Audience: cfg.TrustDomain, KeysNow: cfg.Keys.KeySet, View: a.client.View(), Remember: -1,
	})
	if err != nil {
		return nil, err
	}
	if _, err := presence.Open(a.presenceConfig(nil)); err != nil {
		return nil, fmt.Errorf("Config.Presence: %w", err)
	}
	a.routes()
	return a, nil
}

// routes says what is answered where.
func (a *Authority) routes() {
	handle := func(pattern string, h http.HandlerFunc) {
		a.mux.HandleFunc(pattern, h)
		a.mounted = append(a.mounted, pattern)
	}
	handle("GET /.well-known/jwks.json", a.jwks)
	handle("GET /.well-known/vidimus", a.discovery)
	handle("POST /oauth/token", a.exchange)
	handle("POST /oauth/introspect", a.introspect)
	handle("POST /oauth/revoke", a.revoke)
	handle("GET /v1/feed", a.watch)
	handle("POST /v1/ping", a.ping)
	handle("POST /v1/beats", a.beats)
	options := a.door.Options()
	for _, service := range []func() (string, http.Handler){
		func() (string, http.Handler) {
			return vidimusv1connect.NewSessionServiceHandler(&sessionService{a}, options...)
		},
		func() (string, http.Handler) {
			return vidimusv1connect.NewFeedServiceHandler(&feedService{a}, options...)
		},
		func() (string, http.Handler) {
			return vidimusv1connect.NewPresenceServiceHandler(&presenceService{a}, options...)
		},
	} {
		path, h := service()
		handle(path, h.ServeHTTP)
	}
}

// Mount has a server, or a node, answer what the authority answers. It returns the errors of the server's Mount.
func (a *Authority) Mount(on interface {
	Mount(pattern string, h http.Handler) error
},
) error {
	for _, pattern := range a.mounted {
		if err := on.Mount(pattern, a); err != nil {
			return err
		}
	}
	return nil
}

// ServeHTTP implements [http.Handler]. On a server that is open to its own machine the authority is, too.
func (a *Authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
	w.Header().Set("Cache-Control", "no-store")
	admitted, leave, err := a.door.Admit(w, r)
	if err != nil {
		writeJSON(w, http.StatusForbidden, problem{"permission_denied", err.Error()})
		return
	}
	defer leave()
	a.mux.ServeHTTP(w, admitted)
}

// Feed returns the feed, for verifiers in this process.
func (a *Authority) Feed() heartbeat.Source { return a.feed }

// Name implements [cell.Service].
func (a *Authority) Name() string { return "authority" }

// Serve implements [cell.Service]: it follows the journal for verifiers, and keeps presence when it is this node's
// turn. It returns nil when ctx has ended, or the first error that no repetition mends.
func (a *Authority) Serve(ctx context.Context, c *cell.Cell) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var work sync.WaitGroup
	for name, part := range map[string]func(context.Context) error{
		"feed": a.feed.Run, "view": a.client.Run, "presence": a.keepPresence,
	} {
		work.Go(func() {
			if err := part(ctx); err != nil && ctx.Err() == nil {
				cancel(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	work.Wait()
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, ctx.Err()) {
		return cause
	}
	return nil
}
