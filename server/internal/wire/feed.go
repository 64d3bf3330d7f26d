// SPDX-License-Identifier: Apache-2.0

// The feed of changes.

package wire

import (
	"example.com/vidimus/heartbeat"
	"example.com/vidimus/passport"
	pb "example.com/vidimus/server/vidimusv1"
)

// Mark turns a place in a log into a message, zero into none.
func Mark(at passport.Mark) *pb.Mark {
	if at == (passport.Mark{}) {
		return nil
	}
	return &pb.Mark{Log: at.Log, Epoch: at.Epoch, Position: at.Position}
}

// ToMark turns a message into a place in a log, none into zero.
func ToMark(m *pb.Mark) passport.Mark {
	return passport.Mark{Log: m.GetLog(), Epoch: m.GetEpoch(), Position: m.GetPosition()}
}

// FeedFrame turns a frame of the feed into a message.
func FeedFrame(f *heartbeat.Frame) *pb.FeedFrame {
	m := &pb.FeedFrame{
		Log: f.Log, Epoch: f.Epoch, After: f.After, Through: f.Through, Snapshot: f.Snapshot,
		Changes: make([]*pb.FeedChange, len(f.Changes)),
	}
	for i := range f.Changes {
		c := &f.Changes[i]
		m.Changes[i] = &pb.FeedChange{
			Position: c.Position, Scope: string(c.Scope), Key: c.Key, Effect: string(c.Effect),
		}
	}
	return m
}

// ToFeedFrame turns a message into a frame of the feed. What it says is for the view that applies it to judge.
func ToFeedFrame(m *pb.FeedFrame) heartbeat.Frame {
	f := heartbeat.Frame{
		Log: m.GetLog(), Epoch: m.GetEpoch(), After: m.GetAfter(), Through: m.GetThrough(), Snapshot: m.GetSnapshot(),
	}
	for _, c := range m.GetChanges() {
		f.Changes = append(f.Changes, heartbeat.Change{
			Position: c.GetPosition(), Scope: heartbeat.Scope(c.GetScope()), Key: c.GetKey(),
			Effect: heartbeat.Effect(c.GetEffect()),
		})
	}
	return f
}
