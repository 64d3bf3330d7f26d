// SPDX-License-Identifier: Apache-2.0

// Starting sessions, no more of a subject than there may be.

package session

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"example.com/vidimus/entity"
	"example.com/vidimus/internal/chance"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/schema"
	"example.com/vidimus/passport"
	"example.com/vidimus/timer"
)

// sidSize is how many characters a session's id has: base64url of 128 bits.
const sidSize = 22

// startTries is how often to begin again when others start sessions of the same subject.
const (
	startTries = 64
	startPause = 2 * time.Millisecond
)

// Start begins a session. When the subject has as many as it may, it returns [ErrTooMany], or ends the oldest ones with
// Config.Evict: of starts at the same time, on any nodes, no more succeed than there are places. A start with an ID
// that is repeated is answered with the session as it was begun, even if it has ended since; an ID that another start
// of the subject had is journal.ErrIDReused.
func (s *Sessions) Start(ctx context.Context, st Start) (Started, error) {
	said := st.says()
	if err := s.validStart(&st); err != nil {
		return Started{}, err
	}
	sid := newSID(&st)
	for try := 1; ; try++ {
		res, err := s.startOnce(ctx, sid, &st, said)
		if errors.Is(err, errUsed) && st.ID != (journal.ID{}) {
			res.Snapshot, err = s.begun(ctx, sid, said)
		}
		if err == nil {
			l := look{sid: sid, sessions: s}
			return s.withHandle(l.at(res.Snapshot)), nil
		}
		if crowd, ok := errors.AsType[*crowdError](err); ok && try < startTries {
			if err = s.thin(ctx, crowd); err == nil {
				continue
			}
		}
		if !errors.Is(err, entity.ErrContended) || try == startTries {
			return Started{}, fmt.Errorf("start a session: %w", err)
		}
		if err := clock.Sleep(ctx, chance.Jitter(startPause*time.Duration(min(try, 20)))); err != nil {
			return Started{}, err
		}
	}
}

func (s *Sessions) validStart(st *Start) (err error) {
	const f = "Start."
	st.Device = st.Device.Clean()
	for _, check := range []error{
		text(f+"Tenant", st.Tenant, maxTenant, false),
		text(f+"Subject", st.Subject, maxSubject, true),
		validMethods(f, st.ACR, st.AMR),
		validScopes(f+"Scopes", st.Scopes),
	} {
		if check != nil {
			return check
		}
	}
	if st.State, err = accept(f+"State", s.cfg.Public.Session, st.State); err != nil {
		return err
	}
	if st.SubjectState, err = accept(f+"SubjectState", s.cfg.Public.Subject, st.SubjectState); err != nil {
		return err
	}
	if err := s.fits(f+"State", full(), st.State); err != nil {
		return err
	}
	if err := s.fits(f+"SubjectState", st.SubjectState, full()); err != nil {
		return err
	}
	if st.Scopes == nil {
		st.Scopes = s.cfg.Scopes
	}
	if len(st.Scopes) == 0 {
		return &journal.InvalidError{Field: f + "Scopes", Problem: "are empty: leave them out for the usual ones"}
	}
	if st.AuthTime, err = recognised(f+"AuthTime", st.AuthTime, clock.Now()); err != nil {
		return err
	}
	if st.Idle == 0 {
		st.Idle = s.cfg.Idle
	}
	if st.Absolute == 0 {
		st.Absolute = s.cfg.Absolute
	}
	return s.cfg.validTimes(f, st.Idle, st.Absolute)
}

// newSID returns the id of the new session: the same for the same command.
func newSID(st *Start) string {
	var id [16]byte
	chance.Fill(id[:])
	if st.ID != (journal.ID{}) {
		text := fmt.Sprintf("vidimus session\n%s\n%q\n%q", st.ID, st.Tenant, st.Subject)
		sum := sha256.Sum256([]byte(text))
		copy(id[:], sum[:])
	}
	return idText(id)
}

// idText writes an id. It never begins with "-": people give ids to commands, which would take it for a flag.
func idText(id [16]byte) string {
	text := base64.RawURLEncoding.EncodeToString(id[:])
	if text[0] == '-' {
		return "_" + text[1:]
	}
	return text
}

// begun returns a session as it was begun. Its id follows from that of the command and from whose it is, so a session
// that is there was begun by the same command, also when that is too long ago for the command to be found; or by one
// that said something else, which is journal.ErrIDReused.
func (s *Sessions) begun(ctx context.Context, sid string, said any) (entity.Snapshot[life], error) {
	v, first, err := s.beginning(ctx, sid)
	if err == nil && !entity.MaySay(&first, said) {
		return v, fmt.Errorf("%w: Start.ID began session %s, and the start said something else; give each sign-in an ID "+
			"of its own, and repeat a start only as it was", journal.ErrIDReused, sid)
	}
	return v, err
}

