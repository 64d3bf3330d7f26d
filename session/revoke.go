// SPDX-License-Identifier: Apache-2.0

// Revoking: a token, a session, or at once all sessions of a subject, of a tenant, or of everybody.

package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"example.com/vidimus/entity"
	"example.com/vidimus/heartbeat"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/schema"
	"example.com/vidimus/passport"
)

// Revoke takes back what was granted: one passport by its txn, a session, or with one event all sessions that a
// subject, a tenant or everybody has now, and all passports that were minted for them; or all passports that a key has
// signed. When it returns, no passport is minted for them any more, and every verifier that is fresh enough refuses
// those that exist. Who signs in again afterwards is welcome. It returns a position at or behind the revocation.
func (s *Sessions) Revoke(ctx context.Context, t Target, by, reason string) (journal.Position, error) {
	if err := text("by", by, maxBy, false); err != nil {
		return 0, err
	}
	if err := text("reason", reason, maxReason, false); err != nil {
		return 0, err
	}
	now := moment()
	switch t.Scope {
	case heartbeat.Token:
		if err := text("Target.Key", t.Key, maxTxn, true); err != nil {
			return 0, err
		}
		return s.revokeToken(ctx, t.Key, revocation{by, reason, now})
	case heartbeat.Session:
		of, err := s.End(ctx, t.Key, Ended{At: now, Why: Revoked, By: by, Reason: reason})
		return of.Position, err
	case heartbeat.Subject:
		return s.revokeSubject(ctx, t, subjectRevoked{by, reason, now})
	case heartbeat.Tenant:
		tenant := t.Key
		if tenant == "" {
			tenant = t.Tenant
		}
		if err := text("Target.Key", tenant, maxTenant, false); err != nil {
			return 0, err
		}
		return s.revoke(ctx, tenantStream(tenant), journal.Any, typeTenantRevoked, revocation{by, reason, now}, countWide())
	case heartbeat.All:
		return s.revoke(ctx, allStream, journal.Any, typeAllRevoked, revocation{by, reason, now}, countWide())
	case heartbeat.Key:
		return s.revokeKey(ctx, t.Key, by, reason)
	}
	return 0, &journal.InvalidError{Field: "Target.Scope", Problem: fmt.Sprintf(
		"is %q: give token, session, subject, tenant, key or all", t.Scope)}
}

// countWide returns the write that makes everybody look at the streams of tenants and of all again.
func countWide() []journal.RecordWrite {
	return []journal.RecordWrite{{Kind: wideKind, Key: wideKey, Expect: journal.Any}}
}

// Asking again after an answer was lost.
const (
	asks     = 5
	askPause = 50 * time.Millisecond
)

// revokeToken revokes the passports of one txn. The first event says all, so there is no second one, however often it
// is asked for.
func (s *Sessions) revokeToken(ctx context.Context, txn string, r revocation) (journal.Position, error) {
	at, err := s.revoke(ctx, journal.Stream(tokenPrefix+txn), journal.None, typeTokenRevoked, r, nil)
	if !errors.Is(err, journal.ErrConflict) {
		return at, err
	}
	head, err := s.log.Head(ctx)
	return head.Position, err
}

// revoke appends the event, and asks again with the same unit when the answer was lost.
func (s *Sessions) revoke(
	ctx context.Context, stream journal.Stream, expect journal.Expect, name string, r revocation,
	records []journal.RecordWrite,
) (journal.Position, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return 0, err
	}
	e := journal.EventData{ID: journal.NewID(), Type: name, Data: data}
	u := journal.Unit{
		Appends: []journal.Append{{Stream: stream, Expect: expect, Events: []journal.EventData{e}}}, Records: records,
	}
	for try := 1; ; try++ {
		res, err := s.log.Commit(ctx, u)
		if !errors.Is(err, journal.ErrUncertain) || try == asks {
			return res.Position, err
		}
		if clock.Sleep(ctx, askPause) != nil {
			return 0, err
		}
	}
}

// revokeSubject revokes a subject, and then ends its sessions one by one: that they are over follows from the first
// event alone; the others clear their places and say so in their histories.
func (s *Sessions) revokeSubject(ctx context.Context, t Target, e subjectRevoked) (journal.Position, error) {
	key := t.Key
	if key == "" {
		if err := validSubject(t.Tenant, t.Subject); err != nil {
			return 0, err
		}
		key = passport.SubjectKey(t.Tenant, t.Subject)
	}
	if t.Subject != "" && key != passport.SubjectKey(t.Tenant, t.Subject) {
		return 0, &journal.InvalidError{
			Field: "Target.Subject", Problem: "is another subject than that of Target.Key: give one of them alone",
		}
	}
	if len(key) != sidSize {
		return 0, &journal.InvalidError{
			Field: "Target.Key", Problem: "is no key of a subject: leave it out, and give Tenant and Subject",
		}
	}
	res, err := s.persons.Do(ctx, s.cell, key, revokeNow{e}, &entity.Options{Tries: entity.MaxTries})
	if err != nil {
		return 0, err
	}
	if err := s.endAll(ctx, key, ended{Revoked, e.By, e.Reason, e.At}, res.State.revoked); err != nil {
		s.logger.WarnContext(ctx, "sessions of a revoked subject keep their places until they expire", "error", err)
	}
	return res.Position, nil
}

