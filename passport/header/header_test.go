// SPDX-License-Identifier: Apache-2.0

// What each header may look like, and what is refused.

package header_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"example.com/vidimus/passport/header"
)

func TestMarksHaveOneSpelling(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]header.Mark{
		"c3.7:184467": {Log: "c3", Epoch: 7, Position: 184467},
		"c3.1:0":      {Log: "c3", Epoch: 1, Position: 0},
		"9qx.2:5":     {Log: "9qx", Epoch: 2, Position: 5},
		"eu.west-1_a.7:9223372036854775807": {
			Log: "eu.west-1_a", Epoch: 7, Position: 9223372036854775807,
		},
	} {
		got, err := header.ParseMark(text)
		if err != nil || got != want {
			t.Errorf("%q reads %+v, %v; want %+v", text, got, err, want)
		}
		if back := got.String(); back != text {
			t.Errorf("%q is written %q", text, back)
		}
	}
	for _, text := range []string{
		"", "c3", "c3:5", "c3.7", "c3.7:", "c3.:5", ".7:5", "c3.0:5", "c3.-1:5", "c3.7:-5", "c3.07:5", "c3.7:05", "c3.+7:5",
		"c3.7:1e3", "c3.7:9223372036854775808", "c3.7:184467 ", " c3.7:184467", "c3.7:184467;a=1", "c 3.7:5", "c3.7:５",
		"c\x003.7:5", "ü.7:5", strings.Repeat("c", 65) + ".7:5", "c3.7:5,c3.7:6",
	} {
		if m, err := header.ParseMark(text); err == nil {
			t.Errorf("%q reads %+v, want a refusal", text, m)
		}
	}
}

func TestMarksOfOneLogAloneCompare(t *testing.T) {
	t.Parallel()
	at := header.Mark{Log: "c3", Epoch: 7, Position: 10}
	for _, c := range []struct {
		name  string
		other header.Mark
		want  bool
	}{
		{"the same place", at, true},
		{"an earlier place", header.Mark{Log: "c3", Epoch: 7, Position: 9}, true},
		{"a later place", header.Mark{Log: "c3", Epoch: 7, Position: 11}, false},
		{"an earlier epoch", header.Mark{Log: "c3", Epoch: 6, Position: 9}, false},
		{"another log", header.Mark{Log: "c4", Epoch: 7, Position: 9}, false},
		{"no place", header.Mark{}, false},
	} {
		if got := at.Reaches(c.other); got != c.want {
			t.Errorf("%s: reached is %v, want %v", c.name, got, c.want)
		}
	}
}

func TestConsistency(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]header.Consistency{
		"minimize-latency":                      {Mode: header.MinimizeLatency},
		"exact":                                 {Mode: header.Exact},
		"fully-consistent":                      {Mode: header.FullyConsistent},
		"at-least-as-fresh;max-staleness=2000":  {Mode: header.AtLeastAsFresh, MaxStale: 2 * time.Second},
		"minimize-latency;  max-staleness=1":    {Mode: header.MinimizeLatency, MaxStale: time.Millisecond},
		"exact;max-staleness=999999999999999":   {Mode: header.Exact, MaxStale: 9223372036854 * time.Millisecond},
		"minimize-latency;max-staleness=500000": {Mode: header.MinimizeLatency, MaxStale: 500 * time.Second},
	} {
		got, err := header.ParseConsistency(text)
		if err != nil || got != want {
			t.Errorf("%q reads %+v, %v; want %+v", text, got, err, want)
		}
		if again, err := header.ParseConsistency(got.String()); err != nil || again != want {
			t.Errorf("%q is written %q, which reads %+v, %v", text, got, again, err)
		}
	}
	refused(t, func(s string) error { _, err := header.ParseConsistency(s); return err }, []string{
		"", "eventual", "Exact", "exact ", " exact", "exact,exact", "exact;", "exact;max-staleness", "exact;max-staleness=",
		"exact;max-staleness=0", "exact;max-staleness=-5", "exact;max-staleness=1.5", "exact;max-staleness=1000000000000000",
		`exact;max-staleness="5"`, "exact;max-staleness=5;max-staleness=6", "exact;max-stale=5", "exact;Max-Staleness=5",
		"exact; max-staleness =5", "exact;max-staleness=5 ", "exact\t;max-staleness=5", "5",
		"exact;a;b;c;d;e;f;g;h;i;j",
	})
}

