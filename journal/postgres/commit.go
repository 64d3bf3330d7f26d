// SPDX-License-Identifier: Apache-2.0

// Writing: plan with what is known, let the database check it, plan again where it was wrong.

package postgres

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/internal/plan"
)

const (
	// commitTimeout bounds one batch, with all its attempts.
	commitTimeout = 30 * time.Second
	// attempts is how often a batch is planned on belief. After that it is planned while holding the lock.
	attempts = 3
	// idleMax is how long the writer's connection is trusted without a sign of life.
	idleMax = time.Second
	// streamsKnown bounds the streams that are remembered, some 300 bytes each.
	streamsKnown = 1 << 17
	// recordsKnown bounds the records whose versions are remembered.
	recordsKnown = 1 << 16
)

type recordName struct{ kind, key string }

// writer holds what this node believes about the journal. Whatever it says of a stream was true at position base, and
// the database is asked about everything after.
type writer struct {
	mu     sync.Mutex
	closed bool
	conn   *conn
	used   time.Time // when the connection last answered

	base    journal.Position
	synced  bool // base is set
	memory  *plan.Memory
	ground  ground
	ids     map[journal.Stream]int64 // of every stream with events in memory, and the other way round
	streams map[int64]journal.Stream
	records map[recordName]journal.Version
	limit   int // of ids
}

func (w *writer) init() {
	w.limit = streamsKnown
	w.memory = plan.NewMemory(&w.ground, 2*streamsKnown)
	w.ids, w.streams = map[journal.Stream]int64{}, map[int64]journal.Stream{}
	w.records = map[recordName]journal.Version{}
}

// forget drops all beliefs. Ids of streams never change.
func (w *writer) forget() {
	w.memory.Forget()
	clear(w.records)
	w.synced = false
}

// trim keeps what is remembered within bounds. Ids and memory go together: a stream in memory without an id could not
// be told what others do.
func (w *writer) trim() {
	if len(w.ids) > w.limit {
		clear(w.ids)
		clear(w.streams)
		w.memory.Forget()
	}
	if len(w.records) > recordsKnown {
		clear(w.records)
	}
}

func (w *writer) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.hangUp()
}

func (w *writer) hangUp() {
	if w.conn != nil {
		w.conn.discard()
		w.conn = nil
	}
}

// Commit implements [journal.Store].
func (s *store) Commit(ctx context.Context, units []*journal.Unit) ([]journal.Outcome, error) {
	w := &s.writer
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil, journal.ErrClosed
	}
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	if err := s.connect(ctx); err != nil {
		return nil, unavailable(err)
	}
	w.trim()
	for n, redialled := 0, false; ; n++ {
		try := s.believing
		if n >= attempts {
			try = s.locked
		}
		outcomes, err := try(ctx, units)
		if err == nil && outcomes != nil {
			w.used = clock.Now()
			return outcomes, nil
		}
		if err == nil || n < attempts && again(err) {
			continue
		}
		w.forget()
		if w.conn.IsClosed() || w.conn.TxStatus() != 'I' {
			w.hangUp()
		}
		if w.conn == nil && pgconn.SafeToRetry(err) && !redialled {
			redialled = true
			if err := s.connect(ctx); err != nil {
				return nil, unavailable(err)
			}
			continue
		}
		return nil, outcome(err)
	}
}

// connect makes sure of a connection that was alive a moment ago, because one that breaks during a commit leaves the
// outcome open.
func (s *store) connect(ctx context.Context) error {
	w := &s.writer
	if w.conn != nil && clock.Since(w.used) > idleMax && w.conn.Ping(ctx) != nil {
		w.hangUp()
	}
	if w.conn == nil || w.conn.IsClosed() {
		w.forget()
		var err error
		if w.conn, err = s.pool.dial(ctx); err != nil {
			w.conn = nil
			return err
		}
	}
	w.used = clock.Now()
	return nil
}

// believing plans with what is known or guessed, without the lock. It returns nothing when the database knew better,
// and has learned it then.
func (s *store) believing(ctx context.Context, units []*journal.Unit) ([]journal.Outcome, error) {
	if !s.writer.synced {
		if err := s.sync(ctx); err != nil {
			return nil, unsent{err}
		}
	}
	return s.attempt(ctx, units, true)
}

