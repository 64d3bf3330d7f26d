// SPDX-License-Identifier: Apache-2.0

// What a forgotten transaction costs.

package bench

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/vidimus/internal/pgtest"
	"example.com/vidimus/journal"
)

const (
	group        = 1000
	heldEvents   = 1_800_000
	outboxEvents = 300_000
	outboxLimit  = 90 * time.Second
)

// hold opens a snapshot and keeps it until the benchmark ends, as a report or a forgotten session does.
func hold(b *testing.B, url string) {
	b.Helper()
	db, err := pgx.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close(b.Context()) })
	tx, err := db.BeginTx(b.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		b.Fatal(err)
	}
	var n int
	if err := tx.QueryRow(b.Context(), `select count(*) from pg_class`).Scan(&n); err != nil {
		b.Fatal(err)
	}
}

// series is how long the same step took, over and over.
type series []time.Duration

// growth is the median of the last tenth over that of the second: the first warms up.
func (s series) growth() float64 {
	tenth := max(1, len(s)/10)
	return float64(mid(s[len(s)-tenth:])) / float64(mid(s[min(tenth, len(s)-1):min(2*tenth+1, len(s))]))
}

func mid(s series) time.Duration {
	sorted := slices.Sorted(slices.Values(s))
	return sorted[len(sorted)/2]
}

// roomy returns a database whose pages stay in memory, so that what grows is not the share read from disk.
func roomy(b *testing.B) string {
	b.Helper()
	server := pgtest.Server(b, &pgtest.Options{Settings: map[string]string{
		"shared_buffers": "4GB", "max_wal_size": "16GB", "checkpoint_timeout": "1h",
	}})
	return server.Database(b)
}

// BenchmarkPostgresHeldSnapshot appends and follows in groups of a thousand events and saves a checkpoint
// after each, with a snapshot held open and without, and reports how much slower that gets: 1 is not at all.
func BenchmarkPostgresHeldSnapshot(b *testing.B) {
	for name, held := range map[string]bool{"held": true, "free": false} {
		b.Run(name, func(b *testing.B) { appendAndFollow(b, held) })
	}
}

func appendAndFollow(b *testing.B, held bool) {
	b.Helper()
	url := roomy(b)
	log := openPostgres(b, url)
	l := newLoad(fewStreams)
	l.fill(b, log)
	if held {
		hold(b, url)
	}
	var appends, follows, saves series
	var seen journal.Checkpoint
	var saved journal.Version
	for done := 0; done < heldEvents; done += group {
		units := make([]journal.Unit, group)
		for i := range units {
			s := (done + i*7919) % fewStreams
			units[i].Appends = []journal.Append{{
				Stream: l.stream(s), Expect: journal.Exactly(l.heads[s]), Events: []journal.EventData{l.event()},
			}}
			l.heads[s]++
		}
		began := time.Now()
		if _, err := log.CommitMany(b.Context(), units); err != nil {
			b.Fatal(err)
		}
		appends = append(appends, time.Since(began))
		began = time.Now()
		for frame, err := range log.Follow(b.Context(), journal.FollowOptions{From: seen}) {
			if err != nil {
				b.Fatal(err)
			}
			seen = frame.Checkpoint
			if frame.CaughtUp {
				break
			}
		}
		follows = append(follows, time.Since(began))
		began = time.Now()
		res, err := log.Commit(b.Context(), journal.Unit{
			Records: []journal.RecordWrite{seen.Save("bench", journal.Exactly(saved))},
		})
		if err != nil {
			b.Fatal(err)
		}
		saved = res.Records[0]
		saves = append(saves, time.Since(began))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(appends.growth(), "append_growth")
	b.ReportMetric(follows[1:].growth(), "follow_growth")
	b.ReportMetric(saves.growth(), "save_growth")
	last := len(appends) * 9 / 10
	b.ReportMetric(float64(mid(appends[last:]).Microseconds())/1000, "last_append_ms")
	b.ReportMetric(float64(mid(follows[last:]).Microseconds())/1000, "last_follow_ms")
	b.ReportMetric(float64(mid(saves[last:]).Microseconds())/1000, "last_save_ms")
}

// BenchmarkPostgresOutboxQueue does the same with a table used as a queue: insert, take what is not published, mark it
// or delete it.
func BenchmarkPostgresOutboxQueue(b *testing.B) {
	for name, take := range map[string]string{
		"mark": `update outbox set published = true where id in
			(select id from outbox where not published order by id limit $1 for update skip locked)`,
		"delete": `delete from outbox where id in
			(select id from outbox where not published order by id limit $1 for update skip locked)`,
	} {
		b.Run(name, func(b *testing.B) { outbox(b, take) })
	}
}

func outbox(b *testing.B, take string) {
	b.Helper()
	url := roomy(b)
	db, err := pgx.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close(b.Context()) })
	const table = `create table outbox (id bigserial primary key, published bool not null default false, data bytea);
		create index on outbox (id) where not published`
	if _, err := db.Exec(b.Context(), table); err != nil {
		b.Fatal(err)
	}
	hold(b, url)
	var takes series
	began := time.Now()
	done := 0
	for ; done < outboxEvents && time.Since(began) < outboxLimit; done += group {
		insert := fmt.Sprintf(`insert into outbox (data) select $1 from generate_series(1, %d)`, group)
		if _, err := db.Exec(b.Context(), insert, make([]byte, 256)); err != nil {
			b.Fatal(err)
		}
		at := time.Now()
		if _, err := db.Exec(b.Context(), take, group); err != nil {
			b.Fatal(err)
		}
		takes = append(takes, time.Since(at))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(takes.growth(), "take_growth")
	b.ReportMetric(float64(mid(takes[len(takes)*9/10:]).Microseconds())/1000, "last_take_ms")
	b.ReportMetric(float64(done), "events")
}
