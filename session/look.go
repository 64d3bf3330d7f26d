// SPDX-License-Identifier: Apache-2.0

// Looking at a session with all that can end it: its own history, its subject, its tenant, everybody, and the clock.

package session

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"example.com/vidimus/entity"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/passport"
)

// wideKind and wideKey name the record whose version counts the revocations of tenants and of everybody. As long as it
// stands still, what is known of them is true.
const (
	wideKind = "session-floor"
	wideKey  = "wide"
)

// known is what is remembered of streams. Nothing of it is believed without asking the journal: a session or subject is
// brought up to date by reading what came after the version that is remembered, and what is known of tenants holds
// while the record above is at the same version. So what a look returns is at least as new as the journal was when it
// began.
type known struct {
	mu      sync.Mutex
	log     string
	epoch   journal.LogEpoch // of the log that this is of; a restored log is another one
	lives   recent[entity.Snapshot[life]]
	persons recent[entity.Snapshot[person]]
	counted journal.Version // of the record above
	tenants recent[bar]
	all     *bar
}

// bar is the last revocation of a tenant or of everybody, as the version of its stream.
type bar struct {
	version journal.Version
	end     Ended
}

// rememberMax is how many entries of each kind are remembered in each of two generations.
const rememberMax = 8 << 10

// recent remembers what was used lately. When the younger generation is full, the older one is dropped.
type recent[V any] struct{ young, old map[string]V }

func (r *recent[V]) get(key string) (v V, ok bool) {
	if v, ok = r.young[key]; ok {
		return v, true
	}
	if v, ok = r.old[key]; ok {
		r.put(key, v)
	}
	return v, ok
}

func (r *recent[V]) put(key string, v V) {
	if r.young == nil || len(r.young) >= rememberMax {
		r.old, r.young = r.young, map[string]V{}
	}
	r.young[key] = v
}

// of forgets everything if it was of another epoch of the log than the one that ends at head.
func (k *known) of(head journal.Checkpoint) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.log != head.Log || k.epoch != head.Epoch {
		k.log, k.epoch, k.counted, k.all = head.Log, head.Epoch, 0, nil
		k.lives, k.persons, k.tenants = recent[entity.Snapshot[life]]{}, recent[entity.Snapshot[person]]{}, recent[bar]{}
	}
}

