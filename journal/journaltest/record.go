// SPDX-License-Identifier: Apache-2.0

// Cases about records: small keyed state, changed by compare-and-set.

package journaltest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"example.com/vidimus/journal"
)

func recordCases() []testCase {
	return []testCase{
		{name: "a record is put, checked, deleted and made again", run: recordLife},
		{name: "each expectation holds where it should", run: recordExpectations},
		{name: "records and events are written together or not at all", run: recordsWithEvents},
		{name: "records come in the order of their keys, page by page", run: recordsByKey},
		{name: "records that are due come first things first", run: recordsByDue},
		{name: "a later put replaces value and due time", run: recordReplaced},
		{name: "a thousand records page without loss", run: recordsPage},
		{name: "values and due times come back as they were put", run: recordFidelity},
		{name: "of many who compare and set one wins each time", run: recordRace},
	}
}

// put writes one record that must be accepted, and returns its version.
func (k *kit) put(w journal.RecordWrite) journal.Version {
	k.Helper()
	return k.commit(journal.Unit{Records: []journal.RecordWrite{w}}).Records[0]
}

func (k *kit) record(kind, key string) journal.Record {
	k.Helper()
	r, err := k.log.Record(k.ctx, kind, key)
	if err != nil {
		k.Fatalf("record %s/%s: %v", kind, key, err)
	}
	return r
}

func (k *kit) noRecord(kind, key string) {
	k.Helper()
	if r, err := k.log.Record(k.ctx, kind, key); !errors.Is(err, journal.ErrNotFound) {
		k.Fatalf("record %s/%s: got %+v, %v; want ErrNotFound", kind, key, r, err)
	}
}

func recordLife(k *kit) {
	note := func(op journal.RecordOp, e journal.Expect, value string) journal.RecordWrite {
		return journal.RecordWrite{Op: op, Kind: "note", Key: "n", Expect: e, Value: []byte(value)}
	}
	k.noRecord("note", "n")
	same(k, "first put", k.put(note(journal.Put, journal.None, "one")), 1)
	same(k, "second put", k.put(note(journal.Put, journal.Exactly(1), "two")), 2)
	same(k, "check", k.put(note(journal.Check, journal.Exactly(2), "ignored")), 2)
	r := k.record("note", "n")
	same(k, "record", []any{r.Kind, r.Key, r.Version, string(r.Value), r.Due.IsZero()},
		[]any{"note", "n", journal.Version(2), "two", true})
	k.noRecord("note", "N")
	k.noRecord("Note", "n")
	same(k, "put of another kind", k.put(journal.RecordWrite{Kind: "Note", Key: "n"}), 1)
	same(k, "delete", k.put(note(journal.Delete, journal.Exactly(2), "")), 0)
	k.noRecord("note", "n")
	same(k, "delete of nothing", k.put(note(journal.Delete, journal.Any, "")), 0)
	same(k, "check of nothing", k.put(note(journal.Check, journal.None, "")), 0)
	k.noRecord("note", "n")
	same(k, "put after a deletion", k.put(note(journal.Put, journal.None, "three")), 1)
	same(k, "records of the other kind", k.record("Note", "n").Version, 1)
	for range 20 {
		k.put(note(journal.Put, journal.Any, "more"))
	}
	same(k, "after many puts", k.record("note", "n").Version, 21)
	same(k, "head of a journal with records only", k.head().Position, 0)
}

func recordExpectations(k *kit) {
	for i, tt := range expectations() {
		for _, op := range []journal.RecordOp{journal.Put, journal.Delete, journal.Check} {
			absent, present := fmt.Sprintf("absent.%d.%d", i, op), fmt.Sprintf("present.%d.%d", i, op)
			k.put(journal.RecordWrite{Kind: "note", Key: present})
			k.put(journal.RecordWrite{Kind: "note", Key: present, Expect: journal.Exactly(1)})
			for _, on := range []struct {
				key   string
				holds bool
				after journal.Version
			}{
				{absent, tt.empty, []journal.Version{1, 0, 0}[op]},
				{present, tt.atTwo, []journal.Version{3, 0, 2}[op]},
			} {
				w := journal.RecordWrite{Op: op, Kind: "note", Key: on.key, Expect: tt.expect}
				if !on.holds {
					k.refused(journal.ErrConflict, journal.Unit{Records: []journal.RecordWrite{w}})
					continue
				}
				same(k, fmt.Sprintf("version of %s after %v", on.key, tt.expect), k.put(w), on.after)
			}
		}
	}
}

