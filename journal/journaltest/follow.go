// SPDX-License-Identifier: Apache-2.0

// Cases about following the journal: nothing is skipped, nothing comes twice, and news arrive at once.

package journaltest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"example.com/vidimus/journal"
)

func followCases() []testCase {
	return []testCase{
		{name: "a follower sees what was, then what comes, without polling", run: followFromStart},
		{name: "news through another node arrive without polling", needs: needsSecond, run: followSecondNode},
		{name: "a follower begins behind its checkpoint", run: followFromCheckpoint},
		{name: "checkpoints advance over what the filter leaves out", run: followFiltered},
		{name: "frames are bounded and tell when they have caught up", run: followFrames},
		{name: "a waiting follower gets an empty frame every pulse", run: followPulse},
		{name: "a slow follower slows nobody and misses nothing", run: followSlowly},
		{name: "a follower ends with its context, and when the caller breaks", run: followEnds},
		{name: "followers beside many writers see every event once, in one order", run: followWriters},
		{name: "a follower ends when the journal is closed", run: followClosed},
		{name: "following refuses bad options", run: followBadOptions},
	}
}

// never is a pulse that no test waits for: what arrives was not polled for.
const never = time.Hour

// frames follows the journal in the background until the case ends, and hands frames over one by one.
func (k *kit) frames(log *journal.Log, o journal.FollowOptions) <-chan journal.Frame {
	k.Helper()
	ctx, cancel := context.WithCancel(k.ctx)
	out, done := make(chan journal.Frame), make(chan struct{})
	go func() {
		defer close(done)
		for f, err := range log.Follow(ctx, o) {
			if err != nil {
				if ctx.Err() == nil && !errors.Is(err, journal.ErrClosed) {
					k.Errorf("follow %+v: %v", o, err)
				}
				close(out)
				return
			}
			select {
			case out <- f:
			case <-ctx.Done():
				return
			}
		}
	}()
	k.Cleanup(func() {
		cancel()
		<-done
	})
	return out
}

// next returns the next frame.
func (k *kit) next(frames <-chan journal.Frame) journal.Frame {
	k.Helper()
	select {
	case f, ok := <-frames:
		if !ok {
			k.Fatal("the follower has ended")
		}
		return f
	case <-k.ctx.Done():
		k.Fatal("no frame arrives")
		return journal.Frame{}
	}
}

// until collects events until there are n and the follower has caught up.
func (k *kit) until(frames <-chan journal.Frame, n int) ([]journal.Event, journal.Frame) {
	k.Helper()
	var out []journal.Event
	for {
		f := k.next(frames)
		if out = append(out, f.Events...); len(out) >= n && f.CaughtUp {
			return out, f
		}
	}
}

func followFromStart(k *kit) {
	frames := k.frames(k.log, journal.FollowOptions{Pulse: never})
	first := k.next(frames)
	if !first.CaughtUp || len(first.Events) != 0 || first.Checkpoint != k.head() {
		k.Fatalf("first frame of an empty journal: %+v", first)
	}
	for i := range 20 {
		res := k.append(journal.Stream(fmt.Sprintf("order-%d", i%3)), journal.Any, events(i%3+1)...)
		got, f := k.until(frames, i%3+1)
		same(k, "events", len(got), i%3+1)
		same(k, "position of the last one", got[len(got)-1].Position, res.Position)
		same(k, "checkpoint", f.Checkpoint, k.head())
	}
	all := k.frames(k.log, journal.FollowOptions{Pulse: never})
	got, _ := k.until(all, 39)
	same(k, "events from the start", normal(got), normal(k.read(journal.ReadOptions{})))
}

func followSecondNode(k *kit) {
	second := k.open(k.h.Second)
	here := k.frames(k.log, journal.FollowOptions{Pulse: never})
	there := k.frames(second, journal.FollowOptions{Pulse: never})
	k.until(here, 0)
	k.until(there, 0)
	for i := range 10 {
		log := []*journal.Log{k.log, second}[i%2]
		e := event("test.news")
		if _, err := log.Append(k.ctx, "order-1", journal.Any, e); err != nil {
			k.Fatal(err)
		}
		for _, frames := range []<-chan journal.Frame{here, there} {
			got, _ := k.until(frames, 1)
			same(k, "news", ids(got), []journal.ID{e.ID})
		}
	}
}

