// SPDX-License-Identifier: Apache-2.0

// The life of a session: what its commands lead to. What has ended decides nothing any more.

package session

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"example.com/vidimus/journal"
	"example.com/vidimus/passport"
)

// life is the state of a session's entity.
type life struct {
	Session
	before    *before // what the last step-up changed; nil when the handle was replaced otherwise since
	floors    floors
	refusals  int
	refusedAt time.Time
}

// before is a session as it was recognised before a step-up.
type before struct {
	acr        string
	amr        []string
	authTime   time.Time
	scopes     []string
	generation int64
}

// Commands. Now is the clock of the node that decides.
type (
	changeNow struct{ Change }
	begin     struct{ event started }
	stepNow   struct {
		StepUp
		now time.Time
	}
	rotate struct {
		generation int64
		now        time.Time
	}
	refuse struct {
		generation int64
		now        time.Time
	}
	// finish ends a session, by one of the events that do.
	finish struct{ event any }
)

// errOldHandle: the handle was replaced too long ago, or by more than one.
var errOldHandle = errors.New("handle was replaced")

// errUsed: the id was used for another session before.
var errUsed = fmt.Errorf("%w: the session is there already", journal.ErrIDReused)

// Bounds of what is noted of refused handles, so that whoever has one cannot fill the history.
const (
	maxRefusals  = 20
	refusalPause = time.Minute
)

// Decide returns the events that a command leads to.
func (l life) Decide(command any) ([]any, error) {
	switch c := command.(type) {
	case begin:
		if !l.Started.IsZero() {
			return nil, errUsed
		}
		return []any{c.event}, nil
	case finish:
		if !l.Started.IsZero() && l.Ended != nil {
			return nil, nil
		}
	}
	switch {
	case l.Started.IsZero():
		return nil, passport.ErrNoSession
	case l.Ended != nil:
		return nil, ErrEnded
	}
	switch c := command.(type) {
	case finish:
		return []any{c.event}, nil
	case changeNow:
		set, unset := c.difference(l.State)
		if len(set)+len(unset) == 0 {
			return nil, nil
		}
		return []any{changed{set, unset, c.By}}, nil
	case stepNow:
		return []any{steppedUp{
			cmp.Or(c.ACR, l.ACR), union(l.AMR, c.AMR), c.AuthTime, c.Scopes, l.Generation + 1, c.now, c.By,
		}}, nil
	case rotate:
		return l.rotate(c)
	case refuse:
		if l.refusals >= maxRefusals || c.now.Sub(l.refusedAt).Abs() < refusalPause {
			return nil, nil
		}
		return []any{refused{c.generation, c.now}}, nil
	}
	return nil, fmt.Errorf("session: unknown command %T", command)
}

// rotate gives the session its next handle, unless the handle was replaced just now: then the successor is there.
func (l life) rotate(c rotate) ([]any, error) {
	switch l.accepts(c.generation, c.now) {
	case current:
		return []any{rotated{l.Generation + 1, c.now}}, nil
	case previous:
		if l.before == nil {
			return nil, nil
		}
	}
	return nil, errOldHandle
}

// standing is how a handle's generation stands to its session.
type standing int

const (
	old standing = iota
	previous
	current
)

// accepts says how a generation stands. The previous one is good for a while after it was replaced, for requests that
// were under way. Two clocks are compared here; whichever way they differ, the while does not become longer by more.
func (l life) accepts(generation int64, now time.Time) standing {
	switch {
	case generation == l.Generation:
		return current
	case generation == l.Generation-1 && now.Sub(l.Rotated).Abs() <= RotationGrace:
		return previous
	}
	return old
}

// asBefore is the session as the handle knew it that a step-up replaced: whoever still has that one, perhaps stolen,
// gains nothing, not even the next handle.
func (l life) asBefore() life {
	if b := l.before; b != nil {
		l.ACR, l.AMR, l.AuthTime, l.Scopes, l.Generation = b.acr, b.amr, b.authTime, b.scopes, b.generation
	}
	return l
}

// Evolve returns the state after an event.
func (l life) Evolve(event any) life {
	switch e := event.(type) {
	case started:
		l.Session = Session{
			Tenant: e.Tenant, Subject: e.Subject, Device: e.Device, ACR: e.ACR, AMR: e.AMR, AuthTime: e.AuthTime,
			Scopes: e.Scopes, State: e.State, Started: e.At, Idle: time.Duration(e.IdleMS) * time.Millisecond,
			Expires: e.Expires, Generation: 1, Rotated: e.At,
		}
		l.floors = e.Floors
	case changed:
		l.State = merged(l.State, e.Set, e.Unset)
	case steppedUp:
		l.before = &before{l.ACR, l.AMR, l.AuthTime, l.Scopes, l.Generation}
		l.ACR, l.AMR, l.AuthTime = e.ACR, e.AMR, e.AuthTime
		l.Scopes = union(l.Scopes, e.Scopes)
		l.Generation, l.Rotated = e.Generation, e.At
	case rotated:
		l.before = nil
		l.Generation, l.Rotated = e.Generation, e.At
	case refused:
		l.refusals++
		l.refusedAt = e.At
	case wentIdle:
		l.Ended = &Ended{At: e.At, Why: Idle}
	case expired:
		l.Ended = &Ended{At: e.At, Why: Expired}
	case ended:
		l.Ended = &Ended{e.At, e.Why, e.By, e.Reason}
	case carried:
		l = e.life()
	}
	return l
}

