// SPDX-License-Identifier: Apache-2.0

// Package feed tells verifiers what changes in a journal, in its order, and where it ends when they ask: the
// authority's side of package heartbeat.
//
// Every node on a journal can serve a feed of its own, and readers may go from one to another: their place is a
// position of the journal. The feed remembers a bounded number of changes. What it no longer remembers, or never read
// after a restart, it covers by a base, below which every passport counts as superseded.
package feed

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"time"

	"example.com/vidimus/heartbeat"
	"example.com/vidimus/internal/chance"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/internal/outage"
	"example.com/vidimus/journal"
	"example.com/vidimus/passport"
)

// Config configures a [Feed].
type Config struct {
	Log *journal.Log
	// Changes says what an event does to passports minted before it, as session.Changes does. Positions are filled in. One
	// that breaks a rule is told as one that supersedes all.
	Changes func(*journal.Event) []heartbeat.Change
	// Filter chooses the events that Changes is asked about; an empty one chooses all.
	Filter journal.Filter
	// Remember is how many changes are kept at least; 0 for [heartbeat.DefaultLimit]. A passport must not outlive what is
	// remembered, or it counts as superseded: keep as many as happen in the life of a passport.
	Remember int
	// ReadBack is how many positions of the journal are read again at the start; 0 for 100,000. Passports minted before
	// count as superseded. A negative one reads nothing again.
	ReadBack int64
	// Subscribers is how many there may be; 0 for 10,000.
	Subscribers int
	// Pulse is the longest time between two frames to a subscriber; 0 for 500 ms.
	Pulse time.Duration
	// Gap is the shortest: what happens within is one frame; 0 for 20 ms.
	Gap time.Duration
	// Logger is told when the journal cannot be followed, and each minute while that lasts; nil for nobody.
	Logger *slog.Logger
}

// What a subscription ends with beside the error of its context.
var (
	// ErrTooMany: there are as many subscribers as there may be. Try another node, or later.
	ErrTooMany = errors.New("too many subscribers")
	// ErrStopped: the feed's Run has returned.
	ErrStopped = errors.New("feed has stopped")
)

// Feed is one node's feed of a journal. It is a [heartbeat.Source]. Goroutines may share it.
type Feed struct {
	cfg Config
	// reading holds one token: one look at the end of the journal at a time.
	reading chan struct{}
	outage  outage.Outage // of the journal, as Run finds it
	mu      struct {
		sync.Mutex
		tail        *heartbeat.Tail    // nil until Run has begun, and while the journal has lost what was read of it
		at          journal.Checkpoint // where the tail ends, with the id of the event there
		told        passport.Mark      // the furthest end of the journal that pings were told
		lost        passport.Mark      // how far the last history went, as far as is known, that the journal has lost
		stopped     bool
		news        chan struct{} // closed when the tail moves, or the feed stops
		restart     func()        // makes Run begin anew
		subscribers int
		memo        memo
		next        *look // the look that pings of now wait for; nil for none
	}
}

// Open checks the configuration; [Feed.Run] does the work. It returns [journal.ErrInvalid].
func Open(cfg Config) (*Feed, error) {
	switch {
	case cfg.Log == nil:
		return nil, &journal.InvalidError{Field: "log", Problem: "is nil; name the journal to follow"}
	case cfg.Changes == nil:
		return nil, &journal.InvalidError{Field: "changes", Problem: "is nil; say what an event changes"}
	case cfg.Remember < 0 || cfg.Subscribers < 0 || cfg.Pulse < 0 || cfg.Gap < 0:
		return nil, &journal.InvalidError{Field: "config", Problem: "has a negative limit; use 0 for what is usual"}
	}
	if cfg.ReadBack == 0 {
		cfg.ReadBack = 100_000
	}
	if cfg.Subscribers == 0 {
		cfg.Subscribers = 10_000
	}
	if cfg.Pulse == 0 {
		cfg.Pulse = 500 * time.Millisecond
	}
	if cfg.Gap == 0 {
		cfg.Gap = 20 * time.Millisecond
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	f := &Feed{cfg: cfg, reading: make(chan struct{}, 1)}
	f.mu.news = make(chan struct{})
	return f, nil
}

// Run follows the journal until ctx ends, and then returns nil; or the error that no repetition mends, such as
// [journal.ErrClosed]. Run once.
func (f *Feed) Run(ctx context.Context) error {
	defer f.stop()
	const first, longest = 50 * time.Millisecond, 5 * time.Second
	for wait := first; ; wait = min(2*wait, longest) {
		moved, err := f.turn(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, journal.ErrDiverged):
			f.forget() // the journal was restored or renewed: begin anew, in its present epoch or behind what was lost
			wait = first
		case err != nil && !errors.Is(err, journal.ErrUnavailable):
			return err
		case moved:
			wait = first
		}
		if f.outage.Failed(kindOf(err)) {
			f.cfg.Logger.Warn("journal is not followed", "error", err, "attempts", f.outage.Failures())
		}
		_ = clock.Sleep(ctx, chance.Jitter(wait)) // ends early with ctx
	}
}

