// SPDX-License-Identifier: Apache-2.0

// Changing sessions and subjects, and ending them.

package session

import (
	"context"
	"errors"
	"fmt"

	"example.com/vidimus/entity"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/schema"
	"example.com/vidimus/passport"
	"example.com/vidimus/timer"
)

// Get returns a session, also one that has ended, or [passport.ErrNoSession] if there never was one of the id.
func (s *Sessions) Get(ctx context.Context, id string) (Session, error) {
	l, err := s.look(ctx, id)
	if err != nil {
		return Session{}, err
	}
	return l.session(), nil
}

// Change sets and removes attributes of a session. It returns [ErrEnded] when the session has ended by the time the
// change would be written, however long the request was under way; a journal.ConflictError with the present version
// when the session is not at the one expected; journal.ErrIDReused when another command had Change.ID; and
// [passport.ErrNoSession]. A change that changes nothing writes nothing.
func (s *Sessions) Change(ctx context.Context, id string, c Change) (Session, error) {
	var err error
	if c, err = s.validChange(c, s.cfg.Public.Session); err != nil {
		return Session{}, err
	}
	o := &entity.Options{ID: c.ID, Said: c.says(), Expect: &c.Expect}
	return s.do(ctx, id, changeNow{c}, o, func(after *life) error {
		return s.fits("Change.Set", full(), after.State)
	})
}

func (s *Sessions) validChange(c Change, declared map[string]Attribute) (_ Change, err error) {
	if err := validExpect("Change.Expect", c.Expect); err != nil {
		return c, err
	}
	if len(c.Unset) > MaxAttributes {
		return c, &journal.InvalidError{Field: "Change.Unset", Problem: fmt.Sprintf("names more than %d", MaxAttributes)}
	}
	for i, name := range c.Unset {
		field := fmt.Sprintf("Change.Unset[%d]", i)
		if _, both := c.Set[name]; both {
			return c, &journal.InvalidError{Field: field, Problem: fmt.Sprintf("removes %q, which is set as well", name)}
		}
		if err := text(field, name, maxTenant, true); err != nil {
			return c, err
		}
	}
	if err := text("Change.By", c.By, maxBy, false); err != nil {
		return c, err
	}
	c.Set, err = accept("Change.Set", declared, c.Set)
	return c, err
}

// do carries out a command on a session that lives, and goes on living until the command is written. Fits looks at what
// it leads to.
func (s *Sessions) do(
	ctx context.Context, id string, command any, o *entity.Options, fits func(*life) error,
) (Session, error) {
	l, err := s.look(ctx, id)
	if err != nil {
		return Session{}, err
	}
	res, err := s.lives.DoAlso(ctx, s.cell, id, command, o,
		func(ctx context.Context, before, after life, _ []any) (journal.Unit, error) {
			l.life = entity.Snapshot[life]{State: before}
			if err := s.around(ctx, &l); err != nil {
				return journal.Unit{}, err
			}
			if l.end(clock.Now()) != nil {
				return journal.Unit{}, ErrEnded
			}
			return l.unchanged(), fits(&after)
		})
	if errors.Is(err, journal.ErrConflict) {
		// The end moves the version as well, and is what the caller has to know.
		if now, err := s.look(ctx, id); err == nil && now.end(clock.Now()) != nil {
			return Session{}, ErrEnded
		}
	}
	if err != nil {
		return Session{}, err
	}
	if len(res.Events) == 0 && l.end(clock.Now()) != nil {
		return Session{}, ErrEnded // nothing to change, and ended by something else than its own history
	}
	return l.at(res.Snapshot), nil
}

// StepUp notes that the subject was recognised more surely, adds scopes, and gives the session its next handle. One
// that was stolen before does not gain by it: for [RotationGrace] it stands for the session as it was before, for
// requests that are under way, and it is never answered with the next one. Errors are those of [Sessions.Change].
func (s *Sessions) StepUp(ctx context.Context, id string, u StepUp) (Started, error) {
	now, said := moment(), u.says()
	for _, err := range []error{
		validMethods("StepUp.", u.ACR, u.AMR), validScopes("StepUp.Scopes", u.Scopes), text("StepUp.By", u.By, maxBy, false),
	} {
		if err != nil {
			return Started{}, err
		}
	}
	var err error
	if u.AuthTime, err = recognised("StepUp.AuthTime", u.AuthTime, now); err != nil {
		return Started{}, err
	}
	if err := validExpect("StepUp.Expect", u.Expect); err != nil {
		return Started{}, err
	}
	o := &entity.Options{ID: u.ID, Said: said, Expect: &u.Expect}
	of, err := s.do(ctx, id, stepNow{u, now}, o, func(after *life) error {
		if err := validMethods("StepUp.", after.ACR, after.AMR); err != nil {
			return err
		}
		return validScopes("StepUp.Scopes", after.Scopes)
	})
	if err != nil {
		return Started{}, err
	}
	return s.withHandle(of), nil
}