// Carry returns the event that carries the session.
func (l life) Carry() any {
	e := carried{
		Tenant: l.Tenant, Subject: l.Subject, Device: l.Device, ACR: l.ACR, AMR: l.AMR, AuthTime: l.AuthTime,
		Scopes: l.Scopes, State: l.State, Started: l.Started, IdleMS: l.Idle.Milliseconds(), Expires: l.Expires,
		Floors: l.floors, Generation: l.Generation, Rotated: l.Rotated, Refusals: l.refusals, RefusedAt: l.refusedAt,
	}
	if b := l.before; b != nil {
		e.Before = &carriedBefore{b.acr, b.amr, b.authTime, b.scopes, b.generation}
	}
	if over := l.Ended; over != nil {
		e.Ended = &ended{over.Why, over.By, over.Reason, over.At}
	}
	return e
}

// life returns the session that the event carries.
func (e carried) life() life {
	l := life{
		Session: Session{
			Tenant: e.Tenant, Subject: e.Subject, Device: e.Device, ACR: e.ACR, AMR: e.AMR, AuthTime: e.AuthTime,
			Scopes: e.Scopes, State: e.State, Started: e.Started, Idle: time.Duration(e.IdleMS) * time.Millisecond,
			Expires: e.Expires, Generation: e.Generation, Rotated: e.Rotated,
		},
		floors: e.Floors, refusals: e.Refusals, refusedAt: e.RefusedAt,
	}
	if b := e.Before; b != nil {
		l.before = &before{b.ACR, b.AMR, b.AuthTime, b.Scopes, b.Generation}
	}
	if over := e.Ended; over != nil {
		l.Ended = &Ended{over.At, over.Why, over.By, over.Reason}
	}
	return l
}

// union returns a with what b adds. It changes neither.
func union(a, b []string) []string {
	all := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

// merged returns a state with some attributes set and others removed. It does not change the state.
func merged(s, set State, unset []string) State {
	all := maps.Clone(s)
	if all == nil {
		all = State{}
	}
	for _, name := range unset {
		delete(all, name)
	}
	maps.Copy(all, set)
	return all
}

// difference returns what a change changes.
func (c *changeNow) difference(s State) (set State, unset []string) {
	set = State{}
	for name, value := range c.Set {
		if string(s[name]) != string(value) {
			set[name] = value
		}
	}
	unset = slices.DeleteFunc(slices.Clone(c.Unset), func(name string) bool { return s[name] == nil })
	return set, unset
}

// person is the state of a subject's entity.
type person struct {
	State State
	count count
	// revoked is the count at the last revocation, and end what it says to the sessions begun before.
	revoked count
	end     Ended
}

// count is how many events a subject has had, without those that carry its state. It is the version of its stream as
// long as there are none of these.
type count int64

// revokeNow is the command that revokes a subject; the other one is changeNow.
type revokeNow struct{ event subjectRevoked }

// Decide returns the events that a command leads to.
func (p person) Decide(command any) ([]any, error) {
	switch c := command.(type) {
	case revokeNow:
		return []any{c.event}, nil
	case changeNow:
		set, unset := c.difference(p.State)
		if len(set)+len(unset) == 0 {
			return nil, nil
		}
		return []any{subjectChanged{set, unset, c.Via, c.By}}, nil
	}
	return nil, fmt.Errorf("session: unknown command %T", command)
}

// Evolve returns the state after an event.
func (p person) Evolve(event any) person {
	if e, ok := event.(subjectCarried); ok {
		return e.person()
	}
	p.count++
	switch e := event.(type) {
	case subjectChanged:
		p.State = merged(p.State, e.Set, e.Unset)
	case subjectRevoked:
		p.revoked = p.count
		p.end = Ended{e.At, Revoked, e.By, e.Reason}
	}
	return p
}

// Carry returns the event that carries the subject.
func (p person) Carry() any {
	e := subjectCarried{State: p.State, Count: p.count}
	if p.revoked > 0 {
		e.Revoked, e.End = p.revoked, &subjectRevoked{p.end.By, p.end.Reason, p.end.At}
	}
	return e
}

// person returns the subject that the event carries.
func (e subjectCarried) person() person {
	p := person{State: e.State, count: e.Count, revoked: e.Revoked}
	if over := e.End; over != nil {
		p.end = Ended{over.At, Revoked, over.By, over.Reason}
	}
	return p
}
