// SPDX-License-Identifier: Apache-2.0

// The services of leases and tokens.

package server

import (
	"context"
	"strings"

	"example.com/vidimus/lease"
	"example.com/vidimus/server/internal/door"
	"example.com/vidimus/server/internal/wire"
	"example.com/vidimus/server/token"
	pb "example.com/vidimus/server/vidimusv1"
)

type leaseService struct{ s *Server }

// group is what the ids of a token's sessions begin with. So a session's id tells whose it is, and no session from
// outside can count as a node of the cell.
func (v *visit) group() string {
	if v.Open {
		return "remote"
	}
	return "remote-" + v.Token.ID
}

// owns makes sure that a session was started with the caller's token.
func (v *visit) owns(session string) error {
	if strings.HasPrefix(session, v.group()+"/") {
		return nil
	}
	return &wire.PermissionError{Right: "session " + session, Remedy: "use the token that started the session"}
}

// StartSession implements the service.
func (l *leaseService) StartSession(ctx context.Context, m *pb.StartSessionRequest) (*pb.Session, error) {
	v, err := l.s.enter(ctx, m.GetCell())
	if err != nil {
		return nil, err
	}
	ttl, err := duration("ttl", m.GetTtl(), lease.MinTTL, lease.MaxTTL, lease.DefaultTTL)
	if err != nil {
		return nil, err
	}
	if !v.mayLease() {
		return nil, door.Missing(token.Right{Verb: token.Lease, Pattern: "*"})
	}
	// The owner's name begins with the token's, so that nobody gets what is handed over to somebody else.
	owner := v.Token.Name
	if m.GetOwner() != "" && m.GetOwner() != owner {
		owner += "/" + m.GetOwner()
	}
	s, err := v.cell.leases.Start(ctx, lease.Session{Owner: owner, Node: m.GetNode(), Group: v.group(), TTL: ttl})
	if err != nil {
		return nil, err
	}
	return wire.Session(&s), nil
}

// mayLease reports whether the caller may acquire any lease at all.
func (v *visit) mayLease() bool {
	for _, r := range v.Rights {
		if r.Verb == token.Lease || r.Verb == token.Admin {
			return true
		}
	}
	return false
}

// RenewSession implements the service.
func (l *leaseService) RenewSession(ctx context.Context, m *pb.RenewSessionRequest) (*pb.Session, error) {
	v, err := l.s.enter(ctx, m.GetCell())
	if err != nil {
		return nil, err
	}
	if err := v.owns(m.GetSession()); err != nil {
		return nil, err
	}
	s, err := v.cell.leases.Renew(ctx, m.GetSession())
	if err != nil {
		return nil, err
	}
	return wire.Session(&s), nil
}

// EndSession implements the service.
func (l *leaseService) EndSession(ctx context.Context, m *pb.EndSessionRequest) (*pb.EndSessionResponse, error) {
	v, err := l.s.enter(ctx, m.GetCell())
	if err != nil {
		return nil, err
	}
	if err := v.owns(m.GetSession()); err != nil {
		return nil, err
	}
	return &pb.EndSessionResponse{}, v.cell.leases.End(ctx, m.GetSession())
}

// Acquire implements the service.
func (l *leaseService) Acquire(ctx context.Context, m *pb.AcquireRequest) (*pb.AcquireResponse, error) {
	v, err := l.s.enter(ctx, m.GetCell())
	if err != nil {
		return nil, err
	}
	if err := mayAcquire(v.Rights, m.GetName()); err != nil {
		return nil, err
	}
	if err := v.owns(m.GetSession()); err != nil {
		return nil, err
	}
	epoch, err := v.cell.leases.Acquire(ctx, lease.Claim{
		Name: m.GetName(), Session: m.GetSession(), Ticket: m.GetTicket(), Wait: m.GetWait(),
	})
	if err != nil {
		return nil, err
	}
	return &pb.AcquireResponse{Epoch: int64(epoch)}, nil
}

// Release implements the service.
func (l *leaseService) Release(ctx context.Context, m *pb.ReleaseRequest) (*pb.ReleaseResponse, error) {
	v, err := l.s.enter(ctx, m.GetCell())
	if err != nil {
		return nil, err
	}
	if err := v.owns(m.GetSession()); err != nil {
		return nil, err
	}
	claim := lease.Claim{Name: m.GetName(), Session: m.GetSession(), Ticket: m.GetTicket()}
	return &pb.ReleaseResponse{}, v.cell.leases.Release(ctx, claim)
}

