// SPDX-License-Identifier: Apache-2.0

// Cases about expected versions: who may append, and that a unit is written whole or not at all.

package journaltest

import (
	"errors"
	"fmt"

	"example.com/vidimus/journal"
)

func expectCases() []testCase {
	return []testCase{
		{name: "each expectation holds where it should", run: expectationsHold},
		{name: "a stream can be checked without being written", run: checkOnlyStreams},
		{name: "a conflict says where the stream really is", run: conflictCarriesVersion},
		{name: "a unit is written whole or not at all", run: unitIsAtomic},
		{name: "versions have no gap and positions rise", run: versionsAndPositions},
		{name: "a unit without events writes nothing", run: emptyUnits},
		{name: "a refused unit does not touch its neighbours", run: neighboursOfRefused},
		{name: "later units of a batch see what earlier ones wrote", run: laterUnitsSeeEarlier},
		{name: "a unit may hold a thousand events for a hundred streams", run: largestUnit},
		{name: "the events of a unit stand side by side", run: unitsAreContiguous},
	}
}

// expectation says whether it holds on a stream without events, and on one with two.
type expectation struct {
	expect       journal.Expect
	empty, atTwo bool
}

func expectations() []expectation {
	return []expectation{
		{expect: journal.None, empty: true},
		{expect: journal.Any, empty: true, atTwo: true},
		{expect: journal.Exists, atTwo: true},
		{expect: journal.Exactly(0), empty: true},
		{expect: journal.Exactly(1)},
		{expect: journal.Exactly(2), atTwo: true},
		{expect: journal.Exactly(3)},
		{expect: journal.Exactly(1 << 40)},
	}
}

func expectationsHold(k *kit) {
	for i, tt := range expectations() {
		blank, two := journal.Stream(fmt.Sprintf("blank-%d", i)), journal.Stream(fmt.Sprintf("two-%d", i))
		k.append(two, journal.None, events(2)...)
		for _, on := range []struct {
			stream journal.Stream
			holds  bool
			after  journal.Version
		}{{blank, tt.empty, 1}, {two, tt.atTwo, 3}} {
			u := unit(to(on.stream, tt.expect, event("test.next")))
			if !on.holds {
				k.refused(journal.ErrConflict, u)
				continue
			}
			same(k, fmt.Sprintf("version of %s after expecting %v", on.stream, tt.expect),
				k.commit(u).Versions, []journal.Version{on.after})
		}
	}
	k.sound()
}

func checkOnlyStreams(k *kit) {
	k.append("two-1", journal.None, events(2)...)
	for i, tt := range expectations() {
		for _, on := range []struct {
			stream journal.Stream
			holds  bool
			at     journal.Version
		}{{"blank-1", tt.empty, 0}, {"two-1", tt.atTwo, 2}} {
			alone := unit(to(on.stream, tt.expect))
			s := journal.Stream(fmt.Sprintf("side-%d-%s", i, on.stream))
			beside := unit(to(s, journal.None, event("test.side")), to(on.stream, tt.expect))
			if !on.holds {
				k.refused(journal.ErrConflict, alone)
				k.refused(journal.ErrConflict, beside)
				continue
			}
			before := k.head()
			same(k, "result of a check", k.commit(alone), journal.Result{Versions: []journal.Version{on.at}})
			same(k, "head after a check", k.head(), before)
			same(k, "versions beside a check", k.commit(beside).Versions, []journal.Version{1, on.at})
		}
	}
	same(k, "events of the stream that was only checked", len(k.stream("blank-1", nil)), 0)
}

