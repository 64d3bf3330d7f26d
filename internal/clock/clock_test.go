// SPDX-License-Identifier: Apache-2.0

// Sleeping, in a bubble.

package clock_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/internal/clock/clocktest"
)

func TestSleepEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := clock.Now()
		if err := clock.Sleep(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v, want deadline exceeded", err)
		}
		if got := clock.Since(began); got != time.Second {
			t.Fatalf("slept %v, want 1s", got)
		}
		if err := clock.Sleep(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
	})
}

func TestElapsedIsTheLongerOfBothClocks(t *testing.T) {
	from := clock.Now()
	to := from.Add(2 * time.Second)
	for name, c := range map[string]struct {
		from, to time.Time
		want     time.Duration
	}{
		"awake":                       {from, to, 2 * time.Second},
		"asleep meanwhile":            {clocktest.BeforeSleep(from, time.Hour), to, time.Hour + 2*time.Second},
		"the wall clock was set back": {from, clocktest.BeforeSleep(to, time.Hour), 2 * time.Second},
		"asleep, and set back by less": { // the one that comes out too little
			clocktest.BeforeSleep(from, 2*time.Hour), clocktest.BeforeSleep(to, time.Hour), time.Hour + 2*time.Second,
		},
	} {
		if got := clock.Elapsed(c.from, c.to); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}
