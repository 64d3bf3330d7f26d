// SPDX-License-Identifier: Apache-2.0

// Following the journal: first what was, then what comes.

package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"example.com/vidimus/internal/clock"
)

// Checkpoint says how far a reader has read: everything up to Position, in one epoch of one log. The event's id is
// kept with it, so that a reader finds out when the journal's history is not the one it read. The zero value stands
// before everything; one with nothing but a Position is believed unseen.
type Checkpoint struct {
	Log      string   `json:"log"`
	Epoch    LogEpoch `json:"epoch"`
	Position Position `json:"position"`
	ID       ID       `json:"id"`
}

// LogEpoch counts the lives of a log: it rises with [Log.Renew].
type LogEpoch int64

// String writes log, epoch and position as "k3v9m2p7qd.1:184467".
func (c Checkpoint) String() string { return fmt.Sprintf("%s.%d:%d", c.Log, c.Epoch, c.Position) }

// FollowOptions choose what [Log.Follow] returns.
type FollowOptions struct {
	// From is where to start: behind this checkpoint.
	From Checkpoint
	// Filter chooses events; an empty one chooses all. Checkpoints advance over what it leaves out.
	Filter Filter
	// Page is how many events a frame holds at most, up to [MaxPage], which 0 stands for.
	Page int
	// Pulse is the longest time between frames: a follower that waits gets an empty frame as often, which says how
	// far it certainly is. 0 stands for one second.
	Pulse time.Duration
}

// Frame is one step of following the journal.
type Frame struct {
	// Events fit the filter, in the order of the journal. There may be none.
	Events []Event
	// Checkpoint covers the frame: everything up to there was handed over or did not fit the filter. Save it once
	// the events are dealt with.
	Checkpoint Checkpoint
	// CaughtUp: Checkpoint covers everything that was committed, by any node, before AsOf.
	CaughtUp bool
	// AsOf is the moment before the frame was read, by this node's clock.
	AsOf time.Time
}

// Follow returns what is in the journal after a checkpoint, then waits for more, until ctx ends. Delivery is at least
// once: a follower that starts again from its last saved checkpoint sees what came after that again. It reads ahead no
// further than one frame, so a slow reader slows nobody. New events wake it at once.
//
// The last pair has an error: [ErrDiverged] when the checkpoint is not of this journal, [ErrInvalid], [ErrUnavailable]
// or that of ctx. After ErrUnavailable follow again from the last checkpoint.
func (l *Log) Follow(ctx context.Context, o FollowOptions) iter.Seq2[Frame, error] {
	return func(yield func(Frame, error) bool) {
		at, err := l.start(ctx, &o)
		for err == nil {
			var f Frame
			if f, err = l.next(ctx, &o, at); err != nil {
				break
			}
			if !yield(f, nil) {
				return
			}
			at = f.Checkpoint
			if f.CaughtUp {
				err = l.await(ctx, at.Position, o.Pulse)
			}
		}
		yield(Frame{}, err)
	}
}

// start checks the options and where they begin.
func (l *Log) start(ctx context.Context, o *FollowOptions) (Checkpoint, error) {
	switch {
	case o.Page < 0:
		return Checkpoint{}, invalid("page", "%d is negative; use 0 for as much as a page takes", o.Page)
	case o.Pulse < 0:
		return Checkpoint{}, invalid("pulse", "%v is negative; use 0 for one second", o.Pulse)
	}
	if err := o.Filter.validate("filter"); err != nil {
		return Checkpoint{}, err
	}
	if o.Pulse == 0 {
		o.Pulse = time.Second
	}
	return l.Check(ctx, o.From)
}

