// SPDX-License-Identifier: Apache-2.0

// Cases about appending inside the user's own transaction: business row and event commit or vanish together.

package journaltest

import (
	"errors"
	"fmt"
	"slices"

	"example.com/vidimus/journal"
)

func txCases() []testCase {
	all := []testCase{
		{name: "row and events are committed together", run: txCommits},
		{name: "a rollback leaves neither row nor event nor gap", run: txRollsBack},
		{name: "a conflict in a transaction undoes the row", run: txConflicts},
		{name: "a transaction that was written before is not written again", run: txDuplicates},
		{name: "units of one transaction see each other and keep their order", run: txSeveralUnits},
		{name: "fences, conditions and records hold in a transaction", run: txChecks},
		{name: "after renewing, a lease taken in a transaction goes on above", run: txLeaseAfterRenew},
		{name: "a condition cannot be checked against an old snapshot", run: txConditionOnSnapshot},
		{name: "a transaction with a stale snapshot cannot break a stream", run: txStaleSnapshot},
		{name: "a slow transaction holds up nobody and is not skipped by followers", run: txSlow},
		{name: "a log sees at once what transactions wrote, and the other way round", run: txAndLog},
		{name: "transactions and logs that race leave one clean order", run: txRace},
		{name: "a transaction may hold a thousand events", run: txLarge},
	}
	for i := range all {
		all[i].needs = needsTx
	}
	return all
}

var errUndo = errors.New("undo")

// do runs a transaction that must commit.
func (k *kit) do(isolation string, fn func(tx Tx) error) {
	k.Helper()
	if err := k.h.Tx.Do(k.ctx, k.log, isolation, fn); err != nil {
		k.Fatalf("%s transaction: %v", isolation, err)
	}
}

// undone runs a transaction that must fail for cause, and leave no trace.
func (k *kit) undone(isolation string, cause error, fn func(tx Tx) error) error {
	k.Helper()
	head, rows := k.head(), k.rows()
	err := k.h.Tx.Do(k.ctx, k.log, isolation, fn)
	if !errors.Is(err, cause) {
		k.Fatalf("%s transaction: got %v, want %v", isolation, err, cause)
	}
	same(k, "head after a rollback", k.head(), head)
	same(k, "rows after a rollback", k.rows(), rows)
	return err
}

func (k *kit) rows() []string {
	k.Helper()
	rows := slices.Clone(k.h.Tx.Rows(k))
	slices.Sort(rows)
	return rows
}

// write inserts a row and adds units.
func (k *kit) write(row string, units ...journal.Unit) func(Tx) error {
	return func(tx Tx) error {
		if err := tx.Insert(k.ctx, row); err != nil {
			return err
		}
		for _, u := range units {
			if err := tx.Add(k.ctx, u); err != nil {
				return err
			}
		}
		return nil
	}
}

func txCommits(k *kit) {
	k.append("order-1", journal.None, event("test.one"))
	var want []string
	for i, isolation := range k.h.Tx.Isolations {
		two := events(2)
		k.do(isolation, k.write(isolation, unit(to("order-1", journal.Exactly(journal.Version(2*i+1)), two...),
			to(journal.Stream(fmt.Sprintf("new-%d", i)), journal.None, event("test.new", "tag:new")))))
		got := k.stream("order-1", nil)
		same(k, "events", len(got), 2*i+3)
		for n, e := range got[2*i+1:] {
			same(k, "event", normal([]journal.Event{e})[0], wanted(two[n], "order-1", e.Version, e.Position))
		}
		want = append(want, isolation)
	}
	slices.Sort(want)
	same(k, "rows", k.rows(), want)
	tagged := k.read(journal.ReadOptions{Filter: journal.Filter{{Tags: only("tag:new")}}})
	same(k, "tagged events", len(tagged), len(want))
	k.sound()
}

