// SPDX-License-Identifier: Apache-2.0

// Cases about reading the journal: filters, bounds and pages.

package journaltest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"example.com/vidimus/journal"
)

func readCases() []testCase {
	return []testCase{
		{name: "an empty journal reads as empty", run: readEmpty},
		{name: "every filter chooses what it says, in both directions", run: readFilters},
		{name: "every combination of bounds, direction and limit is obeyed", run: readBounds},
		{name: "bounds far beyond every position are just bounds", run: readFarBounds},
		{name: "pages of every size follow each other without loss or repetition", run: readPages},
		{name: "a page ends once its data exceed the bytes", run: readPageBytes},
		{name: "a page that nothing fits covers what it looked at", run: readNothingFits},
		{name: "thousands of events are read in order", run: readMany},
		{name: "a reader may stop where it likes", run: readStops},
		{name: "a reader does not see what comes after its bound, nor half a unit", run: readWhileWriting},
	}
}

func readEmpty(k *kit) {
	head := k.head()
	if head.Log == "" || head.Epoch < 1 || head.Position != 0 || head.ID != (journal.ID{}) {
		k.Errorf("head of an empty journal: %+v", head)
	}
	for _, backwards := range []bool{false, true} {
		same(k, "events", len(k.read(journal.ReadOptions{Backwards: backwards})), 0)
		same(k, "events of a stream", len(k.stream("order-1", &journal.StreamOptions{Backwards: backwards})), 0)
		page, err := k.log.Store().Read(k.ctx, journal.Query{Backwards: backwards, Limit: 10, Bytes: 1000})
		if err != nil || len(page.Events) != 0 || page.Through != 0 || page.ThroughID != (journal.ID{}) || page.More {
			k.Errorf("page of an empty journal: got %+v, %v", page, err)
		}
	}
	k.sound()
}

// mixture writes events of several categories, types and tags, and returns them as they are read.
func mixture(k *kit, n int) []journal.Event {
	k.Helper()
	for i := range n {
		s := journal.Stream([]string{"order-1", "orders-1", "order-2", "order", "cart-1-2"}[i%5])
		e := event([]string{"placed", "paid", "sent"}[i%3])
		if i%4 > 0 {
			e.Tags = []string{fmt.Sprintf("customer:%d", i%4), fmt.Sprintf("region:%d", i%7)}[:1+i%2]
		}
		e.Data = fmt.Appendf(nil, `{"n":%d}`, i)
		k.append(s, journal.Any, e)
	}
	all := k.read(journal.ReadOptions{})
	same(k, "events", len(all), n)
	return all
}

func filters() []journal.Filter {
	return []journal.Filter{
		nil,
		{{}},
		{{Stream: "order-1"}},
		{{Stream: "order"}},
		{{Stream: "none-1"}},
		{{Category: "order"}},
		{{Category: "orders"}},
		{{Category: "cart"}},
		{{Category: "cart-1"}},
		{{Category: "orde"}},
		{{Types: only("placed")}},
		{{Types: only("sent", "placed")}},
		{{Types: only("none")}},
		{{Tags: only("customer:1")}},
		{{Tags: only("customer:3", "region:0")}},
		{{Tags: only("region:1", "customer:1")}},
		{{Tags: only("customer:1", "customer:2")}},
		{{Category: "order", Types: only("paid"), Tags: only("customer:1")}},
		{{Stream: "order-2", Types: only("paid", "placed")}},
		{{Stream: "order-2", Category: "cart"}},
		{{Stream: "order-2", Category: "order"}},
		{{Stream: "order-1"}, {Category: "cart", Types: only("sent")}},
		{{Tags: only("customer:2")}, {Tags: only("customer:3")}, {Types: only("none")}},
		{{Types: only("none")}, {}},
	}
}

// choose does what Read should do, in the plainest way.
func choose(all []journal.Event, o journal.ReadOptions) []journal.Event {
	var out []journal.Event
	for i := range all {
		e := &all[i]
		if e.Position > o.After && (o.Before == 0 || e.Position < o.Before) && o.Filter.Matches(&e.EventData, e.Stream) {
			out = append(out, *e)
		}
	}
	if o.Backwards {
		slices.Reverse(out)
	}
	if o.Limit > 0 {
		out = out[:min(len(out), o.Limit)]
	}
	return out
}

func readFilters(k *kit) {
	all := mixture(k, 90)
	p := func(i int) journal.Position { return all[i].Position }
	for _, f := range filters() {
		for _, o := range []journal.ReadOptions{
			{},
			{After: p(10)},
			{Before: p(70)},
			{After: p(20), Before: p(40)},
			{Limit: 3},
			{After: p(30), Limit: 5},
			{Before: p(80), Limit: 5},
			{After: p(89)},
			{After: p(40), Before: p(40)},
			{After: p(50), Before: p(30)},
			{After: p(89) + 1000, Before: p(89) + 2000},
		} {
			o.Filter = f
			for _, o.Backwards = range []bool{false, true} {
				same(k, fmt.Sprintf("ids read with %+v", o), ids(k.read(o)), ids(choose(all, o)))
			}
		}
	}
	same(k, "events as a whole", k.read(journal.ReadOptions{Backwards: true, Before: p(1)}), all[:1])
}

