// SPDX-License-Identifier: Apache-2.0

// Spreading the shards over the nodes.

package cell

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"example.com/vidimus/internal/chance"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/lease"
)

const (
	// group is what the sessions of a cell's nodes have in common.
	group = "node"
	// leasePrefix begins the names of the shards' leases.
	leasePrefix = "shard/"
	// stepsAtOnce is how many leases are acquired or handed over at once.
	stepsAtOnce = 16
)

func leaseName(number int) string { return fmt.Sprintf("%s%02d", leasePrefix, number) }

// spread looks, again and again until ctx ends, at who lives and who owns what, and does this node's part of the plan.
func (c *Cell) spread(ctx context.Context) error {
	pause := min(max(c.cfg.TTL/20, 50*time.Millisecond), 500*time.Millisecond)
	for {
		err := c.look(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, journal.ErrClosed):
			return err
		case err != nil:
			c.cfg.Logger.Warn("shards could not be looked at; trying again", "error", err)
		}
		if clock.Sleep(ctx, chance.Jitter(pause)) != nil {
			return nil
		}
	}
}

// look does one round of the work.
func (c *Cell) look(ctx context.Context) error {
	c.dropLost()
	me := c.keeper.Session()
	if me == "" {
		return nil // no session at the moment: the keeper is about to begin one
	}
	members, err := c.keeper.Table().Members(ctx, group)
	if err != nil {
		return err
	}
	owners, err := c.seeOwners(ctx)
	if err != nil {
		return err
	}
	names := make(map[string]string, len(members))
	alive := make([]string, len(members))
	for i, m := range members {
		names[m.ID], alive[i] = m.Owner, m.ID
	}
	if names[me] == "" {
		return nil // this node's session is new, or was lost: look again
	}
	var work steps
	for number, session := range owners {
		if session == me && !c.has(number) {
			work.add(func() error { return c.take(ctx, number) }) // handed over to this node
		}
	}
	for _, m := range share(owners, alive) {
		from := owners[m.shard]
		switch {
		case from == me:
			work.add(func() error { return c.give(ctx, m.shard, names[m.to]) })
		case m.to == me && names[from] == "":
			work.add(func() error { return c.take(ctx, m.shard) })
		}
	}
	return work.do()
}

// seeOwners returns the session that owns each shard, "" for none.
func (c *Cell) seeOwners(ctx context.Context) ([]string, error) {
	list, err := c.keeper.Table().List(ctx, leasePrefix, "", 0)
	if err != nil {
		return nil, err
	}
	byName := make(map[string]lease.Holder, len(list))
	for _, info := range list {
		byName[info.Name] = info.Holder
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	owners := make([]string, c.cfg.Shards)
	for number := range owners {
		h := byName[leaseName(number)]
		owners[number] = h.Session
		c.mu.owners[number] = h
	}
	return owners, nil
}

// dropLost takes shards off the list whose lease has ended.
func (c *Cell) dropLost() {
	c.mu.Lock()
	var lost []*shard
	for _, s := range c.mu.shards {
		if s.lease.Err() != nil {
			lost = append(lost, s)
		}
	}
	c.mu.Unlock()
	for _, s := range lost {
		c.quit(s, lease.ErrLost)
	}
}

func (c *Cell) has(number int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.shards[number] != nil
}

// take acquires a shard. That somebody else was faster is fine.
func (c *Cell) take(ctx context.Context, number int) error {
	l, err := c.keeper.TryAcquire(ctx, leaseName(number))
	switch {
	case errors.Is(err, lease.ErrHeld), errors.Is(err, lease.ErrLost), errors.Is(err, lease.ErrStopped):
		return nil
	case err != nil:
		return err
	}
	c.gain(newShard(number, l))
	return nil
}

// give hands a shard over to another node, once nobody works in it any more or that takes too long.
func (c *Cell) give(ctx context.Context, number int, to string) error {
	c.mu.Lock()
	s := c.mu.shards[number]
	c.mu.Unlock()
	if s == nil {
		return nil
	}
	limit := clock.NewTimer(c.cfg.Drain)
	defer limit.Stop()
	select {
	case <-c.quit(s, lease.ErrReleased):
	case <-limit.C:
		c.cfg.Logger.Warn("a shard is handed over while somebody still works in it", "shard", number)
	case <-ctx.Done():
		return ctx.Err() // it is released with all others
	}
	err := s.lease.Handover(ctx, to)
	if errors.Is(err, lease.ErrLost) || errors.Is(err, journal.ErrNotFound) {
		return nil
	}
	return err
}

// steps are done several at a time, so that they share the journal's writes.
type steps struct{ list []func() error }

func (s *steps) add(step func() error) { s.list = append(s.list, step) }

// do does all steps and returns what failed.
func (s *steps) do() error {
	errs := make([]error, len(s.list))
	var all sync.WaitGroup
	slots := make(chan struct{}, stepsAtOnce)
	for i, step := range s.list {
		slots <- struct{}{}
		all.Go(func() {
			errs[i] = step()
			<-slots
		})
	}
	all.Wait()
	return errors.Join(errs...)
}
