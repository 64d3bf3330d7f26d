// SPDX-License-Identifier: Apache-2.0

// The service of presence: for those who look after a node.

package authority

import (
	"context"

	"example.com/vidimus/server/internal/door"
	"example.com/vidimus/server/token"
	pb "example.com/vidimus/server/vidimusv1"
)

type presenceService struct{ a *Authority }

// GetPresence implements the service.
func (p *presenceService) GetPresence(
	ctx context.Context, m *pb.GetPresenceRequest,
) (*pb.GetPresenceResponse, error) {
	v, err := p.a.door.Enter(ctx, m.GetCell())
	if err != nil {
		return nil, err
	}
	if !v.Rights.All(token.Session) {
		return nil, door.Missing(token.Right{Verb: token.Session, Pattern: "*"})
	}
	s, ok := p.a.Attendance()
	if !ok {
		return nil, p.a.elsewhere(ctx)
	}
	return &pb.GetPresenceResponse{
		Node: p.a.cell.Node(), Tracked: int64(s.Tracked), Due: int64(s.Due), Waiting: int64(s.Waiting), Held: s.Held,
		Frozen: s.Frozen, Beats: int64(s.Beats), Unknown: int64(s.Unknown), Expired: int64(s.Expired),
		Recovered: int64(s.Recovered), Refused: int64(s.Refused), Stalls: int64(s.Stalls), Failures: int64(s.Failures),
	}, nil
}

// ReleaseHeld implements the service.
func (p *presenceService) ReleaseHeld(
	ctx context.Context, m *pb.ReleaseHeldRequest,
) (*pb.ReleaseHeldResponse, error) {
	v, err := p.a.door.Enter(ctx, m.GetCell())
	if err != nil {
		return nil, err
	}
	if err := door.NeedAdmin(v.Rights); err != nil {
		return nil, err
	}
	released, ok := p.a.Release()
	if !ok {
		return nil, p.a.elsewhere(ctx)
	}
	if released {
		p.a.door.Audit(ctx, v, "held sessions released")
	}
	return &pb.ReleaseHeldResponse{Released: released}, nil
}
