// SPDX-License-Identifier: Apache-2.0

// The writing side, which the package lacks on purpose: tokens and seals as the applications make them.

package legacy

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"example.com/vidimus/internal/clock"
)

const (
	secret   = "a secret that an application has had for years"
	password = "a password of more than thirty-two characters"
)

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// fill returns n bytes that depend on a seed alone, so that corpora stay the same.
func fill(n int, seed string) []byte {
	out := make([]byte, 0, n+32)
	for i := 0; len(out) < n; i++ {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s/%d", seed, i))
		out = append(out, sum[:]...)
	}
	return out[:n]
}

// encrypt makes a JWE with the header as given. encrypted is the text of the second part.
func encrypt(header, encrypted, enc string, cek, payload []byte) string {
	aad := b64([]byte(header))
	var iv, ciphertext, tag []byte
	if enc == encGCM {
		iv = fill(12, header)
		block, _ := aes.NewCipher(cek)
		gcm, _ := cipher.NewGCM(block)
		sealed := gcm.Seal(nil, iv, payload, []byte(aad))
		ciphertext, tag = sealed[:len(sealed)-16], sealed[len(sealed)-16:]
	} else {
		iv = fill(16, header)
		ciphertext = encryptCBC(cek[32:], iv, payload)
		mac := hmac.New(sha512.New, cek[:32])
		mac.Write([]byte(aad))
		mac.Write(iv)
		mac.Write(ciphertext)
		mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(aad))*8))
		tag = mac.Sum(nil)[:32]
	}
	return strings.Join([]string{aad, encrypted, b64(iv), b64(ciphertext), b64(tag)}, ".")
}

func encryptCBC(key, iv, plain []byte) []byte {
	pad := 16 - len(plain)%16
	padded := append(bytes.Clone(plain), bytes.Repeat([]byte{byte(pad)}, pad)...)
	block, _ := aes.NewCipher(key)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(padded, padded)
	return padded
}

// wrapKey wraps as RFC 3394, section 2.2.1, says.
func wrapKey(kek, key []byte) []byte {
	block, _ := aes.NewCipher(kek)
	n := len(key) / 8
	a, r := bytes.Repeat([]byte{0xA6}, 8), bytes.Clone(key)
	for j := range 6 {
		for i := range n {
			var b [16]byte
			copy(b[:8], a)
			copy(b[8:], r[i*8:])
			block.Encrypt(b[:], b[:])
			binary.BigEndian.PutUint64(a, binary.BigEndian.Uint64(b[:8])^uint64(n*j+i+1))
			copy(r[i*8:], b[8:])
		}
	}
	return append(a, r...)
}

func headerOf(enc string, more ...string) string {
	return `{"alg":"dir","enc":"` + enc + `"` + strings.Join(append([]string{""}, more...), ",") + `}`
}

func authJSKey(name, secret string) []byte {
	key, _ := hkdf.Key(sha256.New, []byte(secret), []byte(name), "Auth.js Generated Encryption Key ("+name+")", 64)
	return key
}

func nextAuthKey(secret string) []byte {
	key, _ := hkdf.Key(sha256.New, []byte(secret), nil, "NextAuth.js Generated Encryption Key", 32)
	return key
}

// sealIron makes a seal; end is empty for one without end.
func sealIron(id, password, end string, payload []byte) string {
	salt, macSalt := fmt.Sprintf("%x", fill(32, "salt"+id)), fmt.Sprintf("%x", fill(32, "mac"+id))
	key, _ := pbkdf2.Key(sha1.New, password, []byte(salt), 1, 32)
	macKey, _ := pbkdf2.Key(sha1.New, password, []byte(macSalt), 1, 32)
	iv := fill(16, "iv"+id)
	base := strings.Join([]string{"Fe26.2", id, salt, b64(iv), b64(encryptCBC(key, iv, payload)), end}, "*")
	mac := hmac.New(sha256.New, macKey)
	mac.Write([]byte(base))
	return base + "*" + macSalt + "*" + b64(mac.Sum(nil))
}

// claims are those of somebody who signed in a minute ago, for an hour; more are added or replace them.
func claims(more ...any) []byte {
	now := clock.Now().Unix()
	all := map[string]any{"sub": "ada", "iat": now - 60, "exp": now + 3600}
	for i := 0; i < len(more); i += 2 {
		all[more[i].(string)] = more[i+1]
		if more[i+1] == nil {
			delete(all, more[i].(string))
		}
	}
	out, _ := json.Marshal(all)
	return out
}

func inAnHour() string { return fmt.Sprint(clock.Now().Add(time.Hour).UnixMilli()) }

// jose makes a token with an A256GCM key used directly.
func jose(payload []byte) string {
	return encrypt(headerOf(encGCM), "", encGCM, fill(32, "jose"), payload)
}

func joseCookie() Cookie {
	return Cookie{Name: "session", Format: JoseDir, Keys: []Key{{Secret: fill(32, "jose")}}}
}

// request carries cookies, given as names and values.
func request(pairs ...string) *http.Request {
	req, _ := http.NewRequest(http.MethodGet, "http://shop.test/", nil)
	for i := 0; i < len(pairs); i += 2 {
		req.AddCookie(&http.Cookie{Name: pairs[i], Value: pairs[i+1]})
	}
	return req
}

func mustReader(t testing.TB, cookies ...Cookie) *Reader {
	t.Helper()
	r, err := NewReader(Config{Cookies: cookies})
	if err != nil {
		t.Fatal(err)
	}
	return r
}
