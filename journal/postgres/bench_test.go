// SPDX-License-Identifier: Apache-2.0

// What appending and reading cost, beside the same rows inserted without any checks.

//go:build unix

package postgres

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/internal/pgtest"
	"example.com/vidimus/journal"
)

const benchStreams = 10_000

// BenchmarkAppend measures durable appends of one event each at an expected version, by so many appenders at once. It
// takes turns with two yardsticks in the same server: the same events in the same groups, inserted into a table with
// the same indexes by a single statement that checks nothing ("of-bare"); and appenders that share two nodes
// ("two-nodes").
func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 16, 256} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			server := benchServer(b)
			one := openLog(b, Config{URL: server.Database(b)})
			yardstick := journal.New(newBare(b, server.Database(b)))
			shared := server.Database(b)
			two := []*journal.Log{openLog(b, Config{URL: shared}), openLog(b, Config{URL: shared})}
			ours := newLoad(n, func(int) *journal.Log { return one })
			bare := newLoad(n, func(int) *journal.Log { return yardstick })
			both := newLoad(n, func(k int) *journal.Log { return two[k%2] })
			ours.run(b, warmUp)
			bare.run(b, warmUp)
			both.run(b, warmUp)
			var rate, ofBare, twoNodes []float64
			b.ResetTimer()
			for range b.N {
				a, y, c := ours.run(b, slice), bare.run(b, slice), both.run(b, slice)
				rate, ofBare, twoNodes = append(rate, a), append(ofBare, a/y), append(twoNodes, c/a)
			}
			b.ReportMetric(median(rate), "events/s")
			b.ReportMetric(median(ofBare), "of-bare")
			b.ReportMetric(median(twoNodes), "two-nodes")
		})
	}
}

