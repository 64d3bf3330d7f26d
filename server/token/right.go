// SPDX-License-Identifier: Apache-2.0

// Rights: a verb and a pattern of names.

package token

import (
	"fmt"
	"strings"

	"example.com/vidimus/journal"
)

// Verb is what a right allows.
type Verb string

// The verbs, and what their pattern is matched with.
const (
	// Read reads events of the streams of a category.
	Read Verb = "read"
	// Append appends events to the streams of a category.
	Append Verb = "append"
	// Record reads and writes the application's own records of a kind; see [Reserved].
	Record Verb = "record"
	// Lease acquires leases, by name. Those that share a cell's work between its nodes (shard/... and presence) take
	// Admin.
	Lease Verb = "lease"
	// Consumer reads and writes the checkpoints of consumers, by name.
	Consumer Verb = "consumer"
	// Session starts, reads, changes and ends the sessions of a tenant's subjects, and revokes them.
	Session Verb = "session"
	// Passport exchanges handles for passports of an audience, introspects them, and revokes single ones.
	Passport Verb = "passport"
	// Feed follows the feed of changes, pings, and sends beats. It has no pattern: who checks passports must know all.
	Feed Verb = "feed"
	// Admin does everything, on every name.
	Admin Verb = "admin"
)

// Right allows a verb on names: "read:order", "append:order*" for all that begin with order, "read:*", "session:acme",
// "feed", "admin".
type Right struct {
	Verb Verb
	// Pattern is a name, or the beginning of names followed by '*'. It is empty for [Feed] and
	// [Admin].
	Pattern string
}

// ParseRight reads a right. It returns a [journal.InvalidError].
func ParseRight(text string) (Right, error) {
	verb, pattern, _ := strings.Cut(text, ":")
	r := Right{Verb: Verb(verb), Pattern: pattern}
	if err := r.validate(); err != nil {
		return Right{}, err
	}
	if r.String() != text {
		return Right{}, invalidRight("%q has an empty pattern; write %s alone", text, verb)
	}
	return r, nil
}

func invalidRight(format string, args ...any) error {
	return &journal.InvalidError{Field: "rights", Problem: fmt.Sprintf(format, args...)}
}

func (r Right) validate() error {
	switch r.Verb {
	case Admin:
		if r.Pattern != "" {
			return invalidRight("%q cannot be narrowed; write admin alone, or use one of the other verbs", r)
		}
		return nil
	case Feed:
		if r.Pattern != "" {
			return invalidRight("%q cannot be narrowed, because who checks passports must know of all changes; write feed", r)
		}
		return nil
	case Read, Append, Record, Lease, Consumer, Session, Passport:
	default:
		return invalidRight("%q begins with no known verb; write read:order, append:order, record:kind, lease:name, "+
			"consumer:name, session:tenant, passport:audience, feed or admin", r)
	}
	return r.validatePattern()
}

func (r Right) validatePattern() error {
	name := strings.TrimSuffix(r.Pattern, "*")
	switch {
	case r.Pattern == "":
		return invalidRight("%q names nothing; write %s:name for one name, %[2]s:* for all", r, r.Verb)
	case len(name) > journal.MaxName || strings.ContainsFunc(name, unprintable):
		return invalidRight("%q is too long or cannot be printed", r)
	case strings.Contains(name, "*"):
		return invalidRight("%q has a '*' inside; it may only stand at the end", r)
	case (r.Verb == Read || r.Verb == Append) && strings.Contains(name, "-"):
		return invalidRight("%q names a stream; rights are given for categories, the part before the first '-'", r)
	case r.Verb == Record && name != r.Pattern && name == "":
		return invalidRight("%q is too wide; name the kind or its beginning, such as record:cart*", r)
	case r.Verb == Record && Reserved(r.Pattern):
		return invalidRight("%q is a kind that the system keeps for itself; use lease, consumer or admin", r)
	}
	return nil
}

// String returns the text that [ParseRight] reads.
func (r Right) String() string {
	if r.Pattern == "" {
		return string(r.Verb)
	}
	return string(r.Verb) + ":" + r.Pattern
}

// allows reports whether the right covers a verb on a name.
func (r Right) allows(v Verb, name string) bool {
	if r.Verb == Admin {
		return true
	}
	if r.Verb != v {
		return false
	}
	if begin, wide := strings.CutSuffix(r.Pattern, "*"); wide {
		return strings.HasPrefix(name, begin)
	}
	return name == r.Pattern
}

// Rights is what one token may do.
type Rights []Right

// ParseRights reads several rights. It returns a [journal.InvalidError].
func ParseRights(texts ...string) (Rights, error) {
	rights := make(Rights, 0, len(texts))
	for _, text := range texts {
		r, err := ParseRight(text)
		if err != nil {
			return nil, err
		}
		rights = append(rights, r)
	}
	return rights, nil
}

// Strings returns the texts of the rights.
func (rs Rights) Strings() []string {
	texts := make([]string, 0, len(rs))
	for _, r := range rs {
		texts = append(texts, r.String())
	}
	return texts
}

// Allow reports whether a verb is allowed on a name.
func (rs Rights) Allow(v Verb, name string) bool {
	for _, r := range rs {
		if r.allows(v, name) {
			return true
		}
	}
	return false
}

// All reports whether a verb is allowed on every name.
func (rs Rights) All(v Verb) bool {
	for _, r := range rs {
		if r.Verb == Admin || r.Verb == v && r.Pattern == "*" {
			return true
		}
	}
	return false
}

// Reserved reports whether records of a kind belong to the system: no right but [Admin] reaches them by their kind.
func Reserved(kind string) bool {
	for _, begin := range []string{
		journal.KindLease, journal.KindCheckpoint, "session", "subject", "keyring", "presence", Kind, "timer", "snapshot",
		"flow", "cron", "cell", "shard", "projection", "outbox", "inbox", "vidimus",
	} {
		rest, ok := strings.CutPrefix(kind, begin)
		if ok && (rest == "" || !isLetter(rest[0])) {
			return true
		}
	}
	return false
}

func isLetter(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9'
}
