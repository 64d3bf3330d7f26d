// SPDX-License-Identifier: Apache-2.0

// What only tests may look at: states as they are loaded, beside what the whole history comes to.

package session

import (
	"context"

	"example.com/vidimus/entity"
	"example.com/vidimus/journal"
	"example.com/vidimus/passport"
)

// Ways are the same state, found in several ways.
type Ways struct {
	Loaded, Remembered, Replayed any
	Carried                      int // events that carry it
}

// LifeWays returns the ways of a session.
func (s *Sessions) LifeWays(ctx context.Context, sid string) (Ways, error) {
	remembered, err := s.life(ctx, sid)
	if err != nil {
		return Ways{}, err
	}
	return ways(ctx, s, s.lives, sid, remembered)
}

// PersonWays returns the ways of a subject.
func (s *Sessions) PersonWays(ctx context.Context, tenant, subject string) (Ways, error) {
	key := passport.SubjectKey(tenant, subject)
	remembered, err := s.person(ctx, key)
	if err != nil {
		return Ways{}, err
	}
	return ways(ctx, s, s.persons, key, remembered)
}

func ways[S entity.State[S]](
	ctx context.Context, s *Sessions, e *entity.Entity[S], id string, remembered entity.Snapshot[S],
) (w Ways, err error) {
	loaded, err := e.Load(ctx, s.cell, id)
	if err != nil {
		return w, err
	}
	var whole entity.Snapshot[S]
	for ev, err := range s.log.ReadStream(ctx, e.Stream(id), nil) {
		if err != nil {
			return w, err
		}
		whole.Version, whole.Position = ev.Version, ev.Position
		if carries(ev.Type) {
			w.Carried++
			continue
		}
		value, err := e.Types().Decode(&ev)
		if err != nil {
			return w, err
		}
		whole.State = whole.State.Evolve(value)
	}
	w.Loaded, w.Remembered, w.Replayed = loaded, remembered, whole
	return w, nil
}

// RemembersAcross reports whether what was read of one log is remembered when another one has taken its place by then.
func RemembersAcross(before, after journal.Checkpoint) bool {
	var k known
	k.of(before)
	_, _ = remember(&k, &k.persons, "x", func(entity.Snapshot[person]) (entity.Snapshot[person], error) {
		k.of(after)
		return entity.Snapshot[person]{Version: 1}, nil
	}, func(a, b entity.Snapshot[person]) bool { return a.Version > b.Version })
	_, ok := k.persons.get("x")
	return ok
}
