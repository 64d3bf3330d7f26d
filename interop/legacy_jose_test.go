// SPDX-License-Identifier: Apache-2.0

// Encrypted tokens against go-jose and jwx: whatever we decrypt, both decrypt to the same; what we refuse beyond them
// is listed with its reason.

package interop

import (
	"bytes"
	"compress/flate"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwe"

	"example.com/vidimus/edge/legacy"
)

// joseKind is a pair of algorithms with a key, the same in every run so that corpora stay good.
type joseKind struct {
	name string
	alg  jose.KeyAlgorithm
	enc  jose.ContentEncryption
	key  []byte
}

func joseKinds() []joseKind {
	key := func(n int) []byte { return bytes.Repeat([]byte("vidimus!"), n/8) }
	return []joseKind{
		{"dirgcm", jose.DIRECT, jose.A256GCM, key(32)},
		{"dircbc", jose.DIRECT, jose.A256CBC_HS512, key(64)},
		{"kwgcm", jose.A256KW, jose.A256GCM, key(32)},
		{"kwcbc", jose.A256KW, jose.A256CBC_HS512, key(32)},
	}
}

const lastingClaims = `{"sub":"ada","iat":1700000000,"exp":9999999999,"state":{"limit":300,"names":["a","ä"]}}`

// byGoJose encrypts the claims.
func (k *joseKind) byGoJose(t testing.TB, options *jose.EncrypterOptions) string {
	t.Helper()
	e, err := jose.NewEncrypter(k.enc, jose.Recipient{Algorithm: k.alg, Key: k.key}, options)
	if err != nil {
		t.Fatal(err)
	}
	object, err := e.Encrypt([]byte(lastingClaims))
	if err != nil {
		t.Fatal(err)
	}
	text, err := object.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (k *joseKind) byJWX(t testing.TB) string {
	t.Helper()
	alg, _ := jwa.LookupKeyEncryptionAlgorithm(string(k.alg))
	enc, _ := jwa.LookupContentEncryptionAlgorithm(string(k.enc))
	text, err := jwe.Encrypt([]byte(lastingClaims), jwe.WithKey(alg, k.key), jwe.WithContentEncryption(enc))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// openGoJose and openJWX decrypt with the key and the algorithms of the kind alone.
func (k *joseKind) openGoJose(token string) (string, error) {
	encs := []jose.ContentEncryption{k.enc}
	if k.alg == jose.A256KW {
		encs = []jose.ContentEncryption{jose.A256GCM, jose.A256CBC_HS512} // a wrapping key serves both
	}
	object, err := jose.ParseEncryptedCompact(token, []jose.KeyAlgorithm{k.alg}, encs)
	if err != nil {
		return "", err
	}
	plain, err := object.Decrypt(k.key)
	return string(plain), err
}

func (k *joseKind) openJWX(token string) (string, error) {
	alg, _ := jwa.LookupKeyEncryptionAlgorithm(string(k.alg))
	plain, err := jwe.Decrypt([]byte(token), jwe.WithKey(alg, k.key))
	return string(plain), err
}

// reader reads a cookie for each kind.
func joseReader(t testing.TB) *legacy.Reader {
	t.Helper()
	var cookies []legacy.Cookie
	for _, k := range joseKinds() {
		format := legacy.JoseDir
		if k.alg == jose.A256KW {
			format = legacy.JoseKW
		}
		cookies = append(cookies, legacy.Cookie{Name: k.name, Format: format, Keys: []legacy.Key{{Secret: k.key}}})
	}
	r, err := legacy.NewReader(legacy.Config{
		Cookies: cookies,
		Map:     func(legacy.Token) (legacy.Identity, error) { return legacy.Identity{Subject: "anybody"}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// readAs reads a token as the cookie of a kind.
func readAs(r *legacy.Reader, kind, token string) (legacy.Found, error) {
	return r.Read(&http.Request{Header: http.Header{"Cookie": {kind + "=" + token}}})
}

// agree complains if we read a token that the others do not read alike.
func agree(t *testing.T, r *legacy.Reader, k *joseKind, token string) bool {
	t.Helper()
	ours, err := readAs(r, k.name, token)
	if err != nil {
		return false
	}
	for name, open := range map[string]func(string) (string, error){"go-jose": k.openGoJose, "jwx": k.openJWX} {
		plain, err := open(token)
		var theirs map[string]json.RawMessage
		if err != nil || json.Unmarshal([]byte(plain), &theirs) != nil || !reflect.DeepEqual(ours.Claims, theirs) {
			t.Errorf("%s: we read %s, %s reads %q, %v, from %s", k.name, ours.Claims, name, plain, err, token)
		}
	}
	return true
}

func TestGoJoseAndJWXReadWhatWeRead(t *testing.T) {
	t.Parallel()
	r := joseReader(t)
	for _, k := range joseKinds() {
		for maker, token := range map[string]string{
			"go-jose":         k.byGoJose(t, nil),
			"go-jose, as JWT": k.byGoJose(t, (&jose.EncrypterOptions{}).WithType("JWT")),
			"jwx":             k.byJWX(t),
		} {
			if !agree(t, r, &k, token) {
				_, err := readAs(r, k.name, token)
				t.Errorf("%s by %s is refused because %q", k.name, maker, legacy.Why(err))
			}
		}
	}
}

// reEncrypt makes a token with a header as given, under a key used directly with A256GCM.
func reEncrypt(t *testing.T, header, encryptedKey string, key, plain []byte) string {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	aad, iv := b64([]byte(header)), make([]byte, 12)
	sealed := gcm.Seal(nil, iv, plain, []byte(aad))
	cut := len(sealed) - 16
	return strings.Join([]string{aad, encryptedKey, b64(iv), b64(sealed[:cut]), b64(sealed[cut:])}, ".")
}

func TestWeAreStricterThanTheOthers(t *testing.T) {
	t.Parallel()
	k := joseKinds()[0]
	r := joseReader(t)
	with := func(more string) string {
		return reEncrypt(t, `{"alg":"dir","enc":"A256GCM"`+more+`}`, "", k.key, []byte(lastingClaims))
	}
	var small bytes.Buffer
	w, err := flate.NewWriter(&small, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(lastingClaims)); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	good := with("")
	last := good[len(good)-1]
	for _, c := range []struct {
		name, token, why string
		goJose, jwx      bool // whether they accept it
	}{
		{"as it should be", good, "", true, true},
		{
			// RFC 7516, section 5.2, step 10: with dir, the encrypted key has to be empty.
			"an encrypted key beside dir", strings.Replace(good, "..", ".AAAA.", 1), "malformed", true, true,
		},
		{
			// Whoever is sent what inflates, pays for it. No package that we read deflates.
			"zip", reEncrypt(t, `{"alg":"dir","enc":"A256GCM","zip":"DEF"}`, "", k.key, small.Bytes()),
			"header not allowed", true, true,
		},
		{
			// RFC 7516, section 4: names must be given once, or the last one counts. Two readers of one header could differ.
			"a header with a name twice", with(`,"enc":"A256GCM"`), "malformed", false, true,
		},
		{"a header parameter that nobody knows", with(`,"x":"y"`), "header not allowed", true, true},
		{"a URL to fetch keys from", with(`,"jku":"https://evil.test/"`), "header not allowed", true, true},
		{"a token within", with(`,"cty":"JWT"`), "header not allowed", true, true},
		{
			// The same token, spelled otherwise: it would get past what remembers tokens by their text.
			"another spelling of its last bits", good[:len(good)-1] + string(last+1), "malformed", true, true,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := readAs(r, k.name, c.token)
			if legacy.Why(err) != c.why || (err == nil) != (c.why == "") {
				t.Errorf("we refuse it because %q, want %q", legacy.Why(err), c.why)
			}
			_, errGoJose := k.openGoJose(c.token)
			_, errJWX := k.openJWX(c.token)
			if (errGoJose == nil) != c.goJose || (errJWX == nil) != c.jwx {
				t.Errorf("go-jose says %v, jwx says %v: correct what is written here", errGoJose, errJWX)
			}
		})
	}
}

func FuzzLegacyJWE(f *testing.F) {
	r, kinds := joseReader(f), joseKinds()
	for i, k := range kinds {
		token := k.byGoJose(f, nil)
		f.Add(byte(i), token)
		f.Add(byte(i), k.byJWX(f))
		f.Add(byte(i+1), token)
		f.Add(byte(i), strings.Replace(token, ".", ".AAAA", 1))
		f.Add(byte(i), token[:len(token)-1])
	}
	f.Fuzz(func(t *testing.T, kind byte, token string) {
		if strings.ContainsAny(token, "; ,\"\\") || len(token) > legacy.MaxSize {
			return // no value of a cookie
		}
		agree(t, r, &kinds[int(kind)%len(kinds)], token)
	})
}
