// SPDX-License-Identifier: Apache-2.0

// The tables, and how older files become newer ones.

package sqlite

import (
	"fmt"

	"github.com/ncruces/go-sqlite3"

	"example.com/vidimus/internal/chance"
	"example.com/vidimus/journal"
)

// applicationID marks a file that the journal made: "Vidi".
const applicationID = 0x56696469

// format1 is the first stored format. It never changes: a new format is a new step.
const format1 = `
CREATE TABLE journal_events(
  position INTEGER PRIMARY KEY,
  stream   TEXT    NOT NULL,
  version  INTEGER NOT NULL,
  prev     INTEGER NOT NULL, -- position of the stream's event before, 0 for the first
  skip     INTEGER NOT NULL, -- position of the stream's event at the last multiple of 64 below version, or 0
  id       BLOB    NOT NULL,
  type     TEXT    NOT NULL,
  schema   INTEGER NOT NULL,
  time     INTEGER NOT NULL, -- microseconds since 1970
  tags     TEXT,             -- one a line
  meta     BLOB,
  data     BLOB
) STRICT;
CREATE TRIGGER journal_events_stay BEFORE UPDATE ON journal_events
  BEGIN SELECT raise(ABORT, 'events are never changed; append another'); END;
CREATE TRIGGER journal_events_remain BEFORE DELETE ON journal_events
  BEGIN SELECT raise(ABORT, 'events are never deleted'); END;
CREATE TABLE journal_streams( -- ends of streams as of some position at or after journal_log.heads_from
  name     TEXT    PRIMARY KEY,
  version  INTEGER NOT NULL,
  position INTEGER NOT NULL,
  skip     INTEGER NOT NULL,
  newest   BLOB    NOT NULL -- the greatest id
) STRICT, WITHOUT ROWID;
CREATE TABLE journal_tags(
  tag      TEXT    NOT NULL,
  position INTEGER NOT NULL,
  PRIMARY KEY(tag, position)
) STRICT, WITHOUT ROWID;
CREATE TABLE journal_records(
  kind     TEXT    NOT NULL,
  key      TEXT    NOT NULL,
  version  INTEGER NOT NULL,
  due      INTEGER, -- microseconds since 1970
  value    BLOB,
  PRIMARY KEY(kind, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX journal_records_due ON journal_records(kind, due, key) WHERE due IS NOT NULL;
CREATE TABLE journal_log(
  one        INTEGER PRIMARY KEY CHECK(one = 1),
  format     INTEGER NOT NULL,
  log        TEXT    NOT NULL,
  epoch      INTEGER NOT NULL,
  heads_from INTEGER NOT NULL, -- journal_streams covers every event up to here
  streams    INTEGER NOT NULL, -- how many streams began up to heads_from
  high       INTEGER NOT NULL, -- no position up to here is given out again, whether its event is there or not
  missing    INTEGER NOT NULL  -- positions up to the end that have no event
) STRICT;
INSERT INTO journal_log VALUES(1, 0, '', 1, 0, 0, 0, 0);
`

// upgrade makes the tables of a new file, or brings those of an older release up to date, in one transaction.
func (s *store) upgrade(c *conn) error {
	format, _, err := s.format(c)
	if err != nil {
		return s.unavailable("read", err)
	}
	steps := s.tuning.formats
	switch {
	case format > len(steps):
		return fmt.Errorf("%w: %s has format %d, this program knows up to %d; upgrade the program",
			journal.ErrTooNew, s.path, format, len(steps))
	case format == len(steps):
		return nil
	}
	if err := c.writing(func() error { return s.climb(c, steps) }); err != nil {
		return s.unavailable("upgrade", err)
	}
	return nil
}

// climb takes the steps that the file has not taken yet.
func (s *store) climb(c *conn, steps []string) error {
	format, empty, err := s.format(c) // again, now that nobody else can change it
	if err != nil {
		return err
	}
	if empty {
		if err := c.Exec(fmt.Sprintf("PRAGMA application_id = %d", applicationID)); err != nil {
			return err
		}
	}
	for _, step := range steps[min(format, len(steps)):] {
		if err := c.Exec(step); err != nil {
			return err
		}
	}
	if format == 0 {
		if err := c.exec("UPDATE journal_log SET log = ?", chance.Short()); err != nil {
			return err
		}
	}
	return c.exec("UPDATE journal_log SET format = ?", len(steps))
}

// format returns the format of the file's tables, 0 when there are none. It refuses files of other applications.
func (s *store) format(c *conn) (format int, empty bool, err error) {
	var tables, journals, application int64
	const q = "SELECT (SELECT count(*) FROM sqlite_schema), " +
		"(SELECT count(*) FROM sqlite_schema WHERE name = 'journal_log'), " +
		"(SELECT application_id FROM pragma_application_id)"
	err = c.query(q, nil, func(r row) error {
		tables, journals, application = r.int(0), r.int(1), r.int(2)
		return nil
	})
	switch {
	case err != nil:
		return 0, false, err
	case journals > 0:
		err = c.query("SELECT format FROM journal_log", nil, func(r row) error {
			format = int(r.int(0))
			return nil
		})
		if err == nil && format < 1 {
			err = fmt.Errorf("journal_log holds no format: %w", sqlite3.CORRUPT)
		}
		return format, false, err
	case application != 0 && application != applicationID:
		return 0, false, &journal.InvalidError{Field: "path", Problem: fmt.Sprintf(
			"%s is a file of another application (SQLite application_id %#x); name another one", s.path, application)}
	}
	return 0, tables == 0, nil
}
