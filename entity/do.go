// SPDX-License-Identifier: Apache-2.0

// Doing a command: load, decide, append at the version; and decide anew when somebody else was faster.

package entity

import (
	"context"
	"errors"
	"fmt"
	"time"

	"example.com/vidimus/cell"
	"example.com/vidimus/internal/chance"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/schema"
)

// Options say more about one command. The zero value asks for nothing special.
type Options struct {
	// ID makes the command idempotent: repeated with the same id, even after a crash, it is answered with its first
	// result, provided it led to events. It is any id that the caller keeps until it has the answer, best from
	// [journal.NewID].
	ID journal.ID
	// Version is what the caller's decision was based on: if the entity is at another, the command is refused with a
	// journal.ConflictError, which says at which, and is not tried again. 0 is for any version.
	Version journal.Version
	// Fences are leases under which the command is carried out.
	Fences []journal.Fence
	// Meta goes along with each event, see [journal.EventData].
	Meta []byte
	// Tries is how often to decide at most when others are faster; 0 for [DefaultTries].
	Tries int
}

// Also returns what is to be committed in one unit with a decision: records, timers, fences, conditions, and events or
// checks of other streams. It is called for each try with the state before, the state after and the events in between,
// and reads what it has to know anew each time: when a version that it expects has moved on, the command is decided
// again.
type Also[S any] func(ctx context.Context, before, after S, events []any) (journal.Unit, error)

// Do carries out a command on an entity: it loads the state, lets it decide, and appends the events if the entity is
// still at that version; otherwise it begins again, after a short pause, up to [Options.Tries] times. The answer comes
// when the events are durable. A command that leads to no events writes nothing. Options may be nil.
//
// It returns the error of Decide as it is; [ErrContended] when the tries are spent; a journal.ConflictError when the
// entity is not at [Options.Version]; journal.ErrFenced, journal.ErrCondition; journal.ErrUncertain when it is unknown
// whether the events were written, also after asking again: repeat the command with the same [Options.ID] to find out;
// and the errors of [Entity.Load].
func (e *Entity[S]) Do(ctx context.Context, c *cell.Cell, id string, command any, o *Options) (Result[S], error) {
	return e.DoAlso(ctx, c, id, command, o, nil)
}

// DoAlso is Do, and commits what also returns in the same unit. It returns also's error as it is. The events of the
// entity are the last of the unit.
func (e *Entity[S]) DoAlso(
	ctx context.Context, c *cell.Cell, id string, command any, o *Options, also Also[S],
) (Result[S], error) {
	if o == nil {
		o = &Options{}
	}
	t := try[S]{entity: e, log: c.Log(), id: id, command: command, options: o, also: also, name: o.ID}
	if t.name == (journal.ID{}) {
		t.name = journal.NewID()
	}
	tries := o.Tries
	if tries == 0 {
		tries = DefaultTries
	}
	if tries < 0 || tries > MaxTries {
		return Result[S]{}, &journal.InvalidError{
			Field: "Options.Tries", Problem: fmt.Sprintf("is %d: give 1 to %d", o.Tries, MaxTries),
		}
	}
	for n := 1; ; n++ {
		res, err := t.once(ctx)
		switch {
		case !errors.Is(err, journal.ErrConflict) || t.final:
			return res, err
		case n == tries:
			return Result[S]{}, fmt.Errorf("%w: %s changed %d times during the decision: %w", ErrContended, e.Stream(id), n, err)
		}
		if err := clock.Sleep(ctx, pause(n)); err != nil {
			return Result[S]{}, err
		}
	}
}

// The pauses between tries.
const (
	pauseMin = 500 * time.Microsecond
	pauseMax = 50 * time.Millisecond
)

// pause returns how long to wait after the n-th try: a random part of a time that doubles.
func pause(n int) time.Duration { return chance.Jitter(min(pauseMin<<min(n, 10), pauseMax)) }

// try is a command under way.
type try[S State[S]] struct {
	entity  *Entity[S]
	log     *journal.Log
	id      string
	command any
	options *Options
	also    Also[S]
	name    journal.ID // of the command
	final   bool       // a conflict is the caller's
}