// beginning returns the first event of a session, and its state after that. Version 0 is for no session.
func (s *Sessions) beginning(
	ctx context.Context, sid string,
) (v entity.Snapshot[life], first journal.EventData, err error) {
	for e, err := range s.log.ReadStream(ctx, s.lives.Stream(sid), &journal.StreamOptions{Limit: 1}) {
		if err != nil {
			return v, first, err
		}
		v.Version, v.Position, first = e.Version, e.Position, e.EventData
		value, err := s.lives.Types().Decode(&e)
		if err != nil || value == nil {
			return v, first, errors.Join(entity.ErrHistory, err)
		}
		v.State = v.State.Evolve(value)
	}
	return v, first, nil
}

func (s *Sessions) withHandle(of Session) Started {
	return Started{of, s.cfg.Keys.Handle(s.cell.Name(), of.ID, of.Generation)}
}

// startOnce looks at everything around the new session, and begins it if nothing of that has changed.
func (s *Sessions) startOnce(ctx context.Context, sid string, st *Start, said any) (entity.Result[life], error) {
	key := passport.SubjectKey(st.Tenant, st.Subject)
	p, b, err := s.ground(ctx, key, st)
	if err != nil {
		return entity.Result[life]{}, err
	}
	now := moment()
	at := floors{p.State.count, b.tenant.version, b.all.version}
	e := started{
		Tenant: st.Tenant, Subject: st.Subject, Device: st.Device, ACR: st.ACR, AMR: st.AMR, AuthTime: st.AuthTime,
		Scopes: st.Scopes, State: st.State, IdleMS: st.Idle.Milliseconds(), Expires: now.Add(st.Absolute), At: now,
		Floors: at,
	}
	also := func(ctx context.Context, _, _ life, _ []any) (journal.Unit, error) {
		u, evicted, err := s.places(ctx, key, now, &b, p)
		if err != nil {
			return u, err
		}
		subject, err := s.newSubject(key, st, p.Version)
		if err != nil {
			return u, err
		}
		note, err := note(key, sid, evicted...)
		if err != nil {
			return u, err
		}
		value, err := json.Marshal(place{now, st.Idle.Milliseconds(), e.Expires, st.Tenant, at})
		u.Appends = append(u.Appends, subject, note)
		u.Records = append(u.Records, b.check(), timer.Set(timerKey(sid), e.Expires, nil),
			journal.RecordWrite{Kind: liveKind, Key: key + "/" + sid, Expect: journal.None, Value: value})
		return u, err
	}
	return s.lives.DoAlso(ctx, s.cell, sid, begin{e}, &entity.Options{ID: st.ID, Said: said, Tries: 1}, also)
}

// ground returns what a new session stands on: its subject, and the revocations around it. It returns [ErrEnded] if one
// of them came after the proof of who the subject is.
func (s *Sessions) ground(ctx context.Context, key string, st *Start) (p entity.Snapshot[person], b bars, err error) {
	if err := s.fresh(ctx); err != nil {
		return p, b, err
	}
	if p, err = s.person(ctx, key); err != nil {
		return p, b, err
	}
	if b, err = s.barsOf(ctx, st.Tenant); err != nil || st.Proved.IsZero() {
		return p, b, err
	}
	for _, end := range []Ended{p.State.end, b.tenant.end, b.all.end} {
		if !st.Proved.After(end.At) && !end.At.IsZero() {
			return p, b, fmt.Errorf("%w: revoked after the proof was made", ErrEnded)
		}
	}
	return p, b, nil
}

// newSubject returns the append that gives a new subject its state, or checks that the one there is did not change.
func (s *Sessions) newSubject(key string, st *Start, at journal.Version) (journal.Append, error) {
	a := journal.Append{Stream: s.persons.Stream(key), Expect: journal.Exactly(at)}
	if at > 0 || len(st.SubjectState) == 0 {
		return a, nil
	}
	e, err := s.persons.Types().Encode(subjectChanged{Set: st.SubjectState})
	a.Events = []journal.EventData{e}
	return a, err
}

// note returns the append that notes in a subject's stream of activities which sessions it has ended, and which begun.
func note(key, begun string, over ...string) (journal.Append, error) {
	a := journal.Append{Stream: activityStream(key), Expect: journal.Any}
	add := func(what, sid string) error {
		data, err := json.Marshal(activity{sid})
		a.Events = append(a.Events, journal.EventData{ID: journal.NewID(), Type: what, Data: data})
		return err
	}
	for _, sid := range over {
		if err := add(typeSignedOut, sid); err != nil {
			return a, err
		}
	}
	if begun == "" {
		return a, nil
	}
	return a, add(typeSignedIn, begun)
}

// Kinds of records.
const (
	// liveKind holds a record for each session that has not ended, by the key of its subject and its id.
	liveKind = "session-live"
	// countKind holds a record for each subject, whose version rises with every start: so starts of one subject
	// notice each other.
	countKind = "session-count"
)

