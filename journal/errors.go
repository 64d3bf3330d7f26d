// SPDX-License-Identifier: Apache-2.0

// What can go wrong, in words a caller can branch on.

package journal

import (
	"errors"
	"fmt"
)

// Errors to branch on with errors.Is. Each message that wraps one says what to do.
var (
	// ErrInvalid: the request breaks a rule; see [InvalidError]. Nothing was written.
	ErrInvalid = errors.New("invalid")
	// ErrConflict: a stream is not at the expected version; see [ConflictError]. Nothing was written.
	ErrConflict = errors.New("version conflict")
	// ErrCondition: an event matches an append condition. Nothing was written.
	ErrCondition = errors.New("append condition violated")
	// ErrFenced: the lease was taken over since; see [FencedError]. Nothing was written.
	ErrFenced = errors.New("fenced")
	// ErrIDReused: the id of a new event belongs to another event of the stream. Nothing was written.
	ErrIDReused = errors.New("event id reused")
	// ErrOverloaded: too many units wait to be written. Nothing was written; try again later.
	ErrOverloaded = errors.New("overloaded")
	// ErrUncertain: the answer was lost on its way. The unit may be written or not: commit the same unit again,
	// with the same event ids, to find out.
	ErrUncertain = errors.New("outcome unknown")
	// ErrDiverged: a checkpoint does not belong to this journal's history, as after a restore from a backup.
	ErrDiverged = errors.New("history diverged")
	// ErrNotFound: there is no such record.
	ErrNotFound = errors.New("not found")
	// ErrLocked: another process has the journal open.
	ErrLocked = errors.New("journal is open elsewhere")
	// ErrTooNew: the journal was written by a newer release.
	ErrTooNew = errors.New("journal is newer than this program")
	// ErrUnavailable: the database cannot be reached, is full or is read-only. Nothing was written.
	ErrUnavailable = errors.New("journal unavailable")
	// ErrClosed: the log was closed.
	ErrClosed = errors.New("journal is closed")
)

// InvalidError says which field of a request breaks a rule, and how to mend it.
type InvalidError struct {
	Field   string
	Problem string
}

func (e *InvalidError) Error() string { return "invalid " + e.Field + ": " + e.Problem }

// Is reports whether target is [ErrInvalid].
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

func invalid(field, format string, args ...any) *InvalidError {
	return &InvalidError{Field: field, Problem: fmt.Sprintf(format, args...)}
}

// ConflictError says where a stream, or a record, really is.
type ConflictError struct {
	// Name is the stream's name, or the record's kind and key joined by '/'.
	Name   string
	Expect Expect
	Actual Version
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("version conflict on %s: expected %v, is at version %d; load it again and decide anew",
		e.Name, e.Expect, e.Actual)
}

// Is reports whether target is [ErrConflict].
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// FencedError says which lease was taken over.
type FencedError struct {
	Lease   string
	Held    Epoch
	Current Epoch
}

func (e *FencedError) Error() string {
	return fmt.Sprintf("fenced: lease %s is at epoch %d, the write came with epoch %d; acquire the lease anew",
		e.Lease, e.Current, e.Held)
}

// Is reports whether target is [ErrFenced].
func (e *FencedError) Is(target error) bool { return target == ErrFenced }
