// SPDX-License-Identifier: Apache-2.0

// Package outage decides when a log is told of what fails again and again. It needs nothing but the standard library.
package outage

import (
	"time"

	"example.com/vidimus/internal/clock"
)

const (
	// Every is how often an outage that lasts is told of.
	Every = time.Minute
	// Steady is for how long something works before its outage is over: what comes and goes is one outage.
	Steady = 5 * time.Second
)

// Outage is what was told of something since it worked last. The zero value is fine: it works. Goroutines must take
// turns.
type Outage struct {
	failures int
	kind     string
	told     time.Time
	works    time.Time // since when; zero while it fails
}

// Failed notes a failure and reports whether to tell of it: of the first at once, and of one of another kind than was
// told last; then of one a minute.
func (o *Outage) Failed(kind string) (tell bool) {
	now := clock.Now()
	if o.steady(now) {
		o.failures = 0
	}
	o.works = time.Time{}
	o.failures++
	if o.failures > 1 && o.kind == kind && now.Sub(o.told) < Every {
		return false
	}
	o.kind, o.told = kind, now
	return true
}

// Failures is how often it failed since it worked steadily.
func (o *Outage) Failures() int { return o.failures }

// Works notes that it works now, as often as one likes, and reports once that an outage is over.
func (o *Outage) Works() (over bool) {
	now := clock.Now()
	if o.works.IsZero() {
		o.works = now
	}
	over = o.failures > 0 && o.steady(now)
	if over {
		o.failures = 0
	}
	return over
}

func (o *Outage) steady(now time.Time) bool { return !o.works.IsZero() && now.Sub(o.works) >= Steady }
