// SPDX-License-Identifier: Apache-2.0

// What the node that keeps presence learns of sessions, and what it leaves to the next one.

package authority

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"example.com/vidimus/heartbeat/presence"
	"example.com/vidimus/journal"
	"example.com/vidimus/lease"
	"example.com/vidimus/passport"
	"example.com/vidimus/session"
)

// track tells the owner of a session. One that it cannot take expires by its absolute limit alone.
func (a *Authority) track(owner *presence.Owner, sid string, idle time.Duration) {
	id, err := presence.ParseID(sid)
	if err == nil {
		err = owner.Track(id, idle)
	}
	if err != nil {
		a.cfg.Logger.Warn("presence of a session is not kept", "session", sid, "error", err)
	}
}

// followSessions tells the owner of sessions that began or ended behind a place in the journal.
func (a *Authority) followSessions(ctx context.Context, owner *presence.Owner, from journal.Checkpoint) error {
	options := journal.FollowOptions{From: from, Filter: session.LifeFilter()}
	for frame, err := range a.cell.Log().Follow(ctx, options) {
		if err != nil {
			return fmt.Errorf("follow the sessions: %w", err)
		}
		for i := range frame.Events {
			if err := a.learn(ctx, owner, &frame.Events[i]); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// learn tells the owner of one event.
func (a *Authority) learn(ctx context.Context, owner *presence.Owner, e *journal.Event) error {
	sid, begins := session.Begins(e)
	if !begins {
		if id, err := presence.ParseID(sid); err == nil {
			owner.Forget(id)
		}
		return nil
	}
	s, err := a.sessions.Get(ctx, sid)
	if errors.Is(err, passport.ErrNoSession) {
		return nil // the event is no session's
	}
	if err == nil && s.Ended == nil {
		a.track(owner, sid, s.Idle)
	}
	return err
}

const (
	// saveEvery is how often is written down who has been silent, and for how long.
	saveEvery = time.Minute
	// saveMax is how many records that takes at most: 750,000 silent sessions. The others get a full time again when
	// another node takes over; their absolute limit ends them in any case.
	saveMax   = 16
	savedKey  = "silent/"
	partBytes = 1000 << 10
)

func partKey(i int) string { return fmt.Sprintf("%s%02d", savedKey, i) }

// save writes down the silence of sessions, under the lease. It stands in records of bounded size, and the last of them
// says that it is the last.
func (a *Authority) save(ctx context.Context, held *lease.Lease, w io.WriterTo) error {
	parts := &parts{}
	if _, err := w.WriteTo(parts); err != nil && !errors.Is(err, errFull) {
		return err
	}
	for i, part := range parts.whole() {
		_, err := a.cell.Log().Commit(ctx, journal.Unit{
			Fences:  []journal.Fence{held.Fence()},
			Records: []journal.RecordWrite{{Kind: kindPresence, Key: partKey(i), Expect: journal.Any, Value: part}},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// errFull: more is silent than is written down.
var errFull = errors.New("enough is written down")

// parts takes what an owner writes, a batch at a time, and keeps batches whole.
type parts struct{ all [][]byte }

// Write implements [io.Writer].
func (p *parts) Write(batch []byte) (int, error) {
	n := len(p.all)
	if n == 0 || len(p.all[n-1])+len(batch) > partBytes {
		if n == saveMax {
			return 0, errFull
		}
		p.all = append(p.all, nil)
		n++
	}
	p.all[n-1] = append(p.all[n-1], batch...)
	return len(batch), nil
}

// end is the batch of length 0 that ends what an owner writes.
func end() []byte { return []byte{0, 0, 0, 0} }

// whole returns what was written; the last part ends with the end.
func (p *parts) whole() [][]byte {
	if n := len(p.all); n == 0 || !bytes.HasSuffix(p.all[n-1], end()) {
		_, _ = p.Write(end()) // four bytes more, or there are as many parts as there may be
	}
	return p.all
}

// restore lets sessions go on being silent that were so when the last owner wrote it down. What cannot be read is as if
// it had not been written: the sessions get a full time.
func (a *Authority) restore(ctx context.Context, owner *presence.Owner) error {
	var readers []io.Reader
	for i := range saveMax {
		r, err := a.cell.Log().Record(ctx, kindPresence, partKey(i))
		if errors.Is(err, journal.ErrNotFound) {
			break
		}
		if err != nil {
			return err
		}
		readers = append(readers, bytes.NewReader(r.Value))
		if bytes.HasSuffix(r.Value, end()) {
			break // what stands behind it was written earlier, when more was silent
		}
	}
	if len(readers) == 0 {
		return nil
	}
	if _, err := owner.ReadFrom(io.MultiReader(append(readers, bytes.NewReader(end()))...)); err != nil {
		a.cfg.Logger.WarnContext(ctx, "silence of sessions was not kept whole", "error", err)
	}
	return nil
}
