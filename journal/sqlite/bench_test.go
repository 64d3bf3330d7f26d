// SPDX-License-Identifier: Apache-2.0

// How fast a journal in a file takes events and gives them back, beside a raw file.

package sqlite

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
)

// The event of the benchmarks: 256 bytes of data, 100 of meta.
var (
	benchData = bytes.Repeat([]byte(`{"sku":"SKU-1234","quantity":7} `), 8)
	benchMeta = bytes.Repeat([]byte(`{"actor":"u42"} `), 6)
)

// rawFile is a Store that only appends what it is given to a file and syncs it: as fast as a disk allows.
type rawFile struct {
	journal.Store
	f   *os.File
	buf []byte
}

func newRawFile(b *testing.B) *journal.Log {
	f, err := os.Create(filepath.Join(b.TempDir(), "raw"))
	if err != nil {
		b.Fatal(err)
	}
	return journal.New(&rawFile{f: f})
}

func (r *rawFile) Close() error { return r.f.Close() }

func (r *rawFile) Commit(_ context.Context, units []*journal.Unit) ([]journal.Outcome, error) {
	r.buf = r.buf[:0]
	outcomes := make([]journal.Outcome, len(units))
	for i, u := range units {
		a := &u.Appends[0]
		r.buf = append(r.buf, a.Stream...)
		for k := range a.Events {
			e := &a.Events[k]
			r.buf = append(append(append(append(r.buf, e.ID[:]...), e.Type...), e.Meta...), e.Data...)
		}
		outcomes[i].Result.Versions = []journal.Version{journal.Version(a.Expect) + 1}
	}
	if _, err := r.f.Write(r.buf); err != nil {
		return nil, err
	}
	return outcomes, datasync(r.f)
}

// usual is a Store with the schema that everybody writes: each event found by stream and version, and by id.
type usual struct {
	journal.Store
	c    *conn
	last int64
}

func newUsual(b *testing.B) *journal.Log {
	s := &store{path: filepath.Join(b.TempDir(), "usual.db"), tuning: tuning{}.withDefaults()}
	c, err := s.connect(b.Context())
	if err == nil {
		err = c.Exec("CREATE TABLE events(position INTEGER PRIMARY KEY, stream TEXT NOT NULL, version INTEGER NOT NULL, " +
			"id BLOB NOT NULL, type TEXT NOT NULL, schema INTEGER NOT NULL, time INTEGER NOT NULL, meta BLOB, data BLOB, " +
			"UNIQUE(stream, version), UNIQUE(id)) STRICT")
	}
	if err != nil {
		b.Fatal(err)
	}
	return journal.New(&usual{c: c})
}

func (u *usual) Close() error {
	u.c.close()
	return nil
}

func (u *usual) Commit(_ context.Context, units []*journal.Unit) ([]journal.Outcome, error) {
	outcomes := make([]journal.Outcome, len(units))
	return outcomes, u.c.writing(func() error {
		st, err := u.c.statement("INSERT INTO events VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)")
		if err != nil {
			return err
		}
		for _, unit := range units {
			a := &unit.Appends[0]
			e := &a.Events[0]
			u.last++
			b := binder{st: st}
			b.int(u.last)
			b.text(string(a.Stream))
			b.int(int64(a.Expect) + 1)
			b.bytes(e.ID[:])
			b.text(e.Type)
			b.int(int64(e.Schema))
			b.int(e.Time.UnixMicro())
			b.bytes(e.Meta)
			b.bytes(e.Data)
			if b.err != nil {
				return b.err
			}
			if err := st.Exec(); err != nil {
				return err
			}
		}
		return nil
	})
}

