// SPDX-License-Identifier: Apache-2.0

// Package journal keeps everything that happened, once, in one order, and lets many readers follow it.
//
// A journal is a series of events. Each belongs to a [Stream], has a [Version] in it, 1, 2, 3 and so on, and a
// [Position] in the journal. Positions rise in the order of commits: whoever has read up to P has seen everything
// that ever will be at or before P. So a reader needs no more than "after P, please".
//
// Everything is written through one primitive, [Log.Commit]: a [Unit] checks fences, versions, conditions and
// records, then appends events and puts records, all or nothing. The answer comes when the unit is durable.
// Many callers share one write to disk.
//
// A commit can be repeated: when the answer was lost, commit the same unit with the same event ids again. If it had
// been written, the first result comes back, marked Duplicate, whatever the unit expects of its streams. A unit is
// recognised by its events' ids, as long as the last of them is among the last 1,000 events of its stream.
//
// Open a journal with one of the packages below: journal/sqlite for one process, journal/postgres for several, and
// journal/mem for tests.
package journal

import (
	"context"
	"errors"
	"fmt"
)

// Window is how many events of a stream are searched for the last event of an append, to recognise a retry.
const Window = 1000

// maxMany bounds the units of one [Log.CommitMany].
const maxMany = 1000

// Log is an open journal. Goroutines may share it.
type Log struct {
	store Store
	queue queue
}

// New returns a log on a store, which it closes in [Log.Close]. Applications call Open of a database's package.
func New(s Store) *Log {
	l := &Log{store: s}
	l.queue.store = s
	return l
}

// Store returns the database underneath, for the packages that implement it.
func (l *Log) Store() Store { return l.store }

// Commit writes a unit and answers when it is durable. The unit must not be changed until then, nor after an error
// that is [ErrUncertain]. It returns [ErrInvalid], [ErrConflict], [ErrCondition], [ErrFenced], [ErrIDReused],
// [ErrOverloaded], [ErrUnavailable], [ErrClosed] or the error of ctx when nothing was written, and [ErrUncertain]
// when that is not known.
func (l *Log) Commit(ctx context.Context, u Unit) (Result, error) {
	if err := u.Validate(); err != nil {
		return Result{}, err
	}
	return l.queue.commit(ctx, &u)
}

// CommitMany commits units as if each were given to [Log.Commit] just before the next, and answers with one outcome for
// each: a unit that is refused does not touch the others. A caller with many units waits once for many of them, and
// their events stand in the journal in the order of the units. It takes 1,000 units at most. It returns [ErrInvalid]
// for the first unit that breaks a rule, [ErrOverloaded], [ErrClosed] or the error of ctx when nothing was written.
func (l *Log) CommitMany(ctx context.Context, units []Unit) ([]Outcome, error) {
	if len(units) > maxMany {
		return nil, invalid("units", "are %d, at most %d are taken at once; split them", len(units), maxMany)
	}
	many := make([]*Unit, len(units))
	for i := range units {
		if err := units[i].Validate(); err != nil {
			return nil, fmt.Errorf("units[%d]: %w", i, err)
		}
		many[i] = &units[i]
	}
	return l.queue.commitMany(ctx, many)
}

// Append appends events to one stream, as [Log.Commit] does. Events without an id get one, in place: repeat the call
// with the same slice to retry.
func (l *Log) Append(ctx context.Context, s Stream, e Expect, events ...EventData) (Result, error) {
	for i := range events {
		if events[i].ID == (ID{}) {
			events[i].ID = NewID()
		}
	}
	return l.Commit(ctx, Unit{Appends: []Append{{Stream: s, Expect: e, Events: events}}})
}

// Head returns the end of the journal, as a reader that has seen everything would remember it. It covers every
// commit that was answered, by any node, before the call. It returns [ErrUnavailable] or the error of ctx.
func (l *Log) Head(ctx context.Context) (Checkpoint, error) { return l.store.Head(ctx) }

// Record returns a record, or [ErrNotFound]. It returns [ErrInvalid], [ErrUnavailable] or the error of ctx as well.
func (l *Log) Record(ctx context.Context, kind, key string) (Record, error) {
	if err := checkName("kind", kind); err != nil {
		return Record{}, err
	}
	if err := checkName("key", key); err != nil {
		return Record{}, err
	}
	return l.store.Record(ctx, kind, key)
}

// Records returns records of one kind, [MaxPage] or q.Limit at most, whichever is less: in the order of their keys,
// or of their due times where q.DueBy is set. It returns [ErrInvalid], [ErrUnavailable] or the error of ctx.
func (l *Log) Records(ctx context.Context, q RecordQuery) ([]Record, error) {
	if err := q.validate(); err != nil {
		return nil, err
	}
	return l.store.Records(ctx, q)
}

// Stat counts what the journal holds. It may read all of it.
func (l *Log) Stat(ctx context.Context) (Stat, error) { return l.store.Stat(ctx) }

// Verify reads the whole journal and reports each promise it finds broken, 100 at most. It calls progress, if that
// is not nil, now and then with the position it has reached.
func (l *Log) Verify(ctx context.Context, progress func(Position)) ([]string, error) {
	return l.store.Verify(ctx, progress)
}

// Renew gives the journal its next epoch. Call it after a restore from a backup, before anything else writes:
// readers that had seen more than was restored then stop with [ErrDiverged] instead of skipping events in silence.
func (l *Log) Renew(ctx context.Context) (Checkpoint, error) { return l.store.Renew(ctx) }

// Close refuses further commits and releases the database. Commits under way may return [ErrClosed]. Twice is fine.
func (l *Log) Close() error {
	l.queue.close()
	if err := l.store.Close(); err != nil && !errors.Is(err, ErrClosed) {
		return err
	}
	return nil
}
