// SPDX-License-Identifier: Apache-2.0

// Package entity keeps things that change by decisions: a seat, an order, an account. Each has a short history of its
// own in the journal, and every command is decided on the newest state, so no acknowledged change is ever lost.
//
// The domain is plain code that imports nothing of this module. A state type decides what a command leads to, and takes
// in what has happened:
//
//	func (s Seat) Decide(command any) ([]any, error) // events, or why not
//	func (s Seat) Evolve(event any) Seat             // the next state
//
// Both are pure: Decide may be called several times for one command, and Evolve for one event. Events are values with a
// stored name, func (Held) EventType() string. See [Define] and [Entity.Do].
//
// A history that may become long has its books closed now and then: see [Carrier].
package entity

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"example.com/vidimus/cell"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/schema"
)

// Limits.
const (
	// MaxHistory is how many events an entity may have whose state is no [Carrier]: each command reads them all.
	MaxHistory = 10_000
	// CarryAfter is behind how many events the state of a [Carrier] is carried on.
	CarryAfter = 100
	// MaxEvents is how many events one command may lead to.
	MaxEvents = 100
	// MaxTries is the most that [Options.Tries] may be, [DefaultTries] what it is otherwise.
	MaxTries     = 1000
	DefaultTries = 32
)

var (
	// ErrContended: others changed the entity each time before the decision could be written. Nothing was written; try
	// again later.
	ErrContended = errors.New("entity is contended")
	// ErrHistory: the entity's history cannot be read by this program: it has events of an unknown type, or data that
	// cannot be decoded. Nothing is decided on half a history.
	ErrHistory = errors.New("history cannot be read")
	// ErrTooLong: the entity has, or would get, more than [MaxHistory] events, and its state is no [Carrier]; or one
	// command leads to more than [MaxEvents].
	ErrTooLong = errors.New("history is too long")
)

// State is what a domain's state type has to offer. S is the type itself; its zero value is the state before the first
// event.
type State[S any] interface {
	// Decide returns the events that a command leads to, none for nothing to do, or why it is refused.
	Decide(command any) ([]any, error)
	// Evolve returns the state after an event.
	Evolve(event any) S
}

// Carrier is a [State] whose history may become as long as it likes. An event that carries the whole state closes the
// books: whoever loads the entity begins at the newest one, so that costs the same however much has happened before.
// [Entity.Do] appends it in the unit of the command that brings the history to [CarryAfter] events since the last one,
// behind the command's events.
//
// It is an event like any other: declared, counted by the version, exported and verified with the rest, and worth
// nothing that the events before it do not say. A state type that gets the method later needs no migration.
type Carrier interface {
	// Carry returns an event that holds the whole state: the zero state that takes it in is this state, and so is this
	// one. It has the same type for every state. See entitytest.Carried for the test of that.
	Carry() any
}

// Entity is a kind of entities, such as all seats. Goroutines may share it.
type Entity[S State[S]] struct {
	category   string
	types      *schema.Types
	carried    string // the type of the events that carry the state; empty when the state is no Carrier
	carryAfter int
}

// Snapshot is an entity's state at a version.
type Snapshot[S any] struct {
	State S
	// Version is 0 for an entity without events.
	Version journal.Version
	// Position is that of its last event.
	Position journal.Position
}

// Result is what a command came to.
type Result[S any] struct {
	Snapshot[S]
	// Events are what the command led to.
	Events []any
	// Duplicate: the command had been carried out before, and this is its first result.
	Duplicate bool
}

// Define declares a kind of entities by the category of their streams, such as "seat", and the types of their events.
// Each event's type has the method EventType() string, which returns the name it is stored by. It returns an error that
// names what is wrong with a declaration. Make each kind once, when the program starts.
func Define[S State[S]](category string, events ...schema.Declaration) (*Entity[S], error) {
	if category == "" || strings.Contains(category, "-") {
		return nil, &journal.InvalidError{Field: "category", Problem: "must be a word without '-', such as \"seat\""}
	}
	if len(events) == 0 {
		return nil, &journal.InvalidError{Field: "events", Problem: "are missing: declare at least one type"}
	}
	types, err := schema.New(nil, events...)
	if err != nil {
		return nil, fmt.Errorf("entity %s: %w", category, err)
	}
	e := &Entity[S]{category: category, types: types, carryAfter: CarryAfter}
	if e.carried, err = carriedType[S](types); err != nil {
		return nil, fmt.Errorf("entity %s: %w", category, err)
	}
	return e, nil
}

// carriedType returns the stored name of the events that carry a state, if the state has such.
func carriedType[S State[S]](types *schema.Types) (string, error) {
	var zero S
	carrier, ok := any(zero).(Carrier)
	if !ok {
		return "", nil
	}
	event, ok := carrier.Carry().(schema.Event)
	if !ok {
		return "", fmt.Errorf("%w: what Carry returns has no method EventType() string", schema.ErrUndeclared)
	}
	if _, err := types.Encode(event); err != nil {
		return "", fmt.Errorf("the event that carries the state: %w", err)
	}
	return event.EventType(), nil
}

// Types returns the declared types of events, to keep their contract in a file, see [schema.Types.CheckFile].
func (e *Entity[S]) Types() *schema.Types { return e.types }

// Stream returns the stream of an entity: "seat-A12".
func (e *Entity[S]) Stream(id string) journal.Stream { return journal.Stream(e.category + "-" + id) }

// Load returns an entity as it is now; version 0 if it has no events. It covers every command that was answered before
// the call. It returns [ErrHistory], [ErrTooLong], journal.ErrInvalid, journal.ErrUnavailable or the error of ctx.
func (e *Entity[S]) Load(ctx context.Context, c *cell.Cell, id string) (Snapshot[S], error) {
	return e.Extend(ctx, c, id, Snapshot[S]{})
}

// Extend returns an older snapshot brought up to now: it reads only what came after, and of that only what is behind
// the newest event that carries the state. Give it what [Entity.Load] or Do returned, of the same log. Errors are those
// of Load.
func (e *Entity[S]) Extend(ctx context.Context, c *cell.Cell, id string, from Snapshot[S]) (Snapshot[S], error) {
	h := history[S]{Snapshot: from}
	err := e.read(ctx, c.Log(), id, &h, sought{})
	return h.Snapshot, err
}
