// SPDX-License-Identifier: Apache-2.0

// How fresh a reader must be, how stale an answer may be, and what a response changed.

package header

import (
	"math"
	"net/http"
	"strconv"
	"time"
)

// Mode is how fresh the state must be that a request is decided on.
type Mode string

// The modes. An empty Mode is MinimizeLatency.
const (
	// MinimizeLatency: what the verifier knows will do.
	MinimizeLatency Mode = "minimize-latency"
	// AtLeastAsFresh: everything up to Vidimus-Position must have been seen.
	AtLeastAsFresh Mode = "at-least-as-fresh"
	// Exact: the state must be that of Vidimus-Position, neither older nor newer.
	Exact Mode = "exact"
	// FullyConsistent: everything acknowledged before the request must have been seen.
	FullyConsistent Mode = "fully-consistent"
)

// Consistency is the header Vidimus-Consistency of a request.
type Consistency struct {
	Mode Mode
	// MaxStale bounds the staleness that the request puts up with, in whole milliseconds; 0 for what the route allows.
	MaxStale time.Duration
}

// GetConsistency returns the header Vidimus-Consistency, or the zero Consistency if there is none. It returns an
// [Error] for a header that is malformed or there twice.
func GetConsistency(h http.Header) (Consistency, error) {
	value, err := single(h, ConsistencyField)
	if value == "" {
		return Consistency{}, err
	}
	return ParseConsistency(value)
}

// ParseConsistency reads the value of Vidimus-Consistency. It returns an [Error].
func ParseConsistency(s string) (Consistency, error) {
	f := field{name: ConsistencyField, text: s}
	c := Consistency{Mode: Mode(f.token())}
	switch c.Mode {
	case MinimizeLatency, AtLeastAsFresh, Exact, FullyConsistent:
	default:
		f.fail("begins with no mode; use minimize-latency, at-least-as-fresh, exact or fully-consistent")
	}
	for f.parameter() {
		switch f.key {
		case "max-staleness":
			ms := f.integer()
			if ms < 1 {
				f.fail("has a max-staleness below 1 ms; use fully-consistent instead")
			}
			c.MaxStale = time.Duration(min(ms, int64(math.MaxInt64/time.Millisecond))) * time.Millisecond
		default:
			f.unknown()
		}
	}
	if f.err != nil {
		return Consistency{}, f.err
	}
	return c, nil
}

// String returns the value of the header.
func (c Consistency) String() string {
	mode := c.Mode
	if mode == "" {
		mode = MinimizeLatency
	}
	if c.MaxStale <= 0 {
		return string(mode)
	}
	return string(mode) + ";max-staleness=" + strconv.FormatInt(max(1, c.MaxStale.Milliseconds()), 10)
}

// Staleness is the header Vidimus-Staleness of a response: the bound under which the decision was made.
type Staleness struct {
	// Known says that Age is a bound. Otherwise nobody knows what was missed.
	Known bool
	// Age is how long ago everything was known, at most; in whole milliseconds, rounded up.
	Age time.Duration
	// Mark is how far the log was known; the zero Mark if that is not known either.
	Mark Mark
	// ReadOnly says that the state was too old for writes, which are refused.
	ReadOnly bool
}

// GetStaleness returns the header Vidimus-Staleness. ok is false if there is none. It returns an [Error] for a header
// that is malformed or there twice.
func GetStaleness(h http.Header) (s Staleness, ok bool, err error) {
	value, err := single(h, StalenessField)
	if value == "" {
		return Staleness{}, false, err
	}
	s, err = ParseStaleness(value)
	return s, err == nil, err
}

// ParseStaleness reads the value of Vidimus-Staleness: milliseconds or the word unknown, with the parameters pos and
// read-only. It returns an [Error].
func ParseStaleness(s string) (Staleness, error) {
	f := field{name: StalenessField, text: s}
	var st Staleness
	if f.peek() == 'u' {
		if f.token() != "unknown" {
			f.fail("is neither milliseconds nor unknown")
		}
	} else {
		ms := f.integer()
		if ms < 0 || ms > int64(math.MaxInt64/time.Millisecond) {
			f.fail("has milliseconds out of range")
		}
		st.Known, st.Age = true, time.Duration(ms)*time.Millisecond
	}
	for f.parameter() {
		switch f.key {
		case "pos":
			st.Mark = f.mark()
		case "read-only":
			st.ReadOnly = f.flag()
		default:
			f.unknown()
		}
	}
	if f.err != nil {
		return Staleness{}, f.err
	}
	return st, nil
}

// String returns the value of the header.
func (s Staleness) String() string {
	text := make([]byte, 0, 64)
	if s.Known {
		age := max(s.Age, 0)
		ms := age.Milliseconds()
		if age%time.Millisecond > 0 {
			ms++
		}
		text = strconv.AppendInt(text, ms, 10)
	} else {
		text = append(text, "unknown"...)
	}
	if s.Mark != (Mark{}) {
		text = append(append(append(text, `;pos="`...), s.Mark.String()...), '"')
	}
	if s.ReadOnly {
		text = append(text, ";read-only"...)
	}
	return string(text)
}

// SetStaleness writes the header Vidimus-Staleness.
func SetStaleness(h http.Header, s Staleness) { h.Set(StalenessField, s.String()) }

// Effect is the header Vidimus-Effect of a response, from a service back to the edge: the request changed the state
// that its passport is a copy of. Who answers with one gets no passport of an older state from that edge again.
type Effect struct {
	// Mark is where the change stands in the log.
	Mark Mark
	// Version is that of the session or subject after the change; 0 if it is not known.
	Version int64
}

// GetEffect returns the header Vidimus-Effect. ok is false if there is none. It returns an [Error] for a header that
// is malformed or there twice.
func GetEffect(h http.Header) (e Effect, ok bool, err error) {
	value, err := single(h, EffectField)
	if value == "" {
		return Effect{}, false, err
	}
	e, err = ParseEffect(value)
	return e, err == nil, err
}

// ParseEffect reads the value of Vidimus-Effect: a dictionary with the one member pos and its parameter ver. It
// returns an [Error].
func ParseEffect(s string) (Effect, error) {
	f := field{name: EffectField, text: s}
	if f.name1() != "pos" || f.peek() != '=' {
		f.fail(`does not begin with pos="log.epoch:position"`)
	}
	f.skip()
	e := Effect{Mark: f.mark()}
	for f.parameter() {
		switch f.key {
		case "ver":
			if e.Version = f.integer(); e.Version < 1 {
				f.fail("has a version below 1; leave it out if it is not known")
			}
		default:
			f.unknown()
		}
	}
	if f.err != nil {
		return Effect{}, f.err
	}
	return e, nil
}

// String returns the value of the header.
func (e Effect) String() string {
	text := `pos="` + e.Mark.String() + `"`
	if e.Version > 0 {
		text += ";ver=" + strconv.FormatInt(e.Version, 10)
	}
	return text
}

// SetEffect says on the response to a request that it changed the state of its passport's session or subject: call it
// with the mark that the authority answered the change with, before the response is written. It also moves the
// response's Vidimus-Position to the change, unless that is further already: so a client that sends the position back
// reads what it wrote, whatever stands between it and the service.
func SetEffect(h http.Header, e Effect) {
	h.Set(EffectField, e.String())
	if at, err := GetPosition(h); e.Mark.Valid() && (err != nil || !at.Reaches(e.Mark)) {
		SetPosition(h, e.Mark)
	}
}
