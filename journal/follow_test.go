// SPDX-License-Identifier: Apache-2.0

// Following a store that fails, is slow or lags behind.

package journal_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
)

// scripted is a store whose reads and waits are replaced.
type scripted struct {
	journal.Store
	read func(q journal.Query) (journal.Page, error)
	wait func(ctx context.Context) error
}

func (s *scripted) Read(ctx context.Context, q journal.Query) (journal.Page, error) {
	if s.read == nil {
		return s.Store.Read(ctx, q)
	}
	return s.read(q)
}

func (s *scripted) Wait(ctx context.Context, after journal.Position) error {
	if s.wait == nil {
		return s.Store.Wait(ctx, after)
	}
	return s.wait(ctx)
}

func filled(t *testing.T, n int) journal.Store {
	t.Helper()
	log := mem.Open()
	for range n {
		if _, err := log.Append(t.Context(), "s-1", journal.Any, journal.EventData{Type: "t"}); err != nil {
			t.Fatal(err)
		}
	}
	return log.Store()
}

func TestFollowHandsTheErrorOfAReadOverLast(t *testing.T) {
	t.Parallel()
	down := fmt.Errorf("%w: gone", journal.ErrUnavailable)
	below := filled(t, 5)
	reads := 0
	log := journal.New(&scripted{Store: below, read: func(q journal.Query) (journal.Page, error) {
		if reads++; reads == 3 {
			return journal.Page{}, down
		}
		return below.Read(t.Context(), q)
	}})
	var got []journal.Position
	var last error
	for f, err := range log.Follow(t.Context(), journal.FollowOptions{Page: 2}) {
		if last = err; err != nil && (f.Events != nil || f.Checkpoint != journal.Checkpoint{}) {
			t.Errorf("an error comes with the frame %+v", f)
		}
		for _, e := range f.Events {
			got = append(got, e.Position)
		}
	}
	if !errors.Is(last, down) || fmt.Sprint(got) != "[1 2 3 4]" {
		t.Errorf("got positions %v, then %v", got, last)
	}
}

func TestFollowEndsWhenWaitingFails(t *testing.T) {
	t.Parallel()
	log := journal.New(&scripted{Store: filled(t, 1), wait: func(context.Context) error { return journal.ErrUnavailable }})
	frames := 0
	var last error
	for _, err := range log.Follow(t.Context(), journal.FollowOptions{Pulse: time.Hour}) {
		last = err
		frames++
	}
	if frames != 2 || !errors.Is(last, journal.ErrUnavailable) {
		t.Errorf("got %d pairs, then %v", frames, last)
	}
}

func TestFollowSurvivesAWaitThatReturnsEarly(t *testing.T) {
	t.Parallel()
	waits := 0
	below := filled(t, 2)
	ctx, cancel := context.WithCancel(t.Context())
	log := journal.New(&scripted{Store: below, wait: func(context.Context) error {
		if waits++; waits == 5 {
			cancel()
		}
		return nil
	}})
	seen := 0
	for f, err := range log.Follow(ctx, journal.FollowOptions{Pulse: time.Hour}) {
		if seen += len(f.Events); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	if seen != 2 || waits != 5 {
		t.Errorf("got %d events and %d waits", seen, waits)
	}
}

func TestFollowPulsesByTheClock(t *testing.T) {
	t.Parallel()
	for pulse, want := range map[time.Duration]time.Duration{0: time.Second, 5 * time.Minute: 5 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			log := mem.Open()
			start := clock.Now()
			frames := 0
			for f, err := range log.Follow(t.Context(), journal.FollowOptions{Pulse: pulse}) {
				if err != nil || !f.CaughtUp || !f.AsOf.Equal(start.Add(time.Duration(frames)*want)) {
					t.Errorf("pulse %v: frame %d as of %v after the start, %v", pulse, frames, f.AsOf.Sub(start), err)
				}
				if frames++; frames == 4 {
					break
				}
			}
		})
	}
}

func TestFollowChecksAgainstTheHeadOnceAtTheStart(t *testing.T) {
	t.Parallel()
	log := journal.New(filled(t, 3))
	head, err := log.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wrong := head
	wrong.ID = journal.NewID()
	for f, err := range log.Follow(t.Context(), journal.FollowOptions{From: wrong}) {
		if !errors.Is(err, journal.ErrDiverged) || f.Events != nil {
			t.Errorf("got %+v, %v", f, err)
		}
	}
	if text := head.String(); text != fmt.Sprintf("%s.1:3", head.Log) {
		t.Errorf("got %q", text)
	}
}

func TestACheckpointThatIsNotJSONIsReported(t *testing.T) {
	t.Parallel()
	log := mem.Open()
	bad := journal.RecordWrite{Kind: journal.KindCheckpoint, Key: "mailer", Value: []byte(`{"position":"x"}`)}
	if _, err := log.Commit(t.Context(), journal.Unit{Records: []journal.RecordWrite{bad}}); err != nil {
		t.Fatal(err)
	}
	if c, v, err := log.Checkpoint(t.Context(), "mailer"); err == nil {
		t.Errorf("got %+v at version %d, want an error", c, v)
	}
}
