// SPDX-License-Identifier: Apache-2.0

// The examples of RFC 7515, 7516, 7520 and 8037: go-jose and jwx open them with the RFCs' keys, which proves that they
// stand here right; and what we answer to each is stated.
//
// They are facts of the RFCs, in testdata/rfc. Those of RFC 7520 were taken from the machine-readable form that its
// author published (github.com/ietf-jose/cookbook, in the public domain).
//
// None of them is a passport, and none has an alg and an enc that the reader of legacy cookies knows (dir or A256KW
// with A256GCM or A256CBC-HS512), so all are refused. That this is not for want of the right keys is shown beside it:
// under the examples' own keys, what we do know is accepted. That the RFCs' ciphertexts open where only alg stands in
// the way is tested below the headers, in edge/legacy.

package interop

import (
	"bytes"
	"crypto/aes"
	"crypto/ecdh"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwe"
	"github.com/lestrrat-go/jwx/v3/jwe/jwebb"
	"github.com/lestrrat-go/jwx/v3/jws"

	"example.com/vidimus/edge/legacy"
	"example.com/vidimus/passport"
)

// example is one example of an RFC, in each syntax that the RFC gives.
type example struct {
	Section, Title, Kind string
	Algs                 []string // one for each signature or recipient, with its key
	Keys                 []jose.JSONWebKey
	Password             string // instead of a key, for PBES2
	Enc, CEK             string
	Detached             bool // the payload is not in the text
	Payload              string

	Compact            string
	General, Flattened json.RawMessage

	name string
}

