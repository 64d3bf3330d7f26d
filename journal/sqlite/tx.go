// SPDX-License-Identifier: Apache-2.0

// Events in the application's own transactions.

package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/internal/plan"
)

// DSN returns the data source name under which database/sql, with the driver github.com/ncruces/go-sqlite3/driver,
// opens the file of a journal so that [Tx] can be used: transactions take the write lock when they begin, wait for it
// as long as a commit of the log does, and are as durable.
func DSN(path string) string {
	return fmt.Sprintf("file:%s?_txlock=immediate&_pragma=busy_timeout(%d)&_pragma=synchronous(full)",
		(&url.URL{Path: filepath.ToSlash(path)}).EscapedPath(), busyTimeout.Milliseconds())
}

// Transaction adds units to a transaction of the application's. One goroutine at a time may use it.
type Transaction struct {
	log *journal.Log
	tx  *sql.Tx
}

// Tx joins a transaction that the application began on the file of the log, in the process that has the log open: see
// [DSN]. What is added becomes durable, and visible to readers, with the rows that the transaction writes, when it
// commits, or not at all. Followers see it within a tenth of a second. From the first Add on, commits of the log wait
// until the transaction ends, so keep it short.
func Tx(log *journal.Log, tx *sql.Tx) *Transaction { return &Transaction{log, tx} }

// Append appends events to one stream, as Add does. Events without an id get one, in place.
func (t *Transaction) Append(ctx context.Context, s journal.Stream, e journal.Expect, events ...journal.EventData,
) (journal.Result, error) {
	for i := range events {
		if events[i].ID == (journal.ID{}) {
			events[i].ID = journal.NewID()
		}
	}
	return t.Add(ctx, journal.Unit{Appends: []journal.Append{{Stream: s, Expect: e, Events: events}}})
}

// Add checks a unit and writes it into the transaction. Its checks cover what the transaction wrote before. The result
// holds once the transaction has committed. After an error nothing of the unit is in the transaction, which may go on.
// Add returns the errors of [journal.Log.Commit], and [journal.ErrInvalid] for a transaction on another file or one
// that does not reach the disk.
func (t *Transaction) Add(ctx context.Context, u journal.Unit) (journal.Result, error) {
	if err := u.Validate(); err != nil {
		return journal.Result{}, err
	}
	s, ok := t.log.Store().(*store)
	if !ok || s.alone {
		return journal.Result{}, invalidTx("the log is not one that sqlite.Open opened on a file with locks")
	}
	select {
	case <-s.closed:
		return journal.Result{}, journal.ErrClosed
	default:
	}
	out, err := s.addTo(ctx, &txDB{ctx, t.tx}, &u)
	switch {
	case err == nil:
		return out.Result, out.Err
	case ctx.Err() != nil:
		return journal.Result{}, ctx.Err()
	}
	return journal.Result{}, s.unavailable("write to", err)
}

func invalidTx(problem string) error { return &journal.InvalidError{Field: "tx", Problem: problem} }

// addTo plans a unit on what the transaction sees and writes it.
func (s *store) addTo(ctx context.Context, db *txDB, u *journal.Unit) (journal.Outcome, error) {
	if err := s.join(ctx, db); err != nil {
		return journal.Outcome{}, err
	}
	b, out, err := s.planIn(db, u)
	if err != nil || out.Err != nil || len(b.Rows) == 0 && len(b.Changes) == 0 {
		return out, err
	}
	if err := db.exec("SAVEPOINT journal_unit"); err != nil {
		return journal.Outcome{}, err
	}
	if err := writeIn(db, b); err != nil {
		return journal.Outcome{}, errors.Join(err, db.undo())
	}
	return out, db.exec("RELEASE journal_unit")
}

