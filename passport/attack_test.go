// SPDX-License-Identifier: Apache-2.0

// Passports that must not be believed, and what is said of each.

package passport_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"example.com/vidimus/passport"
)

const typ = "txntoken+jwt"

// attack is a passport that must be refused with an error that names the field.
type attack struct{ name, token, field string }

func TestForgedPassportsAreRefused(t *testing.T) {
	t.Parallel()
	now := time.Now()
	ours, theirs := signer(t, 1), signer(t, 2)
	good := sign(t, ours, claims(now))
	part := strings.Split(good, ".")
	other := claims(now)
	other.Subject = "mallory"
	swapped := strings.Split(sign(t, ours, other), ".")
	b64 := base64.RawURLEncoding.EncodeToString
	payload, err := base64.RawURLEncoding.DecodeString(part[1])
	if err != nil {
		t.Fatal(err)
	}
	kid := ours.Public().ID
	attacks := []attack{
		{"nothing", "", "token"},
		{"one part", part[0], "token"},
		{"two parts", part[0] + "." + part[1], "token"},
		{"four parts", good + "." + part[2], "signature"},
		{"many dots", strings.Repeat(".", 8000), "header"},
		{"dots in front", "." + good, "header"},
		{"a dot in the payload", part[0] + "." + part[1][:40] + "." + part[1][40:] + "." + part[2], "signature"},
		{"no payload", part[0] + ".." + part[2], "signature"},
		{"a point too few", part[0] + "." + part[2], "token"},
		{"cut off at the end", good[:len(good)-1], "token"},
		{"cut off at the start", good[1:], "header"},
		{"a character more", good + "A", "token"},
		{"huge", part[0] + "." + strings.Repeat("A", 9000) + "." + part[2], "token"},
		{"the signature of another", part[0] + "." + part[1] + "." + swapped[2], "signature"},
		{"the payload of another", part[0] + "." + swapped[1] + "." + part[2], "signature"},
		{"signed by another key", sign(t, theirs, claims(now)), "kid"},
		{"signed by another key under our kid", theirs.SignUnder(part[0]+".", payload), "signature"},
		{"a signature of zeros", part[0] + "." + part[1] + "." + strings.Repeat("A", 86), "signature"},
		{"a signature with its scalar raised by the group's order", malleable(t, good), "signature"},
		{"padded", good + "==", "token"},
		{"padded inside", part[0] + "." + part[1] + "=." + part[2], "signature"},
		{"standard base64", part[0] + "." + part[1] + ".+" + part[2][1:], "signature"},
		{"trailing bits of the signature", trailing(good, len(good)-1), "signature"},
		{"a space in front", " " + good, "header"},
		{"a space behind", good + " ", "token"},
		{"a line break inside", part[0] + "." + part[1][:8] + "\n" + part[1][8:] + "." + part[2], "token"},
		{"a line break in the signature", good[:len(good)-10] + "\r" + good[len(good)-9:], "token"},
		{"a line break in the header", part[0][:8] + "\n" + part[0][8:] + "." + part[1] + "." + part[2], "header"},
		{"a byte 0 inside", part[0] + "." + part[1][:8] + "\x00" + part[1][8:] + "." + part[2], "signature"},
		{"general JSON", `{"payload":"` + part[1] + `","signatures":[{"protected":"` + part[0] + `","signature":"` +
			part[2] + `"}]}`, "token"},
		{
			"flattened JSON", `{"payload":"` + part[1] + `","protected":"` + part[0] + `","signature":"` + part[2] + `"}`,
			"token",
		},
		{"alg none", b64([]byte(`{"alg":"none"}`)) + "." + part[1] + ".", "token"},
		{"none under our kid", b64([]byte(`{"alg":"none","kid":"`+kid+`","typ":"`+typ+`"}`)) + "." + part[1] + ".", "token"},
		{"HS256 with the public key", hs256(ours, kid, part[1]), "token"},
	}
	refuseAll(t, verifier(t, passport.Config{Keys: keySet(t, ours)}), good, attacks)
}

