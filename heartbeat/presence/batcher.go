// SPDX-License-Identifier: Apache-2.0

// The batcher: an edge's side, between requests and the owner.

package presence

import (
	"context"
	"errors"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"example.com/vidimus/internal/chance"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/internal/outage"
)

// BatcherConfig configures a [Batcher]. Only Send is needed.
type BatcherConfig struct {
	// Send gives one batch to the owner, over whatever lies between. It is called by Run, one call at a time, with a
	// context that ends after Timeout. After an error the beats are kept and sent again, with their true age.
	Send func(ctx context.Context, beats []Beat) error

	Every   time.Duration // how often to send; default 1s
	Timeout time.Duration // of one Send; default 10s
	Batch   int           // beats in one batch; default 1,000, at most MaxBatch
	// Limit is how many sessions may wait at once; default 1,000,000. A beat above it is dropped and counted: the session
	// is not lost by that, but by its idle limit, if all its beats are dropped for so long.
	Limit int
	// Logger is told when Send begins to fail, each minute that it goes on, and when it works again; nil for nobody.
	Logger *slog.Logger
}

// BatcherStats is what a batcher did so far, and holds.
type BatcherStats struct {
	Waiting  int // sessions noted and not sent yet
	Sent     uint64
	Batches  uint64
	Failures uint64 // of Send
	Dropped  uint64 // beats above Limit
}

// Batcher notes beats and sends them in batches, each session once a period however often it was heard. Goroutines may
// share it.
type Batcher struct {
	cfg    BatcherConfig
	seed   maphash.Seed
	period atomic.Uint64
	noted  []atomic.Uint64 // what was noted last, by hash: spares most beats the lock
	shards [shardCount]pending
	began  atomic.Bool
	late   map[ID]time.Time // what could not be sent, and when it was heard at the latest; Run's alone
	counts struct {
		waiting, late                    atomic.Int64
		sent, batches, failures, dropped atomic.Uint64
	}
}

// pending is a set of sessions heard in this period.
type pending struct {
	sync.Mutex
	ids map[ID]struct{}
	_   [40]byte // a cache line of its own
}

const notedSize = 1 << 14

// OpenBatcher returns a batcher. It returns an [*InvalidError] for a config that makes no sense.
func OpenBatcher(cfg BatcherConfig) (*Batcher, error) {
	setDefault(&cfg.Every, time.Second)
	setDefault(&cfg.Timeout, 10*time.Second)
	setDefault(&cfg.Batch, 1000)
	setDefault(&cfg.Limit, 1_000_000)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case cfg.Send == nil:
		return nil, invalid("Send", "is missing; it gives a batch to the owner")
	case cfg.Every < 0 || cfg.Every > time.Minute:
		return nil, invalid("Every", "is %v; give at most 1m", cfg.Every)
	case cfg.Timeout < 0:
		return nil, invalid("Timeout", "is %v; give more than 0", cfg.Timeout)
	case cfg.Batch < 0 || cfg.Batch > MaxBatch:
		return nil, invalid("Batch", "is %d; give 1 to %d", cfg.Batch, MaxBatch)
	case cfg.Limit < 0:
		return nil, invalid("Limit", "is %d; give 1 or more", cfg.Limit)
	}
	b := &Batcher{
		cfg: cfg, seed: maphash.MakeSeed(), noted: make([]atomic.Uint64, notedSize), late: map[ID]time.Time{},
	}
	for i := range b.shards {
		b.shards[i].ids = map[ID]struct{}{}
	}
	return b, nil
}

// Beat notes that a session was heard now. It neither waits for the owner nor fails.
func (b *Batcher) Beat(id ID) {
	h := maphash.Bytes(b.seed, id[:])
	// A mark is the hash, varied by the period. Two sessions with one hash of 64 bits would share a beat, in one period.
	mark := h + b.period.Load()*0x9e3779b97f4a7c15
	note := &b.noted[h%notedSize]
	if note.Load() == mark {
		return
	}
	s := &b.shards[h>>(64-shardBits)]
	s.Lock()
	_, there := s.ids[id]
	switch {
	case there:
	case b.counts.waiting.Load() >= int64(b.cfg.Limit):
		b.counts.dropped.Add(1)
	default:
		s.ids[id] = struct{}{}
		b.counts.waiting.Add(1)
	}
	s.Unlock()
	note.Store(mark)
}

