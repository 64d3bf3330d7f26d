// SPDX-License-Identifier: Apache-2.0

// Limits by address, in a table that does not grow.

package edge

import (
	"hash/maphash"
	"net/netip"
	"time"

	"golang.org/x/time/rate"
)

// buckets is the number of limiters in a row.
const buckets = 4096

// limits keeps one rate for every address. Each address has one limiter in each of two rows, by two hashes: it
// shares them with others, but hardly both with the same ones. It is refused when both are spent. So whoever wants
// to use up somebody else's attempts must spend the whole table, and nobody can make it forget his own.
type limits struct {
	seed maphash.Seed
	rows [2][buckets]rate.Limiter
}

func newLimits(l Limit) *limits {
	t := &limits{seed: maphash.MakeSeed()}
	for i := range t.rows {
		for j := range t.rows[i] {
			t.rows[i][j].SetLimitAt(time.Time{}, rate.Every(l.Every))
			t.rows[i][j].SetBurstAt(time.Time{}, l.Burst)
		}
	}
	return t
}

func (t *limits) of(a netip.Addr) (one, other *rate.Limiter) {
	if a.Is6() {
		a = netip.PrefixFrom(a, 64).Masked().Addr()
	}
	h := maphash.Comparable(t.seed, a)
	return &t.rows[0][h%buckets], &t.rows[1][h>>32%buckets]
}

// take counts an attempt and reports whether it may go on.
func (t *limits) take(a netip.Addr, now time.Time) bool {
	one, other := t.of(a)
	first, second := one.AllowN(now, 1), other.AllowN(now, 1)
	return first || second
}

// spent reports whether the next attempt would be refused.
func (t *limits) spent(a netip.Addr, now time.Time) bool {
	one, other := t.of(a)
	return one.TokensAt(now) < 1 && other.TokensAt(now) < 1
}
