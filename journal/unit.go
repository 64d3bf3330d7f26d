// SPDX-License-Identifier: Apache-2.0

// Units: what is written together or not at all.

package journal

import (
	"fmt"
	"time"
)

// Expect is what a stream, or a record, must be at for a write to happen: exactly some version, or one of [Any],
// [None] and [Exists]. The zero value is [None].
type Expect int64

const (
	// None expects a stream without events, or a record that does not exist.
	None Expect = 0
	// Any expects nothing.
	Any Expect = -1
	// Exists expects at least one event, or a record that exists.
	Exists Expect = -2
)

// Exactly expects version v. Exactly(0) is [None].
func Exactly(v Version) Expect { return Expect(v) }

// Holds reports whether a stream or record at version v is what is expected.
func (e Expect) Holds(v Version) bool {
	return e == Any || e == Exists && v > 0 || e == Expect(v)
}

// String returns "any", "none", "exists" or the version.
func (e Expect) String() string {
	switch e {
	case Any:
		return "any"
	case None:
		return "none"
	case Exists:
		return "exists"
	}
	return fmt.Sprintf("version %d", int64(e))
}

// Unit is written whole or not at all, durably, in one place of the order. Its checks and its writes are one step:
// nothing comes between them.
type Unit struct {
	// Fences name the leases under which the unit is written.
	Fences []Fence
	// Appends are the streams to append to or to check, each at most once.
	Appends []Append
	// Conditions are what must not have happened.
	Conditions []Condition
	// Records are the records to write or to check, each at most once.
	Records []RecordWrite
}

// Append appends events to a stream. Without events it only checks the expectation.
type Append struct {
	Stream Stream
	Expect Expect
	Events []EventData
}

// Fence demands that a lease still is at an epoch. It is checked in the transaction of the write.
type Fence struct {
	Lease string
	Epoch Epoch
}

// Condition demands that no event after a position matches a filter: the append condition of a
// dynamic consistency boundary (https://dcb.events).
type Condition struct {
	After  Position
	Filter Filter
}

// RecordOp is what a [RecordWrite] does.
type RecordOp int

const (
	// Put stores the record's value and due time and raises its version by one.
	Put RecordOp = iota
	// Delete removes the record. A record made again later starts at version 1.
	Delete
	// Check only checks the expectation.
	Check
)

// Kinds of records with a meaning to the journal itself.
const (
	// KindLease holds leases: the version of such a record is the epoch that a [Fence] names. After [Log.Renew] these
	// versions go on above all that the lost history can have reached: an epoch handed out there is never accepted.
	KindLease = "lease"
	// KindCheckpoint holds how far consumers have read.
	KindCheckpoint = "checkpoint"
)

// Record is a small piece of keyed state that lives beside the events: a lease, a timer, a checkpoint.
type Record struct {
	Kind    string
	Key     string
	Version Version
	// Due is when the record wants attention, to the microsecond; zero is never. See [Log.Records].
	Due   time.Time
	Value []byte
}

// RecordWrite writes or checks one record.
type RecordWrite struct {
	Op     RecordOp
	Kind   string
	Key    string
	Expect Expect
	Due    time.Time
	Value  []byte
}

// Result says where a unit stands.
type Result struct {
	// Duplicate: the unit was committed before, and this is its first result (without Records).
	Duplicate bool
	// Position is that of the unit's last event, or 0 when it has none.
	Position Position
	// Versions are those of the streams after the unit, one for each of Unit.Appends.
	Versions []Version
	// Records are the versions of the records after the unit, one for each of Unit.Records; 0 for a deleted one.
	Records []Version
}
