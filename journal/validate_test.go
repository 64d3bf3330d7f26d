// SPDX-License-Identifier: Apache-2.0

// The rules a unit must keep, each broken and each just kept.

package journal_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"example.com/vidimus/journal"
)

// rule is a unit, and the field that is refused; "" where the unit is good.
type rule struct {
	what  string
	field string
	unit  journal.Unit
}

// one returns a unit with one event, changed.
func one(change func(e *journal.EventData)) journal.Unit {
	u := unitOf("order-1", journal.Any)
	change(&u.Appends[0].Events[0])
	return u
}

func appending(appends ...journal.Append) journal.Unit { return journal.Unit{Appends: appends} }

func writing(records ...journal.RecordWrite) journal.Unit { return journal.Unit{Records: records} }

// under returns a unit with a condition of one match.
func under(m journal.Match) journal.Unit {
	return journal.Unit{Conditions: []journal.Condition{{Filter: journal.Filter{m}}}}
}

// many repeats a part of a unit with different names.
func many[T any](n int, part func(name string) T) []T {
	out := make([]T, n)
	for i := range out {
		out[i] = part(fmt.Sprintf("n%d", i))
	}
	return out
}

func eventRules() []rule {
	const first = "appends[0].events[0]."
	long := strings.Repeat("x", journal.MaxName)
	return []rule{
		{"a plain event", "", one(func(*journal.EventData) {})},
		{"no id", first + "id", one(func(e *journal.EventData) { e.ID = journal.ID{} })},
		{"no type", first + "type", one(func(e *journal.EventData) { e.Type = "" })},
		{"the longest type", "", one(func(e *journal.EventData) { e.Type = long })},
		{"too long a type", first + "type", one(func(e *journal.EventData) { e.Type = long + "x" })},
		{"a type that is no UTF-8", first + "type", one(func(e *journal.EventData) { e.Type = "a\xff" })},
		{"a type with a line break", first + "type", one(func(e *journal.EventData) { e.Type = "a\nb" })},
		{"a type with a delete character", first + "type", one(func(e *journal.EventData) { e.Type = "a\x7f" })},
		{"the greatest schema", "", one(func(e *journal.EventData) { e.Schema = 1<<31 - 1 })},
		{"a negative schema", first + "schema", one(func(e *journal.EventData) { e.Schema = -1 })},
		{"too great a schema", first + "schema", one(func(e *journal.EventData) { e.Schema = 1 << 31 })},
		{"the largest data", "", one(func(e *journal.EventData) { e.Data = make([]byte, journal.MaxData) })},
		{"too large data", first + "data", one(func(e *journal.EventData) { e.Data = make([]byte, journal.MaxData+1) })},
		{"the largest meta", "", one(func(e *journal.EventData) { e.Meta = make([]byte, journal.MaxMeta) })},
		{"too large meta", first + "meta", one(func(e *journal.EventData) { e.Meta = make([]byte, journal.MaxMeta+1) })},
		{"the most tags", "", one(func(e *journal.EventData) {
			e.Tags = many(journal.MaxTags, func(n string) string { return n })
		})},
		{"too many tags", first + "tags", one(func(e *journal.EventData) {
			e.Tags = many(journal.MaxTags+1, func(n string) string { return n })
		})},
		{"an empty tag", first + "tags[1]", one(func(e *journal.EventData) { e.Tags = []string{"a", ""} })},
		{"the first year", "", one(func(e *journal.EventData) { e.Time = time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC) })},
		{"before the first year", first + "time", one(func(e *journal.EventData) {
			e.Time = time.Date(0, 12, 31, 23, 0, 0, 0, time.UTC)
		})},
		{"after the last year, elsewhere", first + "time", one(func(e *journal.EventData) {
			e.Time = time.Date(9999, 12, 31, 23, 0, 0, 0, time.FixedZone("west", -3600))
		})},
	}
}

