// SPDX-License-Identifier: Apache-2.0

// What PostgreSQL says, in the journal's words.

package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"example.com/vidimus/journal"
)

// Codes that our functions raise.
const (
	codeDiverged  = "VD001"
	codeConflict  = "VD002"
	codeCondition = "VD003"
	codeFenced    = "VD004"
	codeReused    = "VD005"
	codeInvalid   = "VD006"
	codeSession   = "VD008"
)

// Error translates what a transaction returned that holds units added by [Transaction]: the error of its Commit, or of
// a statement. The result is one that errors.Is finds to be [journal.ErrConflict] (with [journal.ConflictError] where
// the version is known), [journal.ErrCondition], [journal.ErrFenced] (with [journal.FencedError]),
// [journal.ErrIDReused], [journal.ErrInvalid] or [journal.ErrUncertain]; nothing was written then, but for the last.
// Other errors, and nil, come back as they are. It may be called by any goroutine.
func Error(err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		if lost(err) && !pgconn.SafeToRetry(err) {
			return fmt.Errorf("%w: %w", journal.ErrUncertain, err)
		}
		return err
	}
	if ours := fromServer(pg); ours != nil {
		return ours
	}
	if pg.SeverityUnlocalized != "ERROR" { // the session ended, perhaps after the commit
		return fmt.Errorf("%w: %w", journal.ErrUncertain, err)
	}
	if pg.Code == "23505" && strings.Contains(pg.Where, "sequence_staged()") {
		return fmt.Errorf("%w: somebody else wrote to the same stream or record after this transaction's snapshot "+
			"was taken; run the transaction again (%w)", journal.ErrConflict, err)
	}
	return err
}

// lost reports whether an error is that of a broken connection.
func lost(err error) bool {
	var broken net.Error
	return errors.As(err, &broken) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// fromServer returns nil for errors that our functions do not raise.
func fromServer(pg *pgconn.PgError) error {
	message := pg.Message
	if pg.Hint != "" {
		message += ": " + pg.Hint
	}
	switch pg.Code {
	case codeDiverged:
		return fmt.Errorf("%w: %s; it was renewed, restored or replaced: open the journal again",
			journal.ErrDiverged, message)
	case codeConflict:
		var at struct {
			Name           string
			Expect, Actual int64
		}
		if err := json.Unmarshal([]byte(pg.Detail), &at); err != nil {
			return fmt.Errorf("%w: %s", journal.ErrConflict, message)
		}
		return &journal.ConflictError{
			Name: at.Name, Expect: journal.Expect(at.Expect), Actual: journal.Version(at.Actual),
		}
	case codeCondition:
		return fmt.Errorf("%w: %s", journal.ErrCondition, message)
	case codeFenced:
		var at struct {
			Lease         string
			Held, Current int64
		}
		if err := json.Unmarshal([]byte(pg.Detail), &at); err != nil {
			return fmt.Errorf("%w: %s", journal.ErrFenced, message)
		}
		return &journal.FencedError{
			Lease: at.Lease, Held: journal.Epoch(at.Held), Current: journal.Epoch(at.Current),
		}
	case codeReused:
		return fmt.Errorf("%w: %s", journal.ErrIDReused, message)
	case codeInvalid:
		return &journal.InvalidError{Field: "transaction", Problem: message}
	}
	return nil
}

// unavailable wraps an error after which nothing was written, with the remedy where there is one.
func unavailable(err error) error {
	for _, ours := range []error{journal.ErrInvalid, journal.ErrTooNew, journal.ErrUnavailable, journal.ErrClosed} {
		if errors.Is(err, ours) {
			return err
		}
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return fmt.Errorf("%w: %w", journal.ErrUnavailable, err)
	}
	if ours := fromServer(pg); ours != nil {
		return ours
	}
	remedy := ""
	switch {
	case pg.Code == "25006":
		remedy = "; connect to the primary (add target_session_attrs=read-write to the URL)"
	case pg.Code == "55P03":
		remedy = "; another transaction keeps the journal locked: look for one that is long in COMMIT"
	case pg.Code == codeSession:
		remedy = ": " + pg.Hint
	case pg.Code == "53100":
		remedy = "; make room on the server's disk"
	case pg.Code == "42501":
		remedy = "; grant this role what the package documentation lists"
	case strings.HasPrefix(pg.Code, "42") || pg.Code == "3F000":
		remedy = "; the schema was changed or dropped: open the journal again"
	}
	return fmt.Errorf("%w: %w%s", journal.ErrUnavailable, err, remedy)
}

// outcome translates the error of a commit that was sent: certain only if the server says that it refused.
func outcome(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.SeverityUnlocalized == "ERROR" || pgconn.SafeToRetry(err) {
		return unavailable(err)
	}
	return fmt.Errorf("%w: the connection broke during the commit: %w", journal.ErrUncertain, err)
}

// reading translates the error of a statement that writes nothing.
func reading(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return unavailable(err)
}

// again reports whether the server asks to try the same once more.
func again(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01")
}
