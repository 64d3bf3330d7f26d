// SPDX-License-Identifier: Apache-2.0

// What a view makes of frames, pings, clocks, and of those who ask while it is fed.

package heartbeat

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/passport"
)

// clocks are moved by hand.
type clocks struct{ mono, wall time.Duration }

func (c *clocks) pass(d time.Duration) { c.mono, c.wall = c.mono+d, c.wall+d }

func newTestView(limit int) (*View, *clocks) {
	c := &clocks{}
	return NewView(&ViewConfig{Limit: limit, Clock: func() (time.Duration, time.Duration) { return c.mono, c.wall }}), c
}

func frame(after, through int64, changes ...Change) Frame {
	return Frame{Log: "c3", Epoch: 7, After: after, Through: through, Changes: changes}
}

func snapshot(after, through int64, changes ...Change) Frame {
	f := frame(after, through, changes...)
	f.Snapshot = true
	return f
}

func mark(position int64) passport.Mark {
	return passport.Mark{Log: "c3", Epoch: 7, Position: position}
}

func ended(position int64, session string) Change {
	return Change{Position: position, Scope: Session, Key: session, Effect: Revoked}
}

// of is a passport of a session.
func of(position int64, session string) *passport.Claims {
	return &passport.Claims{Mark: mark(position), Session: session, Subject: "ann", Txn: "x", KeyID: "k"}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestFramesAreAppliedWhereTheyJoin(t *testing.T) {
	t.Parallel()
	other := frame(0, 9)
	other.Log = "c4"
	otherSnapshot := snapshot(3, 9)
	otherSnapshot.Log = "c4"
	renewed, deposed := snapshot(10, 12), snapshot(0, 99)
	tooFar := snapshot(math.MaxInt64, math.MaxInt64, ended(11, "s")) // behind it positions overflow
	renewed.Epoch, deposed.Epoch = 8, 6
	for name, c := range map[string]struct {
		frame Frame
		want  error
		at    int64
		log   string
		epoch int64
		base  int64
	}{
		"the next":                       {frame(10, 12, ended(11, "s")), nil, 12, "c3", 7, 2},
		"one that overlaps":              {frame(5, 12), nil, 12, "c3", 7, 2},
		"one that is known":              {frame(3, 8, ended(5, "s")), nil, 10, "c3", 7, 2},
		"a sign of life":                 {frame(10, 10), nil, 10, "c3", 7, 2},
		"one with a gap before it":       {frame(11, 12), ErrGap, 10, "c3", 7, 2},
		"a snapshot that joins":          {snapshot(9, 12), nil, 12, "c3", 7, 2},
		"a snapshot behind a gap":        {snapshot(15, 18), nil, 18, "c3", 7, 15},
		"one of another log":             {other, ErrGap, 10, "c3", 7, 2},
		"a snapshot of another log":      {otherSnapshot, nil, 9, "c4", 7, 3},
		"a snapshot of the next epoch":   {renewed, nil, 12, "c3", 8, 10},
		"a snapshot of an earlier epoch": {deposed, ErrRewound, 10, "c3", 7, 2},
		"one that goes backwards":        {frame(12, 11), ErrInvalid, 10, "c3", 7, 2},
		"one that goes too far":          {tooFar, ErrInvalid, 10, "c3", 7, 2},
		"one at the last position":       {snapshot(1<<53-1, 1<<53-1), nil, 1<<53 - 1, "c3", 7, 1<<53 - 1},
		"one of no log":                  {Frame{Through: 11}, ErrInvalid, 10, "c3", 7, 2},
		"changes out of order":           {frame(10, 14, ended(13, "s"), ended(12, "s")), ErrInvalid, 10, "c3", 7, 2},
		"a change before its beginning":  {frame(10, 14, ended(10, "s")), ErrInvalid, 10, "c3", 7, 2},
		"a change behind its end":        {frame(10, 14, ended(15, "s")), ErrInvalid, 10, "c3", 7, 2},
		"a change without a key":         {frame(10, 14, ended(11, "")), ErrInvalid, 10, "c3", 7, 2},
		"a key that is too long":         {frame(10, 14, ended(11, strings.Repeat("s", 256))), ErrInvalid, 10, "c3", 7, 2},
		"too many changes":               {frame(10, 5000, make([]Change, MaxChanges+1)...), ErrInvalid, 10, "c3", 7, 2},
	} {
		v, _ := newTestView(100)
		must(t, v.Apply(snapshot(2, 10)))
		if err := v.Apply(c.frame); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		want := passport.Mark{Log: c.log, Epoch: c.epoch, Position: c.at}
		if got := v.Through(); got != want || v.mu.floors.base != c.base {
			t.Errorf("%s: at %v with base %d, want %v and %d", name, got, v.mu.floors.base, want, c.base)
		}
	}
}

func TestPassportsBelowTheBaseAreSuperseded(t *testing.T) {
	t.Parallel()
	v, _ := newTestView(100)
	before := v.Generation()
	if err := v.Judge(of(3, "s")); err != nil {
		t.Errorf("a view that knows nothing judges %v", err)
	}
	must(t, v.Apply(snapshot(5, 10, ended(7, "s"))))
	if v.Generation() == before {
		t.Error("what was judged before the first frame stands")
	}
	for position, want := range map[int64]error{
		4: passport.ErrRevoked, 5: passport.ErrRevoked, 7: nil, 99: nil,
	} {
		if err := v.Judge(of(position, "s")); !errors.Is(err, want) {
			t.Errorf("position %d is judged %v, want %v", position, err, want)
		}
	}
	if err := v.Judge(of(4, "other")); !errors.Is(err, passport.ErrSuperseded) {
		t.Errorf("below the base: %v", err)
	}
	foreign := of(9, "s")
	foreign.Epoch = 8
	if err := v.Judge(foreign); !errors.Is(err, passport.ErrForeign) {
		t.Errorf("another epoch: %v", err)
	}
}

func TestStalenessCountsFromThePingWhoseHeadIsReached(t *testing.T) {
	t.Parallel()
	v, c := newTestView(100)
	want := func(step string, want time.Duration) {
		t.Helper()
		if got := v.Staleness(); got != want {
			t.Errorf("%s: staleness %v, want %v", step, got, want)
		}
	}
	want("at first", passport.Unknown)
	first := v.PingSent()
	c.pass(time.Second)
	must(t, v.PingAnswered(first, mark(10)))
	want("answered, before any frame", passport.Unknown)
	must(t, v.Apply(snapshot(0, 9)))
	want("before the head is reached", passport.Unknown)
	must(t, v.Apply(frame(9, 10)))
	want("once it is", time.Second)
	second := v.PingSent()
	c.pass(time.Second)
	third := v.PingSent()
	c.pass(time.Second)
	must(t, v.PingAnswered(third, mark(12)))
	must(t, v.PingAnswered(second, mark(11)))
	want("answers that wait", 3*time.Second)
	must(t, v.Apply(frame(10, 11)))
	want("the earlier one reached", 2*time.Second)
	if err := v.Apply(frame(13, 14)); !errors.Is(err, ErrGap) {
		t.Fatal(err)
	}
	want("a gap", passport.Unknown)
	must(t, v.Apply(frame(11, 14)))
	want("filled", time.Second)
	must(t, v.PingAnswered(first, mark(11)))
	want("an old answer", time.Second)
	c.pass(time.Hour)
	want("an hour without a ping", time.Hour+time.Second)
	renewed := snapshot(14, 14)
	renewed.Epoch++
	must(t, v.Apply(renewed))
	want("another epoch", passport.Unknown)
}

func TestAnswersThatCannotBeTrueAreRefused(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]struct {
		head Head
		want error
	}{
		"a log that ends before what was applied": {mark(9), ErrRewound},
		"an earlier epoch":                        {Head{Log: "c3", Epoch: 6, Position: 99}, ErrRewound},
		"a later epoch":                           {Head{Log: "c3", Epoch: 8, Position: 99}, ErrGap},
		"another log":                             {Head{Log: "c4", Epoch: 7, Position: 99}, ErrGap},
		"no place":                                {Head{}, ErrInvalid},
	} {
		v, _ := newTestView(100)
		must(t, v.Apply(snapshot(0, 10)))
		if err := v.PingAnswered(v.PingSent(), answer.head); !errors.Is(err, answer.want) {
			t.Errorf("%s: %v, want %v", name, err, answer.want)
		}
		if v.Staleness() != passport.Unknown {
			t.Errorf("%s: staleness is %v", name, v.Staleness())
		}
	}
}

