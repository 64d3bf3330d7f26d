// SPDX-License-Identifier: Apache-2.0

// Giving leases up, and looking at them.

package lease

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"example.com/vidimus/journal"
)

// Release takes a claim back: a lease that it was granted becomes free and its epoch rises, so that nothing can be
// written under it any more; a place in the queue is left. It returns nil when the claim has neither.
func (t *Table) Release(ctx context.Context, c Claim) error {
	return t.release(ctx, c, (*view).grantedTo)
}

func (t *Table) release(ctx context.Context, c Claim, granted func(*view, *Claim) bool) error {
	for range attemptsMax {
		v, err := t.view(ctx, c.Name)
		if err != nil {
			return err
		}
		var writes []journal.RecordWrite
		if granted(v, &c) {
			writes = append(writes, v.put(leaseValue{}))
		}
		if rest := v.without(&c); len(rest) < len(v.queue) {
			writes = append(writes, v.putQueue(rest))
		}
		if len(writes) == 0 {
			return nil
		}
		if err := t.commit(ctx, writes...); !again(err) {
			return err
		}
	}
	return busy("lease", c.Name)
}

// exactly reports whether the lease was granted to this very claim.
func exactly(v *view, c *Claim) bool {
	return v.held.Session != "" && v.held.Session == c.Session && v.held.Ticket == c.Ticket
}

// grantedTo reports whether the lease was granted to the claim, or handed over to its session.
func (v *view) grantedTo(c *Claim) bool {
	return v.held.Session != "" && v.held.Session == c.Session && (v.held.Ticket == c.Ticket || v.held.Ticket == "")
}

// without returns the queue without the claim.
func (v *view) without(c *Claim) []ticket {
	return slices.DeleteFunc(slices.Clone(v.queue), func(k ticket) bool { return k.of(c) })
}

// Handover gives a lease that the claim was granted to a successor, named by its owner, ahead of everybody who waits.
// The epoch rises once. A successor that waits takes its first place in the queue; one that does not gets the lease
// with its next Acquire. It returns [ErrLost] when the claim does not hold the lease, and [journal.ErrNotFound] when no
// session of that owner lives.
func (t *Table) Handover(ctx context.Context, c Claim, successor string) error {
	var to Claim
	for range attemptsMax {
		v, err := t.view(ctx, c.Name)
		if err != nil {
			return err
		}
		if to.Session != "" && exactly(v, &to) {
			return nil // the answer to the attempt before was lost
		}
		if !v.grantedTo(&c) {
			return fmt.Errorf("%w: %s is not held under session %s; nothing was handed over", ErrLost, c.Name, c.Session)
		}
		next, err := t.successor(ctx, v, successor)
		if err != nil {
			return err
		}
		to = Claim{Name: c.Name, Session: next.Session, Ticket: next.ID}
		writes := []journal.RecordWrite{v.put(leaseValue{Holder: next.Holder, Ticket: next.ID}), alive(next.Session)}
		if rest := v.without(&to); len(rest) < len(v.queue) {
			writes = append(writes, v.putQueue(rest))
		}
		if err := t.commit(ctx, writes...); !again(err) {
			return err
		}
	}
	return busy("lease", c.Name)
}

// successor finds the first place in the queue that an owner has, or else the owner's newest session, of the holder's
// own group if it has one there: somebody else may go by the same name elsewhere.
func (t *Table) successor(ctx context.Context, v *view, owner string) (ticket, error) {
	for _, k := range v.queue {
		if k.Owner != owner {
			continue
		}
		_, gone, dead, err := t.silent(ctx, k.Session)
		if err != nil {
			return ticket{}, err
		}
		if !gone && !dead {
			return k, nil
		}
	}
	var found Session
	own := groupOf(v.held.Session)
	for after := ""; ; {
		page, err := t.Sessions(ctx, "", after, 0)
		if err != nil {
			return ticket{}, err
		}
		for _, s := range page {
			if s.Owner != owner {
				continue
			}
			near, later := s.Group == own, s.Started.After(found.Started)
			if found.ID == "" || near == (found.Group == own) && later || near && found.Group != own {
				found = s
			}
		}
		if len(page) < journal.MaxPage {
			break
		}
		after = page[len(page)-1].ID
	}
	if found.ID == "" {
		return ticket{}, fmt.Errorf("%w: no session of owner %q lives; release the lease instead",
			journal.ErrNotFound, owner)
	}
	return ticket{Holder: found.holder()}, nil
}

