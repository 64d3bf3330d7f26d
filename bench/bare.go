// SPDX-License-Identifier: Apache-2.0

// What the journal on PostgreSQL is measured against: a bare insert of the same rows.

package bench

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/vidimus/journal"
)

// bare inserts each group with one set-based statement into a table with the columns and indexes of the journal's. It
// checks nothing, orders nothing against other writers and knows its stream numbers beforehand.
type bare struct {
	journal.Store
	db   *pgx.Conn
	last int64
}

const bareInsert = `insert into bare (position, stream, version, time, schema, id, type, meta, data)
	select $1 + o, stream, version, time, schema, id, type, meta, data
	from unnest($2::bigint[], $3::bigint[], $4::timestamptz[], $5::int[], $6::uuid[], $7::text[], $8::bytea[], $9::bytea[])
	with ordinality as e (stream, version, time, schema, id, type, meta, data, o)`

// openBare makes the table in a database that has a journal in the schema vidimus.
func openBare(b *testing.B, url string) *journal.Log {
	b.Helper()
	db, err := pgx.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close(context.WithoutCancel(b.Context())) })
	if _, err := db.Exec(b.Context(), `create table bare (like vidimus.events including all)`); err != nil {
		b.Fatal(err)
	}
	return journal.New(&bare{db: db})
}

func (p *bare) Commit(ctx context.Context, units []*journal.Unit) ([]journal.Outcome, error) {
	var streams, versions []int64
	var times []time.Time
	var schemas []int32
	var ids [][16]byte
	var types []string
	var metas, datas [][]byte
	for _, u := range units {
		for _, a := range u.Appends {
			_, number, _ := strings.Cut(string(a.Stream), "-")
			stream, err := strconv.ParseInt(number, 10, 64)
			if err != nil {
				return nil, err
			}
			for i := range a.Events {
				e := &a.Events[i]
				streams, versions = append(streams, stream), append(versions, int64(a.Expect)+int64(i)+1)
				times, schemas = append(times, e.Time), append(schemas, int32(e.Schema))
				ids, types = append(ids, e.ID), append(types, e.Type)
				metas, datas = append(metas, e.Meta), append(datas, e.Data)
			}
		}
	}
	_, err := p.db.Exec(ctx, bareInsert, p.last, streams, versions, times, schemas, ids, types, metas, datas)
	p.last += int64(len(streams))
	return make([]journal.Outcome, len(units)), err
}
