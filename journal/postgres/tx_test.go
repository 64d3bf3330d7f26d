// SPDX-License-Identifier: Apache-2.0

// Units in transactions of the user.

//go:build unix

package postgres

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/internal/pgtest"
	"example.com/vidimus/journal"
)

func begin(t testing.TB, c *pgx.Conn, level pgx.TxIsoLevel) pgx.Tx {
	t.Helper()
	tx, err := c.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: level})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	return tx
}

func commit(t testing.TB, tx pgx.Tx) {
	t.Helper()
	if err := Error(tx.Commit(t.Context())); err != nil {
		t.Fatal(err)
	}
}

func TestPlainSQLAppends(t *testing.T) {
	t.Parallel()
	url := pgtest.Open(t)
	log := openLog(t, Config{URL: url})
	c := connect(t, url)
	exec(t, c, `select vidimus.append('order-1', 0, 'order.placed', '{"n": 1}')`)
	exec(t, c, `select vidimus.append('order-1', 1, 'order.paid', '{"n": 2}', '{"actor": "me"}', array['a', 'b"\,{}'],
		'0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b', 3, '1969-07-20 20:17:40+00')`)
	for _, again := range []string{"1", "0", "-1"} {
		exec(t, c, `select vidimus.append('order-1', `+again+`, 'order.paid', '{}',
			id => '0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b')`)
	}
	var got []journal.Event
	for e, err := range log.ReadStream(t.Context(), "order-1", nil) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	if len(got) != 2 {
		t.Fatalf("got %d events, want 2", len(got))
	}
	e := got[1]
	text := fmt.Sprintln(e.Position, e.Version, e.ID, e.Type, e.Schema, e.Time, string(e.Data), string(e.Meta), e.Tags)
	want := `2 2 0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b order.paid 3 1969-07-20 20:17:40 +0000 UTC` +
		` {"n": 2} {"actor": "me"} [a b"\,{}]` + "\n"
	if text != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	for _, bad := range []string{
		`'', 0, 'a', '{}'`, `null, 0, 'a', '{}'`, `E'a\tb', 0, 'a', '{}'`, `'a', -3, 'a', '{}'`, `'a', null, 'a', '{}'`,
		`'a', 0, '', '{}'`, `'a', 0, 'a', '{}', tags => array['']`, `'a', 0, 'a', '{}', schema => 0`,
		`repeat('a', 256), 0, 'a', '{}'`, `'a', 0, 'a', to_jsonb(repeat('a', 1048576))`,
	} {
		_, err := c.Exec(t.Context(), `select vidimus.append(`+bad+`)`)
		if !errors.Is(Error(err), journal.ErrInvalid) {
			t.Errorf("append(%.40s): got %v, want ErrInvalid", bad, err)
		}
	}
	_, err := c.Exec(t.Context(), `select vidimus.append('order-1', 1, 'order.late', '{}')`)
	var conflict *journal.ConflictError
	if !errors.As(Error(err), &conflict) || *conflict != (journal.ConflictError{Name: "order-1", Expect: 1, Actual: 2}) {
		t.Errorf("got %v, want a conflict at version 2", err)
	}
	sound(t, log)
}

// TestATransactionIsRefusedWithTheReason checks each reason in the journal's words.
func TestATransactionIsRefusedWithTheReason(t *testing.T) {
	t.Parallel()
	url := pgtest.Open(t)
	log := openLog(t, Config{URL: url})
	known := event("test.known")
	if _, err := log.Commit(t.Context(), journal.Unit{
		Appends: []journal.Append{{Stream: "order-1", Events: []journal.EventData{known, event("test.next")}}},
		Records: []journal.RecordWrite{{Kind: journal.KindLease, Key: "mine"}},
	}); err != nil {
		t.Fatal(err)
	}
	c := connect(t, url)
	for name, test := range map[string]struct {
		unit journal.Unit
		want error
	}{
		"conflict": {
			journal.Unit{Appends: []journal.Append{{Stream: "order-1", Events: []journal.EventData{event("a")}}}},
			&journal.ConflictError{Name: "order-1", Expect: journal.None, Actual: 2},
		},
		"record": {
			journal.Unit{Records: []journal.RecordWrite{{Kind: "note", Key: "a", Expect: journal.Exactly(4)}}},
			&journal.ConflictError{Name: "note/a", Expect: journal.Exactly(4)},
		},
		"fence": {
			journal.Unit{Fences: []journal.Fence{{Lease: "mine", Epoch: 3}}},
			&journal.FencedError{Lease: "mine", Held: 3, Current: 1},
		},
		"condition": {
			journal.Unit{Conditions: []journal.Condition{{Filter: journal.Filter{{Category: "order"}}}}},
			journal.ErrCondition,
		},
		"id": {
			journal.Unit{Appends: []journal.Append{
				{Stream: "order-1", Expect: journal.Any, Events: []journal.EventData{known, event("a")}},
			}},
			journal.ErrIDReused,
		},
	} {
		tx := begin(t, c, pgx.ReadCommitted)
		if err := Tx(tx, "").Add(t.Context(), test.unit); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		err := Error(tx.Commit(t.Context()))
		if fmt.Sprint(err) != fmt.Sprint(test.want) && !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
	}
	if err := Error(nil); err != nil {
		t.Errorf("no error became %v", err)
	}
	if err := Error(errUser); !errors.Is(err, errUser) {
		t.Errorf("an error of the user's became %v", err)
	}
}