func recordsWithEvents(k *kit) {
	u := journal.Unit{
		Appends: []journal.Append{to("order-1", journal.None, event("test.one"))},
		Records: []journal.RecordWrite{
			{Kind: "note", Key: "a"}, {Kind: "note", Key: "b"}, {Op: journal.Check, Kind: "note", Key: "c"},
		},
	}
	same(k, "versions", k.commit(u).Records, []journal.Version{1, 1, 0})
	u = journal.Unit{
		Appends: []journal.Append{to("order-1", journal.None, event("test.two"))},
		Records: []journal.RecordWrite{{Kind: "note", Key: "a", Expect: journal.Exactly(1)}},
	}
	k.refused(journal.ErrConflict, u)
	same(k, "record of a refused unit", k.record("note", "a").Version, 1)
	u.Appends[0].Expect = journal.Exactly(1)
	u.Records = append(u.Records, journal.RecordWrite{Kind: "note", Key: "b", Expect: journal.Exactly(9)})
	k.refused(journal.ErrConflict, u)
	same(k, "first record of a refused unit", k.record("note", "a").Version, 1)
	same(k, "events", len(k.stream("order-1", nil)), 1)
}

func (k *kit) records(q journal.RecordQuery) []journal.Record {
	k.Helper()
	out, err := k.log.Records(k.ctx, q)
	if err != nil {
		k.Fatalf("records %+v: %v", q, err)
	}
	return out
}

func keys(records []journal.Record) []string {
	out := make([]string, len(records))
	for i := range records {
		out[i] = records[i].Key
	}
	return out
}

func recordsByKey(k *kit) {
	names := slices.DeleteFunc(oddNames(), func(n string) bool { return len(n) > 200 })
	var u journal.Unit
	for _, n := range names {
		u.Records = append(u.Records, journal.RecordWrite{Kind: "note", Key: n, Value: []byte(n)})
	}
	u.Records = append(u.Records,
		journal.RecordWrite{Kind: "notes", Key: "order"}, journal.RecordWrite{Kind: "Note", Key: "a"})
	k.commit(u)
	slices.Sort(names)
	same(k, "keys", keys(k.records(journal.RecordQuery{Kind: "note"})), names)
	same(k, "keys of no kind", len(k.records(journal.RecordQuery{Kind: "none"})), 0)
	prefixes := append([]string{"", "order-1-2", "o", "none", "\U0010ffff", "\u00a0"}, names...)
	for _, prefix := range prefixes {
		for _, after := range []string{"", "order", "order-1", "a", "\U0010ffff", "zzz"} {
			for _, limit := range []int{0, 1, 3} {
				want := []string{}
				for _, n := range names {
					if strings.HasPrefix(n, prefix) && n > after && (limit == 0 || len(want) < limit) {
						want = append(want, n)
					}
				}
				q := journal.RecordQuery{Kind: "note", Prefix: prefix, After: after, Limit: limit}
				same(k, fmt.Sprintf("keys with %+v", q), keys(k.records(q)), want)
			}
		}
	}
	for _, r := range k.records(journal.RecordQuery{Kind: "note", Limit: 5}) {
		same(k, "listed record", r, k.record("note", r.Key))
	}
}

func recordsByDue(k *kit) {
	base := time.Date(2030, 1, 2, 3, 4, 5, 678901000, time.UTC)
	var all []journal.RecordWrite
	for i := range 30 {
		due := base.Add(time.Duration(i*7%10) * time.Microsecond)
		if i%5 == 4 {
			due = time.Time{}
		}
		all = append(all, journal.RecordWrite{Kind: "timer", Key: fmt.Sprintf("t%02d", i*11%30), Due: due})
	}
	all = append(all, journal.RecordWrite{Kind: "Timer", Key: "other", Due: base},
		journal.RecordWrite{Kind: "timer", Key: "early", Due: time.Date(1901, 1, 1, 0, 0, 0, 1000, time.UTC)})
	k.commit(journal.Unit{Records: all})
	slices.SortFunc(all, func(a, b journal.RecordWrite) int {
		return cmp.Or(a.Due.Compare(b.Due), strings.Compare(a.Key, b.Key))
	})
	for _, by := range []time.Time{
		base.Add(-time.Hour), base, base.Add(4 * time.Microsecond), base.Add(4*time.Microsecond + 999), base.Add(time.Hour),
		base.Add(4 * time.Microsecond).In(time.FixedZone("east", 3600)),
		time.Date(1901, 1, 1, 0, 0, 0, 999, time.UTC),
	} {
		for _, limit := range []int{0, 1, 4, 100} {
			for _, prefix := range []string{"", "t1", "e"} {
				want := []string{}
				for _, w := range all {
					due := !w.Due.IsZero() && !w.Due.After(by) && w.Kind == "timer" && strings.HasPrefix(w.Key, prefix)
					if due && (limit == 0 || len(want) < limit) {
						want = append(want, w.Key)
					}
				}
				q := journal.RecordQuery{Kind: "timer", DueBy: by, Limit: limit, Prefix: prefix}
				same(k, fmt.Sprintf("keys due with %+v", q), keys(k.records(q)), want)
			}
		}
	}
}

