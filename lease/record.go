// SPDX-License-Identifier: Apache-2.0

// How leases, sessions and queues are stored.

package lease

import (
	"encoding/json"
	"fmt"
	"time"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
)

// Kinds of records that this package keeps beside [journal.KindLease].
const (
	// KindSession holds sessions: a record of it is there as long as the session lives.
	KindSession = "session"
	// KindQueue holds, for each lease that was waited for, who waits.
	KindQueue = "lease-queue"
)

// Limits.
const (
	MinTTL     = time.Second
	MaxTTL     = time.Hour
	DefaultTTL = 10 * time.Second
	// MaxWaiting is how many may wait for one lease.
	MaxWaiting = 256
)

// Holder is who holds a lease or waits for it.
type Holder struct {
	// Owner is the name that the holder goes by.
	Owner string `json:"owner,omitempty"`
	// Node says where it runs, for people.
	Node string `json:"node,omitempty"`
	// Session is the session behind it.
	Session string `json:"session,omitempty"`
}

// Session is one holder's proof of life.
type Session struct {
	// ID identifies the session; [Table.Start] sets it.
	ID string
	// Owner is the name that the holder goes by. Several sessions may share a name.
	Owner string
	// Node says where it runs, for people.
	Node string
	// Group, which may be empty, is what [Table.Sessions] lists together. It has no '/'.
	Group string
	// TTL is for how long it may stay silent. 0 stands for [DefaultTTL].
	TTL time.Duration
	// Started is when it began, by the clock of the node that began it.
	Started time.Time
	// Version counts its renewals.
	Version journal.Version
}

// Info describes a lease.
type Info struct {
	Name  string
	Epoch journal.Epoch
	// Holder is who holds it; without a session when it is free.
	Holder Holder
	// Since is when it was last acquired or released, by the clock of the node that did so.
	Since time.Time
	// Forced names who released it by force, if that is how it became free.
	Forced string
	// Waiting is who waits for it, the next first.
	Waiting []Holder
}

// leaseValue is what the record of a lease holds. Its epoch is the record's version.
type leaseValue struct {
	Holder
	Ticket string    `json:"ticket,omitempty"`
	Since  time.Time `json:"since"`
	Forced string    `json:"forced,omitempty"`
}

// sessionValue is what the record of a session holds. The record's due time is a hint for the sweep, no more.
type sessionValue struct {
	Owner   string    `json:"owner"`
	Node    string    `json:"node,omitempty"`
	TTL     int64     `json:"ttl_ms"`
	Started time.Time `json:"started"`
}

// queueValue is what the record of a queue holds. The record is never deleted, so its version never repeats.
type queueValue struct {
	Tickets []ticket `json:"tickets,omitempty"`
}

// ticket is a place in a queue. A session can have several.
type ticket struct {
	Holder
	ID string `json:"id,omitempty"`
}

func (t ticket) of(c *Claim) bool { return t.Session == c.Session && t.ID == c.Ticket }

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("lease: encode %v: %v", v, err)) // strings, numbers and times always marshal
	}
	return b
}

func decode(r journal.Record, v any) error {
	if err := json.Unmarshal(r.Value, v); err != nil {
		return fmt.Errorf("record %s/%s: %w", r.Kind, r.Key, err)
	}
	return nil
}

func sessionOf(r journal.Record) (Session, error) {
	var v sessionValue
	if err := decode(r, &v); err != nil {
		return Session{}, err
	}
	return Session{
		ID: r.Key, Owner: v.Owner, Node: v.Node, Group: groupOf(r.Key),
		TTL: time.Duration(v.TTL) * time.Millisecond, Started: v.Started, Version: r.Version,
	}, nil
}

// write returns the write that makes or renews the session.
func (s *Session) write(expect journal.Expect) journal.RecordWrite {
	v := sessionValue{Owner: s.Owner, Node: s.Node, TTL: s.TTL.Milliseconds(), Started: s.Started}
	return journal.RecordWrite{
		Kind: KindSession, Key: s.ID, Expect: expect, Due: clock.Now().Add(s.TTL), Value: encode(v),
	}
}

func (s *Session) holder() Holder { return Holder{Owner: s.Owner, Node: s.Node, Session: s.ID} }

// kill returns the write that ends the session, provided that it was not renewed since it was read.
func (s *Session) kill() journal.RecordWrite {
	return journal.RecordWrite{
		Op: journal.Delete, Kind: KindSession, Key: s.ID, Expect: journal.Exactly(s.Version),
	}
}
