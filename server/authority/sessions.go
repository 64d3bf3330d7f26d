// SPDX-License-Identifier: Apache-2.0

// The service of sessions.

package authority

import (
	"context"
	"errors"
	"fmt"

	"example.com/vidimus/heartbeat"
	"example.com/vidimus/journal"
	"example.com/vidimus/passport"
	"example.com/vidimus/server/internal/door"
	"example.com/vidimus/server/internal/wire"
	"example.com/vidimus/server/token"
	pb "example.com/vidimus/server/vidimusv1"
	"example.com/vidimus/session"
)

type sessionService struct{ a *Authority }

// hidden answers for a session that is not there and for one that the caller may not see alike.
func hidden(id string) error {
	return fmt.Errorf("%w: there is no session %q, or the token lacks the right session on its tenant",
		journal.ErrNotFound, clip(id))
}

// find returns a session that the caller may see.
func (s *sessionService) find(ctx context.Context, v *door.Visit, id string) (session.Session, error) {
	found, err := s.a.sessions.Get(ctx, id)
	switch {
	case errors.Is(err, journal.ErrNotFound), errors.Is(err, passport.ErrNoSession):
		return found, hidden(id)
	case err != nil:
		return found, err
	case !v.Rights.Allow(token.Session, found.Tenant):
		return session.Session{}, hidden(id)
	}
	return found, nil
}

// own makes sure that the caller may see a session, also one whose history this program cannot read.
func (s *sessionService) own(ctx context.Context, v *door.Visit, id string) error {
	tenant, _, err := s.a.sessions.Whose(ctx, id)
	switch {
	case errors.Is(err, passport.ErrNoSession), err == nil && !v.Rights.Allow(token.Session, tenant):
		return hidden(id)
	}
	return err
}

// resolve returns the session of a handle that the caller may see.
func (s *sessionService) resolve(ctx context.Context, v *door.Visit, handle string) (session.Started, error) {
	found, err := s.a.sessions.Resolve(ctx, handle)
	if err == nil && !v.Rights.Allow(token.Session, found.Tenant) {
		return session.Started{}, passport.ErrNoSession
	}
	return found, err
}

// start returns the command of a caller who may start a session.
func (s *sessionService) start(ctx context.Context, m *pb.StartRequest) (session.Start, error) {
	v, err := s.a.door.Enter(ctx, m.GetCell())
	if err != nil {
		return session.Start{}, err
	}
	if err := door.Need(v.Rights, token.Session, m.GetTenant()); err != nil {
		return session.Start{}, err
	}
	return wire.ToStart(m)
}

// Start implements the service.
func (s *sessionService) Start(ctx context.Context, m *pb.StartRequest) (*pb.StartResponse, error) {
	command, err := s.start(ctx, m)
	if err != nil {
		return nil, err
	}
	return started(s.a.sessions.Start(ctx, command))
}

// Foretell implements the service.
func (s *sessionService) Foretell(ctx context.Context, m *pb.StartRequest) (*pb.ForetellResponse, error) {
	command, err := s.start(ctx, m)
	if err != nil {
		return nil, err
	}
	begun, err := s.a.sessions.Foretell(ctx, command)
	if err != nil {
		return nil, err
	}
	return wire.Foretold(&begun)
}

// GetPublic implements the service.
func (s *sessionService) GetPublic(ctx context.Context, m *pb.GetPublicRequest) (*pb.PublicAttributes, error) {
	if _, err := s.a.door.Enter(ctx, m.GetCell()); err != nil {
		return nil, err
	}
	public, err := s.a.sessions.Public(ctx)
	if err != nil {
		return nil, err
	}
	return wire.Public(public), nil
}

func started(s session.Started, err error) (*pb.StartResponse, error) {
	if err != nil {
		return nil, err
	}
	return wire.Started(&s)
}

func info(s session.Session, err error) (*pb.SessionInfo, error) {
	if err != nil {
		return nil, err
	}
	return wire.SessionInfo(&s)
}

func subject(s session.Subject, err error) (*pb.SubjectInfo, error) {
	if err != nil {
		return nil, err
	}
	return wire.Subject(&s)
}

// Resolve implements the service.
func (s *sessionService) Resolve(ctx context.Context, m *pb.ResolveRequest) (*pb.StartResponse, error) {
	v, err := s.a.door.Enter(ctx, m.GetCell())
	if err != nil {
		return nil, err
	}
	return started(s.resolve(ctx, v, m.GetHandle()))
}

