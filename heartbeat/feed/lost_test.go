// SPDX-License-Identifier: Apache-2.0

// A journal that lost commits and was not renewed: a replica that was behind, or a backup.

package feed_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/heartbeat"
	"example.com/vidimus/heartbeat/feed"
	"example.com/vidimus/journal"
	"example.com/vidimus/passport"
)

// fallible is a database that falls back to a replica, of the same log and epoch.
type fallible struct {
	journal.Store
	replica journal.Store
	fallen  atomic.Bool
	name    string // of the log
}

func (s *fallible) now() journal.Store {
	if s.fallen.Load() {
		return s.replica
	}
	return s.Store
}

func (s *fallible) Head(ctx context.Context) (journal.Checkpoint, error) {
	head, err := s.now().Head(ctx)
	head.Log = s.name
	return head, err
}

func (s *fallible) Read(ctx context.Context, q journal.Query) (journal.Page, error) {
	return s.now().Read(ctx, q)
}

func (s *fallible) Wait(ctx context.Context, after journal.Position) error {
	return s.now().Wait(ctx, after)
}

// grow appends events that change nothing until the journal ends at a position.
func grow(t *testing.T, log *journal.Log, to int) {
	t.Helper()
	for at := 0; at < to; {
		head, err := log.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if at = int(head.Position); at < to {
			at = int(commit(t, log, "session-x", "session.started"))
		}
	}
}

// fall runs a feed and a client of it on a journal of 20 events, and then has that fall back to a replica, in which a
// session ended at 11, and which ends at a position.
func fall(t *testing.T, end int) (f *feed.Feed, c *heartbeat.Client, replica *journal.Log) {
	t.Helper()
	first, replica := memory(t), memory(t)
	store := &fallible{Store: first.Store(), replica: replica.Store(), name: place(t, first, 0).Log}
	grow(t, first, 10)
	grow(t, replica, 10)
	f = open(t, feed.Config{Log: journal.New(store)})
	c = follow(t, heartbeat.Config{Sources: []heartbeat.Source{f}})
	grow(t, first, 20)
	synced(t, c)
	commit(t, replica, "session-a", "session.ended")
	grow(t, replica, end)
	store.fallen.Store(true)
	return f, c, replica
}

func TestFeedOfAJournalThatLostCommitsBeginsBehindThem(t *testing.T) {
	for _, end := range []int{11, 20, 21, 26} {
		t.Run(fmt.Sprint("it ends at ", end), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, c, replica := fall(t, end)
				old := claims(c, "session-a", 20)
				for range 100 {
					time.Sleep(20 * time.Millisecond)
					stale, judged := c.View().Staleness(), c.View().Judge(old)
					if end <= 20 && stale < 20*time.Millisecond {
						t.Fatalf("staleness %v while commits are lost", stale)
					}
					if stale == 0 && judged == nil && c.View().Through().Position > 20 {
						t.Fatalf("fresh at %v, and a passport of a session that ended is good", c.View().Through())
					}
				}
				if _, err := f.Ping(t.Context()); end <= 20 && (!errors.Is(err, heartbeat.ErrRewound) ||
					!errors.Is(err, journal.ErrUnavailable)) {
					t.Errorf("ping: %v, want ErrRewound, and that it is unavailable", err)
				}
				grow(t, replica, 26)
				time.Sleep(15 * time.Second)
				if err := c.View().Judge(old); !errors.Is(err, passport.ErrSuperseded) {
					t.Errorf("a passport from the history that was lost is judged %v", err)
				}
				at := commit(t, replica, "session-b", "session.ended")
				time.Sleep(time.Second)
				if s := c.Status(); s.Staleness > time.Second || s.Through.Position != at || s.Snapshots != 2 {
					t.Errorf("status %+v, want it to follow through %d", s, at)
				}
				if err := c.View().Judge(claims(c, "session-b", at-1)); !errors.Is(err, passport.ErrRevoked) {
					t.Errorf("what changed behind what was lost is judged %v", err)
				}
			})
		})
	}
}

func TestJournalThatLostCommitsIsFollowedOnceItIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, replica := fall(t, 11)
		time.Sleep(10 * time.Second)
		if _, err := replica.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if s := c.Status(); s.Staleness > time.Second || s.Through.Epoch != 2 || s.Through.Position != 11 {
			t.Errorf("status %+v", s)
		}
	})
}

func TestFeedThatHadNotReadAllThatWasLostBeginsBehindItAllTheSame(t *testing.T) {
	for _, looked := range []bool{true, false} {
		t.Run(fmt.Sprint("it looks again before the journal has grown: ", looked), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				first, replica := memory(t), memory(t)
				at := place(t, first, 20)
				store := &fallible{Store: first.Store(), replica: replica.Store(), name: at.Log}
				grow(t, first, 20)
				grow(t, replica, 22)
				f := open(t, feed.Config{Log: journal.New(store), Gap: time.Minute})
				time.Sleep(time.Second) // it has read all, and does not read again for a while
				grow(t, first, 25)
				ends := func(want int64) {
					t.Helper()
					head, err := f.Ping(t.Context())
					if want == 0 && !errors.Is(err, heartbeat.ErrRewound) || want != 0 && (err != nil || head.Position != want) {
						t.Errorf("the log ends at %v, %v, want %d", head, err, want)
					}
				}
				ends(25)
				store.fallen.Store(true)
				if looked {
					ends(0)
				}
				time.Sleep(time.Minute)
				grow(t, replica, 25)
				ends(0)
				time.Sleep(time.Minute)
				grow(t, replica, 26)
				time.Sleep(time.Minute)
				ends(26)
				if frame := frames(t, f, at)(); !frame.Snapshot || frame.After != 26 {
					t.Errorf("who stood in what was lost is given %+v, want a snapshot from 26 on", frame)
				}
			})
		})
	}
}
