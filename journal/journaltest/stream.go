// SPDX-License-Identifier: Apache-2.0

// Cases about reading one stream, and about names.

package journaltest

import (
	"fmt"
	"slices"
	"strings"

	"example.com/vidimus/journal"
)

func streamCases() []testCase {
	return []testCase{
		{name: "every combination of bounds, direction and limit is obeyed", run: streamBounds},
		{name: "names are told apart byte by byte", run: namesAreBytes},
		{name: "a category is what stands before the first dash", run: categories},
		{name: "types and tags are told apart byte by byte", run: tagsAreBytes},
		{name: "a stream and the journal tell the same of an event", run: streamAgrees},
	}
}

func streamBounds(k *kit) {
	for range 6 {
		k.append("order-1", journal.Any, events(1)...)
		k.append("order-10", journal.Any, events(2)...)
	}
	all := k.stream("order-1", nil)
	same(k, "events", len(all), 6)
	for after := range journal.Version(8) {
		for before := range journal.Version(9) {
			for limit := range 4 {
				var want []journal.Event
				for _, e := range all {
					if e.Version > after && (before == 0 || e.Version < before) {
						want = append(want, e)
					}
				}
				o := journal.StreamOptions{After: after, Before: before, Limit: limit}
				back := slices.Clone(want)
				slices.Reverse(back)
				for _, o.Backwards = range []bool{false, true} {
					if o.Backwards {
						want = back
					}
					if limit > 0 {
						want = want[:min(limit, len(want))]
					}
					same(k, fmt.Sprintf("ids read with %+v", o), ids(k.stream("order-1", &o)), ids(want))
				}
			}
		}
	}
}

// oddNames are all different, in ways that databases like to overlook.
func oddNames() []string {
	return []string{
		"order", "Order", "ORDER", "order-", "order-1", "order-01", "order-1 ", " order-1", "order--1", "-", "--",
		"orders-1", "order_1", "order%1", "order%", "order_", "%", "_", "*", "?", "order-1-2", "order-1-2-3",
		"o'rder", `o"rder`, "o`rder", `o\rder`, `order\`, "order/1", "order.1", "order:1", "order;1", "$1", "{}", "[1]",
		"strasse", "straße", "caf\u00e9", "cafe\u0301", "\u212b", "\u00c5",
		"ﬁ", "fi", "I", "i", "İ", "ı", "日本-1", "日本", "🙂-1",
		"a\u200bb", "ab", "ß", "ẞ", "ss",
		"null", "NULL", "0", "00", "1e1", "10", "-1", "\u00a0", "\ufeffx", "x", "\U0010ffff",
		strings.Repeat("n", journal.MaxName), strings.Repeat("n", journal.MaxName-1), strings.Repeat("é", 127),
		"order-" + strings.Repeat("x", journal.MaxName-6),
	}
}

func namesAreBytes(k *kit) {
	names := oddNames()
	u := journal.Unit{}
	for _, n := range names {
		u.Appends = append(u.Appends, to(journal.Stream(n), journal.None, event("test.named")))
		u.Records = append(u.Records, journal.RecordWrite{Kind: "name", Key: n, Value: []byte(n)})
	}
	k.commit(u)
	for i, n := range names {
		got := k.stream(journal.Stream(n), nil)
		if len(got) != 1 || got[0].ID != u.Appends[i].Events[0].ID || string(got[0].Stream) != n {
			k.Errorf("stream %q: got %+v", n, got)
		}
		got = k.read(journal.ReadOptions{Filter: journal.Filter{{Stream: journal.Stream(n)}}})
		if len(got) != 1 || got[0].ID != u.Appends[i].Events[0].ID {
			k.Errorf("journal filtered by stream %q: got %+v", n, got)
		}
		r, err := k.log.Record(k.ctx, "name", n)
		if err != nil || r.Key != n || string(r.Value) != n {
			k.Errorf("record %q: got %+v, %v", n, r, err)
		}
		k.refused(journal.ErrConflict, unit(to(journal.Stream(n), journal.None, event("test.again"))))
	}
	k.sound()
}

func categories(k *kit) {
	names := oddNames()
	for _, n := range names {
		k.append(journal.Stream(n), journal.None, event("test.named"))
	}
	all := k.read(journal.ReadOptions{})
	asked := map[string]bool{"order-1": true, "orde": true, "order-": true, "none": true, "Z": true}
	for _, n := range names {
		if c := journal.Stream(n).Category(); c != "" {
			asked[c] = true
		}
	}
	for c := range asked {
		o := journal.ReadOptions{Filter: journal.Filter{{Category: c}}}
		same(k, fmt.Sprintf("ids of category %q", c), ids(k.read(o)), ids(choose(all, o)))
		o.Backwards = true
		same(k, fmt.Sprintf("ids of category %q, backwards", c), ids(k.read(o)), ids(choose(all, o)))
	}
	same(k, "category order", len(k.read(journal.ReadOptions{Filter: journal.Filter{{Category: "order"}}})), 9)
}

func tagsAreBytes(k *kit) {
	names := oddNames()
	for _, n := range names {
		k.append("order-1", journal.Any, event(n, n, "also"))
	}
	all := k.read(journal.ReadOptions{})
	for i, n := range names {
		for _, m := range []journal.Match{{Types: only(n)}, {Tags: only(n)}} {
			o := journal.ReadOptions{Filter: journal.Filter{m}}
			same(k, fmt.Sprintf("ids of %+v", m), ids(k.read(o)), []journal.ID{all[i].ID})
			u := journal.Unit{Conditions: []journal.Condition{{Filter: o.Filter, After: all[i].Position - 1}}}
			k.refused(journal.ErrCondition, u)
			u.Conditions[0].After = all[i].Position
			k.commit(u)
		}
	}
}

func streamAgrees(k *kit) {
	all := mixture(k, 25)
	byStream := map[journal.Stream][]journal.Event{}
	for _, e := range all {
		byStream[e.Stream] = append(byStream[e.Stream], e)
	}
	for s, want := range byStream {
		same(k, fmt.Sprintf("events of %s", s), normal(k.stream(s, nil)), normal(want))
	}
}
