// SPDX-License-Identifier: Apache-2.0

// The plan is fair, stable and the same for all.

package cell

import (
	"fmt"
	"slices"
	"testing"
)

// dice are the chance of one case, by its seed (splitmix64).
type dice uint64

func (d *dice) roll(sides int) int {
	*d += 0x9e3779b97f4a7c15
	z := uint64(*d)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return int((z ^ z>>31) % uint64(sides))
}

func TestThePlanIsFairAndMovesLittle(t *testing.T) {
	t.Parallel()
	for seed := range 2000 {
		d := dice(seed)
		owners := make([]string, 1<<d.roll(9))
		members := make([]string, 1+d.roll(12))
		for i := range members {
			members[i] = fmt.Sprint("m", i)
		}
		for i := range owners {
			owners[i] = fmt.Sprint("m", d.roll(16)) // some are gone
			if d.roll(4) == 0 {
				owners[i] = ""
			}
		}
		before := tally(owners, members)
		moves := share(owners, members)
		if reversed := slices.Clone(members); true {
			slices.Reverse(reversed)
			if !slices.Equal(moves, share(owners, reversed)) {
				t.Fatalf("seed %d: the plan depends on the order of the members", seed)
			}
		}
		for _, m := range moves {
			if owners[m.shard] == m.to {
				t.Fatalf("seed %d: shard %d moves in place", seed, m.shard)
			}
			owners[m.shard] = m.to
		}
		floor, extra := len(owners)/len(members), len(owners)%len(members)
		for m, n := range tally(owners, members) {
			if n < floor || n > floor+1 {
				t.Fatalf("seed %d: %s has %d of %d shards among %d members", seed, m, n, len(owners), len(members))
			}
		}
		if least := fewest(before, floor, extra); len(moves) != least {
			t.Fatalf("seed %d: %d moves, %d are enough", seed, len(moves), least)
		}
		if again := share(owners, members); len(again) > 0 {
			t.Fatalf("seed %d: not at rest after the plan: %v", seed, again)
		}
	}
}

// fewest is how many moves fairness needs: each member is to have floor shards, and the fullest of them one more.
func fewest(count map[string]int, floor, extra int) int {
	var all []int
	for _, n := range count {
		all = append(all, n)
	}
	slices.Sort(all)
	slices.Reverse(all)
	missing := 0
	for i, n := range all {
		quota := floor
		if i < extra {
			quota++
		}
		missing += max(0, quota-n)
	}
	return missing
}

func tally(owners, members []string) map[string]int {
	count := map[string]int{}
	for _, m := range members {
		count[m] = 0
	}
	for _, o := range owners {
		if slices.Contains(members, o) {
			count[o]++
		}
	}
	return count
}

func TestWithoutMembersThereIsNoPlan(t *testing.T) {
	t.Parallel()
	if moves := share([]string{"", "a"}, nil); len(moves) != 0 {
		t.Errorf("got %v", moves)
	}
}