// kindOf tells the failures apart that a person mends in different ways.
func kindOf(err error) string {
	switch {
	case errors.Is(err, journal.ErrDiverged):
		return "diverged"
	case errors.Is(err, heartbeat.ErrRewound):
		return "rewound"
	}
	return "unavailable"
}

// turn follows the journal from where the tail ends, until that fails, and reports whether it came forward.
func (f *Feed) turn(ctx context.Context) (moved bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	from, err := f.begin(ctx, func() { cancel(journal.ErrDiverged) })
	if err != nil {
		return false, err
	}
	options := journal.FollowOptions{From: from, Filter: f.cfg.Filter, Pulse: f.cfg.Pulse}
	for frame, err := range f.cfg.Log.Follow(ctx, options) {
		if err == nil {
			err = f.joins(ctx, &frame)
		}
		if err == nil {
			err = f.add(&frame)
		}
		if err != nil {
			return moved, orCause(ctx, err)
		}
		moved = true
		f.outage.Works()
		if frame.CaughtUp { // what comes within the gap comes in one frame
			if err := clock.Sleep(ctx, f.cfg.Gap/2); err != nil {
				return moved, orCause(ctx, err)
			}
		}
	}
	return moved, orCause(ctx, journal.ErrUnavailable)
}

// orCause returns why a context was ended, or err if it was not.
func orCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// begin says where to follow from: where the tail ends, or a bounded way back from the journal's end.
func (f *Feed) begin(ctx context.Context, renewed func()) (journal.Checkpoint, error) {
	f.mu.Lock()
	told := f.mu.told // before the end is read, which is no earlier then
	f.mu.Unlock()
	head, err := f.cfg.Log.Head(ctx)
	if err != nil {
		return journal.Checkpoint{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.restart = renewed
	start := markOf(head)
	if start.SameLog(told) && start.Position < told.Position {
		f.drop()
		f.lose(told)
	}
	if f.mu.tail != nil && !f.mu.tail.Through().SameLog(start) {
		f.mu.tail = nil
	}
	switch {
	case f.mu.tail != nil:
		return f.mu.at, nil
	case !start.SameLog(f.mu.lost):
		start.Position = max(0, start.Position-max(0, f.cfg.ReadBack))
	case start.Position <= f.mu.lost.Position:
		return journal.Checkpoint{}, rewound(f.mu.lost, start)
	}
	// Behind a history that was lost nothing is read back: who stands in it, and what was minted in it, is below the base.
	f.mu.lost = passport.Mark{}
	f.mu.tail = heartbeat.NewTail(start, f.cfg.Remember)
	f.mu.at = journal.Checkpoint{Log: head.Log, Epoch: head.Epoch, Position: journal.Position(start.Position)}
	f.wake()
	return f.mu.at, nil
}

// rewound says that the journal ends before what was read of it, in the same epoch.
func rewound(lost, end passport.Mark) error {
	return fmt.Errorf("%w: %w: it was read up to %s and ends at %s, so commits were lost, as in a backup or a replica "+
		"that was behind: run vidimus journal renew", journal.ErrUnavailable, heartbeat.ErrRewound, lost, end)
}

func markOf(c journal.Checkpoint) passport.Mark {
	return passport.Mark{Log: c.Log, Epoch: int64(c.Epoch), Position: int64(c.Position)}
}

// joins makes sure that a frame with news comes from the history that the tail is of: after the frame was read, the
// event at the tail's end is still the one that was read there. It returns [journal.ErrDiverged].
func (f *Feed) joins(ctx context.Context, frame *journal.Frame) error {
	f.mu.Lock()
	at := f.mu.at
	f.mu.Unlock()
	if frame.Checkpoint.Position == at.Position {
		return nil
	}
	_, err := f.cfg.Log.Check(ctx, at)
	return err
}

// add takes one frame of the journal in.
func (f *Feed) add(frame *journal.Frame) error {
	var changes []heartbeat.Change
	for i := range frame.Events {
		e := &frame.Events[i]
		for _, c := range f.cfg.Changes(e) {
			c.Position = int64(e.Position)
			if err := c.Validate(); err != nil {
				f.cfg.Logger.Error("change cannot be told, so all passports count as superseded", "event", e.ID.String(),
					"type", e.Type, "error", err)
				c = heartbeat.Change{Position: c.Position, Scope: heartbeat.All, Effect: heartbeat.Superseded}
			}
			changes = append(changes, c)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.tail == nil { // a ping found that it is of a history that was lost
		return journal.ErrDiverged
	}
	before := f.mu.tail.Through()
	if err := f.mu.tail.Add(int64(frame.Checkpoint.Position), changes...); err != nil {
		return err
	}
	f.mu.at = frame.Checkpoint
	if f.mu.tail.Through() != before {
		f.wake()
	}
	return nil
}

// wake tells the subscribers that there is news. The lock is held.
func (f *Feed) wake() {
	close(f.mu.news)
	f.mu.news = make(chan struct{})
}

// forget drops the tail, which is not of the journal's history, and notes how far that went.
func (f *Feed) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drop()
}

// drop is forget while the lock is held.
func (f *Feed) drop() {
	if f.mu.tail != nil {
		f.lose(f.mu.tail.Through())
		f.mu.tail = nil
	}
}

// lose notes how far a history went that the journal has lost. The lock is held.
func (f *Feed) lose(m passport.Mark) {
	if !f.mu.lost.Reaches(m) {
		f.mu.lost = m
	}
}

func (f *Feed) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.stopped = true
	f.wake()
}

// Subscribe implements [heartbeat.Source]. A subscriber that is slow slows nobody: there is no queue of its own, and
// its next frame holds all that has happened since, or is a snapshot if that is no longer remembered. It returns
// [ErrTooMany] or [ErrStopped].
func (f *Feed) Subscribe(ctx context.Context, from passport.Mark) iter.Seq2[heartbeat.Frame, error] {
	return func(yield func(heartbeat.Frame, error) bool) {
		if err := f.enter(); err != nil {
			yield(heartbeat.Frame{}, err)
			return
		}
		defer f.leave()
		for {
			frame, err := f.await(ctx, from)
			if err != nil {
				yield(heartbeat.Frame{}, err)
				return
			}
			if !yield(frame, nil) {
				return
			}
			from = frame.Mark()
			if len(frame.Changes) == heartbeat.MaxChanges {
				continue // there is more
			}
			if err := clock.Sleep(ctx, f.cfg.Gap); err != nil {
				yield(heartbeat.Frame{}, err)
				return
			}
		}
	}
}

func (f *Feed) enter() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.subscribers == f.cfg.Subscribers {
		return ErrTooMany
	}
	f.mu.subscribers++
	return nil
}

func (f *Feed) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.subscribers--
}

// await returns the next frame for a reader at from: with news as soon as there is some, without after a pulse.
func (f *Feed) await(ctx context.Context, from passport.Mark) (heartbeat.Frame, error) {
	pulse := clock.NewTimer(f.cfg.Pulse)
	defer pulse.Stop()
	for ended := false; ; {
		frame, news, moved, err := f.next(from)
		if err != nil || news || ended && frame.Log != "" {
			return frame, err
		}
		select {
		case <-moved:
		case <-pulse.C:
			ended = true
		case <-ctx.Done():
			return heartbeat.Frame{}, ctx.Err()
		}
	}
}

func (f *Feed) next(from passport.Mark) (heartbeat.Frame, bool, <-chan struct{}, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.stopped {
		return heartbeat.Frame{}, false, nil, ErrStopped
	}
	if f.mu.tail == nil {
		return heartbeat.Frame{}, false, f.mu.news, nil
	}
	frame, news := f.mu.tail.Next(from)
	return frame, news, f.mu.news, nil
}
