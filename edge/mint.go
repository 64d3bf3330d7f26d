// SPDX-License-Identifier: Apache-2.0

// Asking the authority: once for everybody who waits, and never with an older answer than somebody needs.

package edge

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/passport"
)

const (
	mintTimeout  = 5 * time.Second
	mintsAtOnce  = 256
	tokenMax     = 8 << 10
	deadFor      = 10 * time.Second       // how long a handle without a session is not asked about again
	failingFor   = 500 * time.Millisecond // how long a handle that the authority fails for is not asked about again
	handlesMax   = 8 << 10                // of dead and failing handles in each generation
	floorsMax    = 64 << 10               // subjects in each generation
	probesAtOnce = 8                      // calls of an authority that did not answer, until it does
	roundsOfMint = 4
)

var (
	// errCrowd says that a client presents too many handles that stand for nothing.
	errCrowd = errors.New("too many handles without a session")
	// errLost is the outcome of a call that has none.
	errLost = fmt.Errorf("%w: the call was broken off", passport.ErrUnavailable)
)

// mint asks for passports. The order is that of the edge's own events: what was asked after an event has an order
// above that event's, and, because the authority reads its head after it is asked, includes everything acknowledged
// before the event.
type mint struct {
	authority passport.Authority
	workload  string
	ready     *cache
	floors    *recent // the order of the last change that a service told of, by subject
	dead      *recent // when a handle was found without a session, in nanoseconds since began
	failing   *recent // when the authority failed for a handle, likewise
	failures  *limits
	began     time.Time
	order     atomic.Uint64
	down      atomic.Bool // whether the authority did not answer when it was asked last
	probes    atomic.Int32
	slots     chan struct{}
	most      int // flights

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
		floors: newRecent(floorsMax), dead: newRecent(handlesMax), failing: newRecent(handlesMax),
		failures: newLimits(Limit{100 * time.Millisecond, 100}), began: clock.Now(),
		slots: make(chan struct{}, mintsAtOnce), most: c.InFlight, flights: map[string]*flight{},
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

// fetch returns a passport that was asked for after the event of the order, and after the last change of its subject.
// It returns [passport.ErrNoSession], [passport.ErrUnavailable], errCrowd, or the cause of ctx.
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

// join waits for a call that began after the event, or has one made. The call does not end with the request that needs
// it: others wait for it, too.
func (m *mint) join(ctx context.Context, handle string, order uint64, from netip.Addr) (*held, error) {
	for {
		if err := m.remembered(handle, from); err != nil {
			return nil, err
		}
		m.mu.Lock()
		f := m.flights[handle]
		if f == nil && len(m.flights) >= m.most {
			m.mu.Unlock()
			return nil, fmt.Errorf("%w: %d handles are asked about", passport.ErrUnavailable, m.most)
		}
		if f == nil {
			f = &flight{order: m.event(), done: make(chan struct{}), err: errLost}
			m.flights[handle] = f
			go m.fly(context.WithoutCancel(ctx), handle, f, from)
		}
		usable := f.order > order && !f.dropped
		m.mu.Unlock()
		select {
		case <-f.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if usable {
			return f.held, f.err
		}
	}
}

// remembered returns why the authority is not asked about a handle just now, or nil.
func (m *mint) remembered(handle string, from netip.Addr) error {
	now := clock.Now()
	since := func(at uint64) time.Duration { return now.Sub(m.began) - time.Duration(at) }
	if at, ok := m.dead.known(handle); ok && since(at) < deadFor {
		return passport.ErrNoSession
	}
	if at, ok := m.failing.known(handle); ok && since(at) < failingFor {
		return fmt.Errorf("%w: it just failed for this handle", passport.ErrUnavailable)
	}
	if m.failures.spent(from, now) && m.ready.get(handle) == nil { // one at hand is no guess
		return errCrowd
	}
	return nil
}

// fly makes a call, and makes its outcome known.
func (m *mint) fly(ctx context.Context, handle string, f *flight, from netip.Addr) {
	defer m.land(handle, f)
	defer func() {
		if p := recover(); p != nil { // a handler's would end its request, but here the process
			f.err = m.failed(handle, from, fmt.Errorf("it panics: %v\n%s", p, debug.Stack()))
		}
	}()
	f.held, f.err = m.ask(ctx, handle, f.order, from)
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

// ask calls the authority. One that did not answer gets few calls at once, until it answers any of them: those who
// need it do not all wait for it, and a handle that it cannot answer shuts nobody else out.
func (m *mint) ask(ctx context.Context, handle string, order uint64, from netip.Addr) (*held, error) {
	if m.down.Load() {
		defer m.probes.Add(-1)
		if m.probes.Add(1) > probesAtOnce {
			return nil, passport.ErrUnavailable
		}
	}
	limited, cancel := context.WithTimeout(ctx, mintTimeout)
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
	m.down.Store(false)
	return hold(handle, &grant, asked, order), nil
}

// failed remembers a failure, and says it in the words of this package.
func (m *mint) failed(handle string, from netip.Addr, err error) error {
	now := clock.Now()
	if errors.Is(err, passport.ErrNoSession) || errors.Is(err, passport.ErrRevoked) {
		m.down.Store(false)
		m.ready.drop(handle)
		m.dead.note(handle, uint64(now.Sub(m.began)))
		m.failures.take(from, now)
		return passport.ErrNoSession
	}
	m.failing.note(handle, uint64(now.Sub(m.began)))
	unavailable := errors.Is(err, passport.ErrUnavailable)
	if unavailable || errors.Is(err, context.DeadlineExceeded) {
		m.down.Store(true) // anything else is the fault of this handle alone
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
