// SPDX-License-Identifier: Apache-2.0

// What tests from outside need of the inside.

package token

import (
	"time"

	"example.com/vidimus/internal/clock/clocktest"
)

// Sleep makes what was read of the book as old as if the machine had slept.
func (b *Book) Sleep(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.load.began = clocktest.BeforeSleep(b.mu.load.began, d)
}