func appendRules() []rule {
	e := func() journal.EventData { return journal.EventData{ID: journal.NewID(), Type: "t"} }
	twice := e()
	spread := func(n int) journal.Unit {
		a := journal.Append{Stream: "order-1", Expect: journal.Any}
		for range n {
			a.Events = append(a.Events, e())
		}
		return appending(a)
	}
	return []rule{
		{"nothing", "", journal.Unit{}},
		{"no stream", "appends[0].stream", appending(journal.Append{})},
		{"a stream with a tab", "appends[0].stream", appending(journal.Append{Stream: "a\tb"})},
		{"a stream that is no UTF-8", "appends[0].stream", appending(journal.Append{Stream: "\xc3\x28"})},
		{
			"too long a stream", "appends[0].stream",
			appending(journal.Append{Stream: journal.Stream(strings.Repeat("é", 128))}),
		},
		{"one stream twice", "appends[2].stream", appending(
			journal.Append{Stream: "a"}, journal.Append{Stream: "b"}, journal.Append{Stream: "a"})},
		{"the last of three twice", "appends[2].stream", appending(
			journal.Append{Stream: "a"}, journal.Append{Stream: "b"}, journal.Append{Stream: "b"})},
		{"an unknown expectation", "appends[0].expect", appending(journal.Append{Stream: "a", Expect: -3})},
		{"one id twice in a stream", "appends[0].events[1].id", appending(
			journal.Append{Stream: "a", Events: []journal.EventData{twice, twice}})},
		{"one id in two streams", "appends[1].events[0].id", appending(
			journal.Append{Stream: "a", Events: []journal.EventData{twice}},
			journal.Append{Stream: "b", Events: []journal.EventData{twice}})},
		{"the most events", "", spread(journal.MaxEvents)},
		{"too many events", "appends", spread(journal.MaxEvents + 1)},
		{"the most streams", "", appending(many(journal.MaxParts, func(n string) journal.Append {
			return journal.Append{Stream: journal.Stream(n)}
		})...)},
		{"too many streams", "appends", appending(many(journal.MaxParts+1, func(n string) journal.Append {
			return journal.Append{Stream: journal.Stream(n)}
		})...)},
		{"too many bytes", "unit", writing(many(8, func(n string) journal.RecordWrite {
			return journal.RecordWrite{Kind: "k", Key: n, Value: make([]byte, journal.MaxData)}
		})...)},
	}
}

func checkRules() []rule {
	condition := func(c journal.Condition) journal.Unit { return journal.Unit{Conditions: []journal.Condition{c}} }
	fence := func(f ...journal.Fence) journal.Unit { return journal.Unit{Fences: f} }
	matches := make(journal.Filter, journal.MaxParts+1)
	return []rule{
		{"a fence", "", fence(journal.Fence{Lease: "l", Epoch: 1})},
		{"a fence without a lease", "fences[0].lease", fence(journal.Fence{Epoch: 1})},
		{
			"a fence without an epoch", "fences[1].epoch",
			fence(journal.Fence{Lease: "l", Epoch: 1}, journal.Fence{Lease: "m"}),
		},
		{"a fence before the first epoch", "fences[0].epoch", fence(journal.Fence{Lease: "l", Epoch: -1})},
		{"too many fences", "fences", fence(many(journal.MaxParts+1, func(n string) journal.Fence {
			return journal.Fence{Lease: n, Epoch: 1}
		})...)},
		{"an empty condition", "", condition(journal.Condition{})},
		{"a condition before the start", "conditions[0].after", condition(journal.Condition{After: -1})},
		{"too many conditions", "conditions", journal.Unit{Conditions: make([]journal.Condition, journal.MaxParts+1)}},
		{"the most matches", "", condition(journal.Condition{Filter: matches[1:]})},
		{"too many matches", "conditions[0].filter", condition(journal.Condition{Filter: matches})},
		{"an empty match", "", under(journal.Match{})},
		{"a match of an empty type", "conditions[0].filter[0]", under(journal.Match{Types: []string{""}})},
		{"a match of an empty tag", "conditions[0].filter[0]", under(journal.Match{Tags: []string{"a", ""}})},
		{"a match of a bad stream", "conditions[0].filter[0]", under(journal.Match{Stream: "\x00"})},
		{"a match of a bad category", "conditions[0].filter[0]", under(journal.Match{Category: "\xff"})},
		{"the most types", "", under(journal.Match{Types: many(journal.MaxParts, func(n string) string { return n })})},
		{"too many types", "conditions[0].filter[0]", under(journal.Match{
			Types: many(journal.MaxParts+1, func(n string) string { return n }),
		})},
		{"too many tags", "conditions[0].filter[0]", under(journal.Match{
			Tags: many(journal.MaxTags+1, func(n string) string { return n }),
		})},
	}
}

