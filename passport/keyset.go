// SPDX-License-Identifier: Apache-2.0

// Key sets: what an authority publishes and a verifier believes (RFC 7517, RFC 8037).

package passport

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"slices"
	"time"
	"unicode/utf8"
)

const (
	maxKeys   = 32       // of one set
	maxKeySet = 64 << 10 // bytes of one set
	maxKeyID  = 64       // bytes of a kid
)

// KeySet is a set of public keys (RFC 7517). It never changes, so goroutines may share it.
type KeySet struct {
	keys   []Key
	byJOSE map[string]*Key // by the first part of the passports they sign
}

// NewKeySet returns a set of keys, in this order. It returns an [InvalidError] for a key that is not one of Ed25519,
// a kid that is there twice or not well formed, or more than 32 keys.
func NewKeySet(keys ...Key) (*KeySet, error) {
	if len(keys) > maxKeys {
		return nil, invalid("keys", "has %d keys, the limit is %d", len(keys), maxKeys)
	}
	set := &KeySet{keys: slices.Clone(keys), byJOSE: make(map[string]*Key, 2*len(keys))}
	for i := range set.keys {
		k := &set.keys[i]
		if len(k.Public) != ed25519.PublicKeySize {
			return nil, invalid("x", "of key %d has %d bytes, an Ed25519 key has %d", i, len(k.Public), ed25519.PublicKeySize)
		}
		if !isKeyID(k.ID) {
			return nil, invalid("kid", `of key %d must have 1 to %d letters, digits and "._-"`, i, maxKeyID)
		}
		if set.byJOSE[jose(EdDSA, k.ID)] != nil {
			return nil, invalid("kid", "%s is there twice", k.ID)
		}
		k.Public = bytes.Clone(k.Public)
		set.byJOSE[jose(EdDSA, k.ID)], set.byJOSE[jose(Ed25519, k.ID)] = k, k
	}
	return set, nil
}

func isKeyID(id string) bool {
	for i := range len(id) {
		c := id[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return id != "" && len(id) <= maxKeyID
}

// Keys returns the keys in their order.
func (s *KeySet) Keys() []Key { return slices.Clone(s.keys) }

// has reports whether the set has the key of passports that begin with head. A nil set has none.
func (s *KeySet) has(head string) bool { return s != nil && s.byJOSE[head] != nil }

// same reports whether a key is in the set as it is.
func (s *KeySet) same(k *Key) bool {
	other := s.byJOSE[jose(EdDSA, k.ID)]
	return other != nil && bytes.Equal(other.Public, k.Public)
}

// jwk is a key on the wire.
type jwk struct {
	Type      string `json:"kty"`
	Curve     string `json:"crv"`
	X         string `json:"x"`
	ID        string `json:"kid"`
	Use       string `json:"use"`
	Algorithm string `json:"alg,omitempty"`
	NotBefore int64  `json:"nbf,omitempty"`
}

// MarshalJSON writes the set as a JWKS. The member nbf of a key, which is ours, is when it begins to sign.
func (s *KeySet) MarshalJSON() ([]byte, error) {
	set := struct {
		Keys []jwk `json:"keys"`
	}{Keys: []jwk{}}
	for _, k := range s.keys {
		out := jwk{Type: "OKP", Curve: "Ed25519", X: base64.RawURLEncoding.EncodeToString(k.Public), ID: k.ID, Use: "sig"}
		if !k.NotBefore.IsZero() {
			out.NotBefore = k.NotBefore.Unix()
		}
		set.Keys = append(set.Keys, out)
	}
	return json.Marshal(set)
}

// ParseKeySet reads a JWKS of at most 64 KiB with at most 32 keys. Keys of other types and for other uses are left
// out, as RFC 7517, section 5, says. It returns an [InvalidError] for what is malformed, for a member that is there
// twice, for a kid of an Ed25519 key that is there twice, and for a private key.
func ParseKeySet(text []byte) (*KeySet, error) {
	if len(text) > maxKeySet {
		return nil, invalid("keys", "has %d bytes, the limit is %d", len(text), maxKeySet)
	}
	if !utf8.Valid(text) {
		return nil, invalid("keys", "is not valid UTF-8")
	}
	s := scanner{text: bytes.Clone(text)}
	keys := s.keySet()
	if s.problem != "" {
		return nil, &InvalidError{"keys", s.problem}
	}
	return NewKeySet(keys...)
}

// keySet reads a JWKS with nothing behind it.
func (s *scanner) keySet() (keys []Key) {
	var seen names
	found := false
	s.begin('{')
	for n := 0; s.more(n, '}'); n++ {
		name := string(s.name())
		if seen.add(s, n); name != "keys" {
			s.skip(1)
			continue
		}
		found = true
		s.begin('[')
		for i := 0; s.more(i, ']'); i++ {
			if k, ok := s.key(); ok {
				keys = append(keys, k)
			}
		}
	}
	if s.peek(); s.problem == "" && s.at < len(s.text) {
		s.fail("goes on after its end")
	}
	if s.problem == "" && !found {
		s.fail("is missing")
	}
	return keys
}

// key reads a JWK. ok is false if it is none that verifies passports.
func (s *scanner) key() (k Key, ok bool) {
	w, ok := s.jwk()
	if !ok || s.problem != "" {
		return Key{}, false
	}
	x, err := base64.RawURLEncoding.Strict().DecodeString(w.X)
	if err != nil || len(x) != ed25519.PublicKeySize || base64.RawURLEncoding.EncodeToString(x) != w.X {
		s.fail("has a key whose x is not 32 bytes in base64url")
		return Key{}, false
	}
	if !isKeyID(w.ID) {
		s.fail("has a key whose kid is missing or malformed")
		return Key{}, false
	}
	k = Key{ID: w.ID, Public: x}
	if w.NotBefore > 0 {
		k.NotBefore = time.Unix(w.NotBefore, 0).UTC()
	}
	return k, true
}

// jwk reads a JWK as it stands, and reports whether it is of the type and for the use of keys that verify passports.
func (s *scanner) jwk() (w jwk, ok bool) {
	var seen names
	ok = true
	s.begin('{')
	for n := 0; s.more(n, '}'); n++ {
		name := string(s.name())
		seen.add(s, n)
		switch name {
		case "kty":
			w.Type = s.string()
		case "crv":
			w.Curve = s.string()
		case "x":
			w.X = s.string()
		case "kid":
			w.ID = s.string()
		case "use":
			w.Use = s.string()
		case "alg":
			w.Algorithm = s.string()
		case "nbf":
			w.NotBefore = s.integer()
		case "key_ops":
			ok = s.has("verify") && ok
		case "d", "k":
			s.fail("holds a private key: publish only public ones")
		default:
			s.skip(3)
		}
	}
	ok = ok && w.Type == "OKP" && w.Curve == "Ed25519" && (w.Use == "" || w.Use == "sig") &&
		(w.Algorithm == "" || w.Algorithm == EdDSA || w.Algorithm == Ed25519)
	return w, ok
}

// has reads an array of strings and reports whether a word is in it.
func (s *scanner) has(word string) bool {
	found := false
	s.begin('[')
	for n := 0; s.more(n, ']'); n++ {
		found = s.string() == word || found
	}
	return found
}
