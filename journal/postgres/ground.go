// SPDX-License-Identifier: Apache-2.0

// What the plan of one batch stands on.

package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5/pgtype"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/internal/plan"
)

// ground is everything that the units of a batch ask about, gathered before planning. It implements [plan.Facts].
type ground struct {
	base        journal.Position
	end         journal.Position // of the journal, base or later: where the plan begins
	streams     map[journal.Stream]*known
	slab        []known // what streams points into
	streamNames []journal.Stream
	records     map[recordName]journal.Version
	recordNames []recordName
	matches     map[*journal.Condition]journal.Position
	conditions  []*journal.Condition
	created     []journal.Stream // get their first events
	recent      func(id int64, upTo journal.Version, n int) ([]plan.Seen, error)
}

// known is a stream of the batch.
type known struct {
	id     int64 // 0 where there are no events
	head   plan.Head
	newest journal.ID // rises while rows are encoded
	place  int64      // k of created[k-1], or 0
}

// Head implements [plan.Facts].
func (g *ground) Head(s journal.Stream) (plan.Head, error) {
	k, ok := g.streams[s]
	if !ok {
		return plan.Head{}, fmt.Errorf("stream %s was not looked up", s)
	}
	return k.head, nil
}

// Recent implements [plan.Facts].
func (g *ground) Recent(s journal.Stream, h plan.Head, n int) ([]plan.Seen, error) {
	return g.recent(g.streams[s].id, h.Version, n)
}

// Record implements [plan.Facts].
func (g *ground) Record(kind, key string) (journal.Version, error) {
	return g.records[recordName{kind, key}], nil
}

// Match implements [plan.Facts].
func (g *ground) Match(c *journal.Condition) (journal.Position, error) { return g.matches[c], nil }

// reset makes room for a batch.
func (g *ground) reset(base journal.Position, units []*journal.Unit) {
	appends := 0
	for _, u := range units {
		appends += len(u.Appends)
	}
	*g = ground{
		base:        base,
		end:         base,
		streams:     make(map[journal.Stream]*known, appends),
		slab:        make([]known, 0, appends),
		streamNames: make([]journal.Stream, 0, appends),
		records:     map[recordName]journal.Version{},
		matches:     map[*journal.Condition]journal.Position{},
	}
}

// add puts a stream on the ground.
func (g *ground) add(s journal.Stream) *known {
	g.slab = append(g.slab, known{}) // never grows: there is room for every append
	k := &g.slab[len(g.slab)-1]
	g.streams[s] = k
	g.streamNames = append(g.streamNames, s)
	return k
}

// survey gathers the ground for the units. What is not remembered it asks the database for, or guesses, if allowed:
// that what a unit expects is so.
func (s *store) survey(ctx context.Context, units []*journal.Unit, guess bool) error {
	w := &s.writer
	g := &w.ground
	g.reset(w.base, units)
	g.recent = func(id int64, upTo journal.Version, n int) ([]plan.Seen, error) {
		return s.recent(ctx, id, upTo, n)
	}
	var cold []string
	var unseen []recordName
	for _, u := range units {
		for i := range u.Appends {
			a := &u.Appends[i]
			if _, ok := g.streams[a.Stream]; !ok && !w.recall(a, guess) {
				cold = append(cold, string(a.Stream))
			}
		}
		for _, f := range u.Fences {
			name := recordName{journal.KindLease, f.Lease}
			if !w.recallRecord(name, journal.Expect(f.Epoch), guess) {
				unseen = append(unseen, name)
			}
		}
		for i := range u.Records {
			name := recordName{u.Records[i].Kind, u.Records[i].Key}
			if !w.recallRecord(name, u.Records[i].Expect, guess) {
				unseen = append(unseen, name)
			}
		}
		for i := range u.Conditions {
			g.conditions = append(g.conditions, &u.Conditions[i])
		}
	}
	if err := s.fetchHeads(ctx, cold); err != nil {
		return err
	}
	if err := s.fetchRecords(ctx, unseen); err != nil {
		return err
	}
	return s.fetchMatches(ctx)
}

// recall puts a stream on the ground, and reports whether its head is remembered or guessed.
func (w *writer) recall(a *journal.Append, guess bool) bool {
	k := w.ground.add(a.Stream)
	if w.memory.Knows(a.Stream) {
		k.head, _ = w.memory.Head(a.Stream) // in memory, so it cannot fail
		k.id = w.ids[a.Stream]
		return true
	}
	if guess && a.Expect == journal.None && len(a.Events) > 0 {
		w.memory.Learn(a.Stream, plan.Head{})
		return true
	}
	return false
}

