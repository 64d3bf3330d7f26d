// SPDX-License-Identifier: Apache-2.0

// Reading a history: the state it leads to, and whether a command is in it already.

package entity

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strconv"

	"example.com/vidimus/journal"
)

// history is an entity's state, and the first result of a command if it is found on the way.
type history[S any] struct {
	Snapshot[S]
	found  []any       // the events of the command
	result Snapshot[S] // after them
}

func (e *Entity[S]) load(ctx context.Context, log *journal.Log, id string, command journal.ID) (history[S], error) {
	var h history[S]
	err := e.read(ctx, log, id, &h, command)
	return h, err
}

// read brings h up to the end of the stream, and notes the events of the command.
func (e *Entity[S]) read(
	ctx context.Context, log *journal.Log, id string, h *history[S], command journal.ID,
) error {
	stream := e.Stream(id)
	next := eventID(command, 0)
	for ev, err := range log.ReadStream(ctx, stream, &journal.StreamOptions{After: h.Version}) {
		if err != nil {
			return fmt.Errorf("load %s: %w", stream, err)
		}
		if ev.Version > MaxHistory {
			return fmt.Errorf("load %s: %w: more than %d events; let it end and go on in a new one",
				stream, ErrTooLong, MaxHistory)
		}
		value, err := e.decode(&ev)
		if err != nil {
			return err
		}
		h.State = h.State.Evolve(value)
		h.Version, h.Position = ev.Version, ev.Position
		if command != (journal.ID{}) && ev.ID == next {
			h.found, h.result = append(h.found, value), h.Snapshot
			next = eventID(command, len(h.found))
		}
	}
	return nil
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
