// SPDX-License-Identifier: Apache-2.0

// Group commit, seen through a store that can be held: who waits, who leads, who may leave.

package journal_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
)

// gate is a store whose commits wait until they are let through.
type gate struct {
	journal.Store
	pass    chan error // one for each batch: nil lets it through, an error is answered instead
	batches []int      // sizes, in order
}

func newGate() *gate { return &gate{Store: mem.Open().Store(), pass: make(chan error)} }

func (g *gate) Commit(ctx context.Context, units []*journal.Unit) ([]journal.Outcome, error) {
	g.batches = append(g.batches, len(units))
	if err := <-g.pass; err != nil {
		return nil, err
	}
	return g.Store.Commit(ctx, units)
}

// answer is what a caller got.
type answer struct {
	res  journal.Result
	err  error
	done bool
}

// ask commits a unit in the background. The answer may be read after synctest.Wait.
func ask(ctx context.Context, log *journal.Log, u journal.Unit) *answer {
	a := &answer{}
	go func() {
		a.res, a.err = log.Commit(ctx, u)
		a.done = true
	}()
	synctest.Wait()
	return a
}

func (a *answer) want(t *testing.T, what string, target error) {
	t.Helper()
	if !a.done || !errors.Is(a.err, target) {
		t.Errorf("%s: got %+v, want the error %v", what, *a, target)
	}
}

func (a *answer) waits(t *testing.T, what string) {
	t.Helper()
	if a.done {
		t.Errorf("%s is answered too early: %+v", what, *a)
	}
}

func events(t *testing.T, log *journal.Log) int {
	t.Helper()
	n := 0
	for _, err := range log.Read(t.Context(), journal.ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

func TestAUnitGivenUpWhileItWaitsLeavesNoTrace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		log := journal.New(g)
		ctx, cancel := context.WithCancel(t.Context())
		first := ask(t.Context(), log, unitOf("a", journal.None))
		gone := ask(ctx, log, unitOf("b", journal.None))
		last := ask(t.Context(), log, unitOf("c", journal.None))
		cancel()
		synctest.Wait()
		gone.want(t, "given up while it waits", context.Canceled)
		if errors.Is(gone.err, journal.ErrUncertain) {
			t.Errorf("given up while it waits: got %v, but it is certain", gone.err)
		}
		g.pass <- nil
		synctest.Wait()
		first.want(t, "the first", nil)
		last.waits(t, "the last")
		g.pass <- nil
		synctest.Wait()
		last.want(t, "the last", nil)
		if n := events(t, log); n != 2 {
			t.Errorf("got %d events, want 2", n)
		}
	})
}

func TestAUnitGivenUpInFlightIsUncertain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		log := journal.New(g)
		ctx, cancel := context.WithCancel(t.Context())
		u := unitOf("b", journal.None)
		first := ask(t.Context(), log, unitOf("x", journal.None))
		leader := ask(ctx, log, unitOf("a", journal.None))
		gone := ask(ctx, log, u)
		g.pass <- nil
		synctest.Wait()
		first.want(t, "the first", nil)
		cancel()
		synctest.Wait()
		gone.want(t, "given up in flight", journal.ErrUncertain)
		gone.want(t, "given up in flight", context.Canceled)
		leader.waits(t, "the leader, whose batch is with the store")
		g.pass <- nil
		synctest.Wait()
		leader.want(t, "the leader", nil)
		again := ask(t.Context(), log, u)
		g.pass <- nil
		synctest.Wait()
		again.want(t, "asked again", nil)
		if !again.res.Duplicate || again.res.Position != 3 {
			t.Errorf("asked again: got %+v, want the first result", again.res)
		}
	})
}

func TestAnEndedContextStopsACommitBeforeItWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		ask(ctx, journal.New(g), unitOf("a", journal.None)).want(t, "commit", context.Canceled)
		if len(g.batches) > 0 {
			t.Errorf("the store was asked %d times", len(g.batches))
		}
	})
}

func TestWhoeverWaitsIsCommittedTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		log := journal.New(g)
		answers := []*answer{ask(t.Context(), log, unitOf("s-0", journal.None))}
		for i := 1; i < 40; i++ {
			answers = append(answers, ask(t.Context(), log, unitOf(journal.Stream(fmt.Sprintf("s-%d", i)), journal.None)))
		}
		g.pass <- nil
		g.pass <- nil
		synctest.Wait()
		for i, a := range answers {
			a.want(t, fmt.Sprintf("unit %d", i), nil)
			if want := journal.Position(i + 1); a.res.Position != want {
				t.Errorf("unit %d is at position %d, want %d: first come, first served", i, a.res.Position, want)
			}
		}
		if fmt.Sprint(g.batches) != "[1 39]" {
			t.Errorf("got batches of %v, want [1 39]", g.batches)
		}
	})
}

