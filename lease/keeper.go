// SPDX-License-Identifier: Apache-2.0

// Holding leases for one process.

package lease

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"example.com/vidimus/internal/chance"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
)

// Config configures a [Keeper].
type Config struct {
	// Owner is the name that this process goes by; empty for a random one. Keepers may share a name: each has its own
	// session.
	Owner string
	// Node says where the process runs, for people.
	Node string
	// Group is what [Table.Sessions] lists together; it may be empty.
	Group string
	// TTL is how long the process may be silent before others take its leases over: 0 for [DefaultTTL], otherwise
	// [MinTTL] to [MaxTTL]. Shorter than 5 seconds, a slow disk alone can lose leases.
	TTL time.Duration
	// Poll is how often the next in a queue looks whether the lease is free; those behind look less often. A lease
	// released elsewhere is acquired within about twice as long; one released by this keeper, at once. Each look reads
	// four records, and only those who wait look. 0 stands for 40 ms.
	Poll time.Duration
}

// Keeper holds leases for one process. Goroutines may share it. It works while Run runs.
type Keeper struct {
	log   *journal.Log
	table *Table
	cfg   Config
	nudge chan struct{} // tells Run to look at its session now
	mu    struct {
		sync.Mutex
		running bool
		stopped bool
		session *tenure
		changed chan struct{} // closed when leases or the session change
		held    []*Lease      // in the order they were acquired
		owed    []Claim       // to be released once that is possible
	}
}

// tenure is a session while it lasts, and for how long it is trusted.
type tenure struct {
	id  string
	log journal.Checkpoint // the log and epoch it began under
	ttl time.Duration
	mu  struct {
		sync.Mutex
		until time.Time
	}
	// The rest belongs to the goroutine that renews.
	session Session
	touched bool // somebody else wrote the session's record: look at the leases
}

func (s *tenure) trustedUntil() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.until
}

// trust prolongs the trust: a renewal that began at a moment was successful.
func (s *tenure) trust(began time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.until = began.Add(s.ttl - s.ttl/10)
	return s.mu.until
}

// owedMax bounds how many claims wait to be taken back.
const owedMax = 256

// Open returns a keeper of leases in a journal. It returns [journal.ErrInvalid] for a bad field, and
// [journal.ErrUnavailable] or the error of ctx when the journal cannot be reached. There is nothing to close.
func Open(ctx context.Context, log *journal.Log, cfg Config) (*Keeper, error) {
	if cfg.Owner == "" {
		cfg.Owner = chance.Short()
	}
	if cfg.Poll == 0 {
		cfg.Poll = 40 * time.Millisecond
	}
	s := Session{Owner: cfg.Owner, Node: cfg.Node, Group: cfg.Group, TTL: cfg.TTL}
	if err := s.validate(); err != nil {
		return nil, err
	}
	cfg.TTL = s.TTL
	if cfg.Poll < time.Millisecond || cfg.Poll > time.Minute {
		return nil, invalid("poll", "%v is out of range; use 1ms to 1m, or 0 for 40ms", cfg.Poll)
	}
	if _, err := log.Head(ctx); err != nil {
		return nil, err
	}
	k := &Keeper{log: log, table: NewTable(log), cfg: cfg, nudge: make(chan struct{}, 1)}
	k.mu.changed = make(chan struct{})
	return k, nil
}

// Owner returns the name that the keeper goes by.
func (k *Keeper) Owner() string { return k.cfg.Owner }

// Table returns the table that the keeper works with.
func (k *Keeper) Table() *Table { return k.table }

// Session returns the id of the present session, or "" while there is none.
func (k *Keeper) Session() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.mu.session == nil {
		return ""
	}
	return k.mu.session.id
}

// Acquire waits until the lease is free and everybody who asked before has had it or has given up, or until ctx ends;
// then it gives its place up. Before Run has started it waits for that. It returns [ErrStopped] once Run has ended,
// [journal.ErrOverloaded] when [MaxWaiting] wait already, and [journal.ErrUnavailable], [journal.ErrInvalid] or the
// error of ctx. The lease lasts until its Context ends: release it.
func (k *Keeper) Acquire(ctx context.Context, name string) (*Lease, error) {
	for {
		s, err := k.live(ctx)
		if err != nil {
			return nil, err
		}
		l, err := k.wait(ctx, s, Claim{Name: name, Session: s.id, Ticket: chance.Short(), Wait: true})
		if !errors.Is(err, ErrLost) {
			return l, err
		}
		if err := k.replaced(ctx, s); err != nil {
			return nil, err
		}
	}
}

