// SPDX-License-Identifier: Apache-2.0

// Waiting for events.

package sqlite

import (
	"context"
	"time"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
)

// Wait implements [journal.Store]. Commits through the log wake it at once, those of the application's own
// transactions within a tenth of a second.
func (s *store) Wait(ctx context.Context, after journal.Position) error {
	for {
		select {
		case <-s.closed:
			return journal.ErrClosed
		default:
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		s.state.Lock()
		grown, last := s.state.grown, s.state.last
		s.state.Unlock()
		if last > after {
			return nil
		}
		if err := s.pause(ctx, grown); err != nil {
			return err
		}
	}
}

// pause returns when the journal grew, when the store closes or, having looked for foreign commits, after a while.
func (s *store) pause(ctx context.Context, grown <-chan struct{}) error {
	var poll <-chan time.Time
	if !s.alone {
		t := clock.NewTimer(s.tuning.poll)
		defer t.Stop()
		poll = t.C
	}
	select {
	case <-grown:
		return nil
	case <-s.closed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-poll:
		return s.look(ctx)
	}
}

// look learns of foreign commits, for all who wait. It does nothing when somebody else has just done so.
func (s *store) look(ctx context.Context) error {
	s.state.Lock()
	fresh := clock.Since(s.state.polled) < s.tuning.poll
	if !fresh {
		s.state.polled = clock.Now()
	}
	s.state.Unlock()
	if fresh {
		return nil
	}
	if err := s.reading(ctx, s.catchUp); err != nil {
		return err
	}
	s.state.Lock()
	late := int64(len(s.state.heads.unsaved)) > 4*s.tuning.sweepEvery
	s.state.Unlock()
	if !late {
		return nil
	}
	_, err := s.Commit(ctx, nil) // saves some ends of streams
	return err
}
