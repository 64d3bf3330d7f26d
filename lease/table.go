// SPDX-License-Identifier: Apache-2.0

// The steps on sessions, one by one.

package lease

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/internal/ids"
	"example.com/vidimus/journal"
)

// Table does the steps on leases and sessions one by one. What counts is in the journal; a table only remembers since
// when it has seen sessions silent, so any number of tables may work on one journal, and one that starts anew takes a
// little longer to replace a silent owner. Goroutines may share it.
//
// Its methods return [journal.ErrUnavailable], [journal.ErrUncertain], [journal.ErrOverloaded], [journal.ErrClosed] or
// the error of ctx where they cannot do their work. Every one can be repeated safely after that.
type Table struct {
	log  *journal.Log
	seen sightings
}

// NewTable returns a table of the leases in a journal.
func NewTable(log *journal.Log) *Table { return &Table{log: log} }

// attemptsMax bounds how often a step is tried while others are faster.
const attemptsMax = 16

// Start begins a session. Renew it every third of its TTL: once a candidate has seen it silent for the TTL, it ends and
// others take its leases over. Whoever acts for a session trusts it from the moment before a successful Start or Renew
// for nine tenths of the TTL, measured on its own monotonic clock. It returns [journal.ErrInvalid] for a bad field.
func (t *Table) Start(ctx context.Context, s Session) (Session, error) {
	if err := s.validate(); err != nil {
		return Session{}, err
	}
	s.ID = ids.Format(ids.New())
	if s.Group != "" {
		s.ID = s.Group + "/" + s.ID
	}
	s.Started = clock.Now().UTC()
	return t.put(ctx, s, journal.None)
}

func (s *Session) validate() error {
	if s.TTL == 0 {
		s.TTL = DefaultTTL
	}
	switch {
	case s.Owner == "":
		return invalid("owner", "is missing; name who holds the leases")
	case len(s.Owner) > journal.MaxName:
		return invalid("owner", "has %d bytes, the limit is %d", len(s.Owner), journal.MaxName)
	case len(s.Node) > journal.MaxName:
		return invalid("node", "has %d bytes, the limit is %d", len(s.Node), journal.MaxName)
	case strings.Contains(s.Group, "/"), len(s.Group) > journal.MaxName/2:
		return invalid("group", "%q has a '/' or over %d bytes; use a short word", s.Group, journal.MaxName/2)
	case s.TTL < MinTTL || s.TTL > MaxTTL:
		return invalid("ttl", "%v is out of range; use %v to %v", s.TTL, MinTTL, MaxTTL)
	}
	return nil
}

func groupOf(id string) string {
	if group, _, ok := strings.Cut(id, "/"); ok {
		return group
	}
	return ""
}

// put writes the session and returns it with its new version.
func (t *Table) put(ctx context.Context, s Session, expect journal.Expect) (Session, error) {
	res, err := t.log.Commit(ctx, journal.Unit{Records: []journal.RecordWrite{s.write(expect)}})
	if err != nil {
		return Session{}, err
	}
	s.Version = res.Records[0]
	return s, nil
}

// Renew prolongs a session. It returns [ErrLost] when the session has ended: then its leases are lost as well. A lease
// that was released by force is lost while its session lives on: the fence tells, and so does [Table.Look].
func (t *Table) Renew(ctx context.Context, session string) (Session, error) {
	for range attemptsMax {
		s, err := t.session(ctx, session)
		if err != nil {
			return Session{}, err
		}
		s, err = t.put(ctx, s, journal.Exactly(s.Version))
		if !again(err) {
			return s, err
		}
	}
	return Session{}, busy("session", session)
}

// End ends a session. Its leases are free at once, and its places in queues are void. Their epochs rise when they are
// acquired next: to refuse late writes of one's own already now, release the leases first. Twice is fine.
func (t *Table) End(ctx context.Context, session string) error {
	t.seen.forget(session)
	_, err := t.log.Commit(ctx, journal.Unit{Records: []journal.RecordWrite{
		{Op: journal.Delete, Kind: KindSession, Key: session, Expect: journal.Any},
	}})
	return err
}

// session returns a session, or ErrLost.
func (t *Table) session(ctx context.Context, id string) (Session, error) {
	r, err := t.log.Record(ctx, KindSession, id)
	if errors.Is(err, journal.ErrNotFound) {
		return Session{}, fmt.Errorf("%w: session %s has ended; start a new one and acquire its leases anew",
			ErrLost, id)
	}
	if err != nil {
		return Session{}, err
	}
	return sessionOf(r)
}

// Sessions returns the sessions of a group, or all for an empty one, by id: the longest there first within a group. It
// returns at most limit of those behind the id after; 0 and more than [journal.MaxPage] stand for that.
func (t *Table) Sessions(ctx context.Context, group, after string, limit int) ([]Session, error) {
	q := journal.RecordQuery{Kind: KindSession, After: after, Limit: limit}
	if group != "" {
		q.Prefix = group + "/"
	}
	records, err := t.log.Records(ctx, q)
	if err != nil {
		return nil, err
	}
	out := make([]Session, len(records))
	for i, r := range records {
		if out[i], err = sessionOf(r); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// silent looks at a session. Gone means that its record is not there; dead, that it has been seen unchanged for its
// TTL: then s.Version is what was seen.
func (t *Table) silent(ctx context.Context, id string) (s Session, gone, dead bool, err error) {
	began := clock.Now()
	r, err := t.log.Record(ctx, KindSession, id)
	if errors.Is(err, journal.ErrNotFound) {
		t.seen.forget(id)
		return Session{}, true, false, nil
	}
	if err != nil {
		return Session{}, false, false, err
	}
	if s, err = sessionOf(r); err != nil {
		return Session{}, false, false, err
	}
	return s, false, t.seen.see(id, s.Version, began) >= s.TTL, nil
}

// Members returns the sessions of a group that have not been seen silent for their TTL, at most [journal.MaxPage] of
// them, by id. It must be called again and again to know of silence.
func (t *Table) Members(ctx context.Context, group string) ([]Session, error) {
	began := clock.Now()
	all, err := t.Sessions(ctx, group, "", 0)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(s Session) bool { return t.seen.see(s.ID, s.Version, began) >= s.TTL }), nil
}

// sweep ends sessions that are due by the wall clock and have been seen silent for their TTL. The wall clock only
// says where to look.
func (t *Table) sweep(ctx context.Context) error {
	const sweepMax = 100
	began := clock.Now()
	due, err := t.log.Records(ctx, journal.RecordQuery{Kind: KindSession, DueBy: began, Limit: sweepMax})
	if err != nil {
		return err
	}
	for _, r := range due {
		s, err := sessionOf(r)
		if err != nil {
			return err
		}
		if t.seen.see(s.ID, s.Version, began) < s.TTL {
			continue
		}
		if _, err := t.log.Commit(ctx, journal.Unit{Records: []journal.RecordWrite{s.kill()}}); err != nil && !again(err) {
			return err
		}
	}
	return nil
}

// again reports whether a step is to be repeated: somebody was faster, or its outcome is unknown.
func again(err error) bool {
	return errors.Is(err, journal.ErrConflict) || errors.Is(err, journal.ErrUncertain)
}

func busy(what, name string) error {
	return fmt.Errorf("%w: %s %s was changed by others %d times in a row; try again",
		journal.ErrOverloaded, what, name, attemptsMax)
}
