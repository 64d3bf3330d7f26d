// SPDX-License-Identifier: Apache-2.0

// The events of sessions and subjects, as they are stored.

package session

import (
	"time"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/schema"
	"example.com/vidimus/passport"
)

// Categories of streams. A session's stream is its id behind the category; a subject's is [passport.SubjectKey], so no
// stream has a person's name.
const (
	sessionCategory  = "session"
	subjectCategory  = "subject"
	activityCategory = "activity"
	tenantCategory   = "tenant"
	revokeCategory   = "revocation"

	allStream   journal.Stream = revokeCategory + "-all"
	tokenPrefix                = revokeCategory + "-token/"
)

// Stream returns the stream of a session.
func Stream(id string) journal.Stream { return journal.Stream(sessionCategory + "-" + id) }

// SubjectStream returns the stream of a subject.
func SubjectStream(tenant, subject string) journal.Stream {
	return journal.Stream(subjectCategory + "-" + passport.SubjectKey(tenant, subject))
}

// activityStream returns the stream of what a subject did, by its key.
func activityStream(key string) journal.Stream { return journal.Stream(activityCategory + "-" + key) }

// Types of events that end things, beside those of the entities.
const (
	typeTenantRevoked = "tenant.revoked"
	typeTokenRevoked  = "token.revoked"
	typeAllRevoked    = "all.revoked"
	typeSignedIn      = "subject.signed-in"
	typeSignedOut     = "subject.signed-out"
)

// floors are how often the subject, its tenant and everybody had been revoked, or changed, when a session began: a
// session does not live on once there was another revocation.
type floors struct {
	Subject count           `json:"subject"`
	Tenant  journal.Version `json:"tenant"`
	All     journal.Version `json:"all"`
}

// Events of a session.
type (
	started struct {
		Tenant   string    `json:"tenant,omitempty"`
		Subject  string    `json:"subject"`
		Device   Device    `json:"device,omitzero"`
		ACR      string    `json:"acr,omitempty"`
		AMR      []string  `json:"amr,omitempty"`
		AuthTime time.Time `json:"auth_time"`
		Scopes   []string  `json:"scopes,omitempty"`
		State    State     `json:"state,omitempty"`
		IdleMS   int64     `json:"idle_ms"`
		Expires  time.Time `json:"expires"`
		At       time.Time `json:"at"`
		Floors   floors    `json:"floors"`
	}
	changed struct {
		Set   State    `json:"set,omitempty"`
		Unset []string `json:"unset,omitempty"`
		By    string   `json:"by,omitempty"`
	}
	steppedUp struct {
		ACR        string    `json:"acr,omitempty"`
		AMR        []string  `json:"amr,omitempty"`
		AuthTime   time.Time `json:"auth_time"`
		Scopes     []string  `json:"scopes,omitempty"`
		Generation int64     `json:"generation"`
		At         time.Time `json:"at"`
		By         string    `json:"by,omitempty"`
	}
	rotated struct {
		Generation int64     `json:"generation"`
		At         time.Time `json:"at"`
	}
	// refused: somebody came with a handle that had been replaced. Either the browser is slow, or a copy was taken.
	refused struct {
		Generation int64     `json:"generation"`
		At         time.Time `json:"at"`
	}
	wentIdle struct {
		Since time.Time `json:"since,omitzero"` // when it was last heard of
		At    time.Time `json:"at"`
	}
	expired struct {
		At time.Time `json:"at"`
	}
	ended struct {
		Why    Why       `json:"why"`
		By     string    `json:"by,omitempty"`
		Reason string    `json:"reason,omitempty"`
		At     time.Time `json:"at"`
	}
	// carried holds a whole session, so that nobody has to read what came before. It tells an empty list or object from
	// none, as a session does.
	carried struct {
		Tenant     string         `json:"tenant,omitempty"`
		Subject    string         `json:"subject"`
		Device     Device         `json:"device,omitzero"`
		ACR        string         `json:"acr,omitempty"`
		AMR        []string       `json:"amr,omitzero"`
		AuthTime   time.Time      `json:"auth_time"`
		Scopes     []string       `json:"scopes,omitzero"`
		State      State          `json:"state,omitzero"`
		Started    time.Time      `json:"started"`
		IdleMS     int64          `json:"idle_ms"`
		Expires    time.Time      `json:"expires"`
		Floors     floors         `json:"floors"`
		Generation int64          `json:"generation"`
		Rotated    time.Time      `json:"rotated"`
		Before     *carriedBefore `json:"before,omitempty"`
		Refusals   int            `json:"refusals,omitempty"`
		RefusedAt  time.Time      `json:"refused_at,omitzero"`
		Ended      *ended         `json:"ended,omitempty"`
	}
	// carriedBefore is what the last step-up changed.
	carriedBefore struct {
		ACR        string    `json:"acr,omitempty"`
		AMR        []string  `json:"amr,omitzero"`
		AuthTime   time.Time `json:"auth_time"`
		Scopes     []string  `json:"scopes,omitzero"`
		Generation int64     `json:"generation"`
	}
)

func (started) EventType() string   { return "session.started" }
func (changed) EventType() string   { return "session.changed" }
func (steppedUp) EventType() string { return "session.stepped-up" }
func (rotated) EventType() string   { return "session.rotated" }
func (refused) EventType() string   { return "session.refused" }
func (wentIdle) EventType() string  { return "session.idle" }
func (expired) EventType() string   { return "session.expired" }
func (ended) EventType() string     { return "session.ended" }
func (carried) EventType() string   { return "session.carried" }

// Events of a subject.
type (
	subjectChanged struct {
		Set   State    `json:"set,omitempty"`
		Unset []string `json:"unset,omitempty"`
		Via   string   `json:"via,omitempty"`
		By    string   `json:"by,omitempty"`
	}
	subjectRevoked struct {
		By     string    `json:"by,omitempty"`
		Reason string    `json:"reason,omitempty"`
		At     time.Time `json:"at"`
	}
	// subjectCarried holds a whole subject.
	subjectCarried struct {
		State   State           `json:"state,omitzero"`
		Count   count           `json:"count"`
		Revoked count           `json:"revoked,omitempty"`
		End     *subjectRevoked `json:"end,omitempty"` // the last revocation
	}
)

func (subjectChanged) EventType() string { return "subject.changed" }
func (subjectRevoked) EventType() string { return "subject.revoked" }
func (subjectCarried) EventType() string { return "subject.carried" }

// carries reports whether events of a type do nothing but carry a state on.
func carries(name string) bool {
	return name == (carried{}).EventType() || name == (subjectCarried{}).EventType()
}

// revocation is the data of the events that revoke more than one subject, or less.
type revocation struct {
	By     string    `json:"by,omitempty"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
}

// activity is the data of the events that note where a subject's sessions are.
type activity struct {
	Session string `json:"session"`
}

func sessionEvents() []schema.Declaration {
	return []schema.Declaration{
		{Event: started{}},
		{Event: changed{}},
		{Event: steppedUp{}},
		{Event: rotated{}},
		{Event: refused{}},
		{Event: wentIdle{}},
		{Event: expired{}},
		{Event: ended{}},
		{Event: carried{}},
	}
}

func subjectEvents() []schema.Declaration {
	return []schema.Declaration{{Event: subjectChanged{}}, {Event: subjectRevoked{}}, {Event: subjectCarried{}}}
}
