// SPDX-License-Identifier: Apache-2.0

// What SQLite reports, in the journal's words.

package sqlite

import (
	"errors"
	"fmt"

	"github.com/ncruces/go-sqlite3"

	"example.com/vidimus/journal"
)

// unavailable says why the file could not be used, and what to do. Errors that say so already pass.
func (s *store) unavailable(doing string, err error) error {
	for _, known := range []error{journal.ErrUnavailable, journal.ErrInvalid, journal.ErrTooNew, journal.ErrClosed} {
		if errors.Is(err, known) {
			return err
		}
	}
	return fmt.Errorf("%w: cannot %s %s: %w; %s", journal.ErrUnavailable, doing, s.path, err, s.remedy(err))
}

// uncertain says that the last step of a commit failed. A disk that refuses the write for want of space or rights is
// an exception: the mark that makes a commit valid is written last, and could not be.
func (s *store) uncertain(err error) error {
	if errors.Is(err, sqlite3.BUSY) || errors.Is(err, sqlite3.READONLY) || s.full(err) {
		return s.unavailable("write to", err)
	}
	return fmt.Errorf("%w: %s failed while a commit was made durable: %w; commit the same units again, and %s",
		journal.ErrUncertain, s.path, err, s.remedy(err))
}

// full reports whether a write failed because the disk has no space left. The driver does not always say so.
func (s *store) full(err error) bool {
	return errors.Is(err, sqlite3.FULL) ||
		(errors.Is(err, sqlite3.IOERR_WRITE) || errors.Is(err, sqlite3.IOERR_SHMSIZE)) && s.lock.diskFull()
}

func (s *store) remedy(err error) string {
	if s.full(err) {
		return "free space on its disk, then try again"
	}
	var code sqlite3.ErrorCode
	if !errors.As(err, &code) {
		return "see what the operating system says of it"
	}
	switch code {
	case sqlite3.READONLY, sqlite3.PERM, sqlite3.AUTH:
		return "make the file and its folder writable for this process, then try again"
	case sqlite3.CANTOPEN:
		return "check that it can be read and written, and its folder too"
	case sqlite3.NOTADB:
		return "it is no SQLite database: name another file"
	case sqlite3.CORRUPT:
		return "the file is damaged: restore a backup, then renew the journal's epoch"
	case sqlite3.BUSY, sqlite3.LOCKED:
		return "another transaction holds the file: keep those short, then try again"
	case sqlite3.IOERR:
		return "check the disk, then try again"
	default:
		return "try again"
	}
}
