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
	reading, stop := context.WithCancel(ctx)
	defer stop()
	chunks := make(chan chunk, 1)
	go func() {
		defer close(chunks)
		read(reading, events, chunks)
	}()
	im := &importer{journal: j, streams: newMemory()}
	err := im.start(ctx)
	for c := range chunks {
		if err == nil && len(c.events) > 0 {
			err = im.add(ctx, c.events)
		}
		if err == nil && progress != nil {
			progress(im.result)
		}
		if err == nil {
			err = c.err
		}
		if err != nil {
			stop() // and drain what the reader still hands over
		}
	}
	if err == nil {
		err = ctx.Err()
	}
	return im.result, err
}

// item is one event and the stream it belongs to.
type item struct {
	stream journal.Stream
	event  journal.EventData
}

func (i *item) size() int { return len(i.event.Data) + len(i.event.Meta) }

// chunk is what is committed together; an error comes after its events.
type chunk struct {
	events []item
	err    error
}

// read hands over the events in chunks. The last one may have an error.
func read(ctx context.Context, events iter.Seq2[eventlog.Record, error], to chan<- chunk) {
	var c chunk
	bytes, count := 0, 0
	for rec, err := range events {
		count++
		var next item
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
			c, bytes = chunk{events: make([]item, 0, chunkEvents)}, 0
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
func itemOf(rec *eventlog.Record, count int) (item, error) {
	id, err := journal.ParseID(rec.ID)
	if err != nil {
		return item{}, fmt.Errorf("event %d: %w", count, err)
	}
	i := item{stream: journal.Stream(rec.Stream), event: journal.EventData{
		ID: id, Type: rec.Type, Schema: rec.Schema, Time: rec.Time, Data: rec.Data, Meta: rec.Meta, Tags: rec.Tags,
	}}
	u := journal.Unit{Appends: []journal.Append{{Stream: i.stream, Events: []journal.EventData{i.event}}}}
	if err := u.Validate(); err != nil {
		return item{}, fmt.Errorf("event %d, of stream %s: %w", count, i.stream, err)
	}
	i.event = u.Appends[0].Events[0]
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
func (im *importer) add(ctx context.Context, events []item) error {
	for try := 1; len(events) > 0; try++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if try > triesMax {
			return fmt.Errorf("%w: somebody else keeps writing to stream %s; stop that writer and import again, "+
				"events that are in are left out", journal.ErrConflict, events[0].stream)
		}
		var refused []item
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
func (im *importer) plan(ctx context.Context, events []item) (units []journal.Unit, rest []item, err error) {
	bytes := 0
	for i := range events {
		e := &events[i]
		s, err := im.stream(ctx, e.stream)
		if err != nil {
			return nil, nil, err
		}
		if s.has(e.event.ID) {
			im.result.Duplicates++
			continue
		}
		if last := lastAppend(units); last != nil && last.Stream == e.stream &&
			len(last.Events) < unitEvents && bytes+e.size() <= unitBytes {
			last.Events = append(last.Events, e.event)
			bytes += e.size()
		} else {
			if len(units) == chunkUnits {
				return units, events[i:], nil
			}
			units = append(units, journal.Unit{Appends: []journal.Append{{
				Stream: e.stream, Expect: journal.Exactly(s.version), Events: []journal.EventData{e.event},
			}}})
			bytes = e.size()
		}
		im.streams.add(s, e.event.ID)
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
func (im *importer) commit(ctx context.Context, units []journal.Unit) (again []item, err error) {
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
				again = append(again, item{a.Stream, a.Events[k]})
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
