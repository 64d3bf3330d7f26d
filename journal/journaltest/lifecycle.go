// SPDX-License-Identifier: Apache-2.0

// Cases about a journal's life: heads, waiting, reopening, closing, counting and checking.

package journaltest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"example.com/vidimus/journal"
)

func lifecycleCases() []testCase {
	return []testCase{
		{name: "a head covers every commit that was answered, on every node", run: headIsLinearizable},
		{name: "what is answered can be read, on every node", run: readYourWrites},
		{name: "waiting ends with news, or with the context", run: waiting},
		{name: "a reopened journal is the same", needs: needsReopen, run: reopened},
		{name: "a journal may be reopened over and over", needs: needsReopen, run: reopenedOften},
		{name: "a closed journal refuses everything", run: closed},
		{name: "an ended context stops everything and writes nothing", run: endedContext},
		{name: "commits given up are whole or not there", run: givenUp},
		{name: "what a journal holds is counted right", run: counted},
		{name: "verifying tells how far it is", run: verifyProgress},
		{name: "a snapshot held elsewhere delays nobody", needs: needsHold, run: heldSnapshot},
	}
}

func needsHold(h *Harness) bool { return h.Hold != nil }

func headIsLinearizable(k *kit) {
	all := k.logs()
	k.crowd(writers, func(i int, log *journal.Log) {
		for n := range 25 {
			res, err := log.Append(k.ctx, journal.Stream(fmt.Sprintf("order-%d", i)), journal.Exactly(journal.Version(n)),
				event("test.one"))
			if err != nil {
				k.Errorf("append: %v", err)
				return
			}
			for _, other := range all {
				head, err := other.Head(k.ctx)
				if err != nil || head.Position < res.Position {
					k.Errorf("head %v, %v after an append at %d was answered", head, err, res.Position)
					return
				}
			}
		}
	})
	heads := make([]journal.Checkpoint, len(all))
	for i, log := range all {
		head, err := log.Head(k.ctx)
		if err != nil {
			k.Fatal(err)
		}
		heads[i] = head
		same(k, "head of each node", head, heads[0])
	}
}

func readYourWrites(k *kit) {
	all := k.logs()
	k.crowd(4, func(i int, log *journal.Log) {
		s, key := journal.Stream(fmt.Sprintf("order-%d", i)), fmt.Sprint(i)
		for n := range journal.Version(15) {
			e := event("test.one", "by:"+key)
			res, err := log.Commit(k.ctx, journal.Unit{
				Appends: []journal.Append{to(s, journal.Exactly(n), e)},
				Records: []journal.RecordWrite{{Kind: "note", Key: key, Expect: journal.Exactly(n)}},
			})
			if err != nil {
				k.Errorf("commit: %v", err)
				return
			}
			for _, other := range all {
				page, err := other.Store().Read(k.ctx, journal.Query{
					After: res.Position - 1, Limit: 1, Bytes: 1, Filter: journal.Filter{{Tags: only("by:" + key)}},
				})
				if err != nil || len(page.Events) != 1 || page.Events[0].ID != e.ID {
					k.Errorf("read what was answered: got %+v, %v", page, err)
				}
				got, err := other.Store().ReadStream(k.ctx, journal.StreamQuery{Stream: s, After: n, Limit: 5})
				if err != nil || len(got) != 1 || got[0].ID != e.ID {
					k.Errorf("read the stream that was appended to: got %+v, %v", got, err)
				}
				if r, err := other.Record(k.ctx, "note", key); err != nil || r.Version != n+1 {
					k.Errorf("read the record that was put: got %+v, %v", r, err)
				}
			}
		}
	})
}

func waiting(k *kit) {
	store := k.log.Store()
	ended, cancel := context.WithTimeout(k.ctx, 5*time.Millisecond)
	defer cancel()
	for ended.Err() == nil { // it may return early
		_ = store.Wait(ended, k.head().Position)
	}
	if err := store.Wait(ended, k.head().Position); !errors.Is(err, context.DeadlineExceeded) {
		k.Errorf("wait with an ended context: got %v", err)
	}
	after := k.head().Position
	all := k.logs()
	reached := make(chan error)
	const waiters = 20
	for i := range waiters {
		log := all[i%len(all)]
		go func() {
			for {
				if err := log.Store().Wait(k.ctx, after); err != nil {
					reached <- err
					return
				}
				if head, err := log.Head(k.ctx); err != nil || head.Position > after {
					reached <- err
					return
				}
			}
		}()
	}
	k.append("order-1", journal.None, event("test.news"))
	for range waiters {
		if err := <-reached; err != nil {
			k.Errorf("wait for news: %v", err)
		}
	}
	if err := store.Wait(k.ctx, after); err != nil {
		k.Errorf("wait for what is there: %v", err)
	}
	if err := store.Wait(k.ctx, 0); err != nil {
		k.Errorf("wait for anything: %v", err)
	}
}

