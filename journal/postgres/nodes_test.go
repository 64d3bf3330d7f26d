// SPDX-License-Identifier: Apache-2.0

// Several nodes on one journal, and one that is replaced under their feet.

//go:build unix

package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"example.com/vidimus/internal/pgtest"
	"example.com/vidimus/journal"
)

func event(kind string) journal.EventData { return journal.EventData{ID: journal.NewID(), Type: kind} }

func appendOne(t testing.TB, log *journal.Log, s journal.Stream, e journal.Expect) journal.Result {
	t.Helper()
	res, err := log.Append(t.Context(), s, e, event("test.happened"))
	if err != nil {
		t.Fatalf("append to %s: %v", s, err)
	}
	return res
}

func storeOf(t testing.TB, log *journal.Log) *store {
	t.Helper()
	s, ok := log.Store().(*store)
	if !ok {
		t.Fatal("this is no store of this package")
	}
	return s
}

func sound(t testing.TB, log *journal.Log) {
	t.Helper()
	breaches, err := log.Verify(t.Context(), nil)
	if err != nil || len(breaches) > 0 {
		t.Errorf("verify: %q, %v", breaches, err)
	}
}

func TestNodesThatShareStreamsLeaveOneCleanOrder(t *testing.T) {
	t.Parallel()
	url := pgtest.Open(t)
	nodes := []*journal.Log{openLog(t, Config{URL: url}), openLog(t, Config{URL: url})}
	const writers, each = 8, 40
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	orders := make([][]journal.ID, len(nodes))
	var readers, group sync.WaitGroup
	for i, log := range nodes {
		readers.Go(func() {
			for f, err := range log.Follow(ctx, journal.FollowOptions{Pulse: time.Hour}) {
				if err != nil {
					t.Errorf("follow: %v", err)
					return
				}
				for k := range f.Events {
					orders[i] = append(orders[i], f.Events[k].ID)
				}
				if len(orders[i]) == writers*each*len(nodes) {
					return
				}
			}
		})
	}
	for n, log := range nodes {
		for w := range writers {
			group.Go(func() {
				for i := range each {
					u := journal.Unit{
						Appends: []journal.Append{
							{
								Stream: journal.Stream(fmt.Sprintf("hot-%d", i%3)), Expect: journal.Any,
								Events: []journal.EventData{event("test.hot")},
							},
							{Stream: journal.Stream(fmt.Sprintf("own-%d-%d", n, w)), Expect: journal.Any},
						},
						Records: []journal.RecordWrite{{Kind: "count", Key: "all", Expect: journal.Any}},
					}
					if _, err := log.Commit(ctx, u); err != nil {
						t.Errorf("commit: %v", err)
						return
					}
				}
			})
		}
	}
	group.Wait()
	readers.Wait()
	if !slices.Equal(orders[0], orders[1]) {
		t.Error("the nodes' followers saw different orders")
	}
	r, err := nodes[0].Record(ctx, "count", "all")
	if want := journal.Version(writers * each * len(nodes)); err != nil || r.Version != want {
		t.Errorf("record: got version %d, %v; want %d", r.Version, err, want)
	}
	sound(t, nodes[0])
}

// TestABusyNodeDoesNotStarveAnother lets one node lose every race, until it plans under the lock.
func TestABusyNodeDoesNotStarveAnother(t *testing.T) {
	t.Parallel()
	url := pgtest.Open(t)
	log, other := openLog(t, Config{URL: url}), openLog(t, Config{URL: url})
	appendOne(t, log, "hot-1", journal.None)
	s := storeOf(t, log)
	units := []*journal.Unit{{Appends: []journal.Append{{
		Stream: "hot-1", Expect: journal.Any, Events: []journal.EventData{event("test.slow")},
	}}}}
	if err := units[0].Validate(); err != nil {
		t.Fatal(err)
	}
	w := &s.writer
	w.mu.Lock()
	defer w.mu.Unlock()
	for n := range attempts {
		appendOne(t, other, "hot-1", journal.Any)
		base := w.base
		w.base = journal.Position(n) + 1 // as if it had not heard of the others
		outcomes, err := s.believing(t.Context(), units)
		if err != nil || outcomes != nil {
			t.Fatalf("attempt %d: got %v, %v; want it to be stale", n, outcomes, err)
		}
		if w.base <= base {
			t.Fatalf("attempt %d learned nothing: it knows up to %d", n, w.base)
		}
	}
	outcomes, err := s.locked(t.Context(), units)
	if err != nil || len(outcomes) != 1 || outcomes[0].Err != nil {
		t.Fatalf("under the lock: got %+v, %v", outcomes, err)
	}
	if v := outcomes[0].Result.Versions[0]; v != attempts+2 {
		t.Errorf("appended as version %d, want %d", v, attempts+2)
	}
	if status := w.conn.TxStatus(); status != 'I' {
		t.Errorf("the transaction was left open: %c", status)
	}
}

