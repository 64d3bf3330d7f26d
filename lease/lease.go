// SPDX-License-Identifier: Apache-2.0

// Package lease says who owns a thing now, and proves it.
//
// A lease has a name, an owner and an epoch. The epoch rises with every change of owner and never goes back. It is the
// version of a record in the journal, so a write can demand it: a [journal.Unit] with the lease's [journal.Fence] is
// refused once somebody else has taken the lease over, however late it arrives. That check is what keeps data right.
// The clocks only decide how soon a silent owner is replaced. After a restore from a backup, see [journal.Log.Renew],
// epochs go on a thousand million higher, so that none of the lost history comes back.
//
// A [Keeper] holds leases for one process. It keeps one session alive with one small write every third of the time to
// live, however many leases it holds. Who wants a lease that is held waits in a queue, first come, first served. A
// [Table] does the same steps one by one, for servers that act for clients elsewhere.
//
// Nobody's wall clock is believed. A candidate replaces an owner whose session it has seen unchanged for the time to
// live, by the candidate's own monotonic clock. The owner stops earlier: it trusts a renewal from the moment it began
// to ask for it, for nine tenths of the time to live, and then [Lease.Context] ends. So both are right as long as their
// clocks run at nearly the same rate; when they do not, or when a process is paused between its check and its write,
// two owners may act at once for a moment, and the fence refuses the older one's writes.
package lease

import (
	"context"
	"errors"
	"sync"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
)

// Lease is one that a [Keeper] holds. Goroutines may share it.
type Lease struct {
	keeper  *Keeper
	session *tenure
	name    string
	ticket  string
	epoch   journal.Epoch
	ctx     context.Context
	cancel  context.CancelCauseFunc
	ended   sync.Once
}

// Name returns the lease's name.
func (l *Lease) Name() string { return l.name }

// Epoch returns the epoch under which the lease is held. It does not change: a lease that was lost and acquired again
// is another Lease with a higher epoch.
func (l *Lease) Epoch() journal.Epoch { return l.epoch }

// Fence returns what to put into the Fences of every unit that is written under the lease. Once the lease has gone to
// another owner or was released, such units are refused with [journal.ErrFenced].
func (l *Lease) Fence() journal.Fence { return journal.Fence{Lease: l.name, Epoch: l.epoch} }

// Context returns a context that ends with the lease. Its cause is [ErrLost] when the lease was taken over or could not
// be renewed in time, and [ErrReleased] when it was given away. It ends before anybody else can get the lease, unless
// this process was paused or its clock is slow; then it ends as soon as the process runs again.
func (l *Lease) Context() context.Context { return l.ctx }

// Err returns nil while the lease is held and trusted, and the cause of the end afterwards. It looks at the clock, so
// after a pause it knows of the end before [Lease.Context] does.
func (l *Lease) Err() error {
	if l.ctx.Err() != nil {
		return context.Cause(l.ctx)
	}
	if !clock.Now().Before(l.session.trustedUntil()) {
		return ErrLost
	}
	return nil
}

// Release gives the lease up. Context ends first, then the epoch rises, and whoever waits is next. When it returns nil
// nothing can be written under the lease any more. With [journal.ErrUnavailable], [journal.ErrUncertain] or the error
// of ctx the lease is not used any more either, and the keeper goes on trying to give it up. Twice is fine.
func (l *Lease) Release(ctx context.Context) error {
	return l.giveUp(ctx, func(c Claim) error { return l.keeper.table.release(ctx, c, exactly) })
}

// Handover gives the lease to a successor, ahead of everybody who waits, in one step: the epoch rises once. The
// successor is named by its owner; it gets the lease with its next Acquire or TryAcquire. Without a live session of
// that owner Handover returns [journal.ErrNotFound] and the lease is released instead. Other errors are those of
// [Lease.Release].
func (l *Lease) Handover(ctx context.Context, successor string) error {
	return l.giveUp(ctx, func(c Claim) error {
		err := l.keeper.table.Handover(ctx, c, successor)
		if errors.Is(err, journal.ErrNotFound) {
			err = errors.Join(err, l.keeper.table.release(ctx, c, exactly))
		}
		return err
	})
}

func (l *Lease) giveUp(ctx context.Context, give func(Claim) error) error {
	l.end(ErrReleased)
	c := Claim{Name: l.name, Session: l.session.id, Ticket: l.ticket}
	err := give(c)
	if err != nil && !errors.Is(err, ErrLost) {
		l.keeper.owe(c)
	}
	l.keeper.forget(l)
	return err
}

// end makes the context end. Only the first cause counts.
func (l *Lease) end(cause error) { l.ended.Do(func() { l.cancel(cause) }) }
