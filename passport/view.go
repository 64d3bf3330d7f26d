// SPDX-License-Identifier: Apache-2.0

// What a verifier knows of changes, and who mints: the seams to the rooms beside this one.

package passport

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"time"
)

// View is what a verifier knows of the changes made since passports were minted. [heartbeat.View] is one. Goroutines
// may share it. A view with a method Wait(context.Context, Mark) error, which returns once Through reaches the mark,
// is waited for when a request must be decided at least as fresh as a mark.
type View interface {
	// Staleness is the time since the view was last known to hold every change: a bound, on this process's monotonic
	// clock. [Unknown] if it never did, or lost track.
	Staleness() time.Duration
	// Through is the place in the log up to which every change was applied.
	Through() Mark
	// Generation moves whenever [View.Judge] could come to another verdict, other than by staleness: after the change
	// shows in Judge, and before Staleness counts on it. Verdicts are remembered by the generation read before them.
	Generation() uint64
	// Judge returns nil, [ErrSuperseded], [ErrRevoked] or [ErrForeign]. It does not look at staleness.
	Judge(c *Claims) error
}

// Unknown is the staleness of a view that does not know what it missed.
const Unknown = time.Duration(1<<63 - 1)

// SubjectKey names a subject of a tenant in logs and on the wire without naming a person: the first 16 bytes of the
// SHA-256 of tenant, a zero byte, and subject, in base64url. Whoever guesses the subject can compute it.
func SubjectKey(tenant, subject string) string {
	var buf [22]byte
	return string(AppendSubjectKey(buf[:0], tenant, subject))
}

// AppendSubjectKey appends [SubjectKey], which has 22 bytes, to dst. For names of the usual length it allocates
// nothing, if dst has room.
func AppendSubjectKey(dst []byte, tenant, subject string) []byte {
	var buf [200]byte
	text := append(append(append(buf[:0], tenant...), 0), subject...)
	sum := sha256.Sum256(text)
	return base64.RawURLEncoding.AppendEncode(dst, sum[:16])
}

// Ask is what a passport is asked for with.
type Ask struct {
	// Handle is the opaque value of the browser's cookie.
	Handle string
	// Scope is what the passport is to allow, names separated by spaces; empty for all that the asker may have.
	Scope string
	// Workload names who asks.
	Workload string
	// Txn names the transaction: the passport's txn is this, a dot and the session. Empty for a new name.
	Txn string
	// Request is what is known of the request, for the claim rctx.
	Request json.RawMessage
	// AtLeast is a place in the log that the snapshot must have seen; the zero Mark for any.
	AtLeast Mark
	// Life is how long the passport shall be good for; 0 for the authority's default.
	Life time.Duration
}

// Grant is what an authority gives.
type Grant struct {
	Token  string
	Claims Claims
	// Handle, if not empty, is to replace the browser's cookie: it was rotated.
	Handle string
}

// Authority mints passports. session.Sessions is one in this process, server/remote has one over HTTP.
type Authority interface {
	// Mint returns a passport for the session that a handle stands for, or [ErrNoSession] if the handle is forged,
	// foreign, or its session has ended.
	Mint(ctx context.Context, a Ask) (Grant, error)
}

// Replacer is an authority that knows how to replace a passport.
type Replacer interface {
	// Replace returns a new passport for the holder of one that is genuine and not expired: of the same txn, sub and aud,
	// with no more scope, and from a snapshot read after the call began that reaches atLeast. A mark of another log asks
	// for nothing more. It returns [ErrRevoked], [ErrNoSession] or [ErrUnavailable].
	Replace(ctx context.Context, token string, atLeast Mark) (Grant, error)
}
