// SPDX-License-Identifier: Apache-2.0

// Who is to own which shards: the plan that every node makes for itself.

package cell

import (
	"cmp"
	"slices"
)

// move says that a shard is to go to a member.
type move struct {
	shard int
	to    string
}

// share plans how shards go to where they are missing. Owners names the owner of each shard; one that is no member
// counts as none. After the moves every member has the same number of shards, give or take one, and no other plan moves
// fewer. Every node that sees the same makes the same plan, and none when all have their part.
func share(owners, members []string) []move {
	if len(members) == 0 {
		return nil
	}
	count := make(map[string]int, len(members))
	for _, m := range members {
		count[m] = 0
	}
	for _, o := range owners {
		if _, ok := count[o]; ok {
			count[o]++
		}
	}
	quota := quotas(count, len(owners))
	var loose, surplus []int
	kept := make(map[string]int, len(members))
	for s, o := range owners {
		switch q, ok := quota[o]; {
		case !ok:
			loose = append(loose, s)
		case kept[o] == q:
			surplus = append(surplus, s)
		default:
			kept[o]++
		}
	}
	loose = append(loose, surplus...)
	sorted := slices.Sorted(slices.Values(members))
	var moves []move
	for len(loose) > 0 { // one for each that misses one, round by round
		for _, m := range sorted {
			if len(loose) > 0 && kept[m] < quota[m] {
				moves = append(moves, move{loose[0], m})
				loose = loose[1:]
				kept[m]++
			}
		}
	}
	return moves
}

// quotas says how many shards each member is to have. What does not divide goes to those who have most, so that it
// need not move.
func quotas(count map[string]int, shards int) map[string]int {
	members := make([]string, 0, len(count))
	for m := range count {
		members = append(members, m)
	}
	slices.SortFunc(members, func(a, b string) int {
		return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a, b))
	})
	out := make(map[string]int, len(members))
	for i, m := range members {
		out[m] = shards / len(members)
		if i < shards%len(members) {
			out[m]++
		}
	}
	return out
}
