// SPDX-License-Identifier: Apache-2.0

// Errors and their codes: the one table.

package wire

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"connectrpc.com/connect"

	"example.com/vidimus/journal"
	"example.com/vidimus/lease"
	"example.com/vidimus/passport"
	"example.com/vidimus/server/token"
	pb "example.com/vidimus/server/vidimusv1"
	"example.com/vidimus/session"
)

// Errors that only a server has.
var (
	// ErrPermission: the token lacks a right; see [PermissionError].
	ErrPermission = errors.New("permission denied")
	// ErrDraining: the node is shutting down.
	ErrDraining = errors.New("node is shutting down")
	// ErrLimit: the caller has too many calls or streams open.
	ErrLimit = errors.New("too many at once")
	// ErrUnknownCell: the node has no such cell, or none that the caller may use.
	ErrUnknownCell = errors.New("unknown cell")
	// ErrNotOwner: another node keeps presence; see [NotOwnerError].
	ErrNotOwner = errors.New("not the owner")
	// errInternal: the server failed; what happened is in its log.
	errInternal = errors.New("internal error")
)

// PermissionError says which right is missing.
type PermissionError struct {
	Right  string
	Remedy string
}

func (e *PermissionError) Error() string {
	return fmt.Sprintf("permission denied: the token lacks the right %s; %s", e.Right, e.Remedy)
}

// Is reports whether target is [ErrPermission].
func (e *PermissionError) Is(target error) bool { return target == ErrPermission }

// NotOwnerError says which node keeps presence.
type NotOwnerError struct {
	// URL is where that node answers; empty when there is none now, or when it does not say.
	URL string
}

func (e *NotOwnerError) Error() string {
	if e.URL == "" {
		return "no node keeps presence now, or it does not say where it is; try again in a few seconds"
	}
	return "another node keeps presence; send it to " + e.URL
}

// Is reports whether target is [ErrNotOwner].
func (e *NotOwnerError) Is(target error) bool { return target == ErrNotOwner }

// row says how an error travels. Said is what callers are told where the error's own text may hold what is not theirs
// to know, such as the name of a database's host; where it is empty they are told the error's own text.
type row struct {
	err    error
	code   connect.Code
	reason string
	said   string
}

// rows is the table, looked through from the top: the first that fits counts.
//
// Aborted is for what a caller mends by reading again and deciding anew, FailedPrecondition for what it must not
// repeat, Unavailable for what it may repeat as it is. An unknown outcome is Unknown: no generic retry may touch it,
// since only the same event ids make a retry safe.
var rows = [...]row{
	{journal.ErrInvalid, connect.CodeInvalidArgument, "INVALID", ""},
	{journal.ErrConflict, connect.CodeAborted, "CONFLICT", ""},
	{journal.ErrCondition, connect.CodeAborted, "CONDITION", ""},
	{journal.ErrFenced, connect.CodeFailedPrecondition, "FENCED", ""},
	{journal.ErrIDReused, connect.CodeAlreadyExists, "ID_REUSED", ""},
	{journal.ErrOverloaded, connect.CodeResourceExhausted, "OVERLOADED", ""},
	{
		journal.ErrUncertain, connect.CodeUnknown, "UNCERTAIN",
		"outcome unknown: the write may have happened; repeat it with the same event ids to find out",
	},
	{journal.ErrDiverged, connect.CodeFailedPrecondition, "DIVERGED", ""},
	{journal.ErrNotFound, connect.CodeNotFound, "NOT_FOUND", ""},
	{journal.ErrLocked, connect.CodeUnavailable, "LOCKED", "the journal is open elsewhere; nothing was written"},
	{
		journal.ErrTooNew, connect.CodeFailedPrecondition, "TOO_NEW",
		"the journal is newer than this node; upgrade the node",
	},
	{
		journal.ErrUnavailable, connect.CodeUnavailable, "UNAVAILABLE",
		"journal unavailable: nothing was written; try again, and see the node's log for the cause",
	},
	{journal.ErrClosed, connect.CodeUnavailable, "CLOSED", "the journal is closed; try another node"},
	{lease.ErrHeld, connect.CodeAborted, "HELD", ""},
	{lease.ErrLost, connect.CodeFailedPrecondition, "LOST", ""},
	{token.ErrUnauthenticated, connect.CodeUnauthenticated, "UNAUTHENTICATED", ""},
	{ErrPermission, connect.CodePermissionDenied, "PERMISSION", ""},
	{ErrDraining, connect.CodeUnavailable, "DRAINING", ""},
	{ErrLimit, connect.CodeResourceExhausted, "LIMIT", ""},
	{ErrUnknownCell, connect.CodeNotFound, "UNKNOWN_CELL", ""},
	{ErrNotOwner, connect.CodeFailedPrecondition, "NOT_OWNER", ""},
	{session.ErrEnded, connect.CodeFailedPrecondition, "ENDED", ""},
	{session.ErrTooMany, connect.CodeResourceExhausted, "TOO_MANY", ""},
	{passport.ErrNoSession, connect.CodeNotFound, "NO_SESSION", ""},
	{passport.ErrRevoked, connect.CodeFailedPrecondition, "REVOKED", ""},
	{passport.ErrSuperseded, connect.CodeAborted, "SUPERSEDED", ""},
	{
		passport.ErrUnavailable, connect.CodeUnavailable, "AUTHORITY_UNAVAILABLE",
		"authority unavailable: nothing was minted; try again, and see the node's log for the cause",
	},
	{context.Canceled, connect.CodeCanceled, "CANCELED", "the caller gave up before anything was written"},
	{context.DeadlineExceeded, connect.CodeDeadlineExceeded, "DEADLINE", "no time was left before anything was written"},
}

