// SPDX-License-Identifier: Apache-2.0

// Cases about checkpoints: they are believed only where they belong, and saved with the effect.

package journaltest

import (
	"errors"
	"fmt"
	"sync/atomic"

	"example.com/vidimus/journal"
)

func checkpointCases() []testCase {
	return []testCase{
		{name: "a checkpoint of another history is refused", run: checkpointDiverged},
		{name: "a checkpoint is completed", run: checkpointCompleted},
		{name: "a renewed journal refuses the checkpoints of before", run: checkpointAfterRenew},
		{name: "a saved checkpoint comes back", run: checkpointSaved},
		{name: "of two consumers of one name one goes on", run: checkpointRace},
		{name: "an effect saved with its checkpoint happens once", run: effectsOnce},
	}
}

// diverged wants a checkpoint to be refused, by Check and by Follow.
func (k *kit) diverged(what string, c journal.Checkpoint) {
	k.Helper()
	if _, err := k.log.Check(k.ctx, c); !errors.Is(err, journal.ErrDiverged) {
		k.Errorf("check a checkpoint %s: got %v, want ErrDiverged", what, err)
	}
	for f, err := range k.log.Follow(k.ctx, journal.FollowOptions{From: c}) {
		if !errors.Is(err, journal.ErrDiverged) {
			k.Fatalf("follow from a checkpoint %s: got %+v, %v; want ErrDiverged", what, f, err)
		}
	}
}

func checkpointDiverged(k *kit) {
	k.diverged("ahead of an empty journal", journal.Checkpoint{Position: 1})
	all := mixture(k, 10)
	head := k.head()
	alter := func(change func(c *journal.Checkpoint)) journal.Checkpoint {
		c := head
		change(&c)
		return c
	}
	for what, c := range map[string]journal.Checkpoint{
		"of another log":             alter(func(c *journal.Checkpoint) { c.Log = "elsewhere" }),
		"of another epoch":           alter(func(c *journal.Checkpoint) { c.Epoch++ }),
		"of no epoch":                alter(func(c *journal.Checkpoint) { c.Epoch = 0 }),
		"ahead":                      alter(func(c *journal.Checkpoint) { c.Position++ }),
		"ahead, unseen":              {Position: head.Position + 1},
		"far ahead":                  {Position: 1<<63 - 1},
		"with another event's id":    alter(func(c *journal.Checkpoint) { c.ID = all[3].ID }),
		"with an unknown id":         alter(func(c *journal.Checkpoint) { c.ID = journal.NewID() }),
		"at the start, with an id":   {ID: all[0].ID},
		"of the start, other log":    {Log: "elsewhere", Epoch: head.Epoch},
		"with its neighbour's place": {Log: head.Log, Epoch: head.Epoch, Position: all[4].Position, ID: all[5].ID},
	} {
		k.diverged(what, c)
	}
}

func checkpointCompleted(k *kit) {
	start := k.head()
	got, err := k.log.Check(k.ctx, journal.Checkpoint{})
	if err != nil || got != start {
		k.Errorf("check the zero checkpoint: got %+v, %v; want %+v", got, err, start)
	}
	all := mixture(k, 10)
	for _, e := range all {
		want := journal.Checkpoint{Log: start.Log, Epoch: start.Epoch, Position: e.Position, ID: e.ID}
		for _, c := range []journal.Checkpoint{
			{Position: e.Position},
			{Position: e.Position, ID: e.ID},
			want,
			{Log: start.Log, Epoch: start.Epoch, Position: e.Position},
		} {
			if got, err := k.log.Check(k.ctx, c); err != nil || got != want {
				k.Errorf("check %+v: got %+v, %v; want %+v", c, got, err, want)
			}
		}
	}
	same(k, "head", k.head(), journal.Checkpoint{
		Log: start.Log, Epoch: start.Epoch, Position: all[9].Position, ID: all[9].ID,
	})
}