// endAll ends the sessions of a subject that began before it had so many events.
func (s *Sessions) endAll(ctx context.Context, key string, event ended, before count) error {
	all, err := s.taken(ctx, key)
	if err != nil {
		return err
	}
	var ids []string
	for _, t := range all {
		if t.Floors.Subject < before {
			ids = append(ids, t.sid)
		}
	}
	return s.finishMany(ctx, ids, finishing{event: func(*look) schema.Event { return event }, unread: true})
}

// revokeKey revokes a signing key.
func (s *Sessions) revokeKey(ctx context.Context, kid, by, reason string) (journal.Position, error) {
	if err := s.cfg.Keys.Revoke(ctx, kid, by, reason); err != nil {
		return 0, err
	}
	head, err := s.log.Head(ctx)
	return head.Position, err
}

// IdleSession is a session that was not heard of for longer than it may be silent.
type IdleSession struct {
	ID string
	// Since is when it was last heard of, for people.
	Since time.Time
}

// Idle ends sessions that are idle. Whoever watches them holds a lease, and fence proves it: once another one watches,
// nothing is written and it returns journal.ErrFenced. Sessions that have ended, or never were, are passed over. Those
// whose history this program cannot read, as during an upgrade, stay as they are: it returns entity.ErrHistory once the
// others have ended. After any other error, which may leave some of them ended, call it again with the same.
func (s *Sessions) Idle(ctx context.Context, fence journal.Fence, idle []IdleSession) error {
	since := make(map[string]time.Time, len(idle))
	ids := make([]string, 0, len(idle))
	for _, i := range idle {
		if _, twice := since[i.ID]; !twice {
			ids = append(ids, i.ID)
		}
		since[i.ID] = i.Since.UTC()
	}
	return s.finishMany(ctx, ids, finishing{fences: []journal.Fence{fence}, event: func(l *look) schema.Event {
		now := moment()
		if e := l.end(now); e != nil && e.Why == Revoked {
			return ended{Revoked, e.By, e.Reason, now}
		}
		return wentIdle{since[l.sid], now}
	}})
}

// finishMax is how many sessions are ended with one write.
const finishMax = 500

// finishing says how many sessions are to end.
type finishing struct {
	fences []journal.Fence
	event  func(*look) schema.Event
	// unread: those whose history cannot be read end as well. The event is asked for with nothing but their ids.
	unread bool
}

// finishMany ends many sessions, each by its own event, sharing the journal's writes. Those whose history cannot be
// read keep nobody else: they are reported in the end, unless they are to end as well.
func (s *Sessions) finishMany(ctx context.Context, ids []string, f finishing) error {
	var unread []string
	var why error
	for part := range slices.Chunk(ids, finishMax) {
		left, err := s.finishBatch(ctx, part, &f)
		for _, one := range left {
			if f.unread {
				_, one.err = s.endUnread(ctx, one.sid, f.event(&look{sid: one.sid, sessions: s}), nil)
			}
			if one.err != nil {
				unread, why = append(unread, one.sid), one.err
			}
		}
		if err != nil {
			return err
		}
	}
	if len(unread) > 0 {
		return fmt.Errorf("%d of %d sessions did not end, such as %s: %w", len(unread), len(ids), unread[0], why)
	}
	return nil
}

// leftOver is a session that was left as it is, and why.
type leftOver struct {
	sid string
	err error
}

// finishBatch ends sessions with one write. It returns those whose history cannot be read.
func (s *Sessions) finishBatch(ctx context.Context, ids []string, f *finishing) (left []leftOver, err error) {
	if err := s.fresh(ctx); err != nil {
		return nil, err
	}
	var units []journal.Unit
	var looks []look
	for _, id := range ids {
		l, err := s.see(ctx, id)
		switch {
		case errors.Is(err, passport.ErrNoSession) || err == nil && l.life.State.Ended != nil:
			continue
		case errors.Is(err, entity.ErrHistory):
			left = append(left, leftOver{id, err})
			continue
		case err != nil:
			return left, err
		}
		u, err := s.ending(id, &l.life, f.event(&l))
		if err != nil {
			return left, err
		}
		u.Fences = f.fences
		units, looks = append(units, u), append(looks, l)
	}
	if len(units) == 0 {
		return left, nil
	}
	outcomes, err := s.log.CommitMany(ctx, units)
	if err != nil {
		return left, err
	}
	for i, o := range outcomes {
		l := &looks[i]
		if errors.Is(o.Err, journal.ErrConflict) { // it changed meanwhile, so it is decided anew
			_, o.Err = s.decideEnd(ctx, l.sid, f.event(l), f.fences, nil)
		}
		switch {
		case errors.Is(o.Err, entity.ErrHistory):
			left = append(left, leftOver{l.sid, o.Err})
		case o.Err != nil:
			return left, o.Err
		}
	}
	return left, nil
}

// ending returns the unit that ends a session as it was seen.
func (s *Sessions) ending(sid string, v *entity.Snapshot[life], event schema.Event) (journal.Unit, error) {
	u, err := leaving(sid, &v.State)
	if err != nil {
		return u, err
	}
	data, err := s.lives.Types().Encode(event)
	u.Appends = append(u.Appends, journal.Append{
		Stream: s.lives.Stream(sid), Expect: journal.Exactly(v.Version), Events: []journal.EventData{data},
	})
	return u, err
}