func TestHeadersHaveOneSpelling(t *testing.T) {
	t.Parallel()
	f := newForger(t)
	kid := f.s.Public().ID
	under := func(header string) string {
		return f.s.SignUnder(base64.RawURLEncoding.EncodeToString([]byte(header))+".", f.payload)
	}
	refuseAll(t, verifier(t, passport.Config{Keys: keySet(t, f.s)}), f.good, []attack{
		{"another type", under(`{"alg":"EdDSA","kid":"` + kid + `","typ":"JWT"}`), "header"},
		{"an older type", under(`{"alg":"EdDSA","kid":"` + kid + `","typ":"txn_token"}`), "header"},
		{"no type", under(`{"alg":"EdDSA","kid":"` + kid + `"}`), "header"},
		{"no kid", under(`{"alg":"EdDSA","typ":"txntoken+jwt"}`), "header"},
		{"another order", under(`{"typ":"txntoken+jwt","alg":"EdDSA","kid":"` + kid + `"}`), "header"},
		{"spaces in the header", under(`{"alg": "EdDSA","kid":"` + kid + `","typ":"txntoken+jwt"}`), "header"},
		{"jwk", under(`{"alg":"EdDSA","jwk":{"kty":"OKP"},"kid":"` + kid + `","typ":"txntoken+jwt"}`), "header"},
		{"jku", under(`{"alg":"EdDSA","jku":"https://evil.example","kid":"` + kid + `","typ":"txntoken+jwt"}`), "header"},
		{"x5u", under(`{"alg":"EdDSA","kid":"` + kid + `","typ":"txntoken+jwt","x5u":"https://evil.example"}`), "header"},
		{"crit", under(`{"alg":"EdDSA","crit":["exp"],"kid":"` + kid + `","typ":"txntoken+jwt"}`), "header"},
		{"b64", under(`{"alg":"EdDSA","b64":false,"crit":["b64"],"kid":"` + kid + `","typ":"` + typ + `"}`), "header"},
		{"zip", under(`{"alg":"EdDSA","kid":"` + kid + `","typ":"txntoken+jwt","zip":"DEF"}`), "header"},
		{"a member twice", under(`{"alg":"x","alg":"EdDSA","kid":"` + kid + `","typ":"` + typ + `"}`), "header"},
		{"an escape in the header", under(`{"alg":"EdDSA","kid":"` + kid + `","typ":"txntoken\u002bjwt"}`), "header"},
		{"an unknown kid", under(`{"alg":"EdDSA","kid":"12345678","typ":"txntoken+jwt"}`), "kid"},
		{"an endless kid", under(`{"alg":"EdDSA","kid":"` + strings.Repeat("a", 300) + `","typ":"` + typ + `"}`), "header"},
	})
}

// refuseAll checks that a verifier takes the good passport and refuses all others, when they come first and when they
// come after the good one is remembered.
func refuseAll(t *testing.T, v *passport.Verifier, good string, attacks []attack) {
	t.Helper()
	for range 2 {
		for _, a := range attacks {
			_, err := v.Check(t.Context(), a.token, nil)
			var bad *passport.InvalidError
			if !errors.As(err, &bad) || !errors.Is(err, passport.ErrInvalid) {
				t.Errorf("%s: got %v, want a refusal", a.name, err)
				continue
			}
			if bad.Field != a.field {
				t.Errorf("%s: refused for %v, want that of %s", a.name, err, a.field)
			}
			if len(a.token) > 100 && strings.Contains(err.Error(), a.token[:40]) {
				t.Errorf("%s: the error holds the token: %v", a.name, err)
			}
		}
		if _, err := v.Check(t.Context(), good, nil); err != nil {
			t.Fatalf("the good passport is refused: %v", err)
		}
	}
}

