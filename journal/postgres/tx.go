// SPDX-License-Identifier: Apache-2.0

// Appending in the user's own transaction.

package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"example.com/vidimus/journal"
)

// Transaction adds units to a transaction of the user. One goroutine at a time may use it, as its pgx.Tx.
type Transaction struct {
	tx     pgx.Tx
	schema string
}

// Tx returns what adds units to a transaction in the journal's database. schema is that of [Config]; "" is
// [DefaultSchema].
//
// Units are staged now, and checked and sequenced inside COMMIT, so a transaction that is slow holds up nobody, and one
// that is rolled back leaves nothing. SET CONSTRAINTS ALL IMMEDIATE does it earlier, and then holds up everybody until
// the transaction ends. When a check fails, COMMIT fails and the transaction is rolled back; [Error]
// says why in the journal's words. The events are in the journal's order where COMMIT put them, and they are as durable
// as the transaction: synchronous_commit is turned on for it.
//
// A unit whose events are in the journal already, because the transaction was run again after its answer was lost, is
// not written again. All isolation levels work; above READ COMMITTED a transaction fails with [journal.ErrConflict], or
// a serialization failure of PostgreSQL, when others wrote to its streams or records since its snapshot was taken, and
// units with conditions are refused.
func Tx(tx pgx.Tx, schema string) *Transaction {
	if schema == "" {
		schema = DefaultSchema
	}
	return &Transaction{tx: tx, schema: schema}
}

// Append adds events to a stream. Events without an id get one, in place. It returns the errors of
// [Transaction.Add].
func (t *Transaction) Append(
	ctx context.Context, s journal.Stream, expect journal.Expect, events ...journal.EventData,
) error {
	for i := range events {
		if events[i].ID == (journal.ID{}) {
			events[i].ID = journal.NewID()
		}
	}
	return t.Add(ctx, journal.Unit{Appends: []journal.Append{{Stream: s, Expect: expect, Events: events}}})
}

// Add adds a unit. It returns [journal.ErrInvalid] when the unit breaks a rule, also one of the isolation level, and
// the errors of pgx. What else is wrong with the unit shows when the transaction commits.
func (t *Transaction) Add(ctx context.Context, u journal.Unit) error {
	if err := u.Validate(); err != nil {
		return err
	}
	if err := checkSchema(t.schema); err != nil {
		return err
	}
	c := t.tx.Conn().PgConn()
	if c.TxStatus() == 'I' {
		return fmt.Errorf("add to the transaction: %w", pgx.ErrTxClosed)
	}
	var p params
	stage(&p, &u)
	sql := fill(`select {{schema}}.stage($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13,
		$14::text[]::jsonb[], $15, $16, $17, $18, $19, $20)`, t.schema)
	if err := rows(c.ExecParams(ctx, sql, p.list(), p.oids, binaryFormat, binaryFormat), nil); err != nil {
		return fmt.Errorf("add to the transaction: %w", Error(err))
	}
	return nil
}

// stage writes the parameters of the function stage.
func stage(p *params, u *journal.Unit) {
	p.array(pgtype.TextOID, len(u.Appends))
	for i := range u.Appends {
		p.elementText(string(u.Appends[i].Stream))
	}
	p.end(pgtype.TextArrayOID)
	p.array(pgtype.Int8OID, len(u.Appends))
	for i := range u.Appends {
		p.elementInt8(int64(u.Appends[i].Expect))
	}
	p.end(pgtype.Int8ArrayOID)
	stageEvents(p, u)
	p.array(pgtype.TextOID, len(u.Fences))
	for _, f := range u.Fences {
		p.elementText(f.Lease)
	}
	p.end(pgtype.TextArrayOID)
	p.array(pgtype.Int8OID, len(u.Fences))
	for _, f := range u.Fences {
		p.elementInt8(int64(f.Epoch))
	}
	p.end(pgtype.Int8ArrayOID)
	conditions := make([]*journal.Condition, len(u.Conditions))
	for i := range u.Conditions {
		conditions[i] = &u.Conditions[i]
	}
	appendConditions(p, conditions)
	stageRecords(p, u)
}

// stageEvents writes the events, column by column.
func stageEvents(p *params, u *journal.Unit) {
	n := 0
	for i := range u.Appends {
		n += len(u.Appends[i].Events)
	}
	column := func(element, whole uint32, each func(append int, e *journal.EventData)) {
		p.array(element, n)
		for i := range u.Appends {
			for k := range u.Appends[i].Events {
				each(i, &u.Appends[i].Events[k])
			}
		}
		p.end(whole)
	}
	column(pgtype.Int4OID, pgtype.Int4ArrayOID, func(i int, _ *journal.EventData) { p.elementInt4(i + 1) })
	column(pgtype.UUIDOID, pgtype.UUIDArrayOID, func(_ int, e *journal.EventData) { p.elementID(e.ID) })
	column(pgtype.TextOID, pgtype.TextArrayOID, func(_ int, e *journal.EventData) { p.elementText(e.Type) })
	column(pgtype.Int4OID, pgtype.Int4ArrayOID, func(_ int, e *journal.EventData) { p.elementInt4(e.Schema) })
	column(pgtype.TimestamptzOID, pgtype.TimestamptzArrayOID,
		func(_ int, e *journal.EventData) { p.elementTime(e.Time) })
	column(pgtype.TextOID, pgtype.TextArrayOID, func(_ int, e *journal.EventData) { p.elementTags(e.Tags) })
	column(pgtype.ByteaOID, pgtype.ByteaArrayOID, func(_ int, e *journal.EventData) { p.elementBytes(e.Meta) })
	column(pgtype.ByteaOID, pgtype.ByteaArrayOID, func(_ int, e *journal.EventData) { p.elementBytes(e.Data) })
}

// stageRecords writes the records, column by column.
func stageRecords(p *params, u *journal.Unit) {
	column := func(element, whole uint32, each func(r *journal.RecordWrite)) {
		p.array(element, len(u.Records))
		for i := range u.Records {
			each(&u.Records[i])
		}
		p.end(whole)
	}
	column(pgtype.Int4OID, pgtype.Int4ArrayOID, func(r *journal.RecordWrite) { p.elementInt4(int(r.Op)) })
	column(pgtype.TextOID, pgtype.TextArrayOID, func(r *journal.RecordWrite) { p.elementText(r.Kind) })
	column(pgtype.TextOID, pgtype.TextArrayOID, func(r *journal.RecordWrite) { p.elementText(r.Key) })
	column(pgtype.Int8OID, pgtype.Int8ArrayOID, func(r *journal.RecordWrite) { p.elementInt8(int64(r.Expect)) })
	column(pgtype.TimestamptzOID, pgtype.TimestamptzArrayOID, func(r *journal.RecordWrite) { p.elementDue(r.Due) })
	column(pgtype.ByteaOID, pgtype.ByteaArrayOID, func(r *journal.RecordWrite) { p.elementBytes(r.Value) })
}
