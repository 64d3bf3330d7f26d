// SPDX-License-Identifier: Apache-2.0

// Who is present in a cell on another node.

package remote

import (
	"context"

	"example.com/vidimus/heartbeat/presence"
	pb "example.com/vidimus/server/vidimusv1"
)

// Presence is what a cell on another node knows of who is still there. Calls go to the node that keeps presence,
// whichever is named. Goroutines may share it.
type Presence struct{ log *Log }

// Presence returns the cell's presence.
func (l *Log) Presence() *Presence { return &Presence{l} }

// Stats returns what is known of all sessions together, and which node keeps presence. It takes the right session:*.
// How long a tick took is not told.
func (p *Presence) Stats(ctx context.Context) (stats presence.Stats, node string, err error) {
	var m *pb.GetPresenceResponse
	err = p.log.atOwner(ctx, func(l *Log) (err error) {
		m, err = l.presence.GetPresence(ctx, &pb.GetPresenceRequest{Cell: l.cell})
		return err
	})
	if err != nil {
		return presence.Stats{}, "", err
	}
	return presence.Stats{
		Tracked: int(m.GetTracked()), Due: int(m.GetDue()), Waiting: int(m.GetWaiting()), Held: m.GetHeld(),
		Frozen: m.GetFrozen(), Beats: uint64(m.GetBeats()), Unknown: uint64(m.GetUnknown()),
		Expired: uint64(m.GetExpired()), Recovered: uint64(m.GetRecovered()), Refused: uint64(m.GetRefused()),
		Stalls: uint64(m.GetStalls()), Failures: uint64(m.GetFailures()),
	}, m.GetNode(), nil
}

// Release lets the sessions expire that are held because too many fell silent at once, as [presence.Owner.Release]
// does, and reports whether there were any. It takes the right admin. Repeating it does no harm.
func (p *Presence) Release(ctx context.Context) (released bool, err error) {
	err = p.log.atOwner(ctx, func(l *Log) error {
		m, err := l.presence.ReleaseHeld(ctx, &pb.ReleaseHeldRequest{Cell: l.cell})
		released = m.GetReleased()
		return err
	})
	return released, err
}
