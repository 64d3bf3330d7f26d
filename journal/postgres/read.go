// SPDX-License-Identifier: Apache-2.0

// Reading events, a page at a time.

package postgres

import (
	"context"
	"math"
	"sync"

	"example.com/vidimus/journal"
)

const (
	// scanned is how many positions a step looks through for events that fit a filter, where no index leads to them.
	scanned = 20_000
	// namesKnown bounds the names of streams that readers remember.
	namesKnown = 1 << 17
	// chunkBytes is how much memory the payloads of a page are given at once.
	chunkBytes = 64 << 10
)

// names remembers the names of streams for readers.
type names struct {
	mu sync.Mutex
	of map[int64]journal.Stream // guarded by mu
}

func (n *names) init() { n.of = map[int64]journal.Stream{} }

// fill puts in the names that are known and returns the ids of the others.
func (n *names) fill(events []journal.Event, ids []int64) (unknown []int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := range events {
		name, ok := n.of[ids[i]]
		if !ok {
			unknown = append(unknown, ids[i])
		}
		events[i].Stream = name
	}
	return unknown
}

func (n *names) learn(id int64, name journal.Stream) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.of) >= namesKnown {
		clear(n.of)
	}
	n.of[id] = name
}

// page collects events out of rows. Their payloads share memory.
type page struct {
	events  []journal.Event
	streams []int64
	types   map[string]string
	chunk   []byte
	bytes   int
}

func (p *page) add(r *row) {
	if p.types == nil {
		p.types = map[string]string{}
	}
	e := journal.Event{Position: journal.Position(r.int8())}
	p.streams = append(p.streams, r.int8())
	e.Version = journal.Version(r.int8())
	e.Time, e.Schema, e.ID = r.time(), r.int4(), r.id()
	name := r.next()
	kind, ok := p.types[string(name)]
	if !ok {
		kind = string(name)
		p.types[kind] = kind
	}
	e.Type = kind
	if tags := r.texts(); len(tags) > 0 {
		e.Tags = tags
	}
	e.Meta, e.Data = p.keep(r.next()), p.keep(r.next())
	p.bytes += len(e.Meta) + len(e.Data)
	p.events = append(p.events, e)
}

// keep copies what lies in the connection's buffer.
func (p *page) keep(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	if len(b) > cap(p.chunk)-len(p.chunk) {
		p.chunk = make([]byte, 0, max(chunkBytes, len(b)))
	}
	at := len(p.chunk)
	p.chunk = append(p.chunk, b...)
	return p.chunk[at:len(p.chunk):len(p.chunk)]
}

// name puts the names of the streams into the events, and asks for those that are not known.
func (s *store) name(ctx context.Context, c *conn, p *page) error {
	unknown := s.names.fill(p.events, p.streams)
	if len(unknown) == 0 {
		return nil
	}
	found := make(map[int64]journal.Stream, len(unknown))
	c.begin().int8s(unknown)
	err := c.run(ctx, s.sql.names, func(r *row) {
		id := r.int8()
		found[id] = journal.Stream(r.text())
	})
	for id, name := range found {
		s.names.learn(id, name)
	}
	for i := range p.events {
		if e := &p.events[i]; e.Stream == "" {
			e.Stream = found[p.streams[i]]
		}
	}
	return err
}

// Read implements [journal.Store].
func (s *store) Read(ctx context.Context, q journal.Query) (journal.Page, error) {
	var out journal.Page
	err := s.pool.with(ctx, func(c *conn) (err error) {
		if len(q.Filter) == 0 {
			out, err = s.readAll(ctx, c, &q)
		} else {
			out, err = s.readFiltered(ctx, c, &q)
		}
		return err
	})
	return out, err
}

// before is the bound of a query.
func before(p journal.Position) int64 {
	if p == 0 {
		return math.MaxInt64
	}
	return int64(p)
}

// start is where a page stands that has looked at nothing.
func start(q *journal.Query) journal.Page {
	if q.Backwards {
		return journal.Page{Through: q.Before}
	}
	return journal.Page{Through: q.After}
}

func (s *store) readAll(ctx context.Context, c *conn, q *journal.Query) (journal.Page, error) {
	limit := s.limit(q)
	sql := s.sql.forward
	if q.Backwards {
		sql = s.sql.backward
	}
	params := c.begin()
	params.int8(int64(q.After))
	params.int8(before(q.Before))
	params.int8(int64(limit + 1))
	p := newPage(limit)
	more := false
	err := c.run(ctx, sql, func(r *row) {
		if more = p.full(limit, q.Bytes); !more {
			p.add(r)
		}
	})
	if err == nil {
		err = s.name(ctx, c, p)
	}
	s.weigh(p)
	out := start(q)
	if n := len(p.events); n > 0 {
		out.Through, out.ThroughID = p.events[n-1].Position, p.events[n-1].ID
	}
	out.Events, out.More = p.events, more
	return out, err
}

func newPage(limit int) *page {
	return &page{events: make([]journal.Event, 0, limit), streams: make([]int64, 0, limit)}
}

func (p *page) full(limit, bytes int) bool { return len(p.events) >= limit || p.bytes > bytes }

// limit is how many events to ask for: no more of those that are large than a page will take.
func (s *store) limit(q *journal.Query) int {
	weight := s.weight.Load()
	if weight == 0 {
		return q.Limit
	}
	return max(1, min(q.Limit, 16+2*q.Bytes/int(weight)))
}

// weigh remembers how large events are.
func (s *store) weigh(p *page) {
	if len(p.events) > 0 {
		s.weight.Store(int64(1 + p.bytes/len(p.events)))
	}
}

// readFiltered looks at a range of positions that is bounded where no index leads to what fits. Each row carries the
// last event of the range, so that the page knows how far it is even if nothing fits.
func (s *store) readFiltered(ctx context.Context, c *conn, q *journal.Query) (journal.Page, error) {
	limit := s.limit(q)
	params := c.begin()
	sql := s.filtered(params, q, limit+1)
	p := newPage(min(limit, 64))
	out := start(q)
	more := false
	err := c.once(ctx, sql, func(r *row) {
		out.Through, out.ThroughID, out.More = journal.Position(r.int8()), r.id(), r.bool()
		if r.columns[0] == nil {
			return // nothing fits
		}
		if !more {
			if more = p.full(limit, q.Bytes); !more {
				p.add(r)
			}
		}
	})
	if err == nil {
		err = s.name(ctx, c, p)
	}
	s.weigh(p)
	if more {
		last := &p.events[len(p.events)-1]
		out.Through, out.ThroughID, out.More = last.Position, last.ID, true
	}
	out.Events = p.events
	return out, err
}

// ReadStream implements [journal.Store].
func (s *store) ReadStream(ctx context.Context, q journal.StreamQuery) ([]journal.Event, error) {
	var p *page
	err := s.pool.with(ctx, func(c *conn) error {
		sql := s.sql.streamForward
		if q.Backwards {
			sql = s.sql.streamBackward
		}
		params := c.begin()
		params.text(string(q.Stream))
		params.int8(int64(q.After))
		params.int8(before(journal.Position(q.Before)))
		params.int8(int64(q.Limit))
		p = &page{}
		return c.run(ctx, sql, p.add)
	})
	if err != nil {
		return nil, err
	}
	for i := range p.events {
		p.events[i].Stream = q.Stream
	}
	return p.events, nil
}
