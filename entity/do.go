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
	// result, provided it led to events and as long as the last of them is among the last [journal.Window] events of
	// the entity. It is any id that the caller keeps until it has the answer, best from [journal.NewID]. A command that
	// says something else than the one that had the id before is refused with journal.ErrIDReused.
	ID journal.ID
	// Said is what a repetition of the command says again: it is compared as JSON, so unexported fields do not count.
	// Give it when the command holds more, such as the time it is decided at; nil is for the type of the command and the
	// command itself. What is no JSON is not compared, nor are commands of releases that did not remember what was said.
	Said any
	// Expect is what the caller's decision was based on, such as new(journal.Exactly(7)), or new(journal.None) for what
	// must not exist: if the entity is at another version, the command is refused with a journal.ConflictError, which
	// says at which, and is not tried again. nil is for any version.
	Expect *journal.Expect
	// Fences are leases under which the command is carried out.
	Fences []journal.Fence
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
// entity is not as [Options.Expect] says; journal.ErrIDReused when another command had [Options.ID];
// journal.ErrFenced, journal.ErrCondition; journal.ErrUncertain when it is unknown whether the events were written,
// also after asking again: repeat the command with the same [Options.ID] to find out; and the errors of [Entity.Load].
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
	h, err := t.load(ctx, t.options.ID != journal.ID{})
	if err != nil {
		return Result[S]{}, err
	}
	if len(h.found) > 0 {
		return t.first(&h)
	}
	if want := t.options.Expect; want != nil && !want.Holds(h.Version) {
		t.final = true
		return Result[S]{}, &journal.ConflictError{
			Name: string(t.entity.Stream(t.id)), Expect: *want, Actual: h.Version,
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
	p, err := t.plan(&h, events)
	if err != nil {
		return Result[S]{}, err
	}
	unit, err := t.unit(ctx, h.Snapshot, &p)
	if err != nil {
		return Result[S]{}, err
	}
	return t.commit(ctx, unit, &p)
}

// first returns the first result of a command that was found.
func (t *try[S]) first(h *history[S]) (Result[S], error) {
	if err := t.same(h); err != nil {
		return Result[S]{}, err
	}
	return Result[S]{Snapshot: h.result, Events: h.found, Duplicate: true}, nil
}

// load loads the entity. It notes the command if it is among the events that have to be read anyway, or, if it is
// sought, among all that the journal would recognise it in.
func (t *try[S]) load(ctx context.Context, seek bool) (history[S], error) {
	var h history[S]
	err := t.entity.read(ctx, t.log, t.id, &h, sought{t.name, seek})
	return h, err
}

// plan is what a decision leads to.
type plan[S any] struct {
	events  []any
	carried any         // the event behind them that carries the state, if it is time for one
	after   Snapshot[S] // after everything
}

// plan returns what the events lead to, and closes the books when it is time to.
func (t *try[S]) plan(h *history[S], events []any) (plan[S], error) {
	e, p := t.entity, plan[S]{events: events, after: h.Snapshot}
	if n := len(events); n > MaxEvents {
		return p, fmt.Errorf("%s at version %d: %w: the command leads to %d events; %d at once are the limit",
			e.Stream(t.id), h.Version, ErrTooLong, n, MaxEvents)
	}
	for _, ev := range events {
		p.after.State = p.after.State.Evolve(ev)
		p.after.Version++
	}
	if e.carried == "" {
		if p.after.Version > MaxHistory {
			return p, tooLong(e.Stream(t.id))
		}
		return p, nil
	}
	if since := p.after.Version - h.closed; e.carryAfter > 0 && since >= journal.Version(e.carryAfter) {
		p.carried = any(p.after.State).(Carrier).Carry()
		var zero S
		p.after.State = zero.Evolve(p.carried)
		p.after.Version++
	}
	return p, nil
}

// unit returns what to commit.
func (t *try[S]) unit(ctx context.Context, before Snapshot[S], p *plan[S]) (u journal.Unit, err error) {
	if t.also != nil {
		if u, err = t.also(ctx, before.State, p.after.State, p.events); err != nil {
			t.final = !errors.Is(err, journal.ErrConflict)
			return u, err
		}
	}
	own := journal.Append{Stream: t.entity.Stream(t.id), Expect: journal.Exactly(before.Version)}
	all := p.events
	if p.carried != nil {
		all = append(all[:len(all):len(all)], p.carried)
	}
	for i, value := range all {
		ev, ok := value.(schema.Event)
		if !ok {
			return u, fmt.Errorf("%s: %w: %T has no method EventType() string", own.Stream, schema.ErrUndeclared, value)
		}
		data, err := t.entity.types.Encode(ev)
		if err != nil {
			return u, fmt.Errorf("%s: %w", own.Stream, err)
		}
		data.ID = eventID(t.name, i)
		if i == 0 && t.options.ID != (journal.ID{}) {
			data.Meta = noted(t.said())
		}
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
func (t *try[S]) commit(ctx context.Context, u journal.Unit, p *plan[S]) (Result[S], error) {
	for n := 1; ; n++ {
		res, err := t.log.Commit(ctx, u)
		if err == nil && !res.Duplicate {
			p.after.Position = res.Position
			return Result[S]{Snapshot: p.after, Events: p.events}, nil
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
	h, err := t.load(ctx, true)
	if err == nil && len(h.found) == 0 {
		err = reused
	}
	if err != nil {
		return Result[S]{}, err
	}
	return t.first(&h)
}
