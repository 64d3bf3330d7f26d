// SPDX-License-Identifier: Apache-2.0

// What a passport costs to mint, beside what it is made of.

package session_test

import (
	"context"
	"testing"

	"example.com/vidimus/journal/journaltest/stores"
	"example.com/vidimus/session"
)

// BenchmarkMint mints on SQLite, for one session and for many in turn, beside the signature alone and the read of the
// journal's end alone. One that is remembered is brought up to date by reading what came after it.
func BenchmarkMint(b *testing.B) {
	ctx, log := context.Background(), stores.SQLite(b)
	h := open(b, log, func(c *session.Config) { c.Concurrent = session.MaxConcurrent })
	var handles []string
	for range 100 {
		handles = append(handles, h.start(b).Handle)
	}
	claims := h.mint(b, handles[0]).Claims
	b.Run("sign", func(b *testing.B) {
		for b.Loop() {
			if _, err := h.keys.Sign(&claims); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("head", func(b *testing.B) {
		for b.Loop() {
			if _, err := log.Head(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("mint", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if _, err := h.Mint(ctx, ask(handles[i%len(handles)])); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.RunParallel(func(p *testing.PB) {
			for i := 0; p.Next(); i++ {
				if _, err := h.Mint(ctx, ask(handles[i%len(handles)])); err != nil {
					b.Error(err)
				}
			}
		})
	})
}