func recordRules() []rule {
	write := journal.RecordWrite{Kind: "k", Key: "n"}
	with := func(change func(w *journal.RecordWrite)) journal.Unit {
		w := write
		change(&w)
		return writing(w)
	}
	return []rule{
		{"a record", "", writing(write)},
		{"no kind", "records[0].kind", with(func(w *journal.RecordWrite) { w.Kind = "" })},
		{"no key", "records[0].key", with(func(w *journal.RecordWrite) { w.Key = "" })},
		{"a key with a zero", "records[0].key", with(func(w *journal.RecordWrite) { w.Key = "a\x00b" })},
		{"one record twice", "records[1]", writing(write, write)},
		{"two kinds of one key", "", writing(write, journal.RecordWrite{Kind: "l", Key: "n"})},
		{"an unknown operation", "records[0].op", with(func(w *journal.RecordWrite) { w.Op = 3 })},
		{"a negative operation", "records[0].op", with(func(w *journal.RecordWrite) { w.Op = -1 })},
		{"an unknown expectation", "records[0].expect", with(func(w *journal.RecordWrite) { w.Expect = -3 })},
		{"the largest value", "", with(func(w *journal.RecordWrite) { w.Value = make([]byte, journal.MaxData) })},
		{"too large a value", "records[0].value", with(func(w *journal.RecordWrite) {
			w.Value = make([]byte, journal.MaxData+1)
		})},
		{"due in the last year", "", with(func(w *journal.RecordWrite) {
			w.Due = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
		})},
		{"due after the last year", "records[0].due", with(func(w *journal.RecordWrite) {
			w.Due = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
		})},
		{"a lease put", "", writing(journal.RecordWrite{Kind: journal.KindLease, Key: "l"})},
		{"a lease deleted", "records[0].op", writing(journal.RecordWrite{
			Op: journal.Delete, Kind: journal.KindLease, Key: "l",
		})},
		{"too many records", "records", writing(many(journal.MaxParts+1, func(n string) journal.RecordWrite {
			return journal.RecordWrite{Kind: "k", Key: n}
		})...)},
	}
}

func TestEveryRuleNamesTheFieldAndTheRemedy(t *testing.T) {
	t.Parallel()
	for _, rules := range [][]rule{eventRules(), appendRules(), checkRules(), recordRules()} {
		for _, r := range rules {
			err := r.unit.Validate()
			if r.field == "" {
				if err != nil {
					t.Errorf("%s: got %v, want it accepted", r.what, err)
				}
				continue
			}
			var invalid *journal.InvalidError
			if !errors.Is(err, journal.ErrInvalid) || !errors.As(err, &invalid) || invalid.Field != r.field {
				t.Errorf("%s: got %v, want an error of %s", r.what, err, r.field)
				continue
			}
			if invalid.Problem == "" || !strings.Contains(err.Error(), r.field) || strings.ContainsAny(err.Error(), "\n\x00") {
				t.Errorf("%s: the message %q does not serve", r.what, err)
			}
		}
	}
}

func TestValidateFillsInWhatIsLeftOut(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("east", 3600)
	at := time.Date(2026, 5, 6, 7, 8, 9, 123456789, zone)
	u := one(func(e *journal.EventData) { e.Time = at })
	u.Appends[0].Events = append(u.Appends[0].Events, journal.EventData{ID: journal.NewID(), Type: "t", Schema: 7})
	u.Records = []journal.RecordWrite{{Kind: "k", Key: "n", Due: at}}
	for range 2 {
		if err := u.Validate(); err != nil {
			t.Fatal(err)
		}
		want := time.Date(2026, 5, 6, 6, 8, 9, 123456000, time.UTC)
		first, second := u.Appends[0].Events[0], u.Appends[0].Events[1]
		if first.Schema != 1 || first.Time != want || second.Schema != 7 || second.Time.IsZero() || u.Records[0].Due != want {
			t.Errorf("got %+v, %+v, due %v", first, second, u.Records[0].Due)
		}
	}
}

func TestExpectationsHaveWords(t *testing.T) {
	t.Parallel()
	for e, want := range map[journal.Expect]string{
		journal.Any: "any", journal.None: "none", journal.Exists: "exists", journal.Exactly(7): "version 7",
	} {
		if e.String() != want {
			t.Errorf("got %q, want %q", e, want)
		}
	}
}
