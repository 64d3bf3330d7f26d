// SPDX-License-Identifier: Apache-2.0

// Package clock is the only door to time: the simulator and the guards of the house look for time here.
package clock

import (
	"context"
	"time"
)

// Now returns the current time with its monotonic reading.
func Now() time.Time { return time.Now() }

// Since returns the time passed since t, on the monotonic clock where t carries one.
func Since(t time.Time) time.Duration { return time.Since(t) }

// Elapsed returns the time from one reading of [Now] to a later one: the longer of what the monotonic clock says, which
// stands still while the machine sleeps, and of what the wall clock says, which may be set back. It is too little only
// if both happened between the two readings, and never by more than the wall clock was set back.
func Elapsed(from, to time.Time) time.Duration {
	return max(to.Sub(from), to.Round(0).Sub(from.Round(0)))
}

// Age returns the time elapsed since a reading.
func Age(t time.Time) time.Duration { return Elapsed(t, Now()) }

// Until returns the time left until t, on the monotonic clock where t carries one.
func Until(t time.Time) time.Duration { return time.Until(t) }

// NewTimer returns a timer that fires once after d.
func NewTimer(d time.Duration) *time.Timer { return time.NewTimer(d) }

// Sleep waits for d, or until ctx ends and then returns its error.
func Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
