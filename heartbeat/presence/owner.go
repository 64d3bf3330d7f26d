// SPDX-License-Identifier: Apache-2.0

// The owner: who is tracked, and what beats do to them.

package presence

import (
	"context"
	"hash/maphash"
	"io"
	"log/slog"
	"math"
	"sync/atomic"
	"time"

	"example.com/vidimus/internal/clock"
)

// Config configures an [Owner]. Only Expire is needed.
type Config struct {
	// Expire ends sessions that were silent for longer than their idle limit: at most Batch of them, in no order. Nil
	// means that all are settled, whether they were ended now or had ended before; they are forgotten. An error means
	// that all will be tried again, in smaller batches, those excepted which are heard meanwhile; so a session may be
	// given to Expire twice. It is called by Run, one call at a time, and its context ends after 30 seconds.
	Expire func(ctx context.Context, sessions []Expired) error

	Tick     time.Duration // how often Run looks; at least 100ms
	Interval time.Duration // how often sessions that live beat at least
	Grace    time.Duration // after Run began, nobody expires for so long; default 2 Intervals
	Stall    time.Duration // a tick that is later than this freezes expiry

	// HoldShare of the tracked sessions, but at least HoldMin, may expire within one Interval. More are held.
	HoldShare float64
	HoldMin   int
	// HoldFor is how long a session is held at most, while others are heard as usual; default 1h. See the package's doc.
	HoldFor time.Duration
	// Held is told when a hold begins and when it ends; nil to log it. Run calls it, so it must not wait.
	Held func(Hold)

	Batch int // sessions in one call of Expire
	Limit int // sessions tracked at once; Track refuses more

	// Save, if not nil, is called every SaveEvery (default 10s) and when Run ends, to keep what w writes where the next
	// owner finds it for [Owner.ReadFrom]. A failure is logged and the next call is the next try.
	Save      func(ctx context.Context, w io.WriterTo) error
	SaveEvery time.Duration

	Logger *slog.Logger // nil for none
}

// Hold is told to [Config.Held].
type Hold struct {
	On      bool // whether it begins or ends
	Due     int  // sessions whose time is up and that are held
	Tracked int  // of so many
}

// Owner knows when each session was last heard. Goroutines may share it.
type Owner struct {
	cfg     Config
	seed    maphash.Seed
	started time.Time
	shards  [shardCount]*shard
	tracked atomic.Int64
	state   atomic.Int32 // of Run
	release atomic.Bool
	wake    chan struct{} // sessions wait for Expire
	round   round         // what only the ticking goroutine touches
	counts  counts
}

// counts are what Stats tells beyond what the shards know.
type counts struct {
	beats, unknown, expired, recovered, stalls, failures, refused atomic.Uint64
	due, waiting, lastTick                                        atomic.Int64
	frozen, held                                                  atomic.Bool

	// During a hold: how many sessions were heard or tracked since a tick, each counted once.
	listening atomic.Uint32
	heard     atomic.Int64
}

// The states of Run.
const (
	notRun int32 = iota
	running
	stopped
)

// Stats is what an owner looks like at one moment, roughly: its fields are read one after another.
type Stats struct {
	Tracked   int // sessions
	Due       int // sessions whose time is up, held or frozen
	Waiting   int // sessions that wait for Expire
	Beats     uint64
	Unknown   uint64 // beats of sessions that are not tracked
	Expired   uint64
	Recovered uint64 // sessions heard again after their time was up
	Refused   uint64 // sessions that Track refused with ErrFull
	Stalls    uint64 // late ticks
	Failures  uint64 // of Expire
	Frozen    bool   // nobody expires, for a while
	Held      bool   // too many fell silent at once, and are held
	LastTick  time.Duration
}

