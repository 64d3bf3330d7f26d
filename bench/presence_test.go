// SPDX-License-Identifier: Apache-2.0

// Presence beside Redis: what a million sessions that beat every 30 seconds cost in memory and time.

package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"testing"
	"time"

	"example.com/vidimus/heartbeat/presence"
)

const (
	crowdSize   = 1_000_000
	beatBatch   = 1000
	beatsOfTurn = 1_000_000 // so many beats at a time, then it is the next contestant's turn
)

// beating is one way to tell that sessions are alive.
type beating struct {
	name string
	beat func(batch []presence.ID) error
	cpu  func() time.Duration // of all that take part
}

// BenchmarkPresence lets three take the beats of the same million sessions, in batches of 1,000 and in random order: an
// owner in this process, an owner behind HTTP on loopback, and Redis with EXPIRE in a pipeline on loopback. It reports the
// CPU time of one beat on all sides together (redis_server is the server's part of it), and the memory of one session.
func BenchmarkPresence(b *testing.B) {
	ids := makeCrowd(b)
	before := heapInUse()
	owner := crowdedOwner(b, ids)
	ours := float64(heapInUse()-before) / crowdSize
	r := openRedis(b)
	theirs := fillRedis(b, r, ids)

	contestants := []beating{
		{"owner", inProcess(owner), processCPU},
		{"http", overHTTP(b, owner), processCPU},
		{"redis", expirePipelined(r), func() time.Duration { return processCPU() + r.cpu(b) }},
		{"redis_server", expirePipelined(r), func() time.Duration { return r.cpu(b) }},
	}
	costs := make([][]float64, len(contestants))
	for range rounds {
		for i, c := range contestants {
			costs[i] = append(costs[i], takeTurn(b, c, ids))
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ours, "B/session")
	b.ReportMetric(theirs, "redis_B/session")
	for i, c := range contestants {
		slices.Sort(costs[i])
		b.ReportMetric(costs[i][rounds/2], c.name+"_ns/beat")
	}
	b.ReportMetric(costs[2][rounds/2]/costs[1][rounds/2], "redis_of_http")
	b.ReportMetric(costs[3][rounds/2]/costs[0][rounds/2], "redis_server_of_owner")
	// What one core has to give to a million sessions that beat every 30 seconds.
	b.ReportMetric(costs[0][rounds/2]*crowdSize/30/1e7, "owner_%core")
	b.ReportMetric(costs[1][rounds/2]*crowdSize/30/1e7, "http_%core")
	runtime.KeepAlive(owner)
}

func makeCrowd(b *testing.B) []presence.ID {
	b.Helper()
	raw := make([]byte, 16*crowdSize)
	if _, err := rand.Read(raw); err != nil {
		b.Fatal(err)
	}
	ids := make([]presence.ID, crowdSize)
	for i := range ids {
		ids[i] = presence.ID(raw[16*i:])
	}
	return ids
}

func crowdedOwner(b *testing.B, ids []presence.ID) *presence.Owner {
	b.Helper()
	owner, err := presence.Open(presence.Config{Expire: func(context.Context, []presence.Expired) error { return nil }})
	if err != nil {
		b.Fatal(err)
	}
	for _, id := range ids {
		if err := owner.Track(id, 90*time.Second); err != nil {
			b.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- owner.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	return owner
}

// fillRedis stores the sessions under their ids, with the shortest value, and returns the bytes that one takes.
func fillRedis(b *testing.B, r *redis, ids []presence.ID) float64 {
	b.Helper()
	before := r.info(b, "memory", "used_memory")
	for batch := range slices.Chunk(ids, beatBatch) {
		for _, id := range batch {
			r.put("SET", id.String(), "1", "EX", "3600")
		}
		if err := r.answers(len(batch), "+OK"); err != nil {
			b.Fatal(err)
		}
	}
	return (r.info(b, "memory", "used_memory") - before) / crowdSize
}

// takeTurn lets one contestant take a turn's beats and returns the nanoseconds of CPU that one cost.
func takeTurn(b *testing.B, c beating, ids []presence.ID) float64 {
	b.Helper()
	runtime.GC()
	before := c.cpu()
	for at := 0; at < beatsOfTurn; at += beatBatch {
		from := at % crowdSize
		if err := c.beat(ids[from : from+beatBatch]); err != nil {
			b.Fatalf("%s: %v", c.name, err)
		}
	}
	return float64(c.cpu()-before) / beatsOfTurn
}

func inProcess(owner *presence.Owner) func([]presence.ID) error {
	beats := make([]presence.Beat, beatBatch)
	return func(batch []presence.ID) error {
		for i, id := range batch {
			beats[i] = presence.Beat{ID: id}
		}
		return owner.Beats(context.Background(), beats)
	}
}

// overHTTP posts batches in their wire form, as an edge does.
func overHTTP(b *testing.B, owner *presence.Owner) func([]presence.ID) error {
	b.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, presence.MaxBatchBytes))
		if err == nil {
			var beats []presence.Beat
			if beats, err = presence.ParseBatch(make([]presence.Beat, 0, beatBatch), data); err == nil {
				err = owner.Beats(r.Context(), beats)
			}
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	b.Cleanup(server.Close)
	beats := make([]presence.Beat, beatBatch)
	var body []byte
	return func(batch []presence.ID) error {
		for i, id := range batch {
			beats[i] = presence.Beat{ID: id}
		}
		var err error
		if body, err = presence.AppendBatch(body[:0], beats); err != nil {
			return err
		}
		answer, err := server.Client().Post(server.URL, presence.ContentType, bytes.NewReader(body))
		if err != nil {
			return err
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusNoContent {
			return fmt.Errorf("answered %s", answer.Status)
		}
		return nil
	}
}

func expirePipelined(r *redis) func([]presence.ID) error {
	return func(batch []presence.ID) error {
		for _, id := range batch {
			r.put("EXPIRE", id.String(), "3600")
		}
		return r.answers(len(batch), ":1")
	}
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
