// SPDX-License-Identifier: Apache-2.0

// What comes from outside: ids, checkpoints, units and filters.

package journal_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"
	"unicode/utf8"

	"example.com/vidimus/journal"
)

func FuzzParseID(f *testing.F) {
	for _, s := range []string{
		"", "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", "0190A1B2-C3D4-7E5F-8A9B-0C1D2E3F4A5B",
		"{0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b}", "urn:uuid:0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b",
		"0190a1b2c3d47e5f8a9b0c1d2e3f4a5b", "00000000-0000-0000-0000-000000000000", "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5g",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := journal.ParseID(s)
		if err != nil {
			if !errors.Is(err, journal.ErrInvalid) || id != (journal.ID{}) {
				t.Fatalf("%q: got %s, %v", s, id, err)
			}
			return
		}
		var back journal.ID
		if err := back.UnmarshalText([]byte(id.String())); err != nil || back != id {
			t.Fatalf("%q is read as %s, which is read as %s, %v", s, id, back, err)
		}
		if len(s) != len(id.String()) {
			t.Fatalf("%q is accepted, which is not the canonical form of %s", s, id)
		}
	})
}

func FuzzCheckpointJSON(f *testing.F) {
	for _, s := range []string{
		`{}`, `null`, `[]`, `{"log":"k3v9m2p7qd","epoch":1,"position":184467,"id":"0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"}`,
		`{"position":9223372036854775807}`, `{"position":9223372036854775808}`, `{"position":1.5}`,
		`{"id":""}`, `{"log":"\u0000"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var c journal.Checkpoint
		if err := json.Unmarshal(data, &c); err != nil {
			return
		}
		w := c.Save("mailer", journal.Any)
		var back journal.Checkpoint
		if err := json.Unmarshal(w.Value, &back); err != nil || back != c {
			t.Fatalf("%+v is saved as %s, which is read as %+v, %v", c, w.Value, back, err)
		}
		u := journal.Unit{Records: []journal.RecordWrite{w}}
		if u.Validate() != nil && len(w.Value) <= journal.MaxData {
			t.Fatalf("%+v cannot be saved", c)
		}
	})
}

func FuzzUnitValidate(f *testing.F) {
	f.Add("order-1", "order.placed", "tag", "lease", int64(0), int64(1), int64(0), 0, []byte("{}"))
	f.Add("", "\x00", "\xff", "é", int64(-3), int64(-1), int64(1<<62), 1<<31, []byte(nil))
	f.Add("a-", "-", "%", "'", int64(-2), int64(0), int64(-62135596800), -1, []byte{0})
	f.Fuzz(func(t *testing.T, s, typ, tag, lease string, expect, epoch, sec int64, schema int, data []byte) {
		u := journal.Unit{
			Fences: []journal.Fence{{Lease: lease, Epoch: journal.Epoch(epoch)}},
			Appends: []journal.Append{{
				Stream: journal.Stream(s), Expect: journal.Expect(expect),
				Events: []journal.EventData{{
					ID: journal.ID{1}, Type: typ, Schema: schema, Time: time.Unix(sec, 0), Data: data, Tags: []string{tag},
				}},
			}},
			Conditions: []journal.Condition{{
				After:  journal.Position(expect),
				Filter: journal.Filter{{Category: journal.Stream(s).Category(), Tags: []string{tag}}},
			}},
			Records: []journal.RecordWrite{{
				Op: journal.RecordOp(schema), Kind: typ, Key: tag, Expect: journal.Expect(epoch), Due: time.Unix(sec, 0),
			}},
		}
		if err := u.Validate(); err != nil {
			var invalid *journal.InvalidError
			if !errors.As(err, &invalid) || invalid.Field == "" || invalid.Problem == "" || !utf8.ValidString(err.Error()) {
				t.Fatalf("got %v, want an InvalidError in readable words", err)
			}
			return
		}
		e := u.Appends[0].Events[0]
		if e.Schema < 1 || e.Time.IsZero() || e.Time.Nanosecond()%1000 != 0 || e.Time.Location() != time.UTC {
			t.Fatalf("accepted as %+v", e)
		}
		for _, name := range []string{s, typ, tag, lease} {
			if name == "" || len(name) > journal.MaxName || !utf8.ValidString(name) {
				t.Fatalf("the name %q is accepted", name)
			}
		}
		if err := u.Validate(); err != nil {
			t.Fatalf("accepted once, then: %v", err)
		}
	})
}

func FuzzFilterMatches(f *testing.F) {
	f.Add("order-1", "order", "order.placed", "a", "b", "order-1", "order.placed", "a")
	f.Add("order", "", "", "", "", "orders-1", "x", "")
	f.Fuzz(func(t *testing.T, stream, category, typ, tagA, tagB, of, is, has string) {
		e := &journal.EventData{Type: is, Tags: []string{has, "always"}}
		m := journal.Match{
			Stream: journal.Stream(stream), Category: category, Types: []string{typ}, Tags: []string{tagA, tagB},
		}
		want := typ == is && (stream == "" || stream == of) &&
			(category == "" || journal.Stream(of).Category() == category)
		for _, tag := range m.Tags {
			want = want && (tag == has || tag == "always")
		}
		if got := (journal.Filter{m}).Matches(e, journal.Stream(of)); got != want {
			t.Fatalf("%+v on %s %+v: got %t", m, of, *e, got)
		}
		other := journal.Match{Types: []string{is}}
		if !(journal.Filter{m, other}).Matches(e, journal.Stream(of)) || !(journal.Filter{}).Matches(e, journal.Stream(of)) {
			t.Fatal("an alternative that fits does not count")
		}
	})
}
