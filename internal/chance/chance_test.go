// SPDX-License-Identifier: Apache-2.0

// What chance promises.

package chance_test

import (
	"testing"
	"time"

	"example.com/vidimus/internal/chance"
)

func TestJitterStaysInItsHalf(t *testing.T) {
	t.Parallel()
	for range 1000 {
		if d := chance.Jitter(time.Second); d < time.Second/2 || d >= time.Second {
			t.Fatalf("jitter of 1s is %v", d)
		}
	}
	if d := chance.Jitter(1); d != 1 {
		t.Fatalf("jitter of 1ns is %v", d)
	}
}

func TestShortNamesDiffer(t *testing.T) {
	t.Parallel()
	if a, b := chance.Short(), chance.Short(); a == b || len(a) != 10 {
		t.Fatalf("got %q and %q", a, b)
	}
}