var errUser = errors.New("user's")

func TestAClosedTransactionTakesNoUnits(t *testing.T) {
	t.Parallel()
	url := pgtest.Open(t)
	openLog(t, Config{URL: url})
	tx := begin(t, connect(t, url), pgx.ReadCommitted)
	commit(t, tx)
	if err := Tx(tx, "").Append(t.Context(), "a-1", journal.Any, event("a")); !errors.Is(err, pgx.ErrTxClosed) {
		t.Errorf("got %v, want ErrTxClosed", err)
	}
}

func TestASavepointTakesItsUnitsBack(t *testing.T) {
	t.Parallel()
	url := pgtest.Open(t)
	log := openLog(t, Config{URL: url})
	tx := begin(t, connect(t, url), pgx.ReadCommitted)
	add := func(expect journal.Expect) {
		t.Helper()
		if err := Tx(tx, "").Append(t.Context(), "a-1", expect, event("a")); err != nil {
			t.Fatal(err)
		}
	}
	add(journal.None)
	exec(t, tx.Conn(), "savepoint s")
	add(journal.Exactly(1))
	exec(t, tx.Conn(), "rollback to s")
	add(journal.Exactly(1))
	commit(t, tx)
	if head, err := log.Head(t.Context()); err != nil || head.Position != 2 {
		t.Errorf("head: got %v, %v; want position 2", head, err)
	}
	sound(t, log)
}

func TestATransactionWithUnitsCannotBePrepared(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t, &pgtest.Options{Settings: map[string]string{"max_prepared_transactions": "5"}})
	url := server.Database(t)
	log := openLog(t, Config{URL: url})
	c := connect(t, url)
	for _, u := range []journal.Unit{
		{Appends: []journal.Append{{Stream: "a-1", Expect: journal.Any, Events: []journal.EventData{event("a")}}}},
		{Records: []journal.RecordWrite{{Kind: "note", Key: "a", Expect: journal.Any}}},
	} {
		tx := begin(t, c, pgx.ReadCommitted)
		if err := Tx(tx, "").Add(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Exec(t.Context(), "prepare transaction 'kept'"); err == nil {
			t.Error("the transaction was prepared, and keeps the lock")
			exec(t, c, "rollback prepared 'kept'")
		}
	}
	appendOne(t, log, "a-1", journal.None)
}

// TestASnapshotHeldElsewhereCostsNothing checks what decays elsewhere: nothing but records may leave dead rows, and
// what transactions staged is not looked for among what others staged.
func TestASnapshotHeldElsewhereCostsNothing(t *testing.T) {
	t.Parallel()
	url := pgtest.Server(t, nil).Database(t)
	log := openLog(t, Config{URL: url})
	appendOne(t, log, "order-0", journal.None)
	hold(t, url)
	c := connect(t, url)
	const n = 400
	var early, late int64
	for i := range n {
		appendOne(t, log, journal.Stream(fmt.Sprintf("order-%d", i%20)), journal.Any)
		began := clock.Now()
		tx := begin(t, c, pgx.ReadCommitted)
		if err := Tx(tx, "").Append(t.Context(), "staged-1", journal.Any, event("a")); err != nil {
			t.Fatal(err)
		}
		commit(t, tx)
		if took := clock.Since(began).Microseconds(); i < n/4 {
			early += took
		} else if i >= n-n/4 {
			late += took
		}
	}
	t.Logf("a transaction took %d µs at first, %d µs at last", early/(n/4), late/(n/4))
	exec(t, c, "analyze") // so that statistics are sent
	var dead, size int64
	err := c.QueryRow(t.Context(), `select sum(n_tup_upd + n_tup_del), pg_total_relation_size('vidimus.staged')
		from pg_stat_user_tables where schemaname = 'vidimus' and relname in ('events', 'streams', 'log')`).Scan(&dead, &size)
	if err != nil || dead != 0 {
		t.Errorf("rows of events and streams updated or deleted: %d, %v; want 0", dead, err)
	}
	t.Logf("%d units staged take %d bytes while the snapshot is held", n, size)
	sound(t, log)
}
