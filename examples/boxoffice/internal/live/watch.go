// SPDX-License-Identifier: Apache-2.0

// What is watched of a service: its feed, which can be paused, and its verdicts.

package live

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"sync"
	"time"

	"example.com/vidimus/heartbeat"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/passport"
	"example.com/vidimus/passport/header"
)

// lastMax is how many verdicts are shown of a service.
const lastMax = 5

// Watch sees what one service believes. Goroutines may share it.
type Watch struct {
	name   string
	rules  map[string]passport.Rule
	client *heartbeat.Client
	valve  *Valve
	mu     struct {
		sync.Mutex
		last    []verdict // the newest first
		count   int64
		refused int64
	}
}

// NewWatch watches a service by its name: the client that feeds its view, the valve before that, and the rules of its
// routes by their patterns. rules may be nil.
func NewWatch(name string, c *heartbeat.Client, v *Valve, rules map[string]passport.Rule) *Watch {
	return &Watch{name: name, client: c, valve: v, rules: rules}
}

// verdict is what one request was answered.
type verdict struct {
	ID      int64  `json:"id"`
	Method  string `json:"method"`
	Path    string `json:"path"`
	Status  int    `json:"status"`
	Verdict string `json:"verdict"` // on the passport: good, read-only, stale, or the code of the refusal
}

// Handler notes what h answers below /api/.
func (w *Watch) Handler(h http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/api/") {
			h.ServeHTTP(rw, r)
			return
		}
		n := &noted{ResponseWriter: rw, tell: func(status int, header http.Header) {
			w.note(verdict{Method: r.Method, Path: r.URL.Path, Status: status, Verdict: judge(status, header)})
		}}
		h.ServeHTTP(n, r)
	})
}

// note keeps a verdict.
func (w *Watch) note(v verdict) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mu.count++
	if v.Verdict != "good" && v.Verdict != "read-only" {
		w.mu.refused++
	}
	v.ID = w.mu.count
	w.mu.last = append([]verdict{v}, w.mu.last[:min(len(w.mu.last), lastMax-1)]...)
}

// judge reads from an answer what became of the passport.
func judge(status int, h http.Header) string {
	if _, code, found := strings.Cut(h.Get("WWW-Authenticate"), `error="`); status == http.StatusUnauthorized && found {
		code, _, _ = strings.Cut(code, `"`)
		return code
	}
	s, said, err := header.GetStaleness(h)
	switch {
	case status == http.StatusUnauthorized:
		return "refused"
	case status == http.StatusServiceUnavailable:
		return "stale"
	case said && err == nil && s.ReadOnly:
		return "read-only"
	}
	return "good"
}

// noted tells of the status of an answer once.
type noted struct {
	http.ResponseWriter
	tell func(status int, h http.Header)
	said bool
}

// WriteHeader tells of the status and sends it.
func (n *noted) WriteHeader(status int) {
	if !n.said && status >= http.StatusOK {
		n.said = true
		n.tell(status, n.Header())
	}
	n.ResponseWriter.WriteHeader(status)
}

func (n *noted) Write(b []byte) (int, error) {
	if !n.said {
		n.WriteHeader(http.StatusOK)
	}
	return n.ResponseWriter.Write(b)
}

// Unwrap lets [http.ResponseController] reach what is behind.
func (n *noted) Unwrap() http.ResponseWriter { return n.ResponseWriter }

// belief is what a service believes now, as the page is told.
type belief struct {
	Name        string      `json:"name"`
	Connected   bool        `json:"connected"`
	StalenessMS int64       `json:"staleness_ms"` // -1 for unknown
	Through     string      `json:"through"`
	Floors      string      `json:"floors"`
	Gaps        int64       `json:"gaps"`
	Resyncs     int64       `json:"resyncs"`
	Refused     string      `json:"refused"`
	CanPause    bool        `json:"can_pause"`
	PauseMS     int64       `json:"pause_ms"`
	PausedMS    int64       `json:"paused_ms"`
	Routes      []routeMood `json:"routes"`
	Verdicts    []verdict   `json:"verdicts"`
}

// routeMood is how a route would decide now.
type routeMood struct {
	Name  string `json:"name"`
	MaxMS int64  `json:"max_ms"`
	Now   string `json:"now"` // open, asks, read only or closed
}

