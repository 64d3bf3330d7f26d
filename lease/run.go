// SPDX-License-Identifier: Apache-2.0

// Keeping the session alive, and giving everything up at the end.

package lease

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"example.com/vidimus/internal/chance"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
)

// Run keeps a session alive, and with it all leases, until ctx ends; then it ends the leases' contexts, the latest
// acquired first, gives everything up and returns nil. When the session is lost, all its leases are, and Run begins
// another one as soon as the journal lets it. It returns an error when the journal is closed or refuses the session
// for good, or when giving up failed, in which case others get the leases after the TTL. Run once.
func (k *Keeper) Run(ctx context.Context) error {
	if err := k.begin(); err != nil {
		return err
	}
	defer k.stop()
	for last := ""; ; {
		s, err := k.open(ctx, last)
		if ctx.Err() != nil {
			return k.close(ctx, s)
		}
		if err != nil {
			return err
		}
		k.keep(ctx, s)
		if ctx.Err() != nil {
			return k.close(ctx, s)
		}
		k.lose(s)
		last = s.id
	}
}

func (k *Keeper) begin() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.mu.running || k.mu.stopped {
		return errors.New("lease: Run was called before; open another keeper")
	}
	k.mu.running = true
	return nil
}

func (k *Keeper) stop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.mu.running, k.mu.stopped = false, true
	k.announce()
}

// open begins a session, as soon as that is possible, and ends the last one.
func (k *Keeper) open(ctx context.Context, last string) (*tenure, error) {
	for pause := k.cfg.Poll; ; pause = min(2*pause, k.cfg.TTL/3) {
		s, err := k.tryOpen(ctx, last)
		if err == nil {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.mu.session = s
			k.announce()
			return s, nil
		}
		if !passing(err) {
			return nil, err
		}
		if err := clock.Sleep(ctx, chance.Jitter(pause)); err != nil {
			return nil, err
		}
	}
}

func (k *Keeper) tryOpen(ctx context.Context, last string) (*tenure, error) {
	if last != "" {
		if err := k.table.End(ctx, last); err != nil {
			return nil, err
		}
	}
	head, err := k.log.Head(ctx)
	if err != nil {
		return nil, err
	}
	began := clock.Now()
	session, err := k.table.Start(ctx, Session{
		Owner: k.cfg.Owner, Node: k.cfg.Node, Group: k.cfg.Group, TTL: k.cfg.TTL,
	})
	if err != nil {
		return nil, err
	}
	s := &tenure{id: session.ID, log: head, ttl: session.TTL, session: session}
	s.trust(began)
	return s, nil
}

// passing reports whether an error may go away by itself.
func passing(err error) bool {
	return errors.Is(err, journal.ErrUnavailable) || errors.Is(err, journal.ErrUncertain) ||
		errors.Is(err, journal.ErrOverloaded) || errors.Is(err, context.DeadlineExceeded)
}

// answer is what a renewal led to.
type answer struct {
	began time.Time
	err   error
}

// keep renews a session until it is lost or ctx ends. Renewals are made by a goroutine of their own, so that the trust
// ends in time even when the journal does not answer.
func (k *Keeper) keep(ctx context.Context, s *tenure) {
	ask, answers := make(chan struct{}, 1), make(chan answer, 1)
	limited, cancel := context.WithCancel(ctx)
	var renewer sync.WaitGroup
	renewer.Go(func() {
		for range ask {
			began := clock.Now()
			answers <- answer{began, k.renew(limited, s)}
		}
	})
	defer renewer.Wait()
	defer close(ask)
	defer cancel()
	next, trust := clock.NewTimer(k.cfg.TTL/3), clock.NewTimer(clock.Until(s.trustedUntil()))
	defer next.Stop()
	defer trust.Stop()
	for asked := false; ; {
		select {
		case <-ctx.Done():
			k.endAll(s, ErrReleased) // not later, should the journal hang
			return
		case <-trust.C:
			k.lose(s)
			return
		case <-k.nudge:
			next.Reset(0)
		case <-next.C:
			if !asked {
				ask <- struct{}{}
				asked = true
			}
		case a := <-answers:
			asked = false
			switch {
			case a.err == nil:
				trust.Reset(clock.Until(s.trust(a.began)))
				next.Reset(k.cfg.TTL/3 - clock.Since(a.began))
			case !passing(a.err): // the session is lost, or the journal is closed
				return
			default:
				next.Reset(chance.Jitter(k.cfg.TTL / 20))
			}
		}
	}
}