// TryAcquire takes the lease if it is free and nobody waits for it. Otherwise it returns a [HeldError], which is
// [ErrHeld]; other errors are those of [Keeper.Acquire], and [ErrLost] when the keeper's session ended meanwhile.
func (k *Keeper) TryAcquire(ctx context.Context, name string) (*Lease, error) {
	s, err := k.live(ctx)
	if err != nil {
		return nil, err
	}
	c := Claim{Name: name, Session: s.id, Ticket: chance.Short()}
	l, err := k.claim(ctx, s, c)
	if err != nil && !errors.Is(err, ErrHeld) {
		k.withdraw(ctx, c)
	}
	return l, err
}

// live waits for a session that lives.
func (k *Keeper) live(ctx context.Context) (*tenure, error) {
	for {
		k.mu.Lock()
		s, stopped, changed := k.mu.session, k.mu.stopped, k.mu.changed
		k.mu.Unlock()
		switch {
		case stopped:
			return nil, ErrStopped
		case s != nil:
			return s, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// replaced waits until a session is not the present one any more.
func (k *Keeper) replaced(ctx context.Context, s *tenure) error {
	k.lookNow()
	for {
		k.mu.Lock()
		now, changed := k.mu.session, k.mu.changed
		k.mu.Unlock()
		if now != s {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (k *Keeper) lookNow() {
	select {
	case k.nudge <- struct{}{}:
	default:
	}
}

// wait repeats a claim until it is granted.
func (k *Keeper) wait(ctx context.Context, s *tenure, c Claim) (*Lease, error) {
	for {
		k.mu.Lock()
		changed := k.mu.changed
		k.mu.Unlock()
		l, err := k.claim(ctx, s, c)
		var held *HeldError
		if !errors.As(err, &held) {
			if err != nil {
				k.withdraw(ctx, c)
			}
			return l, err
		}
		look := clock.NewTimer(min(k.cfg.Poll*time.Duration(max(1, held.Place)), 500*time.Millisecond+k.cfg.Poll))
		select {
		case <-changed:
		case <-look.C:
		case <-ctx.Done():
			look.Stop()
			k.withdraw(ctx, c)
			return nil, ctx.Err()
		}
		look.Stop()
	}
}

// claim makes one step towards a lease.
func (k *Keeper) claim(ctx context.Context, s *tenure, c Claim) (*Lease, error) {
	epoch, ticket, err := k.table.acquire(ctx, c)
	if err != nil {
		return nil, err
	}
	l := &Lease{keeper: k, session: s, name: c.Name, ticket: ticket, epoch: epoch}
	l.ctx, l.cancel = context.WithCancelCause(context.Background())
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.mu.session != s {
		return nil, ErrLost
	}
	for _, other := range k.mu.held {
		if other.name == l.name && other.epoch == l.epoch {
			me := Holder{Owner: k.cfg.Owner, Node: k.cfg.Node, Session: s.id}
			return nil, &HeldError{Name: c.Name, Holder: me, Epoch: epoch, Place: 1}
		}
	}
	k.mu.held = append(k.mu.held, l)
	return l, nil
}

// withdraw takes back a claim that nobody waits for any more.
func (k *Keeper) withdraw(ctx context.Context, c Claim) {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := k.table.release(limited, c, exactly); err != nil {
		k.owe(c)
	}
}

// owe has a claim taken back by Run. With too many of them the session is given up as a whole.
func (k *Keeper) owe(c Claim) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.mu.owed = append(k.mu.owed, c); len(k.mu.owed) >= owedMax {
		k.lookNow()
	}
}

// forget drops a lease that has ended and wakes those who wait.
func (k *Keeper) forget(l *Lease) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.mu.held = slices.DeleteFunc(k.mu.held, func(other *Lease) bool { return other == l })
	k.announce()
}

// announce wakes everybody who waits for a change. The caller holds the lock.
func (k *Keeper) announce() {
	close(k.mu.changed)
	k.mu.changed = make(chan struct{})
}