// belief asks the view and the client.
func (w *Watch) belief() belief {
	s := w.client.Status()
	b := belief{
		Name: w.name, Connected: s.Connected, StalenessMS: -1, Through: s.Through.String(), Floors: floors(w.client.View()),
		Gaps: s.Gaps, Resyncs: s.Resyncs, CanPause: w.valve != nil, PauseMS: PauseFor.Milliseconds(),
	}
	if s.Staleness != passport.Unknown {
		b.StalenessMS = s.Staleness.Milliseconds()
	}
	if w.valve != nil {
		b.PausedMS = w.valve.left().Milliseconds()
		b.Connected = b.Connected && b.PausedMS == 0
	}
	b.Routes = moods(w.rules, s.Staleness)
	w.mu.Lock()
	defer w.mu.Unlock()
	b.Verdicts = append([]verdict{}, w.mu.last...)
	b.Refused = of(w.mu.refused, w.mu.count)
	return b
}

// floors says what a view remembers.
func floors(v *heartbeat.View) string {
	base, count := v.Floors()
	return fmt.Sprintf("%d above %d", count, base)
}

// moods says how routes would decide at a staleness.
func moods(rules map[string]passport.Rule, staleness time.Duration) []routeMood {
	then := map[passport.WhenStale]string{
		passport.FailClosed: "closed", passport.AskAuthority: "asks", passport.ReadOnly: "read only",
	}
	out := []routeMood{}
	for _, pattern := range sorted(rules) {
		rule := rules[pattern]
		m := routeMood{Name: routeName(pattern), MaxMS: rule.MaxStale.Milliseconds(), Now: "open"}
		if rule.MaxStale > 0 && staleness > rule.MaxStale {
			m.Now = then[rule.WhenStale]
		}
		if len(out) == 0 || out[len(out)-1].Name != m.Name {
			out = append(out, m)
		}
	}
	return out
}

// routeName shortens a pattern for people: "POST /api/seats/{id}/hold" is "hold".
func routeName(pattern string) string {
	method, path, _ := strings.Cut(pattern, " ")
	if _, verb, found := strings.Cut(path, "{id}/"); found {
		return verb
	}
	return cmp.Or(map[string]string{http.MethodGet: "look", http.MethodPatch: "change"}[method], strings.ToLower(method))
}

// PauseFor is how long a paused feed stays silent: longer than every bound of the sample, so that all its routes are
// seen to close.
const PauseFor = 8 * time.Second

// Valve is a feed that can be paused, as if the network between the service and the authority hung: nothing arrives,
// and nothing fails either. Goroutines may share it.
type Valve struct {
	Source heartbeat.Source
	mu     struct {
		sync.Mutex
		until time.Time
	}
}

// Pause holds back everything for a while from now.
func (v *Valve) Pause(d time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.mu.until = clock.Now().Add(d)
}

// left is how long the pause lasts still; 0 if there is none.
func (v *Valve) left() time.Duration {
	v.mu.Lock()
	defer v.mu.Unlock()
	return max(0, clock.Until(v.mu.until))
}

// pass waits until the valve is open.
func (v *Valve) pass(ctx context.Context) error {
	for d := v.left(); d > 0; d = v.left() {
		if err := clock.Sleep(ctx, d); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// Subscribe implements [heartbeat.Source].
func (v *Valve) Subscribe(ctx context.Context, from passport.Mark) iter.Seq2[heartbeat.Frame, error] {
	return func(yield func(heartbeat.Frame, error) bool) {
		if err := v.pass(ctx); err != nil {
			yield(heartbeat.Frame{}, err)
			return
		}
		for f, err := range v.Source.Subscribe(ctx, from) {
			if waited := v.pass(ctx); waited != nil {
				f, err = heartbeat.Frame{}, waited
			}
			if !yield(f, err) || err != nil {
				return
			}
		}
	}
}

// Ping implements [heartbeat.Source].
func (v *Valve) Ping(ctx context.Context) (heartbeat.Head, error) {
	if err := v.pass(ctx); err != nil {
		return heartbeat.Head{}, err
	}
	return v.Source.Ping(ctx)
}
