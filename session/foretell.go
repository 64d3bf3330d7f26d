// SPDX-License-Identifier: Apache-2.0

// Foretelling what a start would be answered with, and saying what may be in one.

package session

import (
	"context"
	"errors"
	"maps"

	"example.com/vidimus/journal"
	"example.com/vidimus/passport"
)

// Foretell returns the error that [Sessions.Start] would return now, and writes nothing. If a start with that ID has
// begun a session, it returns that session as it is now, also when it has ended; else the zero Session.
func (s *Sessions) Foretell(ctx context.Context, st Start) (Session, error) {
	said := st.says()
	if err := s.validStart(&st); err != nil {
		return Session{}, err
	}
	if st.ID != (journal.ID{}) {
		l, err := s.look(ctx, newSID(&st))
		if err == nil {
			if _, err := s.begun(ctx, l.sid, said); err != nil {
				return Session{}, err
			}
			return l.session(), nil
		}
		if !errors.Is(err, passport.ErrNoSession) {
			return Session{}, err
		}
	}
	key := passport.SubjectKey(st.Tenant, st.Subject)
	p, b, err := s.ground(ctx, key, &st)
	if err != nil {
		return Session{}, err
	}
	_, _, err = s.places(ctx, key, moment(), &b, p)
	if _, crowded := errors.AsType[*crowdError](err); crowded {
		return Session{}, nil // they would end
	}
	return Session{}, err
}

// Public returns what the public schema declares. The error is always nil: it is there for sessions of another node.
func (s *Sessions) Public(context.Context) (Public, error) {
	return Public{Subject: maps.Clone(s.cfg.Public.Subject), Session: maps.Clone(s.cfg.Public.Session)}, nil
}
