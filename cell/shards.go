// SPDX-License-Identifier: Apache-2.0

// The shards that this node owns, and who works in them.

package cell

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"example.com/vidimus/journal"
	"example.com/vidimus/lease"
	"example.com/vidimus/timer"
)

// shard is one that this node owns, for one tenure.
type shard struct {
	number int
	lease  *lease.Lease
	ctx    context.Context // ends with the lease, or before it is handed over
	cancel context.CancelCauseFunc
	idle   chan struct{} // closed once it is being given up and nobody works in it
	// The rest is guarded by Cell.mu.
	leaving bool
	users   int
}

func newShard(number int, l *lease.Lease) *shard {
	s := &shard{number: number, lease: l, idle: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancelCause(l.Context())
	return s
}

// Fence returns the fence of the shard that a key belongs to, or [ErrNotOwner] when this node does not own it now. Put
// it into every unit that is decided by this node alone: the unit is refused with [journal.ErrFenced] once another node
// owns the shard.
func (c *Cell) Fence(key string) (journal.Fence, error) {
	number := c.Shard(key)
	s, owner := c.owned(number)
	if s == nil {
		return journal.Fence{}, notOwner(number, owner)
	}
	return s.lease.Fence(), nil
}

func notOwner(number int, owner lease.Holder) error {
	if owner.Owner == "" {
		return fmt.Errorf("%w: shard %d is between two nodes; try again in a moment", ErrNotOwner, number)
	}
	return fmt.Errorf("%w: shard %d belongs to node %s; ask there", ErrNotOwner, number, owner.Owner)
}

// owned returns a shard that this node owns and may work in, or nil and who owns it.
func (c *Cell) owned(number int) (*shard, lease.Holder) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.mu.shards[number]
	if s == nil || s.ctx.Err() != nil || s.lease.Err() != nil {
		return nil, c.mu.owners[number]
	}
	return s, lease.Holder{}
}

// timerOwner says whether this node fires a timer.
func (c *Cell) timerOwner(key string) (timer.Lease, bool) {
	s, _ := c.owned(c.Shard(timer.Route(key)))
	if s == nil {
		return nil, false
	}
	return s, true
}

// Context implements [timer.Lease].
func (s *shard) Context() context.Context { return s.ctx }

// Fence implements [timer.Lease].
func (s *shard) Fence() journal.Fence { return s.lease.Fence() }

// Owned returns the numbers of the shards that this node owns now, in order.
func (c *Cell) Owned() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []int
	for number, s := range c.mu.shards {
		if s.ctx.Err() == nil && s.lease.Err() == nil {
			out = append(out, number)
		}
	}
	slices.Sort(out)
	return out
}

// Owner returns who owned a shard when this node last looked, at most about half a second ago while all is well. It
// reports false when nobody did, and for a number that is no shard.
func (c *Cell) Owner(number int) (lease.Holder, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if number < 0 || number >= len(c.mu.owners) {
		return lease.Holder{}, false
	}
	h := c.mu.owners[number]
	return h, h.Session != ""
}

// EachShard calls work for every shard that this node owns, now or later, each in a goroutine of its own, until ctx
// ends; then it returns nil. The context of a call ends with ctx and when the shard is lost or about to be handed over:
// return soon then, the handover waits for it, up to [Config.Drain]. A shard that comes back is worked on anew, after
// the call before has returned. The first error of a call whose context has not ended ends all calls and is returned.
func (c *Cell) EachShard(ctx context.Context, work func(ctx context.Context, number int) error) error {
	e := &each{cell: c, work: work, ended: make(chan finished), busy: map[int]bool{}, done: map[int]*shard{}}
	limited, cancel := context.WithCancel(ctx)
	defer cancel()
	for {
		c.mu.Lock()
		owned, changed := maps.Clone(c.mu.shards), c.mu.changed
		c.mu.Unlock()
		e.start(limited, owned)
		select {
		case <-changed:
		case <-ctx.Done():
			cancel()
			return e.drain(nil)
		case f := <-e.ended:
			delete(e.busy, f.shard.number)
			if f.err != nil {
				cancel()
				return e.drain(f.err)
			}
		}
	}
}

// each is one call of EachShard.
type each struct {
	cell  *Cell
	work  func(ctx context.Context, number int) error
	ended chan finished
	busy  map[int]bool   // the shards that are worked on
	done  map[int]*shard // the tenure for which each shard was worked on last
}

type finished struct {
	shard *shard
	err   error
}

// start starts the calls that are missing.
func (e *each) start(ctx context.Context, owned map[int]*shard) {
	for number, s := range owned {
		if e.busy[number] || e.done[number] == s || !e.cell.enter(s) {
			continue
		}
		e.busy[number], e.done[number] = true, s
		go func() { e.ended <- finished{s, e.call(ctx, s)} }()
	}
}

func (e *each) call(ctx context.Context, s *shard) error {
	defer e.cell.leave(s)
	limited, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.ctx, func() { cancel(context.Cause(s.ctx)) })()
	err := e.work(limited, s.number)
	if limited.Err() != nil || s.ctx.Err() != nil {
		return nil
	}
	return err
}

// drain waits for the calls under way.
func (e *each) drain(err error) error {
	for len(e.busy) > 0 {
		delete(e.busy, (<-e.ended).shard.number)
	}
	return err
}

// enter notes that somebody works in a shard. It reports false when it is too late for that.
func (c *Cell) enter(s *shard) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.leaving || s.ctx.Err() != nil {
		return false
	}
	s.users++
	return true
}

// leave notes that somebody has ended to work in a shard.
func (c *Cell) leave(s *shard) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.users--; s.users == 0 && s.leaving {
		close(s.idle)
	}
}

// gain notes that this node owns a shard.
func (c *Cell) gain(s *shard) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.shards[s.number] = s
	c.announce()
}

// quit ends the work in a shard and takes it off the list. The channel is closed once nobody works in it any more.
func (c *Cell) quit(s *shard, cause error) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !s.leaving {
		s.leaving = true
		s.cancel(cause)
		if s.users == 0 {
			close(s.idle)
		}
	}
	if c.mu.shards[s.number] == s {
		delete(c.mu.shards, s.number)
		c.announce()
	}
	return s.idle
}

// announce wakes everybody who waits for a change of shards. The caller holds the lock.
func (c *Cell) announce() {
	close(c.mu.changed)
	c.mu.changed = make(chan struct{})
}