// ForceRelease takes a lease from its holder, whoever that is, and returns its new epoch: from then on the holder's
// writes are refused. By says who did it and is kept with the lease. The holder's session lives on, and may acquire the
// lease again. A free lease stays as it is. It returns [journal.ErrNotFound] when there never was such a lease and
// [journal.ErrInvalid] when by is empty.
func (t *Table) ForceRelease(ctx context.Context, name, by string) (journal.Epoch, error) {
	if by == "" {
		return 0, invalid("by", "is missing; say who releases the lease")
	}
	var first journal.Epoch
	for i := range attemptsMax {
		v, err := t.view(ctx, name)
		if i == 0 && err == nil {
			first = v.epoch
		}
		switch {
		case err != nil:
			return 0, err
		case v.epoch != first:
			return v.epoch, nil // released by the attempt before, or by others: who had it has it no more
		case v.epoch == 0:
			return 0, fmt.Errorf("%w: there is no lease %q", journal.ErrNotFound, name)
		case v.held.Session == "":
			return v.epoch, nil
		}
		writes := []journal.RecordWrite{v.put(leaseValue{Forced: by})}
		s, err := t.session(ctx, v.held.Session)
		if err == nil {
			writes = append(writes, s.write(journal.Exactly(s.Version))) // tells the keeper to look
		} else if !errors.Is(err, ErrLost) {
			return 0, err
		}
		res, err := t.log.Commit(ctx, journal.Unit{Records: writes})
		if err == nil {
			return journal.Epoch(res.Records[0]), nil
		}
		if !again(err) {
			return 0, err
		}
	}
	return 0, busy("lease", name)
}

// Look returns a lease as it is now. One that never was held has epoch 0.
func (t *Table) Look(ctx context.Context, name string) (Info, error) {
	v, err := t.view(ctx, name)
	if err != nil {
		return Info{}, err
	}
	infos, err := t.describe(ctx, []*view{v})
	if err != nil {
		return Info{}, err
	}
	return infos[0], nil
}

// List returns leases by name, at most limit of those that begin with a prefix and sort after a name. 0 and more than
// [journal.MaxPage] stand for that.
func (t *Table) List(ctx context.Context, prefix, after string, limit int) ([]Info, error) {
	q := journal.RecordQuery{Kind: journal.KindLease, Prefix: prefix, After: after, Limit: limit}
	leases, err := t.log.Records(ctx, q)
	if err != nil {
		return nil, err
	}
	q.Kind, q.Limit = KindQueue, 0
	queues, err := t.log.Records(ctx, q)
	if err != nil {
		return nil, err
	}
	views := make([]*view, 0, len(leases))
	for _, r := range leases {
		v := &view{name: r.Key, epoch: journal.Epoch(r.Version)}
		if err := decode(r, &v.held); err != nil {
			return nil, err
		}
		views = append(views, v)
	}
	for _, r := range queues {
		i, ok := slices.BinarySearchFunc(views, r.Key, func(v *view, key string) int { return strings.Compare(v.name, key) })
		if !ok {
			continue
		}
		var value queueValue
		if err := decode(r, &value); err != nil {
			return nil, err
		}
		views[i].queue = value.Tickets
	}
	return t.describe(ctx, views)
}

// describe leaves out holders and waiters whose session has ended.
func (t *Table) describe(ctx context.Context, views []*view) ([]Info, error) {
	living := map[string]bool{}
	lives := func(session string) (bool, error) {
		yes, known := living[session]
		if known || session == "" {
			return yes, nil
		}
		_, err := t.session(ctx, session)
		if err != nil && !errors.Is(err, ErrLost) {
			return false, err
		}
		living[session] = err == nil
		return err == nil, nil
	}
	out := make([]Info, 0, len(views))
	for _, v := range views {
		info := Info{Name: v.name, Epoch: v.epoch, Since: v.held.Since, Forced: v.held.Forced}
		yes, err := lives(v.held.Session)
		if err != nil {
			return nil, err
		}
		if yes {
			info.Holder = v.held.Holder
		}
		for _, k := range v.queue {
			if yes, err = lives(k.Session); err != nil {
				return nil, err
			}
			if yes {
				info.Waiting = append(info.Waiting, k.Holder)
			}
		}
		out = append(out, info)
	}
	return out, nil
}

// commit writes records in one unit.
func (t *Table) commit(ctx context.Context, writes ...journal.RecordWrite) error {
	_, err := t.log.Commit(ctx, journal.Unit{Records: writes})
	return err
}

// alive returns the check that a session has not ended.
func alive(session string) journal.RecordWrite {
	return journal.RecordWrite{Op: journal.Check, Kind: KindSession, Key: session, Expect: journal.Exists}
}

func full(name string) error {
	return fmt.Errorf("%w: %d wait for lease %s already; try again later", journal.ErrOverloaded, MaxWaiting, name)
}
