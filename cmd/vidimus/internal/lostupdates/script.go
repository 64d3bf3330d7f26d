// SPDX-License-Identifier: Apache-2.0

// The script: who clicks when, and how long each request works. It depends on the seed and the number of tabs alone, so
// every shop is clicked alike.

package lostupdates

import "time"

// round is what the tabs do at once: each adds one item, and now and then an operator changes the customer's limit.
type round struct {
	work    []time.Duration // of each tab's request, between reading the state and writing it
	operate time.Duration   // when the operator changes the limit, after the round began; 0 for not in this round
}

// logout is a sign-out while every tab saves.
type logout struct {
	work  []time.Duration
	after time.Duration // the tabs began
}

type script struct {
	rounds  []round
	logouts []logout
}

const (
	fastest = 20 * time.Millisecond
	usual   = 60 * time.Millisecond
	slowest = 200 * time.Millisecond
)

func newScript(seed uint64, clicks, logouts, tabs int) script {
	d := dice{seed*0x9e3779b97f4a7c15 + uint64(tabs)}
	var s script
	for clicked := 0; clicked < clicks; clicked += tabs {
		r := round{work: d.works(min(tabs, clicks-clicked))}
		if d.under(3) == 0 {
			r.operate = d.between(0, usual)
		}
		s.rounds = append(s.rounds, r)
	}
	for range logouts {
		l := logout{after: d.between(0, usual)}
		for range tabs {
			l.work = append(l.work, d.between(2*usual, slowest)) // still at work when the sign-out is done
		}
		s.logouts = append(s.logouts, l)
	}
	return s
}

// dice is splitmix64, the generator of Steele, Lea and Flood (2014): what a seed draws never changes.
type dice struct{ state uint64 }

func (d *dice) next() uint64 {
	d.state += 0x9e3779b97f4a7c15
	z := d.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (d *dice) under(n uint64) uint64 { return d.next() % n }

func (d *dice) between(low, high time.Duration) time.Duration {
	return low + time.Duration(d.under(uint64(high-low)))
}

// works draws how long requests work: most a little, one of twelve for long.
func (d *dice) works(n int) []time.Duration {
	works := make([]time.Duration, n)
	for i := range works {
		works[i] = d.between(fastest, usual)
		if d.under(12) == 0 {
			works[i] = d.between(usual, slowest)
		}
	}
	return works
}
