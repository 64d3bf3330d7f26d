// SPDX-License-Identifier: Apache-2.0

// When keys begin, sign and go: decided from their times alone.

package keyring

import "time"

// schedule says how keys of one kind follow each other.
type schedule struct {
	period time.Duration // how long a key is used
	before time.Duration // how long it is known to all nodes before it is used
	after  time.Duration // how long it is known after it was used last
}

// timed is a key with the moment from which it is used.
type timed interface{ from() time.Time }

// signs returns which of the keys, which stand in the order of their moments, is used now: the last whose moment has
// come. When none has, because a clock was set back, it is the first.
func signs[K timed](keys []K, now time.Time) int {
	at := 0
	for i, k := range keys {
		if !k.from().After(now) {
			at = i
		}
	}
	return at
}

// gone counts the keys at the front that nobody needs any more: another took over longer than s.after ago.
func gone[K timed](s schedule, keys []K, now time.Time) int {
	n := 0
	for n+1 < len(keys) && !keys[n+1].from().Add(s.after).After(now) {
		n++
	}
	return n
}

// next returns from when another key is to be used, if it is time to make it.
func next[K timed](s schedule, keys []K, now time.Time) (from time.Time, due bool) {
	if len(keys) == 0 {
		return now, true
	}
	from = keys[len(keys)-1].from().Add(s.period)
	if now.Before(from.Add(-s.before)) {
		return time.Time{}, false
	}
	if soonest := now.Add(s.before); soonest.After(from) {
		from = soonest
	}
	return from, true
}
