// SPDX-License-Identifier: Apache-2.0

// Package sessionlegacy imports legacy cookies into package session, in the authority's process or from another node.
//
// A session that stands for a cookie has an id that is computed from the cookie's, and its stream is never deleted. So
// the journal remembers for good what was imported, and a cookie that comes again after a logout finds a session that
// ended.
package sessionlegacy

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"example.com/vidimus/edge/legacy"
	"example.com/vidimus/heartbeat"
	"example.com/vidimus/journal"
	"example.com/vidimus/session"
)

// Skew is how far the clock of the application that made a cookie may be behind the authority's: a cookie counts as
// made so much earlier when it is compared with a revocation.
const Skew = time.Minute

// Sessions is what the import needs of sessions: session.Sessions in this process, or remote.Sessions of another node,
// whose token has the right "session" on every tenant that cookies are of.
type Sessions interface {
	Start(ctx context.Context, st session.Start) (session.Started, error)
	Foretell(ctx context.Context, st session.Start) (session.Session, error)
	Get(ctx context.Context, id string) (session.Session, error)
	Subject(ctx context.Context, tenant, subject string) (session.Subject, error)
}

// Log is what a comparison needs of the journal: journal.Log, or remote.Log of another node.
type Log interface {
	ReadStream(ctx context.Context, s journal.Stream, o *journal.StreamOptions) iter.Seq2[journal.Event, error]
}

// Journal is a [legacy.Journal] on sessions. Goroutines may share it.
type Journal struct {
	sessions Sessions
	log      Log
}

// New returns the journal for the sessions of a cell. The log of that cell says when a subject changed; nil leaves that
// unknown.
func New(sessions Sessions, log Log) *Journal { return &Journal{sessions, log} }

// Find returns the state that a subject's sessions share, and when it changed last.
func (j *Journal) Find(ctx context.Context, tenant, subject string) (legacy.Known, error) {
	of, err := j.sessions.Subject(ctx, tenant, subject)
	if err != nil || of.Version == 0 {
		return legacy.Known{}, unfit(err)
	}
	known := legacy.Known{Found: true, State: of.State}
	if j.log == nil {
		return known, nil
	}
	stream := session.SubjectStream(tenant, subject)
	// Revocations stand in that stream as well. So many of them hide when the state changed, and that stays unknown.
	newest := &journal.StreamOptions{Backwards: true, Limit: 10}
	for e, err := range j.log.ReadStream(ctx, stream, newest) {
		if err != nil {
			return legacy.Known{}, err
		}
		if change := session.Changes(&e); len(change) == 1 && change[0].Effect == heartbeat.Superseded {
			known.Changed = e.Time
			break
		}
	}
	return known, nil
}

// Foretell returns the error that Start would return now, and changes nothing.
func (j *Journal) Foretell(ctx context.Context, s legacy.SignIn) error {
	now, err := j.sessions.Foretell(ctx, begin(&s))
	if err != nil || now.ID == "" {
		return unfit(err)
	}
	return stands(&now)
}

// Start starts the session of a sign-in, or finds the one that was started for it.
func (j *Journal) Start(ctx context.Context, s legacy.SignIn) (string, error) {
	begun, err := j.sessions.Start(ctx, begin(&s))
	if err != nil {
		return "", unfit(err)
	}
	// What Start returns is the session as it began.
	now, err := j.sessions.Get(ctx, begun.ID)
	if err == nil {
		err = stands(&now)
	}
	if err != nil {
		return "", err
	}
	return begun.Handle, nil
}

// begin is the start of the session of a sign-in.
func begin(s *legacy.SignIn) session.Start {
	made, proved := s.Issued, s.Issued.Add(-Skew)
	if made.IsZero() {
		made, proved = time.Unix(0, 0), time.Unix(0, 0) // nobody knows: any revocation may have come after it
	}
	return session.Start{
		ID:     journal.ID(s.Key[:16]),
		Tenant: s.Tenant, Subject: s.Subject,
		Device: session.Device{UserAgent: s.UserAgent},
		ACR:    s.ACR, AMR: s.AMR, AuthTime: made,
		State: s.State, SubjectState: s.SubjectState,
		Proved: proved,
	}
}

// stands returns an error if a cookie does not stand for the session that was begun for it any more.
func stands(now *session.Session) error {
	switch {
	case now.Ended != nil:
		return fmt.Errorf("session %s has ended: %w", now.ID, legacy.ErrSpent)
	case now.Generation > 1:
		// Its handle was rotated, for a step-up perhaps. The cookie does not stand for that.
		return fmt.Errorf("session %s has another handle: %w", now.ID, legacy.ErrSpent)
	}
	return nil
}

// unfit tells what the cookie is to blame for from what the journal is.
func unfit(err error) error {
	var invalid *journal.InvalidError
	switch {
	case errors.Is(err, session.ErrEnded), errors.Is(err, journal.ErrIDReused):
		return fmt.Errorf("%w: %w", legacy.ErrSpent, err)
	case errors.As(err, &invalid), errors.Is(err, session.ErrTooMany):
		return fmt.Errorf("%w: %w", legacy.ErrUnfit, err)
	}
	return err
}
