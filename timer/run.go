// SPDX-License-Identifier: Apache-2.0

// Firing what is due.

package timer

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"example.com/vidimus/internal/chance"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
)

const (
	// pageSize is how many timers of a lane are read at once.
	pageSize = 100
	// hiddenLanes is how many lanes are looked into, at each look, for what many timers of others may hide.
	hiddenLanes = 32
)

// Run fires timers until ctx ends; then it ends the handlers' contexts, waits for the handlers and returns nil. A timer
// fires when the wall clock of this process has reached its due time: to the millisecond when it was set at least
// Config.Poll before, otherwise up to Config.Poll late.
//
// The handler's context ends with ctx, with the lease and after Config.Timeout. When the handler returns nil, Run
// completes the timer, unless the handler did so itself. When it returns an error the timer is tried again after a
// pause that grows with each failure. A timer fires again, too, when its completion could not be written.
//
// Run returns [journal.ErrClosed] when the journal is closed. It waits and tries again when the journal is unavailable.
// The handler is called by several goroutines, but for one timer of a lane at a time.
func (t *Timers) Run(ctx context.Context, fire func(context.Context, Fired) error) error {
	r := &runner{Timers: t, fire: fire, slots: make(chan struct{}, t.cfg.Concurrency), ended: make(chan ending, Lanes)}
	limited, cancel := context.WithCancel(ctx)
	defer r.workers.Wait()
	defer cancel()
	for {
		wait := t.cfg.Poll
		switch err := r.start(limited); {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, journal.ErrClosed):
			return err
		case err != nil:
			t.cfg.Logger.Warn("timers could not be read; trying again", "error", err)
			wait = chance.Jitter(2 * t.cfg.Poll)
		}
		if err := r.wait(limited, wait); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// runner is one Run. Its fields but slots and ended belong to the goroutine of Run.
type runner struct {
	*Timers
	fire    func(context.Context, Fired) error
	slots   chan struct{}
	ended   chan ending
	busy    [Lanes]bool
	missed  [Lanes]bool // something was due while the lane was busy
	turn    int         // the lane to look into next for what is hidden
	workers sync.WaitGroup
}

// ending says that a lane's worker has ended, and why.
type ending struct {
	lane int
	err  error
}

// start gives each lane in which something is due, or about to be, a worker.
func (r *runner) start(ctx context.Context) error {
	due, err := r.log.Records(ctx, journal.RecordQuery{
		Kind: Kind, DueBy: clock.Now().Add(r.cfg.Poll), Limit: journal.MaxPage,
	})
	if err != nil {
		return err
	}
	var lanes [Lanes]bool
	for _, rec := range due {
		key, ok := keyOf(rec)
		if _, owned := r.owner(key); ok && owned {
			lanes[lane(key)] = true
		}
	}
	if len(due) == journal.MaxPage {
		for range hiddenLanes {
			lanes[r.turn] = true
			r.turn = (r.turn + 1) % Lanes
		}
	}
	for i := range lanes {
		switch {
		case !lanes[i]:
		case r.busy[i]:
			r.missed[i] = true
		default:
			r.busy[i], r.missed[i] = true, false
			r.workers.Go(func() { r.ended <- ending{i, r.work(ctx, i)} })
		}
	}
	return nil
}

// wait waits until it is time to look again.
func (r *runner) wait(ctx context.Context, d time.Duration) error {
	t := clock.NewTimer(d)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
			return nil
		case e := <-r.ended:
			r.busy[e.lane] = false
			if errors.Is(e.err, journal.ErrClosed) {
				return e.err
			}
			if r.missed[e.lane] && e.err == nil {
				r.missed[e.lane] = false
				return nil
			}
		}
	}
}

// work fires what is due in a lane, one after another, until there is nothing.
func (r *runner) work(ctx context.Context, lane int) error {
	for {
		due, err := r.log.Records(ctx, journal.RecordQuery{
			Kind: Kind, Prefix: lanePrefix(lane), DueBy: clock.Now().Add(r.cfg.Poll), Limit: pageSize,
		})
		if err != nil {
			return err
		}
		acted := false
		for _, rec := range due {
			now, err := r.one(ctx, rec)
			if err != nil {
				return err
			}
			acted = acted || now
		}
		if len(due) < pageSize || !acted {
			return nil
		}
	}
}