// join takes the write lock, unless the transaction has it, and makes sure of the file and of its durability.
func (s *store) join(ctx context.Context, db *txDB) error {
	if err := db.exec("DELETE FROM journal_records WHERE kind = ''"); err != nil {
		if strings.Contains(err.Error(), "no such table") {
			return invalidTx("there is no journal in the transaction's file; begin it on " + s.path)
		}
		return fmt.Errorf("%w (begin transactions that append with the lock, as sqlite.DSN does)", err)
	}
	var log string
	if err := db.query("SELECT log FROM journal_log", nil, func(r row) error {
		log = r.text(0)
		return nil
	}); err != nil {
		return err
	}
	if log != s.log {
		return invalidTx(fmt.Sprintf("the transaction is on a file with journal %s; begin it on %s", log, s.path))
	}
	return db.query("PRAGMA synchronous", nil, func(r row) error {
		if r.int(0) < 2 {
			return invalidTx("its connection may lose commits when the power fails; set PRAGMA synchronous = FULL, " +
				"as sqlite.DSN does")
		}
		return nil
	})
}

// planIn decides a unit. What the file has after the end that the store knows is read through the transaction: its own
// events, and those of others before it.
func (s *store) planIn(db *txDB, u *journal.Unit) (*plan.Batch, journal.Outcome, error) {
	s.state.Lock()
	defer s.state.Unlock()
	last := s.state.last
	var tail []tailEvent
	if err := readTail(db, last, func(e tailEvent) error {
		tail = append(tail, e)
		return nil
	}); err != nil {
		return nil, journal.Outcome{}, err
	}
	f := &facts{db: db, ends: []map[journal.Stream]plan.Head{{}, s.state.heads.unsaved}}
	for _, e := range tail {
		h, err := f.after(e)
		if err != nil {
			return nil, journal.Outcome{}, err
		}
		f.ends[0][e.stream] = h
		last = e.Position
	}
	b := plan.New(f, last)
	b.Epoch = s.state.epoch
	out, err := b.Add(u)
	return b, out, err
}

func writeIn(db *txDB, b *plan.Batch) error {
	for i := range b.Rows {
		r := &b.Rows[i]
		err := db.exec(insertEvent, int64(r.Position), string(r.Stream), int64(r.Version), int64(r.Prev), int64(r.Skip),
			r.ID[:], r.Type, int64(r.Schema), r.Time.UnixMicro(), orNull(strings.Join(r.Tags, "\n")),
			orNull(r.Meta), orNull(r.Data))
		if err == nil {
			err = writeTags(db, r)
		}
		if err != nil {
			return err
		}
	}
	for i := range b.Changes {
		if err := writeRecord(db, &b.Changes[i]); err != nil {
			return err
		}
	}
	return nil
}

func orNull[T string | []byte](v T) any {
	if len(v) == 0 {
		return nil
	}
	return v
}

// txDB implements [database] on the application's transaction, for the length of one call.
type txDB struct {
	ctx context.Context
	tx  *sql.Tx
}

func (d *txDB) exec(q string, args ...any) error {
	_, err := d.tx.ExecContext(d.ctx, q, args...)
	return err
}

// undo takes back what a unit has written of itself.
func (d *txDB) undo() error {
	_, err := d.tx.ExecContext(context.WithoutCancel(d.ctx), "ROLLBACK TO journal_unit; RELEASE journal_unit")
	return err
}

func (d *txDB) query(q string, args []any, each func(r row) error) (err error) {
	rows, err := d.tx.QueryContext(d.ctx, q, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	r := make(txRow, len(columns))
	into := make([]any, len(columns))
	for i := range r {
		into[i] = &r[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if err := each(r); errors.Is(err, errEnough) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return rows.Err()
}

type txRow []any

func (r txRow) int(col int) int64 {
	n, _ := r[col].(int64) // NULL is 0
	return n
}

func (r txRow) text(col int) string {
	s, _ := r[col].(string)
	return s
}

func (r txRow) bytes(col int) []byte {
	b, _ := r[col].([]byte)
	return b
}