// once loads, decides and commits.
func (t *try[S]) once(ctx context.Context) (Result[S], error) {
	h, err := t.entity.load(ctx, t.log, t.id, t.name)
	if err != nil {
		return Result[S]{}, err
	}
	if len(h.found) > 0 {
		return Result[S]{Snapshot: h.result, Events: h.found, Duplicate: true}, nil
	}
	stream := t.entity.Stream(t.id)
	if want := t.options.Version; want != 0 && want != h.Version {
		t.final = true
		return Result[S]{}, &journal.ConflictError{
			Name: string(stream), Expect: journal.Exactly(want), Actual: h.Version,
		}
	}
	events, err := h.State.Decide(t.command)
	if err != nil {
		t.final = true // a refusal is final, whatever it is
		return Result[S]{}, err
	}
	if len(events) == 0 {
		return Result[S]{Snapshot: h.Snapshot}, nil
	}
	after, err := t.evolve(h.Snapshot, events)
	if err != nil {
		return Result[S]{}, err
	}
	unit, err := t.unit(ctx, h.Snapshot, after, events)
	if err != nil {
		return Result[S]{}, err
	}
	return t.commit(ctx, unit, after, events)
}

// evolve returns the snapshot after the events.
func (t *try[S]) evolve(s Snapshot[S], events []any) (Snapshot[S], error) {
	if n := len(events); n > MaxEvents || s.Version+journal.Version(n) > MaxHistory {
		return s, fmt.Errorf("%s at version %d: %w: the command leads to %d events; %d at once and %d in all are the limits",
			t.entity.Stream(t.id), s.Version, ErrTooLong, n, MaxEvents, MaxHistory)
	}
	for _, ev := range events {
		s.State = s.State.Evolve(ev)
		s.Version++
	}
	return s, nil
}

// unit returns what to commit.
func (t *try[S]) unit(ctx context.Context, before, after Snapshot[S], events []any) (u journal.Unit, err error) {
	if t.also != nil {
		if u, err = t.also(ctx, before.State, after.State, events); err != nil {
			t.final = !errors.Is(err, journal.ErrConflict)
			return u, err
		}
	}
	own := journal.Append{Stream: t.entity.Stream(t.id), Expect: journal.Exactly(before.Version)}
	for i, value := range events {
		ev, ok := value.(schema.Event)
		if !ok {
			return u, fmt.Errorf("%s: %w: %T has no method EventType() string", own.Stream, schema.ErrUndeclared, value)
		}
		data, err := t.entity.types.Encode(ev)
		if err != nil {
			return u, fmt.Errorf("%s: %w", own.Stream, err)
		}
		data.ID, data.Meta = eventID(t.name, i), t.options.Meta
		own.Events = append(own.Events, data)
	}
	u.Fences = append(u.Fences[:len(u.Fences):len(u.Fences)], t.options.Fences...)
	u.Appends = append(u.Appends[:len(u.Appends):len(u.Appends)], own)
	return u, nil
}

// Asking again after an answer was lost.
const (
	asks     = 5
	askPause = 20 * time.Millisecond
)

// commit commits the unit, and asks again with the same unit when the answer was lost: the journal recognises it.
func (t *try[S]) commit(
	ctx context.Context, u journal.Unit, after Snapshot[S], events []any,
) (Result[S], error) {
	for n := 1; ; n++ {
		res, err := t.log.Commit(ctx, u)
		if err == nil && !res.Duplicate {
			after.Position = res.Position
			return Result[S]{Snapshot: after, Events: events}, nil
		}
		if err == nil || errors.Is(err, journal.ErrIDReused) {
			return t.recall(ctx, err) // an earlier try of the same command was written, perhaps with another decision
		}
		if !errors.Is(err, journal.ErrUncertain) || n == asks {
			return Result[S]{}, fmt.Errorf("%s: %w", t.entity.Stream(t.id), err)
		}
		if clock.Sleep(ctx, askPause<<n) != nil {
			return Result[S]{}, fmt.Errorf("%s: %w", t.entity.Stream(t.id), err)
		}
	}
}

// recall returns the first result of a command whose events the journal has.
func (t *try[S]) recall(ctx context.Context, reused error) (Result[S], error) {
	h, err := t.entity.load(ctx, t.log, t.id, t.name)
	if err == nil && len(h.found) == 0 {
		err = reused
	}
	if err != nil {
		return Result[S]{}, err
	}
	return Result[S]{Snapshot: h.result, Events: h.found, Duplicate: true}, nil
}