func txRollsBack(k *kit) {
	k.append("order-1", journal.None, event("test.one"))
	for i, isolation := range k.h.Tx.Isolations {
		u := unit(to("order-1", journal.Exactly(journal.Version(i+1)), events(3)...),
			to("never-1", journal.None, event("test.never")))
		u.Records = []journal.RecordWrite{{Kind: "note", Key: "never"}}
		k.undone(isolation, errUndo, func(tx Tx) error {
			return errors.Join(k.write("never", u)(tx), errUndo)
		})
		k.noRecord("note", "never")
		k.append("order-1", journal.Exactly(journal.Version(i+1)), event("test.next"))
	}
	same(k, "events of a stream never written", len(k.stream("never-1", nil)), 0)
	k.append("never-1", journal.None, event("test.first"))
	k.sound()
}

func txConflicts(k *kit) {
	k.append("order-1", journal.None, events(3)...)
	for _, isolation := range k.h.Tx.Isolations {
		err := k.undone(isolation, journal.ErrConflict,
			k.write("row", unit(to("order-1", journal.Exactly(2), event("test.stale")))))
		var conflict *journal.ConflictError
		if !errors.As(err, &conflict) {
			k.Fatalf("got %v, want a ConflictError", err)
		}
		same(k, "conflict", *conflict, journal.ConflictError{Name: "order-1", Expect: 2, Actual: 3})
		k.undone(isolation, journal.ErrConflict, k.write("row", unit(to("order-2", journal.None, event("test.fine"))),
			unit(to("order-1", journal.None, event("test.stale")))))
		k.undone(isolation, journal.ErrConflict, k.write("row", unit(to("order-1", journal.Exactly(9)))))
		k.undone(isolation, journal.ErrInvalid, k.write("row", unit(to("order-1", journal.Any, event("")))))
	}
	k.sound()
}

func txDuplicates(k *kit) {
	for i, isolation := range k.h.Tx.Isolations {
		s := journal.Stream(fmt.Sprintf("order-%d", i))
		inLog := unit(to(s, journal.None, events(2)...))
		k.commit(inLog)
		k.do(isolation, k.write("a", inLog))
		same(k, "events", len(k.stream(s, nil)), 2)
		inTx := unit(to(s, journal.Any, events(2)...))
		k.do(isolation, k.write("b", inTx))
		k.do(isolation, k.write("c", inTx))
		same(k, "events", len(k.stream(s, nil)), 4)
		res := k.commit(inTx)
		same(k, "duplicate", res.Duplicate, true)
		same(k, "versions", res.Versions, []journal.Version{4})
		k.do(isolation, k.write("d", unit(to(s, journal.Exactly(4), event("test.next"))), inTx))
		same(k, "events", len(k.stream(s, nil)), 5)
		k.undone(isolation, journal.ErrIDReused,
			k.write("e", unit(to(s, journal.Any, event("test.new"), inTx.Appends[0].Events[0]))))
	}
	same(k, "rows", len(k.rows()), 4*len(k.h.Tx.Isolations))
	k.sound()
}

func txSeveralUnits(k *kit) {
	for i, isolation := range k.h.Tx.Isolations {
		s, t := journal.Stream(fmt.Sprintf("order-%d", i)), journal.Stream(fmt.Sprintf("cart-%d", i))
		before := k.head().Position
		var want []journal.ID
		var units []journal.Unit
		for n := range journal.Version(5) {
			a, b := event("test.a"), event("test.b")
			units = append(units, unit(to(s, journal.Exactly(n), a), to(t, journal.Exactly(n), b)))
			want = append(want, a.ID, b.ID)
		}
		k.do(isolation, k.write("row", units...))
		same(k, "ids in their order", ids(k.read(journal.ReadOptions{After: before})), want)
		k.undone(isolation, journal.ErrConflict, k.write("row", unit(to(s, journal.Exactly(5), event("test.six"))),
			unit(to(s, journal.Exactly(5), event("test.again")))))
	}
	k.sound()
}

