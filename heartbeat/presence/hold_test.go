// SPDX-License-Identifier: Apache-2.0

// When a valve holds, and when it lets go.

package presence

import (
	"math"
	"testing"
)

func TestValve(t *testing.T) {
	t.Parallel()
	const few = 1000 // of 10,000 tracked
	for name, steps := range map[string][]struct {
		moment
		want bool
	}{
		"few go": {
			{moment{now: 1, due: few, tracked: 10_000}, true},
			{moment{now: 40, due: few, tracked: 10_000}, true},
		},
		"more than the share in one tick are held": {
			{moment{now: 1, due: 2001, tracked: 10_000}, false},
		},
		"more than the share within one interval are held": {
			{moment{now: 1, due: few, tracked: 10_000}, true},
			{moment{now: 2, due: few, tracked: 9000}, true},
			{moment{now: 30, due: 1, tracked: 8000}, false},
		},
		"what went an interval ago does not count": {
			{moment{now: 1, due: few, tracked: 10_000}, true},
			{moment{now: 2, due: few, tracked: 10_000}, true},
			{moment{now: 32, due: few, tracked: 10_000}, true},
		},
		"a house of few may empty": {
			{moment{now: 1, due: 99, tracked: 99}, true},
		},
		"frozen, nobody goes and nothing is held": {
			{moment{now: 1, due: 9000, tracked: 10_000, frozen: true}, false},
			{moment{now: 2, due: few, recovered: 8000, tracked: 10_000}, true},
		},
		"a hold outlasts the interval": {
			{moment{now: 1, due: 3000, tracked: 10_000}, false},
			{moment{now: 5000, due: 3000, tracked: 10_000}, false},
		},
		"a hold does not end because the rest is few": {
			{moment{now: 1, due: few, tracked: 10_000}, true},
			{moment{now: 2, due: 1500, tracked: 10_000}, false},
			{moment{now: 500, due: 1500, tracked: 10_000}, false},
		},
		"a hold ends when most were heard again": {
			{moment{now: 1, due: 3000, tracked: 10_000}, false},
			{moment{now: 2, due: 1600, recovered: 1400, tracked: 10_000}, false},
			{moment{now: 3, due: 1500, recovered: 100, tracked: 10_000}, true},
			{moment{now: 4, due: 100, tracked: 10_000}, true},
		},
		"a hold ends when nobody is left": {
			{moment{now: 1, due: 3000, tracked: 10_000}, false},
			{moment{now: 2, due: 0, tracked: 7000}, true},
			{moment{now: 3, due: 10, tracked: 7000}, true},
		},
		"a person ends a hold": {
			{moment{now: 1, due: 9000, tracked: 10_000}, false},
			{moment{now: 2, due: 9000, tracked: 10_000, release: true}, true},
			{moment{now: 3, due: 150, tracked: 1000}, true},
			{moment{now: 4, due: 151, tracked: 1000}, false},
		},
	} {
		v := valve{share: 0.2, least: 100, recent: make([]int, 30)}
		for i, s := range steps {
			if got := v.pass(s.moment); got != s.want {
				t.Errorf("%s: step %d: pass is %v, want %v", name, i, got, s.want)
			}
		}
	}
}

func TestReleaseThatComesWhenTheHoldHasEndedLetsNoOtherMassGo(t *testing.T) {
	t.Parallel()
	v := valve{share: 0.2, least: 100, recent: make([]int, 30)}
	v.pass(moment{now: 1, due: 9000, tracked: 10_000})
	if !v.pass(moment{now: 2, recovered: 9000, tracked: 10_000}) {
		t.Fatal("held, and all were heard again")
	}
	if v.pass(moment{now: 3, due: 9000, tracked: 10_000, release: true}) || !v.held {
		t.Error("another mass was let go")
	}
}

func TestValveForgetsExactlyOneInterval(t *testing.T) {
	t.Parallel()
	v := valve{share: 0.2, least: 1, recent: make([]int, 30)}
	let := map[tick]int{}
	for at := firstTick; at < firstTick+1000; at += 1 + at%7%3 {
		due := int(at % 11)
		if v.pass(moment{now: at, due: due, tracked: math.MaxInt32}) {
			let[at] = due
		}
		want := 0
		for t := at - 29; t <= at; t++ {
			want += let[t]
		}
		if v.sum != want {
			t.Fatalf("at tick %d the valve remembers %d, want %d", at-firstTick, v.sum, want)
		}
	}
}
