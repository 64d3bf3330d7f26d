// SPDX-License-Identifier: Apache-2.0

// Why a cookie was refused: one error for whoever sent it, a reason for the log.

package legacy

import (
	"errors"
	"log/slog"
)

// The reasons, in the words of logs and statistics.
const (
	absent    = "absent" // never an error
	twice     = "more than one cookie of that name"
	gap       = "a chunk is missing"
	tooLong   = "too long"
	malformed = "malformed"
	badHeader = "header not allowed"
	badAlg    = "alg or enc not allowed"
	noKey     = "no key of that id"
	forged    = "does not decrypt"
	badClaims = "claims are no clean JSON object"
	endless   = "has no end"
	expired   = "expired"
	early     = "from the future"
	unmapped  = "stands for nobody"
	late      = "made after the cut-over, or not known when"
	spent     = "imported before, and its session has ended or moved on"
	unfit     = "state does not fit"
	closed    = "legacy cookies are refused"
)

// refusal is the error for a bad cookie.
type refusal struct {
	cookie, why string
	cause       error // what the journal says, if that is the reason
}

func (e *refusal) Error() string        { return ErrRefused.Error() }
func (e *refusal) Is(target error) bool { return target == ErrRefused }

// LogValue gives logs what clients are not told.
func (e *refusal) LogValue() slog.Value {
	if e.cause != nil {
		return slog.GroupValue(slog.String("cookie", e.cookie), slog.String("why", e.why), slog.Any("cause", e.cause))
	}
	return slog.GroupValue(slog.String("cookie", e.cookie), slog.String("why", e.why))
}

// Why returns why a cookie was refused, in a few words for a log; empty for other errors. It never quotes the cookie.
func Why(err error) string {
	var e *refusal
	if errors.As(err, &e) {
		return e.why
	}
	return ""
}
