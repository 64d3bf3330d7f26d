// SPDX-License-Identifier: Apache-2.0

// Reading a history: the state it leads to, and whether a command is in it already.

package entity

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"

	"example.com/vidimus/journal"
)

// history is an entity's state, and the first result of a command if it is found on the way.
type history[S any] struct {
	Snapshot[S]
	closed journal.Version // of the newest event that carries the state; 0 for none
	found  []any           // the events of the command
	said   string          // the digest of what it said; empty if nobody knows
	result Snapshot[S]     // after them
}

// sought is a command that is looked for.
type sought struct {
	command journal.ID // zero for none
	// through: in all events in which the journal would recognise it; otherwise in those that the state takes.
	through bool
}

// event returns the id of the command's n-th event; zero, as no event's is, if there is no command.
func (s sought) event(n int) journal.ID {
	if s.command == (journal.ID{}) {
		return journal.ID{}
	}
	return eventID(s.command, n)
}

// read brings h up to the end of the stream, and notes the events of the command.
func (e *Entity[S]) read(ctx context.Context, log *journal.Log, id string, h *history[S], of sought) error {
	stream := e.Stream(id)
	if e.carried == "" {
		return e.forwards(ctx, log, stream, h, of)
	}
	tail, enough, err := e.tail(ctx, log, stream, h.Version, of)
	if err != nil {
		return err
	}
	if !enough {
		return e.forwards(ctx, log, stream, h, of) // nothing was carried for long: once, by an older program
	}
	next := of.event(0)
	for i := range tail {
		if next, err = e.take(h, &tail[i], of, next); err != nil {
			return err
		}
	}
	return nil
}

// tailMax is how many events are held in memory to find one that carries the state. More are only in streams that were
// written before their kind had such events.
const tailMax = 4 * (journal.Window + MaxEvents)

// tail returns the events from which the state follows: those behind the version from, or the newest one that carries
// the state and what came after it. When a command is sought, it reads on until the journal would not recognise it any
// more; if it is found, the tail begins at an older event that carries the state, so that the result can be told. It
// reads backwards, so it reads what it needs, however long the stream is. Enough is false if nothing was carried for
// too long.
func (e *Entity[S]) tail(
	ctx context.Context, log *journal.Log, stream journal.Stream, from journal.Version, of sought,
) (tail []journal.Event, enough bool, err error) {
	first := of.event(0)
	books, found := -1, false // where the newest event that carries the state is; the command was found
	for ev, err := range log.ReadStream(ctx, stream, &journal.StreamOptions{After: from, Backwards: true}) {
		if err != nil {
			return nil, false, fmt.Errorf("load %s: %w", stream, err)
		}
		if len(tail) == tailMax {
			return nil, false, nil
		}
		tail = append(tail, ev)
		switch {
		case of.through && ev.ID == first:
			found = true
			books = -1 // one that is older than the command
		case ev.Type == e.carried && books < 0:
			books = len(tail) - 1
		}
		// The command's last event is in the window, and the first one by up to a command before that.
		sure := !of.through || found || len(tail) >= journal.Window+MaxEvents
		if books >= 0 && sure {
			break
		}
	}
	if books >= 0 {
		tail = tail[:books+1]
	}
	slices.Reverse(tail)
	return tail, true, nil
}

// forwards reads everything behind h.
func (e *Entity[S]) forwards(
	ctx context.Context, log *journal.Log, stream journal.Stream, h *history[S], of sought,
) error {
	next := of.event(0)
	for ev, err := range log.ReadStream(ctx, stream, &journal.StreamOptions{After: h.Version}) {
		if err != nil {
			return fmt.Errorf("load %s: %w", stream, err)
		}
		if e.carried == "" && ev.Version > MaxHistory {
			return tooLong(stream)
		}
		if next, err = e.take(h, &ev, of, next); err != nil {
			return err
		}
	}
	return nil
}

func tooLong(stream journal.Stream) error {
	return fmt.Errorf("%s: %w: more than %d events; give the state type a method Carry, see entity.Carrier, or let it "+
		"end and go on in a new one", stream, ErrTooLong, MaxHistory)
}

// take takes an event in. Next is the id of the next event of the command that is looked for; take returns the one
// after.
func (e *Entity[S]) take(h *history[S], ev *journal.Event, of sought, next journal.ID) (journal.ID, error) {
	value, err := e.decode(ev)
	if err != nil {
		return next, err
	}
	carries := ev.Type == e.carried
	if carries {
		var zero S
		h.State, h.closed = zero, ev.Version
	}
	h.State = h.State.Evolve(value)
	h.Version, h.Position = ev.Version, ev.Position
	if ev.ID != next {
		return next, nil
	}
	if len(h.found) == 0 {
		h.said = saidBy(&ev.EventData)
	}
	if !carries {
		h.found = append(h.found, value)
		next = of.event(len(h.found))
	}
	h.result = h.Snapshot // also of the event behind the command's that carries the state
	return next, nil
}

// decode makes a value of an event. A kind of entities has to know every type in its streams.
func (e *Entity[S]) decode(ev *journal.Event) (any, error) {
	value, err := e.types.Decode(ev)
	if err != nil {
		return nil, fmt.Errorf("%w: %s at version %d of %s: %w", ErrHistory, ev.Type, ev.Version, ev.Stream, err)
	}
	if value == nil {
		return nil, fmt.Errorf("%w: %s has an event of the type %q at version %d, which is not declared: "+
			"declare it, or upgrade this program", ErrHistory, ev.Stream, ev.Type, ev.Version)
	}
	return value, nil
}

// eventID returns the id of a command's n-th event: that is how a command is found again. It keeps the command's first
// 6 bytes, which hold the time in a UUIDv7, so that the ids of new events sort behind old ones.
func eventID(command journal.ID, n int) journal.ID {
	sum := sha256.Sum256(strconv.AppendInt(command[:], int64(n), 10))
	id := journal.ID(sum[:16])
	copy(id[:6], command[:6])
	id[6] = id[6]&0x0f | 0x70 // version 7
	id[8] = id[8]&0x3f | 0x80 // the variant of RFC 9562
	return id
}
