// SPDX-License-Identifier: Apache-2.0

// Package live is the page that shows what goes on inside: who is signed in, what happened, and how fresh the
// knowledge of each service is. It is open to everybody who reaches it, so it belongs on a developer's machine alone.
package live

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"example.com/vidimus/cell"
	"example.com/vidimus/examples/boxoffice/internal/answer"
	"example.com/vidimus/examples/boxoffice/internal/follower"
	"example.com/vidimus/examples/boxoffice/internal/pages"
	"example.com/vidimus/examples/boxoffice/internal/seat"
	"example.com/vidimus/heartbeat"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/passport"
	"example.com/vidimus/session"
)

// Limits of the page.
const (
	every      = 250 * time.Millisecond // how often it is told
	eventsMax  = 40                     // how many events it shows
	streamsMax = 16                     // how many browsers may look at once
)

// Person is a subject that the page shows.
type Person struct{ Tenant, ID, Name string }

// Config configures a [Page]. Every field is required.
type Config struct {
	Cell     *cell.Cell
	Sessions *session.Sessions
	Pages    *pages.Pages
	Watches  []*Watch
	People   []Person
	URL      string // of the authority
}

// Page shows and revokes. It is a service of its cell, whose Serve follows the journal.
type Page struct {
	cfg     Config
	streams chan struct{}
	mu      struct {
		sync.Mutex
		events []event // the newest first
	}
}

// New returns the page.
func New(cfg Config) *Page { return &Page{cfg: cfg, streams: make(chan struct{}, streamsMax)} }

// Handler serves /live and what is below it.
func (p *Page) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /live", func(w http.ResponseWriter, _ *http.Request) {
		p.cfg.Pages.Write(w, http.StatusOK, pages.Page{Name: "live", Title: "Live"})
	})
	mux.HandleFunc("GET /live/events", p.follow)
	mux.HandleFunc("POST /live/verifiers/{name}/pause", p.pause)
	mux.HandleFunc("POST /live/sessions/{id}/revoke", p.revokeSession)
	mux.HandleFunc("POST /live/subjects/{key}/revoke", p.revokeSubject)
	return mux
}

// event is one line of what happened.
type event struct {
	Position journal.Position `json:"position"`
	Type     string           `json:"type"`
	Stream   journal.Stream   `json:"stream"`
	Version  journal.Version  `json:"version"`
}

// Name returns "live".
func (p *Page) Name() string { return "live" }

// Serve follows the journal, from a little before its end, until ctx ends.
func (p *Page) Serve(ctx context.Context, c *cell.Cell) error {
	f := follower.Follower{
		Log: c.Log(),
		Begin: func(ctx context.Context) (journal.Checkpoint, error) {
			head, err := c.Log().Head(ctx)
			p.forget()
			return journal.Checkpoint{Position: max(0, head.Position-eventsMax)}, err
		},
		Take: func(f *journal.Frame) error {
			p.take(f.Events)
			return nil
		},
	}
	return f.Run(ctx)
}

func (p *Page) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.events = nil
}

func (p *Page) take(events []journal.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range events {
		e := &events[i]
		p.mu.events = slices.Insert(p.mu.events, 0, event{e.Position, e.Type, e.Stream, e.Version})
	}
	p.mu.events = p.mu.events[:min(len(p.mu.events), eventsMax)]
}

