// SPDX-License-Identifier: Apache-2.0

// An owner beside a map that says the same slowly, through random schedules.

package presence

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// model is what an owner should be: for each session, when it was heard and how long it may be silent.
type model struct {
	sessions map[ID]*modelSession
	ids      []ID // of all that ever were, so that choices do not depend on the order of a map
	now      int64
	frozen   int64 // until
}

type modelSession struct {
	heard, limit int64
	failed       int64 // when Expire failed last
}

func (s *modelSession) due(now int64) bool { return s.heard+s.limit+1 <= now }

// schedule drives both through the same steps.
type schedule struct {
	*testing.T
	seed    uint64
	rand    *rand.Rand
	owner   *Owner
	model   model
	expired int
}

func TestOwnerDoesWhatAMapWouldDo(t *testing.T) {
	t.Parallel()
	seeds, steps := uint64(16), 300
	if os.Getenv("VIDIMUS_SOAK") != "" {
		seeds, steps = 2000, 4000
	}
	expired := 0
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) { // where the clock stands still
			s := newSchedule(t, seed)
			for range steps {
				s.step()
			}
			s.compare()
			expired += s.expired
		})
	}
	if expired < int(seeds)*steps/20 {
		t.Errorf("only %d sessions expired in all schedules: they show nothing", expired)
	}
}

func newSchedule(t *testing.T, seed uint64) *schedule {
	s := &schedule{T: t, seed: seed, rand: rand.New(rand.NewPCG(seed, 1))}
	s.model.sessions = map[ID]*modelSession{}
	s.owner = mustOpen(t, Config{
		Expire: func(context.Context, []Expired) error { return nil }, HoldMin: 1 << 30, Batch: 1 + s.rand.IntN(40),
	})
	s.owner.state.Store(running)
	return s
}