func txChecks(k *kit) {
	k.put(take("owner"))
	k.put(take("owner"))
	isolation := k.h.Tx.Isolations[0]
	u := fenced("owner", 2, "order-1")
	u.Conditions = []journal.Condition{{Filter: journal.Filter{{Tags: only("seat:1")}}}}
	u.Appends[0].Events[0].Tags = only("seat:1")
	u.Records = []journal.RecordWrite{{Kind: "note", Key: "n", Value: []byte("x")}}
	k.do(isolation, k.write("row", u))
	same(k, "record", string(k.record("note", "n").Value), "x")
	again := u
	again.Appends = []journal.Append{to("order-2", journal.None, event("test.seat", "seat:1"))}
	again.Records = nil
	k.undone(isolation, journal.ErrCondition, k.write("row", again))
	for _, at := range k.h.Tx.Isolations {
		k.undone(at, journal.ErrFenced, k.write("row", fenced("owner", 1, "order-1")))
		k.undone(at, journal.ErrConflict, k.write("row", journal.Unit{Records: []journal.RecordWrite{
			{Kind: "note", Key: "n", Expect: journal.None},
		}}))
		v := k.record("note", "n").Version
		k.do(at, k.write("row", journal.Unit{Records: []journal.RecordWrite{
			{Kind: "note", Key: "n", Expect: journal.Exactly(v)},
		}}))
		same(k, "version of the record", k.record("note", "n").Version, v+1)
	}
	k.sound()
}

func txLeaseAfterRenew(k *kit) {
	isolation := k.h.Tx.Isolations[0]
	k.do(isolation, k.write("first", journal.Unit{Records: []journal.RecordWrite{take("owner")}}))
	same(k, "first epoch", k.record(journal.KindLease, "owner").Version, 1)
	if _, err := k.log.Renew(k.ctx); err != nil {
		k.Fatalf("renew: %v", err)
	}
	if k.h.Reopens {
		k.reopen()
	}
	k.do(isolation, k.write("second", journal.Unit{Records: []journal.RecordWrite{take("owner"), take("new")}}))
	const apart = 1_000_000 // more than a history can have lost
	for _, lease := range []string{"owner", "new"} {
		if v := k.record(journal.KindLease, lease).Version; v < apart {
			k.Fatalf("after renewing, lease %s goes on at epoch %d", lease, v)
		}
	}
	k.refused(journal.ErrFenced, fenced("owner", 2, "order-1"))
}

func txConditionOnSnapshot(k *kit) {
	for _, isolation := range k.h.Tx.Snapshot {
		u := unit(to("order-1", journal.Any, event("test.one")))
		u.Conditions = []journal.Condition{{Filter: journal.Filter{{Tags: only("none")}}}}
		k.undone(isolation, journal.ErrInvalid, k.write("row", u))
	}
}

func txStaleSnapshot(k *kit) {
	if k.h.Tx.Exclusive {
		return // nobody else can write once the transaction has begun
	}
	for i, isolation := range k.h.Tx.Isolations {
		s := journal.Stream(fmt.Sprintf("order-%d", i))
		k.append(s, journal.None, event("test.one"))
		err := k.h.Tx.Do(k.ctx, k.log, isolation, func(tx Tx) error {
			if err := tx.Insert(k.ctx, "stale"); err != nil {
				return err
			}
			if _, err := k.log.Append(k.ctx, s, journal.Exactly(1), event("test.between")); err != nil {
				return err
			}
			return tx.Add(k.ctx, unit(to(s, journal.Exactly(1), event("test.stale"))))
		})
		if !errors.Is(err, journal.ErrConflict) {
			k.Errorf("%s: got %v, want ErrConflict", isolation, err)
		}
		k.do(isolation, func(tx Tx) error {
			if err := tx.Insert(k.ctx, "other"); err != nil {
				return err
			}
			if _, err := k.log.Append(k.ctx, "other", journal.Any, event("test.between")); err != nil {
				return err
			}
			return tx.Add(k.ctx, unit(to(s, journal.Exactly(2), event("test.fresh"))))
		})
		same(k, "events", len(k.stream(s, nil)), 3)
	}
	same(k, "rows", len(k.rows()), len(k.h.Tx.Isolations))
	k.sound()
}

