// SPDX-License-Identifier: Apache-2.0

// The feed of changes from another node, and beats to the one that keeps presence.

package remote

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"connectrpc.com/connect"

	"example.com/vidimus/heartbeat"
	"example.com/vidimus/heartbeat/presence"
	"example.com/vidimus/journal"
	"example.com/vidimus/passport"
	"example.com/vidimus/server/internal/wire"
	pb "example.com/vidimus/server/vidimusv1"
)

// Feed is the feed of changes of a cell on another node, over Connect: a [heartbeat.Source] for those who speak to the
// node anyway. [heartbeat.Remote] is one for those who download nothing but the standard library. Goroutines may share
// it.
type Feed struct{ log *Log }

// Feed returns the cell's feed.
func (l *Log) Feed() *Feed { return &Feed{l} }

// Subscribe implements [heartbeat.Source].
func (f *Feed) Subscribe(ctx context.Context, from passport.Mark) iter.Seq2[heartbeat.Frame, error] {
	return func(yield func(heartbeat.Frame, error) bool) {
		frames := messages(ctx, func(ctx context.Context) (*connect.ServerStreamForClient[pb.FeedFrame], error) {
			return f.log.feed.Watch(ctx, &pb.WatchRequest{Cell: f.log.cell, From: wire.Mark(from)})
		})
		for m, err := range frames {
			if err != nil {
				yield(heartbeat.Frame{}, err)
				return
			}
			if !yield(wire.ToFeedFrame(m), nil) {
				return
			}
		}
		yield(heartbeat.Frame{}, fmt.Errorf("%w: the node ended the feed", journal.ErrUnavailable))
	}
}

// Ping implements [heartbeat.Source].
func (f *Feed) Ping(ctx context.Context) (heartbeat.Head, error) {
	m, err := f.log.feed.Ping(ctx, &pb.PingRequest{Cell: f.log.cell})
	if err != nil {
		return heartbeat.Head{}, reading(ctx, err)
	}
	return wire.ToMark(m), nil
}

// Beats sends beats to the node that keeps presence: what a [presence.Batcher] is opened with. A node that does not
// keep presence says which one does, and is believed: that is asked next, once. The error says that the beats did not
// arrive; sending them again does no harm.
func (f *Feed) Beats(ctx context.Context, beats []presence.Beat) error {
	batch, err := presence.AppendBatch(nil, beats)
	if err != nil {
		return err
	}
	return f.log.atOwner(ctx, func(l *Log) error {
		_, err := l.feed.Beat(ctx, &pb.BeatRequest{Cell: l.cell, Batch: batch})
		return err
	})
}

// atOwner does something at this node, or at the one that keeps presence if this one names that.
func (l *Log) atOwner(ctx context.Context, do func(*Log) error) error {
	err := reading(ctx, do(l))
	var astray *wire.NotOwnerError
	if !errors.As(err, &astray) || astray.URL == "" {
		return err
	}
	c := l.config
	c.URL, c.HTTP = astray.URL, l.http
	owner, err := New(c)
	if err != nil {
		return fmt.Errorf("the node that keeps presence: %w", err)
	}
	return reading(ctx, do(owner))
}
