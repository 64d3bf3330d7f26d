// SPDX-License-Identifier: Apache-2.0

// The decision whether those who are due may go, or whether there are too many of them to be true.

package presence

// valve lets sessions go as long as few do. It does no I/O and knows no clock.
type valve struct {
	share float64
	least int

	recent []int // let go, by tick, in the last Interval
	sum    int   // of recent
	last   tick  // that recent knows

	held      bool
	recovered int  // heard again since the hold began
	begun     tick // when the hold did

	gap    tick // the longest time between beats that come without a break
	beat   tick // when beats came last
	flowed tick // since when they come without a break
}

// moment is what a tick found.
type moment struct {
	now             tick
	due, recovered  int // whose time is up; who was heard again although it had been
	tracked         int
	beats           int // that came since the last tick, of sessions that are tracked
	frozen, release bool
}

// pass reports whether those who are due may go.
func (v *valve) pass(m moment) bool {
	v.roll(m.now)
	v.flow(m)
	if v.held {
		v.recovered += m.recovered
	}
	limit := max(v.least, int(v.share*float64(m.tracked+v.sum)))
	switch {
	case m.frozen:
		return false
	case v.held && m.release:
		v.held, v.sum = false, 0
		clear(v.recent)
		return true
	case v.held:
		// Most came back and few are left: the beats work again, and these are really gone.
		v.held = m.due > 0 && (m.due > limit || v.recovered < m.due)
		if v.held {
			return false
		}
	case v.sum+m.due > limit:
		v.held, v.recovered, v.begun = true, 0, m.now
		return false
	}
	v.recent[int(m.now)%len(v.recent)] += m.due
	v.sum += m.due
	return true
}

// flow notes since when beats come without a break.
func (v *valve) flow(m moment) {
	if m.beats == 0 {
		return
	}
	if m.now-v.beat > v.gap {
		v.flowed = m.now
	}
	v.beat = m.now
}

// flowing returns since when beats have come without a break during a hold, if they do.
func (v *valve) flowing(now tick) (since tick, ok bool) {
	return max(v.begun, v.flowed), v.held && now-v.beat <= v.gap
}

// relax ends the hold if those who are due are no longer too many. From then on they are judged like any others.
func (v *valve) relax(due, tracked int) {
	if due <= max(v.least, int(v.share*float64(tracked))) {
		v.held = false
	}
}

// roll forgets what was let go more than one Interval ago.
func (v *valve) roll(now tick) {
	steps := min(int(now-v.last), len(v.recent))
	for t := now - tick(steps) + 1; t <= now; t++ {
		place := &v.recent[int(t)%len(v.recent)]
		v.sum -= *place
		*place = 0
	}
	v.last = now
}
