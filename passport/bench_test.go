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
	"unsafe"

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
		message, signature := split(b, token)
		var bare, whole time.Duration // in turn, so that both see the same machine
		b.ReportAllocs()
		for b.Loop() {
			began := clock.Now()
			if !ed25519.Verify(s.Public().Public, message, signature) {
				b.Fatal("the signature is refused")
			}
			bare += clock.Since(began)
			began = clock.Now()
			if _, err := v.Verify(b.Context(), token); err != nil {
				b.Fatal(err)
			}
			whole += clock.Since(began)
		}
		b.ReportMetric(float64(whole.Nanoseconds())/float64(b.N), "ns/op")
		b.ReportMetric(float64(whole)/float64(bare), "x-of-raw")
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
		rand.New(rand.NewPCG(1, 2)).Shuffle(live, func(i, j int) { tokens[i], tokens[j] = tokens[j], tokens[i] })
		spent := checkArriving(b, v, rule, tokens)
		perOp := float64(spent.Nanoseconds()) / float64(b.N)
		b.ReportMetric(perOp, "ns/op")
		b.ReportMetric(perOp/raw, "x-of-raw")
	})
}

// checkArriving checks the tokens in turn, b.N times, and returns the time it took. A passport that is presented was
// just read from the network, so its text is in the processor's cache, while what the verifier remembers is not. So
// each 64 tokens are copied, as if they had just arrived, before the clock runs.
func checkArriving(b *testing.B, v *passport.Verifier, rule *passport.Rule, tokens []string) time.Duration {
	const batch = 64
	var spent time.Duration
	var arrived [batch]string
	text := make([]byte, 0, batch*passport.MaxToken)
	ctx := b.Context()
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; {
		n := min(batch, b.N-done)
		text = text[:0]
		for i := range n {
			from := len(text)
			text = append(text, tokens[(done+i)%len(tokens)]...)
			arrived[i] = unsafe.String(&text[from], len(text)-from) // a copy that is no allocation
		}
		began := clock.Now()
		for _, token := range arrived[:n] {
			if _, err := v.Check(ctx, token, rule); err != nil {
				b.Fatal(err)
			}
		}
		spent += clock.Since(began)
		done += n
	}
	return spent
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
