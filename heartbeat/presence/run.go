// SPDX-License-Identifier: Apache-2.0

// Running an owner: ticks, and what they let go.

package presence

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"example.com/vidimus/internal/chance"
	"example.com/vidimus/internal/clock"
)

const (
	expireTimeout = 30 * time.Second
	saveTimeout   = 5 * time.Second // of the last save, when Run ends
	firstBackoff  = time.Second
	lastBackoff   = 30 * time.Second
)

// round is the state of the ticking goroutine.
type round struct {
	valve       valve
	frozenUntil tick
	known       uint64 // beats of tracked sessions, at the last tick
}

// Run lets sessions expire until ctx ends; then it waits for the call of Expire that is under way, saves a last time,
// and returns nil. From then on beats are refused with [ErrStopped]. It returns an error if it was called before.
func (o *Owner) Run(ctx context.Context) error {
	if !o.state.CompareAndSwap(notRun, running) {
		return errors.New("presence: Run was called before; open another owner")
	}
	defer o.state.Store(stopped)
	o.round.frozenUntil = o.now() + o.ticks(o.cfg.Grace)
	o.counts.frozen.Store(true)
	var group sync.WaitGroup
	group.Go(func() { o.settle(ctx) })
	if o.cfg.Save != nil {
		group.Go(func() { o.save(ctx) })
	}
	// The next tick is planned before this one works, so that a stop anywhere makes some tick late.
	for next := o.now() + 1; clock.Sleep(ctx, clock.Until(o.timeOf(next))) == nil; {
		began := clock.Now()
		late := began.Sub(o.timeOf(next))
		now := o.now()
		next = now + 1
		o.tick(now, late)
		o.counts.lastTick.Store(int64(clock.Since(began)))
	}
	group.Wait()
	return nil
}

// tick looks once at who is due. Late is how much later than planned it runs.
func (o *Owner) tick(now tick, late time.Duration) {
	r := &o.round
	if late > o.cfg.Stall {
		r.frozenUntil = max(r.frozenUntil, now+o.ticks(late+o.cfg.Interval))
		o.counts.stalls.Add(1)
		o.cfg.Logger.Warn("presence: a tick came late, so nobody expires for a while",
			"late", late, "frozen", late+o.cfg.Interval)
	}
	m := moment{now: now, tracked: int(o.tracked.Load()), frozen: now < r.frozenUntil, beats: o.news()}
	o.counts.frozen.Store(m.frozen)
	waiting := 0
	for _, s := range o.shards {
		s.Lock()
		m.recovered += s.advance(now)
		m.due += s.due
		waiting += s.ready
		s.Unlock()
	}
	o.counts.recovered.Add(uint64(m.recovered))
	if !m.frozen {
		m.release = o.release.Swap(false)
	}
	was := r.valve.held
	if r.valve.pass(m) {
		waiting += o.pass(now)
		m.due = 0
		o.counts.listen(0)
	} else if !m.frozen {
		patient := o.passPatient(m)
		waiting += patient
		m.due -= patient
	}
	o.counts.due.Store(int64(m.due))
	o.counts.waiting.Store(int64(waiting))
	if held := r.valve.held; held != was {
		o.counts.held.Store(held)
		o.cfg.Held(Hold{On: held, Due: m.due, Tracked: m.tracked})
	}
	if waiting > 0 && !m.frozen {
		o.signal()
	}
}

// news counts the beats of tracked sessions since the last tick.
func (o *Owner) news() int {
	known := o.counts.beats.Load() - o.counts.unknown.Load()
	news := int(known - o.round.known)
	o.round.known = known
	return max(news, 0) // the two are read one after the other
}

// pass hands everybody to settle whose time was up by then.
func (o *Owner) pass(by tick) (passed int) {
	for _, s := range o.shards {
		s.Lock()
		passed += s.pass(by)
		s.Unlock()
	}
	return passed
}

// passPatient hands those to settle who were held for HoldFor while enough others were heard.
func (o *Owner) passPatient(m moment) (passed int) {
	since, flows := o.round.valve.flowing(m.now)
	if !flows {
		o.counts.listen(0)
		return 0
	}
	heard := o.counts.listen(since + 1) // whoever was heard in that tick is counted at the next beat
	patience := o.ticks(o.cfg.HoldFor)
	if m.now-since < patience || heard < max(1, int(o.cfg.HoldShare*float64(m.tracked))) {
		return 0
	}
	passed = o.pass(m.now - patience)
	o.round.valve.relax(m.due-passed, m.tracked-passed)
	return passed
}