func checkpointAfterRenew(k *kit) {
	mixture(k, 5)
	before := k.head()
	renewed, err := k.log.Renew(k.ctx)
	want := before
	want.Epoch++
	if err != nil || renewed != want {
		k.Fatalf("renew: got %+v, %v; want %+v", renewed, err, want)
	}
	same(k, "head", k.head(), want)
	k.diverged("of the epoch before", before)
	k.append("order-1", journal.Any, event("test.after"))
	if p := k.head().Position; p <= before.Position {
		k.Errorf("after renewing, the head is at %d, it was at %d", p, before.Position)
	}
	frames := k.frames(k.log, journal.FollowOptions{From: renewed, Pulse: never})
	got, _ := k.until(frames, 1)
	same(k, "events after renewing", len(got), 1)
	if k.h.Reopens {
		k.reopen()
		same(k, "epoch after reopening", k.head().Epoch, want.Epoch)
		k.diverged("of the epoch before", before)
	}
}

func (k *kit) saved(consumer string) (journal.Checkpoint, journal.Version) {
	k.Helper()
	c, v, err := k.log.Checkpoint(k.ctx, consumer)
	if err != nil {
		k.Fatalf("checkpoint of %s: %v", consumer, err)
	}
	return c, v
}

func checkpointSaved(k *kit) {
	mixture(k, 10)
	c, v := k.saved("mailer")
	same(k, "checkpoint of a new consumer", c, journal.Checkpoint{})
	same(k, "its version", v, 0)
	head := k.head()
	for i := range journal.Version(3) {
		k.put(head.Save("mailer", journal.Exactly(i)))
	}
	k.refused(journal.ErrConflict, journal.Unit{Records: []journal.RecordWrite{head.Save("mailer", journal.Exactly(2))}})
	c, v = k.saved("mailer")
	same(k, "checkpoint", c, head)
	same(k, "its version", v, 3)
	c, _ = k.saved("printer")
	same(k, "checkpoint of another consumer", c, journal.Checkpoint{})
	if k.h.Reopens {
		k.reopen()
		c, _ = k.saved("mailer")
		same(k, "checkpoint after reopening", c, head)
		if _, err := k.log.Check(k.ctx, c); err != nil {
			k.Errorf("check after reopening: %v", err)
		}
	}
}

func checkpointRace(k *kit) {
	all := mixture(k, 20)
	head := k.head()
	var won, effects atomic.Int64
	k.crowd(2, func(i int, log *journal.Log) {
		for v, e := range all {
			c := journal.Checkpoint{Log: head.Log, Epoch: head.Epoch, Position: e.Position, ID: e.ID}
			u := journal.Unit{
				Appends: []journal.Append{to("effect-1", journal.Any, event(fmt.Sprintf("effect.by.%d", i), e.ID.String()))},
				Records: []journal.RecordWrite{c.Save("mailer", journal.Exactly(journal.Version(v)))},
			}
			switch _, err := log.Commit(k.ctx, u); {
			case err == nil:
				won.Add(1)
				effects.Add(1)
			case !errors.Is(err, journal.ErrConflict):
				k.Errorf("commit: %v", err)
			}
		}
	})
	_, v := k.saved("mailer")
	same(k, "steps", journal.Version(won.Load()), v)
	done := k.stream("effect-1", nil)
	same(k, "effects", len(done), int(v))
	for i, e := range done {
		same(k, "cause of the effect", e.Tags[0], all[i].ID.String())
	}
}

// effectsOnce runs a consumer that loses its memory after every few events, before or after it has saved.
func effectsOnce(k *kit) {
	all := mixture(k, 30)
	for life := 0; ; life++ {
		from, v := k.saved("mailer")
		if from.Position >= all[len(all)-1].Position {
			break
		}
		if life > len(all) {
			k.Fatal("the consumer does not come to an end")
		}
		frames := k.frames(k.log, journal.FollowOptions{From: from, Page: 1, Pulse: never})
		for range life%3 + 1 {
			f := k.next(frames)
			if len(f.Events) == 0 {
				break
			}
			u := journal.Unit{
				Appends: []journal.Append{to("effect-1", journal.Any, event("effect", f.Events[0].ID.String()))},
				Records: []journal.RecordWrite{f.Checkpoint.Save("mailer", journal.Exactly(v))},
			}
			if len(f.Events) > 0 && f.Events[0].Stream == "effect-1" {
				u.Appends = nil
			}
			v = k.commit(u).Records[0]
		}
	}
	causes := map[string]int{}
	for _, e := range k.stream("effect-1", nil) {
		causes[e.Tags[0]]++
	}
	for _, e := range all {
		same(k, fmt.Sprintf("effects of %s", e.ID), causes[e.ID.String()], 1)
	}
	same(k, "effects", len(causes), len(all))
}