// GetSession implements the service.
func (s *sessionService) GetSession(ctx context.Context, m *pb.GetSessionRequest) (*pb.SessionInfo, error) {
	v, err := s.a.door.Enter(ctx, m.GetCell())
	if err != nil {
		return nil, err
	}
	return info(s.find(ctx, v, m.GetSession()))
}

// ListSessions implements the service.
func (s *sessionService) ListSessions(
	ctx context.Context, m *pb.ListSessionsRequest,
) (*pb.ListSessionsResponse, error) {
	v, err := s.a.door.Enter(ctx, m.GetCell())
	if err != nil {
		return nil, err
	}
	if err := door.Need(v.Rights, token.Session, m.GetTenant()); err != nil {
		return nil, err
	}
	list, err := s.a.sessions.List(ctx, m.GetTenant(), m.GetSubject())
	if err != nil {
		return nil, err
	}
	out := &pb.ListSessionsResponse{}
	for i := range list {
		one, err := wire.SessionInfo(&list[i])
		if err != nil {
			return nil, err
		}
		out.Sessions = append(out.Sessions, one)
	}
	return out, nil
}

// ChangeSession implements the service.
func (s *sessionService) ChangeSession(ctx context.Context, m *pb.ChangeSessionRequest) (*pb.SessionInfo, error) {
	v, err := s.a.door.Enter(ctx, m.GetCell())
	if err != nil {
		return nil, err
	}
	command, err := wire.ToChange(m.GetChange())
	if err != nil {
		return nil, err
	}
	if _, err := s.find(ctx, v, m.GetSession()); err != nil {
		return nil, err
	}
	command.By = v.By(command.By)
	return info(s.a.sessions.Change(ctx, m.GetSession(), command))
}

// GetSubject implements the service.
func (s *sessionService) GetSubject(ctx context.Context, m *pb.GetSubjectRequest) (*pb.SubjectInfo, error) {
	v, err := s.a.door.Enter(ctx, m.GetCell())
	if err != nil {
		return nil, err
	}
	if err := door.Need(v.Rights, token.Session, m.GetTenant()); err != nil {
		return nil, err
	}
	return subject(s.a.sessions.Subject(ctx, m.GetTenant(), m.GetSubject()))
}

// ChangeSubject implements the service.
func (s *sessionService) ChangeSubject(ctx context.Context, m *pb.ChangeSubjectRequest) (*pb.SubjectInfo, error) {
	v, err := s.a.door.Enter(ctx, m.GetCell())
	if err != nil {
		return nil, err
	}
	if err := door.Need(v.Rights, token.Session, m.GetTenant()); err != nil {
		return nil, err
	}
	command, err := wire.ToChange(m.GetChange())
	if err != nil {
		return nil, err
	}
	command.By = v.By(command.By)
	changed, err := s.a.sessions.ChangeSubject(ctx, m.GetTenant(), m.GetSubject(), command)
	return subject(changed, named(err, m.GetTenant(), m.GetSubject()))
}

// named calls the subject in a conflict by its name: the name of its stream says nothing to a caller.
func named(err error, tenant, subject string) error {
	conflict, ok := errors.AsType[*journal.ConflictError](err)
	if !ok || conflict.Name != string(session.SubjectStream(tenant, subject)) {
		return err
	}
	name := "subject " + clip(subject)
	if tenant != "" {
		name += " of " + clip(tenant)
	}
	return &journal.ConflictError{Name: name, Expect: conflict.Expect, Actual: conflict.Actual}
}

// StepUp implements the service.
func (s *sessionService) StepUp(ctx context.Context, m *pb.StepUpRequest) (*pb.StartResponse, error) {
	v, err := s.a.door.Enter(ctx, m.GetCell())
	if err != nil {
		return nil, err
	}
	command, err := wire.ToStepUp(m)
	if err != nil {
		return nil, err
	}
	if _, err := s.find(ctx, v, m.GetSession()); err != nil {
		return nil, err
	}
	command.By = v.By(command.By)
	return started(s.a.sessions.StepUp(ctx, m.GetSession(), command))
}

// Rotate implements the service.
func (s *sessionService) Rotate(ctx context.Context, m *pb.RotateRequest) (*pb.StartResponse, error) {
	v, err := s.a.door.Enter(ctx, m.GetCell())
	if err != nil {
		return nil, err
	}
	if _, err := s.resolve(ctx, v, m.GetHandle()); err != nil {
		return nil, err
	}
	return started(s.a.sessions.Rotate(ctx, m.GetHandle()))
}