const (
	warmUp = 500 * time.Millisecond
	slice  = 300 * time.Millisecond
)

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// BenchmarkRead measures reading everything, an event at a time.
func BenchmarkRead(b *testing.B) {
	log := openLog(b, Config{URL: benchServer(b).Database(b)})
	const events = 100_000
	fillLog(b, log, events)
	b.ResetTimer()
	for range b.N {
		n := 0
		for _, err := range log.Read(b.Context(), journal.ReadOptions{}) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != events {
			b.Fatalf("read %d events", n)
		}
	}
	b.ReportMetric(float64(events)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// benchServer is a server with some memory.
func benchServer(b *testing.B) *pgtest.Cluster {
	b.Helper()
	return pgtest.Server(b, &pgtest.Options{Settings: map[string]string{
		"shared_buffers": "512MB", "max_wal_size": "4GB",
	}})
}

func benchEvent() journal.EventData {
	return journal.EventData{
		ID: journal.NewID(), Type: "order.placed",
		Data: bytes.Repeat([]byte("x"), 256), Meta: bytes.Repeat([]byte("m"), 100),
	}
}

// load is a crowd of appenders, each with streams of its own.
type load struct {
	logOf    func(appender int) *journal.Log
	versions [][]journal.Version
}

func newLoad(n int, logOf func(appender int) *journal.Log) *load {
	l := &load{logOf: logOf}
	for range n {
		l.versions = append(l.versions, make([]journal.Version, max(1, benchStreams/n)))
	}
	return l
}

// run appends for a while and returns how many events a second that were.
func (l *load) run(b *testing.B, d time.Duration) float64 {
	b.Helper()
	var events atomic.Int64
	var group sync.WaitGroup
	began := clock.Now()
	for k, versions := range l.versions {
		group.Go(func() {
			log := l.logOf(k)
			for i := int(versions[0]) % len(versions); clock.Since(began) < d; i = (i + 1) % len(versions) {
				stream := journal.Stream(fmt.Sprintf("order-%d-%d", k, i))
				expect := journal.Exactly(versions[i])
				if _, err := log.Append(context.Background(), stream, expect, benchEvent()); err != nil {
					b.Errorf("append: %v", err)
					return
				}
				versions[i]++
				events.Add(1)
			}
		})
	}
	group.Wait()
	return float64(events.Load()) / clock.Since(began).Seconds()
}

func fillLog(b *testing.B, log *journal.Log, events int) {
	b.Helper()
	for i := 0; i < events; i += journal.MaxEvents {
		u := journal.Unit{}
		for k := range 50 {
			a := journal.Append{Stream: journal.Stream(fmt.Sprintf("order-%d", (i/20+k)%benchStreams)), Expect: journal.Any}
			for range journal.MaxEvents / 50 {
				a.Events = append(a.Events, benchEvent())
			}
			u.Appends = append(u.Appends, a)
		}
		if _, err := log.Commit(b.Context(), u); err != nil {
			b.Fatal(err)
		}
	}
}

// bare is a store that inserts and nothing else.
type bare struct {
	journal.Store
	conn    *conn
	last    int64
	streams map[journal.Stream]int64
}

func newBare(b *testing.B, url string) *bare {
	b.Helper()
	p, err := newPool(url, 1)
	if err != nil {
		b.Fatal(err)
	}
	c, err := p.dial(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.discard)
	err = c.script(b.Context(), `create table events (position bigint primary key, stream bigint not null,
		version bigint not null check (version > 0), time timestamptz not null, schema integer not null,
		id uuid not null, newest uuid, type text collate "C" not null, tags text[] collate "C", meta bytea, data bytea,
		unique (stream, version));
		create index on events using gin (tags) with (fastupdate = off) where tags is not null`)
	if err != nil {
		b.Fatal(err)
	}
	return &bare{conn: c, streams: map[journal.Stream]int64{}}
}

func (s *bare) Commit(ctx context.Context, units []*journal.Unit) ([]journal.Outcome, error) {
	p := s.conn.begin()
	p.int8(s.last)
	s.last += int64(len(units))
	column := func(element, whole uint32, each func(a *journal.Append, e *journal.EventData)) {
		p.array(element, len(units))
		for _, u := range units {
			each(&u.Appends[0], &u.Appends[0].Events[0])
		}
		p.end(whole)
	}
	column(pgtype.Int8OID, pgtype.Int8ArrayOID, func(a *journal.Append, _ *journal.EventData) {
		id := s.streams[a.Stream]
		if id == 0 {
			id = int64(len(s.streams) + 1)
			s.streams[a.Stream] = id
		}
		p.elementInt8(id)
	})
	column(pgtype.Int8OID, pgtype.Int8ArrayOID, func(a *journal.Append, _ *journal.EventData) {
		p.elementInt8(int64(a.Expect) + 1)
	})
	column(pgtype.TimestamptzOID, pgtype.TimestamptzArrayOID, func(_ *journal.Append, e *journal.EventData) {
		p.elementTime(e.Time)
	})
	column(pgtype.Int4OID, pgtype.Int4ArrayOID, func(_ *journal.Append, e *journal.EventData) { p.elementInt4(e.Schema) })
	column(pgtype.UUIDOID, pgtype.UUIDArrayOID, func(_ *journal.Append, e *journal.EventData) { p.elementID(e.ID) })
	column(pgtype.TextOID, pgtype.TextArrayOID, func(_ *journal.Append, e *journal.EventData) { p.elementText(e.Type) })
	column(pgtype.ByteaOID, pgtype.ByteaArrayOID, func(_ *journal.Append, e *journal.EventData) { p.elementBytes(e.Meta) })
	column(pgtype.ByteaOID, pgtype.ByteaArrayOID, func(_ *journal.Append, e *journal.EventData) { p.elementBytes(e.Data) })
	return make([]journal.Outcome, len(units)), s.conn.run(ctx, `
		insert into events (position, stream, version, time, schema, id, type, meta, data)
		select $1 + e.o, e.stream, e.version, e.time, e.schema, e.id, e.type, e.meta, e.data
		from unnest($2::bigint[], $3::bigint[], $4::timestamptz[], $5::int[], $6::uuid[], $7::text[],
			$8::bytea[], $9::bytea[])
		with ordinality e (stream, version, time, schema, id, type, meta, data, o)`, nil)
}
