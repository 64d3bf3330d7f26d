// SPDX-License-Identifier: Apache-2.0

// Reading the journal and its streams, page by page.

package journal

import (
	"context"
	"iter"
	"time"
)

// Limits of a page.
const (
	MaxPage     = 1000
	pageBytes   = 1 << 20
	firstOfMany = 32 // events of a stream that are read first, before it is known how large they are
)

// ReadOptions choose what [Log.Read] returns. The zero value is everything, in order.
type ReadOptions struct {
	// After is the position to start behind; Before, if not 0, the one to stop short of.
	After, Before Position
	// Backwards reads from the end.
	Backwards bool
	// Filter chooses events; an empty one chooses all.
	Filter Filter
	// Limit is how many events to return; 0 is no limit.
	Limit int
}

// StreamOptions choose what [Log.ReadStream] returns. The zero value, and nil, is everything, in order.
type StreamOptions struct {
	// After is the version to start behind; Before, if not 0, the one to stop short of.
	After, Before Version
	// Backwards reads from the end.
	Backwards bool
	// Limit is how many events to return; 0 is no limit.
	Limit int
}

// Read returns events in the order of the journal, up to where it ends when the reader gets there. It reads in short
// steps, holds no transaction open and keeps one page in memory. The last pair has an error if there was one:
// [ErrInvalid], [ErrUnavailable] or that of ctx.
func (l *Log) Read(ctx context.Context, o ReadOptions) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		if err := o.validate(); err != nil {
			yield(Event{}, err)
			return
		}
		q := Query{After: o.After, Before: o.Before, Backwards: o.Backwards, Filter: o.Filter, Bytes: pageBytes}
		for left := o.Limit; ; {
			q.Limit = pageSize(left)
			page, err := l.store.Read(ctx, q)
			if err != nil {
				yield(Event{}, err)
				return
			}
			for i := range page.Events {
				if !yield(page.Events[i], nil) {
					return
				}
			}
			if left -= len(page.Events); !page.More || o.Limit > 0 && left <= 0 {
				return
			}
			if q.Backwards {
				q.Before = page.Through
			} else {
				q.After = page.Through
			}
		}
	}
}

func (o *ReadOptions) validate() error {
	switch {
	case o.After < 0:
		return invalid("after", "%d is no position; use 0 for the beginning", o.After)
	case o.Before < 0:
		return invalid("before", "%d is no position; use 0 for no bound", o.Before)
	case o.Limit < 0:
		return invalid("limit", "%d is negative; use 0 for no limit", o.Limit)
	}
	return o.Filter.validate("filter")
}

// ReadStream returns events of one stream, in the order of their versions; none if the stream has none. The last
// pair has an error if there was one, as with [Log.Read]. Goroutines that append meanwhile may be seen or not.
func (l *Log) ReadStream(ctx context.Context, s Stream, o *StreamOptions) iter.Seq2[Event, error] {
	if o == nil {
		o = &StreamOptions{}
	}
	return func(yield func(Event, error) bool) {
		if err := o.validate(s); err != nil {
			yield(Event{}, err)
			return
		}
		q := StreamQuery{Stream: s, After: o.After, Before: o.Before, Backwards: o.Backwards}
		step := firstOfMany
		for left := o.Limit; ; {
			q.Limit = min(step, pageSize(left))
			events, err := l.store.ReadStream(ctx, q)
			if err != nil {
				yield(Event{}, err)
				return
			}
			bytes := 0
			for i := range events {
				bytes += len(events[i].Data) + len(events[i].Meta)
				if !yield(events[i], nil) {
					return
				}
			}
			if left -= len(events); len(events) < q.Limit || o.Limit > 0 && left <= 0 {
				return
			}
			if last := events[len(events)-1].Version; q.Backwards {
				q.Before = last
			} else {
				q.After = last
			}
			step = nextStep(step, len(events), bytes)
		}
	}
}

// nextStep chooses how many events of a stream to read next, when the last step brought so many of so many bytes: more
// and more, while a page is likely to stay within its bytes.
func nextStep(step, events, bytes int) int {
	each := max(1, bytes/events)
	return max(1, min(4*step, pageBytes/each, MaxPage))
}

func (o *StreamOptions) validate(s Stream) error {
	switch {
	case o.After < 0:
		return invalid("after", "%d is no version; use 0 for the beginning", o.After)
	case o.Before < 0:
		return invalid("before", "%d is no version; use 0 for no bound", o.Before)
	case o.Limit < 0:
		return invalid("limit", "%d is negative; use 0 for no limit", o.Limit)
	}
	if err := checkName("stream", string(s)); err != nil {
		return err
	}
	return nil
}

// validate also brings the query into the form that stores expect.
func (q *RecordQuery) validate() error {
	if !q.DueBy.IsZero() && q.After != "" {
		return invalid("after", "cannot be joined with a due time; page by due time instead")
	}
	if q.Limit < 0 {
		return invalid("limit", "%d is negative; use 0 for as many as a page takes", q.Limit)
	}
	for _, part := range []struct{ field, name string }{{"kind", q.Kind}, {"prefix", q.Prefix}, {"after", q.After}} {
		if part.name == "" && part.field != "kind" {
			continue
		}
		if err := checkName(part.field, part.name); err != nil {
			return err
		}
	}
	if !q.DueBy.IsZero() {
		q.DueBy = q.DueBy.UTC().Truncate(time.Microsecond)
		if err := checkTime("due by", q.DueBy); err != nil {
			return err
		}
	}
	q.Limit = pageSize(q.Limit)
	return nil
}

// pageSize bounds a page; 0 or less is as much as a page takes.
func pageSize(limit int) int {
	if limit <= 0 || limit > MaxPage {
		return MaxPage
	}
	return limit
}
