// SPDX-License-Identifier: Apache-2.0

// What a decision costs, beside the one signature check that nobody can do without.

package passport_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/passport"
)

// BenchmarkPassport compares a bare ed25519.Verify of a passport's signature with verifying the passport, and with the
// decision on one of 100,000 that were verified before, in random order. It is to show at most 1.1 and 0.02.
//
//	go test -run '^$' -bench Passport -benchmem ./passport
func BenchmarkPassport(b *testing.B) {
	s := signer(b, 1)
	now := time.Now()
	token := sign(b, s, claims(now))
	raw := 0.0
	b.Run("raw", func(b *testing.B) {
		message, signature := split(b, token)
		public := s.Public().Public
		b.ReportAllocs()
		for b.Loop() {
			if !ed25519.Verify(public, message, signature) {
				b.Fatal("the signature is refused")
			}
		}
		raw = perOp(b)
	})
	b.Run("verify", func(b *testing.B) {
		v := verifier(b, passport.Config{Keys: keySet(b, s)})
		b.ReportAllocs()
		for b.Loop() {
			if _, err := v.Verify(b.Context(), token); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(perOp(b)/raw, "x-of-raw")
	})
	b.Run("cached", func(b *testing.B) {
		const live = 100_000
		view := newView()
		v := verifier(b, passport.Config{Keys: keySet(b, s), View: view})
		rule := &passport.Rule{Scopes: []string{"seats.buy"}, MaxStale: time.Second}
		tokens := make([]string, live)
		for i := range tokens {
			c := claims(clock.Now())
			c.ExpiresAt = c.IssuedAt.Add(passport.MaxLife)
			c.Txn, c.Session = fmt.Sprint("txn-", i), fmt.Sprint("S", i)
			tokens[i] = sign(b, s, c)
			if _, err := v.Check(b.Context(), tokens[i], rule); err != nil {
				b.Fatal(err)
			}
		}
		ctx := b.Context()
		order := rand.New(rand.NewPCG(1, 2)).Perm(live)
		b.ReportAllocs()
		b.ResetTimer()
		for i := 0; b.Loop(); i++ {
			if _, err := v.Check(ctx, tokens[order[i%live]], rule); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(perOp(b)/raw, "x-of-raw")
	})
}

func perOp(b *testing.B) float64 { return float64(b.Elapsed().Nanoseconds()) / float64(b.N) }

// split returns what a passport's signature is of, and the signature.
func split(t testing.TB, token string) (message, signature []byte) {
	t.Helper()
	point := strings.LastIndexByte(token, '.')
	signature, err := base64.RawURLEncoding.DecodeString(token[point+1:])
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone([]byte(token[:point])), signature
}
