// SPDX-License-Identifier: Apache-2.0

// The follower, and what it does when the journal is away or another one.

// Package follower keeps somebody up to date with a journal for as long as the program runs.
package follower

import (
	"context"
	"errors"
	"time"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
)

// pause is how long it waits before it tries again.
const pause = time.Second

// Follower follows a journal. Every field is required but Filter.
type Follower struct {
	Log    *journal.Log
	Filter journal.Filter
	// Begin forgets what was taken and says where to follow from: at first, and when the journal was restored or renewed,
	// so that what was taken may not have happened.
	Begin func(ctx context.Context) (journal.Checkpoint, error)
	// Take takes in what happened next.
	Take func(*journal.Frame) error
}

// Run follows until ctx ends, and then returns nil; or the error that no repetition mends.
func (f *Follower) Run(ctx context.Context) error {
	var from *journal.Checkpoint // nil to begin anew
	for {
		err := f.follow(ctx, &from)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, journal.ErrDiverged):
			from = nil
		case !errors.Is(err, journal.ErrUnavailable):
			return err
		}
		_ = clock.Sleep(ctx, pause) // ends early with ctx
	}
}

// follow takes frames until there is an error, and moves from.
func (f *Follower) follow(ctx context.Context, from **journal.Checkpoint) error {
	if *from == nil {
		begin, err := f.Begin(ctx)
		if err != nil {
			return err
		}
		*from = &begin
	}
	for frame, err := range f.Log.Follow(ctx, journal.FollowOptions{From: **from, Filter: f.Filter}) {
		if err != nil {
			return err
		}
		if err := f.Take(&frame); err != nil {
			return err
		}
		*from = &frame.Checkpoint
	}
	return journal.ErrUnavailable // it has no end of its own
}