// internal is the row for everything else.
var internal = row{errInternal, connect.CodeInternal, "INTERNAL", "internal error; see the node's log"}

// rowOf finds an error in the table.
func rowOf(err error) *row {
	for i := range rows {
		if errors.Is(err, rows[i].err) {
			return &rows[i]
		}
	}
	return &internal
}

// Expected reports whether an error is one that callers cause or understand, so that the log need not have it.
func Expected(err error) bool {
	var sent *connect.Error
	if errors.As(err, &sent) {
		return true
	}
	return rowOf(err).said == "" || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// Error returns the error as it is sent: its code, a text fit for strangers, and an [pb.ErrorDetail].
func Error(err error, ids []string) *connect.Error {
	var sent *connect.Error
	if errors.As(err, &sent) {
		return sent
	}
	detail := Detail(err, ids)
	out := connect.NewError(rowOf(err).code, errors.New(detail.Message))
	if d, bad := connect.NewErrorDetail(detail); bad == nil {
		out.AddDetail(d)
	}
	return out
}

// Detail returns what a program can know of an error. The ids are those that the server made for the unit.
func Detail(err error, ids []string) *pb.ErrorDetail {
	r := rowOf(err)
	d := &pb.ErrorDetail{Reason: r.reason, Message: r.said}
	if r.said == "" {
		d.Message = err.Error()
	}
	if errors.Is(err, journal.ErrUncertain) {
		d.Ids = ids
	}
	var (
		bad      *journal.InvalidError
		conflict *journal.ConflictError
		fenced   *journal.FencedError
		held     *lease.HeldError
		denied   *PermissionError
		astray   *NotOwnerError
	)
	switch {
	case errors.As(err, &bad):
		d.Field, d.Problem = bad.Field, bad.Problem
	case errors.As(err, &conflict):
		d.Name, d.Expect, d.Actual = conflict.Name, Expect(conflict.Expect), int64(conflict.Actual)
	case errors.As(err, &fenced):
		d.Name, d.Held, d.Current = fenced.Lease, int64(fenced.Held), int64(fenced.Current)
	case errors.As(err, &held):
		d.Name, d.Holder, d.Current, d.Place = held.Name, held.Holder.Owner, int64(held.Epoch), int64(held.Place)
		d.Session = held.Holder.Session
	case errors.As(err, &denied):
		d.Name, d.Problem = denied.Right, denied.Remedy
	case errors.As(err, &astray):
		d.Name = astray.URL
	}
	for _, text := range []*string{&d.Message, &d.Field, &d.Problem, &d.Name} {
		*text = clip(*text)
	}
	return d
}

// textMax is how many bytes of a text an error carries. Errors quote what they refuse, which may be a whole request,
// and some protocols send them in headers.
const textMax = 4 << 10

func clip(text string) string {
	if len(text) <= textMax {
		return text
	}
	return strings.ToValidUTF8(text[:textMax], "") + "..."
}

// FromError returns the error that a server sent, such that errors.Is and errors.As find in it what the server had. An
// error without a detail did not come from a server of ours; it is returned as it is, with ours false.
func FromError(err error) (back error, ours bool) {
	var sent *connect.Error
	if !errors.As(err, &sent) {
		return err, false
	}
	for _, d := range sent.Details() {
		m, bad := d.Value()
		if detail, ok := m.(*pb.ErrorDetail); bad == nil && ok {
			return FromDetail(detail), true
		}
	}
	return err, false
}

// FromDetail returns the error that a detail describes.
func FromDetail(d *pb.ErrorDetail) error {
	switch d.GetReason() {
	case "INVALID":
		return &journal.InvalidError{Field: d.GetField(), Problem: d.GetProblem()}
	case "CONFLICT":
		expect, err := ToExpect("expect", d.GetExpect())
		if err != nil {
			expect = journal.Any
		}
		return &journal.ConflictError{Name: d.GetName(), Expect: expect, Actual: journal.Version(d.GetActual())}
	case "FENCED":
		return &journal.FencedError{
			Lease: d.GetName(), Held: journal.Epoch(d.GetHeld()), Current: journal.Epoch(d.GetCurrent()),
		}
	case "HELD":
		return &lease.HeldError{
			Name: d.GetName(), Holder: lease.Holder{Owner: d.GetHolder(), Session: d.GetSession()},
			Epoch: journal.Epoch(d.GetCurrent()), Place: int(d.GetPlace()),
		}
	case "PERMISSION":
		return &PermissionError{Right: d.GetName(), Remedy: d.GetProblem()}
	case "NOT_OWNER":
		return &NotOwnerError{URL: d.GetName()}
	}
	for i := range rows {
		if rows[i].reason == d.GetReason() {
			return &remoteError{kind: rows[i].err, text: d.GetMessage()}
		}
	}
	return &remoteError{kind: errInternal, text: d.GetMessage()}
}

// remoteError is an error of a kind with the text that came over the wire.
type remoteError struct {
	kind error
	text string
}

func (e *remoteError) Error() string { return e.text }

func (e *remoteError) Unwrap() error { return e.kind }