func TestBatchesAreBounded(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		what  string
		units int
		data  int
		want  string
	}{
		{"by units", 2500, 0, "[1 1024 1024 451]"},
		{"by bytes", 20, 1 << 20, "[1 7 7 5]"},
		{"by bytes, exactly", 9, 1<<20 - 64, "[1 8]"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newGate()
				log := journal.New(g)
				var answers []*answer
				for i := range tt.units {
					u := unitOf(journal.Stream(fmt.Sprintf("s-%d", i)), journal.None)
					u.Appends[0].Events[0].Data = make([]byte, tt.data)
					a := &answer{}
					answers = append(answers, a)
					go func() {
						a.res, a.err = log.Commit(t.Context(), u)
						a.done = true
					}()
					if i == 0 {
						synctest.Wait()
					}
				}
				synctest.Wait()
				for done := 0; done < tt.units; done += g.batches[len(g.batches)-1] {
					g.pass <- nil
					synctest.Wait()
				}
				for i, a := range answers {
					a.want(t, fmt.Sprintf("unit %d", i), nil)
				}
				if fmt.Sprint(g.batches) != tt.want {
					t.Errorf("got batches of %v, want %s", g.batches, tt.want)
				}
			})
		})
	}
}

func TestTooManyWhoWaitAreTurnedAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const limit = 16384
		g := newGate()
		log := journal.New(g)
		first := ask(t.Context(), log, unitOf("first", journal.None))
		ctx, cancel := context.WithCancel(t.Context())
		var work sync.WaitGroup
		for left := limit; left > 0; left -= min(left, 1000) {
			units := make([]journal.Unit, min(left, 1000))
			for i := range units {
				units[i] = unitOf("many", journal.Any)
			}
			work.Go(func() {
				if _, err := log.CommitMany(ctx, units); err != nil {
					t.Errorf("commit many: %v", err)
				}
			})
		}
		synctest.Wait()
		over := ask(t.Context(), log, unitOf("over", journal.None))
		over.want(t, "one too many", journal.ErrOverloaded)
		cancel()
		work.Wait()
		after := ask(t.Context(), log, unitOf("after", journal.None))
		after.waits(t, "the next, once there is room")
		g.pass <- nil
		g.pass <- nil
		synctest.Wait()
		first.want(t, "the first", nil)
		after.want(t, "the next", nil)
		if n := events(t, log); n != 2 {
			t.Errorf("got %d events, want 2", n)
		}
	})
}

func TestAFailedBatchFailsThoseInItOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		log := journal.New(g)
		u := unitOf("b", journal.None)
		first := ask(t.Context(), log, unitOf("a", journal.None))
		second, third := ask(t.Context(), log, u), ask(t.Context(), log, unitOf("c", journal.None))
		g.pass <- nil
		synctest.Wait()
		late := ask(t.Context(), log, unitOf("d", journal.None))
		g.pass <- fmt.Errorf("%w: the disk is full", journal.ErrUnavailable)
		synctest.Wait()
		late.waits(t, "the late one")
		g.pass <- nil
		synctest.Wait()
		first.want(t, "the first", nil)
		second.want(t, "the second", journal.ErrUnavailable)
		third.want(t, "the third", journal.ErrUnavailable)
		late.want(t, "the late one", nil)
		again := ask(t.Context(), log, u)
		g.pass <- nil
		synctest.Wait()
		again.want(t, "the second, asked again", nil)
		if again.res.Duplicate {
			t.Error("a unit that was not written is taken for a duplicate")
		}
	})
}

func TestAClosedLogAnswersThoseWhoWaitAndRefusesNewcomers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		log := journal.New(g)
		first, second := ask(t.Context(), log, unitOf("a", 0)), ask(t.Context(), log, unitOf("b", 0))
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		ask(t.Context(), log, unitOf("c", 0)).want(t, "a newcomer", journal.ErrClosed)
		g.pass <- nil
		g.pass <- nil
		synctest.Wait()
		first.want(t, "the first", journal.ErrClosed)
		second.want(t, "the second", journal.ErrClosed)
	})
}

// short is a store that answers one unit too few.
type short struct{ journal.Store }

func (s short) Commit(ctx context.Context, units []*journal.Unit) ([]journal.Outcome, error) {
	out, err := s.Store.Commit(ctx, units)
	return out[1:], err
}

func TestAStoreThatForgetsAnAnswerIsABug(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	_, _ = journal.New(short{mem.Open().Store()}).Append(t.Context(), "a", journal.None, journal.EventData{Type: "t"})
}

// TestNobodyIsForgotten lets a thousand callers commit, every third of whom gives up at some moment.
func TestNobodyIsForgotten(t *testing.T) {
	t.Parallel()
	log := mem.Open()
	var work sync.WaitGroup
	var written, unknown atomic.Int64
	for i := range 1000 {
		work.Go(func() {
			for n := range 8 {
				ctx, cancel := context.WithCancel(t.Context())
				if (i+n)%3 == 0 {
					go cancel()
				}
				_, err := log.Commit(ctx, unitOf(journal.Stream(fmt.Sprintf("s-%d", i%50)), journal.Any))
				switch {
				case err == nil:
					written.Add(1)
				case errors.Is(err, journal.ErrUncertain):
					unknown.Add(1)
				case !errors.Is(err, context.Canceled):
					t.Errorf("commit: %v", err)
				}
				cancel()
			}
		})
	}
	work.Wait()
	n, low := int64(events(t, log)), written.Load()
	if n < low || n > low+unknown.Load() {
		t.Errorf("got %d events, %d commits were answered and %d are uncertain", n, low, unknown.Load())
	}
	if _, err := log.Append(t.Context(), "last", journal.None, journal.EventData{Type: "t"}); err != nil {
		t.Error(err)
	}
}