func (w *writer) recallRecord(name recordName, expect journal.Expect, guess bool) bool {
	if _, ok := w.ground.records[name]; ok {
		return true
	}
	v, ok := w.records[name]
	if !ok && guess && expect >= 0 {
		v, ok = journal.Version(expect), true
	}
	w.ground.records[name] = v
	w.ground.recordNames = append(w.ground.recordNames, name)
	return ok
}

func (s *store) fetchHeads(ctx context.Context, cold []string) error {
	if len(cold) == 0 {
		return nil
	}
	w := &s.writer
	for _, name := range cold {
		w.memory.Learn(journal.Stream(name), plan.Head{})
	}
	w.conn.begin().texts(cold)
	return w.conn.run(ctx, s.sql.heads, func(r *row) {
		e := readEnd(r)
		k := w.ground.streams[e.name]
		k.id, k.head = e.stream, e.head
		w.ground.end = max(w.ground.end, e.head.Position) // what is planned comes after all that is known
		w.know(e.name, e.stream)
		w.memory.Learn(e.name, e.head)
	})
}

func (s *store) fetchRecords(ctx context.Context, unseen []recordName) error {
	if len(unseen) == 0 {
		return nil
	}
	w := &s.writer
	p := w.conn.begin()
	p.array(pgtype.TextOID, len(unseen))
	for _, name := range unseen {
		p.elementText(name.kind)
	}
	p.end(pgtype.TextArrayOID)
	p.array(pgtype.TextOID, len(unseen))
	for _, name := range unseen {
		p.elementText(name.key)
	}
	p.end(pgtype.TextArrayOID)
	i := 0
	return w.conn.run(ctx, s.sql.records, func(r *row) {
		w.ground.records[unseen[i]] = journal.Version(r.int8())
		i++
	})
}

// fetchMatches also learns where the journal ends by now: conditions speak of what was read elsewhere, behind base, and
// the batch's own events come after all of it.
func (s *store) fetchMatches(ctx context.Context) error {
	g := &s.writer.ground
	if len(g.conditions) == 0 {
		return nil
	}
	p := s.writer.conn.begin()
	appendConditions(p, g.conditions)
	i := 0
	return s.writer.conn.run(ctx, s.sql.matches, func(r *row) {
		g.matches[g.conditions[i]] = journal.Position(r.int8())
		g.end = max(g.end, journal.Position(r.int8()))
		i++
	})
}

// recent asks for the last n events of a stream up to a version, the newest first.
func (s *store) recent(ctx context.Context, id int64, upTo journal.Version, n int) ([]plan.Seen, error) {
	c := s.writer.conn
	p := c.begin()
	p.int8(id)
	p.int8(int64(upTo))
	p.int8(int64(n))
	var seen []plan.Seen
	err := c.run(ctx, s.sql.recent, func(r *row) {
		seen = append(seen, plan.Seen{
			ID: r.id(), Version: journal.Version(r.int8()), Position: journal.Position(r.int8()),
		})
	})
	return seen, err
}

// filterJSON writes a filter as the function violation reads it.
func filterJSON(f journal.Filter) string {
	type match struct {
		Stream   journal.Stream `json:"stream,omitempty"`
		Category string         `json:"category,omitempty"`
		Types    []string       `json:"types,omitempty"`
		Tags     []string       `json:"tags,omitempty"`
	}
	matches := make([]match, 0, len(f))
	for _, m := range f {
		matches = append(matches, match(m))
	}
	text, err := json.Marshal(matches)
	if err != nil {
		panic(fmt.Sprintf("postgres: filter %v: %v", f, err)) // strings always marshal
	}
	return string(text)
}

func appendConditions(p *params, conditions []*journal.Condition) {
	p.array(pgtype.Int8OID, len(conditions))
	for _, c := range conditions {
		p.elementInt8(int64(c.After))
	}
	p.end(pgtype.Int8ArrayOID)
	p.array(pgtype.TextOID, len(conditions))
	for _, c := range conditions {
		p.elementText(filterJSON(c.Filter))
	}
	p.end(pgtype.TextArrayOID)
}