func TestANodeThatHeardOfNothingForLongCatchesUp(t *testing.T) {
	t.Parallel()
	url := pgtest.Open(t)
	log, other := openLog(t, Config{URL: url}), openLog(t, Config{URL: url})
	appendOne(t, log, "order-1", journal.None)
	appendOne(t, log, "order-2", journal.None)
	for range 11 {
		u := journal.Unit{Appends: []journal.Append{
			{Stream: "order-2", Expect: journal.Any}, {Stream: "new-1", Expect: journal.Any},
		}}
		for range journal.MaxEvents / 2 {
			u.Appends[0].Events = append(u.Appends[0].Events, event("test.many"))
			u.Appends[1].Events = append(u.Appends[1].Events, event("test.many"))
		}
		if _, err := other.Commit(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	if v := appendOne(t, log, "order-1", journal.Exactly(1)).Versions[0]; v != 2 {
		t.Errorf("order-1 is at version %d, want 2", v)
	}
	_, err := log.Append(t.Context(), "order-2", journal.Exactly(1), event("test.late"))
	var conflict *journal.ConflictError
	if !errors.As(err, &conflict) || conflict.Actual != 5501 {
		t.Errorf("append to order-2: got %v, want a conflict at version 5501", err)
	}
	sound(t, log)
}

func TestMemoryIsDroppedWhenItIsFull(t *testing.T) {
	t.Parallel()
	url := pgtest.Open(t)
	log, other := openLog(t, Config{URL: url}), openLog(t, Config{URL: url})
	storeOf(t, log).writer.limit = 10
	for round := range 3 {
		for i := range 25 {
			s := journal.Stream(fmt.Sprintf("order-%d", i))
			expect := journal.Exactly(journal.Version(2 * round))
			e := event("test.again")
			first, err := log.Append(t.Context(), s, expect, e)
			if err != nil {
				t.Fatal(err)
			}
			appendOne(t, other, s, journal.Exactly(journal.Version(2*round+1)))
			again, err := log.Append(t.Context(), s, expect, e)
			if err != nil || !again.Duplicate || again.Position != first.Position {
				t.Fatalf("append again: got %+v, %v; want the duplicate of %+v", again, err, first)
			}
		}
	}
	sound(t, log)
}

func TestNodesThatOpenTogetherMakeOneJournal(t *testing.T) {
	t.Parallel()
	url := pgtest.Open(t)
	heads := make([]journal.Checkpoint, 8)
	var group sync.WaitGroup
	for i := range heads {
		group.Go(func() {
			log, err := Open(t.Context(), Config{URL: url})
			if err != nil {
				t.Errorf("open: %v", err)
				return
			}
			defer log.Close()
			if heads[i], err = log.Head(t.Context()); err != nil {
				t.Errorf("head: %v", err)
			}
		})
	}
	group.Wait()
	for _, h := range heads {
		if h != heads[0] || h.Log == "" {
			t.Errorf("got heads %v, want the same for all", heads)
			break
		}
	}
}

func TestASecondSchemaIsAnotherJournal(t *testing.T) {
	t.Parallel()
	url := pgtest.Open(t)
	a, b := openLog(t, Config{URL: url, Schema: "select"}), openLog(t, Config{URL: url, Schema: "user"})
	appendOne(t, a, "order-1", journal.None)
	if p := appendOne(t, b, "order-1", journal.None).Position; p != 1 {
		t.Errorf("the first position is %d, want 1", p)
	}
	sound(t, a)
	sound(t, b)
}

func TestARenewedOrReplacedJournalRefusesNodesOfBefore(t *testing.T) {
	t.Parallel()
	url := pgtest.Open(t)
	log, other := openLog(t, Config{URL: url}), openLog(t, Config{URL: url})
	appendOne(t, log, "order-1", journal.None)
	if _, err := other.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	refused := func(log *journal.Log) {
		t.Helper()
		_, err := log.Append(t.Context(), "order-1", journal.Any, event("test.late"))
		if !errors.Is(err, journal.ErrDiverged) {
			t.Errorf("append: got %v, want ErrDiverged", err)
		}
	}
	refused(log)
	appendOne(t, other, "order-1", journal.Exactly(1))

	c := connect(t, url)
	exec(t, c, "select setval('vidimus.positions', 1)") // as after a restore that nobody renewed
	refused(other)
	exec(t, c, "drop schema vidimus cascade")
	_, err := other.Append(t.Context(), "a-1", journal.Any, event("test.late"))
	if !errors.Is(err, journal.ErrUnavailable) {
		t.Errorf("append without a schema: got %v, want ErrUnavailable", err)
	}
	openLog(t, Config{URL: url})
	refused(other)
	if _, err := other.Head(t.Context()); !errors.Is(err, journal.ErrUnavailable) {
		t.Errorf("head of another log: got %v, want ErrUnavailable", err)
	}
}
