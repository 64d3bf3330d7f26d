// SPDX-License-Identifier: Apache-2.0

// Cases about repeated commits: what was written once is not written again, and the first answer comes back.

package journaltest

import (
	"fmt"
	"sync/atomic"

	"example.com/vidimus/journal"
)

func retryCases() []testCase {
	return []testCase{
		{name: "a retry is answered with the first result, whatever it expects", run: retryInEveryMode},
		{name: "a retry is recognised after other appends", run: retryAfterOthers},
		{name: "a retry in the same batch is recognised", run: retryInBatch},
		{name: "a retry through a second node is recognised", needs: needsSecond, run: retryOnSecondNode},
		{name: "a retry after the journal was reopened is recognised", needs: needsReopen, run: retryAfterReopen},
		{name: "a retried unit of several streams is recognised", run: retrySeveralStreams},
		{name: "a retry is recognised although fence, condition and records moved on", run: retryPastChecks},
		{name: "a retry keeps what was written first", run: retryKeepsFirst},
		{name: "ids that do not rise in time are recognised", run: retryUnorderedIDs},
		{name: "a part of a unit with new events is refused", run: partialReuse},
		{name: "an id may be used in another stream", run: idInAnotherStream},
		{name: "a unit that was refused may be repeated", run: repeatRefused},
		{name: "a retry racing itself is written once", run: retryRace},
	}
}

// wantDuplicate commits a unit again through log, and wants the first answer.
func (k *kit) wantDuplicate(log *journal.Log, what string, u journal.Unit, first journal.Result) {
	k.Helper()
	before := k.head()
	got, err := log.Commit(k.ctx, u)
	if err != nil {
		k.Fatalf("%s: %v", what, err)
	}
	want := journal.Result{Duplicate: true, Position: first.Position, Versions: first.Versions}
	same(k, what, got, want)
	same(k, "head after "+what, k.head(), before)
}

// modes are expectations that held when order-1 was at version 2, and others that never did.
func modes() []journal.Expect {
	return []journal.Expect{
		journal.Exactly(2), journal.Any, journal.Exists, journal.None, journal.Exactly(1), journal.Exactly(3),
		journal.Exactly(99),
	}
}

func retryInEveryMode(k *kit) {
	for i, first := range []journal.Expect{journal.Exactly(2), journal.Any, journal.Exists} {
		s := journal.Stream(fmt.Sprintf("order-%d", i))
		k.append(s, journal.None, events(2)...)
		added := events(3)
		res := k.append(s, first, added...)
		for _, again := range modes() {
			k.wantDuplicate(k.log, fmt.Sprintf("retry expecting %v of %v", again, first),
				unit(to(s, again, added...)), res)
		}
		same(k, "events", len(k.stream(s, nil)), 5)
	}
	one := event("test.one")
	res := k.append("new-1", journal.None, one)
	for _, again := range modes() {
		k.wantDuplicate(k.log, "retry of the first event", unit(to("new-1", again, one)), res)
	}
	k.sound()
}

func retryAfterOthers(k *kit) {
	units := make([]journal.Unit, 40)
	results := make([]journal.Result, len(units))
	for i := range units {
		s := journal.Stream(fmt.Sprintf("order-%d", i%3))
		units[i] = unit(to(s, journal.Any, events(i%4+1)...))
		results[i] = k.commit(units[i])
	}
	for i := range units {
		k.wantDuplicate(k.log, fmt.Sprintf("retry of unit %d", i), units[i], results[i])
	}
	k.append("order-1", journal.Exists, event("test.later"))
	for i := range units {
		k.wantDuplicate(k.log, fmt.Sprintf("second retry of unit %d", i), units[i], results[i])
	}
	k.sound()
}

