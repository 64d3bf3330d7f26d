// SPDX-License-Identifier: Apache-2.0

// What becomes of a legacy cookie: shadow, import, cut over, refuse.

package legacy

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"sync/atomic"
	"time"
)

// Stage is how far the migration is.
type Stage string

// The stages, in their order.
const (
	// Shadow leaves the cookie what it was, and only compares its state with the journal's.
	Shadow Stage = "shadow"
	// Import starts a session of the journal for a cookie on first sight.
	Import Stage = "import"
	// CutOver imports only cookies made before a moment.
	CutOver Stage = "cut-over"
	// Refuse refuses them all, without a look at what they hold.
	Refuse Stage = "refuse"
)

// DefaultPatience is how long a comparison may hold up a request.
const DefaultPatience = 100 * time.Millisecond

// Journal is where sessions live; edge/legacy/sessionlegacy has one on package session. Goroutines share it.
type Journal interface {
	// Find returns what is known of a subject; of an unknown one, Known{} and no error.
	Find(ctx context.Context, tenant, subject string) (Known, error)
	// Foretell returns the error that Start would return now, and changes nothing.
	Foretell(ctx context.Context, s SignIn) error
	// Start starts the session of a sign-in, and returns the handle for its browser. It is idempotent by the key of the
	// sign-in, for as long as the cookie could come back: the same key finds the same session. It returns [ErrSpent] if
	// that session has ended, if its handle was rotated since, or if the subject was revoked after the cookie was made,
	// so that a cookie never undoes a logout and never gains what came later; and [ErrUnfit] if there can be no such
	// session.
	Start(ctx context.Context, s SignIn) (handle string, err error)
}

var (
	// ErrSpent: a cookie does not stand for a live session any more: what it was imported as has ended or moved on, or
	// its subject was revoked.
	ErrSpent = errors.New("legacy cookie is spent")
	// ErrUnfit: a cookie's identity or state is not what the journal takes, such as an attribute of another type.
	ErrUnfit = errors.New("legacy cookie does not fit")
)

// Known is what the journal knows of a subject.
type Known struct {
	Found bool
	// State are the attributes that its sessions share.
	State map[string]json.RawMessage
	// Changed is when they changed last, if the journal can say so; else the zero time.
	Changed time.Time
}

// SignIn asks for the session of a cookie.
type SignIn struct {
	Key [32]byte
	Identity
	// Issued and Expires are the cookie's; the zero time where it does not say. The key has to be remembered until
	// Expires, and for good without it.
	Issued, Expires time.Time
	UserAgent       string // as the request has it
}

// GateConfig configures a [Gate].
type GateConfig struct {
	Reader  *Reader
	Journal Journal // not needed to refuse
	Stage   Stage
	// Before is the moment of [CutOver].
	Before time.Time
	// Sample compares one cookie of so many in [Shadow]; 0 for every one.
	Sample int
	// Patience is how long a comparison may hold up a request; 0 for [DefaultPatience].
	Patience time.Duration
	// Logger is told why cookies are refused, at the level Debug, as anybody can send bad ones; nil for nobody.
	Logger *slog.Logger
}

// Gate applies the stage of the migration to requests. Goroutines may share it.
type Gate struct {
	cfg     GateConfig
	seen    atomic.Int64
	counter counter
}

// NewGate checks a configuration. It returns an [InvalidError].
func NewGate(cfg GateConfig) (*Gate, error) {
	switch {
	case cfg.Reader == nil:
		return nil, invalid("Reader", "is missing: make one with NewReader")
	case cfg.Stage != Shadow && cfg.Stage != Import && cfg.Stage != CutOver && cfg.Stage != Refuse:
		return nil, invalid("Stage", "%q is unknown: use one of %q", cfg.Stage, []Stage{Shadow, Import, CutOver, Refuse})
	case cfg.Journal == nil && cfg.Stage != Refuse:
		return nil, invalid("Journal", "is missing: %s needs one", cfg.Stage)
	case cfg.Before.IsZero() != (cfg.Stage != CutOver):
		return nil, invalid("Before", "belongs to %s, and to no other stage", CutOver)
	case cfg.Sample < 0 || cfg.Patience < 0:
		return nil, invalid("Sample or Patience", "is below 0: give 0 for the default")
	}
	cfg.Sample, cfg.Patience = max(cfg.Sample, 1), cmp.Or(cfg.Patience, DefaultPatience)
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	g := &Gate{cfg: cfg}
	g.counter.start(cfg.Stage)
	return g, nil
}

