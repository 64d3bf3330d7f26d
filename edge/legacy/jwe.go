// SPDX-License-Identifier: Apache-2.0

// JWE in compact form (RFC 7516): a header that is allowed, a key that fits, and only then a decryption.

package legacy

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"strings"
)

const (
	algDir  = "dir"
	algKW   = "A256KW"
	encGCM  = "A256GCM"
	encCBC  = "A256CBC-HS512"
	maxHead = 1 << 10
)

// jweKey is a key with what it may be used for.
type jweKey struct {
	alg  string
	dir  []direct     // for dir: by enc
	wrap cipher.Block // for A256KW
	kid  string       // of A256KW
}

// direct is a content key that needs no unwrapping.
type direct struct {
	content
	kid string // empty for any
}

// newJWEKey derives what a secret becomes in a format.
func newJWEKey(field string, c Cookie, k Key) (jweKey, error) {
	if len(k.Secret) == 0 {
		return jweKey{}, invalid(field+".Secret", "is empty: give the secret that the application encrypts with")
	}
	switch c.Format {
	case AuthJS:
		info := "Auth.js Generated Encryption Key (" + c.Name + ")"
		long, errLong := derive(k.Secret, c.Name, info, encCBC)
		short, errShort := derive(k.Secret, c.Name, info, encGCM)
		return jweKey{alg: algDir, dir: []direct{long, short}}, errors.Join(errLong, errShort)
	case NextAuth:
		made, err := derive(k.Secret, "", "NextAuth.js Generated Encryption Key", encGCM)
		made.kid = "" // it writes none
		return jweKey{alg: algDir, dir: []direct{made}}, err
	case JoseDir:
		enc := map[int]string{32: encGCM, 64: encCBC}[len(k.Secret)]
		if enc == "" {
			return jweKey{}, invalid(field+".Secret", "has %d bytes: %s takes 32 and %s takes 64", len(k.Secret), encGCM, encCBC)
		}
		made, err := newContent(enc, k.Secret)
		return jweKey{alg: algDir, dir: []direct{{content: made, kid: k.ID}}}, err
	default:
		if len(k.Secret) != 32 {
			return jweKey{}, invalid(field+".Secret", "has %d bytes: %s takes 32", len(k.Secret), algKW)
		}
		block, err := aes.NewCipher(k.Secret)
		return jweKey{alg: algKW, wrap: block, kid: k.ID}, err
	}
}

// derive makes the key that Auth.js and next-auth make from their secret, named by its thumbprint (RFC 7638).
func derive(secret []byte, salt, info, enc string) (direct, error) {
	length, sum := 32, func(b []byte) []byte { s := sha256.Sum256(b); return s[:] }
	if enc == encCBC {
		length, sum = 64, func(b []byte) []byte { s := sha512.Sum512(b); return s[:] }
	}
	cek, err := hkdf.Key(sha256.New, secret, []byte(salt), info, length)
	if err != nil {
		return direct{}, err
	}
	made, err := newContent(enc, cek)
	jwk := `{"k":"` + base64.RawURLEncoding.EncodeToString(cek) + `","kty":"oct"}`
	return direct{content: made, kid: base64.RawURLEncoding.EncodeToString(sum([]byte(jwk)))}, err
}

// openJWE decrypts a token with the first key that fits.
func openJWE(token string, keys []jweKey) ([]byte, string) {
	parts := strings.SplitN(token, ".", 6)
	if len(parts) != 5 || len(token) > MaxSize || len(parts[0]) > maxHead {
		return nil, malformed
	}
	var raw [5][]byte
	for i, part := range parts {
		var ok bool
		if raw[i], ok = canonical(part); !ok {
			return nil, malformed
		}
	}
	h, why := readHeader(raw[0])
	if why != "" {
		return nil, why
	}
	if why := h.checkSizes(raw); why != "" {
		return nil, why
	}
	sealed := append(raw[3], raw[4]...)
	b := box{aad: []byte(parts[0]), iv: raw[2], sealed: sealed, tag: len(raw[4]), room: make([]byte, 0, len(sealed))}
	why = badAlg
	for i := range keys {
		c, reason := keys[i].content(h, raw[1])
		if reason == "" {
			if plain, ok := c.open(&b); ok {
				return plain, ""
			}
			reason = forged
		}
		// The reason of the key that came furthest says most.
		if why == badAlg || reason == forged {
			why = reason
		}
	}
	return nil, why
}

// content returns the content key for a header.
func (k *jweKey) content(h header, encrypted []byte) (*content, string) {
	if h.Alg != k.alg {
		return nil, badAlg
	}
	if k.alg == algKW {
		if !fits(k.kid, h.Kid) {
			return nil, noKey
		}
		cek, ok := unwrap(k.wrap, encrypted)
		if !ok {
			return nil, forged
		}
		c, err := newContent(h.Enc, cek)
		if err != nil {
			return nil, forged
		}
		return &c, ""
	}
	for i := range k.dir {
		d := &k.dir[i]
		if d.enc == h.Enc {
			if !fits(d.kid, h.Kid) {
				return nil, noKey
			}
			return &d.content, ""
		}
	}
	return nil, badAlg
}

// fits reports whether a key of that id may have made a token that names a kid.
func fits(id, kid string) bool { return id == "" || kid == "" || id == kid }

// checkSizes compares the parts with what alg and enc say. An encrypted key beside dir has to be refused (RFC 7516,
// section 5.2, step 10).
func (h header) checkSizes(raw [5][]byte) string {
	keyed := map[string]int{encGCM: 32, encCBC: 64}[h.Enc]
	if keyed == 0 || h.Alg != algDir && h.Alg != algKW {
		return badAlg
	}
	encrypted, iv, tag := 0, 12, 16
	if h.Alg == algKW {
		encrypted = keyed + 8
	}
	if h.Enc == encCBC {
		iv, tag = 16, 32
	}
	if len(raw[1]) != encrypted || len(raw[2]) != iv || len(raw[3]) == 0 || len(raw[4]) != tag {
		return malformed
	}
	if h.Enc == encCBC && len(raw[3])%aes.BlockSize != 0 {
		return malformed
	}
	return ""
}

// canonical decodes base64url that has only one spelling: without padding, line breaks, or bits left over.
func canonical(s string) ([]byte, bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return b, err == nil && base64.RawURLEncoding.EncodedLen(len(b)) == len(s)
}
