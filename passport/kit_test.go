// SPDX-License-Identifier: Apache-2.0

// What the tests of passports share: an issuer, its passports, a view that is told what to say.

package passport_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"sync/atomic"
	"testing"
	"time"

	"example.com/vidimus/passport"
)

const (
	issuer   = "https://id.example"
	audience = "shop"
)

// signer returns a signer whose key is drawn from one byte.
func signer(t testing.TB, seed byte) *passport.Signer {
	t.Helper()
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	s, err := passport.NewSigner(private, "")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// keySet returns the public keys of signers.
func keySet(t testing.TB, signers ...*passport.Signer) *passport.KeySet {
	t.Helper()
	var keys []passport.Key
	for _, s := range signers {
		keys = append(keys, s.Public())
	}
	set, err := passport.NewKeySet(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// claims returns claims as a box office might have them, from now for a minute.
func claims(now time.Time) passport.Claims {
	return passport.Claims{
		Issuer: issuer, Audience: audience, IssuedAt: now, ExpiresAt: now.Add(time.Minute),
		Txn: "txn-1", Subject: "alice", Scope: "seats.hold seats.buy", Workload: "edge", Session: "S1",
		State: json.RawMessage(`{"subject":{"limit":300,"permit":"NJ","tier":"gold"},` +
			`"session":{"theme":"dark","language":"en-GB","basket":["seat-1-12","seat-1-13"]}}`),
		Request: json.RawMessage(`{"req_ip":"192.0.2.7","authn":"passkey"}`),
		ACR:     "2", AMR: []string{"pwd", "otp"}, AuthTime: now.Add(-time.Hour),
		Mark: passport.Mark{Log: "c3", Epoch: 7, Position: 184467}, Tenant: "acme", Version: 412, SubjectVersion: 9,
		AsOf: now, Schema: "boxoffice/3",
	}
}

// sign signs claims, or ends the test.
func sign(t testing.TB, s *passport.Signer, c passport.Claims) string {
	t.Helper()
	token, err := s.Sign(&c)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// verifier returns a verifier, or ends the test. It fills in issuer and audience.
func verifier(t testing.TB, cfg passport.Config) *passport.Verifier {
	t.Helper()
	if cfg.Issuer == "" {
		cfg.Issuer = issuer
	}
	if cfg.Audience == "" {
		cfg.Audience = audience
	}
	v, err := passport.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// view is what a test says that is known of changes. Goroutines may share it.
type view struct {
	staleness  atomic.Int64
	through    atomic.Pointer[passport.Mark]
	generation atomic.Uint64
	verdict    atomic.Pointer[func(*passport.Claims) error]
}

func newView() *view {
	v := &view{}
	v.through.Store(&passport.Mark{Log: "c3", Epoch: 7, Position: 184500})
	v.judge(func(*passport.Claims) error { return nil })
	return v
}

// judge has the view judge by a function from now on.
func (v *view) judge(by func(*passport.Claims) error) {
	v.verdict.Store(&by)
	v.generation.Add(1)
}

func (v *view) Staleness() time.Duration       { return time.Duration(v.staleness.Load()) }
func (v *view) Through() passport.Mark         { return *v.through.Load() }
func (v *view) Generation() uint64             { return v.generation.Load() }
func (v *view) Judge(c *passport.Claims) error { return (*v.verdict.Load())(c) }