// ForceRelease implements the service.
func (l *leaseService) ForceRelease(ctx context.Context, m *pb.ForceReleaseRequest) (*pb.LeaseInfo, error) {
	v, err := l.s.enter(ctx, m.GetCell())
	if err != nil {
		return nil, err
	}
	if err := door.NeedAdmin(v.Rights); err != nil {
		return nil, err
	}
	epoch, err := v.cell.leases.ForceRelease(ctx, m.GetName(), v.By(m.GetBy()))
	if err != nil {
		return nil, err
	}
	l.s.door.Audit(ctx, v.Visit, "lease released by force", "lease", m.GetName(), "epoch", int64(epoch))
	info, err := v.cell.leases.Look(ctx, m.GetName())
	if err != nil {
		return nil, err
	}
	return wire.Lease(&info), nil
}

// ListLeases implements the service.
func (l *leaseService) ListLeases(ctx context.Context, m *pb.ListLeasesRequest) (*pb.ListLeasesResponse, error) {
	v, err := l.s.enter(ctx, m.GetCell())
	if err != nil {
		return nil, err
	}
	limit := pageSize(int(m.GetLimit()))
	out := &pb.ListLeasesResponse{}
	for _, part := range spans(v.Rights, m.GetPrefix()) {
		infos, err := v.cell.list(ctx, part, m.GetAfter(), limit-len(out.Leases))
		if err != nil {
			return nil, err
		}
		for i := range infos {
			out.Last = infos[i].Name
			out.Leases = append(out.Leases, wire.Lease(&infos[i]))
		}
		if out.More = len(out.Leases) == limit; out.More {
			break
		}
	}
	return out, nil
}

// list returns at most limit leases of a span, behind a name.
func (c *cell) list(ctx context.Context, s span, after string, limit int) ([]lease.Info, error) {
	if !s.one {
		return c.leases.List(ctx, s.begin, after, limit)
	}
	if s.begin <= after {
		return nil, nil
	}
	info, err := c.leases.Look(ctx, s.begin)
	if err != nil || info.Epoch == 0 {
		return nil, err
	}
	return []lease.Info{info}, nil
}

type tokenService struct{ s *Server }

// enter is [Server.enter] for administrators.
func (t *tokenService) enter(ctx context.Context, cell string) (*visit, error) {
	v, err := t.s.enter(ctx, cell)
	if err != nil {
		return nil, err
	}
	return v, door.NeedAdmin(v.Rights)
}

// CreateToken implements the service.
func (t *tokenService) CreateToken(ctx context.Context, m *pb.CreateTokenRequest) (*pb.CreateTokenResponse, error) {
	v, err := t.enter(ctx, m.GetCell())
	if err != nil {
		return nil, err
	}
	spec := token.Spec{Name: m.GetName()}
	if spec.Rights, err = token.ParseRights(m.GetRights()...); err != nil {
		return nil, err
	}
	if spec.Expires, err = wire.ToTime("expires", m.GetExpires()); err != nil {
		return nil, err
	}
	secret, made, err := v.cell.book.Create(ctx, spec)
	if err != nil {
		return nil, err
	}
	t.s.door.Audit(ctx, v.Visit, "token created",
		"id", made.ID, "name", made.Name, "rights", strings.Join(m.GetRights(), " "))
	return &pb.CreateTokenResponse{Secret: secret, Token: wire.Token(&made)}, nil
}

// ListTokens implements the service.
func (t *tokenService) ListTokens(ctx context.Context, m *pb.ListTokensRequest) (*pb.ListTokensResponse, error) {
	v, err := t.enter(ctx, m.GetCell())
	if err != nil {
		return nil, err
	}
	tokens, err := v.cell.book.List(ctx)
	if err != nil {
		return nil, err
	}
	out := &pb.ListTokensResponse{}
	for i := range tokens {
		out.Tokens = append(out.Tokens, wire.Token(&tokens[i]))
	}
	return out, nil
}

// RevokeToken implements the service.
func (t *tokenService) RevokeToken(ctx context.Context, m *pb.RevokeTokenRequest) (*pb.RevokeTokenResponse, error) {
	v, err := t.enter(ctx, m.GetCell())
	if err != nil {
		return nil, err
	}
	if err := v.cell.book.Revoke(ctx, m.GetId()); err != nil {
		return nil, err
	}
	t.s.door.Audit(ctx, v.Visit, "token revoked", "id", m.GetId())
	return &pb.RevokeTokenResponse{}, nil
}
