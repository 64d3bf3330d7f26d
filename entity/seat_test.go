// SPDX-License-Identifier: Apache-2.0

// The domain of the tests: a seat that is held by one guest, and a counter. As any domain, it imports nothing of ours.

package entity_test

import (
	"errors"
	"fmt"
)

var errTaken = errors.New("seat is taken")

// Seat is held by a guest, or free.
type Seat struct {
	Guest string
	Holds int
}

// Hold and Free are commands.
type (
	Hold struct{ Guest string }
	Free struct{ Guest string }
)

// Held and Freed are events.
type (
	Held struct {
		Guest string `json:"guest"`
	}
	Freed struct{}
)

// Carried is the event that carries a seat.
type Carried struct {
	Guest string `json:"guest"`
	Holds int    `json:"holds"`
}

func (Held) EventType() string    { return "seat.held" }
func (Freed) EventType() string   { return "seat.freed" }
func (Carried) EventType() string { return "seat.carried" }

// Carry returns the event that carries the seat.
func (s Seat) Carry() any { return Carried(s) }

func (s Seat) Decide(command any) ([]any, error) {
	switch c := command.(type) {
	case Hold:
		if s.Guest != "" {
			return nil, fmt.Errorf("%w by %s", errTaken, s.Guest)
		}
		return []any{Held(c)}, nil
	case Take:
		return []any{Held(c)}, nil
	case Free:
		if s.Guest != c.Guest {
			return nil, nil
		}
		return []any{Freed{}}, nil
	}
	return nil, fmt.Errorf("unknown command %T", command)
}

func (s Seat) Evolve(event any) Seat {
	switch e := event.(type) {
	case Held:
		s.Guest = e.Guest
		s.Holds++
	case Freed:
		s.Guest = ""
	case Carried:
		s = Seat(e)
	}
	return s
}

// Counter counts; each command adds steps of one.
type Counter struct{ N int }

// Add is a command, Added an event.
type (
	Add   struct{ N int }
	Added struct {
		To int `json:"to"`
	}
)

func (Added) EventType() string { return "counter.added" }

func (c Counter) Decide(command any) ([]any, error) {
	var events []any
	for i := range command.(Add).N {
		events = append(events, Added{c.N + i + 1})
	}
	return events, nil
}

func (c Counter) Evolve(event any) Counter {
	if to := event.(Added).To; to == c.N+1 {
		c.N = to
	} else {
		c.N = -1 // an update was lost
	}
	return c
}

// Shelf takes in what is put on it; a command is how many at once. It remembers how the last one was numbered.
type Shelf struct{ Last int }

// Put and ShelfCarried are events.
type (
	Put struct {
		At int `json:"at"`
	}
	ShelfCarried struct {
		Last int `json:"last"`
	}
)

func (Put) EventType() string          { return "shelf.put" }
func (ShelfCarried) EventType() string { return "shelf.carried" }

func (s Shelf) Decide(command any) ([]any, error) {
	var events []any
	for i := range command.(int) {
		events = append(events, Put{s.Last + i + 1})
	}
	return events, nil
}

func (s Shelf) Evolve(event any) Shelf {
	switch e := event.(type) {
	case Put:
		s.Last = e.At
	case ShelfCarried:
		s = Shelf(e)
	}
	return s
}

// Carry returns the event that carries the shelf.
func (s Shelf) Carry() any { return ShelfCarried(s) }
