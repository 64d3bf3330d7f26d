// SPDX-License-Identifier: Apache-2.0

// Committing many units at once.

package journal_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
)

func unitOf(s journal.Stream, e journal.Expect) journal.Unit {
	events := []journal.EventData{{ID: journal.NewID(), Type: "t"}}
	return journal.Unit{Appends: []journal.Append{{Stream: s, Expect: e, Events: events}}}
}

func TestCommitManyKeepsTheOrderAndAnswersEachUnitAlone(t *testing.T) {
	t.Parallel()
	log := mem.Open()
	units := []journal.Unit{
		unitOf("a", journal.None), unitOf("b", journal.None), unitOf("a", journal.None), unitOf("a", journal.Exactly(1)),
	}
	outcomes, err := log.CommitMany(t.Context(), units)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []journal.Position{1, 2, 0, 3} {
		if got := outcomes[i].Result.Position; got != want {
			t.Errorf("unit %d: got position %d, want %d", i, got, want)
		}
	}
	if !errors.Is(outcomes[2].Err, journal.ErrConflict) {
		t.Errorf("unit 2: got %v, want a conflict", outcomes[2].Err)
	}
	again, err := log.CommitMany(t.Context(), units[:2])
	if err != nil || !again[0].Result.Duplicate || !again[1].Result.Duplicate {
		t.Errorf("repeated: got %v, %v, want duplicates", again, err)
	}
}

func TestCommitManySharesTheQueueWithOthers(t *testing.T) {
	t.Parallel()
	log := mem.Open()
	var work sync.WaitGroup
	for w := range 8 {
		stream := journal.Stream(fmt.Sprintf("worker-%d", w))
		work.Go(func() {
			for v := 0; v < 1000; v += 50 {
				units := make([]journal.Unit, 50)
				for i := range units {
					units[i] = unitOf(stream, journal.Exactly(journal.Version(v+i)))
				}
				outcomes, err := log.CommitMany(t.Context(), units)
				for i := range outcomes {
					err = errors.Join(err, outcomes[i].Err)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
		work.Go(func() {
			for range 100 {
				if _, err := log.Append(t.Context(), "single", journal.Any, journal.EventData{Type: "t"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	if head, err := log.Head(t.Context()); err != nil || head.Position != 8*1100 {
		t.Errorf("got head %v, %v, want position 8800", head, err)
	}
}

func TestCommitManyRefusesBeforeWriting(t *testing.T) {
	t.Parallel()
	log := mem.Open()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name  string
		ctx   context.Context
		units []journal.Unit
		want  error
	}{
		{"too many", t.Context(), make([]journal.Unit, 1001), journal.ErrInvalid},
		{"a bad one behind a good one", t.Context(), []journal.Unit{unitOf("a", 0), unitOf("", 0)}, journal.ErrInvalid},
		{"nobody waits any more", ended, []journal.Unit{unitOf("a", 0)}, context.Canceled},
	} {
		if _, err := log.CommitMany(c.ctx, c.units); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	if head, err := log.Head(t.Context()); err != nil || head.Position != 0 {
		t.Errorf("got head %v, %v, want an empty journal", head, err)
	}
}
