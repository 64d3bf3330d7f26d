// SPDX-License-Identifier: Apache-2.0

// What both databases are asked.

package bench

import (
	"testing"
	"time"

	"example.com/vidimus/journal"
)

// compareFence measures what the check of a lease's epoch costs.
func compareFence(b *testing.B, fenced, free *journal.Log) {
	b.Helper()
	res, err := fenced.Commit(b.Context(), journal.Unit{Records: []journal.RecordWrite{{
		Kind: journal.KindLease, Key: "writer", Value: []byte(`{}`),
	}}})
	if err != nil {
		b.Fatal(err)
	}
	fencedLoad, freeLoad := newLoad(fewStreams), newLoad(fewStreams)
	fencedLoad.fences = []journal.Fence{{Lease: "writer", Epoch: journal.Epoch(res.Records[0])}}
	fencedLoad.fill(b, fenced)
	freeLoad.fill(b, free)
	compare(b,
		contestant{"fenced", func(d time.Duration) measured { return fencedLoad.run(b, fenced, 256, d) }},
		contestant{"free", func(d time.Duration) measured { return freeLoad.run(b, free, 256, d) }})
}

// compareRead reports how many events a second a reader gets that starts at the beginning.
func compareRead(b *testing.B, log *journal.Log) {
	b.Helper()
	l := newLoad(fewStreams)
	for range 30 {
		l.fill(b, log)
	}
	best := 0.0
	for range rounds {
		n, began := 0, time.Now()
		for _, err := range log.Read(b.Context(), journal.ReadOptions{}) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if int64(n) != l.appended {
			b.Fatalf("read %d events of %d", n, l.appended)
		}
		best = max(best, float64(n)/time.Since(began).Seconds())
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(best, "ev/s")
}