func conflictCarriesVersion(k *kit) {
	k.append("order-1", journal.None, events(3)...)
	k.commit(journal.Unit{Records: []journal.RecordWrite{{Kind: "note", Key: "a/b"}}})
	for _, tt := range []struct {
		unit journal.Unit
		want journal.ConflictError
	}{
		{unit(to("order-1", journal.None, event("t"))), journal.ConflictError{Name: "order-1", Actual: 3}},
		{
			unit(to("order-1", journal.Exactly(2), event("t"))),
			journal.ConflictError{Name: "order-1", Expect: 2, Actual: 3},
		},
		{
			unit(to("order-2", journal.Any, event("t")), to("order-1", journal.Exactly(7))),
			journal.ConflictError{Name: "order-1", Expect: 7, Actual: 3},
		},
		{
			unit(to("order-2", journal.Exists, event("t"))),
			journal.ConflictError{Name: "order-2", Expect: journal.Exists},
		},
		{
			journal.Unit{Records: []journal.RecordWrite{{Kind: "note", Key: "a/b", Expect: 4}}},
			journal.ConflictError{Name: "note/a/b", Expect: 4, Actual: 1},
		},
	} {
		var got *journal.ConflictError
		if err := k.refused(journal.ErrConflict, tt.unit); !errors.As(err, &got) {
			k.Fatalf("got %v, want a ConflictError", err)
		}
		same(k, "conflict", *got, tt.want)
	}
}

func unitIsAtomic(k *kit) {
	k.append("taken-1", journal.None, event("test.taken"))
	first := to("free-1", journal.None, event("test.first"))
	put := journal.RecordWrite{Kind: "note", Key: "n", Value: []byte("x")}
	k.refused(journal.ErrConflict, unit(first, to("taken-1", journal.None, event("test.second"))))
	k.refused(journal.ErrConflict, unit(to("taken-1", journal.None, event("test.second")), first))
	for _, tt := range []struct {
		cause error
		unit  journal.Unit
	}{
		{journal.ErrConflict, journal.Unit{
			Appends: []journal.Append{first},
			Records: []journal.RecordWrite{put, {Kind: "note", Key: "m", Expect: journal.Exists}},
		}},
		{journal.ErrFenced, journal.Unit{
			Fences: []journal.Fence{{Lease: "l", Epoch: 1}}, Appends: []journal.Append{first},
			Records: []journal.RecordWrite{put},
		}},
		{journal.ErrCondition, journal.Unit{
			Appends: []journal.Append{first}, Records: []journal.RecordWrite{put},
			Conditions: []journal.Condition{{Filter: journal.Filter{{Types: []string{"test.taken"}}}}},
		}},
	} {
		k.refused(tt.cause, tt.unit)
		same(k, "events of a refused unit", len(k.stream("free-1", nil)), 0)
		if _, err := k.log.Record(k.ctx, "note", "n"); !errors.Is(err, journal.ErrNotFound) {
			k.Fatalf("record of a refused unit: got %v, want ErrNotFound", err)
		}
	}
	res := k.commit(journal.Unit{Appends: []journal.Append{first}, Records: []journal.RecordWrite{put}})
	if res.Duplicate {
		k.Fatal("a unit that was refused before is taken for a duplicate")
	}
}

func versionsAndPositions(k *kit) {
	var last journal.Position
	at := map[journal.Stream]journal.Version{}
	for i := range 60 {
		s := journal.Stream(fmt.Sprintf("order-%d", i%7))
		if i%5 == 4 {
			k.refused(journal.ErrConflict, unit(to(s, journal.Exactly(at[s]+1), event("test.wrong"))))
		}
		n := i%3 + 1
		res := k.append(s, journal.Exactly(at[s]), events(n)...)
		at[s] += journal.Version(n)
		same(k, "version", res.Versions, []journal.Version{at[s]})
		if res.Position < last+journal.Position(n) {
			k.Fatalf("%d events end at position %d, the event before is at %d", n, res.Position, last)
		}
		last = res.Position
		same(k, "head", k.head().Position, last)
	}
	last = 0
	seen := map[journal.Stream]journal.Version{}
	for _, e := range k.read(journal.ReadOptions{}) {
		if e.Position <= last {
			k.Fatalf("position %d follows %d", e.Position, last)
		}
		if e.Version != seen[e.Stream]+1 {
			k.Fatalf("%s: version %d follows %d", e.Stream, e.Version, seen[e.Stream])
		}
		last, seen[e.Stream] = e.Position, e.Version
	}
	same(k, "versions read", seen, at)
	k.sound()
}

func emptyUnits(k *kit) {
	k.append("order-1", journal.None, event("test.one"))
	before := k.head()
	same(k, "result of a unit without parts", k.commit(journal.Unit{}), journal.Result{})
	k.append("order-1", journal.Exactly(1))
	same(k, "head", k.head(), before)
}