// rfcs reads the examples.
func rfcs(t *testing.T) []example {
	t.Helper()
	var all []example
	for _, rfc := range []string{"7515", "7516", "7520", "8037"} {
		text, err := os.ReadFile(filepath.Join("testdata", "rfc", "rfc"+rfc+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var some []example
		if err := json.Unmarshal(text, &some); err != nil {
			t.Fatalf("RFC %s: %v", rfc, err)
		}
		for i := range some {
			some[i].name = "RFC " + rfc + " " + some[i].Section
		}
		all = append(all, some...)
	}
	return all
}

// forms returns the texts of an example by syntax.
func (e *example) forms(t *testing.T) map[string]string {
	t.Helper()
	texts := make(map[string]string)
	if e.Compact != "" {
		texts["compact"] = e.Compact
	}
	for form, raw := range map[string]json.RawMessage{"general": e.General, "flattened": e.Flattened} {
		if raw == nil {
			continue
		}
		var small bytes.Buffer
		if err := json.Compact(&small, raw); err != nil {
			t.Fatal(err)
		}
		texts[form] = small.String()
	}
	return texts
}

// key returns the key for a signature or recipient.
func (e *example) key(i int) any {
	switch {
	case e.Password != "":
		return []byte(e.Password)
	case i < len(e.Keys):
		return e.Keys[i].Key
	}
	return []byte(nil)
}

// openGoJose opens one text with each key by itself.
func (e *example) openGoJose(form, text string) error {
	for i := range e.Algs {
		open := e.verifyGoJose
		if e.Kind == "jwe" {
			open = e.decryptGoJose
		}
		if err := e.same(open(form, text, i)); err != nil {
			return err
		}
	}
	return nil
}

// openJWX is openGoJose with jwx.
func (e *example) openJWX(form, text string) error {
	for i, alg := range e.Algs {
		var got []byte
		var err error
		if e.Kind == "jwe" {
			name, _ := jwa.LookupKeyEncryptionAlgorithm(alg)
			got, err = jwe.Decrypt([]byte(text), jwe.WithKey(name, e.key(i)))
		} else {
			name, _ := jwa.LookupSignatureAlgorithm(alg)
			options := []jws.VerifyOption{jws.WithKey(name, e.key(i))}
			if e.Detached {
				options = append(options, jws.WithDetachedPayload([]byte(e.Payload)))
			}
			got, err = jws.Verify([]byte(text), options...)
		}
		if err := e.same(got, err); err != nil {
			return err
		}
	}
	return nil
}

func (e *example) same(got []byte, err error) error {
	if err == nil && string(got) != e.Payload {
		err = errors.New("another payload: " + string(got))
	}
	return err
}

func (e *example) verifyGoJose(form, text string, i int) ([]byte, error) {
	var algs []jose.SignatureAlgorithm
	for _, alg := range e.Algs {
		algs = append(algs, jose.SignatureAlgorithm(alg))
	}
	var parsed *jose.JSONWebSignature
	var err error
	switch {
	case form != "compact":
		parsed, err = jose.ParseSignedJSON(text, algs)
	case e.Detached:
		parsed, err = jose.ParseDetached(text, []byte(e.Payload), algs)
	default:
		parsed, err = jose.ParseSignedCompact(text, algs)
	}
	switch {
	case err != nil:
		return nil, err
	case e.Detached:
		return []byte(e.Payload), parsed.DetachedVerify([]byte(e.Payload), e.key(i))
	case len(parsed.Signatures) == 1:
		return parsed.Verify(e.key(i))
	}
	n, _, payload, err := parsed.VerifyMulti(e.key(i))
	if err == nil && n != i {
		err = errors.New("another signature")
	}
	return payload, err
}

func (e *example) decryptGoJose(form, text string, i int) ([]byte, error) {
	var algs []jose.KeyAlgorithm
	for _, alg := range e.Algs {
		algs = append(algs, jose.KeyAlgorithm(alg))
	}
	encs := []jose.ContentEncryption{jose.ContentEncryption(e.Enc)}
	if form == "compact" {
		parsed, err := jose.ParseEncryptedCompact(text, algs, encs)
		if err != nil {
			return nil, err
		}
		return parsed.Decrypt(e.key(i))
	}
	parsed, err := jose.ParseEncryptedJSON(text, algs, encs)
	if err != nil {
		return nil, err
	}
	if len(e.Algs) == 1 {
		return parsed.Decrypt(e.key(i))
	}
	n, _, plain, err := parsed.DecryptMulti(e.key(i))
	if err == nil && n != i {
		err = errors.New("another recipient")
	}
	return plain, err
}

// secrets returns the keys of an example that are bytes, and the key that its content is encrypted with.
func (e *example) secrets(t *testing.T) [][]byte {
	t.Helper()
	var all [][]byte
	for _, k := range e.Keys {
		if secret, ok := k.Key.([]byte); ok {
			all = append(all, secret)
		}
	}
	if e.CEK != "" {
		all = append(all, unbase64(t, e.CEK))
	}
	return all
}

func unbase64(t *testing.T, s string) []byte {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// examplesBench has a verifier of passports that knows the key of RFC 8037, and counts.
type examplesBench struct {
	joseBench
	counts struct{ goJose, jwx, either, ours int } // how many texts they open, and we accept
}

func openExamplesBench(t *testing.T) *examplesBench {
	t.Helper()
	var b examplesBench
	b.private = ed25519.NewKeyFromSeed(unbase64(t, "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")) // appendix A.1
	b.public = b.private.Public().(ed25519.PublicKey)
	var err error
	if b.signer, err = passport.NewSigner(b.private, ""); err != nil {
		t.Fatal(err)
	}
	keys, err := passport.NewKeySet(b.signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	b.verifier, err = passport.New(passport.Config{Issuer: npmIssuer, Audience: npmAudience, Keys: keys, Now: joseNow})
	if err != nil {
		t.Fatal(err)
	}
	return &b
}

// reader returns a reader of a cookie for each format of jose, with the secrets that fit, and what the secrets are good
// for. Of those that do not fit it checks that they are refused.
func (e *example) reader(t *testing.T) (*legacy.Reader, []joseKind) {
	t.Helper()
	secrets := append(e.secrets(t), joseKinds()[0].key)
	dir, kw := legacy.Cookie{Name: "dir", Format: legacy.JoseDir}, legacy.Cookie{Name: "kw", Format: legacy.JoseKW}
	var kinds []joseKind
	for _, secret := range secrets {
		k := legacy.Key{Secret: secret}
		switch len(secret) {
		case 64:
			dir.Keys = append(dir.Keys, k)
			kinds = append(kinds, joseKind{"dir", jose.DIRECT, jose.A256CBC_HS512, secret})
		case 32:
			dir.Keys, kw.Keys = append(dir.Keys, k), append(kw.Keys, k)
			kinds = append(
				kinds,
				joseKind{"dir", jose.DIRECT, jose.A256GCM, secret},
				joseKind{"kw", jose.A256KW, jose.A256GCM, secret},
				joseKind{"kw", jose.A256KW, jose.A256CBC_HS512, secret},
			)
		default:
			for _, format := range []legacy.Format{legacy.JoseDir, legacy.JoseKW} {
				c := legacy.Cookie{Name: "x", Format: format, Keys: []legacy.Key{k}}
				_, err := legacy.NewReader(legacy.Config{Cookies: []legacy.Cookie{c}})
				if err == nil || !strings.Contains(err.Error(), "takes 32") {
					t.Errorf("%s: a secret of %d bytes for %s gives %v, want a refusal", e.name, len(secret), format, err)
				}
			}
		}
	}
	r, err := legacy.NewReader(legacy.Config{
		Cookies: []legacy.Cookie{dir, kw},
		Map:     func(legacy.Token) (legacy.Identity, error) { return legacy.Identity{Subject: "anybody"}, nil },
	})
	if err != nil {
		t.Fatalf("%s: %v", e.name, err)
	}
	return r, kinds
}

// answer is what we say to the compact form of an example: the field that the verifier of passports names, and the
// reason of the reader of cookies.
type answer struct{ example, passport, legacy string }

func answers() []answer {
	const (
		form, head             = "token", "header" // no Ed25519 signature in its place; one, but not the one header
		malformed, alg, header = "malformed", "alg or enc not allowed", "header not allowed"
	)
	return []answer{
		{"RFC 7515 A.1", form, malformed}, // HS256
		{"RFC 7515 A.2", form, malformed}, // RS256
		{"RFC 7515 A.3", head, malformed}, // ES256, which is as long as one of Ed25519
		{"RFC 7515 A.4", form, malformed}, // ES512
		{"RFC 7515 A.5", form, malformed}, // none
		{"RFC 7515 E", form, malformed},   // crit
		{"RFC 7516 A.1", form, alg},       // RSA-OAEP with A256GCM
		{"RFC 7516 A.2", form, alg},       // RSA1_5
		{"RFC 7516 A.3", form, alg},       // A128KW with A128CBC-HS256
		{"RFC 7520 4.1", form, malformed},
		{"RFC 7520 4.2", form, malformed},
		{"RFC 7520 4.3", form, malformed},
		{"RFC 7520 4.4", form, malformed},
		{"RFC 7520 4.5", form, malformed},
		{"RFC 7520 5.1", form, alg},    // RSA1_5
		{"RFC 7520 5.2", form, alg},    // RSA-OAEP with A256GCM
		{"RFC 7520 5.3", form, header}, // p2s, p2c
		{"RFC 7520 5.4", form, header}, // epk
		{"RFC 7520 5.5", form, header}, // epk
		{"RFC 7520 5.6", form, alg},    // dir with A128GCM
		{"RFC 7520 5.7", form, header}, // iv and tag of A256GCMKW
		{"RFC 7520 5.8", form, alg},    // A128KW with A128GCM
		{"RFC 7520 5.9", form, header}, // zip
		{"RFC 7520 6, signature", form, malformed},
		{"RFC 7520 6, encryption", form, header}, // a token within
		{"RFC 8037 A.4", head, malformed},        // Ed25519 and the right key, but neither kid nor typ
	}
}

// closed says who else does not open a text, and why.
type closed struct {
	goJose, jwx bool
	why         string
}

// unopened lists the texts that one of the others does not open, or neither.
func unopened() map[string]closed {
	detached := closed{goJose: true, why: "go-jose 4.1.8 knows detached payloads in the compact form alone"}
	bare := closed{jwx: true, why: "jwx 3.3.0 verifies {} where there is no protected header"}
	shared := closed{jwx: true, why: "jwx 3.3.0 looks for alg in the protected header and the recipient's own"}
	open := closed{jwx: true, why: "jwx 3.3.0 parses JSON only with a protected header"}
	return map[string]closed{
		"RFC 7515 A.5 compact":    {true, true, "it is not signed"},
		"RFC 7515 E compact":      {true, true, "it is there to be refused"},
		"RFC 7520 4.5 general":    detached,
		"RFC 7520 4.5 flattened":  detached,
		"RFC 7520 4.7 general":    bare,
		"RFC 7520 4.7 flattened":  bare,
		"RFC 7520 4.8 general":    bare,
		"RFC 7520 5.11 general":   shared,
		"RFC 7520 5.11 flattened": shared,
		"RFC 7520 5.12 general":   open,
		"RFC 7520 5.12 flattened": open,
	}
}

func TestExamplesAreOpenedByOthersAndRefusedByUs(t *testing.T) {
	t.Parallel()
	b, all := openExamplesBench(t), rfcs(t)
	want := make(map[string]answer)
	for _, a := range answers() {
		want[a.example] = a
	}
	forms, compact, controls, agreed := 0, 0, 0, 0
	for i := range all {
		e := &all[i]
		r, kinds := e.reader(t)
		for form, text := range e.forms(t) {
			forms++
			a := answer{passport: "token"} // JSON is no JWS in compact form, and no browser sends it as a cookie
			if form == "compact" {
				compact++
				a = want[e.name]
			}
			b.check(t, e, form, text, r, a)
		}
		for _, k := range kinds {
			for _, token := range []string{k.byGoJose(t, nil), k.byJWX(t)} {
				controls++
				if agree(t, r, &k, token) {
					agreed++
				} else {
					_, err := readAs(r, k.name, token)
					t.Errorf("%s: under its key of %d bytes, %s with %s is refused because %q",
						e.name, len(k.key), k.alg, k.enc, legacy.Why(err))
				}
			}
		}
	}
	if !b.checkStricter(t, b.good(t)) {
		t.Error("a passport under the key of RFC 8037 is refused")
	}
	if compact != len(want) {
		t.Errorf("%d examples have a compact form, the table has %d", compact, len(want))
	}
	t.Logf("%d examples in %d forms (%d of them compact): go-jose opens %d, jwx %d, one of them %d, we %d; "+
		"of %d other JWEs under the examples' keys we read %d as they do",
		len(all), forms, compact, b.counts.goJose, b.counts.jwx, b.counts.either, b.counts.ours, controls, agreed)
}

// check asks everybody about one text.
func (b *examplesBench) check(t *testing.T, e *example, form, text string, r *legacy.Reader, want answer) {
	t.Helper()
	name := e.name + " " + form
	errGoJose, errJWX := e.openGoJose(form, text), e.openJWX(form, text)
	if row := unopened()[name]; (errGoJose != nil) != row.goJose || (errJWX != nil) != row.jwx {
		t.Errorf("%s: go-jose says %v, jwx says %v: correct what is written here (%s)", name, errGoJose, errJWX, row.why)
	}
	if errGoJose == nil {
		b.counts.goJose++
	}
	if errJWX == nil {
		b.counts.jwx++
	}
	switch {
	case errGoJose == nil || errJWX == nil:
		b.counts.either++
	case !e.unsecured(t):
		t.Errorf("%s: nobody opens it, so it may be spelled wrong here", name)
	}

	var bad *passport.InvalidError
	if _, err := b.verifier.Verify(t.Context(), text); err == nil {
		b.counts.ours++
		t.Errorf("%s: is taken for a passport", name)
	} else if !errors.As(err, &bad) || bad.Field != want.passport {
		t.Errorf("%s: as a passport it gives %v, want a refusal for its %s", name, err, want.passport)
	}
	for _, cookie := range []string{"dir", "kw"} {
		// JSON has characters that no cookie can have: net/http drops it. Escaped, as scripts do it, it is no JWE.
		_, err := readAs(r, cookie, text)
		_, escaped := readAs(r, cookie, url.QueryEscape(text))
		switch {
		case err == nil || escaped == nil:
			b.counts.ours++
			t.Errorf("%s: is taken for the cookie %s", name, cookie)
		case want.legacy == "":
			if !errors.Is(err, legacy.ErrNone) || legacy.Why(escaped) != "malformed" {
				t.Errorf("%s: as the cookie %s it is %v, and escaped %q", name, cookie, err, legacy.Why(escaped))
			}
		case legacy.Why(err) != want.legacy:
			t.Errorf("%s: as the cookie %s it is refused because %q, want %q", name, cookie, legacy.Why(err), want.legacy)
		}
	}
}

// unsecured reports whether an example has no signature to check, and says what the RFC says it does.
func (e *example) unsecured(t *testing.T) bool {
	part := strings.Split(e.Compact, ".")
	if len(part) != 3 {
		return false
	}
	var head struct{ Alg string }
	err := json.Unmarshal(unbase64(t, part[0]), &head)
	return err == nil && head.Alg == "none" && string(unbase64(t, part[1])) == e.Payload && part[2] == ""
}

// Appendix A.6 of RFC 8037 has a header, keys and the secret they agree on, but no token. It is completed here.
func TestKeyAgreementOfRFC8037IsRefused(t *testing.T) {
	t.Parallel()
	const head = `{"alg":"ECDH-ES+A128KW","epk":{"kty":"OKP","crv":"X25519","x":"hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066Spj` +
		`qqbTmo"},"enc":"A128GCM","kid":"Bob"}`
	bob, err := ecdh.X25519().NewPrivateKey(unbase64(t, "XasIfmJKikt54X-Lg4AO5m87sSkmGLb9HC-LJ_-I4Os"))
	if err != nil {
		t.Fatal(err)
	}
	if got := encode(string(bob.PublicKey().Bytes())); got != "3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08" {
		t.Errorf("Bob's public key is %s", got)
	}
	epk, err := ecdh.X25519().NewPublicKey(unbase64(t, "hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo"))
	if err != nil {
		t.Fatal(err)
	}
	z, err := bob.ECDH(epk)
	const want = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
	if err != nil || hex.EncodeToString(z) != want {
		t.Errorf("they agree on %x, %v; want %s", z, err, want)
	}
	kek, err := jwebb.DeriveECDHES("ECDH-ES+A128KW", nil, nil, bob, epk, 16)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(kek)
	if err != nil {
		t.Fatal(err)
	}
	cek := []byte("sixteen bytes...")
	wrapped, err := jwebb.Wrap(block, cek)
	if err != nil {
		t.Fatal(err)
	}
	token := reEncrypt(t, head, encode(string(wrapped)), cek, []byte(lastingClaims))
	if plain, err := jwe.Decrypt([]byte(token), jwe.WithKey(jwa.ECDH_ES_A128KW(), bob)); err != nil ||
		string(plain) != lastingClaims {
		t.Errorf("jwx reads %q, %v", plain, err)
	}
	for _, k := range joseKinds() {
		if _, err := readAs(joseReader(t), k.name, token); legacy.Why(err) != "header not allowed" {
			t.Errorf("%s: refused because %q", k.name, legacy.Why(err))
		}
	}
}
