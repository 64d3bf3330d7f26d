// SPDX-License-Identifier: Apache-2.0

// What must hold after all the kills.

package crashtest

import (
	"context"
	"testing"

	"example.com/vidimus/journal"
)

// check compares the journal with what the children were told.
func (h *history) check(ctx context.Context, t testing.TB, log *journal.Log) {
	t.Helper()
	if breaches, err := log.Verify(ctx, nil); err != nil || len(breaches) > 0 {
		t.Errorf("verify: %v, %v", breaches, err)
	}
	var order []journal.Event
	at := map[journal.ID]*journal.Event{}
	for e, err := range log.Read(ctx, journal.ReadOptions{}) {
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		if at[e.ID] != nil {
			t.Errorf("event %s is in the journal twice, at %d and %d", e.ID, at[e.ID].Position, e.Position)
		}
		order = append(order, e)
		at[e.ID] = &e
	}
	for key, ack := range h.acked {
		h.checkAcked(t, at, key, ack)
	}
	for key, u := range h.tried {
		h.checkWhole(t, at, key, u)
	}
	h.checkFollower(t, order)
}

// checkAcked: what was acknowledged is there, where the acknowledgement said.
func (h *history) checkAcked(t testing.TB, at map[journal.ID]*journal.Event, key journal.ID, ack line) {
	t.Helper()
	u := h.tried[key]
	last := u.IDs[len(u.IDs)-1]
	e := at[last[len(last)-1]]
	if e == nil {
		t.Errorf("unit %s was acknowledged at position %d and is lost", key, ack.Position)
		return
	}
	if e.Position != ack.Position || e.Version != ack.Versions[len(ack.Versions)-1] {
		t.Errorf("unit %s was acknowledged at position %d, versions %v, and is at %d, version %d",
			key, ack.Position, ack.Versions, e.Position, e.Version)
	}
}

// checkWhole: a unit is there with all its events or with none.
func (h *history) checkWhole(t testing.TB, at map[journal.ID]*journal.Event, key journal.ID, u *unit) {
	t.Helper()
	there, all := 0, 0
	for _, series := range u.IDs {
		for _, id := range series {
			if all++; at[id] != nil {
				there++
			}
		}
	}
	if there != 0 && there != all {
		t.Errorf("unit %s is there with %d of its %d events", key, there, all)
	}
}

// checkFollower: each time it started behind an event it had seen, and from there it left nothing out. What it never
// came to see is behind everything it saw.
func (h *history) checkFollower(t testing.TB, order []journal.Event) {
	t.Helper()
	index := map[journal.Position]int{}
	for i := range order {
		index[order[i].Position] = i
	}
	next, furthest := 0, 0 // indices into order
	for _, l := range h.saw {
		if l.Op == "follow" {
			next = 0
			if l.From.Position > 0 {
				i, ok := index[l.From.Position]
				if !ok || order[i].ID != l.From.ID || i >= furthest {
					t.Errorf("the follower started behind %s, which it never saw", l.From)
				}
				next = i + 1
			}
			continue
		}
		i, ok := index[l.Position]
		if !ok || order[i].ID != l.Key {
			t.Errorf("the follower saw event %s at position %d, which is not there", l.Key, l.Position)
			return
		}
		if i != next {
			t.Errorf("the follower saw position %d after %d, and left out %d events", l.Position,
				order[max(0, next-1)].Position, i-next)
			return
		}
		next = i + 1
		furthest = max(furthest, next)
	}
}
