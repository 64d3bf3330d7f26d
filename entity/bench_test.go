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

// BenchmarkLoad loads a short history, and one that is as long as 100 commands after the books were closed 50 times, on
// SQLite.
func BenchmarkLoad(b *testing.B) {
	ctx, log := context.Background(), stores.SQLite(b)
	c, e := mustCell(b, log), seats(b)
	for name, commands := range map[string]int{"short": 10, "long": 5000} {
		for i := range commands {
			var command any = Hold{"ada"}
			if i%2 == 1 {
				command = Free{"ada"}
			}
			if _, err := e.Do(ctx, c, name, command, nil); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := e.Load(ctx, c, name); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
