// SPDX-License-Identifier: Apache-2.0

// Package bench measures Vidimus side by side with what it could at best be: every figure is a ratio of two things
// that ran in turns, in one process, with the same load.
package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"example.com/vidimus/journal"
)

const (
	rounds      = 3               // each pair of contestants meets so often; the median counts
	roundLength = 2 * time.Second // and appends so long each time
	warmUp      = 300 * time.Millisecond
	fewStreams  = 10_000
	manyStreams = 1_000_000
)

// load is a closed loop of appenders: each appends one event with the expected version to one of its own streams,
// waits until it is durable, and goes on.
type load struct {
	streams  int
	fences   []journal.Fence
	heads    []journal.Version
	data     []byte
	meta     []byte
	appended int64
}

func newLoad(streams int) *load {
	return &load{
		streams: streams, heads: make([]journal.Version, streams),
		data: []byte(`{"orderId":"order-000042","sku":"SKU-93411","quantity":3,"unitPrice":48210,"currency":"EUR",` +
			`"tags":["web","promo"],"note":"` + text(121) + `"}`),
		meta: []byte(`{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","actor":"user-004711"}`),
	}
}

// text is prose of n bytes; payloads of equal bytes would flatter stores that compress.
func text(n int) string {
	const prose = "the quick brown fox jumps over the lazy dog while seven wizards quietly pack their boxes "
	out := ""
	for len(out) < n {
		out += prose
	}
	return out[:n]
}

func (l *load) stream(i int) journal.Stream { return journal.Stream(fmt.Sprintf("order-%07d", i)) }

func (l *load) event() journal.EventData {
	return journal.EventData{ID: journal.NewID(), Type: "order.item_added", Data: l.data, Meta: l.meta}
}

// measured is what one run showed.
type measured struct {
	perSecond float64
	p50, p99  time.Duration
}

// run appends with so many appenders for so long.
func (l *load) run(b *testing.B, log *journal.Log, appenders int, length time.Duration) measured {
	b.Helper()
	return l.spread(b, []*journal.Log{log}, appenders, length)
}

// spread is run with the appenders spread over several nodes of one journal.
func (l *load) spread(b *testing.B, logs []*journal.Log, appenders int, length time.Duration) measured {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), length)
	defer cancel()
	latencies := make([][]time.Duration, appenders)
	began := time.Now()
	var all sync.WaitGroup
	for a := range appenders {
		all.Go(func() { latencies[a] = l.appender(ctx, b, logs[a%len(logs)], a, appenders) })
	}
	all.Wait()
	took := time.Since(began)
	merged := slices.Concat(latencies...)
	slices.Sort(merged)
	n := len(merged)
	if n == 0 {
		b.Fatal("nothing was appended")
	}
	l.appended += int64(n)
	return measured{float64(n) / took.Seconds(), merged[n/2], merged[n*99/100]}
}

func (l *load) appender(ctx context.Context, b *testing.B, log *journal.Log, a, appenders int) []time.Duration {
	rng := rand.New(rand.NewPCG(uint64(a), uint64(l.appended)))
	own := l.streams / appenders
	taken := make([]time.Duration, 0, 1<<14)
	for ctx.Err() == nil {
		i := rng.IntN(own)*appenders + a
		u := journal.Unit{Fences: l.fences, Appends: []journal.Append{{
			Stream: l.stream(i), Expect: journal.Exactly(l.heads[i]), Events: []journal.EventData{l.event()},
		}}}
		began := time.Now()
		if _, err := log.Commit(context.WithoutCancel(ctx), u); err != nil {
			b.Errorf("append to %s at %d: %v", l.stream(i), l.heads[i], err)
			return taken
		}
		taken = append(taken, time.Since(began))
		l.heads[i]++
	}
	return taken
}

// fill appends one event to every stream, in large units.
func (l *load) fill(b *testing.B, log *journal.Log) {
	b.Helper()
	const unit, lanes = 100, 16
	var all sync.WaitGroup
	for lane := range lanes {
		all.Go(func() {
			for first := lane * unit; first < l.streams; first += lanes * unit {
				var u journal.Unit
				for i := first; i < min(first+unit, l.streams); i++ {
					u.Appends = append(u.Appends, journal.Append{
						Stream: l.stream(i), Expect: journal.Exactly(l.heads[i]), Events: []journal.EventData{l.event()},
					})
					l.heads[i]++
				}
				if _, err := log.Commit(b.Context(), u); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	l.appended += int64(l.streams)
}

// contestant is one side of a comparison.
type contestant struct {
	name string
	run  func(length time.Duration) measured
}

// compare lets the contestants run in turns and reports each one's rate, and the ratio of the first to each of the
// others: the median over the rounds, in which both met the same noise.
func compare(b *testing.B, contestants ...contestant) {
	b.Helper()
	results := make([][]measured, len(contestants))
	for _, c := range contestants {
		c.run(warmUp)
	}
	for range rounds {
		for i, c := range contestants {
			results[i] = append(results[i], c.run(roundLength))
		}
	}
	b.ReportMetric(0, "ns/op")
	for i, c := range contestants {
		b.ReportMetric(median(results[i], func(m measured) float64 { return m.perSecond }), c.name+"_ev/s")
		if i == 0 {
			b.ReportMetric(median(results[i], func(m measured) float64 { return float64(m.p99.Microseconds()) / 1000 }), "p99_ms")
			continue
		}
		ratios := make([]measured, rounds)
		for r := range rounds {
			ratios[r].perSecond = results[0][r].perSecond / results[i][r].perSecond
		}
		b.ReportMetric(median(ratios, func(m measured) float64 { return m.perSecond }), "of_"+c.name)
	}
}

func median(ms []measured, value func(measured) float64) float64 {
	values := make([]float64, 0, len(ms))
	for _, m := range ms {
		values = append(values, value(m))
	}
	slices.Sort(values)
	return values[len(values)/2]
}
