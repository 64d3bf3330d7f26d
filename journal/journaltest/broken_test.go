// SPDX-License-Identifier: Apache-2.0

// A store to set faults in.

package journaltest

import (
	"context"
	"slices"
	"sync"

	"example.com/vidimus/journal"
)

// broken passes everything on to a sound store, but for what is set.
type broken struct {
	journal.Store
	mu         sync.Mutex
	commits    int
	commit     func(b *broken, ctx context.Context, units []*journal.Unit) ([]journal.Outcome, error)
	head       func(b *broken, ctx context.Context) (journal.Checkpoint, error)
	read       func(b *broken, ctx context.Context, q journal.Query) (journal.Page, error)
	readStream func(b *broken, ctx context.Context, q journal.StreamQuery) ([]journal.Event, error)
	record     func(b *broken, ctx context.Context, kind, key string) (journal.Record, error)
	records    func(b *broken, ctx context.Context, q journal.RecordQuery) ([]journal.Record, error)
	wait       func(b *broken, ctx context.Context, after journal.Position) error
	renew      func(b *broken, ctx context.Context) (journal.Checkpoint, error)
	stale      journal.Checkpoint
}

// breaks returns a wrap that sets a fault.
func breaks(set func(b *broken)) func(journal.Store) journal.Store {
	return func(s journal.Store) journal.Store {
		b := &broken{Store: s}
		set(b)
		return b
	}
}

func (b *broken) Commit(ctx context.Context, units []*journal.Unit) ([]journal.Outcome, error) {
	if b.commit == nil {
		return b.Store.Commit(ctx, units)
	}
	return b.commit(b, ctx, units)
}

func (b *broken) Head(ctx context.Context) (journal.Checkpoint, error) {
	if b.head == nil {
		return b.Store.Head(ctx)
	}
	return b.head(b, ctx)
}

func (b *broken) Read(ctx context.Context, q journal.Query) (journal.Page, error) {
	if b.read == nil {
		return b.Store.Read(ctx, q)
	}
	return b.read(b, ctx, q)
}

func (b *broken) ReadStream(ctx context.Context, q journal.StreamQuery) ([]journal.Event, error) {
	if b.readStream == nil {
		return b.Store.ReadStream(ctx, q)
	}
	return b.readStream(b, ctx, q)
}

func (b *broken) Record(ctx context.Context, kind, key string) (journal.Record, error) {
	if b.record == nil {
		return b.Store.Record(ctx, kind, key)
	}
	return b.record(b, ctx, kind, key)
}

func (b *broken) Records(ctx context.Context, q journal.RecordQuery) ([]journal.Record, error) {
	if b.records == nil {
		return b.Store.Records(ctx, q)
	}
	return b.records(b, ctx, q)
}

func (b *broken) Wait(ctx context.Context, after journal.Position) error {
	if b.wait == nil {
		return b.Store.Wait(ctx, after)
	}
	return b.wait(b, ctx, after)
}

func (b *broken) Renew(ctx context.Context) (journal.Checkpoint, error) {
	if b.renew == nil {
		return b.Store.Renew(ctx)
	}
	return b.renew(b, ctx)
}

// each changes every unit before it is committed.
func each(change func(u *journal.Unit)) func(journal.Store) journal.Store {
	return breaks(func(b *broken) {
		b.commit = func(b *broken, ctx context.Context, units []*journal.Unit) ([]journal.Outcome, error) {
			changed := make([]*journal.Unit, len(units))
			for i, u := range units {
				c := *u
				c.Appends, c.Records = slices.Clone(u.Appends), slices.Clone(u.Records)
				for k := range c.Appends {
					c.Appends[k].Events = slices.Clone(c.Appends[k].Events)
				}
				change(&c)
				changed[i] = &c
			}
			return b.Store.Commit(ctx, changed)
		}
	})
}
