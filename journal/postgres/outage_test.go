// SPDX-License-Identifier: Apache-2.0

// Servers that restart, are away or do not want to write.

//go:build unix

package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/vidimus/internal/pgtest"
	"example.com/vidimus/journal"
)

// TestAServerThatRestartsUnderLoadLosesNothing stops and kills the server while appenders repeat each unit until it is
// answered, and a follower goes on from its last frame.
func TestAServerThatRestartsUnderLoadLosesNothing(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t, nil)
	log := openLog(t, Config{URL: server.Database(t)})
	const appenders = 8
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var acknowledged, uncertain atomic.Int64
	var stop atomic.Bool
	var group sync.WaitGroup
	progress := make(chan struct{}, 1)
	for k := range appenders {
		group.Go(func() {
			for v := journal.Version(0); !stop.Load(); v++ {
				e := event("test.counted")
				for {
					_, err := log.Append(ctx, journal.Stream(fmt.Sprintf("order-%d", k)), journal.Exactly(v), e)
					if err == nil {
						break
					}
					if errors.Is(err, journal.ErrUncertain) {
						uncertain.Add(1)
					} else if !errors.Is(err, journal.ErrUnavailable) {
						t.Errorf("append: %v", err)
						return
					}
				}
				acknowledged.Add(1)
				select {
				case progress <- struct{}{}:
				default:
				}
			}
		})
	}
	var seen, all atomic.Int64
	all.Store(-1)
	var follower sync.WaitGroup
	follower.Go(func() {
		seen.Store(followAll(ctx, t, log, func(n int64) bool { return all.Load() >= 0 && n >= all.Load() }))
	})
	for _, restart := range []func() error{
		server.Restart, server.Kill9, server.Start, server.Stop, server.Start,
	} {
		if err := restart(); err != nil {
			t.Fatal(err)
		}
		if server.Pid() != 0 {
			for range 100 {
				<-progress
			}
		}
	}
	stop.Store(true)
	group.Wait()
	all.Store(acknowledged.Load())
	follower.Wait()
	t.Logf("%d acknowledged, %d uncertain on the way", acknowledged.Load(), uncertain.Load())
	st, err := log.Stat(ctx)
	if err != nil || st.Events != acknowledged.Load() || seen.Load() != st.Events {
		t.Errorf("acknowledged %d events, followed %d, there are %d, %v",
			acknowledged.Load(), seen.Load(), st.Events, err)
	}
	sound(t, log)
}

// followAll counts events, going on from the last frame after each failure, until enough says that these are all.
func followAll(ctx context.Context, t *testing.T, log *journal.Log, enough func(n int64) bool) (n int64) {
	var at journal.Checkpoint
	for {
		for f, err := range log.Follow(ctx, journal.FollowOptions{From: at, Pulse: 50 * time.Millisecond}) {
			if errors.Is(err, journal.ErrUnavailable) {
				break
			}
			if err != nil {
				t.Errorf("follow: %v", err)
				return n
			}
			at, n = f.Checkpoint, n+int64(len(f.Events))
			if enough(n) {
				return n
			}
		}
	}
}

func TestAServerThatIsAwayIsUnavailableAndComesBack(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t, nil)
	log := openLog(t, Config{URL: server.Database(t)})
	appendOne(t, log, "order-1", journal.None)
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	e := event("test.patient")
	for range 3 {
		if _, err := log.Head(t.Context()); !errors.Is(err, journal.ErrUnavailable) {
			t.Errorf("head: got %v, want ErrUnavailable", err)
		}
		_, err := log.Append(t.Context(), "order-1", journal.Exactly(1), e)
		if !errors.Is(err, journal.ErrUnavailable) && !errors.Is(err, journal.ErrUncertain) {
			t.Errorf("append: got %v, want ErrUnavailable or ErrUncertain", err)
		}
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	for {
		_, err := log.Append(t.Context(), "order-1", journal.Exactly(1), e)
		if err == nil {
			break
		}
		if !errors.Is(err, journal.ErrUnavailable) {
			t.Fatalf("append: %v", err)
		}
	}
	sound(t, log)
}

func TestAServerThatRefusesToWriteIsUnavailable(t *testing.T) {
	t.Parallel()
	url := pgtest.Open(t)
	log := openLog(t, Config{URL: url})
	appendOne(t, log, "order-1", journal.None)
	c := connect(t, url)
	alter(t, c, "set default_transaction_read_only = on")
	cut(t, c)
	refused := settled(t, log)
	if !errors.Is(refused, journal.ErrUnavailable) || !strings.Contains(refused.Error(), "primary") {
		t.Errorf("append: got %v, want ErrUnavailable that says to connect to the primary", refused)
	}
	exec(t, c, "set default_transaction_read_only = off")
	alter(t, c, "reset default_transaction_read_only")
	cut(t, c)
	if err := settled(t, log); err != nil {
		t.Errorf("append: %v", err)
	}
}

// alter changes a setting of the database for sessions to come.
func alter(t *testing.T, c *pgx.Conn, change string) {
	t.Helper()
	exec(t, c, "do $$ begin execute format('alter database %I "+change+"', current_database()); end $$")
}

// settled appends until the outcome is known.
func settled(t *testing.T, log *journal.Log) error {
	t.Helper()
	e := event("test.late")
	for {
		if _, err := log.Append(t.Context(), "order-1", journal.Any, e); !errors.Is(err, journal.ErrUncertain) {
			return err
		}
	}
}

// cut ends all other connections to the database.
func cut(t *testing.T, c *pgx.Conn) {
	t.Helper()
	exec(t, c, "select count(pg_terminate_backend(pid)) from pg_stat_activity "+
		"where datname = current_database() and pid <> pg_backend_pid()")
}
