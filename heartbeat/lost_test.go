// SPDX-License-Identifier: Apache-2.0

// A view of a log that loses commits again and again, and goes on in the same epoch.

package heartbeat

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// lossy is a log, a view of it, and the passports that were minted from it.
type lossy struct {
	*rand.Rand
	t        *testing.T
	view     *View
	clocks   *clocks
	at       time.Duration
	ids      int
	log      []lossyEvent // at the positions 1, 2 and so on
	flight   []lossyPing
	told     int64 // the furthest end that a ping was answered with, since the view knew of a loss
	minted   []lossyPassport
	accepted int
	losses   int
}

type lossyEvent struct {
	id   int
	ends string // a session, or ""
	at   time.Duration
}

type lossyPing struct {
	ping Ping
	head int64 // when it was sent
}

type lossyPassport struct {
	position int64
	session  string
	knows    []lossyEvent
}

// end is where the log ends.
func (l *lossy) end() int64 { return int64(len(l.log)) }

// frame gives the view what an authority has that knows the log as it is now.
func (l *lossy) frame() {
	tail := NewTail(mark(0), 0)
	for i, e := range l.log {
		var changes []Change
		if e.ends != "" {
			changes = []Change{ended(int64(i+1), e.ends)}
		}
		must(l.t, tail.Add(int64(i+1), changes...))
	}
	f, _ := tail.Next(l.view.Through())
	_ = l.view.Apply(f) // a gap is closed by the next one
}

// answer gives the view an answer that was read when the ping was sent, or now.
func (l *lossy) answer(p lossyPing) {
	head := []int64{p.head, l.end()}[l.IntN(2)]
	switch err := l.view.PingAnswered(p.ping, mark(head)); {
	case err == nil:
		l.told = max(l.told, head)
	case errors.Is(err, ErrRewound):
		l.told = 0
	default:
		l.t.Error(err)
	}
}

// lose takes the last commits away. Where the view knew of them, a ping is answered before as many came again.
func (l *lossy) lose() {
	known := max(l.told, l.view.Through().Position)
	l.log = slices.Clone(l.log[:len(l.log)-1-l.IntN(4)])
	l.losses++
	if l.end() >= known {
		return
	}
	l.told = 0
	if err := l.view.PingAnswered(l.view.PingSent(), mark(l.end())); !errors.Is(err, ErrRewound) {
		l.t.Errorf("it ends at %d, and was known up to %d: %v", l.end(), known, err)
	}
}

func (l *lossy) step() {
	l.at += time.Second
	l.clocks.pass(time.Second)
	session := simName("s", l.IntN(3))
	switch n := l.IntN(20); {
	case n < 6:
		l.ids++
		e := lossyEvent{id: l.ids, at: l.at}
		if l.IntN(2) == 0 {
			e.ends = session
		}
		l.log = append(l.log, e)
	case n < 9:
		l.frame()
	case n < 12:
		l.flight = append(l.flight, lossyPing{l.view.PingSent(), l.end()})
	case n < 15 && len(l.flight) > 0:
		i := l.IntN(len(l.flight))
		p := l.flight[i]
		l.flight = slices.Delete(l.flight, i, i+1)
		l.answer(p)
	case n < 18: // one that is minted further on than the view knows is beyond what it can see
		if p := min(l.end(), max(l.told, l.view.Through().Position)); p > 0 {
			l.minted = append(l.minted, lossyPassport{p, session, slices.Clone(l.log)})
		}
	case n == 19 && len(l.log) > 4 && l.IntN(2) == 0:
		l.lose()
	}
}

// check looks for a passport that is accepted although a change which it does not know was acknowledged before the
// moment as of which the view vouches.
func (l *lossy) check() {
	stale := l.view.Staleness()
	for _, p := range l.minted {
		if stale > l.at || l.view.Judge(of(p.position, p.session)) != nil {
			continue
		}
		l.accepted++
		for i, e := range l.log {
			if e.ends == p.session && e.at < l.at-stale && !slices.Contains(p.knows, e) {
				l.t.Errorf("at %v a passport of %d is accepted, stale for %v: a change at %d was acknowledged at %v", l.at,
					p.position, stale, i+1, e.at)
			}
		}
	}
}

func TestPassportsOfLostHistoriesOutliveNoChange(t *testing.T) {
	t.Parallel()
	seeds, accepted, losses := 1000, 0, 0
	if soak() {
		seeds = 100_000
	}
	for seed := range seeds {
		v, c := newTestView(1000)
		must(t, v.Apply(snapshot(0, 0)))
		l := &lossy{Rand: rand.New(rand.NewPCG(uint64(seed), 5)), t: t, view: v, clocks: c}
		for range 80 {
			l.step()
			l.check()
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
		accepted, losses = accepted+l.accepted, losses+l.losses
	}
	t.Logf("%d seeds: %d losses, %d accepted", seeds, losses, accepted)
	if losses < seeds || accepted < 10*seeds {
		t.Error("too few to prove anything")
	}
}