func mustOpen(t *testing.T, cfg Config) *Owner {
	t.Helper()
	o, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func (s *schedule) step() {
	switch n := s.rand.IntN(100); {
	case n < 30:
		s.track(1 + s.rand.IntN(60))
	case n < 36:
		s.forget()
	case n < 66:
		s.beat(1 + s.rand.IntN(40))
	case n < 69:
		s.freeze()
	default:
		s.tick(int64(1 + s.rand.IntN([]int{2, 2, 2, 40, 3000}[s.rand.IntN(5)])))
	}
}

// pick returns an id, now and then of a session that is gone.
func (s *schedule) pick() ID {
	if len(s.model.ids) == 0 {
		return ID{}
	}
	return s.model.ids[s.rand.IntN(len(s.model.ids))]
}

func (s *schedule) track(n int) {
	for range n {
		limit := 1 + s.rand.Int64N([]int64{5, 90, 1200, 5000}[s.rand.IntN(4)])
		id := s.pick()
		if s.rand.IntN(4) > 0 || id == (ID{}) {
			id = ID{byte(len(s.model.ids)), byte(len(s.model.ids) >> 8), byte(s.seed), 1}
			s.model.ids = append(s.model.ids, id)
		}
		if err := s.owner.Track(id, time.Duration(limit)*time.Second); err != nil {
			s.Fatal(err)
		}
		m := s.model.sessions[id]
		if m == nil {
			m = &modelSession{}
			s.model.sessions[id] = m
		}
		m.heard, m.limit = s.model.now, limit
	}
}

func (s *schedule) forget() {
	id := s.pick()
	s.owner.Forget(id)
	delete(s.model.sessions, id)
}

func (s *schedule) beat(n int) {
	for range n {
		s.beatOne(s.pick(), s.rand.Int64N(1+s.rand.Int64N(200)))
	}
}

func (s *schedule) beatOne(id ID, age int64) {
	part := time.Duration(s.rand.IntN(999)) * time.Millisecond
	if err := s.owner.Beats(s.Context(), []Beat{{id, time.Duration(age)*time.Second + part}}); err != nil {
		s.Fatal(err)
	}
	if m := s.model.sessions[id]; m != nil {
		m.heard = max(m.heard, s.model.now-age)
	}
}

func (s *schedule) freeze() {
	s.tickLate(1, 3*time.Second)
	s.model.frozen = max(s.model.frozen, s.model.now+3+30)
}

func (s *schedule) tick(n int64) { s.tickLate(n, 0) }

// tickLate lets time pass, ticks once, and lets Expire succeed or fail.
func (s *schedule) tickLate(n int64, late time.Duration) {
	o := s.owner
	s.model.now += n
	o.started = o.started.Add(-time.Duration(n) * o.cfg.Tick)
	o.tick(o.now(), late)
	if late > 0 {
		return
	}
	c := collector{owner: o}
	fails := s.rand.IntN(4) == 0
	for {
		if c.fill(o.cfg.Batch); len(c.batch) == 0 {
			break
		}
		if s.model.now < s.model.frozen {
			s.Fatalf("seed %d: sessions expire while expiry is frozen", s.seed)
		}
		given := make([]*modelSession, len(c.batch))
		for i, e := range c.batch {
			given[i] = s.give(e)
		}
		s.meanwhile(c.batch)
		settled := !fails || s.rand.IntN(3) == 0
		c.conclude(settled)
		for i, e := range c.batch {
			if settled && s.model.sessions[e.ID] == given[i] {
				delete(s.model.sessions, e.ID)
				s.expired++
			}
			given[i].failed = s.model.now
		}
	}
	if s.model.now >= s.model.frozen {
		s.noneLeft()
	}
}

// give checks one session that is given to Expire.
func (s *schedule) give(e Expired) *modelSession {
	m := s.model.sessions[e.ID]
	switch {
	case m == nil:
		s.Fatalf("seed %d: session %v expires and is not tracked", s.seed, e.ID)
	case !m.due(s.model.now):
		s.Fatalf("seed %d: session %v expires early at %d: %+v", s.seed, e.ID, s.model.now, *m)
	case !e.Since.Equal(s.owner.timeOf(firstTick + tick(m.heard))):
		s.Fatalf("seed %d: session %v was last heard at tick %d, and Since is %v", s.seed, e.ID, m.heard, e.Since)
	}
	return m
}

// meanwhile does what can happen while Expire has sessions.
func (s *schedule) meanwhile(given []Expired) {
	for _, e := range given {
		switch s.rand.IntN(12) {
		case 0, 1:
			s.owner.Forget(e.ID)
			delete(s.model.sessions, e.ID)
		case 2:
			s.beatOne(e.ID, 0)
		}
	}
	if s.rand.IntN(2) == 0 {
		s.track(3) // in the slots of those forgotten, or those again that are given
	}
}

// noneLeft fails if a session is due and was not offered, other than one whose Expire failed a moment ago.
func (s *schedule) noneLeft() {
	for id, m := range s.model.sessions {
		if m.due(s.model.now) && (m.failed == 0 || m.failed+retryTicks < s.model.now) {
			s.Fatalf("seed %d: session %v did not expire by %d: %+v", s.seed, id, s.model.now, *m)
		}
	}
}

// compare looks at every list and entry of the owner.
func (s *schedule) compare() {
	s.Helper()
	got := map[ID]bool{}
	for n, sh := range s.owner.shards {
		if err := walk(sh, got); err != nil {
			s.Fatalf("seed %d: shard %d: %v", s.seed, n, err)
		}
	}
	if len(got) != len(s.model.sessions) || len(got) != s.owner.Stats().Tracked {
		s.Fatalf("seed %d: the owner holds %d sessions and says %d, the model %d",
			s.seed, len(got), s.owner.Stats().Tracked, len(s.model.sessions))
	}
	for id := range s.model.sessions {
		if !got[id] {
			s.Fatalf("seed %d: session %v is lost", s.seed, id)
		}
	}
}

// walk checks that each slot is in one list, and each session in the index.
func walk(s *shard, found map[ID]bool) error {
	seen, indexed := make([]int, s.size), make([]bool, s.size)
	for _, e := range s.index.table {
		if e != 0 {
			indexed[uint32(e)-1] = true
		}
	}
	for list := range uint32(listCount) {
		length, before := 0, uint32(headMark|list)
		for i := s.heads[list]; i != noSlot; i = s.at(i).next {
			if s.at(i).previous != before {
				return fmt.Errorf("slot %d of list %d does not point back", i, list)
			}
			seen[i]++
			length, before = length+1, i
			if list == freeList {
				continue
			}
			id := s.at(i).id
			if !indexed[i] {
				return fmt.Errorf("session %v is not in the index", id)
			}
			found[id] = true
		}
		if list == dueList && length != s.due || list == readyList && length != s.ready {
			return fmt.Errorf("list %d has %d slots and counts are %d due, %d ready", list, length, s.due, s.ready)
		}
	}
	for i, n := range seen {
		if n != 1 {
			return fmt.Errorf("slot %d is in %d lists", i, n)
		}
	}
	return nil
}

func TestFrozenOwnerHoldsBackEverybody(t *testing.T) {
	synctest.Test(t, frozenOwnerHoldsBackEverybody)
}

func frozenOwnerHoldsBackEverybody(t *testing.T) {
	o := mustOpen(t, Config{Expire: func(context.Context, []Expired) error { return nil }})
	o.state.Store(running)
	for i := range 50 {
		if err := o.Track(ID{byte(i)}, 5*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	// The process stands still for ten seconds, and nobody was heard meanwhile.
	o.started = o.started.Add(-10 * time.Second)
	o.tick(o.now(), 9*time.Second)
	c := collector{owner: o}
	if c.fill(100); len(c.batch) != 0 || !o.Stats().Frozen {
		t.Fatalf("%d sessions expire after a stop, want none", len(c.batch))
	}
	// Beats that waited are heard, and it goes on.
	for i := range 50 {
		if err := o.Beats(t.Context(), []Beat{{ID: ID{byte(i)}, Age: 2 * time.Second}}); err != nil {
			t.Fatal(err)
		}
	}
	o.started = o.started.Add(-time.Second)
	o.tick(o.now(), 0)
	if got := o.Stats(); got.Recovered != 50 || got.Due != 0 {
		t.Errorf("got %+v, want all heard again", got)
	}
}