// Resolve returns the session that a handle stands for, with the handle that the browser is to have: another one when
// the given one was rotated a moment ago; see [Sessions.StepUp] for one that a step-up replaced. It returns
// [passport.ErrNoSession] for a handle that is forged, of another cell, or was replaced earlier, which is noted in the
// session's history; and for a session that has ended, when the error is [ErrEnded] as well.
func (s *Sessions) Resolve(ctx context.Context, handle string) (Started, error) {
	if err := s.fresh(ctx); err != nil {
		return Started{}, err
	}
	l, err := s.open(ctx, handle)
	if err != nil {
		return Started{}, err
	}
	return s.withHandle(l.session()), nil
}

// open sees the session of a handle and makes sure that both are good.
func (s *Sessions) open(ctx context.Context, handle string) (look, error) {
	sid, generation, err := s.cfg.Keys.OpenHandle(s.cell.Name(), handle)
	if err != nil {
		return look{}, err
	}
	l, err := s.see(ctx, sid)
	if err != nil {
		return look{}, err
	}
	now := clock.Now()
	if l.end(now) != nil {
		return look{}, fmt.Errorf("%w: %w", passport.ErrNoSession, ErrEnded)
	}
	switch l.life.State.accepts(generation, now) {
	case old:
		return look{}, s.refuse(ctx, sid, generation)
	case previous:
		l.life.State = l.life.State.asBefore()
	}
	return l, nil
}

// refuse notes that an old handle was refused, and returns the refusal.
func (s *Sessions) refuse(ctx context.Context, sid string, generation int64) error {
	command := refuse{generation, moment()}
	if _, err := s.lives.Do(ctx, s.cell, sid, command, nil); err != nil && !errors.Is(err, ErrEnded) {
		s.logger.WarnContext(ctx, "a refused handle could not be noted", "session", sid, "error", err)
	}
	return fmt.Errorf("%w: %w", passport.ErrNoSession, errOldHandle)
}

// Rotate gives the session of a handle its next one. Of several rotations of one handle at the same time, or within
// [RotationGrace], one happens and all are answered with the same successor. A handle that a step-up replaced is not
// rotated. Errors are those of [Sessions.Resolve].
func (s *Sessions) Rotate(ctx context.Context, handle string) (Started, error) {
	sid, generation, err := s.cfg.Keys.OpenHandle(s.cell.Name(), handle)
	if err != nil {
		return Started{}, err
	}
	command := rotate{generation, moment()}
	of, err := s.do(ctx, sid, command, &entity.Options{}, func(*life) error { return nil })
	switch {
	case errors.Is(err, errOldHandle):
		return Started{}, s.refuse(ctx, sid, generation)
	case errors.Is(err, ErrEnded):
		return Started{}, fmt.Errorf("%w: %w", passport.ErrNoSession, err)
	case err != nil:
		return Started{}, err
	}
	return s.withHandle(of), nil
}

// Subject returns the state that all sessions of a subject share: version 0 if nothing is known of it.
func (s *Sessions) Subject(ctx context.Context, tenant, subject string) (Subject, error) {
	if err := validSubject(tenant, subject); err != nil {
		return Subject{}, err
	}
	if err := s.fresh(ctx); err != nil {
		return Subject{}, err
	}
	p, err := s.person(ctx, passport.SubjectKey(tenant, subject))
	return s.subjectOf(tenant, subject, p), err
}

func validSubject(tenant, subject string) error {
	if err := text("tenant", tenant, maxTenant, false); err != nil {
		return err
	}
	return text("subject", subject, maxSubject, true)
}

func (s *Sessions) subjectOf(tenant, subject string, p entity.Snapshot[person]) Subject {
	return Subject{
		Tenant: tenant, ID: subject, Version: p.Version, Position: p.Position, Mark: s.known.mark(p.Position),
		State: p.State.State,
	}
}