func TestHeadBelowWhatWasAppliedWhileThePingWasUnderWayIsTrue(t *testing.T) {
	t.Parallel()
	v, c := newTestView(100)
	must(t, v.Apply(snapshot(0, 10)))
	p := v.PingSent()
	must(t, v.Apply(frame(10, 20)))
	c.pass(time.Second)
	must(t, v.PingAnswered(p, mark(15)))
	if v.Staleness() != time.Second {
		t.Errorf("staleness is %v", v.Staleness())
	}
}

func TestLogThatLostWhatWasAppliedIsNotVouchedFor(t *testing.T) {
	t.Parallel()
	v, _ := newTestView(100)
	must(t, v.Apply(snapshot(0, 10, ended(8, "gone"))))
	must(t, v.PingAnswered(v.PingSent(), mark(10)))
	behind := func(head int64) {
		t.Helper()
		if err := v.PingAnswered(v.PingSent(), mark(head)); !errors.Is(err, ErrRewound) || v.Staleness() != passport.Unknown {
			t.Errorf("a log that ends at %d: %v, staleness %v", head, err, v.Staleness())
		}
	}
	behind(6)
	if err := v.Apply(frame(10, 11)); !errors.Is(err, ErrGap) || v.Through() != mark(0) {
		t.Errorf("a frame behind what was lost: %v, at %v", err, v.Through())
	}
	must(t, v.Apply(frame(0, 7, ended(7, "s"))))
	behind(7)
	if v.Through() != mark(7) {
		t.Errorf("applied anew is %v", v.Through())
	}
	if err := v.Judge(of(7, "gone")); !errors.Is(err, passport.ErrRevoked) {
		t.Errorf("what was acknowledged, and lost, is judged %v", err)
	}
	behind(10) // as long as before, and another one
	must(t, v.PingAnswered(v.PingSent(), mark(12)))
	must(t, v.Apply(frame(7, 12)))
	if v.Staleness() != 0 {
		t.Errorf("staleness is %v when the log has grown past what it lost", v.Staleness())
	}
	for position, want := range map[int64]error{10: passport.ErrSuperseded, 11: nil} {
		if err := v.Judge(of(position, "s")); !errors.Is(err, want) {
			t.Errorf("a passport of %d is judged %v, want %v", position, err, want)
		}
	}
}