// locked plans while nobody else can write, so that a batch gets through however busy the others are.
func (s *store) locked(ctx context.Context, units []*journal.Unit) ([]journal.Outcome, error) {
	w := &s.writer
	if err := w.conn.script(ctx, s.sql.lock); err != nil {
		return nil, unsent{err}
	}
	w.forget()
	if err := s.sync(ctx); err != nil {
		return nil, unsent{err}
	}
	outcomes, err := s.attempt(ctx, units, false)
	if err == nil && outcomes == nil {
		err = fmt.Errorf("somebody wrote to schema %s without taking the lock", s.sql.schema)
	}
	if err != nil {
		return nil, unsent{err}
	}
	return outcomes, w.conn.script(ctx, "commit")
}

// sync sets out from what is committed now.
func (s *store) sync(ctx context.Context) error {
	w := &s.writer
	w.conn.begin()
	err := w.conn.run(ctx, s.sql.last, func(r *row) { w.base = journal.Position(r.int8()) })
	w.synced = err == nil
	return err
}

// attempt plans the units and hands the plan to the database.
func (s *store) attempt(ctx context.Context, units []*journal.Unit, guess bool) ([]journal.Outcome, error) {
	w := &s.writer
	if err := s.survey(ctx, units, guess); err != nil {
		return nil, unsent{err}
	}
	b := plan.New(w.memory, w.ground.end)
	b.Epoch = journal.LogEpoch(s.epoch.Load())
	outcomes := make([]journal.Outcome, len(units))
	for i, u := range units {
		out, err := b.Add(u)
		if err != nil {
			return nil, unsent{err}
		}
		outcomes[i] = out
	}
	w.ground.settle(b)
	w.ground.encode(w.conn.begin(), b, s.log, s.epoch.Load())
	var a answer
	if err := w.conn.run(ctx, s.sql.commit, a.read); err != nil {
		return nil, err
	}
	w.learn(&a)
	if a.stale {
		return nil, nil
	}
	shift(b, outcomes, w.ground.end, a.last-w.ground.end)
	w.apply(b, a.firstStream)
	if len(b.Rows) > 0 {
		s.news.publish(w.base)
	}
	return outcomes, nil
}

// shift moves what was planned behind end to where it was written.
func shift(b *plan.Batch, outcomes []journal.Outcome, end, by journal.Position) {
	if by == 0 {
		return
	}
	for i := range b.Rows {
		b.Rows[i].Position += by
	}
	for name, h := range b.Heads {
		h.Position += by
		b.Heads[name] = h
	}
	for i := range outcomes {
		if r := &outcomes[i].Result; r.Position > end {
			r.Position += by
		}
	}
}

// learn remembers what the database said of others.
func (w *writer) learn(a *answer) {
	if a.tooFar {
		w.memory.Forget()
	}
	for i := range a.others {
		o := &a.others[i]
		if name, ok := w.streams[o.stream]; ok {
			w.memory.Saw(name, o.head, plan.Seen{ID: o.id, Version: o.head.Version, Position: o.head.Position})
		}
	}
	for i := range a.exist {
		e := &a.exist[i]
		w.know(e.name, e.stream)
		w.memory.Learn(e.name, e.head)
	}
	for i, at := range a.wrong {
		w.records[w.ground.recordNames[at-1]] = a.versions[i]
	}
	w.base = a.last
}

func (w *writer) know(name journal.Stream, id int64) {
	w.ids[name] = id
	w.streams[id] = name
}

// apply remembers what was written.
func (w *writer) apply(b *plan.Batch, firstStream int64) {
	for k, name := range w.ground.created {
		w.know(name, firstStream+int64(k)+1)
	}
	w.memory.Apply(b)
	for name, v := range w.ground.records {
		w.records[name] = v
	}
	for i := range b.Changes {
		c := &b.Changes[i]
		w.records[recordName{c.Kind, c.Key}] = c.Version
	}
	w.base = b.Last() + (w.base - w.ground.end)
}
