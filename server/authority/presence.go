// SPDX-License-Identifier: Apache-2.0

// Presence: one node of the cell keeps it, by a lease, and the others say which.

package authority

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"example.com/vidimus/heartbeat/presence"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/lease"
	"example.com/vidimus/server/internal/door"
	"example.com/vidimus/server/internal/wire"
	"example.com/vidimus/session"
)

const (
	// kindPresence holds where that node answers, and how long the silent sessions have been silent.
	kindPresence = "presence"
	ownerKey     = "owner"
	pingTimeout  = 5 * time.Second
	// termPause is how long a node waits before it tries again after a term that failed.
	termPause = time.Second
)

// attendance is what this node knows of presence.
type attendance struct {
	// owner keeps presence on this node; nil when another node does.
	owner atomic.Pointer[presence.Owner]
}

// Attendance says who is present, as far as this node keeps presence; ok is false when another one does.
func (a *Authority) Attendance() (stats presence.Stats, ok bool) {
	if owner := a.presence.owner.Load(); owner != nil {
		return owner.Stats(), true
	}
	return stats, false
}

// Release lets the sessions expire that are held because too many fell silent at once, and reports whether there were
// any. ok is false, and nothing happened, when another node keeps presence.
func (a *Authority) Release() (released, ok bool) {
	owner := a.presence.owner.Load()
	if owner == nil {
		return false, false
	}
	return owner.Release(), true
}

// takeBeats gives a batch to the owner, if that is here.
func (a *Authority) takeBeats(ctx context.Context, batch []byte) error {
	owner := a.presence.owner.Load()
	if owner == nil {
		return a.elsewhere(ctx)
	}
	beats, err := presence.ParseBatch(nil, batch)
	if bad := (*presence.InvalidError)(nil); errors.As(err, &bad) {
		return &journal.InvalidError{Field: bad.Field, Problem: bad.Problem}
	}
	if err == nil {
		err = owner.Beats(ctx, beats)
	}
	if errors.Is(err, presence.ErrStopped) {
		return &wire.NotOwnerError{}
	}
	return err
}

// place is where the owner answers.
type place struct {
	URL  string `json:"url"`
	Node string `json:"node"`
}

// elsewhere says which node keeps presence.
func (a *Authority) elsewhere(ctx context.Context) error {
	r, err := a.cell.Log().Record(ctx, kindPresence, ownerKey)
	if errors.Is(err, journal.ErrNotFound) {
		return &wire.NotOwnerError{}
	}
	if err != nil {
		return err
	}
	var at place
	if err := json.Unmarshal(r.Value, &at); err != nil || at.Node == a.cell.Node() || at.URL == a.cfg.URL {
		return &wire.NotOwnerError{} // we do not keep it any more; the next one has not said yet
	}
	return &wire.NotOwnerError{URL: strings.TrimSuffix(at.URL, "/")}
}

// keepPresence waits for this node's turn, again and again, until ctx ends.
func (a *Authority) keepPresence(ctx context.Context) error {
	for {
		err := a.term(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, journal.ErrClosed) || errors.Is(err, lease.ErrStopped) {
			return err
		}
		a.cfg.Logger.WarnContext(ctx, "presence is not kept here any more", "error", err)
		if err := clock.Sleep(ctx, termPause); err != nil {
			return nil
		}
	}
}

// term keeps presence once: from getting the lease until it is lost or ctx ends.
func (a *Authority) term(ctx context.Context) error {
	held, err := a.cell.Leases().Acquire(ctx, door.PresenceLease)
	if err != nil {
		return err
	}
	defer func() { _ = held.Release(context.WithoutCancel(ctx)) }() // the keeper goes on trying
	ctx, cancel := both(ctx, held.Context())
	defer cancel(nil)
	head, err := a.cell.Log().Head(ctx)
	if err != nil {
		return err
	}
	owner, err := presence.Open(a.presenceConfig(held))
	if err != nil {
		return err
	}
	if err := a.fill(ctx, owner); err != nil {
		return err
	}
	if err := a.restore(ctx, owner); err != nil {
		return err
	}
	if err := a.announce(ctx, held); err != nil {
		return err
	}
	a.presence.owner.Store(owner)
	defer a.presence.owner.Store(nil)
	a.cfg.Logger.InfoContext(ctx, "presence is kept here", "sessions", owner.Stats().Tracked, "epoch", int64(held.Epoch()))
	return a.attend(ctx, cancel, owner, head)
}

// both returns a context that ends with either of two, with the cause of that.
func both(ctx, other context.Context) (context.Context, context.CancelCauseFunc) {
	joined, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(other, func() { cancel(context.Cause(other)) })
	return joined, func(cause error) {
		stop()
		cancel(cause)
	}
}

// attend runs the owner, and tells it of sessions that begin and end.
func (a *Authority) attend(
	ctx context.Context, cancel context.CancelCauseFunc, owner *presence.Owner, from journal.Checkpoint,
) error {
	var work sync.WaitGroup
	for _, part := range []func() error{
		func() error { return owner.Run(ctx) },
		func() error { return a.followSessions(ctx, owner, from) },
	} {
		work.Go(func() { cancel(part()) })
	}
	work.Wait()
	return context.Cause(ctx)
}

// presenceConfig completes what was configured. Without a lease it serves to check that.
func (a *Authority) presenceConfig(held *lease.Lease) presence.Config {
	c := a.cfg.Presence
	c.Logger = a.cfg.Logger
	c.Expire = func(ctx context.Context, gone []presence.Expired) error { return a.expire(ctx, held, gone) }
	c.Save = func(ctx context.Context, w io.WriterTo) error { return a.save(ctx, held, w) }
	c.SaveEvery = max(c.SaveEvery, saveEvery)
	c.Held = func(h presence.Hold) {
		if h.On {
			a.cfg.Logger.Error("so many sessions fell silent at once that none expires; find out why, and if they are really "+
				"gone, let them expire", "silent", h.Due, "sessions", h.Tracked, "look", "vidimus session presence",
				"release", "vidimus session presence --release")
			return
		}
		a.cfg.Logger.Info("silent sessions expire again", "silent", h.Due, "sessions", h.Tracked)
	}
	return c
}

// expire ends sessions that fell silent, under the lease: an owner that was replaced ends nobody.
func (a *Authority) expire(ctx context.Context, held *lease.Lease, gone []presence.Expired) error {
	silent := make([]session.IdleSession, 0, len(gone))
	for i := range gone {
		silent = append(silent, session.IdleSession{ID: gone[i].ID.String(), Since: gone[i].Since})
	}
	return a.sessions.Idle(ctx, held.Fence(), silent)
}

// announce writes down where the owner answers.
func (a *Authority) announce(ctx context.Context, held *lease.Lease) error {
	value, err := json.Marshal(place{URL: a.cfg.URL, Node: a.cell.Node()})
	if err != nil {
		return err
	}
	_, err = a.cell.Log().Commit(ctx, journal.Unit{
		Fences:  []journal.Fence{held.Fence()},
		Records: []journal.RecordWrite{{Kind: kindPresence, Key: ownerKey, Expect: journal.Any, Value: value}},
	})
	return err
}

// fill tracks the sessions that live now.
func (a *Authority) fill(ctx context.Context, owner *presence.Owner) error {
	for live, err := range a.sessions.Live(ctx) {
		if err != nil {
			return fmt.Errorf("find the sessions that live: %w", err)
		}
		a.track(owner, live.ID, live.Idle)
	}
	return nil
}
