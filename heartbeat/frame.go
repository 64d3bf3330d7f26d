// SPDX-License-Identifier: Apache-2.0

// The words of the feed: changes, frames, heads, and what is wrong with them.

package heartbeat

import (
	"errors"
	"fmt"

	"example.com/vidimus/passport"
)

// Limits of a frame.
const (
	// MaxChanges is how many changes a frame has at most. What happened at once and is more becomes one change of the
	// scope [All].
	MaxChanges = 1000
	// MaxKey is the longest key of a change, in bytes.
	MaxKey = 255
	// maxPosition is the last position that a frame may reach, and a passport name: what every reader of JSON keeps
	// exactly. So counting on from a position never overflows.
	maxPosition = 1<<53 - 1
)

// Scope is what a change is about.
type Scope string

// The scopes, from the narrowest to the widest. A scope that is none of these comes from a later release and counts as
// [All], with the effect [Superseded]: the authority then says what is still good.
const (
	Token   Scope = "token"   // Key is the passport's txn
	Session Scope = "session" // Key is its sid
	Subject Scope = "subject" // Key is passport.SubjectKey(tenant, sub)
	Tenant  Scope = "tenant"  // Key is its tenant
	Key     Scope = "key"     // Key is the kid it was signed with; Revoked refuses it at every position, for ever
	All     Scope = "all"     // Key is empty
)

// Effect is what a change does to passports minted before it.
type Effect string

// The effects. One that is neither comes from a later release and counts as [Superseded].
const (
	Superseded Effect = "superseded" // a new passport will do
	Revoked    Effect = "revoked"    // no new passport will be minted
)

// Change says that passports in a scope which were minted at a lower position are no longer good.
type Change struct {
	Position int64  `json:"pos"`
	Scope    Scope  `json:"scope"`
	Key      string `json:"key,omitempty"`
	Effect   Effect `json:"effect"`
}

// Frame is one message of the feed: every change after After and up to Through, in the order of the log. A verifier
// that has applied less than After has a gap, and its staleness is unknown until that is filled. Frames share the
// memory of their changes: do not write to it.
type Frame struct {
	Log     string   `json:"log"`
	Epoch   int64    `json:"ep"`
	After   int64    `json:"after"`
	Through int64    `json:"through"`
	Changes []Change `json:"changes,omitempty"`
	// Snapshot says that what the reader knew does not reach After: it begins anew there, and every passport minted
	// before After counts as superseded. The frames behind it go on from it.
	Snapshot bool `json:"snapshot,omitempty"`
}

// Head answers a ping: everything acknowledged before the ping arrived stands at or below it.
type Head = passport.Mark

var (
	// ErrInvalid matches every [InvalidError].
	ErrInvalid = errors.New("invalid")
	// ErrGap: a frame does not begin where the frames before it end, or is of another log. Ask again behind
	// [View.Through].
	ErrGap = errors.New("gap in the feed")
	// ErrRewound: the authority's log is of an earlier epoch than the one that was followed, or ends before what was known
	// of it. The authority was deposed, or its journal was restored and not renewed, or its database fell back to a
	// replica that was behind. Renew the journal.
	ErrRewound = errors.New("log was rewound")
)

// InvalidError says which field breaks a rule, and what would be right.
type InvalidError struct {
	Field   string
	Problem string
}

func (e *InvalidError) Error() string { return "invalid " + e.Field + ": " + e.Problem }

// Is reports whether target is [ErrInvalid].
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

func invalid(field, format string, args ...any) error {
	return &InvalidError{Field: field, Problem: fmt.Sprintf(format, args...)}
}

// Mark is the place that a verifier has reached which has applied the frame.
func (f *Frame) Mark() passport.Mark {
	return passport.Mark{Log: f.Log, Epoch: f.Epoch, Position: f.Through}
}

// Validate returns an [InvalidError] if the frame breaks a rule: it is of no log, goes backwards or too far, or has
// changes that are too many, out of order, or outside of it.
func (f *Frame) Validate() error {
	switch {
	case !f.Mark().Valid():
		return noPlace("frame", f.Mark())
	case f.Through > maxPosition:
		return invalid("through", "is %d; positions end at %d", f.Through, int64(maxPosition))
	case f.After < 0 || f.After > f.Through:
		return invalid("after", "is %d; it lies between 0 and through, %d", f.After, f.Through)
	case len(f.Changes) > MaxChanges:
		return invalid("changes", "are %d; a frame has %d at most", len(f.Changes), MaxChanges)
	}
	last := f.After + 1
	for i := range f.Changes {
		c := &f.Changes[i]
		if c.Position < last || c.Position > f.Through {
			return invalid("changes", "has position %d at index %d; it lies between %d and %d", c.Position, i, last, f.Through)
		}
		if err := c.Validate(); err != nil {
			return fmt.Errorf("changes[%d]: %w", i, err)
		}
		last = c.Position
	}
	return nil
}

// noPlace refuses a mark that is none.
func noPlace(field string, m passport.Mark) error {
	return invalid(field, "is of log %.80q, epoch %d, position %d, which is no place in a log", m.Log, m.Epoch, m.Position)
}

// Validate returns an [InvalidError] if the change breaks a rule: it has no scope or effect, or its key does not fit
// its scope. Names of a later release are fine.
func (c *Change) Validate() error {
	const maxWord = 32
	switch {
	case c.Position < 1:
		return invalid("pos", "is %d; positions begin at 1", c.Position)
	case c.Scope == "" || len(c.Scope) > maxWord:
		return invalid("scope", `is %.40q; use "session" or another of the scopes`, c.Scope)
	case c.Effect == "" || len(c.Effect) > maxWord:
		return invalid("effect", `is %.40q; use "superseded" or "revoked"`, c.Effect)
	case len(c.Key) > MaxKey:
		return invalid("key", "has %d bytes; %d are allowed", len(c.Key), MaxKey)
	case c.Scope == All && c.Key != "":
		return invalid("key", "is %.40q; the scope all has none", c.Key)
	case c.Key == "" && (c.Scope == Token || c.Scope == Session || c.Scope == Subject || c.Scope == Key):
		return invalid("key", "is empty; name the %s", c.Scope)
	}
	return nil
}
