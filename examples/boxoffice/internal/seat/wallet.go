// SPDX-License-Identifier: Apache-2.0

// What somebody has spent, and the limit that no purchase may pass.

package seat

import (
	"errors"
	"fmt"
)

// ErrLimit: the purchase would pass the account's spending limit.
var ErrLimit = errors.New("over the spending limit")

// Cents is an amount of money.
type Cents int64

// String writes the amount for people, such as "45.00".
func (c Cents) String() string {
	sign := ""
	if c < 0 {
		sign, c = "-", -c
	}
	return fmt.Sprintf("%s%d.%02d", sign, c/100, c%100)
}

// Wallet is what one account has spent. The zero value has spent nothing.
type Wallet struct {
	Spent   Cents
	Tickets int
}

// Pay asks to spend an amount on a seat, within the limit that the account has.
type Pay struct {
	Seat         string
	Price, Limit Cents
}

// Paid happened: an amount was spent on a seat.
type Paid struct {
	Seat  string `json:"seat"`
	Price Cents  `json:"price"`
}

// EventType is the stored name.
func (Paid) EventType() string { return "wallet.paid" }

// WalletCarried is no more than the state, as [Carried] is that of a seat.
type WalletCarried struct {
	Spent   Cents `json:"spent"`
	Tickets int   `json:"tickets"`
}

// EventType is the stored name.
func (WalletCarried) EventType() string { return "wallet.carried" }

// Carry returns the event that carries the wallet.
func (w Wallet) Carry() any { return WalletCarried(w) }

// Decide answers a command with what happens, or refuses it with [ErrLimit].
func (w Wallet) Decide(command any) ([]any, error) {
	c, ok := command.(Pay)
	if !ok {
		return nil, fmt.Errorf("a wallet knows no command %T", command)
	}
	if c.Price > c.Limit-w.Spent {
		return nil, fmt.Errorf("%w: %v is left of %v, and the seat costs %v", ErrLimit, max(c.Limit-w.Spent, 0), c.Limit,
			c.Price)
	}
	return []any{Paid{Seat: c.Seat, Price: c.Price}}, nil
}

// Evolve returns the state after an event.
func (w Wallet) Evolve(event any) Wallet {
	switch e := event.(type) {
	case Paid:
		return Wallet{Spent: w.Spent + e.Price, Tickets: w.Tickets + 1}
	case WalletCarried:
		return Wallet(e)
	}
	return w
}
