// SPDX-License-Identifier: Apache-2.0

// Package session keeps sessions: who signed in, with what state, until when; and mints the passports that say so.
//
// A session is an entity of the journal with a stream of its own, and so is a subject: the person or machine that
// signed in, whose state all its sessions share. Every change is an event with a version, so nothing is lost and
// nothing is undone by a slower request: what has ended stays ended.
package session

import (
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"example.com/vidimus/cell"
	"example.com/vidimus/heartbeat"
	"example.com/vidimus/journal"
	"example.com/vidimus/passport"
	"example.com/vidimus/passport/keyring"
)

// Limits and what they default to.
const (
	DefaultIdle       = 30 * time.Minute
	DefaultAbsolute   = 12 * time.Hour
	DefaultLife       = 60 * time.Second // of a passport
	MaxLife           = 300 * time.Second
	DefaultConcurrent = 100
	MaxConcurrent     = 1000
	MaxAttributes     = 64
	MaxState          = 768 // bytes of all attributes of one subject or session, as JSON
	RotationGrace     = 10 * time.Second
)

var (
	// ErrEnded: the session ended, and a session that ended stays ended.
	ErrEnded = errors.New("session has ended")
	// ErrTooMany: the subject has as many live sessions as it may.
	ErrTooMany = errors.New("too many sessions")
)

// Config configures [Sessions].
type Config struct {
	Cell *cell.Cell
	Keys *keyring.Ring
	// Issuer is the URL that passports name as their issuer; TrustDomain is their audience.
	Issuer, TrustDomain string
	// Schema names the public schema, such as "boxoffice/3"; Public says which attributes it has. An attribute that is not
	// declared is refused, so that private state never travels.
	Schema string
	Public Public
	// Scopes are what a session may do when it says nothing else.
	Scopes               []string
	Idle, Absolute, Life time.Duration
	Concurrent           int
	// Evict ends the oldest session when there are too many, instead of refusing the new one.
	Evict  bool
	Logger *slog.Logger
}

// Public declares the attributes that passports carry.
type Public struct {
	Subject, Session map[string]Attribute
}

// Attribute declares one attribute.
type Attribute struct {
	// Type is the JSON type: "string", "number", "boolean", "object" or "array"; empty for any.
	Type string
}

// State is a set of attributes.
type State map[string]json.RawMessage

// Device is what is known of the client at sign-in, for people to read. See [Device.Clean].
type Device struct {
	Name      string `json:"name,omitempty"` // for people: "Firefox on Linux"
	UserAgent string `json:"user_agent,omitempty"`
	Address   string `json:"address,omitempty"`
}

// Session is the state of one session at a version.
type Session struct {
	ID              string // 22 characters
	Version         journal.Version
	Position        journal.Position // of its last event
	Mark            passport.Mark    // the same place with its log, for header.SetEffect
	Tenant, Subject string
	Device          Device
	ACR             string
	AMR             []string
	AuthTime        time.Time
	Scopes          []string
	State           State
	Started         time.Time
	Idle            time.Duration
	Expires         time.Time // absolute
	Generation      int64     // of its handle, from 1
	Rotated         time.Time
	Ended           *Ended // nil while it lives
}

// Ended says how a session ended.
type Ended struct {
	At     time.Time
	Why    Why
	By     string // who ended it
	Reason string // for people
}

// Why is the kind of an end.
type Why string

// The kinds of ends.
const (
	LoggedOut Why = "logged-out"
	Idle      Why = "idle"
	Expired   Why = "expired"
	Revoked   Why = "revoked"
	Evicted   Why = "evicted"
)

// Subject is the state that all sessions of one subject share.
type Subject struct {
	Tenant, ID string
	Version    journal.Version
	Position   journal.Position
	Mark       passport.Mark // as in Session
	State      State
}

// Start asks for a session. Whoever calls has already made sure who the subject is.
type Start struct {
	// ID makes the command idempotent: the same again is answered with the same session, and another start with it is
	// refused with journal.ErrIDReused. Device, Proved and what was proved may differ. Zero for none.
	ID              journal.ID
	Tenant, Subject string
	Device          Device
	ACR             string
	AMR             []string
	AuthTime        time.Time // zero for the time of the call
	Scopes          []string  // nil for Config.Scopes
	State           State     // of the session
	SubjectState    State     // of the subject, written only if the subject is new
	Idle, Absolute  time.Duration
	// Proved is when the proof of who the subject is was made, if it is older than the start, as a cookie that is taken
	// over: after a revocation of the subject, its tenant or everybody it proves nothing, and Start returns [ErrEnded].
	Proved time.Time
}

// Started is a session with the handle for its browser's cookie.
type Started struct {
	Session
	Handle string
}

// Change is a command that sets and removes attributes.
type Change struct {
	ID     journal.ID     // as in Start
	Expect journal.Expect // the version the change was decided on; journal.Any to merge whatever is there
	Set    State
	Unset  []string
	// Via is the session on whose behalf a subject is changed: if it has ended, the change is refused with ErrEnded.
	Via string
	By  string // who, for the history
}

// StepUp raises how surely the subject was recognised, and rotates the handle.
type StepUp struct {
	ID       journal.ID
	Expect   journal.Expect
	ACR      string
	AMR      []string
	AuthTime time.Time
	Scopes   []string // added
	By       string
}

// Target is what to revoke. A subject's key is Key(tenant, subject).
type Target struct {
	Scope heartbeat.Scope
	// Key is as in heartbeat.Change; for Subject it may be left empty when Tenant and Subject are given.
	Key             string
	Tenant, Subject string
}

// Entry is one line of a history.
type Entry struct {
	Position journal.Position
	Version  journal.Version
	Time     time.Time
	Type     string // the stored name of the event
	By       string
	Detail   json.RawMessage // the event
}
