// SPDX-License-Identifier: Apache-2.0

// Asking the authority, where what is known here will not do.

package passport

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/passport/header"
)

const (
	maxAsks    = 64                     // questions to the authority at a time, one for each passport
	askTimeout = 5 * time.Second        // for one of them, with the wait for its turn
	maxWait    = 250 * time.Millisecond // for the view to reach a position, before the authority is asked
)

// replacement is a passport that the authority gave for another one.
type replacement struct {
	entry *entry
	asked time.Time // before the authority was: everything acknowledged by then is minded
}

// mustAsk reports whether the request wants more than the view can know, whatever the route says. It waits a little
// for a view that is about to know enough.
func (q *question) mustAsk(ctx context.Context, e *entry) (bool, error) {
	mode, at := q.need.Consistency.Mode, q.need.At
	if mode == "" && at != (Mark{}) {
		mode = header.AtLeastAsFresh // who names a position wants it reached
	}
	switch mode {
	case "", header.MinimizeLatency:
		return false, nil
	case header.FullyConsistent:
		return q.mayAsk()
	case header.AtLeastAsFresh, header.Exact:
	default:
		return false, &header.Error{Field: header.ConsistencyField, Problem: "has an unknown mode"}
	}
	if at == (Mark{}) {
		return false, &header.Error{Field: header.ConsistencyField, Problem: "needs the header " + header.Position}
	}
	if mode == header.Exact {
		if e.mark != at {
			return false, ErrInexact
		}
		return false, nil
	}
	if e.mark.Reaches(at) || q.reach(ctx, at) {
		return false, nil
	}
	return q.mayAsk()
}

// mayAsk returns true if there is an authority to ask.
func (q *question) mayAsk() (bool, error) {
	if q.cfg.Authority == nil {
		return false, fmt.Errorf("%w: nobody to ask for a passport as fresh as the request wants", ErrStale)
	}
	return true, nil
}

