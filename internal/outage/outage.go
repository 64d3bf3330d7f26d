// SPDX-License-Identifier: Apache-2.0

// Package outage decides when a log is told of what fails again and again. It needs nothing but the standard library.
package outage

import (
	"time"

	"example.com/vidimus/internal/clock"
)

// Every is how often an outage that lasts is told of.
const Every = time.Minute

// Outage is what was told of something since it worked last. The zero value is fine: it works. Goroutines must take
// turns.
type Outage struct {
	failures int
	kind     string
	told     time.Time
}

// Failed notes a failure and reports whether to tell of it: of the first at once, and of one of another kind than was
// told last; then of one a minute.
func (o *Outage) Failed(kind string) (tell bool) {
	o.failures++
	now := clock.Now()
	if o.failures > 1 && o.kind == kind && now.Sub(o.told) < Every {
		return false
	}
	o.kind, o.told = kind, now
	return true
}

// Failures is how often it failed since it worked last.
func (o *Outage) Failures() int { return o.failures }

// Over notes that it works, and reports whether it had failed.
func (o *Outage) Over() (was bool) {
	was = o.failures > 0
	*o = Outage{}
	return was
}
