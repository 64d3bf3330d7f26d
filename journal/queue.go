// SPDX-License-Identifier: Apache-2.0

// Group commit: whoever comes first writes for all who wait.

package journal

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"example.com/vidimus/internal/clock"
)

// Limits of the queue in front of a store.
const (
	batchUnits  = 1024
	batchBytes  = 8 << 20
	queueUnits  = 16384
	gatherLimit = 100 * time.Microsecond
	gatherLooks = 1000 // bounds it where the clock stands still, as in a simulation
)

// queue makes groups of the units that arrive while the store is busy. It needs no goroutine of its own: the caller
// at the front leads, that is, it commits a batch for all who wait, then makes the next one waiting the leader.
type queue struct {
	store Store
	mu    struct {
		sync.Mutex
		waiting []*ticket
		led     bool // somebody leads, or was just told to
		last    int  // size of the last batch
		closed  bool
	}
}

// ticket is one caller's place in the queue.
type ticket struct {
	unit    *Unit
	bytes   int
	state   ticketState // guarded by queue.mu
	outcome Outcome
	turn    chan struct{} // told once: state is answered or leading
}

type ticketState int

const (
	queued ticketState = iota
	leading
	inFlight
	answered
)

func (q *queue) commit(ctx context.Context, u *Unit) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	t := newTicket(u)
	if err := q.enter(t); err != nil {
		return Result{}, err
	}
	return q.await(ctx, t)
}

// commitMany lets the units enter side by side. They are answered in their order, and only the first that waits can
// be told to lead, so one goroutine can wait for all of them, one after the other.
func (q *queue) commitMany(ctx context.Context, units []*Unit) ([]Outcome, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	tickets := make([]*ticket, len(units))
	for i, u := range units {
		tickets[i] = newTicket(u)
	}
	if err := q.enter(tickets...); err != nil {
		return nil, err
	}
	outcomes := make([]Outcome, len(units))
	for i, t := range tickets {
		outcomes[i].Result, outcomes[i].Err = q.await(ctx, t)
	}
	return outcomes, nil
}

func newTicket(u *Unit) *ticket {
	return &ticket{unit: u, bytes: u.size(), turn: make(chan struct{}, 1)}
}

// await waits until t is answered, and commits a batch if told to lead.
func (q *queue) await(ctx context.Context, t *ticket) (Result, error) {
	select {
	case <-t.turn:
	case <-ctx.Done():
		if left, err := q.leave(t, ctx.Err()); left {
			return Result{}, err
		}
		<-t.turn // already told to lead, or answered
	}
	if t.state == leading {
		q.lead(context.WithoutCancel(ctx), t)
	}
	return t.outcome.Result, t.outcome.Err
}

func (q *queue) enter(tickets ...*ticket) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.mu.closed {
		return ErrClosed
	}
	if len(q.mu.waiting)+len(tickets) > queueUnits {
		return fmt.Errorf("%w: %d units wait to be written; try again later", ErrOverloaded, len(q.mu.waiting))
	}
	q.mu.waiting = append(q.mu.waiting, tickets...)
	if !q.mu.led {
		q.appoint()
	}
	return nil
}

// appoint tells the first in the queue to lead. The caller holds the lock.
func (q *queue) appoint() {
	q.mu.led = len(q.mu.waiting) > 0
	if q.mu.led {
		q.mu.waiting[0].state = leading
		q.mu.waiting[0].turn <- struct{}{}
	}
}

// leave takes t out of the queue for cause, unless it leads or is answered.
func (q *queue) leave(t *ticket, cause error) (left bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch t.state {
	case queued:
		for i, w := range q.mu.waiting {
			if w == t {
				q.mu.waiting = append(q.mu.waiting[:i], q.mu.waiting[i+1:]...)
				break
			}
		}
		return true, cause
	case inFlight:
		return true, fmt.Errorf("%w: gave up waiting for the answer: %w", ErrUncertain, cause)
	default:
		return false, nil
	}
}

// lead commits one batch, t among it, answers it and passes the lead on.
func (q *queue) lead(ctx context.Context, t *ticket) {
	q.gather()
	batch := q.take()
	units := make([]*Unit, len(batch))
	for i, b := range batch {
		units[i] = b.unit
	}
	outcomes, err := q.store.Commit(ctx, units)
	if err == nil && len(outcomes) != len(units) {
		panic(fmt.Sprintf("journal: store gave %d outcomes for %d units", len(outcomes), len(units)))
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, b := range batch {
		if err != nil {
			b.outcome.Err = err
		} else {
			b.outcome = outcomes[i]
		}
		b.state = answered
		if b != t {
			b.turn <- struct{}{}
		}
	}
	q.appoint()
}

// gather gives the callers just answered a moment to come back, so that a closed loop of callers does not fall
// apart into two halves that wait for each other. A single caller never waits.
func (q *queue) gather() {
	q.mu.Lock()
	want := q.mu.last
	have := len(q.mu.waiting)
	q.mu.Unlock()
	if want < 2 {
		return
	}
	began := clock.Now()
	for looks := 0; have < want && looks < gatherLooks && clock.Since(began) < gatherLimit; looks++ {
		runtime.Gosched()
		q.mu.Lock()
		have = len(q.mu.waiting)
		q.mu.Unlock()
	}
}

// take removes the next batch from the queue: the leader's unit and as many more as the limits allow.
func (q *queue) take() []*ticket {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, bytes := 0, 0
	for n < min(len(q.mu.waiting), batchUnits) {
		bytes += q.mu.waiting[n].bytes
		if n > 0 && bytes > batchBytes {
			break
		}
		n++
	}
	batch := append([]*ticket(nil), q.mu.waiting[:n]...)
	q.mu.waiting = append(q.mu.waiting[:0], q.mu.waiting[n:]...)
	for _, b := range batch {
		b.state = inFlight
	}
	q.mu.last = n + len(q.mu.waiting)
	return batch
}

// close refuses newcomers. Those who wait are still answered.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mu.closed = true
}
