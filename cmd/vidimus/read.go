// SPDX-License-Identifier: Apache-2.0

// vidimus journal read, follow and export: events on their way out.

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"time"

	"example.com/vidimus/cmd/vidimus/internal/screen"
	"example.com/vidimus/journal"
)

// choice are the flags that choose events.
type choice struct {
	Stream   string   `placeholder:"NAME" help:"Only events of this stream."`
	Category string   `placeholder:"NAME" help:"Only events of streams of this category, the part before the first '-'."`
	Type     []string `sep:"none" placeholder:"NAME" help:"Only events of this type; repeat it for several."`
	Tag      []string `sep:"none" placeholder:"TAG" help:"Only events with this tag; repeat it for events with all of them."`
}

// filter is the choice as the journal knows it.
func (c *choice) filter() journal.Filter {
	if c.Stream == "" && c.Category == "" && len(c.Type) == 0 && len(c.Tag) == 0 {
		return nil
	}
	return journal.Filter{{Stream: journal.Stream(c.Stream), Category: c.Category, Types: c.Type, Tags: c.Tag}}
}

// span are the flags that say from where to where.
type span struct {
	After  int64 `placeholder:"N" help:"Begin behind this position; with --stream, behind this version."`
	Before int64 `placeholder:"N" help:"End before this position; with --stream, before this version."`
}

// of returns the events of the choice within the span.
func (s *span) of(ctx context.Context, b book, c *choice, backwards bool, limit int) iter.Seq2[journal.Event, error] {
	if c.Stream == "" {
		return b.Read(ctx, journal.ReadOptions{
			After: journal.Position(s.After), Before: journal.Position(s.Before),
			Backwards: backwards, Filter: c.filter(), Limit: limit,
		})
	}
	o := &journal.StreamOptions{After: journal.Version(s.After), Before: journal.Version(s.Before), Backwards: backwards}
	filter := c.filter()
	if c.Category == "" && len(c.Type) == 0 && len(c.Tag) == 0 {
		o.Limit, filter = limit, nil
	}
	return chosen(b.ReadStream(ctx, journal.Stream(c.Stream), o), filter, limit)
}

// chosen passes on the events that fit the filter, limit at most; 0 is no limit.
func chosen(all iter.Seq2[journal.Event, error], f journal.Filter, limit int) iter.Seq2[journal.Event, error] {
	return func(yield func(journal.Event, error) bool) {
		n := 0
		for e, err := range all {
			if err == nil && !f.Matches(&e.EventData, e.Stream) {
				continue
			}
			if n++; !yield(e, err) || err != nil || n == limit {
				return
			}
		}
	}
}

type readCmd struct {
	choice
	span
	Backwards bool `short:"b" help:"Begin at the end."`
	Limit     int  `short:"n" placeholder:"N" help:"Show no more than this many."`
}

// Help is shown by --help.
func (c *readCmd) Help() string {
	return `Examples:

    vidimus journal read --stream order-7
    vidimus journal read --category order --type order.paid --backwards --limit 10
    vidimus journal read --tag course:c1 --json`
}

// Run shows the events.
func (c *readCmd) Run(ctx context.Context, a *app, j *journalCmd) error {
	return j.with(ctx, a, false, func(b book) error {
		out := a.newEvents()
		for e, err := range c.of(ctx, b, &c.choice, c.Backwards, c.Limit) {
			if err == nil {
				err = out.write(&e)
			}
			if err != nil {
				_ = out.flush() // what was read is shown; the first error is the one to tell
				return err
			}
		}
		return out.flush()
	})
}

type exportCmd struct {
	choice
	span
	Output string `short:"o" placeholder:"FILE" help:"Write to this file instead of standard output; it must not exist yet."`
}

// Help is shown by --help.
func (c *exportCmd) Help() string {
	return `An import of the export into an empty journal gives the same events: ids, times, schemas, meta, tags and data
are kept byte for byte, versions and order too. Data that is no JSON is written as data_base64.

Examples:

    vidimus journal export > all.ndjson
    vidimus journal export --category order --after 1000 -o orders.ndjson
    vidimus journal export | vidimus journal import - --db copy.db`
}

// Run writes the events.
func (c *exportCmd) Run(ctx context.Context, a *app, j *journalCmd) error {
	return j.with(ctx, a, false, func(b book) (err error) {
		to := a.out
		if c.Output != "" {
			file, err := os.OpenFile(c.Output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if errors.Is(err, os.ErrExist) {
				return usage("--output", "%s exists; choose another name", c.Output)
			}
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, file.Sync(), file.Close()) }()
			to = file
		}
		n, err := c.export(ctx, b, to)
		if err != nil {
			return err
		}
		if c.Output != "" {
			a.say("exported %s", screen.Plural(n, "event"))
		}
		return nil
	})
}

