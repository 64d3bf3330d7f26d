// SPDX-License-Identifier: Apache-2.0

// vidimus journal: where it ends, what it holds, whether it is whole.

package main

import (
	"context"
	"fmt"

	"example.com/vidimus/cmd/vidimus/internal/screen"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
)

// journalCmd has the verbs of a journal; those that are longer stand in files of their own.
type journalCmd struct {
	where

	Append appendCmd `cmd:"" help:"Append an event to a stream."`
	Read   readCmd   `cmd:"" help:"Show events, in the order of the journal or of one stream."`
	Follow followCmd `cmd:"" help:"Show events, then wait for more."`
	Head   headCmd   `cmd:"" help:"Say where the journal ends."`
	Import importCmd `cmd:"" help:"Bring an event log in: XES, CSV, NDJSON, access logs, archives of JSON."`
	Export exportCmd `cmd:"" help:"Write events as lines of JSON that import reads."`
	Stat   statCmd   `cmd:"" help:"Count what the journal holds."`
	Verify verifyCmd `cmd:"" help:"Read the whole journal and check what it promises."`
	Renew  renewCmd  `cmd:"" help:"Begin a new epoch, after a restore from a backup."`
}

// with opens the journal, hands it to do, and closes it.
func (w *where) with(ctx context.Context, a *app, create bool, do func(book) error) (err error) {
	b, err := w.open(ctx, a, create)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := b.Close(); err == nil {
			err = closeErr
		}
	}()
	return do(b)
}

type headCmd struct{}

// Run prints where the journal ends.
func (c *headCmd) Run(ctx context.Context, a *app, j *journalCmd) error {
	return j.with(ctx, a, false, func(b book) error {
		head, err := b.Head(ctx)
		if err != nil {
			return err
		}
		if a.json {
			return a.object(head)
		}
		return a.tell("position %s of log %s, epoch %d", screen.Number(head.Position), head.Log, head.Epoch)
	})
}

type statCmd struct{}

// statAnswer is the answer to --json.
type statAnswer struct {
	Backend string             `json:"backend"`
	Head    journal.Checkpoint `json:"head"`
	Events  int64              `json:"events"`
	Streams int64              `json:"streams"`
	Records int64              `json:"records"`
	Bytes   int64              `json:"bytes"`
}

// Run prints what the journal holds.
func (c *statCmd) Run(ctx context.Context, a *app, j *journalCmd) error {
	return j.with(ctx, a, false, func(b book) error {
		s, err := b.Stat(ctx)
		if err != nil {
			return err
		}
		if a.json {
			return a.object(statAnswer(s))
		}
		table := screen.NewTable(a.out, a.style,
			screen.Column{Title: "what", Paint: a.style.Dim}, screen.Column{Title: "value"})
		for _, row := range [][2]string{
			{"database", s.Backend},
			{"log", fmt.Sprintf("%s, epoch %d", s.Head.Log, s.Head.Epoch)},
			{"position", screen.Number(s.Head.Position)},
			{"events", screen.Number(s.Events)},
			{"streams", screen.Number(s.Streams)},
			{"records", screen.Number(s.Records)},
			{"size", screen.Bytes(s.Bytes)},
		} {
			if err := table.Row(row[0], row[1]); err != nil {
				return err
			}
		}
		return table.Flush()
	})
}

type verifyCmd struct{}

// verifyAnswer is the answer to --json.
type verifyAnswer struct {
	Head     journal.Checkpoint `json:"head"`
	Breaches []string           `json:"breaches"`
	Seconds  float64            `json:"seconds"`
}

// Run checks the journal. It fails when a promise is broken.
func (c *verifyCmd) Run(ctx context.Context, a *app, j *journalCmd) error {
	return j.with(ctx, a, false, func(b book) error {
		began := clock.Now()
		head, err := b.Head(ctx)
		if err != nil {
			return err
		}
		m := a.newMeter("verify", int64(head.Position), "positions")
		breaches, err := b.Verify(ctx, func(p journal.Position) { m.at(int64(p), int64(p)) })
		m.end()
		if err != nil {
			return err
		}
		return c.answer(a, &verifyAnswer{head, append([]string{}, breaches...), clock.Since(began).Seconds()})
	})
}

func (c *verifyCmd) answer(a *app, v *verifyAnswer) error {
	if a.json {
		if err := a.object(v); err != nil {
			return err
		}
	}
	if len(v.Breaches) == 0 {
		if a.json {
			return nil
		}
		return a.tell("sound up to position %s (log %s, epoch %d), checked in %.1f s",
			screen.Number(v.Head.Position), v.Head.Log, v.Head.Epoch, v.Seconds)
	}
	for _, breach := range v.Breaches {
		if a.json {
			break
		}
		if err := a.tell("%s %s", a.style.Bad("broken:"), screen.Printable(breach)); err != nil {
			return err
		}
	}
	return &brokenError{fmt.Sprintf("the journal breaks its promises in %s; stop its writers, keep a copy, and restore "+
		"the last sound backup", screen.Plural(len(v.Breaches), "place"))}
}

type renewCmd struct {
	Yes bool `help:"Do it: readers of the old epoch stop and must be rebuilt or placed anew."`
}

// Run gives the journal its next epoch.
func (c *renewCmd) Run(ctx context.Context, a *app, j *journalCmd) error {
	if !c.Yes {
		return usage("--yes", "is missing; renew only after a restore from a backup, and before anything else writes: "+
			"every checkpoint handed out before is refused from then on")
	}
	return j.with(ctx, a, false, func(b book) error {
		head, err := b.Renew(ctx)
		if err != nil {
			return err
		}
		if a.json {
			return a.object(head)
		}
		return a.tell("log %s is in epoch %d now, at position %s", head.Log, head.Epoch, screen.Number(head.Position))
	})
}
