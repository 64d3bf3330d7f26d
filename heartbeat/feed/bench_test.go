// SPDX-License-Identifier: Apache-2.0

// What it costs to tell a thousand.

package feed_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"example.com/vidimus/heartbeat/feed"
	"example.com/vidimus/journal/mem"
)

// drain is a connection that takes everything at once and counts events.
type drain struct {
	header http.Header
	events chan struct{}
}

func (d *drain) Header() http.Header              { return d.header }
func (d *drain) WriteHeader(int)                  {}
func (d *drain) Flush()                           {}
func (d *drain) SetWriteDeadline(time.Time) error { return nil }
func (d *drain) Write(p []byte) (int, error)      { d.events <- struct{}{}; return len(p), nil }

// BenchmarkFanOut tells 1,000 subscribers of one change, from its commit until the last has it; ns/op is that time, and
// ns/event its share for one subscriber.
func BenchmarkFanOut(b *testing.B) {
	const subscribers = 1000
	log := mem.Open()
	b.Cleanup(func() { _ = log.Close() })
	f := open(b, feed.Config{Log: log, Pulse: time.Hour, Gap: time.Nanosecond})
	ctx, cancel := context.WithCancel(b.Context())
	events := make(chan struct{}, subscribers)
	var work sync.WaitGroup
	for range subscribers {
		work.Go(func() {
			r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/feed", nil)
			f.ServeHTTP(&drain{header: http.Header{}, events: events}, r)
		})
	}
	all := func() {
		for range subscribers {
			<-events
		}
	}
	all() // the snapshots
	b.ReportAllocs()
	for b.Loop() {
		commit(b, log, "session-a", "session.changed")
		all()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/subscribers, "ns/event")
	cancel()
	work.Wait()
}
