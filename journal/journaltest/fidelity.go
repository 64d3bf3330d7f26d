// SPDX-License-Identifier: Apache-2.0

// Cases about what is stored: it comes back as it was given, and bad input does not get in.

package journaltest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"example.com/vidimus/journal"
)

func fidelityCases() []testCase {
	return []testCase{
		{name: "events come back as they were given", run: eventsComeBack},
		{name: "what is left out is filled in", run: defaultsAreFilledIn},
		{name: "events at every limit are stored", run: eventsAtLimits},
		{name: "a unit at its limit in bytes is stored", run: unitAtLimit},
		{name: "the caller's memory stays the caller's", run: memoryIsNotShared},
		{name: "bad input is refused with the field's name and writes nothing", run: badInput},
	}
}

func oddEvents() []journal.EventData {
	now := time.Date(2026, 3, 29, 2, 30, 0, 987654000, time.UTC)
	all := []journal.EventData{
		{Data: nil, Meta: nil, Time: now},
		{Data: []byte{}, Meta: []byte{}, Tags: []string{}, Time: now},
		{Data: []byte{0}, Meta: []byte{0, 0}, Time: time.Unix(0, 0)},
		{Data: []byte("\x00\x01\xfe\xff\x00"), Meta: []byte("\xff"), Time: time.Unix(0, -1000)},
		{Data: []byte(`{"a": 1.0, "a": 2 }`), Meta: []byte(`{"traceparent":"00-1"}`), Time: time.Unix(-1, 1000)},
		{Data: []byte(" null "), Meta: []byte("\\x41"), Time: time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC)},
		{Data: []byte("\n'\"\\%_;--"), Time: time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)},
		{Schema: 1, Time: time.Date(1582, 10, 10, 0, 0, 0, 0, time.UTC)},
		{Schema: 1<<31 - 1, Time: time.Date(1900, 2, 28, 23, 59, 59, 1000, time.UTC)},
		{Tags: []string{"b", "a", "b", "c:1", "", "a"}[:4], Time: now.In(time.FixedZone("east", 5*3600+1800))},
		{Tags: []string{"a b", "a,b", `"a"`, "{a}", "a\\", "NULL", "null", "é", "🙂"}, Time: now},
	}
	for i := range all {
		all[i].ID, all[i].Type = journal.NewID(), "Test.Odd "+string(rune('a'+i))
	}
	all[0].ID = journal.ID{1}
	all[1].ID = journal.ID{15: 1}
	all[2].ID = journal.ID{0xff, 15: 0xff}
	return all
}

// wanted is the event that e should be read as.
func wanted(e journal.EventData, s journal.Stream, v journal.Version, p journal.Position) journal.Event {
	e.Schema = max(e.Schema, 1)
	e.Time = e.Time.UTC().Truncate(time.Microsecond)
	return journal.Event{EventData: e, Stream: s, Version: v, Position: p}
}

func eventsComeBack(k *kit) {
	given := oddEvents()
	var want []journal.Event
	for i, e := range given {
		s := journal.Stream(fmt.Sprintf("odd-%d", i%2))
		res := k.append(s, journal.Any, e)
		want = append(want, wanted(e, s, res.Versions[0], res.Position))
	}
	check := func(got []journal.Event) {
		k.Helper()
		same(k, "events", len(got), len(want))
		for i, w := range normal(want) {
			same(k, fmt.Sprintf("event %d", i), normal(got)[i], w)
			if got[i].Time.Location() != time.UTC {
				k.Errorf("event %d: its time is in %v, want UTC", i, got[i].Time.Location())
			}
		}
	}
	check(k.read(journal.ReadOptions{}))
	if k.h.Reopens {
		k.reopen()
		check(k.read(journal.ReadOptions{}))
	}
	var odd []journal.Event
	for i := range want {
		if want[i].Stream == "odd-1" {
			odd = append(odd, want[i])
		}
	}
	same(k, "events of a stream", normal(k.stream("odd-1", nil)), normal(odd))
}

func defaultsAreFilledIn(k *kit) {
	start := time.Unix(0, 0)
	k.append("order-1", journal.None, journal.EventData{Type: "test.plain"})
	e := k.stream("order-1", nil)[0]
	if e.ID == (journal.ID{}) || e.Schema != 1 || !e.Time.After(start) || len(e.Data)+len(e.Meta)+len(e.Tags) > 0 {
		k.Errorf("got %+v; want an id, schema 1, the time, and nothing else", e)
	}
}

func eventsAtLimits(k *kit) {
	large := event(strings.Repeat("t", journal.MaxName))
	large.Time = time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	large.Data, large.Meta = make([]byte, journal.MaxData), make([]byte, journal.MaxMeta)
	for i := range large.Data {
		large.Data[i] = byte(i ^ i>>8)
	}
	for i := range large.Meta {
		large.Meta[i] = byte(i * 7)
	}
	for i := range journal.MaxTags {
		large.Tags = append(large.Tags, fmt.Sprintf("%02d", i)+strings.Repeat("é", (journal.MaxName-3)/2))
	}
	s := journal.Stream(strings.Repeat("s", journal.MaxName))
	res := k.append(s, journal.None, large)
	want := wanted(large, s, 1, res.Position)
	for _, got := range [][]journal.Event{
		k.stream(s, nil), k.read(journal.ReadOptions{}),
		k.read(journal.ReadOptions{Filter: journal.Filter{{Tags: large.Tags, Types: only(large.Type), Stream: s}}}),
	} {
		same(k, "events", len(got), 1)
		got = normal(got)
		if string(got[0].Data) != string(large.Data) || string(got[0].Meta) != string(large.Meta) {
			k.Error("data or meta at the limit come back changed")
		}
		got[0].Data, got[0].Meta, want.Data, want.Meta = nil, nil, nil, nil
		same(k, "event", got[0], normal([]journal.Event{want})[0])
	}
	u := journal.Unit{Appends: []journal.Append{to("next", journal.None, event("test.next"))}}
	u.Conditions = []journal.Condition{{Filter: journal.Filter{{Tags: large.Tags}}}}
	k.refused(journal.ErrCondition, u)
}