// follow tells a browser how things are, several times a second.
func (p *Page) follow(w http.ResponseWriter, r *http.Request) {
	select {
	case p.streams <- struct{}{}:
		defer func() { <-p.streams }()
	default:
		answer.Error(w, &answer.Problem{
			Status: http.StatusServiceUnavailable, Title: "Too many are looking.", Detail: "Close another window of this page.",
		})
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := http.NewResponseController(w)
	for {
		now, err := p.now(r.Context())
		if err != nil {
			return // the browser has gone, or the journal has; the browser asks again
		}
		text, err := json.Marshal(now)
		if err != nil {
			return
		}
		if _, err := fmt.Fprintf(w, "retry: 500\ndata: %s\n\n", text); err != nil || out.Flush() != nil {
			return
		}
		if clock.Sleep(r.Context(), every) != nil {
			return
		}
	}
}

// picture is how things are.
type picture struct {
	Authority authority `json:"authority"`
	Verifiers []belief  `json:"verifiers"`
	Subjects  []subject `json:"subjects"`
	Events    []event   `json:"events"`
}

type authority struct {
	URL   string           `json:"url"`
	Log   string           `json:"log"`
	Epoch journal.LogEpoch `json:"epoch"`
	Head  journal.Position `json:"head"`
}

type subject struct {
	Key      string           `json:"key"`
	Name     string           `json:"name"`
	Version  journal.Version  `json:"version"`
	State    string           `json:"state"`
	Sessions []sessionOfShown `json:"sessions"`
}

type sessionOfShown struct {
	ID         string          `json:"id"`
	Version    journal.Version `json:"version"`
	Generation int64           `json:"generation"`
	Device     string          `json:"device"`
	Started    time.Time       `json:"started"`
	Ended      string          `json:"ended,omitempty"`
}

// now looks at everything once.
func (p *Page) now(ctx context.Context) (picture, error) {
	head, err := p.cfg.Cell.Log().Head(ctx)
	if err != nil {
		return picture{}, err
	}
	now := picture{Authority: authority{p.cfg.URL, head.Log, head.Epoch, head.Position}, Subjects: []subject{}}
	for _, w := range p.cfg.Watches {
		now.Verifiers = append(now.Verifiers, w.belief())
	}
	for _, person := range p.cfg.People {
		s, err := p.subject(ctx, person)
		if err != nil {
			return picture{}, err
		}
		if s.Version > 0 {
			now.Subjects = append(now.Subjects, s)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now.Events = slices.Clone(p.mu.events)
	return now, nil
}

// subject looks at one person.
func (p *Page) subject(ctx context.Context, who Person) (subject, error) {
	out := subject{Key: passport.SubjectKey(who.Tenant, who.ID), Name: who.Name, Sessions: []sessionOfShown{}}
	at, err := p.cfg.Sessions.Subject(ctx, who.Tenant, who.ID)
	if errors.Is(err, journal.ErrNotFound) || err == nil && at.Version == 0 {
		return out, nil // has never signed in
	}
	if err != nil {
		return out, err
	}
	out.Version = at.Version
	var state []string
	for _, name := range sorted(at.State) {
		if name != "name" {
			state = append(state, name+" "+said(name, at.State[name]))
		}
	}
	out.State = strings.Join(state, ", ")
	sessions, err := p.cfg.Sessions.List(ctx, who.Tenant, who.ID)
	for _, s := range sessions {
		shown := sessionOfShown{
			ID: s.ID, Version: s.Version, Generation: s.Generation, Device: s.Device.Name, Started: s.Started,
		}
		if s.Ended != nil {
			shown.Ended = string(s.Ended.Why)
		}
		out.Sessions = append(out.Sessions, shown)
	}
	return out, err
}

// said writes an attribute as the shop shows it.
func said(name string, value json.RawMessage) string {
	var text string
	var cents seat.Cents
	switch {
	case json.Unmarshal(value, &text) == nil:
		return cmp.Or(text, "none")
	case name == "limit" && json.Unmarshal(value, &cents) == nil:
		return cents.String()
	}
	return string(value)
}

// pause pauses the feed of a service.
func (p *Page) pause(w http.ResponseWriter, r *http.Request) {
	i := slices.IndexFunc(p.cfg.Watches, func(x *Watch) bool { return x.name == r.PathValue("name") && x.valve != nil })
	if i < 0 {
		answer.Error(w, &answer.Problem{Status: http.StatusNotFound, Title: "There is no such feed to pause."})
		return
	}
	p.cfg.Watches[i].valve.Pause(PauseFor)
	answer.JSON(w, http.StatusOK, map[string]int64{"paused_ms": PauseFor.Milliseconds()})
}

// revokeSession revokes one session.
func (p *Page) revokeSession(w http.ResponseWriter, r *http.Request) {
	p.revoke(w, r, session.Target{Scope: heartbeat.Session, Key: r.PathValue("id")})
}

// revokeSubject revokes all sessions of somebody.
func (p *Page) revokeSubject(w http.ResponseWriter, r *http.Request) {
	for _, who := range p.cfg.People {
		if passport.SubjectKey(who.Tenant, who.ID) == r.PathValue("key") {
			p.revoke(w, r, session.Target{Scope: heartbeat.Subject, Tenant: who.Tenant, Subject: who.ID})
			return
		}
	}
	answer.Error(w, nobody())
}

// nobody is answered when there is nothing of the name.
func nobody() error {
	return &answer.Problem{Status: http.StatusNotFound, Title: "There is nobody of that name to revoke."}
}

func (p *Page) revoke(w http.ResponseWriter, r *http.Request, t session.Target) {
	at, err := p.cfg.Sessions.Revoke(r.Context(), t, "live page", "revoked by hand")
	switch {
	case errors.Is(err, journal.ErrNotFound), errors.Is(err, passport.ErrNoSession), errors.Is(err, journal.ErrInvalid):
		answer.Error(w, nobody())
	case err != nil:
		answer.Error(w, err)
	default:
		answer.JSON(w, http.StatusOK, map[string]journal.Position{"position": at})
	}
}

// sorted returns the keys in order.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// of writes "2 of 40".
func of(n, all int64) string { return fmt.Sprintf("%d of %d", n, all) }
