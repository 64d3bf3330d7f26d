// SPDX-License-Identifier: Apache-2.0

// What the way over the network costs.

package server_test

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/server"
	"example.com/vidimus/server/remote"
)

func BenchmarkAppend(b *testing.B) {
	s, err := server.New(server.Config{
		Cells: map[string]*journal.Log{"main": mem.Open()}, Open: true, Logger: logTo(io.Discard),
	})
	if err != nil {
		b.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, listener) }()
	l, err := remote.New(remote.Config{URL: "http://" + listener.Addr().String()})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("one unit a call", func(b *testing.B) {
		var streams atomic.Int64
		b.SetParallelism(32)
		b.RunParallel(func(p *testing.PB) {
			name := journal.Stream("order-" + itoa(int(streams.Add(1))))
			for p.Next() {
				if _, err := l.Append(b.Context(), name, journal.Any, event("order.placed", `{"total":12}`)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
	b.Run("500 units a call", func(b *testing.B) {
		units := make([]journal.Unit, 0, 500)
		for b.Loop() {
			a := journal.Append{Stream: "cart-1", Expect: journal.Any, Events: []journal.EventData{event("x", `{"total":12}`)}}
			if units = append(units, journal.Unit{Appends: []journal.Append{a}}); len(units) < cap(units) {
				continue
			}
			if _, err := l.CommitMany(b.Context(), units); err != nil {
				b.Fatal(err)
			}
			units = units[:0]
		}
	})
	b.Run("read", func(b *testing.B) {
		n := 0
		for n < b.N {
			for _, err := range l.Read(b.Context(), journal.ReadOptions{Limit: b.N - n}) {
				if err != nil {
					b.Fatal(err)
				}
				n++
			}
		}
	})
	stop()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}
