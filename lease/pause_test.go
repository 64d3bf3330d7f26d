// SPDX-License-Identifier: Apache-2.0

// Owners that are stopped for longer than their lease lasts, as real processes on a real PostgreSQL.

package lease_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/internal/pgtest"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/postgres"
	"example.com/vidimus/lease"
)

const ownerArg = "lease-owner"

func TestMain(m *testing.M) {
	if len(os.Args) == 5 && os.Args[1] == ownerArg {
		if err := own(context.Background(), os.Args[2], os.Args[3], os.Args[4]); err != nil {
			fmt.Fprintf(os.Stderr, "owner %s: %v\n", os.Args[4], err)
		}
		return
	}
	m.Run()
}

// own holds the lease whenever it can, until standard input ends, and meanwhile writes two streams: one under the
// fence, one believing its own clock.
func own(ctx context.Context, url, name, owner string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	log, err := postgres.Open(ctx, postgres.Config{URL: url})
	if err != nil {
		return err
	}
	defer log.Close()
	keeper, err := lease.Open(ctx, log, lease.Config{Owner: owner, TTL: lease.MinTTL})
	if err != nil {
		return err
	}
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() {
		_, _ = io.Copy(io.Discard, bufio.NewReader(os.Stdin))
		cancel()
	})
	work.Go(func() {
		for ctx.Err() == nil {
			_ = keeper.Run(ctx) // a keeper whose session was lost may be run again
		}
	})
	for ctx.Err() == nil {
		held, err := keeper.Acquire(ctx, name)
		if err != nil {
			if clock.Sleep(ctx, 10*time.Millisecond) != nil {
				return nil
			}
			continue
		}
		for held.Context().Err() == nil {
			write(ctx, log, held)
		}
	}
	return nil
}

// write looks at the lease, works a little, and writes what it worked out.
func write(ctx context.Context, log *journal.Log, held *lease.Lease) {
	epoch := journal.EventData{Type: "written", Data: fmt.Append(nil, held.Epoch())}
	if held.Context().Err() == nil {
		_ = clock.Sleep(ctx, 2*time.Millisecond)
		_, _ = log.Append(ctx, journal.Stream("unfenced-"+held.Name()), journal.Any, epoch)
	}
	epoch.ID = journal.NewID()
	_, _ = log.Commit(ctx, journal.Unit{
		Fences: []journal.Fence{held.Fence()},
		Appends: []journal.Append{{
			Stream: journal.Stream("fenced-" + held.Name()), Expect: journal.Any, Events: []journal.EventData{epoch},
		}},
	})
}

// TestStoppedOwnerWritesNothingStale stops owners at random moments until somebody else has written under a later
// epoch, then lets them go on. The fence must keep every stale write out; the clock, for comparison, lets some in.
func TestStoppedOwnerWritesNothingStale(t *testing.T) {
	t.Parallel()
	const lanes, stops = 6, 17
	url := pgtest.Open(t)
	log, err := postgres.Open(t.Context(), postgres.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	var work sync.WaitGroup
	for lane := range lanes {
		work.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(lane)))
			if err := stopOwners(t, log, url, fmt.Sprintf("lane%d", lane), stops, rng); err != nil {
				t.Errorf("lane %d: %v", lane, err)
			}
		})
	}
	work.Wait()
	fenced, unfenced := 0, 0
	for lane := range lanes {
		fenced += stale(t, log, fmt.Sprintf("fenced-lane%d", lane))
		unfenced += stale(t, log, fmt.Sprintf("unfenced-lane%d", lane))
	}
	t.Logf("%d stops: %d stale writes under the fence, %d without", lanes*stops, fenced, unfenced)
	if fenced > 0 {
		t.Errorf("%d stale writes under the fence", fenced)
	}
	if unfenced == 0 {
		t.Error("no stale write without the fence: this test shows nothing")
	}
}

// stale counts the events written under an earlier epoch than one before them.
func stale(t *testing.T, log *journal.Log, stream string) int {
	t.Helper()
	n, highest := 0, journal.Epoch(0)
	for e, err := range log.ReadStream(t.Context(), journal.Stream(stream), nil) {
		if err != nil {
			t.Fatal(err)
		}
		if epoch := epochOf(&e); epoch < highest {
			n++
		} else {
			highest = epoch
		}
	}
	return n
}

func epochOf(e *journal.Event) journal.Epoch {
	epoch := journal.Epoch(0)
	_, _ = fmt.Sscan(string(e.Data), &epoch)
	return epoch
}

func stopOwners(t *testing.T, log *journal.Log, url, name string, stops int, rng *rand.Rand) error {
	owners := map[string]*exec.Cmd{}
	for _, owner := range []string{name + "-a", name + "-b"} {
		cmd := exec.Command(os.Args[0], ownerArg, url, name, owner)
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			return err
		}
		if err := cmd.Start(); err != nil {
			return err
		}
		owners[owner] = cmd
		defer func() {
			_ = in.Close()
			_ = cmd.Wait()
		}()
	}
	table := lease.NewTable(log)
	epoch := journal.Epoch(0)
	for range stops {
		if err := wrote(t.Context(), log, name, epoch); err != nil {
			return err
		}
		info, err := table.Look(t.Context(), name)
		if err != nil {
			return err
		}
		owner, ok := owners[info.Holder.Owner]
		if !ok {
			continue // it changes hands just now
		}
		epoch = info.Epoch
		_ = clock.Sleep(t.Context(), time.Duration(rng.IntN(30_000))*time.Microsecond)
		if err := owner.Process.Signal(syscall.SIGSTOP); err != nil {
			return err
		}
		err = wrote(t.Context(), log, name, epoch)
		if err := errors.Join(err, owner.Process.Signal(syscall.SIGCONT)); err != nil {
			return err
		}
	}
	return nil
}

// wrote waits until both streams have an event of a later epoch.
func wrote(ctx context.Context, log *journal.Log, name string, after journal.Epoch) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for _, kind := range []string{"fenced-", "unfenced-"} {
		stream := journal.Stream(kind + name)
		if err := next(ctx, log, stream, after); err != nil {
			return fmt.Errorf("waiting for a write to %s after epoch %d: %w", stream, after, err)
		}
	}
	return nil
}

// next waits for an event of a stream that was written under a later epoch.
func next(ctx context.Context, log *journal.Log, s journal.Stream, after journal.Epoch) error {
	from, err := log.Head(ctx)
	if err != nil {
		return err
	}
	for frame, err := range log.Follow(ctx, journal.FollowOptions{From: from, Filter: journal.Filter{{Stream: s}}}) {
		if err != nil {
			return err
		}
		if n := len(frame.Events); n > 0 && epochOf(&frame.Events[n-1]) > after {
			return nil
		}
	}
	return ctx.Err()
}
