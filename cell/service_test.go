// SPDX-License-Identifier: Apache-2.0

// Services, their shards and their timers.

package cell_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/cell"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/lease"
	"example.com/vidimus/timer"
)

// service is made of functions.
type service struct {
	name  string
	serve func(ctx context.Context, c *cell.Cell) error
}

func (s service) Name() string { return s.name }

func (s service) Serve(ctx context.Context, c *cell.Cell) error { return s.serve(ctx, c) }

type alarmed struct {
	service
	fire func(ctx context.Context, f timer.Fired) error
}

func (a alarmed) Fire(ctx context.Context, f timer.Fired) error { return a.fire(ctx, f) }

func untilTheEnd(ctx context.Context, _ *cell.Cell) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestTheFirstServiceThatFailsEndsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := mem.Open()
		broken := errors.New("broken")
		ended := false
		n := start(t, log, "a",
			service{"early", func(context.Context, *cell.Cell) error { return nil }},
			service{"patient", func(ctx context.Context, c *cell.Cell) error {
				<-ctx.Done()
				if len(c.Owned()) != 64 {
					t.Error("the shards are gone before the services have ended")
				}
				ended = true
				return nil
			}},
			service{"weak", func(ctx context.Context, _ *cell.Cell) error {
				_ = clock.Sleep(ctx, time.Minute)
				return broken
			}},
		)
		err := <-n.done
		if !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "weak: ") || !ended {
			t.Errorf("got %v, the others ended in order %t", err, ended)
		}
		if len(n.Owned()) != 0 {
			t.Error("shards are owned after the end")
		}
		if err := n.Run(t.Context()); err == nil {
			t.Error("ran twice")
		}
		again := start(t, log, "a") // nothing of the first is in the way
		pass(t, time.Second)
		if len(again.Owned()) != 64 {
			t.Errorf("owns %d shards after a restart in order", len(again.Owned()))
		}
		again.end(t)
	})
}

func TestAServiceThatDoesNotEndIsLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := mem.Open()
		fences, goOn := make(chan journal.Fence, 1), make(chan struct{})
		n := start(t, log, "a", service{"stubborn", func(ctx context.Context, c *cell.Cell) error {
			pass(t, 5*time.Second)
			fence, err := c.Fence("x")
			fences <- fence
			<-goOn
			return err
		}})
		pass(t, 10*time.Second)
		began := clock.Now()
		n.stop()
		err := <-n.done
		if took := clock.Since(began); took > cell.DefaultDrain+time.Second {
			t.Errorf("ended after %v", took)
		}
		if err == nil || !strings.Contains(err.Error(), "stubborn did not end") {
			t.Errorf("got %v", err)
		}
		_, err = log.Commit(t.Context(), journal.Unit{Fences: []journal.Fence{<-fences}})
		if !errors.Is(err, journal.ErrFenced) {
			t.Errorf("got %v, want fenced off", err)
		}
		close(goOn)
	})
}

func TestAClosedJournalEndsTheNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, mem.Open(), "a", service{"patient", untilTheEnd})
		pass(t, time.Minute)
		if err := n.Log().Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-n.done; !errors.Is(err, journal.ErrClosed) {
			t.Errorf("got %v, want closed", err)
		}
	})
}

func TestServicesHaveNamesOfTheirOwn(t *testing.T) {
	t.Parallel()
	for _, names := range [][]string{{""}, {"a/b"}, {"a", "a"}} {
		c, err := cell.Open(t.Context(), cell.Config{Log: mem.Open()})
		if err != nil {
			t.Fatal(err)
		}
		var services []cell.Service
		for _, name := range names {
			services = append(services, service{name, untilTheEnd})
		}
		if err := c.Run(t.Context(), services...); !errors.Is(err, journal.ErrInvalid) {
			t.Errorf("%q: got %v, want invalid", names, err)
		}
	}
}

func TestATimerFiresWhereItsSubjectIsOwned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := mem.Open()
		var mu sync.Mutex
		fired := map[string]string{}
		var nodes []*node
		for i := range 3 {
			var n *node
			n = start(t, log, fmt.Sprint("n", i), alarmed{
				service{"flow", untilTheEnd},
				func(_ context.Context, f timer.Fired) error {
					mu.Lock()
					defer mu.Unlock()
					if fired[f.Key] != "" {
						t.Errorf("%s fired twice", f.Key)
					}
					fired[f.Key] = n.Node()
					if !slices.Contains(n.Owned(), n.Shard(timer.Route(f.Key))) {
						t.Errorf("%s fired on %s, which does not own it", f.Key, n.Node())
					}
					return nil
				},
			})
			nodes = append(nodes, n)
		}
		pass(t, 5*time.Second)
		for i := range 200 {
			set := timer.Set(fmt.Sprintf("flow/order-%d", i), clock.Now().Add(time.Duration(i)*time.Second/10), nil)
			if _, err := log.Commit(t.Context(), journal.Unit{Records: []journal.RecordWrite{set}}); err != nil {
				t.Fatal(err)
			}
		}
		stray := timer.Set("nobody/x", clock.Now(), nil)
		if _, err := log.Commit(t.Context(), journal.Unit{Records: []journal.RecordWrite{stray}}); err != nil {
			t.Fatal(err)
		}
		pass(t, 10*time.Second)
		nodes[0].kill()
		pass(t, 30*time.Second)
		if len(fired) != 200 {
			t.Errorf("%d timers fired, want 200", len(fired))
		}
		p, err := nodes[1].Timers().Get(t.Context(), "nobody/x")
		if err != nil || !strings.Contains(p.Problem, `no service "nobody"`) {
			t.Errorf("got %+v, %v", p, err)
		}
		nodes[1].end(t)
		nodes[2].end(t)
	})
}