// Stats returns what the batcher did so far.
func (b *Batcher) Stats() BatcherStats {
	c := &b.counts
	return BatcherStats{
		Waiting: int(c.waiting.Load() + c.late.Load()), Sent: c.sent.Load(), Batches: c.batches.Load(),
		Failures: c.failures.Load(), Dropped: c.dropped.Load(),
	}
}

// Run sends what was noted until ctx ends, then sends a last time, and returns nil. While Send fails it waits longer
// between its tries, up to 30 seconds. It returns an error if it was called before.
//
// What is sent never makes a session older than it is, and younger by no more than Every and the time that Send took.
func (b *Batcher) Run(ctx context.Context) error {
	if !b.began.CompareAndSwap(false, true) {
		return errors.New("presence: Run was called before; open another batcher")
	}
	var backoff time.Duration
	var told outage.Outage
	try := clock.Now()
	for clock.Sleep(ctx, b.cfg.Every) == nil {
		b.gather()
		if clock.Until(try) > 0 {
			continue
		}
		err := b.flush(ctx)
		switch {
		case err == nil:
			backoff = 0
			if told.Works() {
				b.cfg.Logger.Info("presence: beats are sent again")
			}
		case ctx.Err() == nil:
			backoff = min(max(2*backoff, 2*b.cfg.Every), lastBackoff)
			try = clock.Now().Add(chance.Jitter(backoff))
			if told.Failed("") {
				b.cfg.Logger.Warn("presence: beats could not be sent and are kept", "sessions", b.Stats().Waiting,
					"attempts", told.Failures(), "error", err)
			}
		}
	}
	b.gather()
	if err := b.flush(context.WithoutCancel(ctx)); err != nil {
		b.cfg.Logger.Warn("presence: the last beats were not sent", "sessions", b.Stats().Waiting, "error", err)
	}
	return nil
}

// flush sends all that was gathered. It stops at the first error.
func (b *Batcher) flush(ctx context.Context) error {
	batch := make([]Beat, 0, min(b.cfg.Batch, len(b.late)))
	for len(b.late) > 0 {
		now := clock.Now()
		batch = batch[:0]
		for id, heard := range b.late {
			if len(batch) == b.cfg.Batch {
				break
			}
			batch = append(batch, Beat{ID: id, Age: now.Sub(heard)})
		}
		if err := b.send(ctx, batch); err != nil {
			b.counts.failures.Add(1)
			return err
		}
		for i := range batch {
			delete(b.late, batch[i].ID)
		}
		b.counts.sent.Add(uint64(len(batch)))
		b.counts.batches.Add(1)
		b.counts.late.Store(int64(len(b.late)))
	}
	return nil
}

func (b *Batcher) send(ctx context.Context, batch []Beat) error {
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Timeout)
	defer cancel()
	return b.cfg.Send(ctx, batch)
}

// gather ends a period. A beat that saw its mark from this period is one that gather takes, or took: so the period ends
// after the sets were emptied, and the time of the beats is read after that.
func (b *Batcher) gather() {
	var taken [shardCount]map[ID]struct{}
	for i := range b.shards {
		s := &b.shards[i]
		s.Lock()
		taken[i] = s.ids
		s.ids = make(map[ID]struct{}, len(s.ids))
		s.Unlock()
		b.counts.waiting.Add(-int64(len(taken[i])))
	}
	b.period.Add(1)
	heard := clock.Now()
	for _, ids := range taken {
		for id := range ids {
			if _, there := b.late[id]; !there && len(b.late) >= b.cfg.Limit {
				b.counts.dropped.Add(1)
				continue
			}
			b.late[id] = heard
		}
	}
	b.counts.late.Store(int64(len(b.late)))
}