// place is what such a record holds of a live session.
type place struct {
	Started time.Time `json:"started"`
	IdleMS  int64     `json:"idle_ms"`
	Expires time.Time `json:"expires"`
	Tenant  string    `json:"tenant,omitempty"`
	Floors  floors    `json:"floors"`
}

// taken is a place with the id of its session.
type taken struct {
	place
	sid string
}

// evictMax is how many sessions one start ends at most in its own unit, and how many dead ones it clears away.
const evictMax = 20

// crowdError says that more sessions are to make room than a start ends in its unit: the limit was lowered. It holds
// the oldest of them, without as many as the start ends itself, so that no more go than have to when others end
// meanwhile.
type crowdError struct{ oldest []taken }

func (e *crowdError) Error() string {
	return fmt.Sprintf("%v: %d have to end first; start again", ErrTooMany, len(e.oldest))
}

// Is reports whether target is [ErrTooMany].
func (e *crowdError) Is(target error) bool { return target == ErrTooMany }

// thin ends those who are too many for the unit of a start, in units of their own.
func (s *Sessions) thin(ctx context.Context, crowd *crowdError) error {
	ids := make([]string, 0, len(crowd.oldest))
	for i := range crowd.oldest {
		ids = append(ids, crowd.oldest[i].sid)
	}
	over := ended{Why: Evicted, At: moment()}
	return s.finishMany(ctx, ids, finishing{event: func(*look) schema.Event { return over }, unread: true})
}

// places returns what makes room for one more session, if there is any, and which sessions that ends.
func (s *Sessions) places(
	ctx context.Context, key string, now time.Time, b *bars, p entity.Snapshot[person],
) (u journal.Unit, evicted []string, err error) {
	count, err := s.log.Record(ctx, countKind, key)
	if err != nil && !errors.Is(err, journal.ErrNotFound) {
		return u, nil, err
	}
	u.Records = append(u.Records, journal.RecordWrite{Kind: countKind, Key: key, Expect: journal.Exactly(count.Version)})
	all, err := s.taken(ctx, key)
	if err != nil || len(all) < s.cfg.Concurrent {
		return u, nil, err
	}
	slices.SortFunc(all, func(a, b taken) int { return a.Started.Compare(b.Started) })
	// What is dead gives its place away; its own end is written by its timer.
	var living []taken
	for _, t := range all {
		if f := t.Floors; now.Before(t.Expires) && p.State.revoked <= f.Subject &&
			b.tenant.version <= f.Tenant && b.all.version <= f.All {
			living = append(living, t)
		} else if len(u.Records) <= evictMax {
			u.Records = append(u.Records, vacate(key, t.sid))
		}
	}
	over := len(living) + 1 - s.cfg.Concurrent
	if over > 0 && !s.cfg.Evict {
		return u, nil, fmt.Errorf("%w: %d are the limit; let one end first", ErrTooMany, s.cfg.Concurrent)
	}
	if over > evictMax {
		return u, nil, &crowdError{living[:over-evictMax]}
	}
	for _, t := range living[:max(over, 0)] {
		if err := s.evict(ctx, &u, key, t.sid, now); err != nil {
			return u, nil, err
		}
		evicted = append(evicted, t.sid)
	}
	return u, evicted, nil
}

// evict adds the end of a session to a unit.
func (s *Sessions) evict(ctx context.Context, u *journal.Unit, key, sid string, now time.Time) error {
	l, err := s.life(ctx, sid)
	if errors.Is(err, entity.ErrHistory) {
		l, err = s.unread(ctx, sid)
	}
	if err != nil {
		return err
	}
	u.Records = append(u.Records, vacate(key, sid), timer.Cancel(timerKey(sid)))
	a := journal.Append{Stream: s.lives.Stream(sid), Expect: journal.Exactly(l.Version)}
	if l.State.Ended != nil {
		u.Appends = append(u.Appends, a) // ended meanwhile: the start begins again
		return nil
	}
	e, err := s.lives.Types().Encode(ended{Why: Evicted, At: now})
	if err != nil {
		return err
	}
	a.Events = []journal.EventData{e}
	u.Appends = append(u.Appends, a)
	return nil
}

// vacate returns the write that gives a place away.
func vacate(key, sid string) journal.RecordWrite {
	return journal.RecordWrite{Op: journal.Delete, Kind: liveKind, Key: key + "/" + sid, Expect: journal.Any}
}

// taken returns the places of a subject.
func (s *Sessions) taken(ctx context.Context, key string) ([]taken, error) {
	var all []taken
	q := journal.RecordQuery{Kind: liveKind, Prefix: key + "/"}
	for {
		page, err := s.log.Records(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, r := range page {
			t := taken{sid: r.Key[len(q.Prefix):]}
			if err := json.Unmarshal(r.Value, &t.place); err != nil {
				return nil, fmt.Errorf("record %s/%s: %w", r.Kind, r.Key, err)
			}
			all = append(all, t)
		}
		if len(page) < journal.MaxPage {
			return all, nil
		}
		q.After = page[len(page)-1].Key
	}
}