func readBounds(k *kit) {
	all := mixture(k, 7)
	for after := journal.Position(0); after <= all[6].Position+1; after++ {
		for before := journal.Position(0); before <= all[6].Position+2; before++ {
			for limit := range 4 {
				for _, backwards := range []bool{false, true} {
					o := journal.ReadOptions{After: after, Before: before, Limit: limit, Backwards: backwards}
					same(k, fmt.Sprintf("ids read with %+v", o), ids(k.read(o)), ids(choose(all, o)))
				}
			}
		}
	}
}

func readFarBounds(k *kit) {
	all := mixture(k, 10)
	const far = 1<<63 - 1
	for _, backwards := range []bool{false, true} {
		for _, limit := range []int{0, 2, math.MaxInt} {
			for _, f := range []journal.Filter{nil, {{Stream: "order-1"}}, {{Category: "order"}}, {{Tags: only("customer:1")}}} {
				for _, o := range []journal.ReadOptions{{After: far}, {Before: far}, {After: far - 1, Before: far}} {
					o.Backwards, o.Limit, o.Filter = backwards, limit, f
					same(k, fmt.Sprintf("ids read with %+v", o), ids(k.read(o)), ids(choose(all, o)))
				}
			}
			o := journal.StreamOptions{After: far, Backwards: backwards, Limit: limit}
			same(k, fmt.Sprintf("events of a stream with %+v", o), len(k.stream("order-1", &o)), 0)
			o = journal.StreamOptions{Before: far, Backwards: backwards, Limit: limit}
			same(k, fmt.Sprintf("events of a stream with %+v", o), len(k.stream("order-1", &o)) > 0, true)
		}
	}
	k.refused(journal.ErrConflict, unit(to("order-1", far, event("test.far"))))
	u := unit(to("order-1", journal.Any, event("test.near")))
	u.Conditions = []journal.Condition{{After: far}}
	k.commit(u)
	k.refused(journal.ErrConflict, journal.Unit{Records: []journal.RecordWrite{{Kind: "note", Key: "n", Expect: far}}})
	k.refused(journal.ErrFenced, fenced("owner", far, "order-1"))
}

// walk reads page by page as Log.Read does, checking each page's own words.
func (k *kit) walk(all []journal.Event, q journal.Query) []journal.Event {
	k.Helper()
	var out []journal.Event
	idOf := map[journal.Position]journal.ID{}
	for _, e := range all {
		idOf[e.Position] = e.ID
	}
	for range len(all) + 2 {
		page, err := k.log.Store().Read(k.ctx, q)
		if err != nil {
			k.Fatalf("read %+v: %v", q, err)
		}
		if len(page.Events) > q.Limit {
			k.Fatalf("read %+v: got %d events", q, len(page.Events))
		}
		out = append(out, page.Events...)
		start := q.After
		if q.Backwards {
			start = q.Before
		}
		if page.Through == start {
			if page.More || len(page.Events) > 0 || page.ThroughID != (journal.ID{}) {
				k.Fatalf("read %+v: looked at nothing, yet answered %+v", q, page)
			}
			return out
		}
		if id, ok := idOf[page.Through]; !ok || page.ThroughID != id {
			k.Fatalf("read %+v: page goes through %d, id %s; the event there is %s", q, page.Through, page.ThroughID, id)
		}
		if n := len(page.Events); n > 0 {
			if last := page.Events[n-1].Position; q.Backwards && last < page.Through || !q.Backwards && last > page.Through {
				k.Fatalf("read %+v: page goes through %d, its last event is at %d", q, page.Through, last)
			}
		}
		if !page.More {
			return out
		}
		if q.Backwards {
			q.Before = page.Through
		} else {
			q.After = page.Through
		}
	}
	k.Fatalf("read %+v: pages do not come to an end", q)
	return nil
}

func readPages(k *kit) {
	all := mixture(k, 24)
	for _, f := range filters() {
		for _, limit := range []int{1, 2, 7, 8, 12, 23, 24, 25, 1000} {
			for _, backwards := range []bool{false, true} {
				q := journal.Query{Filter: f, Limit: limit, Bytes: 1 << 20, Backwards: backwards}
				want := choose(all, journal.ReadOptions{Filter: f, Backwards: backwards})
				same(k, fmt.Sprintf("ids walked with %+v", q), ids(k.walk(all, q)), ids(want))
			}
		}
	}
	q := journal.Query{After: all[5].Position, Before: all[20].Position, Limit: 14, Bytes: 1 << 20}
	same(k, "ids walked between bounds", ids(k.walk(all, q)), ids(all[6:20]))
	q.Backwards = true
	between := slices.Clone(all[6:20])
	slices.Reverse(between)
	same(k, "ids walked back between bounds", ids(k.walk(all, q)), ids(between))
}

