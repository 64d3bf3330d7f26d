// SPDX-License-Identifier: Apache-2.0

// The authority's process: a journal, its feed over HTTP, and requests to mint and to change.

//go:build linux

package attack_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"example.com/vidimus/heartbeat"
	"example.com/vidimus/heartbeat/feed"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/postgres"
	"example.com/vidimus/journal/sqlite"
	"example.com/vidimus/passport"
)

// authoritySettings are what an authority is started with.
type authoritySettings struct {
	Place   string // of the journal
	Address string // to listen on
	Mutant  string
}

func openJournal(ctx context.Context, place string) (*journal.Log, error) {
	if strings.HasPrefix(place, "postgres://") {
		return postgres.Open(ctx, postgres.Config{URL: place})
	}
	return sqlite.Open(ctx, sqlite.Config{Path: place})
}

// authority mints and changes. What is asked of its feed goes by a connection of its own, which can be cut.
type authority struct {
	settings authoritySettings
	log      *journal.Log
	store    *wire
	feed     *feed.Feed
	signer   *passport.Signer
}

func runAuthority(ctx context.Context, s authoritySettings, say func(any)) error {
	log, err := openJournal(ctx, s.Place)
	for errors.Is(err, journal.ErrUnavailable) || errors.Is(err, journal.ErrLocked) {
		_ = clock.Sleep(ctx, 20*time.Millisecond)
		log, err = openJournal(ctx, s.Place)
	}
	if err != nil {
		return err
	}
	a := &authority{settings: s, log: log, store: &wire{Store: log.Store(), hidden: map[journal.Position]bool{}}}
	if a.signer, err = passport.NewSigner(testKey(), ""); err != nil {
		return err
	}
	if a.feed, err = feed.Open(feed.Config{
		Log: journal.New(a.store), Changes: changesOf, Remember: 300, ReadBack: 600,
		Pulse: 200 * time.Millisecond, Gap: 10 * time.Millisecond,
	}); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", s.Address)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /v1/feed", a.feed)
	mux.HandleFunc("POST /v1/ping", a.ping)
	mux.HandleFunc("POST /mint", a.mint)
	mux.HandleFunc("POST /change", a.change)
	mux.HandleFunc("POST /cut", func(_ http.ResponseWriter, r *http.Request) {
		d, _ := time.ParseDuration(r.FormValue("for"))
		a.store.until.Store(int64(monotonic() + d))
	})
	failed := make(chan error, 2)
	go func() { failed <- a.feed.Run(ctx) }()
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { failed <- server.Serve(listener) }()
	say("ready")
	return <-failed
}

// changesOf reads the events of this test.
func changesOf(e *journal.Event) []heartbeat.Change {
	kind, key, _ := strings.Cut(string(e.Stream), "-")
	c := heartbeat.Change{Key: key, Effect: heartbeat.Superseded}
	switch kind {
	case "session":
		c.Scope = heartbeat.Session
	case "subject":
		c.Scope = heartbeat.Subject
	default:
		return nil
	}
	if strings.HasSuffix(e.Type, ".revoked") {
		c.Effect = heartbeat.Revoked
	}
	return []heartbeat.Change{c}
}

func (a *authority) ping(w http.ResponseWriter, r *http.Request) {
	if a.settings.Mutant == "deposed authority answers from memory" && a.store.isCut() {
		_ = json.NewEncoder(w).Encode(a.store.lastHead())
		return
	}
	a.feed.ServeHTTP(w, r)
}

// minted is a passport, and the versions that it is a copy of.
type minted struct {
	Token            string
	Session, Subject int
	At, SubjectAt    journal.Version
}

// mint reads the head and then the state.
func (a *authority) mint(w http.ResponseWriter, r *http.Request) {
	var m minted
	_, _ = fmt.Sscan(r.FormValue("session"), &m.Session)
	m.Subject = m.Session % subjects
	asOf := clock.Now()
	head, err := a.log.Head(r.Context())
	if err == nil {
		m.At, err = a.version(r.Context(), sessionStream(m.Session))
	}
	if err == nil {
		m.SubjectAt, err = a.version(r.Context(), subjectStream(m.Subject))
	}
	if err == nil {
		m.Token, err = a.signer.Sign(&passport.Claims{
			Issuer: issuer, Audience: audience, IssuedAt: asOf, ExpiresAt: asOf.Add(passport.MaxLife), AsOf: asOf,
			Txn: journal.NewID().String(), Subject: subjectName(m.Subject), Session: fmt.Sprint(m.Session),
			Scope: "all", Workload: "attack", Tenant: tenant, Version: int64(m.At), SubjectVersion: int64(m.SubjectAt),
			Mark: passport.Mark{Log: head.Log, Epoch: int64(head.Epoch), Position: int64(head.Position)},
		})
	}
	answer(w, m, err)
}

