// SPDX-License-Identifier: Apache-2.0

// Why a passport is refused, and how that is said over HTTP.

package passport

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"example.com/vidimus/passport/header"
)

// What a request may be refused for; see [Status].
var (
	// ErrInvalid matches every [InvalidError].
	ErrInvalid = errors.New("invalid passport")
	// ErrMissing: there is no passport.
	ErrMissing = errors.New("no passport")
	// ErrExpired: the passport was good, but its time is over.
	ErrExpired = errors.New("passport has expired")
	// ErrSuperseded: what the passport says was changed since. A new one will do.
	ErrSuperseded = errors.New("passport is superseded")
	// ErrRevoked: the token, session, subject, tenant or key was revoked. No new passport will be minted for it.
	ErrRevoked = errors.New("passport is revoked")
	// ErrNoSession: there is no live session for the handle.
	ErrNoSession = errors.New("no such session")
	// ErrForeign: the passport was minted from another log, or another epoch of it, than the view follows.
	ErrForeign = errors.New("passport is of another log")
	// ErrScope: the passport does not allow this.
	ErrScope = errors.New("passport lacks the scope")
	// ErrInexact: the request wants the state of another position than the passport has.
	ErrInexact = errors.New("passport is of another position")
	// ErrStale: too long ago that the verifier was last known to have seen everything.
	ErrStale = errors.New("freshness is unknown")
	// ErrUnavailable: the authority cannot be reached or does not answer now.
	ErrUnavailable = errors.New("authority unavailable")
)

// InvalidError says what is wrong with a passport, a key, a rule or a setting, and what would be right. It never
// holds any part of a token.
type InvalidError struct {
	Field   string // the claim, or the field of a Config
	Problem string
}

func (e *InvalidError) Error() string {
	return fmt.Sprintf("invalid %s: %s", e.Field, e.Problem)
}

// Is reports whether target is [ErrInvalid].
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

func invalid(field, format string, args ...any) error {
	return &InvalidError{Field: field, Problem: fmt.Sprintf(format, args...)}
}

// Status says an error of this package over HTTP: the status, and the error code for WWW-Authenticate and
// problem+json. For other errors it returns 500 and "internal".
func Status(err error) (status int, code string) {
	s := statusOf(err)
	return s.status, s.code
}

func statusOf(err error) status {
	if bad := (*header.Error)(nil); errors.As(err, &bad) {
		return status{nil, http.StatusBadRequest, "invalid_request", "Correct the header, or leave it out."}
	}
	for _, row := range statuses() {
		if errors.Is(err, row.err) {
			return row
		}
	}
	return status{nil, http.StatusInternalServerError, "internal", ""}
}

type status struct {
	err    error
	status int
	code   string
	remedy string // for whoever reads the answer
}

// statuses is the one table from errors to answers.
func statuses() []status {
	return []status{
		{ErrMissing, http.StatusUnauthorized, "missing", "Send the header Txn-Token, once."},
		{ErrInvalid, http.StatusUnauthorized, "invalid_token", "Ask the authority for a passport of this trust domain."},
		{ErrExpired, http.StatusUnauthorized, "expired", "Ask for a new passport. If it is new, compare the clocks."},
		{ErrSuperseded, http.StatusUnauthorized, "superseded", "Ask for a new passport: the state it speaks of has changed."},
		{ErrRevoked, http.StatusUnauthorized, "revoked", "Sign in again."},
		{ErrNoSession, http.StatusUnauthorized, "no_session", "Sign in again."},
		{ErrForeign, http.StatusUnauthorized, "foreign", "Ask for a new passport: this one is of another log."},
		{ErrScope, http.StatusForbidden, "insufficient_scope", "The passport does not allow this."},
		{ErrInexact, http.StatusPreconditionFailed, "inexact", "Ask with the passport's own position, or another mode."},
		{ErrStale, http.StatusServiceUnavailable, "stale", "Try again: the verifier lost touch with the authority."},
		{ErrUnavailable, http.StatusServiceUnavailable, "unavailable", "Try again: the authority does not answer."},
		{context.DeadlineExceeded, http.StatusServiceUnavailable, "unavailable", "Try again."},
		{context.Canceled, http.StatusServiceUnavailable, "unavailable", "Try again."},
	}
}
