// SPDX-License-Identifier: Apache-2.0

// Our verifier beside go-jose and jwx: whatever it takes, they take with the same payload; and each class of tokens that
// they take and it refuses is named.

package interop

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jws"

	"example.com/vidimus/passport"
)

// joseBench is one key with a verifier of ours, at a moment that does not change from run to run.
type joseBench struct {
	private  ed25519.PrivateKey
	public   ed25519.PublicKey
	kid      string
	signer   *passport.Signer
	verifier *passport.Verifier
}

func openJoseBench(t testing.TB) *joseBench {
	t.Helper()
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	b := &joseBench{private: private, public: private.Public().(ed25519.PublicKey)}
	var err error
	if b.signer, err = passport.NewSigner(private, ""); err != nil {
		t.Fatal(err)
	}
	b.kid = b.signer.Public().ID
	keys, err := passport.NewKeySet(b.signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	b.verifier, err = passport.New(passport.Config{Issuer: npmIssuer, Audience: npmAudience, Keys: keys, Now: joseNow})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func joseNow() time.Time { return time.Unix(1_800_000_000, 0).UTC() }

// good returns a passport.
func (b *joseBench) good(t testing.TB) string {
	t.Helper()
	c := passportClaims(joseNow())
	token, err := b.signer.Sign(&c)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// sign signs two parts as they are, be they as odd as they like.
func (b *joseBench) sign(first, second string) string {
	text := first + "." + second
	return text + "." + encode(string(ed25519.Sign(b.private, []byte(text))))
}

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// goJose verifies with go-jose, with its call for the compact form and its list of algorithms.
func (b *joseBench) goJose(token string) ([]byte, error) {
	parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		return nil, err
	}
	return parsed.Verify(b.public)
}

// jwx verifies with jwx, in the compact form alone. It keeps the two names of the algorithm apart.
func (b *joseBench) jwx(token string) ([]byte, error) {
	payload, err := jws.Verify([]byte(token), jws.WithKey(jwa.EdDSA(), b.public), jws.WithCompact())
	if err == nil {
		return payload, nil
	}
	return jws.Verify([]byte(token), jws.WithKey(jwa.EdDSAEd25519(), b.public), jws.WithCompact())
}

// checkStricter checks that what we take, both take, with a payload that says the same. go-jose does not know the
// algorithm by the name of RFC 9864, so it is not asked about passports under that name.
func (b *joseBench) checkStricter(t *testing.T, token string) bool {
	t.Helper()
	claims, err := b.verifier.Verify(t.Context(), token)
	if err != nil {
		return false
	}
	first, second, _ := strings.Cut(token, ".")
	second, _, _ = strings.Cut(second, ".")
	want, err := base64.RawURLEncoding.DecodeString(second)
	if err != nil {
		t.Fatalf("%q is taken: %v", token, err)
	}
	checks := map[string]func(string) ([]byte, error){"jwx": b.jwx}
	if head, err := base64.RawURLEncoding.DecodeString(first); err != nil || bytes.Contains(head, []byte(`"EdDSA"`)) {
		checks["go-jose"] = b.goJose
	}
	for name, verify := range checks {
		payload, err := verify(token)
		if err != nil || !bytes.Equal(payload, want) {
			t.Errorf("we take %q, %s gives %q, %v", token, name, payload, err)
		}
	}
	var says struct {
		Sub, Txn, Scope string
		Vid             struct{ Pos int64 }
	}
	if err := json.Unmarshal(want, &says); err != nil {
		t.Errorf("we take a payload that is no JSON: %q: %v", want, err)
	}
	if says.Sub != claims.Subject || says.Txn != claims.Txn || says.Vid.Pos != claims.Position {
		t.Errorf("%s reads %+v", want, claims)
	}
	return true
}

func TestWhatWeTakeGoJoseAndJwxTake(t *testing.T) {
	t.Parallel()
	b := openJoseBench(t)
	if !b.checkStricter(t, b.good(t)) {
		t.Error("a good passport is refused")
	}
	payload := strings.Split(b.good(t), ".")[1]
	if !b.checkStricter(t, b.sign(encode(`{"alg":"Ed25519","kid":"`+b.kid+`","typ":"txntoken+jwt"}`), payload)) {
		t.Error("a good passport under the name of RFC 9864 is refused")
	}
	// The one class that we take and go-jose does not.
	if _, err := b.goJose(b.sign(encode(`{"alg":"Ed25519"}`), payload)); err == nil {
		t.Error("go-jose has learned the name of RFC 9864: ask it about such passports, too")
	}
}

// What go-jose 4.1.8 and jwx 3.3.0 take and we refuse, and why. An entry that no longer holds is a change of theirs to
// look at.
func TestWhereWeAreStricter(t *testing.T) {
	t.Parallel()
	b := openJoseBench(t)
	good := b.good(t)
	part := strings.Split(good, ".")
	raw, err := base64.RawURLEncoding.DecodeString(part[1])
	if err != nil {
		t.Fatal(err)
	}
	head := func(text string) string { return b.sign(encode(text), part[1]) }
	says := func(old, next string) string {
		return b.sign(part[0], encode(strings.Replace(string(raw), old, next, 1)))
	}
	members := `"alg":"EdDSA","kid":"` + b.kid + `","typ":"txntoken+jwt"`
	for _, c := range []struct {
		class, token string
		goJose, jwx  bool
		why          string
	}{
		{
			"white space around",
			" " + good + "\n", false, false,
			"one spelling, so that what is revoked or remembered by text is so in all",
		},
		{
			"a line break in a part",
			b.sign(part[0], part[1][:8]+"\n"+part[1][8:]), false, false,
			"one spelling",
		},
		{
			"padding",
			b.sign(part[0]+"=", part[1]), false, false,
			"one spelling (RFC 7515, section 2, allows none)",
		},
		{
			"trailing bits in the signature",
			lastBits(good), true, true,
			"one spelling (RFC 4648, section 3.5)",
		},
		{
			"members in another order",
			head(`{"typ":"txntoken+jwt","alg":"EdDSA","kid":"` + b.kid + `"}`), true, true,
			"one spelling",
		},
		{
			"white space in the header",
			head(`{ ` + members + ` }`), true, true,
			"one spelling",
		},
		{
			"a member twice in the header",
			head(`{"alg":"EdDSA",` + members + `}`), false, true,
			"readers differ in which one counts",
		},
		{
			"no kid",
			head(`{"alg":"EdDSA","typ":"txntoken+jwt"}`), true, true,
			"the key is named, never tried",
		},
		{
			"another kid",
			head(`{"alg":"EdDSA","kid":"x","typ":"txntoken+jwt"}`), true, true,
			"the key is the one that is named",
		},
		{
			"another type",
			head(`{"alg":"EdDSA","kid":"` + b.kid + `","typ":"JWT"}`), true, true,
			"tokens for other uses are none of ours (RFC 8725, section 3.11)",
		},
		{
			"a jku",
			head(`{"alg":"EdDSA","jku":"https://x.example",` + members[14:] + `}`), true, true,
			"a header never says where keys are",
		},
		{
			"a key in the header",
			head(`{"alg":"EdDSA","jwk":{"kty":"OKP","crv":"Ed25519","x":"` + encode(string(b.public)) + `"},` +
				members[14:] + `}`), true, true,
			"a header never brings its key",
		},
		{
			"an unknown member",
			head(`{` + members + `,"zzz":1}`), true, true,
			"nothing is in a header that is not looked at",
		},
		{
			"crit with b64",
			b.sign(encode(`{"alg":"EdDSA","b64":true,"crit":["b64"]}`), part[1]), true, true,
			"no extensions",
		},
		{
			"a payload that is no JSON",
			b.sign(part[0], encode("x")), true, true,
			"a passport holds claims",
		},
		{
			"a claim twice",
			says(`"sub":"ada"`, `"sub":"ada","sub":"eve"`), true, true,
			"readers differ in which one counts",
		},
		{
			"a claim of another type",
			says(`"sub":"ada"`, `"sub":["ada"]`), true, true,
			"a subject is a text",
		},
		{
			"another audience",
			says(`"aud":"shop"`, `"aud":"bank"`), true, true,
			"they leave claims to the caller",
		},
		{
			"too old",
			says(`"exp":1800000060`, `"exp":1700000060`), true, true,
			"they leave claims to the caller",
		},
		{
			"more than 8 kB",
			says(`"sub":"ada"`, `"sub":"ada","x":"`+strings.Repeat("x", 9000)+`"`), true, true,
			"a limit",
		},
		{
			"padding behind the signature",
			good + "==", false, true,
			"one spelling (RFC 7515, section 2, allows none)",
		},
	} {
		if b.checkStricter(t, c.token) {
			t.Errorf("%s: is taken, but should not: %s", c.class, c.why)
		}
		_, goJose := b.goJose(c.token)
		_, jwx := b.jwx(c.token)
		if (goJose == nil) != c.goJose || (jwx == nil) != c.jwx {
			t.Errorf("%s: go-jose takes it: %v, jwx: %v; the table says %v, %v (%v; %v)",
				c.class, goJose == nil, jwx == nil, c.goJose, c.jwx, goJose, jwx)
		}
	}
}

// lastBits sets a bit of the last character that decoders throw away.
func lastBits(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := len(token) - 1
	return token[:last] + string(alphabet[strings.IndexByte(alphabet, token[last])|1])
}

// FuzzStricter signs any header and payload with the right key, changes the text, and asks all three.
func FuzzStricter(f *testing.F) {
	b := openJoseBench(f)
	good := b.good(f)
	part := strings.Split(good, ".")
	raw, err := base64.RawURLEncoding.DecodeString(part[1])
	if err != nil {
		f.Fatal(err)
	}
	head := `{"alg":"EdDSA","kid":"` + b.kid + `","typ":"txntoken+jwt"}`
	for _, seed := range []struct{ head, payload, token string }{
		{head, string(raw), good},
		{strings.Replace(head, "EdDSA", "Ed25519", 1), string(raw), good + "="},
		{`{"alg":"EdDSA"}`, "Example of Ed25519 signing", // RFC 8037, appendix A.4
			"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iyl" +
				"Gjg5BhVsPt9g7sVvpAr_MuM0KAg"},
		{`{"alg":"none"}`, "{}", "eyJhbGciOiJub25lIn0.e30."},
		{`{"alg":"EdDSA","alg":"none"}`, `{"sub":"a","sub":"b"}`, lastBits(good)},
		{head, strings.Replace(string(raw), `"sub":"ada"`, `"sub":"\u0061\n"`, 1), part[0] + ".\n" + part[1] + "." + part[2]},
		{head, strings.ReplaceAll(string(raw), ",", " ,\t"), `{"payload":"` + part[1] + `","protected":"` + part[0] + `"}`},
	} {
		f.Add(seed.head, seed.payload, seed.token)
	}
	f.Fuzz(func(t *testing.T, head, payload, token string) {
		b.checkStricter(t, b.sign(encode(head), encode(payload)))
		b.checkStricter(t, token)
	})
}
