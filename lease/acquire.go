// SPDX-License-Identifier: Apache-2.0

// The steps on leases, one by one.

package lease

import (
	"context"
	"errors"
	"slices"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
)

// Claim says who wants a lease.
type Claim struct {
	// Name is the lease's name.
	Name string
	// Session is the claimant's session.
	Session string
	// Ticket tells several claims of one session apart. A claim that is repeated with the same ticket is the same
	// claim. It may be empty where a session claims each lease only once at a time, and has at most [journal.MaxName]
	// bytes.
	Ticket string
	// Wait puts the claim into the queue when the lease is not free. Repeat the claim to learn when it is granted;
	// one that is not repeated within its session's TTL once it is first and the lease is free loses its place.
	Wait bool
}

// Acquire takes a lease if it is free and nobody waits before the claimant, and returns its epoch. It does not block. A
// repeated claim is answered with the epoch it was granted. Otherwise it returns a [HeldError], which is [ErrHeld] and
// says who holds the lease and what place in the queue a waiting claim has. It returns [ErrLost] when the claimant's
// own session has ended, and [journal.ErrOverloaded] when too many wait.
func (t *Table) Acquire(ctx context.Context, c Claim) (journal.Epoch, error) {
	epoch, _, err := t.acquire(ctx, c)
	return epoch, err
}

// acquire also returns the ticket that the lease was granted to: empty when it was handed over.
func (t *Table) acquire(ctx context.Context, c Claim) (journal.Epoch, string, error) {
	if len(c.Ticket) > journal.MaxName {
		return 0, "", invalid("ticket", "has %d bytes, the limit is %d", len(c.Ticket), journal.MaxName)
	}
	for range attemptsMax {
		me, err := t.session(ctx, c.Session)
		if err != nil {
			return 0, "", err
		}
		v, err := t.view(ctx, c.Name)
		if err != nil {
			return 0, "", err
		}
		if v.grantedTo(&c) {
			return v.epoch, v.held.Ticket, nil
		}
		epoch, err := t.try(ctx, v, &c, me)
		if !again(err) {
			return epoch, c.Ticket, err
		}
	}
	return 0, "", busy("lease", c.Name)
}

// view is a lease and its queue as they were read. The queue was read first: a ticket that is not in it was not there
// while the lease was as seen.
type view struct {
	name   string
	epoch  journal.Epoch
	held   leaseValue
	qv     journal.Version
	queue  []ticket
	killed *journal.RecordWrite // ends the silent session of the holder
}

func (t *Table) view(ctx context.Context, name string) (*view, error) {
	if name == "" || len(name) > journal.MaxName {
		return nil, invalid("name", "has %d bytes; name the lease with 1 to %d", len(name), journal.MaxName)
	}
	v := &view{name: name}
	r, err := t.log.Record(ctx, KindQueue, name)
	if err != nil && !errors.Is(err, journal.ErrNotFound) {
		return nil, err
	}
	if err == nil {
		var q queueValue
		if err := decode(r, &q); err != nil {
			return nil, err
		}
		v.qv, v.queue = r.Version, q.Tickets
	}
	r, err = t.log.Record(ctx, journal.KindLease, name)
	if err != nil && !errors.Is(err, journal.ErrNotFound) {
		return nil, err
	}
	if err == nil {
		if err := decode(r, &v.held); err != nil {
			return nil, err
		}
		v.epoch = journal.Epoch(r.Version)
	}
	return v, nil
}

// put returns the write that gives the lease to a holder, or frees it.
func (v *view) put(value leaseValue) journal.RecordWrite {
	value.Since = clock.Now().UTC()
	return journal.RecordWrite{
		Kind: journal.KindLease, Key: v.name, Expect: journal.Exactly(journal.Version(v.epoch)), Value: encode(value),
	}
}

// putQueue returns the write that replaces the queue.
func (v *view) putQueue(tickets []ticket) journal.RecordWrite {
	return journal.RecordWrite{
		Kind: KindQueue, Key: v.name, Expect: journal.Exactly(v.qv), Value: encode(queueValue{tickets}),
	}
}