// reach reports whether the view minds every change up to a mark, after waiting a little if it can be waited for.
func (q *question) reach(ctx context.Context, at Mark) bool {
	view := q.cfg.View
	if view == nil {
		return false
	}
	through := view.Through()
	if through.Reaches(at) {
		return true
	}
	waiter, ok := view.(interface {
		Wait(ctx context.Context, m Mark) error
	})
	if !ok || !through.SameLog(at) {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	return waiter.Wait(ctx, at) == nil && view.Through().Reaches(at)
}

// ask decides on what the authority says now, or said recently enough.
func (q *question) ask(ctx context.Context, e *entry) (Decision, error) {
	arrived, atLeast := clock.Now(), q.need.At
	for range 2 { // again for a change that came between the answer and the verdict
		r, err := q.replacement(ctx, e, arrived, atLeast)
		if err != nil {
			return Decision{}, err
		}
		judged, err := q.judge(r.entry)
		switch {
		case err != nil:
			return Decision{}, err
		case judged == revoked:
			return Decision{}, ErrRevoked
		case judged == superseded:
			arrived, atLeast = clock.Now(), q.cfg.View.Through()
			continue
		}
		if !allows(r.entry.scope, q.rule.Scopes) {
			return Decision{}, ErrScope
		}
		d := Decision{Claims: &r.entry.claims, Token: r.entry.token, At: r.entry.mark}
		d.Staleness = header.Staleness{Known: true, Age: clock.Age(r.asked), Mark: d.At}
		return d, nil
	}
	return Decision{}, ErrSuperseded
}

// turn lets one ask at a time.
type turn struct {
	taken chan struct{}
	// failed is how the last one who asked fared, if badly. Whoever has the turn may touch it.
	failed failure
}

type failure struct {
	token string // that was to be replaced
	ended time.Time
	err   error
}

// turn returns the one of a passport. Its text ends with a signature, so these characters spread passports evenly.
func (v *Verifier) turn(token string) *turn {
	return &v.turns[(uint(token[len(token)-4])*31+uint(token[len(token)-5]))%maxAsks]
}

// replacement returns one that will do, or an error within askTimeout. For one passport the authority is asked one
// thing at a time. Who waits for that meanwhile shares a failure, or the next answer.
func (q *question) replacement(ctx context.Context, e *entry, arrived time.Time, atLeast Mark) (*replacement, error) {
	if r := e.replaced.Load(); q.willDo(r, arrived) {
		return r, nil
	}
	began := clock.Now()
	limited, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	t := q.turn(e.token)
	select {
	case t.taken <- struct{}{}:
		defer func() { <-t.taken }()
	case <-limited.Done():
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%w: it was asked by others, and nobody was answered within %v", ErrUnavailable, askTimeout)
	}
	if r := e.replaced.Load(); q.willDo(r, arrived) {
		return r, nil
	}
	if f := &t.failed; f.err != nil && f.token == e.token && f.ended.After(began) {
		return nil, f.err
	}
	short := clock.Since(began) > askTimeout/2
	r, err := q.request(limited, e, atLeast)
	t.failed = failure{}
	// A caller that left, or had waited too long to be patient, says nothing about the authority.
	if err != nil && ctx.Err() == nil && !(short && limited.Err() != nil) {
		t.failed = failure{token: e.token, ended: clock.Now(), err: err}
	}
	return r, err
}

// request asks the authority.
func (q *question) request(ctx context.Context, e *entry, atLeast Mark) (*replacement, error) {
	r := &replacement{asked: clock.Now()}
	grant, err := q.cfg.Authority.Replace(ctx, e.token, atLeast)
	switch {
	case errors.Is(err, ErrRevoked), errors.Is(err, ErrNoSession):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: %v", ErrUnavailable, err)
	}
	if r.entry, err = q.recall(ctx, grant.Token); err != nil {
		return nil, fmt.Errorf("%w: it answered with a bad passport: %v", ErrUnavailable, err)
	}
	if !r.entry.claims.replaces(&e.claims) {
		return nil, fmt.Errorf("%w: it answered with a passport for something else, or from before", ErrUnavailable)
	}
	if q.cfg.View != nil {
		if at := q.cfg.View.Through(); r.entry.mark.Log == at.Log && r.entry.mark.Epoch < at.Epoch {
			return nil, fmt.Errorf("%w: it answered from epoch %d of the log, which is in epoch %d",
				ErrUnavailable, r.entry.mark.Epoch, at.Epoch)
		}
	}
	e.replaced.Store(r)
	return r, nil
}

// willDo reports whether an answer of the authority is recent enough, and still good.
func (q *question) willDo(r *replacement, arrived time.Time) bool {
	if r == nil {
		return false
	}
	now := q.cfg.Now().Unix()
	switch {
	case now < r.entry.notBefore || now >= r.entry.expiry:
		return false
	case q.need.Consistency.Mode == header.FullyConsistent && r.asked.Before(arrived):
		return false
	case q.need.At != (Mark{}) && !r.entry.mark.Reaches(q.need.At) && r.asked.Before(arrived):
		return false
	case q.bound != 0 && clock.Age(r.asked) > q.bound:
		return false
	}
	judged, err := q.judge(r.entry)
	return err == nil && judged == good
}

// replaces reports whether a passport may stand for another one: for the same, from no earlier, and with no more
// scope.
func (c *Claims) replaces(old *Claims) bool {
	return c.Txn == old.Txn && c.Subject == old.Subject && c.Tenant == old.Tenant && c.Session == old.Session &&
		c.follows(old) && allows(old.Scope, strings.Fields(c.Scope))
}

// follows reports whether a passport is not known to be older than another one. Marks of different logs tell nothing.
func (c *Claims) follows(old *Claims) bool {
	switch {
	case c.Log != old.Log:
		return true
	case c.Epoch != old.Epoch:
		return c.Epoch > old.Epoch
	}
	return c.Position >= old.Position && c.Version >= old.Version && c.SubjectVersion >= old.SubjectVersion
}
