// SPDX-License-Identifier: Apache-2.0

// What deciding costs beside a bare append.

package entity_test

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/journaltest/stores"
)

// BenchmarkDo does commands of distinct entities by 16 goroutines on SQLite, beside bare appends of the same events.
func BenchmarkDo(b *testing.B) {
	ctx := context.Background()
	const goroutines = 16
	var ids atomic.Int64
	run := func(name string, do func(id string) error) {
		b.Run(name, func(b *testing.B) {
			b.SetParallelism(goroutines / 2) // times the number of processors, which is 2 by -cpu 2
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					if err := do(name + strconv.FormatInt(ids.Add(1), 10)); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
	log := stores.SQLite(b)
	c, e := mustCell(b, log), seats(b)
	run("append", func(id string) error {
		ev := journal.EventData{Type: "seat.held", Data: []byte(`{"guest":"ada"}`)}
		_, err := log.Append(ctx, journal.Stream("bare-"+id), journal.None, ev)
		return err
	})
	run("do", func(id string) error {
		_, err := e.Do(ctx, c, id, Hold{"ada"}, nil)
		return err
	})
}