// appendAll appends b.N events from so many appenders, each over its own share of the streams.
func appendAll(b *testing.B, log *journal.Log, appenders, streams int) {
	b.Helper()
	defer func() { _ = log.Close() }()
	per := max(1, streams/appenders)
	var wg sync.WaitGroup
	began := clock.Now()
	b.ResetTimer()
	for w := range appenders {
		n := b.N / appenders
		if w < b.N%appenders {
			n++
		}
		wg.Go(func() {
			versions := make([]journal.Version, per)
			for i := range n {
				at := int(uint32(i) * 2654435761 % uint32(per)) // scattered
				name := journal.Stream("order-" + strconv.Itoa(w*per+at))
				e := journal.EventData{ID: journal.NewID(), Type: "order.item_added", Data: benchData, Meta: benchMeta}
				if _, err := log.Append(context.Background(), name, journal.Exactly(versions[at]), e); err != nil {
					b.Error(err)
					return
				}
				versions[at]++
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/clock.Since(began).Seconds(), "events/s")
}

func BenchmarkAppend(b *testing.B) {
	for _, appenders := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("raw/appenders=%d", appenders), func(b *testing.B) {
			appendAll(b, newRawFile(b), appenders, 10_000)
		})
		b.Run(fmt.Sprintf("sqlite/appenders=%d", appenders), func(b *testing.B) {
			b.ReportAllocs()
			appendAll(b, start(b, filepath.Join(b.TempDir(), "j.db"), tuning{}), appenders, 10_000)
		})
	}
	b.Run("usual/appenders=256", func(b *testing.B) {
		appendAll(b, newUsual(b), 256, 10_000)
	})
	b.Run("sqlite/appenders=256/streams=1M", func(b *testing.B) {
		appendAll(b, start(b, filepath.Join(b.TempDir(), "j.db"), tuning{}), 256, 1_000_000)
	})
}

// filled returns a journal of n events in so many streams.
func filled(b *testing.B, n, streams int) *journal.Log {
	b.Helper()
	log := start(b, filepath.Join(b.TempDir(), "j.db"), tuning{synchronous: "OFF"})
	store := log.Store()
	units := make([]*journal.Unit, 500)
	for at := 0; at < n; at += len(units) {
		for i := range units {
			name := journal.Stream("order-" + strconv.Itoa((at+i)*7919%streams))
			units[i] = &journal.Unit{Appends: []journal.Append{{Stream: name, Expect: journal.Any, Events: []journal.EventData{
				{ID: journal.NewID(), Type: "order.item_added", Schema: 1, Time: clock.Now(), Data: benchData, Meta: benchMeta},
			}}}}
		}
		if _, err := store.Commit(b.Context(), units); err != nil {
			b.Fatal(err)
		}
	}
	return log
}

func BenchmarkRead(b *testing.B) {
	const n, streams = 200_000, 2000
	log := filled(b, n, streams)
	read := func(o journal.ReadOptions) func(b *testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			began, seen := clock.Now(), 0
			for range b.N {
				for _, err := range log.Read(b.Context(), o) {
					if err != nil {
						b.Fatal(err)
					}
					seen++
				}
			}
			b.ReportMetric(float64(n*b.N)/clock.Since(began).Seconds(), "events/s")
		}
	}
	b.Run("all", read(journal.ReadOptions{}))
	b.Run("no type", read(journal.ReadOptions{Filter: journal.Filter{{Types: []string{"order.paid"}}}}))
	b.Run("stream of 100", func(b *testing.B) {
		b.ReportAllocs()
		began := clock.Now()
		for i := range b.N {
			name := journal.Stream("order-" + strconv.Itoa(i*7919%streams))
			for _, err := range log.ReadStream(b.Context(), name, nil) {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(float64(clock.Since(began).Nanoseconds())/float64(b.N*n/streams), "ns/event")
	})
}

func BenchmarkReadLongStream(b *testing.B) {
	const n = 100_000
	log := filled(b, n, 1)
	began := clock.Now()
	b.ResetTimer()
	for range b.N {
		for _, err := range log.ReadStream(b.Context(), "order-0", nil) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(clock.Since(began).Nanoseconds())/float64(b.N*n), "ns/event")
}
