// SPDX-License-Identifier: Apache-2.0

// Package presence knows which sessions are alive, from beats that cost nearly nothing.
//
// Every request of a session is a beat. An edge notes beats in a [Batcher], which sends each session at most once a
// second, in batches. The [Owner] keeps the time of the last beat of every session in memory, in about 50 bytes, and
// calls [Config.Expire] with those that were silent for longer than their idle limit. Beats never touch the journal;
// what Expire writes there does.
//
// # What an owner promises
//
// Nobody expires early: not before the whole idle limit has passed since the last beat that reached the owner, or
// since [Owner.Track]. Detection takes the idle limit, rounded up to a tick, plus at most one tick, plus the time the
// beat was under way. Whatever else could take beats away from sessions that live delays expiry instead:
//
//   - An owner that has just started expires nobody for [Config.Grace].
//   - An owner that was stopped, or starved so that a tick came late by more than [Config.Stall], expires nobody for as
//     long as it was late plus one [Config.Interval], so that beats which waited for it are heard first.
//   - When more than [Config.HoldShare] of all sessions would expire within one Interval, it is not the people who
//     left, as far as can be told: expiry is held, and [Config.Held] is told.
//   - When Expire fails, the same sessions are tried again, and those that were heard meanwhile stay.
//
// Time is counted on the owner's monotonic clock alone; edges send ages, not times. Time during which no owner ran
// counts for nobody. By itself that would let a session live for ever where owners restart often, so [Config.Save] and
// [Owner.ReadFrom] carry the silence of quiet sessions over a restart; and the absolute limit of a session, which is
// not presence's matter, ends it in any case.
//
// One owner serves one term of a lease: Expire is given what proves the term, such as a fencing epoch, by whoever
// writes it.
//
// # How a hold ends
//
// A hold is there for an outage that takes the beats of many away: of an edge, or of the network before the owner. It
// ends in one of three ways.
//
//   - Those who were held are heard again: all of them, or most, and no more than HoldShare are left.
//   - Others are heard as usual: beats have come for all of [Config.HoldFor] without a break of two Intervals, and from
//     HoldShare of all sessions, as many as would make a hold if they fell silent. Then those go who were due for that
//     long; whoever fell due later is held as long. An outage of some edges beside others that work looks like people
//     who left, so one that lasts longer than the idle limit and HoldFor signs its people out.
//   - A person calls [Owner.Release].
//
// While nobody is heard, nothing but a person ends a hold: from here, an outage of everything and an empty house look
// alike.
package presence

import (
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"example.com/vidimus/heartbeat"
)

// What the package defaults to, and where it stops.
const (
	DefaultTick      = time.Second
	DefaultInterval  = 30 * time.Second // between the beats of a tab
	DefaultStall     = 2 * time.Second
	DefaultHoldShare = 0.2
	DefaultHoldMin   = 100
	DefaultHoldFor   = time.Hour
	DefaultBatch     = 256 // sessions in one call of Expire
	DefaultLimit     = 4_000_000

	MaxBatch = 10_000               // beats in one batch
	MaxIdle  = 366 * 24 * time.Hour // of a session
)

var (
	// ErrFull says that the owner tracks as many sessions as it may.
	ErrFull = errors.New("presence: too many sessions")
	// ErrStopped says that the owner's Run has ended: whoever owns presence now takes the beats.
	ErrStopped = errors.New("presence: the owner has stopped")
)

// InvalidError says what is wrong with a setting or an argument, and how to mend it.
type InvalidError = heartbeat.InvalidError

func invalid(field, format string, args ...any) error {
	return &InvalidError{Field: field, Problem: fmt.Sprintf(format, args...)}
}

// ID is a session's id: 16 random bytes, written as 22 characters of base64url.
type ID [16]byte

// ParseID reads an id of 22 characters. There is one spelling of an id; any other is refused with an [*InvalidError].
func ParseID(text string) (ID, error) {
	var id ID
	if len(text) != 22 {
		return ID{}, invalid("id", "has %d characters; a session's id has 22", len(text))
	}
	// The decoder skips line breaks even when it is strict; then it has less than 16 bytes.
	if n, err := base64.RawURLEncoding.Strict().Decode(id[:], []byte(text)); err != nil || n != len(id) {
		return ID{}, invalid("id", "is not base64url without padding")
	}
	return id, nil
}

// String returns the id as 22 characters.
func (id ID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// Beat says that a session was heard.
type Beat struct {
	ID ID
	// Age is how long ago, on the clock of whoever heard it.
	Age time.Duration
}

// Expired is a session that was silent for longer than its idle limit.
type Expired struct {
	ID ID
	// Since is when it was last heard, to the tick. It is for people; nothing is decided by it.
	Since time.Time
}
