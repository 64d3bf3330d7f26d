// SPDX-License-Identifier: Apache-2.0

// The seam to databases.

package journal

import (
	"context"
	"time"
)

// Store is what a database must do to keep a journal. Applications use [Log] instead. Package journaltest holds the
// suite that every Store passes. All methods but Commit may be called from many goroutines at once; Commit is
// called by one at a time. Methods that can block end with their context, except where noted.
type Store interface {
	// Commit applies the units in their order and answers when they are durable, with one outcome for each: a unit
	// that fails its checks leaves no trace and does not touch the others. Later units see what earlier ones wrote.
	// An error means that no unit was applied ([ErrUnavailable]), or that this is not known ([ErrUncertain]).
	Commit(ctx context.Context, units []*Unit) ([]Outcome, error)
	// Head returns where the journal ends. It is linearizable: it covers every commit answered, by any node, before
	// the call began.
	Head(ctx context.Context) (Checkpoint, error)
	// Read returns a page of events in the order of the journal.
	Read(ctx context.Context, q Query) (Page, error)
	// ReadStream returns at most q.Limit events of one stream in the order of their versions.
	ReadStream(ctx context.Context, q StreamQuery) ([]Event, error)
	// Record returns a record, or [ErrNotFound].
	Record(ctx context.Context, kind, key string) (Record, error)
	// Records returns at most q.Limit records of one kind, by key, or by due time and key where q.DueBy is set.
	Records(ctx context.Context, q RecordQuery) ([]Record, error)
	// Wait returns when the journal may have an event after the position, or when ctx ends. It may return early.
	Wait(ctx context.Context, after Position) error
	// Stat counts what the journal holds. It may read all of it.
	Stat(ctx context.Context) (Stat, error)
	// Verify reads the whole journal, checks what it promises, and reports each breach, 100 at most. It calls
	// progress, if that is not nil, now and then with the position it has reached.
	Verify(ctx context.Context, progress func(Position)) ([]string, error)
	// Renew gives the journal its next epoch, to be called after a restore from a backup: checkpoints and positions
	// handed out before are no longer believed.
	Renew(ctx context.Context) (Checkpoint, error)
	// Close releases the store. Twice is fine.
	Close() error
}

// Outcome is what became of one unit.
type Outcome struct {
	Result Result
	Err    error
}

// Query chooses a page of the journal: events after After and before Before, in order or, with Backwards, the
// other way round. Before 0 is no bound. The page ends after Limit events, or earlier once their data exceeds
// Bytes, or after the store has looked at as many events as it likes to in one step.
type Query struct {
	After, Before Position
	Backwards     bool
	Filter        Filter
	Limit         int
	Bytes         int
}

// Page is a part of the journal. Every event of the query's range up to Through (down to Through, when read
// backwards) that fits the filter is in it.
type Page struct {
	Events []Event
	// Through is the position of the last event that was looked at, which may not fit the filter, or the end of the
	// range the query began at when there was none.
	Through Position
	// ThroughID is the id of the event at Through, zero when none was looked at.
	ThroughID ID
	// More says that the range had not ended there.
	More bool
}

// StreamQuery chooses events of one stream: versions after After and before Before; Before 0 is no bound.
type StreamQuery struct {
	Stream        Stream
	After, Before Version
	Backwards     bool
	Limit         int
}

// RecordQuery chooses records of one kind: those whose key begins with Prefix and sorts after After. Where DueBy is
// set, only records due at or before it, the earliest first, and After must be empty.
type RecordQuery struct {
	Kind   string
	Prefix string
	After  string
	DueBy  time.Time
	Limit  int
}

// Stat counts what a journal holds.
type Stat struct {
	// Backend names the database, with its version.
	Backend string
	Head    Checkpoint
	Events  int64
	Streams int64
	Records int64
	// Bytes is the space taken on disk, 0 where there is none.
	Bytes int64
}