func retryInBatch(k *kit) {
	u := unit(to("order-1", journal.None, events(2)...))
	other := unit(to("order-1", journal.Any, event("test.other")))
	v := unit(to("order-1", journal.Exactly(2), event("test.too")))
	again := u
	out := k.batch(&u, &other, &again, &v)
	if out[0].Err != nil || out[0].Result.Duplicate {
		k.Fatalf("first try: got %+v", out[0])
	}
	want := journal.Result{Duplicate: true, Position: out[0].Result.Position, Versions: []journal.Version{2}}
	same(k, "retry in the batch", out[2], journal.Outcome{Result: want})
	same(k, "conflict behind it", out[3].Err != nil, true)
	same(k, "events", len(k.stream("order-1", nil)), 3)
	same(k, "retry in the next batch", k.batch(&u, &u)[1], journal.Outcome{Result: want})
}

func retryOnSecondNode(k *kit) {
	second := k.open(k.h.Second)
	for i := range 30 {
		s := journal.Stream(fmt.Sprintf("order-%d", i%4))
		u := unit(to(s, journal.Any, events(2)...))
		first, retry := k.log, second
		if i%2 == 1 {
			first, retry = second, k.log
		}
		res, err := first.Commit(k.ctx, u)
		if err != nil {
			k.Fatal(err)
		}
		k.wantDuplicate(retry, "retry through the other node", u, res)
		k.wantDuplicate(first, "retry through the first node", u, res)
	}
	k.sound()
}

func retryAfterReopen(k *kit) {
	u := unit(to("order-1", journal.None, events(3)...))
	res := k.commit(u)
	k.append("order-1", journal.Exactly(3), events(70)...)
	k.reopen()
	k.wantDuplicate(k.log, "retry after reopening", u, res)
	k.append("order-1", journal.Exactly(73), event("test.later"))
	k.reopen()
	k.wantDuplicate(k.log, "retry after reopening twice", u, res)
}

func retrySeveralStreams(k *kit) {
	k.append("order-2", journal.None, events(4)...)
	k.append("order-9", journal.None, events(2)...)
	u := unit(to("order-1", journal.None, events(2)...), to("order-9", journal.Exactly(2)),
		to("order-2", journal.Exactly(4), events(3)...), to("order-8", journal.None))
	res := k.commit(u)
	same(k, "versions", res.Versions, []journal.Version{2, 2, 7, 0})
	k.wantDuplicate(k.log, "retry", u, res)
	k.append("order-1", journal.Exactly(2), event("test.later"))
	k.append("order-2", journal.Any, events(5)...)
	k.wantDuplicate(k.log, "retry after other appends", u, res)
}

func retryPastChecks(k *kit) {
	lease := journal.RecordWrite{Kind: journal.KindLease, Key: "owner", Expect: journal.Any}
	k.commit(journal.Unit{Records: []journal.RecordWrite{lease}})
	u := journal.Unit{
		Fences:     []journal.Fence{{Lease: "owner", Epoch: 1}},
		Appends:    []journal.Append{to("order-1", journal.None, event("test.placed", "order:1"))},
		Conditions: []journal.Condition{{Filter: journal.Filter{{Tags: []string{"order:1"}}}}},
		Records:    []journal.RecordWrite{{Kind: "note", Key: "n", Value: []byte("first")}},
	}
	res := k.commit(u)
	same(k, "records", res.Records, []journal.Version{1})
	k.wantDuplicate(k.log, "retry against its own condition and record", u, res)
	k.commit(journal.Unit{Records: []journal.RecordWrite{
		lease, {Kind: "note", Key: "n", Expect: journal.Exactly(1), Value: []byte("second")},
	}})
	k.wantDuplicate(k.log, "retry after the lease was taken over", u, res)
	r, err := k.log.Record(k.ctx, "note", "n")
	if err != nil || string(r.Value) != "second" || r.Version != 2 {
		k.Fatalf("record after retries: got %+v, %v; want what was put last", r, err)
	}
}

func retryKeepsFirst(k *kit) {
	first := event("test.first", "tag:1")
	first.Data = []byte("first")
	res := k.append("order-1", journal.None, first)
	second := event("test.second", "tag:2")
	second.ID, second.Data = first.ID, []byte("second")
	k.wantDuplicate(k.log, "retry with other data", unit(to("order-1", journal.Any, second)), res)
	got := k.stream("order-1", nil)[0]
	same(k, "what is stored", []string{got.Type, string(got.Data), got.Tags[0]}, []string{"test.first", "first", "tag:1"})
}

