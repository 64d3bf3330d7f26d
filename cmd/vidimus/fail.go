// SPDX-License-Identifier: Apache-2.0

// What goes wrong: its code, its message, and the number the process ends with.

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"example.com/vidimus/cmd/vidimus/internal/eventlog"
	"example.com/vidimus/cmd/vidimus/internal/screen"
	"example.com/vidimus/journal"
	"example.com/vidimus/passport"
	"example.com/vidimus/server/remote"
	"example.com/vidimus/session"
)

// Exit codes. They are part of the interface; see the comment of the command.
const (
	exitDone     = 0
	exitFailed   = 1
	exitUsage    = 2
	exitConflict = 3
	exitNotFound = 4
	exitRetry    = 5
	exitRefused  = 6
	exitSignal   = 128 // plus the signal's number
)

// class is a kind of error.
type class struct {
	target error
	code   string
	exit   int
}

// classes lists what errors are told apart by, the most special first.
func classes() []class {
	return []class{
		{errUsage, "usage", exitUsage},
		{errBroken, "broken", exitFailed},
		{remote.ErrUnauthenticated, "unauthenticated", exitRefused},
		{remote.ErrPermission, "permission", exitRefused},
		{remote.ErrUnknownCell, "not_found", exitNotFound},
		{remote.ErrDraining, "draining", exitRetry},
		{remote.ErrLimit, "limit", exitRetry},
		{journal.ErrUncertain, "uncertain", exitRetry},
		{journal.ErrInvalid, "invalid", exitUsage},
		{journal.ErrConflict, "conflict", exitConflict},
		{journal.ErrCondition, "condition", exitConflict},
		{journal.ErrFenced, "fenced", exitConflict},
		{journal.ErrIDReused, "id_reused", exitConflict},
		{journal.ErrNotFound, "not_found", exitNotFound},
		{passport.ErrNoSession, "no_session", exitNotFound},
		{session.ErrEnded, "ended", exitConflict},
		{session.ErrTooMany, "too_many", exitConflict},
		{passport.ErrScope, "scope", exitRefused},
		{passport.ErrRevoked, "revoked", exitRefused},
		{passport.ErrUnavailable, "unavailable", exitRetry},
		{os.ErrNotExist, "not_found", exitNotFound},
		{journal.ErrLocked, "locked", exitRetry},
		{journal.ErrUnavailable, "unavailable", exitRetry},
		{journal.ErrOverloaded, "overloaded", exitRetry},
		{context.DeadlineExceeded, "unavailable", exitRetry},
		{journal.ErrTooNew, "too_new", exitFailed},
		{journal.ErrDiverged, "diverged", exitFailed},
	}
}

var (
	errUsage  = errors.New("usage")
	errBroken = errors.New("broken")
)

// usageError is a mistake in the arguments that the grammar does not see.
type usageError struct{ field, problem string }

func (e *usageError) Error() string        { return e.field + ": " + e.problem }
func (e *usageError) Is(target error) bool { return target == errUsage }

func usage(field, format string, args ...any) error {
	return &usageError{field, fmt.Sprintf(format, args...)}
}

// brokenError says what a check found.
type brokenError struct{ found string }

func (e *brokenError) Error() string        { return e.found }
func (e *brokenError) Is(target error) bool { return target == errBroken }

// failure is an error as it is written, with --json as {"error":{...}}.
type failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Field   string `json:"field,omitempty"`
	exit    int
	hint    string
}

// describe finds out what err is.
func describe(err error) failure {
	f := failure{Code: "failed", Message: err.Error(), exit: exitFailed}
	if e, ok := errors.AsType[*signalError](err); ok {
		f.Code, f.exit = "interrupted", exitSignal+int(e.signal)
		return f
	}
	if e, ok := errors.AsType[*kong.ParseError](err); ok {
		f.Code, f.exit = "usage", exitUsage
		if f.hint = "vidimus --help"; e.Context != nil && e.Context.Selected() != nil {
			f.hint = commandPath(e.Context.Selected()) + " --help"
		}
		return f
	}
	if errors.Is(err, syscall.EPIPE) {
		f.exit = exitSignal + int(syscall.SIGPIPE)
	}
	for _, c := range classes() {
		if errors.Is(err, c.target) {
			f.Code, f.exit = c.code, c.exit
			break
		}
	}
	f.Field = fieldOf(err)
	if e, ok := errors.AsType[*eventlog.Error](err); ok {
		f.Code, f.exit = "invalid", exitUsage
		f.Message = importMessage(err, e)
	}
	return f
}

// fieldOf returns the field that an error names, or nothing.
func fieldOf(err error) string {
	if e, ok := errors.AsType[*flagError](err); ok {
		return e.flag
	}
	if e, ok := errors.AsType[*journal.InvalidError](err); ok {
		return e.Field
	}
	if e, ok := errors.AsType[*usageError](err); ok {
		return e.field
	}
	if e, ok := errors.AsType[*eventlog.Error](err); ok {
		return flagOf(e.Field)
	}
	return ""
}

// commandPath is the command as it is typed.
func commandPath(n *kong.Node) string {
	if n.Parent == nil {
		return n.Name
	}
	return commandPath(n.Parent) + " " + n.Name
}

// fail writes an error and returns the exit code for it.
func (a *app) fail(err error) int {
	f := describe(err)
	f.Message = strings.ReplaceAll(f.Message, "\n", "; ") // as errors.Join puts them
	if a.json {
		line, encodeErr := json.Marshal(struct {
			Error failure `json:"error"`
		}{f})
		if encodeErr != nil {
			panic("vidimus: an error does not encode: " + encodeErr.Error())
		}
		fmt.Fprintf(a.err, "%s\n", line)
		return f.exit
	}
	fmt.Fprintf(a.err, "%s %s\n", a.errStyle.Bad("vidimus:"), screen.Printable(f.Message))
	if f.hint != "" {
		fmt.Fprintf(a.err, "see %s\n", f.hint)
	}
	return f.exit
}