func recordReplaced(k *kit) {
	due := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	put := journal.RecordWrite{Kind: "timer", Key: "t", Expect: journal.Any, Due: due, Value: []byte("long value")}
	k.put(put)
	put.Due, put.Value = due.Add(time.Hour), nil
	k.put(put)
	same(k, "due before", len(k.records(journal.RecordQuery{Kind: "timer", DueBy: due})), 0)
	got := k.records(journal.RecordQuery{Kind: "timer", DueBy: due.Add(time.Hour)})
	same(k, "due now", len(got), 1)
	same(k, "version and value", []int{int(got[0].Version), len(got[0].Value)}, []int{2, 0})
	put.Due = time.Time{}
	k.put(put)
	same(k, "due never", len(k.records(journal.RecordQuery{Kind: "timer", DueBy: due.AddDate(99, 0, 0)})), 0)
	same(k, "due time", k.record("timer", "t").Due.IsZero(), true)
	put.Due = due
	k.put(put)
	put.Op = journal.Delete
	k.put(put)
	same(k, "due after a deletion", len(k.records(journal.RecordQuery{Kind: "timer", DueBy: due})), 0)
	same(k, "records after a deletion", len(k.records(journal.RecordQuery{Kind: "timer"})), 0)
}

func recordsPage(k *kit) {
	const n = journal.MaxPage + 250
	due := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := 0; i < n; {
		var u journal.Unit
		for ; i < n && len(u.Records) < journal.MaxParts; i++ {
			key := fmt.Sprintf("k%05d", i*7919%n)
			u.Records = append(u.Records, journal.RecordWrite{Kind: "note", Key: key, Due: due})
		}
		k.commit(u)
	}
	same(k, "records of one page", len(k.records(journal.RecordQuery{Kind: "note"})), journal.MaxPage)
	same(k, "due records of one page", len(k.records(journal.RecordQuery{Kind: "note", DueBy: due})), journal.MaxPage)
	for _, limit := range []int{0, 17, 999} {
		q := journal.RecordQuery{Kind: "note", Limit: limit}
		seen := 0
		for page := k.records(q); len(page) > 0; page = k.records(q) {
			for _, r := range page {
				same(k, "key", r.Key, fmt.Sprintf("k%05d", seen))
				seen++
			}
			q.After = page[len(page)-1].Key
		}
		same(k, "records of all pages", seen, n)
	}
}

func recordFidelity(k *kit) {
	large := make([]byte, journal.MaxData)
	for i := range large {
		large[i] = byte(i * 31)
	}
	moments := []time.Time{
		{},
		time.Unix(0, 0), time.Unix(0, 1000), time.Unix(-1, 999999000), time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC),
		time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC), time.Date(1969, 7, 20, 20, 17, 40, 123456000, time.UTC),
		time.Date(2024, 2, 29, 12, 0, 0, 123456789, time.FixedZone("west", -7*3600)),
	}
	values := [][]byte{nil, {}, {0}, []byte("\x00\xff\x00"), []byte(`{"a":1}`), large, []byte("'"), []byte("\\x00")}
	for i := range values {
		key := fmt.Sprintf("r%d", i)
		k.put(journal.RecordWrite{Kind: "note", Key: key, Due: moments[i], Value: values[i]})
		r := k.record("note", key)
		if string(r.Value) != string(values[i]) {
			k.Errorf("value %d: got %d bytes, want %d", i, len(r.Value), len(values[i]))
		}
		want := moments[i].UTC().Truncate(time.Microsecond)
		if !r.Due.Equal(want) || r.Due.IsZero() != want.IsZero() {
			k.Errorf("due %d: got %v, want %v", i, r.Due, want)
		}
		if r.Due.Location() != time.UTC {
			k.Errorf("due %d: got location %v, want UTC", i, r.Due.Location())
		}
	}
}

func recordRace(k *kit) {
	const rounds = 15
	var won atomic.Int64
	k.crowd(writers, func(i int, log *journal.Log) {
		for v := journal.Version(0); v < rounds; v++ {
			_, err := log.Commit(k.ctx, journal.Unit{Records: []journal.RecordWrite{{
				Kind: "note", Key: "n", Expect: journal.Exactly(v), Value: fmt.Appendf(nil, "%d.%d", i, v),
			}}})
			switch {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, journal.ErrConflict):
				k.Errorf("put: %v", err)
			}
		}
	})
	r := k.record("note", "n")
	same(k, "puts that won", journal.Version(won.Load()), r.Version)
	if r.Version < 1 || !strings.HasSuffix(string(r.Value), fmt.Sprintf(".%d", r.Version-1)) {
		k.Errorf("record at version %d holds %q", r.Version, r.Value)
	}
}
