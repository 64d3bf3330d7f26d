// SPDX-License-Identifier: Apache-2.0

// How far a reader of a stream reads ahead.

package journal

import "testing"

func TestStreamsAreReadInStepsThatFitAPage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ step, events, bytes, want int }{
		{firstOfMany, 32, 32 * 100, 128},
		{512, 512, 512 * 100, MaxPage},
		{MaxPage, 1000, 0, MaxPage},
		{firstOfMany, 32, 32 * MaxData, 1},
		{1, 1, MaxData + MaxMeta, 1},
		{1, 1, 1000, 4},
	} {
		if got := nextStep(c.step, c.events, c.bytes); got != c.want {
			t.Errorf("after %d events of %d bytes in a step of %d: got %d, want %d", c.events, c.bytes, c.step, got, c.want)
		}
	}
}
