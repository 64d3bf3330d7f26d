// SPDX-License-Identifier: Apache-2.0

// A sleep that nobody waits for.

package clocktest_test

import (
	"testing"
	"time"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/internal/clock/clocktest"
)

func TestBeforeSleep(t *testing.T) {
	now := clock.Now()
	before := clocktest.BeforeSleep(now, time.Hour)
	if got := now.Sub(before); got != 0 {
		t.Errorf("the monotonic clock went on by %v", got)
	}
	if got := now.Round(0).Sub(before.Round(0)); got != time.Hour {
		t.Errorf("the wall clock went on by %v", got)
	}
}