// A cell under random joins, departures, deaths and outages: no shard is worked in by two nodes that both live, no
// write of an older owner comes after one of a newer, and in the end all shards are owned.
func TestShardsAreWorkedInByOneAtATime(t *testing.T) {
	for seed := range 4 {
		synctest.Test(t, func(t *testing.T) {
			d := dice(seed)
			log := mem.Open()
			w := &watch{t: t, busy: map[int]string{}}
			nodes := []*node{start(t, log, "n0", service{"work", w.serve})}
			for i := 1; i < 40; i++ {
				pass(t, time.Duration(d.roll(8000))*time.Millisecond)
				k := d.roll(max(1, len(nodes)))
				switch d.roll(6) {
				case 0, 1, 2:
					if len(nodes) < 5 {
						nodes = append(nodes, start(t, log, fmt.Sprint("n", i), service{"work", w.serve}))
					}
				case 3:
					if len(nodes) > 1 {
						nodes[k].end(t)
						nodes = slices.Delete(nodes, k, k+1)
					}
				case 4:
					if len(nodes) > 1 {
						w.dead(nodes[k])
						nodes = slices.Delete(nodes, k, k+1)
					}
				case 5:
					nodes[k].way.cut(true)
					pass(t, time.Duration(d.roll(20000))*time.Millisecond)
					nodes[k].way.cut(false)
				}
			}
			pass(t, 3*lease.DefaultTTL)
			owned := 0
			for _, n := range nodes {
				owned += len(n.Owned())
			}
			if owned != 64 || w.working() != 64 {
				t.Errorf("seed %d: %d shards are owned, %d worked in", seed, owned, w.working())
			}
			for _, n := range nodes {
				n.end(t)
			}
			checkOrder(t, log, seed)
		})
	}
}

// watch sees who works in which shard.
type watch struct {
	t    *testing.T
	mu   sync.Mutex
	busy map[int]string
}

func (w *watch) serve(ctx context.Context, c *cell.Cell) error {
	return c.EachShard(ctx, func(ctx context.Context, number int) error {
		w.mu.Lock()
		if other := w.busy[number]; other != "" {
			w.t.Errorf("%s and %s work in shard %d", c.Node(), other, number)
		}
		w.busy[number] = c.Node()
		w.mu.Unlock()
		defer func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			delete(w.busy, number)
		}()
		key := keyIn(c, number)
		for ctx.Err() == nil {
			fence, err := c.Fence(key)
			if err == nil {
				_, _ = c.Log().Commit(ctx, journal.Unit{
					Fences: []journal.Fence{fence},
					Appends: []journal.Append{{
						Stream: journal.Stream(fmt.Sprint("shard-", number)), Expect: journal.Any,
						Events: []journal.EventData{{
							ID: journal.NewID(), Type: "worked", Data: fmt.Appendf(nil, "%d", fence.Epoch),
						}},
					}},
				})
			}
			_ = clock.Sleep(ctx, time.Second)
		}
		return nil
	})
}

// keyIn finds a key of a shard.
func keyIn(c *cell.Cell, number int) string {
	for i := 0; ; i++ {
		if key := fmt.Sprint(i); c.Shard(key) == number {
			return key
		}
	}
}

func (w *watch) dead(n *node) { n.kill() }

func (w *watch) working() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.busy)
}

func checkOrder(t *testing.T, log *journal.Log, seed int) {
	t.Helper()
	last := map[journal.Stream]int{}
	for e, err := range log.Read(t.Context(), journal.ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		var epoch int
		if _, err := fmt.Sscan(string(e.Data), &epoch); err != nil {
			t.Fatal(err)
		}
		if epoch < last[e.Stream] {
			t.Fatalf("seed %d: %s: epoch %d after %d", seed, e.Stream, epoch, last[e.Stream])
		}
		last[e.Stream] = epoch
	}
	if len(last) != 64 {
		t.Errorf("seed %d: only %d shards were worked in", seed, len(last))
	}
}

// dice are the chance of one schedule, by its seed (splitmix64).
type dice uint64

func (d *dice) roll(sides int) int {
	*d += 0x9e3779b97f4a7c15
	z := uint64(*d)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return int((z ^ z>>31) % uint64(sides))
}