// malleable adds the order of the group to a signature's scalar: the same signature for a careless reader.
func malleable(t *testing.T, token string) string {
	t.Helper()
	message, signature := split(t, token)
	order := []byte{
		0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
	}
	carry := 0
	for i := range order {
		sum := int(signature[32+i]) + int(order[i]) + carry
		signature[32+i], carry = byte(sum), sum>>8
	}
	return string(message) + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// trailing sets bits of a character that a decoder throws away.
func trailing(token string, at int) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	next := alphabet[strings.IndexByte(alphabet, token[at])|1]
	return token[:at] + string(next) + token[at+1:]
}

// hs256 signs a payload with the public key as if it were a shared secret.
func hs256(s *passport.Signer, kid, payload string) string {
	head := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","kid":"` + kid + `","typ":"txntoken+jwt"}`))
	mac := hmac.New(sha256.New, s.Public().Public)
	mac.Write([]byte(head + "." + payload))
	return head + "." + payload + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// forger signs changed payloads with the right key.
type forger struct {
	t        *testing.T
	s        *passport.Signer
	good     string
	payload  []byte
	now      time.Time
	iat, exp string // as they stand in the payload
}

func newForger(t *testing.T) *forger {
	t.Helper()
	now := time.Now()
	f := &forger{t: t, s: signer(t, 1), now: now, iat: unix("iat", now), exp: unix("exp", now.Add(time.Minute))}
	f.good = sign(t, f.s, claims(now))
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(f.good, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	f.payload = payload
	return f
}

// unix is a claim that is a time.
func unix(name string, at time.Time) string { return fmt.Sprintf("%q:%d", name, at.Unix()) }

// swap signs a payload in which one part is another.
func (f *forger) swap(name, old, next, field string) attack {
	f.t.Helper()
	if bytes.Count(f.payload, []byte(old)) != 1 {
		f.t.Fatalf("%s: %q is not once in %s", name, old, f.payload)
	}
	return attack{name, f.s.SignPayload(bytes.Replace(f.payload, []byte(old), []byte(next), 1)), field}
}

func TestSignedClaimsOfAnotherMeaningAreRefused(t *testing.T) {
	t.Parallel()
	f := newForger(t)
	now, iat, exp, swap := f.now, f.iat, f.exp, f.swap
	refuseAll(t, verifier(t, passport.Config{Keys: keySet(t, f.s)}), f.good, []attack{
		swap("another audience", `"aud":"shop"`, `"aud":"bank"`, "aud"),
		swap("several audiences", `"aud":"shop"`, `"aud":["shop","bank"]`, "aud"),
		swap("another issuer", `"iss":"https://id.example"`, `"iss":"https://id.example.evil"`, "iss"),
		swap("from the future", iat, unix("iat", now.Add(10*time.Second)), "iat"),
		swap("not before later", iat, iat+","+unix("nbf", now.Add(10*time.Second)), "iat"),
		swap("a long life", exp, unix("exp", now.Add(301*time.Second)), "exp"),
		swap("an endless life", exp, `"exp":9007199254740991`, "exp"),
		swap("an end before its beginning", exp, unix("exp", now.Add(-time.Second)), "exp"),
		swap("no exp", exp+",", "", "exp"),
		swap("no vid", `,"vid":{`, `,"other":{`, "vid"),
		swap("no scope", `"scope":"seats.hold seats.buy",`, "", "scope"),
		swap("an empty scope", `"scope":"seats.hold seats.buy"`, `"scope":""`, "scope"),
		swap("two spaces in the scope", "seats.hold seats.buy", "seats.hold  seats.buy", "scope"),
		swap("a tab in the scope", "seats.hold seats.buy", `seats.hold\tseats.buy`, "scope"),
		swap("an empty subject", `"sub":"alice"`, `"sub":""`, "txn, sub or req_wl"),
	})
}

func TestSignedNonsenseIsRefused(t *testing.T) {
	t.Parallel()
	f := newForger(t)
	now, exp, swap := f.now, f.exp, f.swap
	refuseAll(t, verifier(t, passport.Config{Keys: keySet(t, f.s)}), f.good, []attack{
		swap("exp twice", exp, exp+","+unix("exp", now.Add(2*time.Minute)), "payload"),
		swap("sub twice", `"sub":"alice"`, `"sub":"alice","sub":"mallory"`, "payload"),
		swap("sub twice, once escaped", `"sub":"alice"`, `"sub":"alice","s\u0075b":"mallory"`, "payload"),
		swap("an unknown claim twice", `"sub":"alice"`, `"x":1,"sub":"alice","x":2`, "payload"),
		swap("pos twice", `"pos":184467`, `"pos":184467,"pos":999999`, "vid"),
		swap("a member of tctx twice", `"limit":300`, `"limit":300,"limit":900`, "tctx"),
		swap("a member of rctx twice", `"authn":"passkey"`, `"authn":"passkey","authn":"pwd"`, "rctx"),
		swap("exp as text", exp, `"exp":"`+exp[6:]+`"`, "exp"),
		swap("exp with a fraction", exp, exp+".5", "exp"),
		swap("exp with an exponent", exp, `"exp":1e10`, "exp"),
		swap("a negative exp", exp, `"exp":-1`, "exp"),
		swap("exp that is null", exp, `"exp":null`, "exp"),
		swap("exp with a leading zero", exp, `"exp":0`+exp[6:], "exp"),
		swap("exp beyond what numbers keep", exp, `"exp":9007199254740992`, "exp"),
		swap("exp beyond 64 bits", exp, `"exp":99999999999999999999999999`, "exp"),
		swap("exp that is no number", exp, `"exp":NaN`, "exp"),
		swap("sub as a number", `"sub":"alice"`, `"sub":7`, "sub"),
		swap("sub as an object", `"sub":"alice"`, `"sub":{"a":1}`, "sub"),
		swap("tctx as text", `"tctx":{`, `"tctx":"x","y":{`, "tctx"),
		swap("amr as text", `"amr":["pwd","otp"]`, `"amr":"pwd"`, "amr"),
		swap("amr with a number", `"amr":["pwd","otp"]`, `"amr":["pwd",7]`, "amr"),
		swap("amr without end", `"amr":["pwd","otp"]`, `"amr":[`+strings.Repeat(`"a",`, 9)+`"a"]`, "amr"),
		swap("vid as text", `"vid":{`, `"vid":"x","y":{`, "vid"),
		swap("a negative position", `"pos":184467`, `"pos":-1`, "vid"),
		swap("no position", `"pos":184467,`, "", "vid"),
		swap("epoch 0", `"ep":7`, `"ep":0`, "vid"),
		swap("a log without name", `"log":"c3"`, `"log":""`, "vid"),
		swap("a log whose name is no name", `"log":"c3"`, `"log":"c3:1"`, "vid"),
		swap("half a pair of surrogates", `"sub":"alice"`, `"sub":"\ud83d"`, "sub"),
		swap("invalid UTF-8", `"sub":"alice"`, "\"sub\":\"al\xffice\"", "payload"),
		swap("a control character", `"sub":"alice"`, "\"sub\":\"al\x01ice\"", "sub"),
		swap("an unknown escape", `"sub":"alice"`, `"sub":"al\xice"`, "sub"),
		swap("nested too deeply", `"theme":"dark"`, `"theme":`+strings.Repeat("[", 20)+strings.Repeat("]", 20), "tctx"),
		swap("too many members", `"theme":"dark"`, members(200), "tctx"),
		{"no object", f.s.SignPayload([]byte(`["a"]`)), "payload"},
		{"an empty payload", f.s.SignPayload(nil), "payload"},
		{"an empty object", f.s.SignPayload([]byte(`{}`)), "iss"},
		{"a second object", f.s.SignPayload(append(bytes.Clone(f.payload), f.payload...)), "payload"},
		{"an end that is missing", f.s.SignPayload(f.payload[:len(f.payload)-1]), "payload"},
		{"a byte order mark", f.s.SignPayload(append([]byte("\ufeff"), f.payload...)), "payload"},
	})
}

// members are n members of an object.
func members(n int) string {
	var names []string
	for i := range n {
		names = append(names, `"`+string(rune('a'+i/26))+string(rune('a'+i%26))+`":1`)
	}
	return strings.Join(names, ",")
}

// What a passport may have although ours do not: white space, other claims, escapes in values.
func TestOtherIssuersMaySpellPayloadsTheirWay(t *testing.T) {
	t.Parallel()
	s := signer(t, 1)
	now := time.Now()
	message, _ := split(t, sign(t, s, claims(now)))
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(string(message), ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var loose bytes.Buffer
	if err := json.Indent(&loose, payload, "\r", "\t"); err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(loose.String(), `"alice"`, `"\u0061lice \ud83d\ude00 \"\n"`, 1)
	text = strings.Replace(text, `"sid"`, `"other": [1.5e-3, -0, {"a": [null, true, false]}], "sid"`, 1)
	got, err := verifier(t, passport.Config{Keys: keySet(t, s)}).Verify(t.Context(), s.SignPayload([]byte(text)))
	if err != nil {
		t.Fatal(err)
	}
	if want := "alice 😀 \"\n"; got.Subject != want {
		t.Errorf("the subject is %q, want %q", got.Subject, want)
	}
	if got.Session != "S1" || len(got.AMR) != 2 || got.AMR[1] != "otp" || got.Position != 184467 {
		t.Errorf("got %+v", got)
	}
}

// The examples of RFC 8037, appendix A, and what other appendices sign in other ways.
func TestExamplesOfRFCs(t *testing.T) {
	t.Parallel()
	public, err := base64.RawURLEncoding.DecodeString("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
	if err != nil {
		t.Fatal(err)
	}
	if got := passport.KeyID(public); got != "kPrK_qmx" { // A.3: kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k
		t.Errorf("the thumbprint of A.3 begins with %s", got)
	}
	const a4 = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbh" +
		"ijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
	payload, err := passport.Open(a4, "eyJhbGciOiJFZERTQSJ9.", public)
	if err != nil || string(payload) != "Example of Ed25519 signing" {
		t.Errorf("A.4 and A.5 give %q, %v", payload, err)
	}
	v := verifier(t, passport.Config{Keys: keySet(t, signer(t, 1))})
	const claims = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
	for name, token := range map[string]string{
		"RFC 8037 A.4, which is no passport": a4,
		"RFC 7515 A.1, HS256": "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." + claims +
			".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
		"RFC 7515 A.3, ES256": "eyJhbGciOiJFUzI1NiJ9." + claims +
			".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
		"RFC 7515 A.5, none": "eyJhbGciOiJub25lIn0." + claims + ".",
	} {
		if _, err := v.Verify(t.Context(), token); !errors.Is(err, passport.ErrInvalid) {
			t.Errorf("%s: got %v, want a refusal", name, err)
		}
	}
}

// Both names of the algorithm are good for one key, and both spellings are passports of their own.
func TestBothNamesOfTheAlgorithmAreGood(t *testing.T) {
	t.Parallel()
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	v := verifier(t, passport.Config{Keys: keySet(t, signer(t, 1))})
	for _, alg := range []string{"", passport.EdDSA, passport.Ed25519} {
		s, err := passport.NewSigner(private, alg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Check(t.Context(), sign(t, s, claims(time.Now())), nil); err != nil {
			t.Errorf("%q: %v", alg, err)
		}
	}
	for _, alg := range []string{"none", "HS256", "ES256", "eddsa"} {
		if _, err := passport.NewSigner(private, alg); !errors.Is(err, passport.ErrInvalid) {
			t.Errorf("%q: got %v, want a refusal", alg, err)
		}
	}
	if _, err := passport.NewSigner(private[:10], ""); !errors.Is(err, passport.ErrInvalid) {
		t.Errorf("a short key: got %v, want a refusal", err)
	}
}