func TestStaleness(t *testing.T) {
	t.Parallel()
	at := header.Mark{Log: "c3", Epoch: 7, Position: 184467}
	for text, want := range map[string]header.Staleness{
		`412;pos="c3.7:184467"`:               {Known: true, Age: 412 * time.Millisecond, Mark: at},
		`0`:                                   {Known: true},
		`unknown`:                             {},
		`unknown;read-only`:                   {ReadOnly: true},
		`5000;pos="c3.7:184467";read-only`:    {Known: true, Age: 5 * time.Second, Mark: at, ReadOnly: true},
		`5000;read-only=?1;pos="c3.7:184467"`: {Known: true, Age: 5 * time.Second, Mark: at, ReadOnly: true},
		`5000;read-only=?0`:                   {Known: true, Age: 5 * time.Second},
	} {
		got, err := header.ParseStaleness(text)
		if err != nil || got != want {
			t.Errorf("%q reads %+v, %v; want %+v", text, got, err, want)
		}
		if again, err := header.ParseStaleness(got.String()); err != nil || again != want {
			t.Errorf("%q is written %q, which reads %+v, %v", text, got, again, err)
		}
	}
	refused(t, func(s string) error { _, err := header.ParseStaleness(s); return err }, []string{
		"", "?", "?1", "-1", "1.0", "unknownn", "Unknown", "5;pos", "5;pos=", `5;pos=c3.7:1`, `5;pos="c3.7:1`,
		`5;pos="c3.7:01"`, `5;pos="c3\.7:1"`, `5;pos="c3.7:1";pos="c3.7:1"`, "5;read-only=1", "5;read-only=?2",
		"5;read-only=?", "5;other", "5;;", `5;pos="c3.7:1"x`, "1000000000000000",
	})
	// A part of a millisecond counts as a whole one: the header never promises more than is known.
	if got := (header.Staleness{Known: true, Age: 1001 * time.Microsecond}).String(); got != "2" {
		t.Errorf("1.001 ms is written %q, want 2", got)
	}
}

func TestEffect(t *testing.T) {
	t.Parallel()
	at := header.Mark{Log: "c3", Epoch: 7, Position: 184470}
	for text, want := range map[string]header.Effect{
		`pos="c3.7:184470";ver=413`: {Mark: at, Version: 413},
		`pos="c3.7:184470"`:         {Mark: at},
	} {
		got, err := header.ParseEffect(text)
		if err != nil || got != want {
			t.Errorf("%q reads %+v, %v; want %+v", text, got, err, want)
		}
		if got.String() != text {
			t.Errorf("%q is written %q", text, got)
		}
	}
	refused(t, func(s string) error { _, err := header.ParseEffect(s); return err }, []string{
		"", "pos", "pos=", `pos=""`, `pos="c3"`, `ver=5`, `pos="c3.7:1",ver=5`, `pos="c3.7:1";ver`, `pos="c3.7:1";ver=0`,
		`pos="c3.7:1";ver=x`, `pos="c3.7:1";x=1`, `pos="c3.7:1", pos="c3.7:2"`, `pos ="c3.7:1"`, `p="c3.7:1"`, "=", "p",
	})
}

// refused checks that every text is refused with an error that names the header.
func refused(t *testing.T, parse func(string) error, texts []string) {
	t.Helper()
	for _, text := range texts {
		var bad *header.Error
		if err := parse(text); !errors.As(err, &bad) || !strings.HasPrefix(bad.Field, "Vidimus-") || bad.Problem == "" {
			t.Errorf("%q gives %v, want a refusal that names the header", text, err)
		}
	}
}