func reopened(k *kit) {
	all := mixture(k, 75)
	k.put(journal.RecordWrite{Kind: "note", Key: "n", Value: []byte("x"), Due: time.Unix(5, 0)})
	k.put(take("owner"))
	head, record := k.head(), k.record("note", "n")
	streams := map[journal.Stream][]journal.Event{}
	for _, e := range all {
		streams[e.Stream] = append(streams[e.Stream], e)
	}
	k.reopen()
	same(k, "head", k.head(), head)
	same(k, "events", normal(k.read(journal.ReadOptions{})), normal(all))
	for s, want := range streams {
		same(k, "events of a stream", normal(k.stream(s, nil)), normal(want))
	}
	same(k, "record", k.record("note", "n"), record)
	k.sound()
	for s, want := range streams {
		k.refused(journal.ErrConflict, unit(to(s, journal.Exactly(journal.Version(len(want)-1)), event("test.stale"))))
		res := k.append(s, journal.Exactly(journal.Version(len(want))), event("test.next"))
		if res.Position <= head.Position {
			k.Fatalf("position %d after reopening at %d", res.Position, head.Position)
		}
	}
	k.commit(fenced("owner", 1, "order-9"))
	k.sound()
}

func reopenedOften(k *kit) {
	var last journal.Position
	at := map[journal.Stream]journal.Version{}
	for i := range 12 {
		for n := range 7 {
			s := journal.Stream(fmt.Sprintf("order-%d", n*i%5))
			res := k.append(s, journal.Exactly(at[s]), events(i*n%40+1)...)
			at[s] += journal.Version(i*n%40 + 1)
			same(k, "version", res.Versions[0], at[s])
			if res.Position <= last {
				k.Fatalf("position %d follows %d", res.Position, last)
			}
			last = res.Position
		}
		k.reopen()
		same(k, "head", k.head().Position, last)
	}
	for s, v := range at {
		same(k, "events of "+string(s), len(k.stream(s, nil)), int(v))
	}
	k.sound()
}

// uses calls everything a log offers; each returns the error of one call.
func uses(ctx context.Context, log *journal.Log) map[string]error {
	out := map[string]error{}
	_, out["commit"] = log.Commit(ctx, unit(to("order-1", journal.Any, event("test.late"))))
	_, out["append"] = log.Append(ctx, "order-1", journal.Any, event("test.late"))
	for _, err := range log.Read(ctx, journal.ReadOptions{}) {
		out["read"] = err
	}
	for _, err := range log.ReadStream(ctx, "order-1", nil) {
		out["read stream"] = err
	}
	for _, err := range log.Follow(ctx, journal.FollowOptions{}) {
		if out["follow"] = err; err == nil {
			break
		}
	}
	_, out["head"] = log.Head(ctx)
	_, out["check"] = log.Check(ctx, journal.Checkpoint{})
	_, out["record"] = log.Record(ctx, "note", "n")
	_, out["records"] = log.Records(ctx, journal.RecordQuery{Kind: "note"})
	_, _, out["checkpoint"] = log.Checkpoint(ctx, "mailer")
	_, out["stat"] = log.Stat(ctx)
	_, out["verify"] = log.Verify(ctx, nil)
	_, out["renew"] = log.Renew(ctx)
	out["wait"] = log.Store().Wait(ctx, 1<<40)
	return out
}

func closed(k *kit) {
	k.append("order-1", journal.None, event("test.one"))
	k.put(journal.RecordWrite{Kind: "note", Key: "n"})
	for range 2 {
		if err := k.log.Close(); err != nil {
			k.Fatalf("close: %v", err)
		}
	}
	for what, err := range uses(k.ctx, k.log) {
		if !errors.Is(err, journal.ErrClosed) {
			k.Errorf("%s on a closed journal: got %v, want ErrClosed", what, err)
		}
	}
}