func txSlow(k *kit) {
	const meanwhile = 40
	frames := k.frames(k.log, journal.FollowOptions{Pulse: never})
	k.until(frames, 0)
	for _, isolation := range k.h.Tx.Isolations {
		done := make(chan struct{})
		others := func() {
			defer close(done)
			for range meanwhile {
				if _, err := k.log.Append(k.ctx, "other-1", journal.Any, event("test.other")); err != nil {
					k.Errorf("append beside a transaction: %v", err)
					return
				}
			}
		}
		slow := event("test.slow")
		k.do(isolation, func(tx Tx) error {
			err := k.write("slow", unit(to("slow-1", journal.Any, slow)))(tx)
			go others()
			if !k.h.Tx.Exclusive {
				<-done
			}
			return err
		})
		<-done
		got, _ := k.until(frames, meanwhile+1)
		same(k, "events that were followed", len(got), meanwhile+1)
		if !k.h.Tx.Exclusive {
			same(k, "the slow one comes last", got[meanwhile].ID, slow.ID)
		}
	}
	same(k, "events", len(k.stream("slow-1", nil)), len(k.h.Tx.Isolations))
	k.sound()
}

func txAndLog(k *kit) {
	var v journal.Version
	for round := range 20 {
		isolation := k.h.Tx.Isolations[round%len(k.h.Tx.Isolations)]
		k.do(isolation, k.write("row", unit(to("order-1", journal.Exactly(v), event("test.tx")))))
		k.refused(journal.ErrConflict, unit(to("order-1", journal.Exactly(v), event("test.stale"))))
		k.append("order-1", journal.Exactly(v+1), event("test.log"))
		k.undone(isolation, journal.ErrConflict,
			k.write("row", unit(to("order-1", journal.Exactly(v+1), event("test.stale")))))
		v += 2
		same(k, "events", len(k.stream("order-1", nil)), int(v))
	}
	k.sound()
	if k.h.Reopens {
		k.reopen()
		k.append("order-1", journal.Exactly(v), event("test.reopened"))
		k.sound()
	}
}

func txRace(k *kit) {
	const each, total = 12, writers/2*18 + writers/2*12
	frames := k.frames(k.log, journal.FollowOptions{Pulse: never, Page: 5})
	k.until(frames, 0)
	k.crowd(writers, func(i int, log *journal.Log) {
		for n := range each {
			s := journal.Stream(fmt.Sprintf("order-%d", n%3))
			u := unit(to(s, journal.Any, events(n%2+1)...))
			var err error
			if i%2 == 0 {
				_, err = log.Commit(k.ctx, u)
			} else {
				isolation := k.h.Tx.Isolations[0]
				err = k.h.Tx.Do(k.ctx, log, isolation, func(tx Tx) error {
					err := k.write("race", u)(tx)
					if n%4 == 3 {
						return errors.Join(err, errUndo)
					}
					return err
				})
			}
			if err != nil && !(i%2 == 1 && errors.Is(err, errUndo)) {
				k.Errorf("writer %d: %v", i, err)
			}
		}
	})
	same(k, "rows", len(k.rows()), writers/2*each*3/4)
	all := k.read(journal.ReadOptions{})
	same(k, "events", len(all), total)
	got, _ := k.until(frames, total)
	same(k, "ids that were followed", ids(got), ids(all))
	k.sound()
}

func txLarge(k *kit) {
	for i, isolation := range k.h.Tx.Isolations {
		s := journal.Stream(fmt.Sprintf("large-%d", i))
		k.do(isolation, k.write("large", unit(to(s, journal.None, events(journal.MaxEvents)...))))
		same(k, "events", len(k.stream(s, nil)), journal.MaxEvents)
		k.append(s, journal.Exactly(journal.MaxEvents), event("test.next"))
	}
	k.sound()
}