func neighboursOfRefused(k *kit) {
	k.append("order-1", journal.None, event("test.one"))
	good, wrong, better := unit(to("order-2", journal.None, events(2)...)),
		unit(to("order-1", journal.None, event("test.wrong")), to("order-4", journal.None, event("test.wrong"))),
		unit(to("order-3", journal.None, events(3)...), to("order-1", journal.Exactly(1), event("test.two")))
	out := k.batch(&good, &wrong, &better)
	if out[0].Err != nil || out[2].Err != nil || !errors.Is(out[1].Err, journal.ErrConflict) {
		k.Fatalf("got the errors %v, %v, %v; want only a conflict in the middle", out[0].Err, out[1].Err, out[2].Err)
	}
	same(k, "versions of the first unit", out[0].Result.Versions, []journal.Version{2})
	same(k, "versions of the last unit", out[2].Result.Versions, []journal.Version{3, 2})
	same(k, "events", len(k.read(journal.ReadOptions{})), 1+2+3+1)
	same(k, "events of the refused unit", len(k.stream("order-4", nil)), 0)
	same(k, "head", k.head().Position, out[2].Result.Position)
	k.sound()
}

func laterUnitsSeeEarlier(k *kit) {
	put := func(expect journal.Expect) journal.RecordWrite {
		return journal.RecordWrite{Kind: "note", Key: "n", Expect: expect}
	}
	one := journal.Unit{
		Appends: []journal.Append{to("order-1", journal.None, event("test.one"))},
		Records: []journal.RecordWrite{put(journal.None)},
	}
	again := unit(to("order-1", journal.None, event("test.again")))
	two := journal.Unit{
		Appends: []journal.Append{to("order-1", journal.Exactly(1), event("test.two"))},
		Records: []journal.RecordWrite{put(journal.Exactly(1))},
	}
	stale := journal.Unit{Records: []journal.RecordWrite{put(journal.Exactly(1))}}
	gone := put(journal.Exactly(2))
	gone.Op = journal.Delete
	remove := journal.Unit{Records: []journal.RecordWrite{gone}}
	anew := journal.Unit{Records: []journal.RecordWrite{put(journal.None)}}
	out := k.batch(&one, &again, &two, &stale, &remove, &anew)
	for i, want := range []error{nil, journal.ErrConflict, nil, journal.ErrConflict, nil, nil} {
		if !errors.Is(out[i].Err, want) {
			k.Fatalf("unit %d: got %v, want %v", i, out[i].Err, want)
		}
	}
	same(k, "versions", out[2].Result.Versions, []journal.Version{2})
	same(k, "record after two puts", out[2].Result.Records, []journal.Version{2})
	same(k, "record after its deletion", out[4].Result.Records, []journal.Version{0})
	same(k, "record made anew", out[5].Result.Records, []journal.Version{1})
	same(k, "events", len(k.stream("order-1", nil)), 2)
	r, err := k.log.Record(k.ctx, "note", "n")
	if err != nil || r.Version != 1 {
		k.Fatalf("record: got %+v, %v; want version 1", r, err)
	}
}

func largestUnit(k *kit) {
	var u journal.Unit
	for i := range journal.MaxParts {
		s := journal.Stream(fmt.Sprintf("order-%d", i))
		u.Appends = append(u.Appends, to(s, journal.None, events(journal.MaxEvents/journal.MaxParts)...))
		u.Records = append(u.Records, journal.RecordWrite{Kind: "note", Key: fmt.Sprint(i), Value: []byte{byte(i)}})
	}
	res := k.commit(u)
	same(k, "streams", len(res.Versions), journal.MaxParts)
	same(k, "records", len(res.Records), journal.MaxParts)
	all := k.read(journal.ReadOptions{})
	same(k, "events", len(all), journal.MaxEvents)
	for i, e := range all {
		want := &u.Appends[i/10].Events[i%10]
		if e.ID != want.ID || e.Stream != u.Appends[i/10].Stream || e.Version != journal.Version(i%10+1) {
			k.Fatalf("event %d is %s of %s, version %d; the order of the unit is lost", i, e.ID, e.Stream, e.Version)
		}
	}
	same(k, "position of the last event", all[len(all)-1].Position, res.Position)
	k.sound()
}
