// SPDX-License-Identifier: Apache-2.0

// Sessions whose history this program cannot read, as it has events of a newer release. Nothing of them is decided or
// minted; but they can be told of, and ended: an end is the same whatever happened before it.

package session

import (
	"context"
	"errors"
	"time"

	"example.com/vidimus/entity"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/schema"
	"example.com/vidimus/passport"
)

// unread returns what can be told of a session whose history cannot be read: how it began, if that can be read, and how
// it ended, at the version that it is at.
func (s *Sessions) unread(ctx context.Context, sid string) (v entity.Snapshot[life], err error) {
	if v, _, err = s.beginning(ctx, sid); err != nil && !errors.Is(err, entity.ErrHistory) {
		return v, err
	}
	newest := &journal.StreamOptions{Backwards: true, Limit: 1}
	for e, err := range s.log.ReadStream(ctx, s.lives.Stream(sid), newest) {
		if err != nil {
			return v, err
		}
		v.Version, v.Position = e.Version, e.Position
		value, err := s.lives.Types().Decode(&e)
		if err != nil {
			break // it is of a newer release as well
		}
		switch value.(type) {
		case wentIdle, expired, ended: // what has ended decides nothing any more, so this is the last event
			v.State = v.State.Evolve(value)
		}
	}
	return v, nil
}

// endUnread ends a session whose history cannot be read.
func (s *Sessions) endUnread(
	ctx context.Context, sid string, event schema.Event, alter func(journal.Unit) journal.Unit,
) (Session, error) {
	var err error
	for range entity.DefaultTries {
		v, failed := s.unread(ctx, sid)
		switch {
		case failed != nil:
			return Session{}, failed
		case v.Version == 0:
			return Session{}, passport.ErrNoSession
		case v.State.Ended != nil:
			l := look{sid: sid, sessions: s}
			return l.at(v), nil
		}
		if err = s.commitUnread(ctx, sid, &v, event, alter); err == nil {
			continue // and see it
		}
		if !errors.Is(err, journal.ErrConflict) && !errors.Is(err, journal.ErrUncertain) {
			return Session{}, err
		}
		if err := clock.Sleep(ctx, unreadPause); err != nil {
			return Session{}, err
		}
	}
	return Session{}, errors.Join(entity.ErrContended, err)
}

// unreadPause is how long to wait before such a session is looked at again.
const unreadPause = 5 * time.Millisecond

// commitUnread writes the end of such a session at the version that it was seen at.
func (s *Sessions) commitUnread(
	ctx context.Context, sid string, v *entity.Snapshot[life], event schema.Event, alter func(journal.Unit) journal.Unit,
) error {
	u, err := s.ending(sid, v, event)
	if err != nil {
		return err
	}
	if alter != nil {
		u = alter(u)
	}
	_, err = s.log.Commit(ctx, u)
	return err
}

// outline returns what is listed of such a session: nothing that may have changed since it began.
func (s *Sessions) outline(ctx context.Context, tenant, subject string, t taken) (look, error) {
	v, err := s.unread(ctx, t.sid)
	if err != nil {
		return look{}, err
	}
	l := look{sid: t.sid, sessions: s}
	l.life.State = life{floors: t.Floors, Session: Session{
		Tenant: tenant, Subject: subject, Device: v.State.Device, Started: t.Started, Expires: t.Expires,
		Idle: time.Duration(t.IdleMS) * time.Millisecond, Ended: v.State.Ended,
	}}
	return l, s.around(ctx, &l)
}

// Whose returns whose session it is, also of one that a newer release has changed and this program cannot read. It
// returns [passport.ErrNoSession] if there never was one of the id, and entity.ErrHistory if a newer release began it.
func (s *Sessions) Whose(ctx context.Context, id string) (tenant, subject string, err error) {
	if len(id) != sidSize {
		return "", "", passport.ErrNoSession
	}
	v, _, err := s.beginning(ctx, id)
	if err == nil && v.Version == 0 {
		err = passport.ErrNoSession
	}
	return v.State.Tenant, v.State.Subject, err
}
