// SPDX-License-Identifier: Apache-2.0

// Package mem keeps a journal in memory, for tests and for trying things out. It forgets everything when the process
// ends, and keeps every other promise.
package mem

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"

	"example.com/vidimus/internal/chance"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/internal/plan"
)

// scanned bounds how many events one Read looks at.
const scanned = 10_000

// Open returns an empty journal.
func Open() *journal.Log { return journal.New(newStore()) }

type recordName struct{ kind, key string }

type stream struct {
	head   plan.Head
	events []int // indices into store.mu.events
}

type store struct {
	mu struct {
		sync.RWMutex
		log     string
		epoch   journal.LogEpoch
		events  []journal.Event // the event at position p has index p-1
		streams map[journal.Stream]*stream
		records map[recordName]journal.Record
		grown   chan struct{} // closed when events are added
		closed  bool
	}
}

func newStore() *store {
	s := &store{}
	s.mu.log, s.mu.epoch = chance.Short(), 1
	s.mu.streams = map[journal.Stream]*stream{}
	s.mu.records = map[recordName]journal.Record{}
	s.mu.grown = make(chan struct{})
	return s
}

// Commit implements [journal.Store].
func (s *store) Commit(_ context.Context, units []*journal.Unit) ([]journal.Outcome, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed {
		return nil, journal.ErrClosed
	}
	b := plan.New(facts{s}, journal.Position(len(s.mu.events)))
	b.Epoch = s.mu.epoch
	outcomes := make([]journal.Outcome, len(units))
	for i, u := range units {
		out, err := b.Add(u)
		if err != nil {
			return nil, err
		}
		outcomes[i] = out
	}
	s.apply(b)
	return outcomes, nil
}

func (s *store) apply(b *plan.Batch) {
	for i := range b.Rows {
		r := &b.Rows[i]
		e := journal.Event{EventData: clone(*r.EventData), Position: r.Position, Stream: r.Stream, Version: r.Version}
		st := s.mu.streams[r.Stream]
		if st == nil {
			st = &stream{}
			s.mu.streams[r.Stream] = st
		}
		st.events = append(st.events, len(s.mu.events))
		s.mu.events = append(s.mu.events, e)
	}
	for name, h := range b.Heads {
		s.mu.streams[name].head = h
	}
	for _, c := range b.Changes {
		name := recordName{c.Kind, c.Key}
		if c.Op == journal.Delete {
			delete(s.mu.records, name)
			continue
		}
		s.mu.records[name] = journal.Record{
			Kind: c.Kind, Key: c.Key, Version: c.Version, Due: c.Due, Value: bytesOf(c.Value),
		}
	}
	if len(b.Rows) > 0 {
		close(s.mu.grown)
		s.mu.grown = make(chan struct{})
	}
}

// clone keeps the caller's memory out of the journal.
func clone(e journal.EventData) journal.EventData {
	e.Data, e.Meta, e.Tags = bytesOf(e.Data), bytesOf(e.Meta), slices.Clone(e.Tags)
	return e
}

// bytesOf copies b; like the databases it does not tell nil from empty.
func bytesOf(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return slices.Clone(b)
}

// facts are read under the store's lock.
type facts struct{ s *store }

func (f facts) Head(name journal.Stream) (plan.Head, error) {
	if st := f.s.mu.streams[name]; st != nil {
		return st.head, nil
	}
	return plan.Head{}, nil
}

func (f facts) Recent(name journal.Stream, _ plan.Head, n int) ([]plan.Seen, error) {
	st := f.s.mu.streams[name]
	if st == nil {
		return nil, nil
	}
	var out []plan.Seen
	for i := len(st.events) - 1; i >= 0 && len(out) < n; i-- {
		e := &f.s.mu.events[st.events[i]]
		out = append(out, plan.Seen{ID: e.ID, Version: e.Version, Position: e.Position})
	}
	return out, nil
}

func (f facts) Record(kind, key string) (journal.Version, error) {
	return f.s.mu.records[recordName{kind, key}].Version, nil
}

func (f facts) Match(c *journal.Condition) (journal.Position, error) {
	for i := int(c.After); i < len(f.s.mu.events); i++ {
		if e := &f.s.mu.events[i]; c.Filter.Matches(&e.EventData, e.Stream) {
			return e.Position, nil
		}
	}
	return 0, nil
}

// Head implements [journal.Store].
func (s *store) Head(ctx context.Context) (journal.Checkpoint, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.usable(ctx); err != nil {
		return journal.Checkpoint{}, err
	}
	return s.head(), nil
}

func (s *store) head() journal.Checkpoint {
	c := journal.Checkpoint{Log: s.mu.log, Epoch: s.mu.epoch, Position: journal.Position(len(s.mu.events))}
	if n := len(s.mu.events); n > 0 {
		c.ID = s.mu.events[n-1].ID
	}
	return c
}