func followFromCheckpoint(k *kit) {
	all := mixture(k, 40)
	head := k.head()
	for _, i := range []int{0, 1, 17, 38, 39} {
		for _, from := range []journal.Checkpoint{
			{Position: all[i].Position},
			{Position: all[i].Position, ID: all[i].ID},
			{Log: head.Log, Epoch: head.Epoch, Position: all[i].Position, ID: all[i].ID},
		} {
			frames := k.frames(k.log, journal.FollowOptions{From: from, Pulse: never})
			got, f := k.until(frames, 39-i)
			same(k, fmt.Sprintf("ids behind event %d", i), ids(got), ids(all[i+1:]))
			same(k, "checkpoint", f.Checkpoint, head)
		}
	}
}

func followFiltered(k *kit) {
	all := mixture(k, 60)
	for _, f := range filters() {
		want := choose(all, journal.ReadOptions{Filter: f})
		frames := k.frames(k.log, journal.FollowOptions{Filter: f, Page: 7, Pulse: never})
		got, last := k.until(frames, len(want))
		same(k, fmt.Sprintf("ids with %+v", f), ids(got), ids(want))
		same(k, fmt.Sprintf("checkpoint with %+v", f), last.Checkpoint, k.head())
	}
	frames := k.frames(k.log, journal.FollowOptions{Filter: journal.Filter{{Types: only("rare")}}, Pulse: never})
	k.until(frames, 0)
	k.append("order-1", journal.Any, event("frequent"))
	rare := event("rare")
	res := k.append("order-1", journal.Any, rare)
	got, f := k.until(frames, 1)
	same(k, "what fits", ids(got), []journal.ID{rare.ID})
	same(k, "checkpoint", f.Checkpoint.Position, res.Position)
}

func followFrames(k *kit) {
	all := mixture(k, 35)
	for _, page := range []int{1, 5, 10, 34, 35, 36, 0} {
		frames := k.frames(k.log, journal.FollowOptions{Page: page, Pulse: never})
		var got []journal.Event
		for caughtUp := false; !caughtUp; {
			f := k.next(frames)
			if page > 0 && len(f.Events) > page {
				k.Fatalf("a frame of %d events, the page is %d", len(f.Events), page)
			}
			got = append(got, f.Events...)
			if n := len(got); f.CaughtUp && n < len(all) {
				k.Fatalf("caught up after %d of %d events", n, len(all))
			}
			if n := len(f.Events); n > 0 && f.Checkpoint.Position < f.Events[n-1].Position {
				k.Fatalf("the checkpoint %v does not cover the frame", f.Checkpoint)
			}
			if n := len(got); f.Checkpoint.Position != got[n-1].Position || f.Checkpoint.ID != got[n-1].ID {
				k.Fatalf("the checkpoint %v is ahead of event %d", f.Checkpoint, n)
			}
			caughtUp = f.CaughtUp
		}
		same(k, "ids", ids(got), ids(all))
	}
}

func followPulse(k *kit) {
	k.append("order-1", journal.None, event("test.one"))
	frames := k.frames(k.log, journal.FollowOptions{Pulse: 2 * time.Millisecond})
	_, before := k.until(frames, 1)
	for range 3 {
		f := k.next(frames)
		if len(f.Events) > 0 || !f.CaughtUp || f.Checkpoint != before.Checkpoint || !f.AsOf.After(before.AsOf) {
			k.Fatalf("got the frame %+v after %+v; want an empty one of a later moment", f, before)
		}
		before = f
	}
	k.append("order-1", journal.Exactly(1), event("test.two"))
	got, _ := k.until(frames, 1)
	same(k, "events", len(got), 1)
}

