// SPDX-License-Identifier: Apache-2.0

// A decision on a passport as a service makes it, with a view of changes, beside a bare signature check.

package bench

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/vidimus/heartbeat"
	"example.com/vidimus/passport"
)

const (
	livePassports = 100_000
	knownFloors   = 45_000
)

// BenchmarkDecision decides on 100,000 live passports that were verified before, in random order, with a view of 45,000
// changes that is asked for its staleness each time, and reports the time as a part of ed25519.Verify in the same rounds.
// "arrived" has the text of the token in the processor's cache, as it is for whoever just read it from a connection;
// "cold" has to fetch it from memory as well.
func BenchmarkDecision(b *testing.B) {
	view := filledView(b)
	signer, err := passport.NewSigner(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), passport.EdDSA)
	must(b, err)
	keys, err := passport.NewKeySet(signer.Public())
	must(b, err)
	verifier, err := passport.New(passport.Config{
		Issuer: "https://id.example", Audience: "shop", Keys: keys, View: view, Remember: livePassports,
	})
	must(b, err)
	rule := &passport.Rule{MaxStale: time.Hour} // the view is dated once; its age is still read in each decision
	tokens := make([]string, livePassports)
	for i := range tokens {
		now := time.Now()
		tokens[i], err = signer.Sign(&passport.Claims{
			Issuer: "https://id.example", Audience: "shop", IssuedAt: now, ExpiresAt: now.Add(passport.MaxLife),
			Txn: fmt.Sprint("txn-", i), Subject: fmt.Sprint("person-", i), Scope: "read write", Workload: "edge",
			Session: fmt.Sprintf("%022d", i), Mark: passport.Mark{Log: "bench", Epoch: 1, Position: 1 << 30},
			Version: 3, SubjectVersion: 4, AsOf: now, Schema: "shop/1",
			State: []byte(`{"subject":{"permit":"NJ","limit":30000},"session":{"theme":"dark"}}`),
		})
		must(b, err)
		_, err = verifier.Check(b.Context(), tokens[i], rule)
		must(b, err)
	}
	rand.Shuffle(len(tokens), func(i, j int) { tokens[i], tokens[j] = tokens[j], tokens[i] })
	raw, ctx := rawCheck(b, signer, tokens[0]), b.Context()
	check := func(batch []string) {
		for _, token := range batch {
			if _, err := verifier.Check(ctx, token, rule); err != nil {
				b.Fatal(err)
			}
		}
	}
	var bare, arrived, cold []float64
	for round := range rounds {
		bare = append(bare, perCall(2000, func() { raw(2000) }))
		cold = append(cold, perCall(livePassports, func() { check(tokens) }))
		var spent time.Duration
		for batch := range slices.Chunk(tokens, 64) {
			fresh := strings.Split(strings.Clone(strings.Join(batch, " ")), " ")
			began := time.Now()
			check(fresh)
			spent += time.Since(began)
		}
		arrived = append(arrived, float64(spent.Nanoseconds())/livePassports)
		b.Logf("round %d: signature %.0f ns, arrived %.0f ns, cold %.0f ns", round, bare[round], arrived[round], cold[round])
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(middle(arrived)/middle(bare), "arrived_of_raw")
	b.ReportMetric(middle(cold)/middle(bare), "cold_of_raw")
	b.ReportMetric(middle(bare), "raw_ns")
}

// filledView knows as many changes as happen in a busy hour.
func filledView(b *testing.B) *heartbeat.View {
	view := heartbeat.NewView(nil)
	for at := int64(0); at < knownFloors; at += heartbeat.MaxChanges {
		f := heartbeat.Frame{Log: "bench", Epoch: 1, After: at, Through: at + heartbeat.MaxChanges, Snapshot: at == 0}
		for i := range int64(heartbeat.MaxChanges) {
			f.Changes = append(f.Changes, heartbeat.Change{
				Position: at + i + 1, Scope: heartbeat.Session, Key: fmt.Sprintf("%022d", at+i), Effect: heartbeat.Superseded,
			})
		}
		must(b, view.Apply(f))
	}
	must(b, view.PingAnswered(view.PingSent(), view.Through()))
	return view
}

// rawCheck returns the bare check of a passport's signature, n times.
func rawCheck(b *testing.B, signer *passport.Signer, token string) func(n int) {
	point := strings.LastIndexByte(token, '.')
	signature, err := base64.RawURLEncoding.DecodeString(token[point+1:])
	must(b, err)
	message, public := bytes.Clone([]byte(token[:point])), signer.Public().Public
	return func(n int) {
		for range n {
			if !ed25519.Verify(public, message, signature) {
				b.Fatal("the signature is refused")
			}
		}
	}
}

// perCall returns the nanoseconds of one of n calls that work makes.
func perCall(n int, work func()) float64 {
	began := time.Now()
	work()
	return float64(time.Since(began).Nanoseconds()) / float64(n)
}

// middle returns the median.
func middle(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}
