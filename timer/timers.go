// SPDX-License-Identifier: Apache-2.0

// The timers of a journal: opening and listing them.

package timer

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"example.com/vidimus/journal"
)

// Lease is the right to fire the timers of a key, as package lease and others give it.
type Lease interface {
	// Context ends with the right.
	Context() context.Context
	// Fence proves it in the unit of a write.
	Fence() journal.Fence
}

// Config configures [Timers].
type Config struct {
	// Owner says whether this process fires the timers of a key, and under which lease. It must be quick, and must give
	// the same key to one process at a time. Nil means that this process alone fires all timers, without a fence.
	Owner func(key string) (Lease, bool)
	// Poll is how often to look for timers that were set for a moment close by, 1 ms to 1 minute. A timer is up to that
	// much late when it is set for a moment closer than that; one set earlier is in time. Each look reads one page of
	// timers. 0 stands for 500 ms; where months are simulated, a minute saves most of the work.
	Poll time.Duration
	// Concurrency is how many timers fire at once, at most [Lanes]. 0 stands for 16.
	Concurrency int
	// Timeout is how long a handler has. 0 stands for one minute.
	Timeout time.Duration
	// RetryMin and RetryMax bound the pause before a timer whose handler failed is tried again. It doubles with each
	// failure. 0 stands for one second, and for five minutes.
	RetryMin, RetryMax time.Duration
	// Logger is told of what nobody is there to return to. Nil for nobody.
	Logger *slog.Logger
}

// Timers are those of one journal. Goroutines may share it.
type Timers struct {
	log *journal.Log
	cfg Config
}

// Open returns the timers of a journal, or [journal.ErrInvalid] for a bad field. There is nothing to close.
func Open(log *journal.Log, cfg Config) (*Timers, error) {
	for _, d := range []struct {
		field    string
		value    *time.Duration
		standard time.Duration
		min, max time.Duration
	}{
		{"poll", &cfg.Poll, 500 * time.Millisecond, time.Millisecond, time.Minute},
		{"timeout", &cfg.Timeout, time.Minute, time.Millisecond, 24 * time.Hour},
		{"retry min", &cfg.RetryMin, time.Second, time.Millisecond, 24 * time.Hour},
		{"retry max", &cfg.RetryMax, max(5*time.Minute, cfg.RetryMin), max(time.Second, cfg.RetryMin), 24 * time.Hour},
	} {
		if *d.value == 0 {
			*d.value = d.standard
		}
		if *d.value < d.min || *d.value > d.max {
			return nil, invalid(d.field, "%v is out of range; use %v to %v", *d.value, d.min, d.max)
		}
	}
	if cfg.Concurrency == 0 {
		cfg.Concurrency = 16
	}
	if cfg.Concurrency < 1 || cfg.Concurrency > Lanes {
		return nil, invalid("concurrency", "%d is out of range; use 1 to %d", cfg.Concurrency, Lanes)
	}
	if cfg.Logger == nil {
		cfg.Logger = discard()
	}
	return &Timers{log: log, cfg: cfg}, nil
}

func invalid(field, format string, args ...any) *journal.InvalidError {
	return &journal.InvalidError{Field: field, Problem: fmt.Sprintf(format, args...)}
}

// endOfTime is after every due time.
func endOfTime() time.Time { return time.Date(9999, time.December, 31, 23, 59, 59, 0, time.UTC) }

// List returns the timers that will be tried next, the earliest first: at most limit of those due by a time. A zero
// time is no bound; 0 and more than [journal.MaxPage] stand for that. It returns [journal.ErrUnavailable] or the error
// of ctx.
func (t *Timers) List(ctx context.Context, by time.Time, limit int) ([]Pending, error) {
	if by.IsZero() {
		by = endOfTime()
	}
	records, err := t.log.Records(ctx, journal.RecordQuery{Kind: Kind, DueBy: by, Limit: limit})
	if err != nil {
		return nil, err
	}
	out := make([]Pending, 0, len(records))
	for _, r := range records {
		p, cancelled, err := decode(r)
		if err != nil {
			return nil, err
		}
		if !cancelled {
			out = append(out, p)
		}
	}
	return out, nil
}

// Get returns a timer, or [journal.ErrNotFound] when there is none: it was never set, was completed or cancelled. Other
// errors are [journal.ErrUnavailable] and that of ctx.
func (t *Timers) Get(ctx context.Context, key string) (Pending, error) {
	r, err := t.log.Record(ctx, Kind, recordKey(key))
	if err != nil {
		return Pending{}, err
	}
	p, cancelled, err := decode(r)
	if err == nil && cancelled {
		return Pending{}, journal.ErrNotFound
	}
	return p, err
}

// Next returns the timer that will be tried next, or [journal.ErrNotFound] when there is none. Other errors are those
// of [Timers.List].
func (t *Timers) Next(ctx context.Context) (Pending, error) {
	list, err := t.List(ctx, time.Time{}, journal.MaxPage) // cancelled ones come first
	if err != nil {
		return Pending{}, err
	}
	if len(list) == 0 {
		return Pending{}, journal.ErrNotFound
	}
	return list[0], nil
}