// sameQueue returns the check that nobody has joined or left the queue.
func (v *view) sameQueue() journal.RecordWrite {
	return journal.RecordWrite{Op: journal.Check, Kind: KindQueue, Key: v.name, Expect: journal.Exactly(v.qv)}
}

// try grants the claim, queues it, or says that it has to wait.
func (t *Table) try(ctx context.Context, v *view, c *Claim, me Session) (journal.Epoch, error) {
	free, err := t.free(ctx, v, c.Session)
	if err != nil {
		return 0, err
	}
	mine := slices.IndexFunc(v.queue, func(k ticket) bool { return k.of(c) })
	ahead, behind := v.queue, []ticket(nil)
	if mine >= 0 {
		ahead, behind = v.queue[:mine], v.queue[mine+1:]
	}
	ahead, err = t.living(ctx, v, ahead, free, c.Session)
	if err != nil {
		return 0, err
	}
	if free && len(ahead) == 0 {
		return t.grant(ctx, v, c, me, behind)
	}
	held := &HeldError{Name: c.Name, Epoch: v.epoch}
	if !free {
		held.Holder = v.held.Holder
	}
	if mine >= 0 || c.Wait {
		held.Place = len(ahead) + 1
	}
	line := append(slices.Clone(ahead), ticket{Holder: me.holder(), ID: c.Ticket})
	line = append(line, behind...)
	switch {
	case held.Place == 0 || mine >= 0 && len(line) == len(v.queue):
		return 0, held
	case len(line) > MaxWaiting:
		return 0, full(c.Name)
	}
	if err := t.commit(ctx, v.putQueue(line), alive(me.ID)); err != nil {
		return 0, err
	}
	return 0, held
}

// free reports whether nobody holds the lease: it was released, or its holder's session has ended or is silent.
func (t *Table) free(ctx context.Context, v *view, claimant string) (bool, error) {
	switch v.held.Session {
	case "":
		return true, nil
	case claimant:
		return false, nil // by another ticket of the same session
	}
	s, gone, dead, err := t.silent(ctx, v.held.Session)
	if dead {
		kill := s.kill()
		v.killed = &kill
	}
	return gone || dead, err
}

// living returns the tickets that still count. Only the first and the last few are looked at, to bound the work.
func (t *Table) living(ctx context.Context, v *view, line []ticket, free bool, claimant string) ([]ticket, error) {
	const looked = 8
	verdicts := map[string]bool{claimant: true}
	out := make([]ticket, 0, len(line))
	for i, k := range line {
		if i > 0 && i < len(line)-looked {
			out = append(out, k)
			continue
		}
		living, known := verdicts[k.Session]
		if !known {
			s, gone, dead, err := t.silent(ctx, k.Session)
			if err != nil {
				return nil, err
			}
			living = !gone && !dead
			if living && free && len(out) == 0 && t.idle(v, k, s) {
				continue
			}
			verdicts[k.Session] = living
		}
		if living {
			out = append(out, k)
		}
	}
	return out, nil
}

// idle reports whether the first in the queue has left a free lease alone for as long as its session may be silent.
func (t *Table) idle(v *view, first ticket, s Session) bool {
	key := "claim/" + v.name + "/" + first.Session + "/" + first.ID
	return t.seen.see(key, journal.Version(v.epoch), clock.Now()) >= s.TTL
}

func (t *Table) grant(ctx context.Context, v *view, c *Claim, me Session, rest []ticket) (journal.Epoch, error) {
	writes := []journal.RecordWrite{v.put(leaseValue{Holder: me.holder(), Ticket: c.Ticket}), alive(me.ID)}
	if v.killed != nil {
		writes = append(writes, *v.killed)
	}
	if len(rest) != len(v.queue) {
		writes = append(writes, v.putQueue(rest))
	} else {
		writes = append(writes, v.sameQueue())
	}
	res, err := t.log.Commit(ctx, journal.Unit{Records: writes})
	if err != nil {
		return 0, err
	}
	return journal.Epoch(res.Records[0]), nil
}
