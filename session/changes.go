// SPDX-License-Identifier: Apache-2.0

// What events do to passports that were minted before them.

package session

import (
	"strings"

	"example.com/vidimus/heartbeat"
	"example.com/vidimus/journal"
	"example.com/vidimus/passport/keyring"
)

// Changes says what an event of the journal does to passports that were minted before it. It is what heartbeat/feed is
// opened with. A session that began, whose handle was rotated, for which an old handle was refused, or whose state
// was carried on, is told of to nobody: passports say the same as before. Idle, expired and ended sessions are over, so
// they count as revoked.
func Changes(e *journal.Event) []heartbeat.Change {
	scope, effect := change(e.Type)
	if scope == "" {
		return nil
	}
	category, key, _ := strings.Cut(string(e.Stream), "-")
	switch {
	case category != categoryOf(scope):
		return nil // somebody else's event of that name
	case scope == heartbeat.Token:
		key = strings.TrimPrefix(string(e.Stream), tokenPrefix)
	case scope == heartbeat.All:
		key = ""
	}
	return []heartbeat.Change{{Position: int64(e.Position), Scope: scope, Key: key, Effect: effect}}
}

// ChangesFilter chooses the events that [Changes] has something to say of, and few others, so that a feed need not read
// the rest of a busy journal.
func ChangesFilter() journal.Filter {
	return journal.Filter{
		{Category: sessionCategory},
		{Category: subjectCategory},
		{Category: tenantCategory},
		{Category: keyring.Category},
		{Category: revokeCategory},
	}
}

// LifeFilter chooses the events by which sessions begin and end, for [Begins].
func LifeFilter() journal.Filter {
	return journal.Filter{{Category: sessionCategory, Types: []string{
		started{}.EventType(), ended{}.EventType(), wentIdle{}.EventType(), expired{}.EventType(),
	}}}
}

// Begins says of which session an event is that [LifeFilter] chose, and whether the session begins by it or ends.
func Begins(e *journal.Event) (sid string, begins bool) {
	_, sid, _ = strings.Cut(string(e.Stream), "-")
	return sid, e.Type == (started{}).EventType()
}

// change returns the scope and the effect of a type of events.
func change(name string) (heartbeat.Scope, heartbeat.Effect) {
	switch name {
	case changed{}.EventType(), steppedUp{}.EventType():
		return heartbeat.Session, heartbeat.Superseded
	case wentIdle{}.EventType(), expired{}.EventType(), ended{}.EventType():
		return heartbeat.Session, heartbeat.Revoked
	case subjectChanged{}.EventType():
		return heartbeat.Subject, heartbeat.Superseded
	case subjectRevoked{}.EventType():
		return heartbeat.Subject, heartbeat.Revoked
	case typeTenantRevoked:
		return heartbeat.Tenant, heartbeat.Revoked
	case keyring.EventRevoked:
		return heartbeat.Key, heartbeat.Revoked
	case typeTokenRevoked:
		return heartbeat.Token, heartbeat.Revoked
	case typeAllRevoked:
		return heartbeat.All, heartbeat.Revoked
	}
	return "", ""
}

// categoryOf returns the category of the streams that a scope's events are in.
func categoryOf(scope heartbeat.Scope) string {
	switch scope {
	case heartbeat.Session:
		return sessionCategory
	case heartbeat.Subject:
		return subjectCategory
	case heartbeat.Tenant:
		return tenantCategory
	case heartbeat.Key:
		return keyring.Category
	}
	return revokeCategory
}
