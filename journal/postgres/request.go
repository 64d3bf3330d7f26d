// SPDX-License-Identifier: Apache-2.0

// The call that commits a batch, and its answer.

package postgres

import (
	"github.com/jackc/pgx/v5/pgtype"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/internal/plan"
)

// settle gives the streams that get their first events a place.
func (g *ground) settle(b *plan.Batch) {
	for i := range b.Rows {
		k := g.streams[b.Rows[i].Stream]
		if k.id == 0 && k.place == 0 {
			g.created = append(g.created, b.Rows[i].Stream)
			k.place = int64(len(g.created))
		}
	}
}

// encode writes the parameters of the function commit.
func (g *ground) encode(p *params, b *plan.Batch, log string, epoch int64) {
	p.text(log)
	p.int8(epoch)
	p.int8(int64(g.base))
	g.encodeStreams(p)
	g.encodeRows(p, b)
	g.encodeRecords(p)
	encodeChanges(p, b)
	held := make([]*journal.Condition, 0, len(g.conditions))
	for _, c := range g.conditions {
		if g.matches[c] == 0 {
			held = append(held, c)
		}
	}
	appendConditions(p, held)
}

func (g *ground) encodeStreams(p *params) {
	present := make([]int64, 0, len(g.streamNames))
	absent := make([]string, 0, len(g.created))
	for _, name := range g.created {
		absent = append(absent, string(name))
	}
	for _, name := range g.streamNames {
		switch k := g.streams[name]; {
		case k.id != 0:
			present = append(present, k.id)
		case k.place == 0:
			absent = append(absent, string(name))
		}
	}
	p.int8s(present)
	p.texts(absent)
	p.int4(len(g.created))
}

// encodeRows writes the events, column by column.
func (g *ground) encodeRows(p *params, b *plan.Batch) {
	n := len(b.Rows)
	refs := make([]int64, n)
	older := make([]journal.ID, n) // the greatest id, where that is of an older event
	anyOlder, anyTags := false, false
	for i := range b.Rows {
		r := &b.Rows[i]
		k := g.streams[r.Stream]
		if refs[i] = k.id; k.id == 0 {
			refs[i] = -k.place
		}
		if r.Version == k.head.Version+1 {
			k.newest = k.head.Newest
		}
		if r.ID.Compare(k.newest) > 0 {
			k.newest = r.ID
		} else {
			older[i], anyOlder = k.newest, true
		}
		anyTags = anyTags || len(r.Tags) > 0
	}
	column := func(element, whole uint32, each func(i int, r *plan.Row)) {
		p.array(element, n)
		for i := range b.Rows {
			each(i, &b.Rows[i])
		}
		p.end(whole)
	}
	column(pgtype.Int8OID, pgtype.Int8ArrayOID, func(i int, _ *plan.Row) { p.elementInt8(refs[i]) })
	column(pgtype.Int8OID, pgtype.Int8ArrayOID, func(_ int, r *plan.Row) { p.elementInt8(int64(r.Version)) })
	column(pgtype.TimestamptzOID, pgtype.TimestamptzArrayOID, func(_ int, r *plan.Row) { p.elementTime(r.Time) })
	column(pgtype.Int4OID, pgtype.Int4ArrayOID, func(_ int, r *plan.Row) { p.elementInt4(r.Schema) })
	column(pgtype.UUIDOID, pgtype.UUIDArrayOID, func(_ int, r *plan.Row) { p.elementID(r.ID) })
	if !anyOlder {
		p.none(pgtype.UUIDArrayOID)
	} else {
		column(pgtype.UUIDOID, pgtype.UUIDArrayOID, func(i int, _ *plan.Row) { p.elementIDOrNull(older[i]) })
	}
	column(pgtype.TextOID, pgtype.TextArrayOID, func(_ int, r *plan.Row) { p.elementText(r.Type) })
	if !anyTags {
		p.none(pgtype.TextArrayOID)
	} else {
		column(pgtype.TextOID, pgtype.TextArrayOID, func(_ int, r *plan.Row) { p.elementTags(r.Tags) })
	}
	column(pgtype.ByteaOID, pgtype.ByteaArrayOID, func(_ int, r *plan.Row) { p.elementBytes(r.Meta) })
	column(pgtype.ByteaOID, pgtype.ByteaArrayOID, func(_ int, r *plan.Row) { p.elementBytes(r.Data) })
}

