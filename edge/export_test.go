// SPDX-License-Identifier: Apache-2.0

// What tests from outside need of the inside.

package edge

import (
	"time"

	"example.com/vidimus/internal/clock/clocktest"
)

// Sleep makes the passports at hand as old as if the machine had slept. The view has a clock of its own.
func (e *Edge) Sleep(d time.Duration) {
	for i := range e.mint.ready.parts {
		p := &e.mint.ready.parts[i]
		p.Lock()
		for _, h := range p.by {
			h.asked = clocktest.BeforeSleep(h.asked, d)
		}
		p.Unlock()
	}
}