// Import returns the handle of the session that a request's legacy cookie stands for, and whether there is one. Ask
// it for requests without a live handle only. Without a good legacy cookie, and always in [Shadow], it returns false
// and no error: a bad cookie signs nobody in, and a comparison changes nothing. Errors are the journal's: nobody
// knows whether the cookie is spent.
func (g *Gate) Import(ctx context.Context, req *http.Request) (handle string, ok bool, err error) {
	if g.cfg.Stage == Shadow {
		g.shadow(ctx, req)
		return "", false, nil
	}
	handle, err = g.start(ctx, req)
	switch {
	case errors.Is(err, ErrNone):
		return "", false, nil
	case errors.Is(err, ErrRefused):
		g.counter.refused(Why(err))
		g.cfg.Logger.DebugContext(ctx, "legacy cookie refused", "reason", err)
		return "", false, nil
	case err != nil:
		g.counter.failed()
		return "", false, fmt.Errorf("import a legacy cookie: %w", err)
	}
	g.counter.imported()
	return handle, true, nil
}

func (g *Gate) start(ctx context.Context, req *http.Request) (string, error) {
	if g.cfg.Stage == Refuse {
		if g.cfg.Reader.brought(req) {
			return "", &refusal{why: closed}
		}
		return "", ErrNone
	}
	f, err := g.cfg.Reader.Read(req)
	if err != nil {
		return "", err
	}
	if g.cfg.Stage == CutOver && (f.Issued.IsZero() || !f.Issued.Before(g.cfg.Before)) {
		return "", &refusal{cookie: f.Cookie, why: late}
	}
	handle, err := g.cfg.Journal.Start(ctx, signIn(&f, req))
	return handle, judged(&f, err)
}

// signIn is what the journal is asked for. State that is null is none.
func signIn(f *Found, req *http.Request) SignIn {
	s := SignIn{
		Key: f.Key, Identity: f.Identity, Issued: f.Issued, Expires: f.Expires,
		UserAgent: req.UserAgent(),
	}
	s.State, s.SubjectState = withoutNulls(s.State), withoutNulls(s.SubjectState)
	return s
}

func withoutNulls(state map[string]json.RawMessage) map[string]json.RawMessage {
	rest := maps.Clone(state)
	maps.DeleteFunc(rest, func(_ string, value json.RawMessage) bool { return equalJSON(value, nil) })
	return rest
}

// judged makes a refusal of what the journal has against a cookie.
func judged(f *Found, err error) error {
	switch {
	case errors.Is(err, ErrSpent):
		return &refusal{cookie: f.Cookie, why: spent}
	case errors.Is(err, ErrUnfit):
		return &refusal{cookie: f.Cookie, why: unfit, cause: err}
	}
	return err
}

// shadow looks whether a request's cookie would be imported, compares its state with the journal's, and counts. It
// holds up the request for the configured patience at most.
func (g *Gate) shadow(ctx context.Context, req *http.Request) {
	if !g.cfg.Reader.brought(req) || (g.seen.Add(1)-1)%int64(g.cfg.Sample) != 0 {
		return
	}
	f, known, err := g.compare(ctx, req)
	switch {
	case errors.Is(err, ErrRefused):
		g.counter.refused(Why(err))
		g.cfg.Logger.DebugContext(ctx, "legacy cookie would be refused", "reason", err)
	case err != nil:
		g.counter.failed()
	default:
		g.counter.compared(&f, &known)
	}
}

// compare returns a request's cookie, if it would be imported, and what the journal knows of its subject.
func (g *Gate) compare(ctx context.Context, req *http.Request) (Found, Known, error) {
	f, err := g.cfg.Reader.Read(req)
	if err != nil {
		return f, Known{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Patience)
	defer cancel()
	if err := g.cfg.Journal.Foretell(ctx, signIn(&f, req)); err != nil {
		return f, Known{}, judged(&f, err)
	}
	known, err := g.cfg.Journal.Find(ctx, f.Identity.Tenant, f.Identity.Subject)
	return f, known, err
}

// Knows reports whether a cookie of that name is a legacy cookie, or a chunk of one.
func (g *Gate) Knows(name string) bool { return g.cfg.Reader.owner(name) != nil }

// Delete returns the cookie that makes a browser forget the legacy cookie of that name, and that is not to travel to
// the services behind. It is nil for other cookies, and for all of them in [Shadow], where the services still live on
// them.
func (g *Gate) Delete(name string) *http.Cookie {
	c := g.cfg.Reader.owner(name)
	if c == nil || g.cfg.Stage == Shadow {
		return nil
	}
	return c.deletion(name)
}

// Stats returns what was counted since the start.
func (g *Gate) Stats() Stats { return g.counter.stats() }

// Status returns [Gate.Stats], for a page that shows whatever is there.
func (g *Gate) Status() any { return g.Stats() }
