// SPDX-License-Identifier: Apache-2.0

// Cases about how long a commit may be repeated, and about long streams.

package journaltest

import (
	"fmt"

	"example.com/vidimus/journal"
)

func windowCases() []testCase {
	return []testCase{
		{name: "a retry is recognised as long as its last event is in the window", run: windowIsExact},
		{name: "the window counts events of the same stream only", run: windowIsPerStream},
		{name: "a unit of a thousand events is recognised to the end of the window", run: windowOfLongUnit},
		{name: "a stream of five thousand events reads right from everywhere", run: longStream},
	}
}

// fill appends n events in as few units as possible.
func (k *kit) fill(s journal.Stream, n int) {
	k.Helper()
	for n > 0 {
		some := min(n, journal.MaxEvents)
		k.append(s, journal.Any, events(some)...)
		n -= some
	}
}

func windowIsExact(k *kit) {
	k.append("order-1", journal.None, event("test.before"))
	old := unit(to("order-1", journal.Any, events(3)...))
	res := k.commit(old)
	k.fill("order-1", journal.Window-1)
	k.wantDuplicate(k.log, "retry at the edge of the window", old, res)
	if k.h.Reopens {
		k.reopen()
		k.wantDuplicate(k.log, "retry at the edge of the window after reopening", old, res)
	}
	single := unit(to("order-2", journal.Exactly(0), event("test.single")))
	res = k.commit(single)
	k.fill("order-2", journal.Window-1)
	k.wantDuplicate(k.log, "retry at the edge of the window", single, res)
	k.append("order-2", journal.Any, event("test.one.more"))
	k.refused(journal.ErrConflict, single)
	k.sound()
}

func windowIsPerStream(k *kit) {
	u := unit(to("order-1", journal.None, event("test.old")))
	res := k.commit(u)
	k.fill("order-2", journal.Window+500)
	k.wantDuplicate(k.log, "retry behind many events of another stream", u, res)
}

func windowOfLongUnit(k *kit) {
	u := unit(to("order-1", journal.None, events(journal.MaxEvents)...))
	res := k.commit(u)
	k.wantDuplicate(k.log, "retry", u, res)
	k.fill("order-1", journal.Window-1)
	k.wantDuplicate(k.log, "retry at the edge of the window", u, res)
	k.sound()
}

func longStream(k *kit) {
	const n = 5000
	for v := 0; v < n; v += 250 {
		k.append("long-1", journal.Exactly(journal.Version(v)), events(250)...)
		k.append(journal.Stream(fmt.Sprintf("short-%d", v)), journal.None, events(3)...)
	}
	check := func(o journal.StreamOptions, first, last journal.Version) {
		k.Helper()
		got := k.stream("long-1", &o)
		want, step := last-first+1, journal.Version(1)
		if o.Backwards {
			want, step = first-last+1, -1
		}
		same(k, fmt.Sprintf("events with %+v", o), len(got), int(want))
		for i, e := range got {
			if e.Version != first+step*journal.Version(i) || e.Stream != "long-1" {
				k.Fatalf("%+v: event %d is %s version %d", o, i, e.Stream, e.Version)
			}
		}
	}
	check(journal.StreamOptions{}, 1, n)
	check(journal.StreamOptions{Backwards: true}, n, 1)
	for _, v := range []journal.Version{1, 63, 64, 65, 127, 128, 129, 999, 1000, 1001, 2500, 4095, 4998} {
		check(journal.StreamOptions{After: v}, v+1, n)
		check(journal.StreamOptions{After: v, Limit: 2}, v+1, v+2)
		check(journal.StreamOptions{Before: v + 1, Limit: 1, Backwards: true}, v, v)
		check(journal.StreamOptions{Before: v + 1, Backwards: true}, v, 1)
		check(journal.StreamOptions{After: v, Before: v + 2}, v+1, v+1)
	}
	check(journal.StreamOptions{After: 10, Limit: journal.MaxPage + 1}, 11, 10+journal.MaxPage+1)
	check(journal.StreamOptions{Backwards: true, Limit: journal.MaxPage + 1}, n, n-journal.MaxPage)
	k.append("long-1", journal.Exactly(n), event("test.last"))
	k.sound()
}
