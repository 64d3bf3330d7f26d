// SPDX-License-Identifier: Apache-2.0

// A journal that goes away, and comes back as it was or renewed.

package follower_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/examples/boxoffice/internal/follower"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
)

// cut is a journal that can be cut off.
type cut struct {
	journal.Store

	off atomic.Bool
}

func (c *cut) Read(ctx context.Context, q journal.Query) (journal.Page, error) {
	if c.off.Load() {
		return journal.Page{}, journal.ErrUnavailable
	}
	return c.Store.Read(ctx, q)
}

func TestFollowerOutlivesItsJournal(t *testing.T) {
	for name, c := range map[string]struct {
		renewed bool
		begins  int
		taken   int // since it began last
	}{
		"away and back": {false, 1, 3},
		"renewed":       {true, 2, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := mem.Open()
				store := &cut{Store: log.Store()}
				begins, taken := 0, 0
				f := &follower.Follower{
					Log: journal.New(store),
					Begin: func(context.Context) (journal.Checkpoint, error) {
						begins, taken = begins+1, 0
						return journal.Checkpoint{}, nil
					},
					Take: func(f *journal.Frame) error {
						taken += len(f.Events)
						return nil
					},
				}
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- f.Run(ctx) }()
				write := func(n int) {
					t.Helper()
					for range n {
						if _, err := log.Append(t.Context(), "seat-1", journal.Any, journal.EventData{Type: "seat.held"}); err != nil {
							t.Fatal(err)
						}
					}
				}
				write(2)
				time.Sleep(time.Minute)
				store.off.Store(true)
				write(1)
				time.Sleep(time.Minute)
				if c.renewed {
					if _, err := log.Renew(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				store.off.Store(false)
				time.Sleep(time.Minute)
				synctest.Wait()
				if begins != c.begins || taken != c.taken {
					t.Errorf("it began %d times and took %d events since, want %d and %d", begins, taken, c.begins, c.taken)
				}
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
				_ = log.Close()
			})
		})
	}
}

func TestFollowerEndsWithWhatNoRepetitionMends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := mem.Open()
		defer log.Close()
		unheard := errors.New("unheard of")
		f := &follower.Follower{
			Log:   log,
			Begin: func(context.Context) (journal.Checkpoint, error) { return journal.Checkpoint{}, nil },
			Take:  func(*journal.Frame) error { return unheard },
		}
		if _, err := log.Append(t.Context(), "seat-1", journal.Any, journal.EventData{Type: "seat.held"}); err != nil {
			t.Fatal(err)
		}
		if err := f.Run(t.Context()); !errors.Is(err, unheard) {
			t.Errorf("it ended with %v, want %v", err, unheard)
		}
	})
}