// listen counts sessions that are heard since a tick, each once; 0 ends it. It returns how many there were so far.
func (c *counts) listen(since tick) (heard int) {
	if tick(c.listening.Load()) != since {
		c.heard.Store(0)
		c.listening.Store(uint32(since))
	}
	return int(c.heard.Load())
}

func (o *Owner) logHold(h Hold) {
	if h.On {
		o.cfg.Logger.Error("presence: too many sessions fell silent at once, so nobody expires until beats come back or "+
			"a person releases them", "due", h.Due, "tracked", h.Tracked)
		return
	}
	o.cfg.Logger.Info("presence: sessions expire again", "tracked", h.Tracked)
}

func (o *Owner) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// settle gives to Expire who was let go, in batches that shrink while it fails, so that one session which cannot be
// expired does not keep the others.
func (o *Owner) settle(ctx context.Context) {
	c := collector{owner: o}
	size, backoff := o.cfg.Batch, firstBackoff
	for ctx.Err() == nil {
		if c.fill(size); len(c.batch) == 0 {
			select {
			case <-o.wake:
			case <-ctx.Done():
			}
			continue
		}
		err := o.expire(ctx, c.batch)
		c.conclude(err == nil)
		if err == nil {
			o.counts.expired.Add(uint64(len(c.batch)))
			size, backoff = min(2*size, o.cfg.Batch), firstBackoff
			continue
		}
		if ctx.Err() != nil {
			return
		}
		o.counts.failures.Add(1)
		o.cfg.Logger.Warn("presence: sessions could not be expired and will be tried again",
			"sessions", len(c.batch), "error", err)
		size = max(size/2, 1)
		_ = clock.Sleep(ctx, chance.Jitter(backoff)) // the loop looks at ctx
		backoff = min(2*backoff, lastBackoff)
	}
}

func (o *Owner) expire(ctx context.Context, batch []Expired) error {
	ctx, cancel := context.WithTimeout(ctx, expireTimeout)
	defer cancel()
	return o.cfg.Expire(ctx, batch)
}

// collector takes sessions out of the ready lists, and knows where they stand.
type collector struct {
	owner *Owner
	next  int // shard
	batch []Expired
	slots []uint32
}

// fill takes up to size sessions. It leaves out who was heard meanwhile, and takes nobody while expiry is frozen.
func (c *collector) fill(size int) {
	c.batch, c.slots = c.batch[:0], c.slots[:0]
	o := c.owner
	if o.counts.frozen.Load() {
		return
	}
	now := o.now()
	for range o.shards {
		s := o.shards[c.next%shardCount]
		s.Lock()
		for i := s.heads[readyList]; i != noSlot && len(c.batch) < size; i = s.heads[readyList] {
			sl := s.at(i)
			s.leave(i)
			if sl.deadline() > now {
				s.arm(i)
				o.counts.recovered.Add(1)
				continue
			}
			sl.setStanding(leaving)
			c.batch = append(c.batch, Expired{ID: sl.id, Since: o.timeOf(sl.last)})
			c.slots = append(c.slots, i)
		}
		s.Unlock()
		if len(c.batch) == size {
			return
		}
		c.next++
	}
}

// conclude removes the batch when it is settled; else it puts those back who are still silent, for later.
func (c *collector) conclude(settled bool) {
	o := c.owner
	now := o.now()
	removed := 0
	for j := range c.batch {
		i := c.slots[j]
		s, h := o.shard(&c.batch[j].ID)
		s.Lock()
		sl := s.at(i)
		switch {
		case sl.limit.standing() != leaving: // forgotten meanwhile, and the slot may have another session
		case settled:
			s.remove(i, h)
			removed++
		case sl.deadline() > now:
			s.arm(i)
			o.counts.recovered.Add(1)
		default:
			s.retry(i)
		}
		s.Unlock()
	}
	o.tracked.Add(-int64(removed))
}

// save calls Save now and then, and a last time when ctx has ended.
func (o *Owner) save(ctx context.Context) {
	for clock.Sleep(ctx, o.cfg.SaveEvery) == nil {
		o.saveOnce(ctx, o.cfg.SaveEvery)
	}
	o.saveOnce(context.WithoutCancel(ctx), saveTimeout)
}

func (o *Owner) saveOnce(ctx context.Context, timeout time.Duration) {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var w io.WriterTo = o
	if err := o.cfg.Save(limited, w); err != nil && ctx.Err() == nil {
		o.cfg.Logger.Warn("presence: how long sessions have been silent was not saved", "error", err)
	}
}
