// SPDX-License-Identifier: Apache-2.0

// The journal on SQLite beside a raw file and the usual schema.

package bench

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/sqlite"
)

func openSQLite(b *testing.B) *journal.Log {
	b.Helper()
	log, err := sqlite.Open(b.Context(), sqlite.Config{Path: filepath.Join(b.TempDir(), "journal.db")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { log.Close() })
	return log
}

// BenchmarkSQLiteAppend compares appends with a raw file, written and synced once per group by the same queue, and
// with the schema that most event stores on SQLite have.
func BenchmarkSQLiteAppend(b *testing.B) {
	for _, appenders := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("appenders=%d", appenders), func(b *testing.B) {
			ours, raw, plain := openSQLite(b), openRaw(b), openPlain(b)
			loads := []*load{newLoad(fewStreams), newLoad(fewStreams), newLoad(fewStreams)}
			loads[0].fill(b, ours)
			loads[2].fill(b, plain)
			compare(b,
				contestant{"vidimus", func(d time.Duration) measured { return loads[0].run(b, ours, appenders, d) }},
				contestant{"rawfile", func(d time.Duration) measured { return loads[1].run(b, raw, appenders, d) }},
				contestant{"plainschema", func(d time.Duration) measured { return loads[2].run(b, plain, appenders, d) }})
		})
	}
}

// BenchmarkSQLiteManyStreams compares appends to a million streams with appends to ten thousand.
func BenchmarkSQLiteManyStreams(b *testing.B) {
	many, few := openSQLite(b), openSQLite(b)
	manyLoad, fewLoad := newLoad(manyStreams), newLoad(fewStreams)
	manyLoad.fill(b, many)
	fewLoad.fill(b, few)
	compare(b,
		contestant{"million", func(d time.Duration) measured { return manyLoad.run(b, many, 256, d) }},
		contestant{"tenthousand", func(d time.Duration) measured { return fewLoad.run(b, few, 256, d) }})
}

// BenchmarkSQLiteFence compares appends under a fence with appends without.
func BenchmarkSQLiteFence(b *testing.B) { compareFence(b, openSQLite(b), openSQLite(b)) }

// BenchmarkSQLiteRead reports how fast a reader catches up.
func BenchmarkSQLiteRead(b *testing.B) {
	log := openSQLite(b)
	compareRead(b, log)
}
