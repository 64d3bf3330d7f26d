// SPDX-License-Identifier: Apache-2.0

// Events and the words that name them.

package journal

import (
	"strings"
	"time"

	"example.com/vidimus/internal/ids"
)

// Position is an event's place in its journal: commit-ordered and never reused. Numbers may be left out.
// The first event has position 1 or more; 0 stands before every event.
type Position int64

// Version counts the events of one stream 1, 2, 3 without a gap; 0 is a stream without events.
// A record counts its writes in the same way.
type Version int64

// Epoch is the version of a lease: whoever writes under an older one is refused.
type Epoch int64

// Stream names a series of events that are versioned together, as category-key: "order-42", "seat-A12".
// Its category is the part before the first '-'. Names are UTF-8 without control characters, up to 255 bytes,
// compared byte by byte. A name outlives the data of its events, so it must not hold personal data.
type Stream string

// Category returns the part of the name before the first '-', or all of it when there is none.
func (s Stream) Category() string {
	category, _, _ := strings.Cut(string(s), "-")
	return category
}

// ID identifies an event for ever. It is chosen by the caller before the first try, so that a retry can be
// recognised. UUIDv7 (RFC 9562) as made by [NewID] is cheapest to recognise; any 16 bytes will do.
type ID [16]byte

// NewID returns a new UUIDv7.
func NewID() ID { return ids.New() }

// ParseID reads the canonical text form of a UUID.
func ParseID(s string) (ID, error) {
	id, err := ids.Parse(s)
	if err != nil {
		return ID{}, invalid("id", "%q is no UUID; write it as 0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", s)
	}
	return id, nil
}

// String returns the canonical text form.
func (id ID) String() string { return ids.Format(id) }

// MarshalText implements [encoding.TextMarshaler].
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. It accepts what [ParseID] accepts.
func (id *ID) UnmarshalText(text []byte) (err error) {
	*id, err = ParseID(string(text))
	return err
}

// EventData is what the caller says of an event: everything but its place.
type EventData struct {
	// ID identifies the event. [Log.Commit] refuses the zero ID: a retry could not be recognised.
	// [Log.Append] fills it in, for callers that do not retry across processes.
	ID ID
	// Type is the stored name of what happened, such as "order.placed"; never the name of a Go type.
	Type string
	// Schema is the version of the data's schema, 1 and up; 0 is stored as 1.
	Schema int
	// Time says when it happened, to the microsecond. Zero means now, by this node's clock. It is no order.
	Time time.Time
	// Data is the payload: bytes to the journal, JSON by convention.
	Data []byte
	// Meta is what goes along: a JSON object by convention, with the keys traceparent, correlation, causation,
	// actor and tenant; and said, by which an entity knows a command again that is repeated.
	Meta []byte
	// Tags name what the event is about across streams, such as "course:c1", for filters and conditions.
	Tags []string
}

// Event is something that happened, at its place in the journal.
type Event struct {
	EventData
	Position Position
	Stream   Stream
	Version  Version
}