func endedContext(k *kit) {
	k.append("order-1", journal.None, event("test.one"))
	k.put(journal.RecordWrite{Kind: "note", Key: "n"})
	before := k.head()
	ctx, cancel := context.WithCancel(k.ctx)
	cancel()
	for what, err := range uses(ctx, k.log) {
		if !errors.Is(err, context.Canceled) {
			k.Errorf("%s with an ended context: got %v, want context.Canceled", what, err)
		}
	}
	same(k, "head", k.head(), before)
	k.append("order-1", journal.Exactly(1), event("test.two"))
	k.sound()
}

func givenUp(k *kit) {
	unknown := map[journal.ID]journal.Unit{}
	for i := range 60 {
		ctx, cancel := context.WithCancel(k.ctx)
		u := unit(to(journal.Stream(fmt.Sprintf("a-%d", i)), journal.None, events(2)...),
			to(journal.Stream(fmt.Sprintf("b-%d", i)), journal.None, events(1)...))
		other := make(chan struct{})
		go func() {
			defer close(other)
			if _, err := k.log.Append(k.ctx, "other", journal.Any, event("test.other")); err != nil {
				k.Errorf("append: %v", err)
			}
		}()
		go cancel()
		_, err := k.log.Commit(ctx, u)
		<-other
		switch {
		case err == nil:
			same(k, "events of an answered unit", len(k.stream(u.Appends[0].Stream, nil)), 2)
		case errors.Is(err, journal.ErrUncertain):
			unknown[u.Appends[0].Events[0].ID] = u
		case errors.Is(err, context.Canceled):
			same(k, "events of a unit that was given up", len(k.stream(u.Appends[0].Stream, nil)), 0)
		default:
			k.Fatalf("commit given up: %v", err)
		}
		cancel()
	}
	for _, u := range unknown {
		k.commit(u)
		same(k, "events after asking again", len(k.stream(u.Appends[0].Stream, nil)), 2)
		same(k, "events of the other stream", len(k.stream(u.Appends[1].Stream, nil)), 1)
	}
	k.sound()
}

func (k *kit) stat() journal.Stat {
	k.Helper()
	s, err := k.log.Stat(k.ctx)
	if err != nil {
		k.Fatalf("stat: %v", err)
	}
	return s
}

func counted(k *kit) {
	want := journal.Stat{Head: k.head()}
	check := func() {
		k.Helper()
		got := k.stat()
		if got.Backend == "" || got.Bytes < 0 {
			k.Errorf("stat: %+v", got)
		}
		got.Backend, got.Bytes = "", 0
		want.Head = k.head()
		same(k, "stat", got, want)
	}
	check()
	mixture(k, 23)
	want.Events, want.Streams = 23, 5
	check()
	k.append("only-checked", journal.None)
	k.refused(journal.ErrConflict, unit(to("refused-1", journal.Exactly(4), event("test.refused"))))
	k.put(journal.RecordWrite{Kind: "note", Key: "a"})
	k.put(journal.RecordWrite{Kind: "note", Key: "b"})
	k.put(journal.RecordWrite{Kind: "note", Key: "b", Expect: journal.Any})
	want.Records = 2
	check()
	k.put(journal.RecordWrite{Op: journal.Delete, Kind: "note", Key: "a", Expect: journal.Any})
	want.Records = 1
	check()
	if k.h.Reopens {
		k.reopen()
		check()
	}
}

func verifyProgress(k *kit) {
	k.sound()
	mixture(k, 40)
	var last journal.Position
	breaches, err := k.log.Verify(k.ctx, func(p journal.Position) {
		if p < last {
			k.Errorf("progress goes back from %d to %d", last, p)
		}
		last = p
	})
	if err != nil || len(breaches) > 0 {
		k.Errorf("verify: %v, %v", breaches, err)
	}
	same(k, "where the progress ends", last, k.head().Position)
}

func heldSnapshot(k *kit) {
	mixture(k, 20)
	release := k.h.Hold(k)
	frames := k.frames(k.log, journal.FollowOptions{Pulse: never})
	k.until(frames, 20)
	for range 50 {
		e := event("test.meanwhile")
		k.append("order-1", journal.Exists, e)
		got, _ := k.until(frames, 1)
		same(k, "news while a snapshot is held", ids(got), []journal.ID{e.ID})
	}
	release()
	k.append("order-1", journal.Exists, event("test.afterwards"))
	k.sound()
}
