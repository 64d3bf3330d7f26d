// SPDX-License-Identifier: Apache-2.0

// Package importer brings the events of an event log into a journal: each once, in the order of the log.
package importer

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"example.com/vidimus/cmd/vidimus/internal/eventlog"
	"example.com/vidimus/journal"
)

// Limits of what is read ahead and of what one commit takes.
const (
	chunkEvents = 4000
	chunkBytes  = 4 << 20
	unitEvents  = 500
	unitBytes   = 1 << 20
	chunkUnits  = 1000 // what CommitMany takes
	triesMax    = 5    // of a stream that somebody else writes to
)

// Journal is what events are brought into. *journal.Log is one.
type Journal interface {
	Head(ctx context.Context) (journal.Checkpoint, error)
	ReadStream(ctx context.Context, s journal.Stream, o *journal.StreamOptions) iter.Seq2[journal.Event, error]
	CommitMany(ctx context.Context, units []journal.Unit) ([]journal.Outcome, error)
}

// Result says how far an import is.
type Result struct {
	// New events were written, Duplicates were in the journal before.
	New, Duplicates int64
	// Position is that of the last event written, 0 while there is none.
	Position journal.Position
}

// Done is how many events of the log are in the journal.
func (r Result) Done() int64 { return r.New + r.Duplicates }

// Run imports events until they end and calls progress, if that is not nil, after each commit. Streams grow at exactly
// the version they are known to be at, so an event whose id is in its stream already is left out, however long ago it
// came in: an import can be repeated, whole or from where it was cut off.
//
// When ctx ends, Run finishes the commit under way and returns the error of ctx. Whatever the error, the result says
// what is certainly in the journal. Errors are those of events, of the journal, and [journal.ErrConflict] when somebody
// else writes to the same streams all the time.
func Run(
	ctx context.Context, j Journal, events iter.Seq2[eventlog.Record, error], progress func(Result),
) (Result, error) {
	im := &importer{journal: j, streams: newMemory()}
	if err := im.start(ctx); err != nil {
		return im.result, err
	}
	err := Feed(ctx, events, func(items []Item) error {
		err := im.add(ctx, items)
		if err == nil && progress != nil {
			progress(im.result)
		}
		return err
	})
	return im.result, err
}

// Item is one event and the stream it belongs to.
type Item struct {
	Stream journal.Stream
	Event  journal.EventData
}

func (i *Item) size() int { return len(i.Event.Data) + len(i.Event.Meta) }

// Feed hands over events in their order, up to 4,000 or 4 MiB at a time, and reads ahead meanwhile. It ends with the
// events, with the error of do, of events or of ctx, or with [journal.ErrInvalid] for an event that no journal takes.
// What comes before an error of events is handed over first. When ctx ends it returns at once; events may then still be
// asked for one more, in the background.
func Feed(ctx context.Context, events iter.Seq2[eventlog.Record, error], do func([]Item) error) error {
	reading, stop := context.WithCancel(ctx)
	defer stop()
	chunks := make(chan chunk, 1)
	go func() {
		defer close(chunks)
		read(reading, events, chunks)
	}()
	for {
		select {
		case c, more := <-chunks:
			if err := ctx.Err(); err != nil || !more {
				return err
			}
			if len(c.events) > 0 {
				if err := do(c.events); err != nil {
					return err
				}
			}
			if c.err != nil {
				return c.err
			}
		case <-ctx.Done():
			return ctx.Err() // the reader may hang in a pipe that nobody writes to
		}
	}
}

// chunk is what is committed together; an error comes after its events.
type chunk struct {
	events []Item
	err    error
}

// read hands over the events in chunks. The last one may have an error.
func read(ctx context.Context, events iter.Seq2[eventlog.Record, error], to chan<- chunk) {
	var c chunk
	bytes, count := 0, 0
	for rec, err := range events {
		count++
		var next Item
		if err == nil {
			next, err = itemOf(&rec, count)
		}
		if err != nil {
			c.err = err
			break
		}
		c.events = append(c.events, next)
		bytes += next.size()
		if len(c.events) < chunkEvents && bytes < chunkBytes {
			continue
		}
		select {
		case to <- c:
			c, bytes = chunk{events: make([]Item, 0, chunkEvents)}, 0
		case <-ctx.Done():
			return
		}
	}
	select {
	case to <- c:
	case <-ctx.Done():
	}
}

