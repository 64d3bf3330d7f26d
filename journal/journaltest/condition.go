// SPDX-License-Identifier: Apache-2.0

// Cases about append conditions: the rules of dynamic consistency boundaries (https://dcb.events).

package journaltest

import (
	"errors"
	"fmt"
	"sync/atomic"

	"example.com/vidimus/journal"
)

func conditionCases() []testCase {
	return []testCase{
		{name: "types are alternatives, tags go together, matches are alternatives", run: conditionSemantics},
		{name: "only events after the condition's position count", run: conditionAfter},
		{name: "a condition sees earlier units of its batch and not its own events", run: conditionInBatch},
		{
			name: "a node that has not seen the latest events keeps conditions within its batch", needs: needsSecond,
			run: conditionOnLaggingNode,
		},
		{name: "every condition of a unit counts", run: conditionsAllCount},
		{name: "of many who take the last seat one gets it", run: lastSeat},
	}
}

func match(types []string, tags ...string) journal.Match {
	return journal.Match{Types: types, Tags: tags}
}

func only(types ...string) []string { return types }

// seats is a journal that conditions are tried on.
func seats(k *kit) {
	k.append("course-c1", journal.None, event("course.defined", "course:c1"))
	k.append("student-s1", journal.None, event("student.joined", "student:s1"))
	k.append("seat-1", journal.None, event("seat.taken", "course:c1", "student:s1"))
	k.append("seat-2", journal.None, event("seat.taken", "course:c10", "student:S1"))
	k.append("plain", journal.None, event("note.left"))
}

func conditionSemantics(k *kit) {
	seats(k)
	taken := only("seat.taken")
	for _, tt := range []struct {
		filter   journal.Filter
		violated bool
	}{
		{nil, true},
		{journal.Filter{{}}, true},
		{journal.Filter{match(only("note.left"))}, true},
		{journal.Filter{match(only("note"))}, false},
		{journal.Filter{match(only("note.lef_", "note%", "NOTE.LEFT"))}, false},
		{journal.Filter{match(only("none", "course.defined"))}, true},
		{journal.Filter{match(nil, "course:c1")}, true},
		{journal.Filter{match(nil, "course:c")}, false},
		{journal.Filter{match(nil, "course:c2")}, false},
		{journal.Filter{match(nil, "course:c1", "student:s1")}, true},
		{journal.Filter{match(nil, "student:s1", "course:c1")}, true},
		{journal.Filter{match(nil, "course:c1", "student:S1")}, false},
		{journal.Filter{match(taken, "course:c1", "student:s1")}, true},
		{journal.Filter{match(only("course.defined"), "course:c10")}, false},
		{journal.Filter{match(only("course.defined", "seat.taken"), "course:c10")}, true},
		{journal.Filter{match(taken, "course:c2"), match(only("student.left"), "student:s1")}, false},
		{journal.Filter{match(taken, "course:c2"), match(only("student.joined"), "student:s1")}, true},
		{journal.Filter{{Category: "seat"}}, true},
		{journal.Filter{{Category: "sea"}}, false},
		{journal.Filter{{Category: "plain"}}, true},
		{journal.Filter{{Category: "seat", Tags: []string{"course:c1"}}}, true},
		{journal.Filter{{Category: "course", Tags: []string{"student:s1"}}}, false},
		{journal.Filter{{Stream: "seat-1"}}, true},
		{journal.Filter{{Stream: "seat"}}, false},
		{journal.Filter{{Stream: "seat-1", Types: taken, Tags: []string{"course:c1"}}}, true},
		{journal.Filter{{Stream: "seat-2", Tags: []string{"course:c1"}}}, false},
	} {
		u := journal.Unit{Conditions: []journal.Condition{{Filter: tt.filter}}}
		_, err := k.log.Commit(k.ctx, u)
		if errors.Is(err, journal.ErrCondition) != tt.violated || !tt.violated && err != nil {
			k.Errorf("condition %+v: got %v, want violated %t", tt.filter, err, tt.violated)
		}
	}
}