// mark names the log that a position is of. If that has a new epoch which was not noticed yet, the mark is of the one
// before, and whoever waits for it asks for everything instead.
func (k *known) mark(at journal.Position) passport.Mark {
	if at == 0 {
		return passport.Mark{} // of what is not there
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return passport.Mark{Log: k.log, Epoch: int64(k.epoch), Position: int64(at)}
}

// remember returns what is remembered under a key, brought up to date by extend, and remembers that.
func remember[V any](
	k *known, r *recent[V], key string, extend func(V) (V, error), newer func(a, b V) bool,
) (V, error) {
	k.mu.Lock()
	v, had := r.get(key)
	log, epoch := k.log, k.epoch
	k.mu.Unlock()
	now, err := extend(v)
	if err != nil || had && !newer(now, v) {
		return now, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if other, ok := r.get(key); k.log == log && k.epoch == epoch && (!ok || newer(now, other)) {
		r.put(key, now)
	}
	return now, nil
}

func (s *Sessions) life(ctx context.Context, sid string) (entity.Snapshot[life], error) {
	return remember(&s.known, &s.known.lives, sid, func(v entity.Snapshot[life]) (entity.Snapshot[life], error) {
		return s.lives.Extend(ctx, s.cell, sid, v)
	}, func(a, b entity.Snapshot[life]) bool { return a.Version > b.Version })
}

func (s *Sessions) person(ctx context.Context, key string) (entity.Snapshot[person], error) {
	return remember(&s.known, &s.known.persons, key, func(v entity.Snapshot[person]) (entity.Snapshot[person], error) {
		return s.persons.Extend(ctx, s.cell, key, v)
	}, func(a, b entity.Snapshot[person]) bool { return a.Version > b.Version })
}

// bars are what is known of the revocations of a tenant and of everybody, and the version of the record that says so.
type bars struct {
	record      journal.Version
	tenant, all bar
}

// barsOf returns the revocations of a tenant and of everybody.
func (s *Sessions) barsOf(ctx context.Context, tenant string) (b bars, err error) {
	r, err := s.log.Record(ctx, wideKind, wideKey)
	if err != nil && !errors.Is(err, journal.ErrNotFound) {
		return bars{}, err
	}
	b.record = r.Version
	k := &s.known
	k.mu.Lock()
	if k.counted != b.record {
		k.counted, k.all, k.tenants = b.record, nil, recent[bar]{}
	}
	knownTenant, okTenant := k.tenants.get(tenant)
	knownAll, log, epoch := k.all, k.log, k.epoch
	k.mu.Unlock()
	if okTenant && knownAll != nil {
		b.tenant, b.all = knownTenant, *knownAll
		return b, nil
	}
	// The streams are read after the record: they hold what it counted, or more.
	if b.tenant, err = s.bar(ctx, tenantStream(tenant)); err != nil {
		return bars{}, err
	}
	if b.all, err = s.bar(ctx, allStream); err != nil {
		return bars{}, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.counted == b.record && k.log == log && k.epoch == epoch {
		k.tenants.put(tenant, b.tenant)
		k.all = &b.all
	}
	return b, nil
}

func tenantStream(tenant string) journal.Stream { return journal.Stream(tenantCategory + "-" + tenant) }

// bar reads the last revocation of a stream.
func (s *Sessions) bar(ctx context.Context, stream journal.Stream) (b bar, err error) {
	for e, err := range s.log.ReadStream(ctx, stream, &journal.StreamOptions{Backwards: true, Limit: 1}) {
		if err != nil {
			return bar{}, err
		}
		var r revocation
		if err := json.Unmarshal(e.Data, &r); err != nil {
			return bar{}, errors.Join(entity.ErrHistory, err)
		}
		b = bar{e.Version, Ended{r.At, Revoked, r.By, r.Reason}}
	}
	return b, nil
}

// look is a session with all that can end it.
type look struct {
	sid      string
	life     entity.Snapshot[life]
	person   entity.Snapshot[person]
	bars     bars
	sessions *Sessions
}

// fresh makes sure that what is remembered is of the log that is there now.
func (s *Sessions) fresh(ctx context.Context) error {
	head, err := s.log.Head(ctx)
	if err == nil {
		s.known.of(head)
	}
	return err
}

// look returns a session, or [passport.ErrNoSession] if there never was one.
func (s *Sessions) look(ctx context.Context, sid string) (look, error) {
	if err := s.fresh(ctx); err != nil {
		return look{}, err
	}
	return s.see(ctx, sid)
}

// see is look for those who know that what is remembered is of this log.
func (s *Sessions) see(ctx context.Context, sid string) (l look, err error) {
	if len(sid) != sidSize {
		return look{}, passport.ErrNoSession
	}
	l = look{sid: sid, sessions: s}
	if l.life, err = s.life(ctx, sid); err != nil {
		return look{}, err
	}
	if l.life.Version == 0 {
		return look{}, passport.ErrNoSession
	}
	return l, s.around(ctx, &l)
}

// around reads what is around a session.
func (s *Sessions) around(ctx context.Context, l *look) (err error) {
	of := &l.life.State
	if l.person, err = s.person(ctx, passport.SubjectKey(of.Tenant, of.Subject)); err != nil {
		return err
	}
	l.bars, err = s.barsOf(ctx, of.Tenant)
	return err
}

// end says how the session ended; nil if it lives.
func (l *look) end(now time.Time) *Ended {
	of := &l.life.State
	switch {
	case of.Ended != nil:
		return of.Ended
	case l.person.State.revoked > of.floors.Subject:
		return &l.person.State.end
	case l.bars.tenant.version > of.floors.Tenant:
		return &l.bars.tenant.end
	case l.bars.all.version > of.floors.All:
		return &l.bars.all.end
	case !now.Before(of.Expires):
		return &Ended{At: of.Expires, Why: Expired}
	}
	return nil
}

// session returns what callers see.
func (l *look) session() Session { return l.at(l.life) }

// at returns the session at a version.
func (l *look) at(v entity.Snapshot[life]) Session {
	s := v.State.Session
	s.ID, s.Version, s.Position = l.sid, v.Version, v.Position
	s.Mark = l.sessions.known.mark(v.Position)
	at := *l
	at.life = v
	s.Ended = at.end(clock.Now())
	return s
}

// unchanged returns the checks that make a unit fail with a conflict when something around the session has changed
// since the look: so nothing is written for a session that was revoked a moment before.
func (l *look) unchanged() journal.Unit {
	of := &l.life.State
	subject := SubjectStream(of.Tenant, of.Subject)
	return journal.Unit{
		Appends: []journal.Append{{Stream: subject, Expect: journal.Exactly(l.person.Version)}},
		Records: []journal.RecordWrite{l.bars.check()},
	}
}

// check returns the check that no tenant was revoked since.
func (b *bars) check() journal.RecordWrite {
	return journal.RecordWrite{Op: journal.Check, Kind: wideKind, Key: wideKey, Expect: journal.Exactly(b.record)}
}