func TestLogThatEndsBeforeWhatAnotherPingWasToldIsNotVouchedFor(t *testing.T) {
	t.Parallel()
	v, _ := newTestView(100)
	must(t, v.Apply(snapshot(0, 10)))
	meanwhile := v.PingSent()
	must(t, v.PingAnswered(v.PingSent(), mark(14))) // its frames never come
	must(t, v.PingAnswered(meanwhile, mark(12)))
	if err := v.PingAnswered(v.PingSent(), mark(12)); !errors.Is(err, ErrRewound) {
		t.Errorf("it ends at 12, and ended at 14: %v", err)
	}
	must(t, v.Apply(frame(0, 15, ended(11, "s")))) // of the new history
	must(t, v.PingAnswered(v.PingSent(), mark(15)))
	if err := v.Judge(of(13, "s")); v.Staleness() != 0 || !errors.Is(err, passport.ErrSuperseded) {
		t.Errorf("a passport of what was lost is judged %v, staleness %v", err, v.Staleness())
	}
}

func TestPassportsOfALostHistoryAreRefusedAsFarAsItIsKnownToHaveReached(t *testing.T) {
	t.Parallel()
	for name, waits := range map[string]bool{
		"a ping of before waits for frames of it": true, "a ping of before is answered from it late": false,
	} {
		v, _ := newTestView(100)
		must(t, v.Apply(snapshot(0, 10)))
		before := v.PingSent()
		if waits {
			must(t, v.PingAnswered(before, mark(14)))
		}
		refused := func(p Ping, head int64) {
			t.Helper()
			if err := v.PingAnswered(p, mark(head)); !errors.Is(err, ErrRewound) || v.Staleness() != passport.Unknown {
				t.Errorf("%s: a log that ends at %d: %v, staleness %v", name, head, err, v.Staleness())
			}
		}
		refused(v.PingSent(), 6)
		if !waits {
			refused(before, 14)
		}
		must(t, v.Apply(frame(0, 12, ended(11, "s")))) // of the new history
		refused(v.PingSent(), 12)
		must(t, v.Apply(frame(12, 15)))
		must(t, v.PingAnswered(v.PingSent(), mark(15)))
		if err := v.Judge(of(13, "s")); v.Staleness() != 0 || !errors.Is(err, passport.ErrSuperseded) {
			t.Errorf("%s: a passport of what was lost is judged %v, staleness %v", name, err, v.Staleness())
		}
	}
}

func TestClocksThatJumpOrStandStillNeverMakeFresher(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		move clocks
		want time.Duration
	}{
		"both pass":                   {clocks{time.Second, time.Second}, time.Second},
		"the machine is suspended":    {clocks{time.Second, time.Hour}, time.Hour},
		"the wall clock jumps ahead":  {clocks{time.Second, time.Second + time.Hour}, time.Second + time.Hour},
		"the wall clock is set back":  {clocks{time.Second, time.Second - time.Hour}, time.Second},
		"both go back, as none does":  {clocks{-time.Second, -time.Second}, 0},
		"the wall clock stands still": {clocks{time.Second, 0}, time.Second},
		// The one that makes fresher, see moment.since: of two hours' sleep the hour that the clock was set back is missing.
		"set back, then suspended": {clocks{time.Second, 2*time.Hour - time.Hour}, time.Hour},
	} {
		v, clock := newTestView(100)
		must(t, v.Apply(snapshot(0, 10)))
		must(t, v.PingAnswered(v.PingSent(), mark(10)))
		clock.mono, clock.wall = clock.mono+c.move.mono, clock.wall+c.move.wall
		if got := v.Staleness(); got != c.want {
			t.Errorf("%s: staleness %v, want %v", name, got, c.want)
		}
		must(t, v.PingAnswered(v.PingSent(), mark(10)))
		if got := v.Staleness(); got != 0 && c.move.mono > 0 {
			t.Errorf("%s: staleness %v after the next ping", name, got)
		}
	}
}

