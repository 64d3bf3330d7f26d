// SPDX-License-Identifier: Apache-2.0

// What a million sessions cost.

package presence_test

import (
	"context"
	"encoding/binary"
	"runtime"
	"sync"
	"testing"
	"time"

	"example.com/vidimus/heartbeat/presence"
	"example.com/vidimus/internal/chance"
)

const million = 1_000_000

// crowd makes random ids, in an order that no cache can guess.
func crowd(n int) []presence.ID {
	ids := make([]presence.ID, n)
	raw := make([]byte, 16*n)
	chance.Fill(raw)
	for i := range ids {
		ids[i] = presence.ID(raw[16*i:])
	}
	return ids
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func opened(b *testing.B, ids []presence.ID, idle time.Duration) *presence.Owner {
	b.Helper()
	o, err := presence.Open(presence.Config{Expire: func(context.Context, []presence.Expired) error { return nil }})
	if err != nil {
		b.Fatal(err)
	}
	for _, id := range ids {
		if err := o.Track(id, idle); err != nil {
			b.Fatal(err)
		}
	}
	return o
}

// BenchmarkBeats measures beats of a million sessions in batches of 1,000, in random order.
func BenchmarkBeats(b *testing.B) {
	ids := crowd(million)
	before := heap()
	o := opened(b, ids, 30*time.Minute)
	perSession := float64(heap()-before) / million
	batch := make([]presence.Beat, 1000)
	b.Run("owner", func(b *testing.B) {
		at := 0
		for n := b.N; n > 0; n -= len(batch) {
			for i := range batch {
				batch[i].ID = ids[(at+i)%million]
			}
			at += len(batch)
			if err := o.Beats(b.Context(), batch[:min(n, len(batch))]); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(perSession, "B/session")
	})
	b.Run("map", func(b *testing.B) {
		var mu sync.Mutex
		heard := make(map[presence.ID]int64, million)
		for _, id := range ids {
			heard[id] = 0
		}
		at := 0
		for b.Loop() {
			mu.Lock()
			heard[ids[at%million]] = int64(at)
			mu.Unlock()
			at++
		}
	})
	runtime.KeepAlive(o)
}

// BenchmarkSecond measures one second of a million sessions that beat every 30 seconds and may be silent for 90: 33,333
// beats and a tick. One operation is that second, so a tenth of a percent of a core is a million ns/op.
func BenchmarkSecond(b *testing.B) {
	ids := crowd(million)
	o := opened(b, ids, 90*time.Second)
	batch := make([]presence.Beat, 1000)
	at := 0
	var ticking time.Duration
	for b.Loop() {
		for range million / 30 / len(batch) {
			for i := range batch {
				batch[i].ID = ids[at%million]
				at++
			}
			if err := o.Beats(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
		}
		began := time.Now()
		presence.Tick(o)
		ticking += time.Since(began)
	}
	b.ReportMetric(float64(ticking.Microseconds())/float64(b.N), "us/tick")
}

// BenchmarkBatcher measures what a beat costs a request: of a session heard before in the same second, and of a new
// one.
func BenchmarkBatcher(b *testing.B) {
	send := func(context.Context, []presence.Beat) error { return nil }
	ids := crowd(1 << 16)
	for _, heard := range []struct {
		name string
		ids  []presence.ID
	}{{"again", ids[:1000]}, {"new", nil}} {
		b.Run(heard.name, func(b *testing.B) {
			batcher, err := presence.OpenBatcher(presence.BatcherConfig{Send: send})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			id := ids[0]
			for i := 0; b.Loop(); i++ {
				if heard.ids != nil {
					id = heard.ids[i%len(heard.ids)]
				} else {
					binary.LittleEndian.PutUint64(id[:], uint64(i))
				}
				batcher.Beat(id)
			}
		})
	}
}

// BenchmarkBatch measures the wire form, for one beat of a batch of 1,000.
func BenchmarkBatch(b *testing.B) {
	beats := make([]presence.Beat, 1000)
	for i, id := range crowd(len(beats)) {
		beats[i].ID = id
	}
	var data []byte
	var read []presence.Beat
	for n := b.N; n > 0; n -= len(beats) {
		var err error
		if data, err = presence.AppendBatch(data[:0], beats); err != nil {
			b.Fatal(err)
		}
		if read, err = presence.ParseBatch(read[:0], data); err != nil {
			b.Fatal(err)
		}
	}
}