// ChangeSubject sets and removes attributes of a subject; all its sessions have them from then on. When it is done on
// behalf of a session, see Change.Via, it returns [ErrEnded] if that session has ended by the time the change would be
// written. Other errors are those of [Sessions.Change].
func (s *Sessions) ChangeSubject(ctx context.Context, tenant, subject string, c Change) (Subject, error) {
	if err := validSubject(tenant, subject); err != nil {
		return Subject{}, err
	}
	c, err := s.validChange(c, s.cfg.Public.Subject)
	if err != nil {
		return Subject{}, err
	}
	key := passport.SubjectKey(tenant, subject)
	o := &entity.Options{ID: c.ID, Said: c.says(), Expect: &c.Expect}
	res, err := s.persons.DoAlso(ctx, s.cell, key, changeNow{c}, o,
		func(ctx context.Context, _, after person, _ []any) (journal.Unit, error) {
			if err := s.fits("Change.Set", after.State, full()); err != nil || c.Via == "" {
				return journal.Unit{}, err
			}
			l, err := s.acting(ctx, tenant, subject, c.Via)
			return journal.Unit{
				Appends: []journal.Append{{Stream: s.lives.Stream(c.Via), Expect: journal.Exactly(l.life.Version)}},
				Records: []journal.RecordWrite{l.bars.check()},
			}, err
		})
	if err == nil && len(res.Events) == 0 && c.Via != "" {
		_, err = s.acting(ctx, tenant, subject, c.Via) // nothing to change, but not for everybody
	}
	return s.subjectOf(tenant, subject, res.Snapshot), err
}

// acting looks at the session on whose behalf its subject is changed.
func (s *Sessions) acting(ctx context.Context, tenant, subject, sid string) (look, error) {
	l, err := s.look(ctx, sid)
	if err != nil {
		return l, err
	}
	if of := &l.life.State; of.Tenant != tenant || of.Subject != subject {
		return l, &journal.InvalidError{Field: "Change.Via", Problem: "is a session of another subject"}
	}
	if l.end(clock.Now()) != nil {
		return l, ErrEnded
	}
	return l, nil
}

// End ends a session for good. Nothing that is under way for it is written after that, and no passport is minted.
// Ending one that has ended is fine: the first end stays. A session whose history this program cannot read, see
// entity.ErrHistory, is ended as well; what is answered then says how it began and how it ended. It returns
// [passport.ErrNoSession] if there never was such a session. Ended.Why is [LoggedOut] if it is empty, Ended.At now.
func (s *Sessions) End(ctx context.Context, id string, e Ended) (Session, error) {
	if e.Why == "" {
		e.Why = LoggedOut
	}
	for _, err := range []error{
		text("Ended.Why", string(e.Why), maxACR, true), text("Ended.By", e.By, maxBy, false),
		text("Ended.Reason", e.Reason, maxReason, false),
	} {
		if err != nil {
			return Session{}, err
		}
	}
	if e.At.IsZero() {
		e.At = moment()
	}
	return s.finish(ctx, id, ended{e.Why, e.By, e.Reason, e.At.UTC()}, nil)
}

// finish ends a session by an event, gives its place away and cancels its timer, also if its history cannot be read.
// Alter may change the unit.
func (s *Sessions) finish(
	ctx context.Context, id string, event schema.Event, alter func(journal.Unit) journal.Unit,
) (Session, error) {
	if len(id) != sidSize {
		return Session{}, passport.ErrNoSession
	}
	of, err := s.decideEnd(ctx, id, event, nil, alter)
	if errors.Is(err, entity.ErrHistory) {
		return s.endUnread(ctx, id, event, alter)
	}
	return of, err
}

// decideEnd ends a session whose history can be read.
func (s *Sessions) decideEnd(
	ctx context.Context, id string, event schema.Event, fences []journal.Fence, alter func(journal.Unit) journal.Unit,
) (Session, error) {
	o := &entity.Options{Fences: fences}
	res, err := s.lives.DoAlso(ctx, s.cell, id, finish{event}, o,
		func(_ context.Context, before, _ life, _ []any) (journal.Unit, error) {
			u, err := leaving(id, &before)
			if err == nil && alter != nil {
				u = alter(u)
			}
			return u, err
		})
	l := look{sid: id, sessions: s}
	return l.at(res.Snapshot), err
}

// leaving returns what goes along with the end of a session.
func leaving(id string, of *life) (journal.Unit, error) {
	if of.Subject == "" { // its beginning cannot be read, so nobody knows whose place it has
		return journal.Unit{Records: []journal.RecordWrite{timer.Cancel(timerKey(id))}}, nil
	}
	key := passport.SubjectKey(of.Tenant, of.Subject)
	note, err := note(key, "", id)
	return journal.Unit{
		Appends: []journal.Append{note},
		Records: []journal.RecordWrite{vacate(key, id), timer.Cancel(timerKey(id))},
	}, err
}