// Check makes sure that a checkpoint belongs to this journal's history and returns it complete: with the log, its
// epoch and, where there is an event at its position, that event's id. It returns [ErrDiverged] when the checkpoint is
// of another log or epoch, is ahead of the journal, or names an event that is not there, and [ErrInvalid],
// [ErrUnavailable] or the error of ctx.
func (l *Log) Check(ctx context.Context, c Checkpoint) (Checkpoint, error) {
	if c.Position < 0 {
		return c, invalid("checkpoint", "%d is no position; use 0 for the beginning", c.Position)
	}
	head, err := l.store.Head(ctx)
	if err != nil {
		return c, err
	}
	if c.Log != "" && c.Log != head.Log {
		return c, fmt.Errorf("%w: the checkpoint is of log %s, this one is %s; start from the beginning or point "+
			"the reader at the right journal", ErrDiverged, c.Log, head.Log)
	}
	if c.Log != "" && c.Epoch != head.Epoch {
		return c, fmt.Errorf("%w: the checkpoint %s is of another epoch than the journal's %d, which was restored "+
			"since; rebuild the reader, or start it at a position known to be in both", ErrDiverged, c, head.Epoch)
	}
	if c.Position > head.Position {
		return c, fmt.Errorf("%w: the checkpoint is at position %d, the journal ends at %d, so events the reader has "+
			"seen are gone; rebuild the reader", ErrDiverged, c.Position, head.Position)
	}
	at, err := l.idAt(ctx, c.Position)
	if err != nil {
		return c, err
	}
	if c.ID != (ID{}) && c.ID != at {
		return c, fmt.Errorf("%w: the event at position %d is not the one the reader has seen (%s); rebuild "+
			"the reader", ErrDiverged, c.Position, c.ID)
	}
	return Checkpoint{Log: head.Log, Epoch: head.Epoch, Position: c.Position, ID: at}, nil
}

// idAt returns the id of the event at a position, zero when there is none.
func (l *Log) idAt(ctx context.Context, p Position) (ID, error) {
	if p == 0 {
		return ID{}, nil
	}
	page, err := l.store.Read(ctx, Query{After: p - 1, Before: p + 1, Limit: 1, Bytes: 1})
	if err != nil || len(page.Events) == 0 {
		return ID{}, err
	}
	return page.Events[0].ID, nil
}

func (l *Log) next(ctx context.Context, o *FollowOptions, at Checkpoint) (Frame, error) {
	f := Frame{Checkpoint: at, AsOf: clock.Now()}
	q := Query{After: at.Position, Filter: o.Filter, Limit: pageSize(o.Page), Bytes: pageBytes}
	page, err := l.store.Read(ctx, q)
	if err != nil {
		return Frame{}, err
	}
	if page.Through > at.Position {
		f.Checkpoint.Position, f.Checkpoint.ID = page.Through, page.ThroughID
	}
	f.Events, f.CaughtUp = page.Events, !page.More
	return f, nil
}

// await returns when there may be news after a position, or after pulse.
func (l *Log) await(ctx context.Context, after Position, pulse time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, pulse)
	defer cancel()
	if err := l.store.Wait(limited, after); err != nil && limited.Err() == nil {
		return err
	}
	return ctx.Err()
}

// Checkpoint returns the checkpoint saved under a consumer's name, and the version of that record; zeros if there
// is none. It returns [ErrInvalid], [ErrUnavailable] or the error of ctx.
func (l *Log) Checkpoint(ctx context.Context, consumer string) (Checkpoint, Version, error) {
	r, err := l.Record(ctx, KindCheckpoint, consumer)
	if errors.Is(err, ErrNotFound) {
		return Checkpoint{}, 0, nil
	}
	if err != nil {
		return Checkpoint{}, 0, err
	}
	var c Checkpoint
	if err := json.Unmarshal(r.Value, &c); err != nil {
		return Checkpoint{}, 0, fmt.Errorf("checkpoint of %s: %w", consumer, err)
	}
	return c, r.Version, nil
}

// Save returns the write that saves the checkpoint under a consumer's name, for a [Unit]: in the unit that also has
// the effects of the events, both happen once. Expect the version that [Log.Checkpoint] returned, so that of two
// consumers of one name only one goes on.
func (c Checkpoint) Save(consumer string, expect Expect) RecordWrite {
	value, err := json.Marshal(c)
	if err != nil {
		panic(fmt.Sprintf("journal: checkpoint %v: %v", c, err)) // numbers and strings always marshal
	}
	return RecordWrite{Kind: KindCheckpoint, Key: consumer, Expect: expect, Value: value}
}
