// SPDX-License-Identifier: Apache-2.0

// The statements that are used often.

package postgres

import (
	"hash/fnv"
	"strconv"
	"strings"
)

// statements are those of one schema.
type statements struct {
	schema  string
	channel string
	log     string
	head    string
	renew   string
	last    string
	heads   string
	recent  string
	records string
	matches string
	commit  string
	lock    string
	names   string

	forward        string
	backward       string
	streamForward  string
	streamBackward string
	record         string
	byKey          string
	byDue          string
	count          string
	audit          string
	ends           string
}

// columns of an event, in the order in which they are read.
const columns = "e.position, e.stream, e.version, e.time, e.schema, e.id, e.type, e.tags, e.meta, e.data"

func newStatements(schema string) statements {
	in := func(sql string) string { return fill(sql, schema) }
	return statements{
		schema:  schema,
		channel: channel(schema),
		log:     in(`select id, epoch from {{schema}}.log`),
		head: in(`select l.id, l.epoch, pg_is_in_recovery(), e.position, e.id from {{schema}}.log l
			left join lateral (select position, id from {{schema}}.events order by position desc limit 1) e on true`),
		renew: in(`select {{schema}}.renew()`),
		last:  in(`select coalesce((select max(position) from {{schema}}.events), 0)`),
		heads: in(`select * from {{schema}}.heads($1)`),
		recent: in(`select e.id, e.version, e.position from {{schema}}.events e
			where e.stream = $1 and e.version <= $2 order by e.version desc limit $3`),
		records: in(`select coalesce((select c.version from {{schema}}.records c
				where c.kind = r.kind and c.key = r.key), 0)
			from unnest($1::text[], $2::text[]) with ordinality r (kind, key, o) order by r.o`),
		matches: in(`select coalesce({{schema}}.violation(c.after, c.filter::jsonb), 0),
			(select coalesce(max(position), 0) from {{schema}}.events)
			from unnest($1::bigint[], $2::text[]) with ordinality c (after, filter, o) order by c.o`),
		commit: in(`select * from {{schema}}.commit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,
			$16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26::text[]::jsonb[])`),
		lock: in(`begin isolation level read committed read write;
			set local idle_in_transaction_session_timeout = '20s'; set local lock_timeout = '20s';
			select pg_advisory_xact_lock({{lock}})`),
		names: in(`select s.id, s.name from {{schema}}.streams s where s.id = any ($1::bigint[])`),
		forward: in(`select ` + columns + ` from {{schema}}.events e
			where e.position > $1 and e.position < $2 order by e.position limit $3`),
		backward: in(`select ` + columns + ` from {{schema}}.events e
			where e.position > $1 and e.position < $2 order by e.position desc limit $3`),
		streamForward: in(`select ` + columns + ` from {{schema}}.events e
			where e.stream = (select s.id from {{schema}}.streams s where s.name = $1)
			and e.version > $2 and e.version < $3 order by e.version limit $4`),
		streamBackward: in(`select ` + columns + ` from {{schema}}.events e
			where e.stream = (select s.id from {{schema}}.streams s where s.name = $1)
			and e.version > $2 and e.version < $3 order by e.version desc limit $4`),
		record: in(`select r.key, r.version, r.due, r.value from {{schema}}.records r
			where r.kind = $1 and r.key = $2`),
		byKey: in(`select r.key, r.version, r.due, r.value from {{schema}}.records r
			where r.kind = $1 and r.key >= $2 and r.key < $3 and r.key > $4 order by r.key limit $5`),
		byDue: in(`select r.key, r.version, r.due, r.value from {{schema}}.records r
			where r.kind = $1 and r.key >= $2 and r.key < $3 and r.due <= $4 order by r.due, r.key limit $5`),
		count: in(`select (select count(*) from {{schema}}.events), (select count(*) from {{schema}}.streams),
			(select count(*) from {{schema}}.records),
			(select sum(pg_total_relation_size(t))::bigint from unnest(array['{{schema}}.events',
				'{{schema}}.streams', '{{schema}}.records', '{{schema}}.staged']::regclass[]) t)`),
		audit: in(`select e.position, e.stream, e.version, e.id, coalesce(e.newest, e.id) from {{schema}}.events e
			where e.position > $1 order by e.position limit $2`),
		ends: in(`select s.id, s.name, coalesce(e.version, 0), coalesce(e.position, 0)
			from (select * from {{schema}}.streams where id > $1 order by id limit $2) s
			left join lateral (select version, position from {{schema}}.events where stream = s.id
				order by version desc limit 1) e on true
			order by s.id`),
	}
}

// fill puts the names of a schema into SQL.
func fill(sql, schema string) string {
	return strings.NewReplacer(
		"{{schema}}", `"`+schema+`"`,
		"{{lock}}", strconv.FormatInt(lockKey("sequence", schema), 10),
		"{{channel}}", "'"+channel(schema)+"'",
	).Replace(sql)
}

// channel is where commits are announced.
func channel(schema string) string { return "vidimus:" + schema }

// lockKey is the advisory lock of a schema for one purpose. Advisory locks belong to one database.
func lockKey(purpose, schema string) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte("vidimus " + purpose + " " + schema)) // never fails
	return int64(h.Sum64())
}
