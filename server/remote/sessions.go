// SPDX-License-Identifier: Apache-2.0

// The sessions of a cell on another node.

package remote

import (
	"context"
	"iter"

	"example.com/vidimus/journal"
	"example.com/vidimus/server/internal/wire"
	pb "example.com/vidimus/server/vidimusv1"
	"example.com/vidimus/session"
)

// Sessions are the sessions of a cell on another node, with the methods of [session.Sessions]. Give every command an ID
// of its own: then a call that returned [journal.ErrUncertain] can be repeated as it is. Goroutines may share it.
type Sessions struct{ log *Log }

// Sessions returns the cell's sessions.
func (l *Log) Sessions() *Sessions { return &Sessions{l} }

// Start begins a session, as [session.Sessions.Start] does. Without an ID it makes one, and a repeated call begins
// another session.
func (s *Sessions) Start(ctx context.Context, st session.Start) (session.Started, error) {
	if st.ID == (journal.ID{}) {
		st.ID = journal.NewID()
	}
	m, err := wire.Start(s.log.cell, &st)
	if err != nil {
		return session.Started{}, err
	}
	out, err := s.log.sessions.Start(ctx, m)
	if err != nil {
		return session.Started{}, writing(err)
	}
	return wire.ToStarted(out)
}

// Foretell returns the error that Start would return now, as [session.Sessions.Foretell] does.
func (s *Sessions) Foretell(ctx context.Context, st session.Start) (session.Session, error) {
	m, err := wire.Start(s.log.cell, &st)
	if err != nil {
		return session.Session{}, err
	}
	out, err := s.log.sessions.Foretell(ctx, m)
	if err != nil {
		return session.Session{}, reading(ctx, err)
	}
	return wire.ToForetold(out)
}

// Public returns what the public schema declares, as [session.Sessions.Public] does.
func (s *Sessions) Public(ctx context.Context) (session.Public, error) {
	m, err := s.log.sessions.GetPublic(ctx, &pb.GetPublicRequest{Cell: s.log.cell})
	if err != nil {
		return session.Public{}, reading(ctx, err)
	}
	return wire.ToPublic(m), nil
}

// Resolve returns the session of a handle, as [session.Sessions.Resolve] does.
func (s *Sessions) Resolve(ctx context.Context, handle string) (session.Started, error) {
	m, err := s.log.sessions.Resolve(ctx, &pb.ResolveRequest{Cell: s.log.cell, Handle: handle})
	if err != nil {
		return session.Started{}, reading(ctx, err)
	}
	return wire.ToStarted(m)
}

// Get returns a session, as [session.Sessions.Get] does. One that the token may not see is [journal.ErrNotFound].
func (s *Sessions) Get(ctx context.Context, id string) (session.Session, error) {
	m, err := s.log.sessions.GetSession(ctx, &pb.GetSessionRequest{Cell: s.log.cell, Session: id})
	if err != nil {
		return session.Session{}, reading(ctx, err)
	}
	return wire.ToSessionInfo(m)
}

// List returns the sessions of a subject, as [session.Sessions.List] does.
func (s *Sessions) List(ctx context.Context, tenant, subject string) ([]session.Session, error) {
	m, err := s.log.sessions.ListSessions(ctx, &pb.ListSessionsRequest{
		Cell: s.log.cell, Tenant: tenant, Subject: subject,
	})
	if err != nil {
		return nil, reading(ctx, err)
	}
	list := make([]session.Session, 0, len(m.GetSessions()))
	for _, one := range m.GetSessions() {
		next, err := wire.ToSessionInfo(one)
		if err != nil {
			return nil, err
		}
		list = append(list, next)
	}
	return list, nil
}

// Change sets and removes attributes of a session, as [session.Sessions.Change] does.
func (s *Sessions) Change(ctx context.Context, id string, c session.Change) (session.Session, error) {
	change, err := wire.Change(&c)
	if err != nil {
		return session.Session{}, err
	}
	m, err := s.log.sessions.ChangeSession(ctx, &pb.ChangeSessionRequest{
		Cell: s.log.cell, Session: id, Change: change,
	})
	if err != nil {
		return session.Session{}, writing(err)
	}
	return wire.ToSessionInfo(m)
}