func TestFeedThatLagsForLongIsStillDated(t *testing.T) {
	t.Parallel()
	v, c := newTestView(100)
	must(t, v.Apply(snapshot(0, 1)))
	const lag = 3 * maxPending // pings
	for i := range int64(10 * lag) {
		must(t, v.PingAnswered(v.PingSent(), mark(i+1)))
		c.pass(time.Second)
		if len(v.mu.pending) > maxPending {
			t.Fatalf("%d answers are kept", len(v.mu.pending))
		}
		if i > lag {
			must(t, v.Apply(frame(i-lag, i-lag+1)))
		}
		if s := v.Staleness(); i > 3*lag && s > 3*lag*time.Second {
			t.Fatalf("after %d pings the staleness is %v", i, s)
		}
	}
}

func TestGenerationMovesWithVerdictsAlone(t *testing.T) {
	t.Parallel()
	v, _ := newTestView(100)
	steps := []struct {
		name  string
		do    func() error
		moves bool
	}{
		{"the first snapshot", func() error { return v.Apply(snapshot(3, 10)) }, true},
		{"a sign of life", func() error { return v.Apply(frame(10, 12)) }, false},
		{"a ping", func() error { return v.PingAnswered(v.PingSent(), mark(12)) }, false},
		{"a change", func() error { return v.Apply(frame(12, 14, ended(13, "s"))) }, true},
		{"the same once more", func() error { return v.Apply(frame(12, 14, ended(13, "s"))) }, false},
		{"a base", func() error { return v.Apply(snapshot(20, 20)) }, true},
	}
	for _, s := range steps {
		before := v.Generation()
		must(t, s.do())
		if moved := v.Generation() != before; moved != s.moves {
			t.Errorf("%s: moved %v", s.name, moved)
		}
	}
}

func TestWaitReturnsWhenThePlaceIsReached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, _ := newTestView(100)
		results := make(chan error, 1)
		wait := func(m passport.Mark) { go func() { results <- v.Wait(t.Context(), m) }() }
		wait(mark(12))
		synctest.Wait()
		must(t, v.Apply(snapshot(0, 11)))
		synctest.Wait()
		if len(results) > 0 {
			t.Fatalf("returned %v before the place was reached", <-results)
		}
		must(t, v.Apply(frame(11, 12)))
		must(t, <-results)
		must(t, v.Wait(t.Context(), mark(3)))
		wait(mark(13))
		synctest.Wait()
		renewed := snapshot(12, 12)
		renewed.Epoch++
		must(t, v.Apply(renewed))
		if err := <-results; !errors.Is(err, passport.ErrForeign) {
			t.Errorf("another epoch began: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		next := v.Through()
		next.Position++
		if err := v.Wait(ctx, next); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
}

// TestVerdictIsAsFreshAsTheStalenessSaid feeds a view while others ask: whoever reads that the view is dated by the
// ping of a round must find that round's change.
func TestVerdictIsAsFreshAsTheStalenessSaid(t *testing.T) {
	t.Parallel()
	var now struct {
		sync.Mutex
		round int64
	}
	v := NewView(&ViewConfig{Clock: func() (time.Duration, time.Duration) {
		now.Lock()
		defer now.Unlock()
		return time.Duration(now.round), time.Duration(now.round)
	}})
	must(t, v.Apply(snapshot(0, 1)))
	const rounds = 3000
	var askers sync.WaitGroup
	for range 2 {
		askers.Go(func() {
			for round := int64(0); round < rounds; {
				now.Lock()
				began := now.round
				now.Unlock()
				if stale := v.Staleness(); stale == 0 && began > 1 { // dated in this round or a later one
					if err := v.Judge(of(began-1, "s")); err == nil {
						t.Errorf("fresh as of round %d, and its change is unknown", began)
						return
					}
				}
				round = began
			}
		})
	}
	for round := int64(2); round <= rounds; round++ {
		now.Lock()
		now.round = round
		now.Unlock()
		p := v.PingSent()
		must(t, v.PingAnswered(p, mark(round)))
		must(t, v.Apply(frame(round-1, round, ended(round, "s"))))
	}
	askers.Wait()
}

func TestAskingAViewAllocatesNothing(t *testing.T) {
	v := filledView(t, 1000)
	c := of(1<<20, "session-7")
	if n := testing.AllocsPerRun(100, func() {
		_ = v.Staleness()
		_ = v.Generation()
		_ = v.Judge(c)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