func (s *store) usable(ctx context.Context) error {
	if s.mu.closed {
		return journal.ErrClosed
	}
	return ctx.Err()
}

// Read implements [journal.Store].
func (s *store) Read(ctx context.Context, q journal.Query) (journal.Page, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.usable(ctx); err != nil {
		return journal.Page{}, err
	}
	first, end := max(0, int(q.After)), len(s.mu.events)
	if q.Before > 0 {
		end = min(end, int(q.Before)-1)
	}
	page := journal.Page{Through: q.After}
	if q.Backwards {
		page.Through = q.Before
	}
	bytes := 0
	for k := range max(0, end-first) {
		if len(page.Events) == q.Limit || bytes > q.Bytes || k == scanned {
			page.More = true
			break
		}
		i := first + k
		if q.Backwards {
			i = end - 1 - k
		}
		e := &s.mu.events[i]
		page.Through, page.ThroughID = e.Position, e.ID
		if q.Filter.Matches(&e.EventData, e.Stream) {
			page.Events = append(page.Events, copied(e))
			bytes += len(e.Data) + len(e.Meta)
		}
	}
	return page, nil
}

// copied keeps the journal's memory out of the caller's hands.
func copied(e *journal.Event) journal.Event {
	c := *e
	c.EventData = clone(e.EventData)
	return c
}

// ReadStream implements [journal.Store].
func (s *store) ReadStream(ctx context.Context, q journal.StreamQuery) ([]journal.Event, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	st := s.mu.streams[q.Stream]
	if st == nil {
		return nil, nil
	}
	first, end := min(int(q.After), len(st.events)), len(st.events)
	if q.Before > 0 {
		end = min(end, int(q.Before)-1)
	}
	at := slices.Clone(st.events[first:max(first, end)])
	if q.Backwards {
		slices.Reverse(at)
	}
	at = at[:min(len(at), q.Limit)]
	out := make([]journal.Event, 0, len(at))
	for _, i := range at {
		out = append(out, copied(&s.mu.events[i]))
	}
	return out, nil
}

// Record implements [journal.Store].
func (s *store) Record(ctx context.Context, kind, key string) (journal.Record, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.usable(ctx); err != nil {
		return journal.Record{}, err
	}
	r, ok := s.mu.records[recordName{kind, key}]
	if !ok {
		return journal.Record{}, journal.ErrNotFound
	}
	r.Value = bytesOf(r.Value)
	return r, nil
}

// Records implements [journal.Store].
func (s *store) Records(ctx context.Context, q journal.RecordQuery) ([]journal.Record, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	var out []journal.Record
	for name, r := range s.mu.records {
		late := !q.DueBy.IsZero() && (r.Due.IsZero() || r.Due.After(q.DueBy))
		if name.kind != q.Kind || !strings.HasPrefix(name.key, q.Prefix) || q.After != "" && name.key <= q.After || late {
			continue
		}
		r.Value = bytesOf(r.Value)
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b journal.Record) int {
		if !q.DueBy.IsZero() {
			if c := a.Due.Compare(b.Due); c != 0 {
				return c
			}
		}
		return cmp.Compare(a.Key, b.Key)
	})
	return out[:min(len(out), q.Limit)], nil
}

// Wait implements [journal.Store].
func (s *store) Wait(ctx context.Context, after journal.Position) error {
	s.mu.RLock()
	grown, n, err := s.mu.grown, len(s.mu.events), s.usable(ctx)
	s.mu.RUnlock()
	if err != nil || journal.Position(n) > after {
		return err
	}
	select {
	case <-grown:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Renew implements [journal.Store].
func (s *store) Renew(ctx context.Context) (journal.Checkpoint, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return journal.Checkpoint{}, err
	}
	s.mu.epoch++
	return s.head(), nil
}

// Stat implements [journal.Store].
func (s *store) Stat(ctx context.Context) (journal.Stat, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.usable(ctx); err != nil {
		return journal.Stat{}, err
	}
	return journal.Stat{
		Backend: "mem", Head: s.head(), Events: int64(len(s.mu.events)),
		Streams: int64(len(s.mu.streams)), Records: int64(len(s.mu.records)),
	}, nil
}

// Verify implements [journal.Store].
func (s *store) Verify(ctx context.Context, progress func(journal.Position)) ([]string, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	a := plan.NewAudit(progress)
	for i := range s.mu.events {
		e := &s.mu.events[i]
		a.Event(e.Stream, e.Version, e.Position, e.ID)
	}
	for name, st := range s.mu.streams {
		a.Head(name, st.head)
	}
	return a.Breaches(), nil
}

// Close implements [journal.Store].
func (s *store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.mu.closed {
		s.mu.closed = true
		close(s.mu.grown)
		s.mu.grown = make(chan struct{})
	}
	return nil
}
