// SPDX-License-Identifier: Apache-2.0

// The plainest database there can be: it keeps every row and looks through all of them.

package plan_test

import (
	"errors"
	"slices"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/internal/plan"
)

var errDown = errors.New("down")

type world struct {
	rows    []plan.Row
	records map[[2]string]journal.Version
	asked   map[string]int // how often each fact was asked for
	down    string         // the fact that cannot be had
}

func newWorld() *world {
	return &world{records: map[[2]string]journal.Version{}, asked: map[string]int{}}
}

func (w *world) ask(fact string) error {
	if w.asked[fact]++; w.down == fact {
		return errDown
	}
	return nil
}

func (w *world) Head(s journal.Stream) (plan.Head, error) {
	var h plan.Head
	for _, r := range w.rows {
		if r.Stream != s {
			continue
		}
		if h.Version > 0 && h.Version%plan.Stride == 0 {
			h.Skip = h.Position
		}
		h.Version, h.Position = r.Version, r.Position
		if r.ID.Compare(h.Newest) > 0 {
			h.Newest = r.ID
		}
	}
	return h, w.ask("head")
}

func (w *world) Recent(s journal.Stream, _ plan.Head, n int) ([]plan.Seen, error) {
	var out []plan.Seen
	for _, r := range slices.Backward(w.rows) {
		if r.Stream == s && len(out) < n {
			out = append(out, plan.Seen{ID: r.ID, Version: r.Version, Position: r.Position})
		}
	}
	return out, w.ask("recent")
}

func (w *world) Record(kind, key string) (journal.Version, error) {
	return w.records[[2]string{kind, key}], w.ask("record")
}

func (w *world) Match(c *journal.Condition) (journal.Position, error) {
	for _, r := range w.rows {
		if r.Position > c.After && c.Filter.Matches(r.EventData, r.Stream) {
			return r.Position, w.ask("match")
		}
	}
	return 0, w.ask("match")
}

func (w *world) last() journal.Position {
	if len(w.rows) == 0 {
		return 0
	}
	return w.rows[len(w.rows)-1].Position
}

// apply commits a plan.
func (w *world) apply(b *plan.Batch) {
	w.rows = append(w.rows, b.Rows...)
	for _, c := range b.Changes {
		if c.Op == journal.Delete {
			delete(w.records, [2]string{c.Kind, c.Key})
		} else {
			w.records[[2]string{c.Kind, c.Key}] = c.Version
		}
	}
}

// id returns an id that sorts by n.
func id(n int) journal.ID { return journal.ID{byte(n >> 16), byte(n >> 8), byte(n), 1} }

// to returns a unit of events with these ids.
func to(s journal.Stream, e journal.Expect, numbers ...int) *journal.Unit {
	a := journal.Append{Stream: s, Expect: e}
	for _, n := range numbers {
		a.Events = append(a.Events, journal.EventData{ID: id(n), Type: "t"})
	}
	return &journal.Unit{Appends: []journal.Append{a}}
}
