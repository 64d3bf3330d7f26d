// SPDX-License-Identifier: Apache-2.0

// What may be asked, and the words of the answers.

package journal_test

import (
	"context"
	"errors"
	"iter"
	"math"
	"strings"
	"testing"
	"time"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
)

// last returns the error of a series.
func last[T any](series iter.Seq2[T, error]) error {
	var out error
	for _, err := range series {
		out = err
	}
	return out
}

func TestBadQuestionsAreRefused(t *testing.T) {
	t.Parallel()
	log, ctx := mem.Open(), t.Context()
	read := func(o journal.ReadOptions) error { return last(log.Read(ctx, o)) }
	stream := func(s journal.Stream, o journal.StreamOptions) error { return last(log.ReadStream(ctx, s, &o)) }
	records := func(q journal.RecordQuery) error { _, err := log.Records(ctx, q); return err }
	record := func(kind, key string) error { _, err := log.Record(ctx, kind, key); return err }
	due := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		field string
		err   error
	}{
		{"after", read(journal.ReadOptions{After: -1})},
		{"before", read(journal.ReadOptions{Before: -1})},
		{"limit", read(journal.ReadOptions{Limit: -1})},
		{"filter[1]", read(journal.ReadOptions{Filter: journal.Filter{{}, {Stream: "\n"}}})},
		{"after", stream("s", journal.StreamOptions{After: -1})},
		{"before", stream("s", journal.StreamOptions{Before: -1})},
		{"limit", stream("s", journal.StreamOptions{Limit: -1})},
		{"stream", stream("", journal.StreamOptions{})},
		{"kind", records(journal.RecordQuery{})},
		{"prefix", records(journal.RecordQuery{Kind: "k", Prefix: "\xff"})},
		{"after", records(journal.RecordQuery{Kind: "k", After: strings.Repeat("a", 256)})},
		{"after", records(journal.RecordQuery{Kind: "k", After: "a", DueBy: due})},
		{"limit", records(journal.RecordQuery{Kind: "k", Limit: -1})},
		{"due by", records(journal.RecordQuery{Kind: "k", DueBy: due.AddDate(9000, 0, 0)})},
		{"kind", record("", "k")},
		{"key", record("k", "\x00")},
	} {
		var invalid *journal.InvalidError
		if !errors.As(tt.err, &invalid) || invalid.Field != tt.field {
			t.Errorf("got %v, want an InvalidError of %s", tt.err, tt.field)
		}
	}
	for _, err := range []error{
		read(journal.ReadOptions{After: math.MaxInt64, Before: math.MaxInt64, Limit: math.MaxInt}),
		stream("s", journal.StreamOptions{After: math.MaxInt64, Before: math.MaxInt64, Limit: math.MaxInt}),
		records(journal.RecordQuery{Kind: "k", DueBy: due, Limit: math.MaxInt}),
		last(log.ReadStream(ctx, "s", nil)),
	} {
		if err != nil {
			t.Errorf("a good question: got %v", err)
		}
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		is   error
		says []string
	}{
		{&journal.InvalidError{Field: "type", Problem: "is missing"}, journal.ErrInvalid, []string{"type", "is missing"}},
		{
			&journal.ConflictError{Name: "order-1", Expect: journal.None, Actual: 4}, journal.ErrConflict,
			[]string{"order-1", "none", "4", "load it again"},
		},
		{
			&journal.FencedError{Lease: "l", Held: 3, Current: 5}, journal.ErrFenced, []string{"lease l", "3", "5", "acquire"},
		},
	} {
		for _, word := range tt.says {
			if !strings.Contains(tt.err.Error(), word) {
				t.Errorf("%q does not say %q", tt.err, word)
			}
		}
		for _, other := range []error{journal.ErrInvalid, journal.ErrConflict, journal.ErrFenced, journal.ErrUnavailable} {
			if got := errors.Is(tt.err, other); got != (other == tt.is) {
				t.Errorf("%v is %v: %t", tt.err, other, got)
			}
		}
	}
}

// stuck is a store that cannot be closed.
type stuck struct {
	journal.Store
	err error
}

func (s stuck) Close() error { return s.err }

func TestCloseReportsWhatMatters(t *testing.T) {
	t.Parallel()
	if err := journal.New(stuck{mem.Open().Store(), context.DeadlineExceeded}).Close(); err == nil {
		t.Error("an error of the store is lost")
	}
	if err := journal.New(stuck{mem.Open().Store(), journal.ErrClosed}).Close(); err != nil {
		t.Errorf("a store that was closed before: got %v", err)
	}
}
