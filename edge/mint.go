// SPDX-License-Identifier: Apache-2.0

// Asking the authority: once for everybody who waits, and never with an older answer than somebody needs.

package edge

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"example.com/vidimus/internal/chance"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/passport"
)

const (
	mintTimeout  = 5 * time.Second
	mintsAtOnce  = 256
	tokenMax     = 8 << 10
	deadFor      = 10 * time.Second       // how long a handle without a session is not asked about again
	deadMax      = 8 << 10                // handles in each generation
	floorsMax    = 64 << 10               // subjects in each generation
	downFor      = 500 * time.Millisecond // how long an authority that does not answer is left alone, at most
	roundsOfMint = 4
)

// errCrowd says that a client presents too many handles that stand for nothing.
var errCrowd = errors.New("too many handles without a session")

// mint asks for passports. The order is that of the edge's own events: what was asked after an event has an order
// above that event's, and, because the authority reads its head after it is asked, includes everything acknowledged
// before the event.
type mint struct {
	authority passport.Authority
	workload  string
	ready     *cache
	floors    *recent // the order of the last change that a service told of, by subject
	dead      *recent // when a handle was found without a session, in nanoseconds since began
	failures  *limits
	began     time.Time
	order     atomic.Uint64
	downUntil atomic.Int64 // nanoseconds since began
	slots     chan struct{}

	mu      sync.Mutex
	flights map[string]*flight
}

// flight is one call of the authority that others may wait for.
type flight struct {
	order   uint64
	done    chan struct{}
	dropped bool // under mint.mu: the handle was forgotten meanwhile
	held    *held
	err     error
}

func newMint(c *Config) *mint {
	return &mint{
		authority: c.Authority, workload: c.Name, ready: newCache(c.Sessions),
		floors: newRecent(floorsMax), dead: newRecent(deadMax),
		failures: newLimits(Limit{100 * time.Millisecond, 100}), began: clock.Now(),
		slots: make(chan struct{}, mintsAtOnce), flights: map[string]*flight{},
	}
}

// event returns the order of something that happens now.
func (m *mint) event() uint64 { return m.order.Add(1) }

// raise says that a subject has changed: passports that were asked for before now are not good any more.
func (m *mint) raise(subject string) { m.floors.note(subject, m.event()) }

// forget drops what is at hand for a handle, and what is being asked for.
func (m *mint) forget(handle string) {
	m.mu.Lock()
	if f := m.flights[handle]; f != nil {
		f.dropped = true
	}
	m.ready.drop(handle)
	m.mu.Unlock()
}

// fetch returns a passport that was asked for after the event of the order, and after the last change of its
// subject. It returns [passport.ErrNoSession], [passport.ErrUnavailable], [passport.ErrRevoked], errCrowd, or the
// error of ctx.
func (m *mint) fetch(ctx context.Context, handle string, order uint64, from netip.Addr) (*held, error) {
	for range roundsOfMint {
		h, err := m.join(ctx, handle, order, from)
		if err != nil {
			return nil, err
		}
		floor := m.floors.atMost(h.subject)
		if h.order > floor {
			return h, nil
		}
		order = floor
	}
	return nil, fmt.Errorf("%w: the subject changes faster than it is asked about", passport.ErrUnavailable)
}

// join waits for a call that began after the event, or makes it.
func (m *mint) join(ctx context.Context, handle string, order uint64, from netip.Addr) (*held, error) {
	for {
		m.mu.Lock()
		f := m.flights[handle]
		if f == nil {
			f = &flight{order: m.event(), done: make(chan struct{})}
			m.flights[handle] = f
			m.mu.Unlock()
			f.held, f.err = m.ask(ctx, handle, f.order, from)
			m.land(handle, f)
			return f.held, f.err
		}
		usable := f.order > order && !f.dropped
		m.mu.Unlock()
		select {
		case <-f.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if usable {
			return f.held, f.err
		}
	}
}

// land makes the outcome of a call known.
func (m *mint) land(handle string, f *flight) {
	m.mu.Lock()
	if f.err == nil && !f.dropped {
		m.ready.put(f.held)
	}
	delete(m.flights, handle)
	m.mu.Unlock()
	close(f.done)
}

// ask calls the authority. The call does not end with the request that makes it: others wait for it, too.
func (m *mint) ask(ctx context.Context, handle string, order uint64, from netip.Addr) (*held, error) {
	now := clock.Now()
	if at, ok := m.dead.known(handle); ok && now.Sub(m.began)-time.Duration(at) < deadFor {
		return nil, passport.ErrNoSession
	}
	if now.Sub(m.began) < time.Duration(m.downUntil.Load()) {
		return nil, passport.ErrUnavailable
	}
	if m.failures.spent(from, now) {
		return nil, errCrowd
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), mintTimeout)
	defer cancel()
	select {
	case m.slots <- struct{}{}:
		defer func() { <-m.slots }()
	case <-limited.Done():
		return nil, fmt.Errorf("%w: %d calls are under way", passport.ErrUnavailable, mintsAtOnce)
	}
	asked := clock.Now()
	grant, err := m.authority.Mint(limited, passport.Ask{Handle: handle, Workload: m.workload})
	if err == nil {
		err = checkGrant(&grant)
	}
	if err != nil {
		return nil, m.failed(handle, from, err)
	}
	return hold(handle, &grant, asked, order), nil
}

// failed remembers a failure, and says it in the words of this package.
func (m *mint) failed(handle string, from netip.Addr, err error) error {
	now := clock.Now()
	if errors.Is(err, passport.ErrNoSession) || errors.Is(err, passport.ErrRevoked) {
		m.ready.drop(handle)
		m.dead.note(handle, uint64(now.Sub(m.began)))
		m.failures.take(from, now)
		return passport.ErrNoSession
	}
	unavailable := errors.Is(err, passport.ErrUnavailable)
	if unavailable || errors.Is(err, context.DeadlineExceeded) { // anything else can be the fault of this handle alone
		m.downUntil.Store(int64(now.Sub(m.began) + chance.Jitter(downFor)))
	}
	if unavailable {
		return err
	}
	return fmt.Errorf("%w: %w", passport.ErrUnavailable, err)
}

// checkGrant refuses what would do harm as a header.
func checkGrant(g *passport.Grant) error {
	switch {
	case g.Token == "" || len(g.Token) > tokenMax || !isPrintable(g.Token):
		return errors.New("the authority's passport is no token of at most 8 KiB")
	case g.Handle != "" && !wellFormed(g.Handle):
		return errors.New("the authority's new handle is none")
	case !g.Claims.ExpiresAt.After(g.Claims.IssuedAt):
		return errors.New("the authority's passport ends before it begins")
	}
	return nil
}