func followSlowly(k *kit) {
	k.append("order-1", journal.None, event("test.one"))
	frames := k.frames(k.log, journal.FollowOptions{Pulse: never, Page: 100})
	first := k.next(frames)
	const n = 2500
	for range n / 250 {
		k.append("order-2", journal.Any, events(250)...)
	}
	quick := k.frames(k.log, journal.FollowOptions{Pulse: never})
	got, _ := k.until(quick, n+1)
	same(k, "events of a quick follower", len(got), n+1)
	late, _ := k.until(frames, n)
	same(k, "events of the slow follower", ids(slices.Concat(first.Events, late)), ids(got))
}

func followEnds(k *kit) {
	ctx, cancel := context.WithCancel(k.ctx)
	defer cancel()
	var last error
	seen := 0
	for f, err := range k.log.Follow(ctx, journal.FollowOptions{Pulse: never}) {
		if last = err; err == nil && f.CaughtUp {
			seen++
			go cancel() // while it waits
		}
	}
	if seen != 1 || !errors.Is(last, context.Canceled) {
		k.Errorf("a follower whose context ends: %d frames, then %v", seen, last)
	}
	for _, err := range k.log.Follow(ctx, journal.FollowOptions{}) {
		if !errors.Is(err, context.Canceled) {
			k.Errorf("follow with an ended context: got %v", err)
		}
	}
	for range k.log.Follow(k.ctx, journal.FollowOptions{Pulse: never}) {
		break
	}
	k.append("order-1", journal.None, event("test.one"))
}

func followWriters(k *kit) {
	const perWriter = 40
	logs := k.logs()
	var followers []<-chan journal.Frame
	for i := range 4 {
		o := journal.FollowOptions{Pulse: never, Page: []int{0, 3, 50, 7}[i]}
		followers = append(followers, k.frames(logs[i%len(logs)], o))
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		spread(logs, writers, func(i int, log *journal.Log) {
			for n := range perWriter {
				s := journal.Stream(fmt.Sprintf("order-%d", (i+n)%6))
				if _, err := log.Append(k.ctx, s, journal.Any, events(n%3+1)...); err != nil {
					k.Errorf("append: %v", err)
				}
				// A writer that loses must not leave a hole that followers wait for.
				if _, err := log.Append(k.ctx, s, journal.None, events(1)...); !errors.Is(err, journal.ErrConflict) {
					k.Errorf("append to a stream that is there: got %v, want ErrConflict", err)
				}
			}
		})
	}()
	const total = writers * (14 + 2*13 + 3*13)
	var seen [][]journal.Event
	for _, f := range followers {
		got, _ := k.until(f, total)
		seen = append(seen, got)
	}
	<-written
	all := k.read(journal.ReadOptions{})
	same(k, "events", len(all), total)
	for i := range seen {
		same(k, fmt.Sprintf("what follower %d saw", i), ids(seen[i]), ids(all))
	}
	k.sound()
}

func followClosed(k *kit) {
	k.append("order-1", journal.None, event("test.one"))
	var last error
	for f, err := range k.log.Follow(k.ctx, journal.FollowOptions{Pulse: never}) {
		if last = err; err == nil && f.CaughtUp {
			go func() { _ = k.log.Close() }()
		}
	}
	if !errors.Is(last, journal.ErrClosed) {
		k.Errorf("a follower of a journal that is closed: got %v, want ErrClosed", last)
	}
}

func followBadOptions(k *kit) {
	for field, o := range map[string]journal.FollowOptions{
		"checkpoint": {From: journal.Checkpoint{Position: -1}},
		"page":       {Page: -1},
		"pulse":      {Pulse: -1},
		"filter[0]":  {Filter: journal.Filter{{Tags: only("a\x00")}}},
	} {
		for _, err := range k.log.Follow(k.ctx, o) {
			var invalid *journal.InvalidError
			if !errors.As(err, &invalid) || invalid.Field != field {
				k.Errorf("got %v, want an InvalidError of %s", err, field)
			}
		}
	}
}
