// SPDX-License-Identifier: Apache-2.0

// Package timer wakes you then: in a minute or in a month, whatever crashes meanwhile.
//
// A timer is a record in the journal with a key, a due time and a payload. [Set] and [Cancel] return writes for any
// [journal.Unit], so a timer is set together with the events that ask for it, or not at all.
//
// [Timers.Run] fires what is due, at least once: an answer can be lost, a process can die between the effect and its
// note. To have an effect in the journal exactly once, put it and the timer's completion into one unit, with
// [Fired.Complete]. Timers whose handler fails are tried again, later and later. Those that fell due while nobody ran
// fire at once, the earliest first.
//
// Each key belongs to one of 256 lanes, see [Route]. The timers of a lane fire one after another in the order of their
// due times; lanes do not wait for each other.
package timer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"example.com/vidimus/journal"
)

// Kind is the kind of the records that timers are.
const Kind = "timer"

// Limits.
const (
	// MaxKey is how long a timer's key may be, in bytes.
	MaxKey = journal.MaxName - 3
	// Lanes is how many lanes the keys are spread over. It is part of the stored form and never changes.
	Lanes = 256
)

// Set returns the write that sets a timer, or moves it: of one key there is one timer. A due time in the past, the
// zero time too, is due at once. Put an expectation into the write to decide what may be replaced: journal.None sets a
// timer only if there is none.
//
// The unit is refused with [journal.ErrInvalid] when the key is empty, longer than [MaxKey] or not printable, when the
// due time is after the year 9999, or when the payload is larger than about [journal.MaxData]. A timer that is set or
// moved while it fires, fires again.
func Set(key string, due time.Time, payload []byte) journal.RecordWrite {
	if due.Before(time.Unix(0, 0)) {
		due = time.Unix(0, 0) // the zero time would be never
	}
	h := header{Due: due.UTC()}
	if due.Year() > 9999 {
		h.Due = time.Time{} // the journal refuses the write
	}
	return journal.RecordWrite{
		Kind: Kind, Key: recordKey(key), Expect: journal.Any, Due: due, Value: encode(h, payload),
	}
}

// Cancel returns the write that cancels a timer. Cancelling one that does not exist is fine. A timer that is firing
// goes on, but cannot be completed with [Fired.Complete] any more.
func Cancel(key string) journal.RecordWrite {
	// Not deleted, for versions of a record start anew after that, and a completion under way might hit the next timer
	// of the key. Run clears the record away.
	at := time.Unix(0, 0)
	return journal.RecordWrite{
		Kind: Kind, Key: recordKey(key), Expect: journal.Any, Due: at, Value: encode(header{Cancelled: true}, nil),
	}
}

// Pending is a timer that has not fired, or not with success.
type Pending struct {
	Key string
	// Due is when it was asked to fire.
	Due time.Time
	// Next is when it will be tried, which is later than Due after a failure.
	Next    time.Time
	Payload []byte
	// Version is the version of its record; it rises with everything that happens to the timer.
	Version journal.Version
	// Attempts is how often it was tried in vain, and Problem what the last try came to.
	Attempts int
	Problem  string
}

// header is the first line of a record's value, in JSON; the payload follows as it is.
type header struct {
	Due       time.Time `json:"due,omitzero"`
	Cancelled bool      `json:"cancelled,omitempty"`
	Attempts  int       `json:"attempts,omitempty"`
	Problem   string    `json:"problem,omitempty"`
}

func encode(h header, payload []byte) []byte {
	line, err := json.Marshal(h)
	if err != nil {
		panic(fmt.Sprintf("timer: encode %+v: %v", h, err)) // the times that get here marshal
	}
	return append(append(line, '\n'), payload...)
}

func decode(r journal.Record) (Pending, bool, error) {
	line, payload, ok := bytes.Cut(r.Value, []byte{'\n'})
	var h header
	if err := json.Unmarshal(line, &h); err != nil || !ok || len(r.Key) < 3 {
		return Pending{}, false, fmt.Errorf("timer record %q is damaged: %q", r.Key, line)
	}
	return Pending{
		Key: r.Key[3:], Due: h.Due, Next: r.Due, Payload: payload, Version: r.Version,
		Attempts: h.Attempts, Problem: h.Problem,
	}, h.Cancelled, nil
}

// Route returns the part of a key that decides its lane: in "flow/order-7#reminder" it is "order-7", what stands behind
// the first '/' and before the first '#' after that. So the timers of one thing fire in order, and where that thing is
// owned. A key without these signs routes by the whole of it.
func Route(key string) string {
	if _, rest, ok := strings.Cut(key, "/"); ok {
		key = rest
	}
	route, _, _ := strings.Cut(key, "#")
	return route
}

// lane returns the lane of a key: FNV-1a, 64 bits, of its route, modulo Lanes.
func lane(key string) int {
	h := fnv.New64a()
	_, _ = h.Write([]byte(Route(key))) // never fails
	return int(h.Sum64() % Lanes)
}

// recordKey returns the key of a timer's record, or one that the journal refuses as missing.
func recordKey(key string) string {
	if key == "" {
		return ""
	}
	return lanePrefix(lane(key)) + key
}

func lanePrefix(lane int) string { return fmt.Sprintf("%02x/", lane) }
