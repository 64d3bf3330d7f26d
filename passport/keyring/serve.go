// SPDX-License-Identifier: Apache-2.0

// Serving: rotating in time, and learning at once of what other nodes did.

package keyring

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"example.com/vidimus/cell"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/internal/outage"
	"example.com/vidimus/journal"
)

// How Serve follows the journal.
const (
	look  = time.Minute     // between two looks at the records, at most a pulse more
	pulse = 2 * time.Second // between two looks at the clock, which may have jumped, or gone on while the machine slept
	pause = time.Second     // before following again after a failure
)

// Name returns "keyring".
func (r *Ring) Name() string { return "keyring" }

// Serve rotates the keys in time, and looks at the records once a minute and when the journal tells of a key that was
// made or revoked, until ctx ends; then it returns nil. It returns journal.ErrClosed when the journal is closed.
func (r *Ring) Serve(ctx context.Context, c *cell.Cell) error {
	var told outage.Outage
	for {
		err := r.follow(ctx, &told)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, journal.ErrClosed):
			return err
		}
		if told.Failed("") {
			r.logger.LogAttrs(ctx, slog.LevelWarn, "keyring cannot look at its keys", slog.Any("error", err),
				slog.Int("attempts", told.Failures()))
		}
		if clock.Sleep(ctx, pause) != nil {
			return nil
		}
	}
}

// follow looks at the records whenever it may be necessary, until something fails.
func (r *Ring) follow(ctx context.Context, told *outage.Outage) error {
	head, err := r.log.Head(ctx)
	if err != nil {
		return err
	}
	looked := time.Time{} // nothing that was committed before head is seen below
	o := journal.FollowOptions{From: head, Filter: journal.Filter{{Category: Category}}, Pulse: pulse}
	for frame, err := range r.log.Follow(ctx, o) {
		if err != nil {
			return err
		}
		if len(frame.Events) == 0 && !looked.IsZero() && clock.Age(looked) < look {
			continue
		}
		if err := r.edit(ctx, nil); err != nil {
			return err
		}
		looked = clock.Now()
		told.Works()
	}
	return nil
}
