// SPDX-License-Identifier: Apache-2.0

// Running a node: everything starts together and ends in order.

package cell

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/timer"
)

// Run takes this node's part of the cell's work and runs the services, until ctx ends or one of them fails. Then the
// services are ended first; when they have returned, or after [Config.Drain], the node gives everything up that it
// owns, so that the other nodes take it at once. It returns nil after ctx has ended and all went well; otherwise the
// error of the service that failed first, with that service's name, or what kept the node from ending in order.
// Services that have not returned by then are named and left behind, fenced off. Run once.
func (c *Cell) Run(ctx context.Context, services ...Service) error {
	if err := c.begin(services); err != nil {
		return err
	}
	serving, end := context.WithCancelCause(ctx)
	defer end(nil)
	holding, letGo := context.WithCancel(context.WithoutCancel(ctx))
	defer letGo()

	var keeper party
	keeper.start(holding, "leases", end, func() error { return c.keeper.Run(holding) })
	var work party
	work.start(serving, "shards", end, func() error { return c.spread(serving) })
	if alarmed := c.alarmed(services); len(alarmed) > 0 {
		work.start(serving, "timers", end, func() error { return c.timers.Run(serving, alarmed.fire) })
	}
	for _, s := range services {
		work.start(serving, s.Name(), end, func() error { return s.Serve(serving, c) })
	}
	<-serving.Done()
	errs := []error{work.wait(c.cfg.Drain)}
	c.quitAll()
	letGo()
	errs = append(errs, keeper.wait(c.cfg.Drain+c.cfg.TTL))
	if cause := context.Cause(serving); ctx.Err() == nil {
		return cause
	}
	return errors.Join(errs...)
}

func (c *Cell) begin(services []Service) error {
	var names []string
	for i, s := range services {
		name := s.Name()
		if name == "" || strings.ContainsAny(name, "/#") || slices.Contains(names, name) {
			return invalid(fmt.Sprintf("services[%d].name", i), "%q is empty, has a '/' or '#', or is used twice", name)
		}
		names = append(names, name)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.ran {
		return errors.New("cell: Run was called before; open the cell anew")
	}
	c.mu.ran = true
	return nil
}

// quitAll ends the work in all shards. Their leases are released by the keeper, all at once.
func (c *Cell) quitAll() {
	c.mu.Lock()
	all := make([]*shard, 0, len(c.mu.shards))
	for _, s := range c.mu.shards {
		all = append(all, s)
	}
	c.mu.Unlock()
	for _, s := range all {
		c.quit(s, context.Canceled)
	}
}

// alarms finds the service that a timer belongs to.
type alarms map[string]Alarmed

func (c *Cell) alarmed(services []Service) alarms {
	out := alarms{}
	for _, s := range services {
		if a, ok := s.(Alarmed); ok {
			out[s.Name()] = a
		}
	}
	return out
}

func (a alarms) fire(ctx context.Context, f timer.Fired) error {
	name, _, _ := strings.Cut(f.Key, "/")
	if s, ok := a[name]; ok {
		return s.Fire(ctx, f)
	}
	return fmt.Errorf("timer %q: no service %q with timers runs on this node; run it, or cancel the timer", f.Key, name)
}

// party is a number of goroutines that are waited for together.
type party struct{ parts []*part }

type part struct {
	name string
	done chan struct{}
	err  error // set before done is closed
}

// start runs f in a goroutine. Its error, unless it is that of ctx, ends the whole node.
func (p *party) start(ctx context.Context, name string, end context.CancelCauseFunc, f func() error) {
	one := &part{name: name, done: make(chan struct{})}
	p.parts = append(p.parts, one)
	go func() {
		defer close(one.done)
		if err := f(); err != nil && (ctx.Err() == nil || !errors.Is(err, ctx.Err())) {
			one.err = fmt.Errorf("%s: %w", name, err)
			end(one.err)
		}
	}()
}

// wait waits until all have returned, or too long, and returns their errors.
func (p *party) wait(limit time.Duration) error {
	t := clock.NewTimer(limit)
	defer t.Stop()
	var late []string
	var errs []error
	for _, one := range p.parts {
		select {
		case <-one.done:
			errs = append(errs, one.err)
		case <-t.C:
			t.Reset(0) // the others have no time left either
			late = append(late, one.name)
		}
	}
	if len(late) > 0 {
		errs = append(errs, fmt.Errorf("%s did not end within %v", strings.Join(late, ", "), limit))
	}
	return errors.Join(errs...)
}