func readPageBytes(k *kit) {
	for i := range 12 {
		e := event("test.large")
		e.Data = make([]byte, 1000*(i%3+1))
		k.append("order-1", journal.Any, e)
	}
	all := k.read(journal.ReadOptions{})
	for _, bytes := range []int{1, 999, 1000, 1001, 2500, 6000, 1 << 20} {
		for _, backwards := range []bool{false, true} {
			q := journal.Query{Limit: 100, Bytes: bytes, Backwards: backwards}
			page, err := k.log.Store().Read(k.ctx, q)
			if err != nil || len(page.Events) == 0 {
				k.Fatalf("read %+v: got %d events, %v", q, len(page.Events), err)
			}
			size := 0
			for _, e := range page.Events[:len(page.Events)-1] {
				size += len(e.Data)
			}
			if size > bytes {
				k.Errorf("read %+v: %d bytes before the last event", q, size)
			}
			want := choose(all, journal.ReadOptions{Backwards: backwards})
			same(k, fmt.Sprintf("ids walked with %+v", q), ids(k.walk(all, q)), ids(want))
		}
	}
}

func readNothingFits(k *kit) {
	all := mixture(k, 30)
	head := k.head()
	same(k, "head", journal.Checkpoint{Log: head.Log, Epoch: head.Epoch, Position: all[29].Position, ID: all[29].ID}, head)
	for _, f := range []journal.Filter{
		{{Types: only("none")}}, {{Tags: only("none")}}, {{Category: "none"}}, {{Stream: "none-1"}},
	} {
		for _, after := range []journal.Position{0, all[10].Position, all[28].Position} {
			q := journal.Query{After: after, Filter: f, Limit: 10, Bytes: 1 << 20}
			for {
				page, err := k.log.Store().Read(k.ctx, q)
				if err != nil || len(page.Events) > 0 {
					k.Fatalf("read %+v: got %+v, %v", q, page, err)
				}
				if !page.More {
					same(k, "how far the reader certainly is", page.Through, head.Position)
					same(k, "the id there", page.ThroughID, head.ID)
					break
				}
				q.After = page.Through
			}
		}
	}
}

func readMany(k *kit) {
	const n = 3 * journal.MaxPage
	for i := range 6 {
		k.append(journal.Stream(fmt.Sprintf("order-%d", i%2)), journal.Any, events(n/6)...)
	}
	all := k.read(journal.ReadOptions{})
	same(k, "events", len(all), n)
	back := k.read(journal.ReadOptions{Backwards: true})
	slices.Reverse(back)
	same(k, "ids read backwards", ids(back), ids(all))
	for _, limit := range []int{journal.MaxPage - 1, journal.MaxPage, journal.MaxPage + 1, n - 1, n, n + 1} {
		same(k, "events under a limit", len(k.read(journal.ReadOptions{Limit: limit})), min(limit, n))
	}
	same(k, "events of a category", len(k.read(journal.ReadOptions{Filter: journal.Filter{{Category: "order"}}})), n)
	same(k, "events of a stream", len(k.read(journal.ReadOptions{Filter: journal.Filter{{Stream: "order-1"}}})), n/2)
	last := journal.ReadOptions{Backwards: true, Limit: 1, Filter: journal.Filter{{Stream: "order-0"}}}
	same(k, "last event of a stream", k.read(last)[0].Version, n/2)
}

func readStops(k *kit) {
	all := mixture(k, 20)
	for range k.log.Read(k.ctx, journal.ReadOptions{}) {
		break
	}
	for range k.log.ReadStream(k.ctx, "order-1", nil) {
		break
	}
	k.append("order-1", journal.Any, event("test.next"))
	same(k, "events", len(k.read(journal.ReadOptions{})), len(all)+1)

	ctx, cancel := context.WithCancel(k.ctx)
	defer cancel()
	seen := 0
	var err error
	for _, err = range k.log.Read(ctx, journal.ReadOptions{}) {
		if seen++; seen == 1 {
			cancel()
		}
	}
	if seen <= len(all) && !errors.Is(err, context.Canceled) {
		k.Errorf("a cancelled reader ended after %d pairs with %v", seen, err)
	}
	for _, err = range k.log.Read(ctx, journal.ReadOptions{}) {
		if !errors.Is(err, context.Canceled) {
			k.Errorf("read with an ended context: got %v", err)
		}
	}
}

func readWhileWriting(k *kit) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 60 {
			mark := fmt.Sprintf("unit:%d", i)
			u := unit(to("order-1", journal.Any, event("test.a", mark), event("test.b", mark)),
				to("order-2", journal.Any, event("test.c", mark)))
			if _, err := k.log.Commit(k.ctx, u); err != nil {
				k.Errorf("commit: %v", err)
				return
			}
		}
	}()
	var before []journal.Event
	for writing := true; writing; {
		select {
		case <-done:
			writing = false
		default:
		}
		bound := k.head().Position + 1
		all := k.read(journal.ReadOptions{Before: bound})
		if len(all)%3 != 0 {
			k.Fatalf("a reader up to the head sees %d events: half a unit", len(all))
		}
		if len(all) < len(before) {
			k.Fatalf("a reader sees %d events, it saw %d before", len(all), len(before))
		}
		same(k, "what was read before", ids(all[:len(before)]), ids(before))
		before = all
	}
	same(k, "events in the end", len(before), 180)
}
