// SPDX-License-Identifier: Apache-2.0

// Filters: which events are meant.

package journal

import "slices"

// Filter chooses events: those that fit at least one of its matches. The empty filter chooses all.
type Filter []Match

// Match describes events. Every field that is set must fit; a Match with no field set fits every event.
type Match struct {
	// Stream is the event's stream.
	Stream Stream
	// Category is the category of the event's stream.
	Category string
	// Types lists types, one of which must be the event's.
	Types []string
	// Tags lists tags, all of which must be among the event's.
	Tags []string
}

// Matches reports whether e is chosen.
func (f Filter) Matches(e *EventData, s Stream) bool {
	if len(f) == 0 {
		return true
	}
	for i := range f {
		if f[i].fits(e, s) {
			return true
		}
	}
	return false
}

func (m *Match) fits(e *EventData, s Stream) bool {
	if m.Stream != "" && m.Stream != s || m.Category != "" && m.Category != s.Category() {
		return false
	}
	if len(m.Types) > 0 && !slices.Contains(m.Types, e.Type) {
		return false
	}
	for _, tag := range m.Tags {
		if !slices.Contains(e.Tags, tag) {
			return false
		}
	}
	return true
}