func (a *authority) version(ctx context.Context, s journal.Stream) (v journal.Version, err error) {
	for e, err := range a.log.ReadStream(ctx, s, &journal.StreamOptions{Backwards: true, Limit: 1}) {
		if err != nil {
			return 0, err
		}
		v = e.Version
	}
	return v, nil
}

// change appends to the stream of a session or a subject, and answers with its version.
func (a *authority) change(w http.ResponseWriter, r *http.Request) {
	s := journal.Stream(r.FormValue("stream"))
	if a.settings.Mutant == "positions before commit" {
		a.changeLate(w, r, s)
		return
	}
	res, err := a.log.Append(r.Context(), s, journal.Any, journal.EventData{Type: r.FormValue("type")})
	if err != nil {
		answer(w, nil, err)
		return
	}
	answer(w, res.Versions[0], nil)
}

// changeLate has its position before it becomes visible, as with a plain sequence: who reads meanwhile reads past it.
func (a *authority) changeLate(w http.ResponseWriter, r *http.Request, s journal.Stream) {
	a.store.mu.Lock()
	res, err := a.log.Append(r.Context(), s, journal.Any, journal.EventData{Type: r.FormValue("type")})
	if err == nil {
		a.store.hidden[res.Position] = true
	}
	a.store.mu.Unlock()
	if err != nil {
		answer(w, nil, err)
		return
	}
	_ = clock.Sleep(r.Context(), time.Duration(rand.Int64N(int64(300*time.Millisecond))))
	a.store.mu.Lock()
	delete(a.store.hidden, res.Position)
	a.store.mu.Unlock()
	answer(w, res.Versions[0], nil)
}

func answer(w http.ResponseWriter, v any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_ = json.NewEncoder(w).Encode(v)
}

// wire is the feed's way to the database.
type wire struct {
	journal.Store
	until  atomic.Int64 // cut off until then
	log    atomic.Pointer[journal.Checkpoint]
	read   atomic.Int64 // the position up to which it read
	mu     sync.Mutex
	hidden map[journal.Position]bool // events that are not visible yet
}

func (s *wire) isCut() bool { return monotonic() < time.Duration(s.until.Load()) }

// Head implements [journal.Store].
func (s *wire) Head(ctx context.Context) (journal.Checkpoint, error) {
	if s.isCut() {
		return journal.Checkpoint{}, fmt.Errorf("%w: cut off", journal.ErrUnavailable)
	}
	head, err := s.Store.Head(ctx)
	if err == nil {
		s.log.Store(&head)
	}
	return head, err
}

// lastHead is what a node remembers that asks nobody.
func (s *wire) lastHead() heartbeat.Head {
	if c := s.log.Load(); c != nil {
		return heartbeat.Head{Log: c.Log, Epoch: int64(c.Epoch), Position: s.read.Load()}
	}
	return heartbeat.Head{}
}

// Read implements [journal.Store].
func (s *wire) Read(ctx context.Context, q journal.Query) (journal.Page, error) {
	if s.isCut() {
		return journal.Page{}, fmt.Errorf("%w: cut off", journal.ErrUnavailable)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	page, err := s.Store.Read(ctx, q)
	seen := page.Events[:0]
	for _, e := range page.Events {
		if !s.hidden[e.Position] {
			seen = append(seen, e)
		}
	}
	if len(seen) < len(page.Events) { // it looked at no event that is not visible, and yet past some
		page.Through, page.ThroughID = q.After, journal.ID{}
		if n := len(seen); n > 0 {
			page.Through, page.ThroughID = seen[n-1].Position, seen[n-1].ID
		}
	}
	page.Events = seen
	if err == nil && q.Before == 0 {
		s.read.Store(int64(page.Through))
	}
	return page, err
}
