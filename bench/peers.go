// SPDX-License-Identifier: Apache-2.0

// What the journal is measured against: a raw file, and the usual schema on SQLite.

package bench

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	sqlite3 "github.com/ncruces/go-sqlite3"

	"example.com/vidimus/journal"
)

// rawFile is the physical limit: the bytes of a group of units in one write and one fdatasync, no format, no checks.
type rawFile struct {
	journal.Store // nothing but Commit is called
	file          *os.File
	at            int64
	buf           []byte
}

func openRaw(b *testing.B) *journal.Log {
	b.Helper()
	f, err := os.Create(filepath.Join(b.TempDir(), "raw"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	return journal.New(&rawFile{file: f})
}

func (r *rawFile) Commit(_ context.Context, units []*journal.Unit) ([]journal.Outcome, error) {
	r.buf = r.buf[:0]
	for _, u := range units {
		for _, a := range u.Appends {
			for _, e := range a.Events {
				r.buf = append(r.buf, e.ID[:]...)
				r.buf = append(r.buf, a.Stream...)
				r.buf = append(r.buf, e.Type...)
				r.buf = append(r.buf, e.Data...)
				r.buf = append(r.buf, e.Meta...)
			}
		}
	}
	if _, err := r.file.WriteAt(r.buf, r.at); err != nil {
		return nil, err
	}
	r.at += int64(len(r.buf))
	return make([]journal.Outcome, len(units)), syscall.Fdatasync(int(r.file.Fd()))
}

// plain is the schema that event stores on SQLite usually have: unique (stream, version), unique id, and a row for
// each stream that is updated by every append. It is as durable as ours, and behind the same queue.
type plain struct {
	journal.Store
	db                                    *sqlite3.Conn
	begin, commit, head, insert, saveHead *sqlite3.Stmt
}

const plainSchema = `
	PRAGMA journal_mode = wal; PRAGMA synchronous = full; PRAGMA cache_size = -65536; PRAGMA temp_store = memory;
	CREATE TABLE streams(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, version INTEGER NOT NULL);
	CREATE TABLE events(position INTEGER PRIMARY KEY AUTOINCREMENT, stream INTEGER NOT NULL, version INTEGER NOT NULL,
		id BLOB NOT NULL UNIQUE, type TEXT NOT NULL, time INTEGER NOT NULL, data BLOB, meta BLOB,
		UNIQUE(stream, version));`

func openPlain(b *testing.B) *journal.Log {
	b.Helper()
	db, err := sqlite3.Open(filepath.Join(b.TempDir(), "plain.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	if err := db.Exec(plainSchema); err != nil {
		b.Fatal(err)
	}
	p := &plain{db: db}
	for _, s := range []struct {
		into **sqlite3.Stmt
		sql  string
	}{
		{&p.begin, `BEGIN IMMEDIATE`},
		{&p.commit, `COMMIT`},
		{&p.head, `SELECT id, version FROM streams WHERE name = ?`},
		{&p.insert, `INSERT INTO events(stream, version, id, type, time, data, meta) VALUES(?, ?, ?, ?, ?, ?, ?)`},
		{&p.saveHead, `INSERT INTO streams(name, version) VALUES(?, ?)
			ON CONFLICT(name) DO UPDATE SET version = excluded.version RETURNING id`},
	} {
		if *s.into, _, err = db.PrepareFlags(s.sql, sqlite3.PREPARE_PERSISTENT); err != nil {
			b.Fatal(err)
		}
	}
	return journal.New(p)
}

func (p *plain) Commit(_ context.Context, units []*journal.Unit) ([]journal.Outcome, error) {
	outcomes := make([]journal.Outcome, len(units))
	if err := p.begin.Exec(); err != nil {
		return nil, err
	}
	for i, u := range units {
		for k := range u.Appends {
			if err := p.append(&u.Appends[k], &outcomes[i]); err != nil {
				return nil, err
			}
		}
	}
	return outcomes, p.commit.Exec()
}

func (p *plain) append(a *journal.Append, out *journal.Outcome) error {
	version := journal.Version(0)
	if err := p.head.BindText(1, string(a.Stream)); err != nil {
		return err
	}
	if p.head.Step() {
		version = journal.Version(p.head.ColumnInt64(1))
	}
	if err := p.head.Reset(); err != nil {
		return err
	}
	if !a.Expect.Holds(version) {
		out.Err = journal.ErrConflict
		return nil
	}
	if err := p.bindAll(p.saveHead, string(a.Stream), int64(version)+int64(len(a.Events))); err != nil {
		return err
	}
	p.saveHead.Step()
	stream := p.saveHead.ColumnInt64(0)
	if err := p.saveHead.Reset(); err != nil {
		return err
	}
	for i := range a.Events {
		e := &a.Events[i]
		version++
		err := p.bindAll(p.insert, stream, int64(version), e.ID[:], e.Type, e.Time.UnixMicro(), e.Data, e.Meta)
		if err != nil {
			return err
		}
		if err := p.insert.Exec(); err != nil {
			return err
		}
	}
	return nil
}

func (p *plain) bindAll(s *sqlite3.Stmt, values ...any) (err error) {
	for i, value := range values {
		switch v := value.(type) {
		case int64:
			err = s.BindInt64(i+1, v)
		case string:
			err = s.BindText(i+1, v)
		case []byte:
			err = s.BindBlob(i+1, v)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
