// SPDX-License-Identifier: Apache-2.0

// Filters as SQL.

package postgres

import (
	"fmt"
	"strings"

	"example.com/vidimus/journal"
)

// filtered writes the query for a page of events that fit a filter:
//
//	far   the last event that is looked at, whether it fits or not
//	e     the events up to there that fit
//
// In SQL, "near" and "far" are meant in the direction of reading.
func (s *store) filtered(p *params, q *journal.Query, limit int) string {
	p.int8(int64(q.After))
	p.int8(before(q.Before))
	p.int8(int64(limit))
	p.int8(scanned)
	order, reverse, window := "", "desc", "position < n.position + $4"
	more := "exists (select from {{schema}}.events where position > far.position and position < $2)"
	reach := "e.position > $1 and e.position <= far.position"
	if q.Backwards {
		order, reverse, window = "desc", "", "position > n.position - $4"
		more = "exists (select from {{schema}}.events where position < far.position and position > $1)"
		reach = "e.position < $2 and e.position >= far.position"
	}
	if indexed(q.Filter) {
		window = "$4 > 0"
	}
	sql := fmt.Sprintf(`with near as (
			select position from {{schema}}.events where position > $1 and position < $2 order by position %[1]s limit 1),
		far as materialized (
			select f.position, f.id from near n cross join lateral (
				select position, id from {{schema}}.events
				where position > $1 and position < $2 and %[3]s order by position %[2]s limit 1) f)
		select far.position, far.id, %[4]s, %[5]s
		from far left join lateral (
			select * from {{schema}}.events e where %[6]s and (%[7]s) order by e.position %[1]s limit $3) e on true
		order by e.position %[1]s`,
		order, reverse, window, more, columns, reach, predicate(p, q.Filter))
	return fill(sql, s.sql.schema)
}

// indexed reports whether an index leads to the events of each match, so that they need not be looked for.
func indexed(f journal.Filter) bool {
	for i := range f {
		if f[i].Stream == "" && len(f[i].Tags) == 0 {
			return false
		}
	}
	return true
}

// predicate is true for events e that fit the filter.
func predicate(p *params, f journal.Filter) string {
	var either []string
	for i := range f {
		m := &f[i]
		all := []string{"true"}
		if m.Stream != "" {
			p.text(string(m.Stream))
			all = append(all, fmt.Sprintf(
				"e.stream = (select s.id from {{schema}}.streams s where s.name = $%d)", len(p.ends)))
		}
		if strings.Contains(m.Category, "-") {
			all = append(all, "false") // a category ends where the first dash is
		} else if m.Category != "" {
			p.text(m.Category)
			all = append(all, fmt.Sprintf("e.stream in (select s.id from {{schema}}.streams s where s.name = $%[1]d "+
				"or s.name >= $%[1]d || '-' and s.name < $%[1]d || '.')", len(p.ends)))
		}
		if len(m.Types) > 0 {
			p.texts(m.Types)
			all = append(all, fmt.Sprintf("e.type = any ($%d)", len(p.ends)))
		}
		if len(m.Tags) > 0 {
			p.texts(m.Tags)
			all = append(all, fmt.Sprintf("e.tags @> $%d", len(p.ends)))
		}
		either = append(either, "("+strings.Join(all, " and ")+")")
	}
	return strings.Join(either, " or ")
}
