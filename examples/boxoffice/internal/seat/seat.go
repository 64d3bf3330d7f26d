// SPDX-License-Identifier: Apache-2.0

// Package seat decides who may hold and who may buy a seat. It knows nothing of journals, sessions or HTTP: there is a
// state, the commands it takes, and the events that follow.
package seat

import (
	"errors"
	"fmt"
	"time"
)

// HoldFor is how long a seat is held for somebody who has not paid yet.
const HoldFor = 3 * time.Minute

// What a seat refuses a command for.
var (
	ErrSold    = errors.New("the seat is sold")
	ErrHeld    = errors.New("somebody else holds the seat")
	ErrNotHeld = errors.New("you do not hold the seat; hold it first")
)

// Seat is the state of one seat. The zero value is free.
type Seat struct {
	Holder string    // who holds it, until Until
	Until  time.Time // when the hold ends
	Buyer  string    // who bought it; it stays theirs
	Price  Cents     // what they paid
}

// Hold asks to keep the seat for somebody for a while. Somebody who holds it already holds it anew.
type Hold struct {
	By string
	At time.Time // when they asked
}

// Release asks to give a held seat back.
type Release struct{ By string }

// Sell asks to hand a held seat to its holder for good.
type Sell struct {
	By    string
	At    time.Time
	Price Cents
}

// Held happened: the seat is kept for somebody.
type Held struct {
	By    string    `json:"by"`
	Until time.Time `json:"until"`
}

// EventType is the stored name.
func (Held) EventType() string { return "seat.held" }

// Released happened: the seat was given back.
type Released struct {
	By string `json:"by"`
}

// EventType is the stored name.
func (Released) EventType() string { return "seat.released" }

// Sold happened: the seat belongs to somebody.
type Sold struct {
	By    string `json:"by"`
	Price Cents  `json:"price"`
}

// EventType is the stored name.
func (Sold) EventType() string { return "seat.sold" }

// Carried is no more than the state: a seat that is held again and again has a long history, and nobody has to read all
// of it.
type Carried struct {
	Holder string    `json:"holder,omitempty"`
	Until  time.Time `json:"until,omitzero"`
	Buyer  string    `json:"buyer,omitempty"`
	Price  Cents     `json:"price,omitempty"`
}

// EventType is the stored name.
func (Carried) EventType() string { return "seat.carried" }

// Carry returns the event that carries the seat.
func (s Seat) Carry() any { return Carried(s) }

// HeldAt says who holds the seat at a moment, or nobody.
func (s Seat) HeldAt(now time.Time) string {
	if s.Buyer == "" && now.Before(s.Until) {
		return s.Holder
	}
	return ""
}

// Decide answers a command with what happens, or refuses it with [ErrSold], [ErrHeld] or [ErrNotHeld].
func (s Seat) Decide(command any) ([]any, error) {
	if s.Buyer != "" {
		return nil, ErrSold
	}
	switch c := command.(type) {
	case Hold:
		if by := s.HeldAt(c.At); by != "" && by != c.By {
			return nil, ErrHeld
		}
		return []any{Held{By: c.By, Until: c.At.Add(HoldFor)}}, nil
	case Release:
		if s.Holder != c.By {
			return nil, ErrNotHeld
		}
		return []any{Released(c)}, nil
	case Sell:
		if s.HeldAt(c.At) != c.By {
			return nil, ErrNotHeld
		}
		return []any{Sold{By: c.By, Price: c.Price}}, nil
	}
	return nil, fmt.Errorf("a seat knows no command %T", command)
}

// Evolve returns the state after an event.
func (s Seat) Evolve(event any) Seat {
	switch e := event.(type) {
	case Held:
		return Seat{Holder: e.By, Until: e.Until}
	case Released:
		return Seat{}
	case Sold:
		return Seat{Buyer: e.By, Price: e.Price}
	case Carried:
		return Seat(e)
	}
	return s
}
