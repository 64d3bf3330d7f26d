// SPDX-License-Identifier: Apache-2.0

// What the tests share: cells on several stores, and a store that goes wrong on purpose.

package entity_test

import (
	"context"
	"testing"

	"example.com/vidimus/cell"
	"example.com/vidimus/entity"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/schema"
)

func seats(t testing.TB) *entity.Entity[Seat] {
	t.Helper()
	return seatsOf(t, "seat")
}

func declared(e schema.Event) schema.Declaration { return schema.Declaration{Event: e} }

func seatsOf(t testing.TB, category string) *entity.Entity[Seat] {
	t.Helper()
	e, err := entity.Define[Seat](category, declared(Held{}), declared(Freed{}), declared(Carried{}))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func counters(t testing.TB) *entity.Entity[Counter] {
	t.Helper()
	e, err := entity.Define[Counter]("counter", schema.Declaration{Event: Added{}})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func mustCell(t testing.TB, log *journal.Log) *cell.Cell {
	t.Helper()
	c, err := cell.Open(context.Background(), cell.Config{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// crooked is a store whose commits go wrong: before says what to do instead of, or before, the n-th commit, and after
// what to answer.
type crooked struct {
	journal.Store
	commits int
	before  func(n int) error
	after   func(n int) error
}

// Commit answers wrong where it was told to. It is called by one at a time.
func (c *crooked) Commit(ctx context.Context, units []*journal.Unit) ([]journal.Outcome, error) {
	c.commits++
	if c.before != nil {
		if err := c.before(c.commits); err != nil {
			return nil, err
		}
	}
	outcomes, err := c.Store.Commit(ctx, units)
	if c.after != nil && err == nil {
		err = c.after(c.commits)
	}
	return outcomes, err
}