func TestHeadersAreThereOnceOrNotAtAll(t *testing.T) {
	t.Parallel()
	h := http.Header{}
	if m, err := header.GetPosition(h); err != nil || m != (header.Mark{}) {
		t.Errorf("no position reads %v, %v", m, err)
	}
	if _, ok, err := header.GetEffect(h); ok || err != nil {
		t.Errorf("no effect reads %v, %v", ok, err)
	}
	if _, ok, err := header.GetStaleness(h); ok || err != nil {
		t.Errorf("no staleness reads %v, %v", ok, err)
	}
	if c, err := header.GetConsistency(h); err != nil || c != (header.Consistency{}) {
		t.Errorf("no consistency reads %v, %v", c, err)
	}
	at := header.Mark{Log: "c3", Epoch: 7, Position: 5}
	header.SetPosition(h, at)
	header.SetEffect(h, header.Effect{Mark: at, Version: 2})
	header.SetStaleness(h, header.Staleness{Known: true, Age: time.Second, Mark: at})
	h.Set(header.ConsistencyField, header.Consistency{Mode: header.Exact}.String())
	if m, err := header.GetPosition(h); err != nil || m != at {
		t.Errorf("the position reads %v, %v", m, err)
	}
	if e, ok, err := header.GetEffect(h); err != nil || !ok || e.Version != 2 {
		t.Errorf("the effect reads %v, %v, %v", e, ok, err)
	}
	if s, ok, err := header.GetStaleness(h); err != nil || !ok || s.Age != time.Second {
		t.Errorf("the staleness reads %v, %v, %v", s, ok, err)
	}
	for _, name := range []string{header.Position, header.EffectField, header.StalenessField, header.ConsistencyField} {
		twice := h.Clone()
		twice.Add(name, h.Get(name))
		empty := http.Header{name: {""}}
		long := http.Header{name: {strings.Repeat("a", 300)}}
		for _, bad := range []http.Header{twice, empty, long} {
			_, err1 := header.GetPosition(bad)
			_, err2 := header.GetConsistency(bad)
			_, _, err3 := header.GetEffect(bad)
			_, _, err4 := header.GetStaleness(bad)
			if errors.Join(err1, err2, err3, err4) == nil {
				t.Errorf("%s: %q is taken", name, bad[name])
			}
		}
	}
	header.SetPosition(h, header.Mark{})
	if _, there := h[header.Position]; there {
		t.Error("no position is written as a header")
	}
}

func TestAnEffectMovesThePosition(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ before, effect, want string }{
		"from nowhere":         {"", "c3.7:12", "c3.7:12"},
		"further":              {"c3.7:11", "c3.7:12", "c3.7:12"},
		"not back":             {"c3.7:13", "c3.7:12", "c3.7:13"},
		"to the log it was in": {"c3.7:13", "c3.8:12", "c3.8:12"},
		"from nonsense":        {"seven", "c3.7:12", "c3.7:12"},
		"not by no place":      {"c3.7:13", "", "c3.7:13"},
	} {
		h := http.Header{}
		if c.before != "" {
			h.Set(header.Position, c.before)
		}
		e := header.Effect{Version: 2}
		if c.effect != "" {
			var err error
			if e.Mark, err = header.ParseMark(c.effect); err != nil {
				t.Fatal(err)
			}
		}
		header.SetEffect(h, e)
		if got := h.Get(header.Position); got != c.want {
			t.Errorf("%s: after the effect at %q, the position %q is %q, want %q", name, c.effect, c.before, got, c.want)
		}
	}
}

func FuzzValues(f *testing.F) {
	for _, seed := range []string{
		"c3.7:184467", "minimize-latency", "at-least-as-fresh;max-staleness=2000", "fully-consistent", "exact",
		`412;pos="c3.7:184467"`, "unknown;read-only", `pos="c3.7:184470";ver=413`, `pos="`, "exact;;", "=", "p=", `5;pos="\`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if m, err := header.ParseMark(text); err == nil && m.String() != text {
			t.Errorf("the mark %q is written %q", text, m)
		}
		if c, err := header.ParseConsistency(text); err == nil {
			if again, err := header.ParseConsistency(c.String()); err != nil || again != c {
				t.Errorf("%q reads %+v, and again %+v, %v", text, c, again, err)
			}
		}
		if s, err := header.ParseStaleness(text); err == nil {
			if again, err := header.ParseStaleness(s.String()); err != nil || again != s {
				t.Errorf("%q reads %+v, and again %+v, %v", text, s, again, err)
			}
		}
		if e, err := header.ParseEffect(text); err == nil {
			if again, err := header.ParseEffect(e.String()); err != nil || again != e {
				t.Errorf("%q reads %+v, and again %+v, %v", text, e, again, err)
			}
		}
	})
}