// renew prolongs the session and does what else is due. It returns ErrLost when the session has ended.
func (k *Keeper) renew(ctx context.Context, s *tenure) error {
	head, err := k.log.Head(ctx)
	if err != nil {
		return err
	}
	if head.Log != s.log.Log || head.Epoch != s.log.Epoch {
		return fmt.Errorf("%w: the journal was restored since", ErrLost)
	}
	if k.owes() >= owedMax {
		return fmt.Errorf("%w: too many claims could not be taken back", ErrLost)
	}
	renewed, err := k.table.put(ctx, s.session, journal.Exactly(s.session.Version))
	if errors.Is(err, journal.ErrConflict) {
		renewed, err = k.adopt(ctx, s)
	}
	if err != nil {
		return err
	}
	s.session.Version = renewed.Version
	if s.touched {
		if err := k.reconcile(ctx, s); err != nil {
			return err
		}
		s.touched = false
	}
	k.pay(ctx)
	if err := k.table.sweep(ctx); err != nil && !passing(err) && ctx.Err() == nil {
		return err
	}
	return nil
}

// adopt renews a session whose record is not as this keeper left it: an answer was lost, or somebody wrote it to say
// that a lease was released by force. A record older than known is one from a backup.
func (k *Keeper) adopt(ctx context.Context, s *tenure) (Session, error) {
	found, err := k.table.session(ctx, s.id)
	if err != nil {
		return Session{}, err
	}
	if found.Version < s.session.Version {
		return Session{}, fmt.Errorf("%w: the journal went back in time", ErrLost)
	}
	s.touched = true
	return k.table.put(ctx, s.session, journal.Exactly(found.Version))
}

// reconcile ends the leases that are not held any more though the session lives.
func (k *Keeper) reconcile(ctx context.Context, s *tenure) error {
	k.mu.Lock()
	held := slices.Clone(k.mu.held)
	k.mu.Unlock()
	for _, l := range held {
		r, err := k.log.Record(ctx, journal.KindLease, l.name)
		if err != nil && !errors.Is(err, journal.ErrNotFound) {
			return err
		}
		if l.session == s && journal.Epoch(r.Version) != l.epoch {
			l.end(ErrLost)
			k.forget(l)
		}
	}
	return nil
}

func (k *Keeper) owes() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.mu.owed)
}

// pay takes back claims that could not be taken back before.
func (k *Keeper) pay(ctx context.Context) {
	k.mu.Lock()
	owed := k.mu.owed
	k.mu.owed = nil
	k.mu.Unlock()
	for _, c := range owed {
		if err := k.table.release(ctx, c, exactly); err != nil {
			k.owe(c)
		}
	}
}

// endAll ends the contexts of all leases, the latest acquired first.
func (k *Keeper) endAll(s *tenure, cause error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, l := range slices.Backward(k.mu.held) {
		if l.session == s {
			l.end(cause)
		}
	}
}

// lose ends everything that hangs on a session, the latest acquired first.
func (k *Keeper) lose(s *tenure) { k.drop(s, ErrLost) }

func (k *Keeper) drop(s *tenure, cause error) []*Lease {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.mu.session != s {
		return nil
	}
	k.mu.session = nil
	k.mu.owed = nil
	held := k.mu.held
	k.mu.held = nil
	slices.Reverse(held)
	for _, l := range held {
		l.end(cause)
	}
	k.announce()
	return held
}

// close gives everything up: all leases and the session in as few units as possible.
func (k *Keeper) close(ctx context.Context, s *tenure) error {
	if s == nil {
		return nil
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), k.cfg.TTL)
	defer cancel()
	held := k.drop(s, ErrReleased)
	for chunk := range slices.Chunk(held, journal.MaxParts-1) {
		writes := make([]journal.RecordWrite, 0, len(chunk))
		for _, l := range chunk {
			v := view{name: l.name, epoch: l.epoch}
			writes = append(writes, v.put(leaseValue{}))
		}
		if err := k.table.commit(limited, writes...); err != nil {
			k.closeSlowly(limited, chunk)
		}
	}
	if err := k.table.End(limited, s.id); err != nil {
		return fmt.Errorf("end session %s: %w", s.id, err)
	}
	return nil
}

// closeSlowly releases leases one by one, for when one of them was lost. What fails here ends with the session.
func (k *Keeper) closeSlowly(ctx context.Context, held []*Lease) {
	for _, l := range held {
		c := Claim{Name: l.name, Session: l.session.id, Ticket: l.ticket}
		if err := k.table.release(ctx, c, exactly); err != nil && passing(err) {
			return
		}
	}
}