func (c *exportCmd) export(ctx context.Context, b book, to io.Writer) (n int64, err error) {
	buffered := bufio.NewWriterSize(to, lineBuffer)
	out := &lines{to: buffered}
	for e, err := range c.of(ctx, b, &c.choice, false, 0) {
		if err == nil {
			err = out.write(&e)
		}
		if err != nil {
			_, _ = out.flush(), buffered.Flush() // what was read is kept; the first error is the one to tell
			return n, err
		}
		n++
	}
	if err := out.flush(); err != nil {
		return n, err
	}
	return n, buffered.Flush()
}

type followCmd struct {
	choice
	After    int64         `placeholder:"N" help:"Begin behind this position."`
	FromEnd  bool          `help:"Begin with what comes, not with what was."`
	Consumer string        `placeholder:"NAME" help:"Go on where the consumer of this name was, and save in the journal how far it is."`
	Limit    int           `short:"n" placeholder:"N" help:"Stop after this many events."`
	Pulse    time.Duration `hidden:"" help:"Longest time between looks at the journal."`
}

// Help is shown by --help.
func (c *followCmd) Help() string {
	return `A consumer sees each event at least once: after a crash, those since its last save come again. Of two consumers
with one name only one goes on.

Examples:

    vidimus journal follow --from-end
    vidimus journal follow --category order --consumer mailer --json | mailer`
}

// Run shows events until it is interrupted.
func (c *followCmd) Run(ctx context.Context, a *app, j *journalCmd) error {
	if c.FromEnd && c.After != 0 {
		return usage("--from-end", "cannot be joined with --after; choose one")
	}
	return j.with(ctx, a, c.Consumer != "", func(b book) error {
		f := &follower{book: b, consumer: c.Consumer, limit: c.Limit, out: a.newEvents()}
		from, err := f.begin(ctx, c)
		if err != nil {
			return err
		}
		o := journal.FollowOptions{From: from, Filter: c.filter(), Pulse: c.Pulse}
		if c.Limit > 0 {
			o.Page = min(c.Limit, journal.MaxPage)
		}
		for frame, err := range b.Follow(ctx, o) {
			done := false
			if err == nil {
				done, err = f.frame(ctx, &frame)
			}
			if ctx.Err() != nil {
				return nil // to end when it is told to is what a follower does
			}
			if done || err != nil {
				return err
			}
		}
		return nil
	})
}

// follower writes frames and remembers how far it is.
type follower struct {
	book     book
	consumer string
	version  journal.Version // of the consumer's record
	saved    journal.Position
	limit    int
	count    int
	out      events
}

// begin finds out where to start.
func (f *follower) begin(ctx context.Context, c *followCmd) (journal.Checkpoint, error) {
	from := journal.Checkpoint{Position: journal.Position(c.After)}
	if f.consumer != "" {
		saved, version, err := f.book.Checkpoint(ctx, f.consumer)
		if err != nil {
			return from, err
		}
		f.version = version
		if version > 0 {
			if c.After != 0 || c.FromEnd {
				return from, usage("--consumer", "%s has a place already, at position %d; leave --after and --from-end out, "+
					"or choose another name", f.consumer, saved.Position)
			}
			f.saved = saved.Position
			return saved, nil
		}
	}
	if c.FromEnd {
		return f.book.Head(ctx)
	}
	return from, nil
}

// frame writes one frame and saves the place behind it. It is done when the limit is reached.
func (f *follower) frame(ctx context.Context, frame *journal.Frame) (done bool, err error) {
	at := frame.Checkpoint
	for i := range frame.Events {
		e := &frame.Events[i]
		if err := f.out.write(e); err != nil {
			return false, err
		}
		if f.count++; f.count == f.limit {
			at.Position, at.ID, done = e.Position, e.ID, true
			break
		}
	}
	if err := f.out.flush(); err != nil {
		return false, err
	}
	if f.consumer == "" || at.Position == f.saved {
		return done, nil
	}
	return done, f.save(ctx, at)
}

func (f *follower) save(ctx context.Context, at journal.Checkpoint) error {
	unit := journal.Unit{Records: []journal.RecordWrite{at.Save(f.consumer, journal.Exactly(f.version))}}
	result, err := f.book.Commit(ctx, unit)
	if errors.Is(err, journal.ErrConflict) {
		return fmt.Errorf("%w: another consumer named %s goes on from here; give each its own name",
			journal.ErrConflict, f.consumer)
	}
	if err != nil {
		return err
	}
	f.version, f.saved = result.Records[0], at.Position
	return nil
}