// Open returns an owner that tracks nobody yet. It returns an [*InvalidError] for a Config that makes no sense. Track
// the sessions that live, then call Run; beats are taken from the start.
func Open(cfg Config) (*Owner, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	o := &Owner{cfg: cfg, seed: maphash.MakeSeed(), started: clock.Now(), wake: make(chan struct{}, 1)}
	if cfg.Held == nil {
		o.cfg.Held = o.logHold
	}
	o.round.valve = valve{
		share: cfg.HoldShare, least: cfg.HoldMin, recent: make([]int, o.ticks(cfg.Interval)), gap: 2 * o.ticks(cfg.Interval),
	}
	for i := range o.shards {
		o.shards[i] = newShard(o.now())
	}
	return o, nil
}

func (c *Config) complete() error {
	setDefault(&c.Tick, DefaultTick)
	setDefault(&c.Interval, DefaultInterval)
	setDefault(&c.Grace, 2*c.Interval)
	setDefault(&c.Stall, DefaultStall)
	setDefault(&c.SaveEvery, 10*time.Second)
	setDefault(&c.HoldShare, DefaultHoldShare)
	setDefault(&c.HoldMin, DefaultHoldMin)
	setDefault(&c.HoldFor, DefaultHoldFor)
	setDefault(&c.Batch, DefaultBatch)
	setDefault(&c.Limit, DefaultLimit)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	const longest = 24 * time.Hour
	switch {
	case c.Expire == nil:
		return invalid("Expire", "is missing; it ends the sessions that fell silent")
	case c.Tick < 100*time.Millisecond || c.Tick > time.Minute:
		return invalid("Tick", "is %v; give 100ms to 1m", c.Tick)
	case c.Interval < c.Tick || c.Interval > time.Hour:
		return invalid("Interval", "is %v; give from one Tick (%v) to 1h", c.Interval, c.Tick)
	case c.Grace < 0 || c.Grace > longest:
		return invalid("Grace", "is %v; give at most %v", c.Grace, longest)
	case c.Stall < 0 || c.Stall > longest:
		return invalid("Stall", "is %v; give at most %v", c.Stall, longest)
	case c.SaveEvery < c.Tick:
		return invalid("SaveEvery", "is %v; give at least one Tick (%v)", c.SaveEvery, c.Tick)
	case !(c.HoldShare > 0 && c.HoldShare <= 1):
		return invalid("HoldShare", "is %v; give more than 0 and at most 1", c.HoldShare)
	case c.HoldFor < c.Interval || c.HoldFor > MaxIdle:
		return invalid("HoldFor", "is %v; give from one Interval (%v) to %v", c.HoldFor, c.Interval, MaxIdle)
	case c.HoldMin < 0:
		return invalid("HoldMin", "is %d; give 1 or more", c.HoldMin)
	case c.Batch < 0 || c.Batch > MaxBatch:
		return invalid("Batch", "is %d; give 1 to %d", c.Batch, MaxBatch)
	case c.Limit < 0 || c.Limit > math.MaxInt32:
		return invalid("Limit", "is %d; give 1 to %d", c.Limit, math.MaxInt32)
	}
	return nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Track counts a session as alive from now on, with its own idle limit. Tracking it again is a beat, and changes its
// limit. It returns [ErrFull], or an [*InvalidError] for a limit that is not positive or above [MaxIdle].
//
// What is tracked before Run lived before this owner did: it gets its whole limit and up to a quarter more, so that
// those who left meanwhile do not all fall due at one moment, which would look as if beats were lost.
func (o *Owner) Track(id ID, idle time.Duration) error {
	if idle <= 0 || idle > MaxIdle {
		return invalid("idle", "limit of session %v is %v; give more than 0 and at most %v", id, idle, MaxIdle)
	}
	if o.tracked.Add(1) > int64(o.cfg.Limit) {
		if !o.known(id) {
			o.tracked.Add(-1)
			o.counts.refused.Add(1)
			return ErrFull
		}
	}
	s, h := o.shard(&id)
	heard, ticks := o.now(), o.ticks(idle)
	if o.state.Load() == notRun {
		heard += tick(h>>32) % (ticks/4 + 1)
	}
	s.Lock()
	isNew := s.track(id, h, heard, ticks)
	s.Unlock()
	switch {
	case !isNew:
		o.tracked.Add(-1)
	case o.counts.listening.Load() != 0:
		o.counts.heard.Add(1)
	}
	return nil
}

func (o *Owner) known(id ID) bool {
	s, h := o.shard(&id)
	s.Lock()
	defer s.Unlock()
	_, ok := s.find(&id, h)
	return ok
}

// Forget stops tracking a session, because it ended otherwise. Its beats are unknown from then on.
func (o *Owner) Forget(id ID) {
	s, h := o.shard(&id)
	s.Lock()
	i, ok := s.find(&id, h)
	if ok {
		s.remove(i, h)
	}
	s.Unlock()
	if ok {
		o.tracked.Add(-1)
	}
}

// Beats notes that sessions were heard. Beats of sessions that are not tracked are counted and change nothing: a
// session that has just begun is tracked with its full limit anyway. The only error is [ErrStopped], so an owner in
// the same process is a Send for a [Batcher].
func (o *Owner) Beats(_ context.Context, beats []Beat) error {
	if o.state.Load() == stopped {
		return ErrStopped
	}
	now, since := o.now(), tick(o.counts.listening.Load())
	unknown, first := 0, 0
	for i := range beats {
		b := &beats[i]
		s, h := o.shard(&b.ID)
		heard := now
		if b.Age >= o.cfg.Tick {
			heard -= tick(min(b.Age/o.cfg.Tick, time.Duration(farPast)))
		}
		s.Lock()
		if j, ok := s.find(&b.ID, h); ok {
			sl := s.at(j)
			if since != 0 && sl.last < since && heard >= since {
				first++
			}
			sl.last = max(sl.last, heard)
		} else {
			unknown++
		}
		s.Unlock()
	}
	o.counts.beats.Add(uint64(len(beats)))
	o.counts.unknown.Add(uint64(unknown))
	if first > 0 {
		o.counts.heard.Add(int64(first))
	}
	return nil
}

// Release ends a hold at the next tick: what is held by then is given to Expire, once expiry is not frozen. It reports
// whether there is a hold; without one it does nothing. It is for a person who looked and found that the sessions are
// really gone. Whoever falls due afterwards is judged anew, and may be held again.
func (o *Owner) Release() (held bool) {
	held = o.counts.held.Load()
	if held {
		o.release.Store(true)
	}
	return held
}

// Stats returns what the owner looks like now.
func (o *Owner) Stats() Stats {
	c := &o.counts
	return Stats{
		Tracked: int(o.tracked.Load()), Due: int(c.due.Load()), Waiting: int(c.waiting.Load()),
		Beats: c.beats.Load(), Unknown: c.unknown.Load(), Expired: c.expired.Load(), Recovered: c.recovered.Load(),
		Refused: c.refused.Load(), Stalls: c.stalls.Load(), Failures: c.failures.Load(),
		Frozen: c.frozen.Load(), Held: c.held.Load(), LastTick: time.Duration(c.lastTick.Load()),
	}
}

// shard finds the shard of an id and its hash. The hash has a seed of its own, so that nobody can choose ids that meet.
func (o *Owner) shard(id *ID) (*shard, uint64) {
	h := maphash.Bytes(o.seed, id[:])
	return o.shards[h>>(64-shardBits)], h
}

// now is the tick that runs.
func (o *Owner) now() tick { return o.at(clock.Since(o.started)) }

func (o *Owner) at(elapsed time.Duration) tick { return firstTick + tick(elapsed/o.cfg.Tick) }

// ticks rounds up.
func (o *Owner) ticks(d time.Duration) tick { return tick((d + o.cfg.Tick - 1) / o.cfg.Tick) }

// timeOf says when a tick began, or will begin.
func (o *Owner) timeOf(t tick) time.Time {
	return o.started.Add((time.Duration(t) - time.Duration(firstTick)) * o.cfg.Tick)
}
