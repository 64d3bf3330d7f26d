// SPDX-License-Identifier: Apache-2.0

// How fresh a passport must be, and what is done when it is not.

package edge

import (
	"context"
	"errors"
	"time"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/passport"
	"example.com/vidimus/passport/header"
)

// errAhead says that a request wants the state of a position that does not exist.
var errAhead = errors.New("the position is ahead of the log")

// obtain finds a passport for v.handle that is as fresh as the route and the request demand.
func (v *visit) obtain(ctx context.Context) error {
	m, now := v.edge.mint, clock.Now()
	h := m.ready.get(v.handle)
	if h != nil && v.consistency.Mode != header.FullyConsistent && v.judge(h, now) {
		v.held = h
		return nil
	}
	var after uint64
	if v.demanding() {
		after = m.event() // only a call that begins from now on has seen all that the request may have seen
	}
	limited, done := v.patience(ctx, h)
	defer done()
	fresh, err := m.fetch(limited, v.handle, after, v.from)
	if err == nil && fresh.age(clock.Now()) > v.maxStale() && fresh.asked.Before(now) {
		fresh, err = m.fetch(limited, v.handle, m.event(), v.from) // the call was under way too long when this one joined
	}
	if err == nil {
		return v.accept(fresh)
	}
	if h != nil && v.stillReads(h, err) {
		v.held, v.readOnly = h, true
		return nil
	}
	return err
}

// demanding reports whether the request wants more than that the bound is met.
func (v *visit) demanding() bool {
	mode := v.consistency.Mode
	return mode != "" && mode != header.MinimizeLatency || v.position != (header.Mark{})
}

// shortPatience is how long a request waits for the authority that can go on without it.
const shortPatience = 250 * time.Millisecond

// patience bounds how long a request waits for the authority, or for the importer. Who only reads a public page gets it
// without being recognised rather than not at all, and who may read by what is at hand does so. Where people sign in or
// out, and where something is written, it matters who they are.
func (v *visit) patience(ctx context.Context, h *held) (context.Context, context.CancelFunc) {
	if v.readsWithout() || h != nil && v.stillReads(h, passport.ErrUnavailable) {
		return context.WithTimeoutCause(ctx, shortPatience, passport.ErrUnavailable)
	}
	return ctx, func() {}
}

// readsWithout reports whether a request is as well answered without a passport.
func (v *visit) readsWithout() bool {
	return v.route.Public && !v.route.SignIn && isSafe(v.in.Method) && upgrade(v.in.Header) == "" && !v.demanding() &&
		v.consistency.MaxStale == 0
}

// maxStale is the bound of the route, or a smaller one of the request.
func (v *visit) maxStale() time.Duration {
	if v.consistency.MaxStale > 0 {
		return min(v.consistency.MaxStale, v.route.MaxStale)
	}
	return v.route.MaxStale
}

// accept takes a passport that was asked for after the request came in.
func (v *visit) accept(h *held) error {
	v.held, v.age, v.known = h, h.age(clock.Now()), h.claims.Mark
	if !h.claims.Mark.SameLog(v.position) {
		return nil // of another log nothing is asked but to be fully consistent, which a new passport is
	}
	if !h.claims.Mark.Reaches(v.position) {
		return errAhead
	}
	if v.consistency.Mode == header.Exact && h.claims.Position != v.position.Position {
		return passport.ErrInexact
	}
	return nil
}

// judge reports whether a passport at hand will do, and notes how stale the decision is: no older than the view
// knows, and no older than the passport.
func (v *visit) judge(h *held, now time.Time) bool {
	v.age, v.known = h.age(now), h.claims.Mark
	if v.age >= h.life || h.order <= v.edge.mint.floors.atMost(h.subject) {
		return false
	}
	through, ok := v.look(h)
	if !ok || v.age > v.maxStale() {
		return false
	}
	switch {
	case v.position == header.Mark{}:
		return v.consistency.Mode != header.AtLeastAsFresh && v.consistency.Mode != header.Exact
	case v.consistency.Mode == header.Exact:
		return h.claims.SameLog(v.position) && h.claims.Position <= v.position.Position && through.Reaches(v.position)
	case h.claims.Reaches(v.position):
		return true
	}
	return through.Reaches(v.position)
}

// look asks the view. It returns how far the passport is known to hold; ok is false if the view knows that it does
// not.
func (v *visit) look(h *held) (through header.Mark, ok bool) {
	view := v.edge.config.View
	if view == nil {
		return h.claims.Mark, true
	}
	// What the two say is counted on only after Judge was asked, so it is read before.
	stale, through := view.Staleness(), view.Through()
	generation := view.Generation()
	if h.judged.Load() != generation+1 {
		switch err := view.Judge(&h.claims); {
		case errors.Is(err, passport.ErrForeign):
			return h.claims.Mark, true // the view follows another log, or none yet: it knows nothing against it
		case err != nil:
			return through, false
		}
		h.judged.Store(generation + 1)
	}
	if stale < v.age {
		v.age, v.known = stale, through
	}
	if !through.Reaches(h.claims.Mark) {
		through = h.claims.Mark
	}
	return through, true
}

// stillReads reports whether a request may go on with what is at hand, while the authority does not answer.
func (v *visit) stillReads(h *held, err error) bool {
	if v.route.WhenStale != passport.ReadOnly || !isSafe(v.in.Method) || !errors.Is(err, passport.ErrUnavailable) ||
		v.demanding() || v.consistency.MaxStale > 0 || upgrade(v.in.Header) != "" {
		return false
	}
	v.age = h.age(clock.Now())
	over := v.age >= h.life
	_, ok := v.look(h)
	return ok && !over && h.order > v.edge.mint.floors.atMost(h.subject)
}
