// SPDX-License-Identifier: Apache-2.0

// The journal on PostgreSQL beside a bare insert.

package bench

import (
	"fmt"
	"testing"
	"time"

	"example.com/vidimus/internal/pgtest"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/postgres"
)

func openPostgres(b *testing.B, url string) *journal.Log {
	b.Helper()
	log, err := postgres.Open(b.Context(), postgres.Config{URL: url})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { log.Close() })
	return log
}

// BenchmarkPostgresAppend compares appends with a bare set-based insert of the same rows, with the same indexes, by the
// same queue.
func BenchmarkPostgresAppend(b *testing.B) {
	for _, appenders := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("appenders=%d", appenders), func(b *testing.B) {
			url := pgtest.Open(b)
			ours := openPostgres(b, url)
			bare := openBare(b, url)
			loads := []*load{newLoad(fewStreams), newLoad(fewStreams)}
			loads[0].fill(b, ours)
			loads[1].fill(b, bare)
			compare(b,
				contestant{"vidimus", func(d time.Duration) measured { return loads[0].run(b, ours, appenders, d) }},
				contestant{"bareinsert", func(d time.Duration) measured { return loads[1].run(b, bare, appenders, d) }})
		})
	}
}

// BenchmarkPostgresTwoNodes compares two nodes on one database with one.
func BenchmarkPostgresTwoNodes(b *testing.B) {
	for _, appenders := range []int{16, 256} {
		b.Run(fmt.Sprintf("appenders=%d", appenders), func(b *testing.B) {
			url := pgtest.Open(b)
			two := []*journal.Log{openPostgres(b, url), openPostgres(b, url)}
			one := []*journal.Log{openPostgres(b, pgtest.Open(b))}
			loads := []*load{newLoad(fewStreams), newLoad(fewStreams)}
			loads[0].fill(b, two[0])
			loads[1].fill(b, one[0])
			compare(b,
				contestant{"two", func(d time.Duration) measured { return loads[0].spread(b, two, appenders, d) }},
				contestant{"one", func(d time.Duration) measured { return loads[1].spread(b, one, appenders, d) }})
		})
	}
}

// BenchmarkPostgresFence compares appends under a fence with appends without.
func BenchmarkPostgresFence(b *testing.B) {
	compareFence(b, openPostgres(b, pgtest.Open(b)), openPostgres(b, pgtest.Open(b)))
}

// BenchmarkPostgresRead reports how fast a reader catches up.
func BenchmarkPostgresRead(b *testing.B) { compareRead(b, openPostgres(b, pgtest.Open(b))) }