// Subject returns the state of a subject, as [session.Sessions.Subject] does.
func (s *Sessions) Subject(ctx context.Context, tenant, subject string) (session.Subject, error) {
	m, err := s.log.sessions.GetSubject(ctx, &pb.GetSubjectRequest{
		Cell: s.log.cell, Tenant: tenant, Subject: subject,
	})
	if err != nil {
		return session.Subject{}, reading(ctx, err)
	}
	return wire.ToSubject(m)
}

// ChangeSubject sets and removes attributes of a subject, as [session.Sessions.ChangeSubject] does.
func (s *Sessions) ChangeSubject(
	ctx context.Context, tenant, subject string, c session.Change,
) (session.Subject, error) {
	change, err := wire.Change(&c)
	if err != nil {
		return session.Subject{}, err
	}
	m, err := s.log.sessions.ChangeSubject(ctx, &pb.ChangeSubjectRequest{
		Cell: s.log.cell, Tenant: tenant, Subject: subject, Change: change,
	})
	if err != nil {
		return session.Subject{}, writing(err)
	}
	return wire.ToSubject(m)
}

// StepUp raises how surely the subject was recognised, as [session.Sessions.StepUp] does.
func (s *Sessions) StepUp(ctx context.Context, id string, u session.StepUp) (session.Started, error) {
	m, err := s.log.sessions.StepUp(ctx, wire.StepUp(s.log.cell, id, &u))
	if err != nil {
		return session.Started{}, writing(err)
	}
	return wire.ToStarted(m)
}

// Rotate replaces a handle by its successor, as [session.Sessions.Rotate] does.
func (s *Sessions) Rotate(ctx context.Context, handle string) (session.Started, error) {
	m, err := s.log.sessions.Rotate(ctx, &pb.RotateRequest{Cell: s.log.cell, Handle: handle})
	if err != nil {
		return session.Started{}, writing(err)
	}
	return wire.ToStarted(m)
}

// End ends a session for ever, as [session.Sessions.End] does. Why and when are set by the node.
func (s *Sessions) End(ctx context.Context, id string, e session.Ended) (session.Session, error) {
	m, err := s.log.sessions.End(ctx, &pb.EndRequest{Cell: s.log.cell, Session: id, By: e.By, Reason: e.Reason})
	if err != nil {
		return session.Session{}, writing(err)
	}
	return wire.ToSessionInfo(m)
}

// Revoke refuses every passport of a target that was minted before, as [session.Sessions.Revoke] does.
func (s *Sessions) Revoke(ctx context.Context, t session.Target, by, reason string) (journal.Position, error) {
	m, err := s.log.sessions.Revoke(ctx, wire.Revoke(s.log.cell, t, by, reason))
	if err != nil {
		return 0, writing(err)
	}
	return journal.Position(m.GetPosition()), nil
}

// History returns what happened to a session, as [session.Sessions.History] does.
func (s *Sessions) History(ctx context.Context, id string) iter.Seq2[session.Entry, error] {
	return s.history(ctx, &pb.HistoryRequest{Cell: s.log.cell, Session: id})
}

// SubjectHistory returns what happened to a subject, as [session.Sessions.SubjectHistory] does.
func (s *Sessions) SubjectHistory(ctx context.Context, tenant, subject string) iter.Seq2[session.Entry, error] {
	return s.history(ctx, &pb.HistoryRequest{Cell: s.log.cell, Tenant: tenant, Subject: subject})
}

// history reads page after page.
func (s *Sessions) history(ctx context.Context, m *pb.HistoryRequest) iter.Seq2[session.Entry, error] {
	return func(yield func(session.Entry, error) bool) {
		for more := true; more; {
			page, err := s.log.sessions.History(ctx, m)
			if err != nil {
				yield(session.Entry{}, reading(ctx, err))
				return
			}
			for _, one := range page.GetEntries() {
				e, err := wire.ToEntry(one)
				if !yield(e, err) || err != nil {
					return
				}
			}
			m.PageToken = page.GetNextPageToken()
			more = m.GetPageToken() != ""
		}
	}
}

// RotateKey makes a new key to sign passports with, and returns its kid. It takes the right admin.
func (s *Sessions) RotateKey(ctx context.Context) (kid string, err error) {
	m, err := s.log.sessions.RotateKey(ctx, &pb.RotateKeyRequest{Cell: s.log.cell})
	if err != nil {
		return "", writing(err)
	}
	return m.GetKid(), nil
}