func conditionAfter(k *kit) {
	seats(k)
	all := k.read(journal.ReadOptions{})
	filter := journal.Filter{match(nil, "course:c1")}
	for _, tt := range []struct {
		after    journal.Position
		violated bool
	}{
		{0, true},
		{all[0].Position, true},
		{all[1].Position, true},
		{all[2].Position, false},
		{all[4].Position, false},
		{all[4].Position + 1000, false},
	} {
		u := journal.Unit{Conditions: []journal.Condition{{After: tt.after, Filter: filter}}}
		_, err := k.log.Commit(k.ctx, u)
		if errors.Is(err, journal.ErrCondition) != tt.violated || !tt.violated && err != nil {
			k.Errorf("after %d: got %v, want violated %t", tt.after, err, tt.violated)
		}
	}
	everything := func(after journal.Position) journal.Unit {
		return journal.Unit{
			Appends:    []journal.Append{to("order-1", journal.Any, event("test.next"))},
			Conditions: []journal.Condition{{After: after}},
		}
	}
	k.refused(journal.ErrCondition, everything(all[3].Position))
	k.commit(everything(all[4].Position))
	k.refused(journal.ErrCondition, everything(all[4].Position))
	k.commit(everything(k.head().Position))
}

func conditionInBatch(k *kit) {
	head := k.head().Position
	take := func(n int) *journal.Unit {
		return &journal.Unit{
			Appends: []journal.Append{
				to(journal.Stream(fmt.Sprintf("seat-%d", n)), journal.None, event("seat.taken", "course:c1")),
			},
			Conditions: []journal.Condition{{After: head, Filter: journal.Filter{match(nil, "course:c1")}}},
		}
	}
	free := unit(to("seat-9", journal.None, event("seat.taken", "course:c2")))
	out := k.batch(&free, take(1), take(2))
	for i, want := range []error{nil, nil, journal.ErrCondition} {
		if !errors.Is(out[i].Err, want) {
			k.Fatalf("unit %d: got %v, want %v", i, out[i].Err, want)
		}
	}
	same(k, "events", len(k.read(journal.ReadOptions{})), 2)
	k.refused(journal.ErrCondition, *take(3))
}

func conditionOnLaggingNode(k *kit) {
	second := k.open(k.h.Second)
	for round := range 3 {
		tag := fmt.Sprintf("course:%d", round)
		if _, err := second.Append(k.ctx, "other", journal.Any, event("test.other")); err != nil {
			k.Fatal(err)
		}
		k.append("busy", journal.Any, events(10)...) // the other node is not told
		after := k.head().Position
		units := make([]*journal.Unit, 3)
		for i := range units {
			units[i] = &journal.Unit{
				Appends: []journal.Append{
					to(journal.Stream(fmt.Sprintf("seat-%d.%d", round, i)), journal.None, event("seat.taken", tag)),
				},
				Conditions: []journal.Condition{{After: after, Filter: journal.Filter{match(nil, tag)}}},
			}
			if err := units[i].Validate(); err != nil {
				k.Fatal(err)
			}
		}
		out, err := second.Store().Commit(k.ctx, units)
		if err != nil {
			k.Fatal(err)
		}
		for i, want := range []error{nil, journal.ErrCondition, journal.ErrCondition} {
			if !errors.Is(out[i].Err, want) {
				k.Fatalf("unit %d: got %v, want %v", i, out[i].Err, want)
			}
		}
		same(k, "position of the first", out[0].Result.Position, k.head().Position)
	}
	k.sound()
}

func conditionsAllCount(k *kit) {
	seats(k)
	holds := journal.Condition{Filter: journal.Filter{match(nil, "course:none")}}
	broken := journal.Condition{Filter: journal.Filter{match(nil, "course:c10")}}
	seat := []journal.Append{to("seat-3", journal.None, event("seat.taken"))}
	k.refused(journal.ErrCondition, journal.Unit{Appends: seat, Conditions: []journal.Condition{holds, broken}})
	k.refused(journal.ErrCondition, journal.Unit{Appends: seat, Conditions: []journal.Condition{broken, holds}})
	k.commit(journal.Unit{Appends: seat, Conditions: []journal.Condition{holds, holds}})
}

func lastSeat(k *kit) {
	for round := range 10 {
		tag := fmt.Sprintf("course:%d", round)
		after := k.head().Position
		var got, missed atomic.Int64
		k.crowd(writers, func(i int, log *journal.Log) {
			s := journal.Stream(fmt.Sprintf("seat-%d.%d", round, i))
			_, err := log.Commit(k.ctx, journal.Unit{
				Appends:    []journal.Append{to(s, journal.None, event("seat.taken", tag))},
				Conditions: []journal.Condition{{After: after, Filter: journal.Filter{match(nil, tag)}}},
			})
			switch {
			case err == nil:
				got.Add(1)
			case errors.Is(err, journal.ErrCondition):
				missed.Add(1)
			default:
				k.Errorf("commit: %v", err)
			}
		})
		same(k, "seats taken", got.Load(), 1)
		same(k, "seats missed", missed.Load(), writers-1)
	}
	same(k, "events", len(k.read(journal.ReadOptions{})), 10)
}