func unitAtLimit(k *kit) {
	u := unit(to("large-1", journal.None))
	for range journal.MaxUnit/journal.MaxData - 1 {
		e := event("test.large")
		e.Data = make([]byte, journal.MaxData)
		u.Appends[0].Events = append(u.Appends[0].Events, e)
	}
	res := k.commit(u)
	k.wantDuplicate(k.log, "retry", u, res)
	got := k.stream("large-1", nil)
	same(k, "events", len(got), len(u.Appends[0].Events))
	for i, e := range got {
		same(k, "bytes of an event", len(e.Data), journal.MaxData)
		same(k, "id", e.ID, u.Appends[0].Events[i].ID)
	}
	same(k, "events of the journal", len(k.read(journal.ReadOptions{})), len(got))
}

func memoryIsNotShared(k *kit) {
	e := event("test.mine", "tag:1")
	e.Data, e.Meta = []byte("data"), []byte("meta")
	value := []byte("value")
	u := unit(to("order-1", journal.None, e))
	u.Records = []journal.RecordWrite{{Kind: "note", Key: "n", Value: value}}
	k.commit(u)
	scribble := func(bytes ...[]byte) {
		for _, b := range bytes {
			copy(b, "-----")
		}
	}
	scribble(e.Data, e.Meta, value)
	e.Tags[0] = "---"
	for range 2 {
		for _, got := range [][]journal.Event{k.stream("order-1", nil), k.read(journal.ReadOptions{})} {
			g := got[0]
			same(k, "event", []string{string(g.Data), string(g.Meta), g.Tags[0]}, []string{"data", "meta", "tag:1"})
			scribble(g.Data, g.Meta)
			g.Tags[0] = "---"
		}
		r := k.record("note", "n")
		same(k, "value", string(r.Value), "value")
		scribble(r.Value)
		listed := k.records(journal.RecordQuery{Kind: "note"})
		same(k, "listed value", string(listed[0].Value), "value")
		scribble(listed[0].Value)
	}
	k.append("order-1", journal.Exactly(1), events(3)...)
	all := k.stream("order-1", nil)
	_ = append(all[0].Data, "overrun"...)
	_ = append(all[1].Meta, "overrun"...)
	same(k, "data beside", string(all[1].Data), "{}")
}

func badInput(k *kit) {
	bad := event("test.bad")
	bad.ID = journal.ID{}
	control, broken, long := event("test\x00bad"), event("test"), event("test")
	broken.Tags = []string{"a\xffb"}
	long.Data = make([]byte, journal.MaxData+1)
	for field, u := range map[string]journal.Unit{
		"appends[0].events[0].id":      unit(to("order-1", journal.Any, bad)),
		"appends[1].events[0].type":    unit(to("order-1", journal.Any, event("t")), to("order-2", journal.Any, control)),
		"appends[0].events[0].tags[0]": unit(to("order-1", journal.Any, broken)),
		"appends[0].events[0].data":    unit(to("order-1", journal.Any, long)),
		"appends[0].stream":            unit(to("", journal.Any, event("t"))),
		"appends[1].stream":            unit(to("order-1", journal.Any), to("order-1", journal.Any)),
		"appends[0].expect":            unit(to("order-1", -3, event("t"))),
		"fences[0].epoch":              {Fences: []journal.Fence{{Lease: "l"}}},
		"conditions[0].after":          {Conditions: []journal.Condition{{After: -1}}},
		"records[0].key":               {Records: []journal.RecordWrite{{Kind: "note"}}},
	} {
		var invalid *journal.InvalidError
		if err := k.refused(journal.ErrInvalid, u); !errors.As(err, &invalid) || invalid.Field != field {
			k.Errorf("got %v, want an InvalidError of %s", err, field)
		}
	}
	for _, ask := range []func() error{
		func() error { _, err := k.log.Record(k.ctx, "note", "a\x00b"); return err },
		func() error {
			_, err := k.log.Records(k.ctx, journal.RecordQuery{Kind: "note", Prefix: "\xff"})
			return err
		},
		func() error { _, _, err := k.log.Checkpoint(k.ctx, ""); return err },
		func() error {
			for _, err := range k.log.ReadStream(k.ctx, "a\nb", nil) {
				return err
			}
			return nil
		},
		func() error {
			for _, err := range k.log.Read(k.ctx, journal.ReadOptions{Filter: journal.Filter{{Tags: only("")}}}) {
				return err
			}
			return nil
		},
	} {
		if err := ask(); !errors.Is(err, journal.ErrInvalid) {
			k.Errorf("got %v, want ErrInvalid", err)
		}
	}
	same(k, "events", len(k.read(journal.ReadOptions{})), 0)
}
