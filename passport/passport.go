// SPDX-License-Identifier: Apache-2.0

// Package passport is state that travels: a short-lived, signed and versioned snapshot of a subject's state, which
// any service checks offline.
//
// A passport is an OAuth Transaction Token (draft-ietf-oauth-transaction-tokens): a JWS (RFC 7515) in compact form,
// signed with Ed25519 (RFC 8037, RFC 9864), with one private claim, "vid", that says which position of which log it
// is a copy of.
//
// An issuer signs with a [Signer]. A service decides with a [Verifier], which needs no network but for the keys: a
// passport is spelled in one way only, signed by a published key, for this trust domain, and in time; nothing it says
// is known to have changed, by a [View] that knows how long ago it last knew everything; and it allows what the route's
// [Rule] wants. When the view does not know recently enough, the rule says whether the route is closed, asks the
// authority, or reads on. [Status] has the answer to each refusal.
//
// Wall clocks decide on iat, exp and nbf alone. A clock that is wrong by more than Config.Skew closes the door: ahead,
// passports have expired; behind, they are from the future. The freshness of a view depends on no wall clock.
package passport

import (
	"encoding/json"
	"time"

	"example.com/vidimus/passport/header"
)

// Mark is a place in a log: which log, in which epoch of it, and how far.
type Mark = header.Mark

// Limits of passports.
const (
	// MaxLife is the longest time between IssuedAt and ExpiresAt.
	MaxLife = 300 * time.Second
	// MaxToken is the longest passport that is signed, in bytes. A verifier looks at passports of twice that.
	MaxToken = 4 << 10
	// DefaultSkew is how far the clocks of authority and verifier may differ.
	DefaultSkew = 5 * time.Second
)

// Claims is what a passport says. The names in comments are those on the wire. Claims that a verifier returns may be
// shared between requests: do not change them, nor what they point to.
//
// Txn names a passport and those that replace it. It does not name a request: an edge sends the same passport with all
// requests of a session, for 58 seconds at most, so they share one Txn, and have no Request. Take a trace id (the
// header traceparent, which edges pass on) to tell requests apart.
type Claims struct {
	Issuer    string    // iss
	Audience  string    // aud: the trust domain
	IssuedAt  time.Time // iat, seconds
	ExpiresAt time.Time // exp, seconds
	Txn       string    // txn: what a revoked token is named by; not one for each request
	Subject   string    // sub
	Scope     string    // scope: names separated by one space
	Workload  string    // req_wl: who asked for the passport
	Session   string    // sid

	State   json.RawMessage // tctx: {"subject": {…}, "session": {…}}, by the declared public schemas only
	Request json.RawMessage // rctx: what the asker knows of the request, such as {"req_ip": "…"}; edges say nothing

	ACR      string    // acr: how surely the subject was recognised
	AMR      []string  // amr: by which methods
	AuthTime time.Time // auth_time, seconds

	Mark                     // vid.log, vid.ep, vid.pos: the snapshot holds every change up to here
	Tenant         string    // vid.ten
	Version        int64     // vid.ver: the version of the session
	SubjectVersion int64     // vid.sver: the version of the subject's own state
	AsOf           time.Time // vid.asof: the authority's clock before it read the state, milliseconds
	Schema         string    // vid.sch: the name of the public schema of State, such as "boxoffice/3"

	KeyID string // kid of the header: the key that the passport was signed with. Sign does not look at it
}
