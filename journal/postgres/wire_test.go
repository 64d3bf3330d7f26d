// SPDX-License-Identifier: Apache-2.0

// PostgreSQL's binary format, sent to a server and back.

//go:build unix

package postgres

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/vidimus/internal/pgtest"
	"example.com/vidimus/journal"
)

// TestValuesComeBackFromTheServer sends each type there and back.
func TestValuesComeBackFromTheServer(t *testing.T) {
	t.Parallel()
	p, err := newPool(pgtest.Open(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	numbers := []int64{0, 1, -1, math.MaxInt64, math.MinInt64}
	words := []string{"", "a", `"\{},`, "é", strings.Repeat("x", 1000)}
	moments := []time.Time{
		time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(1969, 12, 31, 23, 59, 59, 999_999_000, time.UTC),
		time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC),
	}
	err = p.with(t.Context(), func(c *conn) error {
		ps := c.begin()
		ps.int8s(numbers)
		ps.int8s(nil)
		ps.texts(words)
		ps.int4(-7)
		for _, m := range moments {
			ps.time(m)
		}
		return c.run(t.Context(), "select $1::bigint[], $2::bigint[], $3::text[], $4::int, "+
			"$5::timestamptz, $6::timestamptz, $7::timestamptz, $8::timestamptz, null::timestamptz", func(r *row) {
			if got := r.int8s(); !slices.Equal(got, numbers) {
				t.Errorf("numbers: got %v, want %v", got, numbers)
			}
			if got := r.int8s(); len(got) != 0 {
				t.Errorf("no numbers: got %v", got)
			}
			if got := r.texts(); !slices.Equal(got, words) {
				t.Errorf("words: got %q, want %q", got, words)
			}
			if got := r.int4(); got != -7 {
				t.Errorf("number: got %d, want -7", got)
			}
			for _, want := range append(moments, time.Time{}) {
				if got := r.time(); !got.Equal(want) {
					t.Errorf("time: got %v, want %v", got, want)
				}
			}
			if r.next(); r.err == nil {
				t.Error("a column that is not there was read")
			}
			r.err = nil
		})
	})
	if err != nil {
		t.Error(err)
	}
}

func TestBehindSortsBehindAllKeysOfAPrefix(t *testing.T) {
	t.Parallel()
	top := "\U0010ffff"
	for prefix, want := range map[string]string{
		"a": "b", "a~": "a\x7f", "a" + top: "b", "\ud7ff": "\ue000", "é": "ê", "az" + top + top: "a{",
	} {
		if got := behind(prefix); got != want {
			t.Errorf("behind %q: got %q, want %q", prefix, got, want)
		}
	}
	if got := behind(""); got < strings.Repeat(top, 60) {
		t.Errorf("behind nothing: got %q", got)
	}
	if got := behind(top); got < strings.Repeat(top, 60) {
		t.Errorf("behind the last prefix: got %q", got)
	}
}

func FuzzArray(f *testing.F) {
	var p params
	p.int8s([]int64{1, 2})
	f.Add(slices.Clone(p.buf))
	p.reset()
	p.texts([]string{"a", "b"})
	f.Add(slices.Clone(p.buf))
	f.Add([]byte{})
	f.Add([]byte{0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 25, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, column []byte) {
		for _, read := range []func(r *row) int{
			func(r *row) int { return len(r.int8s()) },
			func(r *row) int { return len(r.texts()) },
			func(r *row) int { return len(r.ids()) },
		} {
			r := row{columns: [][]byte{column}}
			if n := read(&r); n > len(column) {
				t.Errorf("%d elements out of %d bytes", n, len(column))
			}
		}
	})
}

func TestFiltersAreWrittenAsTheServerReadsThem(t *testing.T) {
	t.Parallel()
	for want, filter := range map[string]journal.Filter{
		`[]`:   nil,
		`[{}]`: {{}},
		`[{"stream":"a-1"},{"types":["x","y"],"tags":["t\"1"]}]`: {
			{Stream: "a-1"}, {Types: []string{"x", "y"}, Tags: []string{`t"1`}},
		},
		`[{"category":"a"}]`: {{Category: "a"}},
	} {
		if got := filterJSON(filter); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