// encodeRecords writes the versions of records that the plan relies on.
func (g *ground) encodeRecords(p *params) {
	n := len(g.recordNames)
	p.array(pgtype.TextOID, n)
	for _, name := range g.recordNames {
		p.elementText(name.kind)
	}
	p.end(pgtype.TextArrayOID)
	p.array(pgtype.TextOID, n)
	for _, name := range g.recordNames {
		p.elementText(name.key)
	}
	p.end(pgtype.TextArrayOID)
	p.array(pgtype.Int8OID, n)
	for _, name := range g.recordNames {
		p.elementInt8(int64(g.records[name]))
	}
	p.end(pgtype.Int8ArrayOID)
}

// encodeChanges writes the last change of each record.
func encodeChanges(p *params, b *plan.Batch) {
	last := make(map[recordName]int, len(b.Changes))
	for i := range b.Changes {
		last[recordName{b.Changes[i].Kind, b.Changes[i].Key}] = i
	}
	column := func(element, whole uint32, each func(c *plan.Change)) {
		p.array(element, len(last))
		for i := range b.Changes {
			if c := &b.Changes[i]; last[recordName{c.Kind, c.Key}] == i {
				each(c)
			}
		}
		p.end(whole)
	}
	column(pgtype.TextOID, pgtype.TextArrayOID, func(c *plan.Change) { p.elementText(c.Kind) })
	column(pgtype.TextOID, pgtype.TextArrayOID, func(c *plan.Change) { p.elementText(c.Key) })
	column(pgtype.Int8OID, pgtype.Int8ArrayOID, func(c *plan.Change) { p.elementInt8(int64(c.Version)) })
	column(pgtype.TimestamptzOID, pgtype.TimestamptzArrayOID, func(c *plan.Change) { p.elementDue(c.Due) })
	column(pgtype.ByteaOID, pgtype.ByteaArrayOID, func(c *plan.Change) { p.elementBytes(c.Value) })
}

// answer is what the function commit returns.
type answer struct {
	stale       bool
	tooFar      bool
	last        journal.Position
	firstStream int64
	others      []other           // events that others appended
	exist       []end             // streams that were believed to have no events
	wrong       []int64           // which records, counted from 1, are at
	versions    []journal.Version // other versions, namely these
}

// other is an event that somebody else appended.
type other struct {
	stream int64
	id     journal.ID
	head   plan.Head
}

// end is the end of a stream.
type end struct {
	name   journal.Stream
	stream int64
	head   plan.Head
}

func readEnd(r *row) end {
	return end{
		name: journal.Stream(r.text()), stream: r.int8(), head: plan.Head{
			Version: journal.Version(r.int8()), Position: journal.Position(r.int8()), Newest: r.id(),
		},
	}
}

func (a *answer) read(r *row) {
	a.stale, a.tooFar, a.last, a.firstStream = r.bool(), r.bool(), journal.Position(r.int8()), r.int8()
	streams, versions, positions, ids, newest := r.int8s(), r.int8s(), r.int8s(), r.ids(), r.ids()
	names, nStreams, nVersions, nPositions, nNewest := r.texts(), r.int8s(), r.int8s(), r.int8s(), r.ids()
	wrong, actual := r.int8s(), r.int8s()
	if r.err != nil {
		return
	}
	for i := range streams {
		a.others = append(a.others, other{stream: streams[i], id: ids[i], head: plan.Head{
			Version: journal.Version(versions[i]), Position: journal.Position(positions[i]), Newest: newest[i],
		}})
	}
	for i := range names {
		a.exist = append(a.exist, end{name: journal.Stream(names[i]), stream: nStreams[i], head: plan.Head{
			Version: journal.Version(nVersions[i]), Position: journal.Position(nPositions[i]), Newest: nNewest[i],
		}})
	}
	a.wrong = wrong
	for _, v := range actual {
		a.versions = append(a.versions, journal.Version(v))
	}
}
