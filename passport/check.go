// SPDX-License-Identifier: Apache-2.0

// The decision on a passport that is genuine: is it fresh enough, was it changed since, does it allow this.

package passport

import (
	"context"
	"errors"
	"strings"
	"time"

	"example.com/vidimus/passport/header"
)

// WhenStale is what a route does when staleness is beyond its bound.
type WhenStale int

// What routes do.
const (
	// FailClosed refuses everything with [ErrStale].
	FailClosed WhenStale = iota
	// AskAuthority has the passport replaced by one of now, and refuses with [ErrUnavailable] when the authority does
	// not answer. It also replaces passports that are superseded, instead of refusing them.
	AskAuthority
	// ReadOnly goes on with safe requests (GET, HEAD, OPTIONS), says so in Vidimus-Staleness, and refuses the others
	// with [ErrStale].
	ReadOnly
)

// Rule is what a route demands. A nil Rule demands a passport that is genuine and not known to be changed since.
type Rule struct {
	// Scopes must all be in the passport's scope.
	Scopes []string
	// MaxStale bounds how long ago the verifier last knew of every change; 0 for no bound. Without a View it is never
	// met, nor is a bound below 0.
	MaxStale time.Duration
	// WhenStale is what happens beyond MaxStale.
	WhenStale WhenStale
}

// Need is what one request asks beyond the rule of its route. It can only ask for more.
type Need struct {
	// Safe says that the request changes nothing.
	Safe bool
	// Consistency and At are the headers Vidimus-Consistency and Vidimus-Position.
	Consistency header.Consistency
	At          Mark
}

// Decision is a passport that was found good, and under which bound.
type Decision struct {
	Claims *Claims
	// Token is the passport to pass on: that of the request, or the one it was replaced by.
	Token string
	// Staleness is what Vidimus-Staleness says, and At what Vidimus-Position says: every change up to there was minded.
	Staleness header.Staleness
	At        Mark
}

// Check decides on a passport under a rule, for a request that may change something; see [Verifier.Decide].
func (v *Verifier) Check(ctx context.Context, token string, rule *Rule) (*Claims, error) {
	d, err := v.Decide(ctx, token, rule, Need{})
	return d.Claims, err
}

// Decide decides on a passport: it is genuine (see [Verifier.Verify]), nothing it says is known to have changed, that
// is known recently enough for the rule and the request, and it allows what the rule wants. A nil rule is an empty
// one.
//
// It returns [ErrInvalid], [ErrExpired], [ErrSuperseded], [ErrRevoked], [ErrForeign], [ErrStale], [ErrInexact],
// [ErrScope], [ErrNoSession] or [ErrUnavailable]; [Status] says them over HTTP. A request that names a position of a
// log which the view does not follow, or another epoch of it, is decided fully consistently.
func (v *Verifier) Decide(ctx context.Context, token string, rule *Rule, need Need) (Decision, error) {
	e, err := v.recall(ctx, token)
	if err != nil {
		return Decision{}, err
	}
	if rule == nil {
		rule = &Rule{}
	}
	q := question{Verifier: v, rule: rule, need: need, bound: tighter(rule.MaxStale, need.Consistency.MaxStale)}
	return q.decide(ctx, e)
}

// tighter returns the smaller of two bounds, of which 0 is none.
func tighter(a, b time.Duration) time.Duration {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

// allows reports whether every one of the scopes is in a passport's scope.
func allows(scope string, scopes []string) bool {
	for _, want := range scopes {
		found := false
		for rest := scope; !found && rest != ""; {
			var has string
			has, rest, _ = strings.Cut(rest, " ")
			found = has == want
		}
		if !found {
			return false
		}
	}
	return true
}

// question is one decision under way.
type question struct {
	*Verifier
	rule  *Rule
	need  Need
	bound time.Duration // of staleness; 0 for none
}

// verdict is what a view says of a passport.
type verdict uint64

const (
	unjudged verdict = iota
	good
	superseded
	revoked
	foreign
	verdicts // how many there are
)

// decide decides by what is known here, or asks the authority where that will not do.
func (q *question) decide(ctx context.Context, e *entry) (Decision, error) {
	ask, err := q.mustAsk(ctx, e)
	if err != nil {
		return Decision{}, err
	}
	// In this order: a verdict found after the bound was read minds everything that the bound counts on.
	stale := q.staleness()
	judged, err := q.judge(e)
	switch {
	case err != nil:
		return Decision{}, err
	case judged == revoked:
		return Decision{}, ErrRevoked
	case ask:
		return q.ask(ctx, e)
	case judged == superseded || judged == foreign:
		if q.asks() {
			return q.ask(ctx, e)
		}
		return Decision{}, judged.err()
	}
	readOnly := false
	if q.bound != 0 && stale > q.bound {
		own := q.need.Consistency.MaxStale
		switch {
		case q.asks():
			return q.ask(ctx, e)
		case q.rule.WhenStale != ReadOnly || !q.need.Safe || own > 0 && stale > own:
			return Decision{}, ErrStale
		}
		readOnly = true
	}
	if !allows(e.scope, q.rule.Scopes) {
		return Decision{}, ErrScope
	}
	return q.decision(e, stale, readOnly), nil
}

// asks reports whether the route asks the authority when what is known here will not do.
func (q *question) asks() bool { return q.rule.WhenStale == AskAuthority && q.cfg.Authority != nil }

// staleness is that of the view.
func (v *Verifier) staleness() time.Duration {
	if v.cfg.View == nil {
		return Unknown
	}
	return v.cfg.View.Staleness()
}

// judge returns the view's verdict, remembered for as long as the view's generation stays.
func (v *Verifier) judge(e *entry) (verdict, error) {
	if v.cfg.View == nil {
		return good, nil
	}
	generation := v.cfg.View.Generation() // before the verdict: one that is newer than it says does no harm
	if packed := e.judged.Load(); packed/uint64(verdicts) == generation && packed%uint64(verdicts) != uint64(unjudged) {
		return verdict(packed % uint64(verdicts)), nil
	}
	var judged verdict
	switch err := v.cfg.View.Judge(&e.claims); {
	case err == nil:
		judged = good
	case errors.Is(err, ErrRevoked):
		judged = revoked
	case errors.Is(err, ErrSuperseded):
		judged = superseded
	case errors.Is(err, ErrForeign):
		judged = foreign
	default:
		return unjudged, err
	}
	e.judged.Store(generation*uint64(verdicts) + uint64(judged))
	return judged, nil
}

func (j verdict) err() error {
	switch j {
	case superseded:
		return ErrSuperseded
	case revoked:
		return ErrRevoked
	case foreign:
		return ErrForeign
	}
	return nil
}

// decision says under which bound a passport was found good.
func (v *Verifier) decision(e *entry, stale time.Duration, readOnly bool) Decision {
	d := Decision{Claims: &e.claims, Token: e.token, At: e.mark}
	d.Staleness.ReadOnly = readOnly
	if v.cfg.View == nil {
		return d
	}
	d.Staleness.Mark = v.cfg.View.Through()
	if d.Staleness.Mark.Reaches(d.At) {
		d.At = d.Staleness.Mark
	}
	if stale != Unknown {
		d.Staleness.Known, d.Staleness.Age = true, stale
	}
	return d
}