// plainID is an id of no particular order.
func plainID(n byte) journal.ID { return journal.ID{n * 89, n, 0xff, n} }

func retryUnorderedIDs(k *kit) {
	var units []journal.Unit
	var results []journal.Result
	for n := byte(1); n < 60; n++ {
		e := event("test.plain")
		e.ID = plainID(n)
		units = append(units, unit(to("order-1", journal.Exactly(journal.Version(n-1)), e)))
		results = append(results, k.commit(units[n-1]))
		same(k, "version", results[n-1].Versions, []journal.Version{journal.Version(n)})
	}
	for i, u := range units {
		k.wantDuplicate(k.log, fmt.Sprintf("retry of event %d", i+1), u, results[i])
	}
	if k.h.Reopens {
		k.reopen()
		k.wantDuplicate(k.log, "retry after reopening", units[3], results[3])
	}
	newest := event("test.plain")
	newest.ID = journal.ID{0xff, 0xff, 0xff, 0xff}
	k.append("order-1", journal.Exactly(59), newest)
	k.wantDuplicate(k.log, "retry beside the greatest id", units[7], results[7])
	k.sound()
}

func partialReuse(k *kit) {
	e := events(4)
	k.append("order-1", journal.None, e...)
	k.append("order-2", journal.None, events(2)...)
	fresh := event("test.fresh")
	for _, tt := range []struct {
		what string
		unit journal.Unit
	}{
		{"a new event behind", unit(to("order-1", journal.Any, e[2], e[3], fresh))},
		{"a new event in front", unit(to("order-1", journal.Any, fresh, e[0]))},
		{"a new event between", unit(to("order-1", journal.Any, e[0], fresh, e[1]))},
		{"another order", unit(to("order-1", journal.Any, e[1], e[0]))},
		{"one left out", unit(to("order-1", journal.Any, e[0], e[2]))},
		{"a new stream behind", unit(to("order-1", journal.Any, e...), to("order-3", journal.Any, fresh))},
		{"a new stream in front", unit(to("order-3", journal.Any, fresh), to("order-1", journal.Any, e...))},
		{"a known stream behind", unit(to("order-1", journal.Any, e...), to("order-2", journal.Any, fresh))},
	} {
		k.Logf("%s", tt.what)
		k.refused(journal.ErrIDReused, tt.unit)
	}
	same(k, "events", len(k.read(journal.ReadOptions{})), 6)
}

func idInAnotherStream(k *kit) {
	e := event("test.shared")
	k.append("order-1", journal.None, e)
	res := k.append("order-2", journal.None, e)
	if res.Duplicate {
		k.Fatal("an event of another stream is taken for a duplicate")
	}
	same(k, "events", len(k.read(journal.ReadOptions{})), 2)
}

func repeatRefused(k *kit) {
	k.append("order-1", journal.None, events(2)...)
	u := unit(to("order-1", journal.Exactly(1), event("test.late")), to("order-2", journal.None, events(2)...))
	k.refused(journal.ErrConflict, u)
	k.refused(journal.ErrConflict, u)
	u.Appends[0].Expect = journal.Exactly(2)
	same(k, "result", k.commit(u).Versions, []journal.Version{3, 2})
	k.sound()
}

func retryRace(k *kit) {
	for n := range 10 {
		s := journal.Stream(fmt.Sprintf("order-%d", n))
		e := events(2)
		var first atomic.Int64
		results := make([]journal.Result, writers)
		k.crowd(writers, func(i int, log *journal.Log) {
			// Each its own copy: a commit fills in the time.
			res, err := log.Append(k.ctx, s, []journal.Expect{journal.None, journal.Any}[i%2], append(e[:0:0], e...)...)
			if err != nil {
				k.Errorf("append: %v", err)
			}
			if results[i] = res; !res.Duplicate {
				first.Add(1)
			}
		})
		same(k, "answers that are not duplicates", first.Load(), 1)
		for _, res := range results {
			same(k, "position", res.Position, results[0].Position)
			same(k, "versions", res.Versions, []journal.Version{2})
		}
		same(k, "events", len(k.stream(s, nil)), 2)
	}
}
