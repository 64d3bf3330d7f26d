// SPDX-License-Identifier: Apache-2.0

// The queue under a clock that stands still.

package journal_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
)

// slowStore takes a second for each commit, so that others queue up behind it.
type slowStore struct{ journal.Store }

func (s slowStore) Commit(ctx context.Context, units []*journal.Unit) ([]journal.Outcome, error) {
	if err := clock.Sleep(ctx, time.Second); err != nil {
		return nil, err
	}
	return s.Store.Commit(ctx, units)
}

func TestALoneCommitDoesNotWaitForAStandingClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := journal.New(slowStore{mem.Open().Store()})
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