// itemOf checks a record by the rules of the journal.
func itemOf(rec *eventlog.Record, count int) (Item, error) {
	id, err := journal.ParseID(rec.ID)
	if err != nil {
		return Item{}, fmt.Errorf("event %d: %w", count, err)
	}
	i := Item{Stream: journal.Stream(rec.Stream), Event: journal.EventData{
		ID: id, Type: rec.Type, Schema: rec.Schema, Time: rec.Time, Data: rec.Data, Meta: rec.Meta, Tags: rec.Tags,
	}}
	u := journal.Unit{Appends: []journal.Append{{Stream: i.Stream, Events: []journal.EventData{i.Event}}}}
	if err := u.Validate(); err != nil {
		return Item{}, fmt.Errorf("event %d, of stream %s: %w", count, i.Stream, err)
	}
	i.Event = u.Appends[0].Events[0]
	return i, nil
}

type importer struct {
	journal Journal
	streams *memory
	empty   bool // the journal was empty when the import began
	result  Result
}

func (im *importer) start(ctx context.Context) error {
	head, err := im.journal.Head(ctx)
	im.empty = head.Position == 0
	return err
}

// add commits the events, and again those that met another writer.
func (im *importer) add(ctx context.Context, events []Item) error {
	for try := 1; len(events) > 0; try++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if try > triesMax {
			return fmt.Errorf("%w: somebody else keeps writing to stream %s; stop that writer and import again, "+
				"events that are in are left out", journal.ErrConflict, events[0].Stream)
		}
		var refused []Item
		for len(events) > 0 {
			units, rest, err := im.plan(ctx, events)
			if err != nil {
				return err
			}
			again, err := im.commit(ctx, units)
			if err != nil {
				return err
			}
			refused, events = append(refused, again...), rest
		}
		events = refused
	}
	return nil
}

// plan makes units of events, in their order, and leaves out what is in the journal. It stops at what one commit takes
// and returns the rest.
func (im *importer) plan(ctx context.Context, events []Item) (units []journal.Unit, rest []Item, err error) {
	bytes := 0
	for i := range events {
		e := &events[i]
		s, err := im.stream(ctx, e.Stream)
		if err != nil {
			return nil, nil, err
		}
		if s.has(e.Event.ID) {
			im.result.Duplicates++
			continue
		}
		if last := lastAppend(units); last != nil && last.Stream == e.Stream &&
			len(last.Events) < unitEvents && bytes+e.size() <= unitBytes {
			last.Events = append(last.Events, e.Event)
			bytes += e.size()
		} else {
			if len(units) == chunkUnits {
				return units, events[i:], nil
			}
			units = append(units, journal.Unit{Appends: []journal.Append{{
				Stream: e.Stream, Expect: journal.Exactly(s.version), Events: []journal.EventData{e.Event},
			}}})
			bytes = e.size()
		}
		im.streams.add(s, e.Event.ID)
	}
	return units, nil, nil
}

func lastAppend(units []journal.Unit) *journal.Append {
	if len(units) == 0 {
		return nil
	}
	return &units[len(units)-1].Appends[0]
}

// commit writes the units, whatever happens to ctx meanwhile, and returns the events of those that met another writer.
func (im *importer) commit(ctx context.Context, units []journal.Unit) (again []Item, err error) {
	if len(units) == 0 {
		return nil, nil
	}
	outcomes, err := im.journal.CommitMany(context.WithoutCancel(ctx), units)
	if err != nil {
		return nil, err
	}
	for i := range outcomes {
		a := &units[i].Appends[0]
		switch err := outcomes[i].Err; {
		case err == nil && im.streams.isLost(a.Stream):
			return nil, fmt.Errorf("%w: somebody else wrote to stream %s during the import, and later events of the "+
				"log came in before earlier ones; import into another journal while nobody else writes to it",
				journal.ErrConflict, a.Stream)
		case err == nil:
			im.count(&outcomes[i].Result, len(a.Events))
		case errors.Is(err, journal.ErrConflict), errors.Is(err, journal.ErrIDReused):
			im.streams.lose(a.Stream)
			for k := range a.Events {
				again = append(again, Item{a.Stream, a.Events[k]})
			}
		default:
			return nil, fmt.Errorf("append %s: %w", a.Stream, err)
		}
	}
	im.streams.forgetLost()
	return again, nil
}

func (im *importer) count(r *journal.Result, events int) {
	if r.Duplicate {
		im.result.Duplicates += int64(events)
		return
	}
	im.result.New += int64(events)
	im.result.Position = max(im.result.Position, r.Position)
}

// stream returns what is known of a stream, and asks the journal for one that was not met yet.
func (im *importer) stream(ctx context.Context, name journal.Stream) (*stream, error) {
	if s := im.streams.get(name); s != nil {
		return s, nil
	}
	s := im.streams.put(name)
	if im.empty && im.streams.complete {
		return s, nil
	}
	for e, err := range im.journal.ReadStream(ctx, name, nil) {
		if err != nil {
			im.streams.lose(name)
			im.streams.forgetLost()
			return nil, err
		}
		im.streams.add(s, e.ID)
	}
	return s, nil
}