// End implements the service.
func (s *sessionService) End(ctx context.Context, m *pb.EndRequest) (*pb.SessionInfo, error) {
	v, err := s.a.door.Enter(ctx, m.GetCell())
	if err != nil {
		return nil, err
	}
	id := m.GetSession()
	switch {
	case (id == "") == (m.GetHandle() == ""):
		return nil, &journal.InvalidError{Field: "session", Problem: "is needed, or a handle, and not both"}
	case id == "":
		if id, _, err = s.a.keys.OpenHandle(s.a.cell.Name(), m.GetHandle()); err != nil {
			return nil, err
		}
	}
	if err := s.own(ctx, v, id); err != nil {
		return nil, err
	}
	return info(s.a.sessions.End(ctx, id, session.Ended{
		Why: session.LoggedOut, By: v.By(m.GetBy()), Reason: m.GetReason(),
	}))
}

// Revoke implements the service.
func (s *sessionService) Revoke(ctx context.Context, m *pb.RevokeRequest) (*pb.RevokeResponse, error) {
	v, err := s.a.door.Enter(ctx, m.GetCell())
	if err != nil {
		return nil, err
	}
	target, err := wire.ToTarget(m)
	if err != nil {
		return nil, err
	}
	if err := s.mayRevoke(ctx, v, &target); err != nil {
		return nil, err
	}
	who := v.By(m.GetBy())
	at, err := s.a.sessions.Revoke(ctx, target, who, m.GetReason())
	if err != nil {
		return nil, err
	}
	s.a.door.Audit(ctx, v, "passports revoked", "scope", string(target.Scope), "position", int64(at))
	return &pb.RevokeResponse{Position: int64(at)}, nil
}

// mayRevoke checks a target. What can be told to belong to a tenant takes the right to that, anything else everything.
func (s *sessionService) mayRevoke(ctx context.Context, v *door.Visit, t *session.Target) error {
	switch t.Scope {
	case heartbeat.Session:
		return s.own(ctx, v, t.Key)
	case heartbeat.Subject:
		if t.Subject != "" && (t.Key == "" || t.Key == passport.SubjectKey(t.Tenant, t.Subject)) {
			return door.Need(v.Rights, token.Session, t.Tenant)
		}
	case heartbeat.Tenant:
		if t.Key == "" {
			t.Key = t.Tenant
		}
		return door.Need(v.Rights, token.Session, t.Key)
	}
	return door.NeedAdmin(v.Rights)
}

// History implements the service.
func (s *sessionService) History(ctx context.Context, m *pb.HistoryRequest) (*pb.HistoryResponse, error) {
	v, err := s.a.door.Enter(ctx, m.GetCell())
	if err != nil {
		return nil, err
	}
	var entries []session.Entry
	var next string
	switch {
	case (m.GetSession() == "") == (m.GetSubject() == ""):
		return nil, &journal.InvalidError{Field: "session", Problem: "is needed, or tenant and subject, and not both"}
	case m.GetSession() != "":
		if err := s.own(ctx, v, m.GetSession()); err != nil {
			return nil, err
		}
		entries, next, err = s.a.sessions.HistoryPage(ctx, m.GetSession(), m.GetPageToken(), int(m.GetLimit()))
	default:
		if err := door.Need(v.Rights, token.Session, m.GetTenant()); err != nil {
			return nil, err
		}
		entries, next, err = s.a.sessions.SubjectHistoryPage(
			ctx, m.GetTenant(), m.GetSubject(), m.GetPageToken(), int(m.GetLimit()))
	}
	if err != nil {
		return nil, err
	}
	out := &pb.HistoryResponse{NextPageToken: next}
	for i := range entries {
		out.Entries = append(out.Entries, wire.Entry(&entries[i]))
	}
	return out, nil
}

// RotateKey implements the service.
func (s *sessionService) RotateKey(ctx context.Context, m *pb.RotateKeyRequest) (*pb.RotateKeyResponse, error) {
	v, err := s.enterAdmin(ctx, m.GetCell())
	if err != nil {
		return nil, err
	}
	kid, err := s.a.keys.Rotate(ctx)
	if err != nil {
		return nil, err
	}
	s.a.door.Audit(ctx, v, "key made", "kid", kid)
	return &pb.RotateKeyResponse{Kid: kid}, nil
}

func (s *sessionService) enterAdmin(ctx context.Context, cell string) (*door.Visit, error) {
	v, err := s.a.door.Enter(ctx, cell)
	if err != nil {
		return nil, err
	}
	return v, door.NeedAdmin(v.Rights)
}
