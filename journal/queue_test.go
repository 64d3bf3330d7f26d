// SPDX-License-Identifier: Apache-2.0

// The queue under a clock that stands still.

package journal_test

import (
	"sync"
	"testing"
	"testing/synctest"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
)

func TestALoneCommitDoesNotWaitForAStandingClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := mem.Open()
		commit := func() {
			if _, err := log.Append(t.Context(), "s-1", journal.Any, journal.EventData{Type: "t"}); err != nil {
				t.Error(err)
			}
		}
		var crowd sync.WaitGroup
		for range 64 {
			crowd.Go(commit)
		}
		crowd.Wait()
		commit()
	})
}
