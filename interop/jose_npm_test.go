// SPDX-License-Identifier: Apache-2.0

// Passports against npm jose: it verifies ours by our key set, and what it signs wrongly we refuse.

package interop

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"example.com/vidimus/internal/chance"
	"example.com/vidimus/passport"
)

const (
	npmIssuer   = "https://id.example"
	npmAudience = "shop"
)

// newKey returns a fresh signing key with its signer.
func newKey(t *testing.T, alg string) (ed25519.PrivateKey, *passport.Signer) {
	t.Helper()
	seed := make([]byte, ed25519.SeedSize)
	chance.Fill(seed)
	private := ed25519.NewKeyFromSeed(seed)
	s, err := passport.NewSigner(private, alg)
	if err != nil {
		t.Fatal(err)
	}
	return private, s
}

// published serves the keys of signers as an issuer does, and returns the URL.
func published(t *testing.T, signers ...*passport.Signer) (string, *passport.KeySet) {
	t.Helper()
	var keys []passport.Key
	for _, s := range signers {
		keys = append(keys, s.Public())
	}
	set, err := passport.NewKeySet(keys...)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/jwk-set+json")
		if err := json.NewEncoder(w).Encode(set); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL + "/.well-known/jwks.json", set
}

func passportClaims(now time.Time) passport.Claims {
	return passport.Claims{
		Issuer: npmIssuer, Audience: npmAudience, IssuedAt: now, ExpiresAt: now.Add(time.Minute),
		Txn: "txn-1", Subject: "ada", Scope: "seats.hold seats.buy", Workload: "edge", Session: "S1",
		State: json.RawMessage(`{"subject":{"limit":300,"name":"Ädä \"<&>\" \u2028"}}`),
		ACR:   "2", AMR: []string{"pwd", "otp"}, AuthTime: now.Add(-time.Hour),
		Mark: passport.Mark{Log: "c3", Epoch: 7, Position: 184467}, Tenant: "acme", Version: 4, SubjectVersion: 9,
		AsOf: now, Schema: "boxoffice/3",
	}
}

func TestNpmJoseVerifiesPassports(t *testing.T) {
	t.Parallel()
	_, old := newKey(t, "EdDSA")
	_, current := newKey(t, "Ed25519")
	_, strange := newKey(t, "EdDSA")
	url, _ := published(t, old, current)
	now := time.Now()
	sign := func(s *passport.Signer, change func(*passport.Claims)) string {
		c := passportClaims(now)
		change(&c)
		token, err := s.Sign(&c)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	same := func(*passport.Claims) {}
	good := sign(old, same)
	parts := strings.Split(good, ".")
	eve := strings.Split(sign(old, func(c *passport.Claims) { c.Subject = "eve" }), ".")
	const claim = "ERR_JWT_CLAIM_VALIDATION_FAILED"
	want := map[string]struct{ token, err string }{
		"EdDSA":                {good, ""},
		"Ed25519":              {sign(current, same), ""},
		"key of nobody":        {sign(strange, same), "ERR_JWKS_NO_MATCHING_KEY"},
		"payload of another":   {parts[0] + "." + eve[1] + "." + parts[2], "ERR_JWS_SIGNATURE_VERIFICATION_FAILED"},
		"expired":              {sign(old, past), "ERR_JWT_EXPIRED"},
		"another issuer":       {sign(old, func(c *passport.Claims) { c.Issuer = "https://evil.test" }), claim},
		"another trust domain": {sign(old, func(c *passport.Claims) { c.Audience = "bank" }), claim},
	}
	tokens := map[string]string{}
	for name, w := range want {
		tokens[name] = w.token
	}
	ask := map[string]any{"url": url, "issuer": npmIssuer, "audience": npmAudience, "tokens": tokens}
	var got map[string]struct {
		Claims map[string]any `json:"claims"`
		Error  string         `json:"error"`
	}
	if err := json.Unmarshal(node(t, "verify.mjs", mustJSON(t, ask)), &got); err != nil {
		t.Fatal(err)
	}
	for name, w := range want {
		g := got[name]
		if g.Error != w.err || (g.Claims != nil) != (w.err == "") {
			t.Errorf("%s: npm jose says %q and %v, want %q", name, g.Error, g.Claims, w.err)
			continue
		}
		if w.err != "" {
			continue
		}
		state, _ := json.Marshal(g.Claims["tctx"])
		vid, _ := g.Claims["vid"].(map[string]any)
		if g.Claims["sub"] != "ada" || g.Claims["txn"] != "txn-1" || vid["pos"] != 184467.0 || vid["log"] != "c3" ||
			!strings.Contains(string(state), `"limit":300`) {
			t.Errorf("%s: npm jose reads %v", name, g.Claims)
		}
	}
}

func past(c *passport.Claims) {
	c.IssuedAt, c.ExpiresAt = c.IssuedAt.Add(-time.Hour), c.ExpiresAt.Add(-time.Hour)
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestWhatNpmJoseSignsWronglyIsRefused(t *testing.T) {
	t.Parallel()
	private, signer := newKey(t, "EdDSA")
	url, set := published(t, signer)
	c := passportClaims(time.Now())
	ours, err := signer.Sign(&c)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(ours, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	jwk := map[string]string{
		"kty": "OKP", "crv": "Ed25519", "kid": signer.Public().ID, "alg": "EdDSA",
		"d": b64(private.Seed()), "x": b64(signer.Public().Public),
	}
	var tokens map[string]string
	ask := mustJSON(t, map[string]any{"jwk": jwk, "claims": json.RawMessage(payload)})
	if err := json.Unmarshal(node(t, "forge.mjs", ask), &tokens); err != nil {
		t.Fatal(err)
	}
	for _, from := range []passport.Config{{Keys: set}, {KeysURL: url}} {
		from.Issuer, from.Audience = npmIssuer, npmAudience
		v, err := passport.New(from)
		if err != nil {
			t.Fatal(err)
		}
		for name, token := range tokens {
			got, err := v.Verify(t.Context(), token)
			switch {
			case name == "good":
				if err != nil || got.Subject != "ada" || got.Position != 184467 {
					t.Errorf("what npm jose signs as it should be is read as %+v, %v", got, err)
				}
			case !errors.Is(err, passport.ErrInvalid) && !errors.Is(err, passport.ErrExpired):
				t.Errorf("%s: got %v, want a refusal of %s", name, err, token)
			case (name == "expired") != errors.Is(err, passport.ErrExpired):
				t.Errorf("%s: got %v", name, err)
			}
		}
	}
	if len(tokens) < 40 || tokens["good"] == "" {
		t.Errorf("npm jose made %d tokens only", len(tokens))
	}
}
