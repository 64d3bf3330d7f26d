// SPDX-License-Identifier: Apache-2.0

// Random units, filters and queries, all drawn from one seed.

package journaltest

import (
	"encoding/binary"
	"fmt"
	"time"

	"example.com/vidimus/journal"
)

// lots draws units that mostly succeed, because it remembers what succeeded before.
type lots struct {
	chance
	versions map[journal.Stream]journal.Version
	records  map[[2]string]journal.Version
	done     []journal.Unit
	made     uint64
}

func newLots(seed uint64) lots {
	return lots{
		chance: chance{state: seed}, versions: map[journal.Stream]journal.Version{}, records: map[[2]string]journal.Version{},
	}
}

func (l *lots) anyStream() journal.Stream {
	return pick(&l.chance, journal.Stream("order-1"), "order-2", "orders-1", "order", "cart-1-2", "cart-1", "busy")
}

// unit draws a unit for a journal of n events.
func (l *lots) unit(n int) journal.Unit {
	if len(l.done) > 0 && l.one(7) {
		return l.again()
	}
	var u journal.Unit
	if l.one(6) {
		u.Fences = []journal.Fence{{Lease: pick(&l.chance, "a", "b"), Epoch: journal.Epoch(l.below(4) + 1)}}
	}
	used := map[journal.Stream]bool{}
	for range l.below(4) {
		s := l.anyStream()
		if used[s] {
			continue
		}
		used[s] = true
		a := journal.Append{Stream: s, Expect: l.expect(l.versions[s])}
		for range l.below(5) {
			a.Events = append(a.Events, l.event())
		}
		u.Appends = append(u.Appends, a)
	}
	if l.one(5) {
		after := n - l.below(min(n+1, 5)) + l.below(2)
		u.Conditions = []journal.Condition{{After: journal.Position(after), Filter: l.filter()}}
	}
	if l.one(3) {
		u.Records = l.writes()
	}
	return u
}

// again repeats an earlier unit, as it was or altered.
func (l *lots) again() journal.Unit {
	u := pick(&l.chance, l.done...)
	appends := make([]journal.Append, len(u.Appends))
	copy(appends, u.Appends)
	u.Appends = appends
	if len(appends) == 0 || !l.one(3) {
		return u
	}
	a := &appends[l.below(len(appends))]
	switch n := len(a.Events); l.below(4) {
	case 0:
		a.Expect = l.expect(l.versions[a.Stream])
	case 1:
		a.Events = append(a.Events[:n:n], l.event())
	case 2:
		a.Events = a.Events[:n/2]
	default:
		a.Events = append([]journal.EventData{l.event()}, a.Events...)
	}
	return u
}

// expect is most often right.
func (l *lots) expect(v journal.Version) journal.Expect {
	switch l.below(8) {
	case 0:
		return journal.None
	case 1:
		return journal.Exists
	case 2:
		return journal.Exactly(max(0, v-1))
	case 3, 4:
		return journal.Any
	}
	return journal.Exactly(v)
}

// event draws an event; its id most often rises, as those of the usual kind do.
func (l *lots) event() journal.EventData {
	l.made++
	e := journal.EventData{
		Type: pick(&l.chance, "placed", "paid", "sent"), Schema: l.below(3),
		Time: time.UnixMicro(int64(l.next() >> 14)).Add(-20 * 365 * 24 * time.Hour),
	}
	if e.ID = l.id(); !l.one(5) {
		binary.BigEndian.PutUint64(e.ID[:], l.made<<8)
	}
	e.Data = make([]byte, l.below(40))
	for i := range e.Data {
		e.Data[i] = byte(l.next())
	}
	if l.one(3) {
		e.Meta = []byte(`{"actor":"test"}`)
	}
	for range l.below(4) {
		e.Tags = append(e.Tags, l.tag())
	}
	return e
}

func (l *lots) tag() string { return fmt.Sprintf("tag:%d", l.below(6)) }

func (l *lots) filter() journal.Filter {
	var f journal.Filter
	for range l.below(3) {
		var m journal.Match
		switch l.below(4) {
		case 0:
			m.Stream = l.anyStream()
		case 1:
			m.Category = l.anyStream().Category()
		}
		for range l.below(3) {
			m.Types = append(m.Types, pick(&l.chance, "placed", "paid", "sent", "none"))
		}
		for range l.below(3) {
			m.Tags = append(m.Tags, l.tag())
		}
		f = append(f, m)
	}
	return f
}

func (l *lots) kind() string { return pick(&l.chance, "note", "timer", journal.KindLease) }
func (l *lots) key() string  { return pick(&l.chance, "a", "b", "ab", "abc", "%") }

func (l *lots) due() time.Time {
	if l.one(3) {
		return time.Time{}
	}
	return time.UnixMicro(int64(l.below(20) - 10)).UTC()
}

func (l *lots) writes() []journal.RecordWrite {
	var out []journal.RecordWrite
	used := map[[2]string]bool{}
	for range l.below(4) {
		w := journal.RecordWrite{
			Op:   pick(&l.chance, journal.Put, journal.Put, journal.Put, journal.Delete, journal.Check),
			Kind: l.kind(), Key: l.key(), Due: l.due(), Value: fmt.Appendf(nil, "%d", l.below(1000)),
		}
		name := [2]string{w.Kind, w.Key}
		if w.Op == journal.Delete && w.Kind == journal.KindLease || used[name] {
			continue
		}
		used[name] = true
		w.Expect = l.expect(l.records[name])
		out = append(out, w)
	}
	return out
}

func (l *lots) query() journal.RecordQuery {
	q := journal.RecordQuery{Kind: l.kind(), Limit: l.below(5)}
	if l.one(2) {
		q.Prefix = l.key()
	}
	if l.one(2) {
		q.DueBy = time.UnixMicro(int64(l.below(20) - 10))
	} else if l.one(2) {
		q.After = l.key()
	}
	return q
}

// learnt remembers what became of a unit.
func (l *lots) learnt(u journal.Unit, out journal.Outcome) {
	if out.Err != nil || out.Result.Duplicate {
		return
	}
	l.done = append(l.done, u)
	for i, a := range u.Appends {
		l.versions[a.Stream] = out.Result.Versions[i]
	}
	for i, w := range u.Records {
		l.records[[2]string{w.Kind, w.Key}] = out.Result.Records[i]
	}
}