// one deals with one timer, and reports whether it did: it may not be due, or not this process's. An error ends the
// lane's work until the next look.
func (r *runner) one(ctx context.Context, rec journal.Record) (bool, error) {
	key, ok := keyOf(rec)
	l, owned := r.owner(key)
	if !ok || !owned {
		return false, nil
	}
	if err := clock.Sleep(ctx, min(clock.Until(rec.Due), r.cfg.Poll)); err != nil {
		return false, err
	}
	if clock.Now().Before(rec.Due) {
		return false, nil // the wall clock went back
	}
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	now, err := r.log.Record(ctx, Kind, rec.Key)
	if errors.Is(err, journal.ErrNotFound) || err == nil && now.Version != rec.Version {
		return true, nil // completed, cancelled or moved since
	}
	if err != nil {
		return false, err
	}
	p, cancelled, err := decode(now)
	f := Fired{Pending: p, completed: new(atomic.Bool)}
	if l != nil {
		f.fences = []journal.Fence{l.Fence()}
	}
	switch {
	case err != nil:
		r.cfg.Logger.Error("a timer cannot be read; it is put off by an hour", "error", err)
		return true, r.putOff(ctx, f, now)
	case cancelled:
		return true, r.commit(ctx, f.Complete(journal.Unit{}))
	}
	return true, r.handle(ctx, l, f)
}

// handle calls the handler and notes what came of it.
func (r *runner) handle(ctx context.Context, l Lease, f Fired) error {
	limited, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	if l != nil {
		if l.Context().Err() != nil {
			return context.Cause(l.Context())
		}
		defer context.AfterFunc(l.Context(), cancel)()
	}
	err := r.fire(limited, f)
	if err != nil && (ctx.Err() != nil || l != nil && l.Context().Err() != nil) {
		return err // it was not the handler's fault: the next owner fires the timer
	}
	ending, cancelEnding := context.WithTimeout(context.WithoutCancel(ctx), r.cfg.Timeout)
	defer cancelEnding()
	if err != nil {
		return r.retry(ending, f, err)
	}
	if f.completed.Load() {
		rec, err := r.log.Record(ending, Kind, recordKey(f.Key))
		if errors.Is(err, journal.ErrNotFound) || err == nil && rec.Version != f.Version {
			return nil
		}
	}
	return r.commit(ending, f.Complete(journal.Unit{}))
}

// retry moves the timer to a later time. The record's due time moves, the timer's stays.
func (r *runner) retry(ctx context.Context, f Fired, problem error) error {
	const problemMax = 1000
	h := header{Due: f.Due, Attempts: f.Attempts + 1, Problem: problem.Error()}
	if len(h.Problem) > problemMax {
		h.Problem = h.Problem[:problemMax]
	}
	return r.commit(ctx, journal.Unit{Fences: f.fences, Records: []journal.RecordWrite{{
		Kind: Kind, Key: recordKey(f.Key), Expect: journal.Exactly(f.Version),
		Due: clock.Now().Add(r.pause(h.Attempts)), Value: encode(h, f.Payload),
	}}})
}

// pause doubles with each attempt, between half and the whole of what is due.
func (r *runner) pause(attempts int) time.Duration {
	d := r.cfg.RetryMin
	for range attempts - 1 {
		if d = min(2*d, r.cfg.RetryMax); d == r.cfg.RetryMax {
			break
		}
	}
	return chance.Jitter(d)
}

// putOff keeps a record that cannot be read from being looked at all the time.
func (r *runner) putOff(ctx context.Context, f Fired, rec journal.Record) error {
	return r.commit(ctx, journal.Unit{Fences: f.fences, Records: []journal.RecordWrite{{
		Kind: Kind, Key: rec.Key, Expect: journal.Exactly(rec.Version), Due: clock.Now().Add(time.Hour), Value: rec.Value,
	}}})
}

// commit writes a unit. That the timer has changed meanwhile is fine.
func (r *runner) commit(ctx context.Context, u journal.Unit) error {
	_, err := r.log.Commit(ctx, u)
	if errors.Is(err, journal.ErrConflict) {
		return nil
	}
	return err
}

// owner returns the lease under which this process fires the timers of a key: nil, true where none is needed.
func (r *runner) owner(key string) (Lease, bool) {
	if r.cfg.Owner == nil {
		return nil, true
	}
	return r.cfg.Owner(key)
}

func keyOf(r journal.Record) (string, bool) {
	if len(r.Key) < 4 {
		return "", false
	}
	return r.Key[3:], true
}

// discard is where messages go without a logger.
func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
