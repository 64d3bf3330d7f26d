// SPDX-License-Identifier: Apache-2.0

// Keys: one that signs, and the public ones that are published.

package passport

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"time"
)

// The names of the one algorithm: RFC 8037 calls it EdDSA, RFC 9864 Ed25519. A verifier accepts both.
const (
	EdDSA   = "EdDSA"
	Ed25519 = "Ed25519"
)

// typ is the type of a passport, in its header.
const typ = "txntoken+jwt"

// Key is a public key.
type Key struct {
	// ID is the kid: at most 64 letters, digits and "._-".
	ID     string
	Public ed25519.PublicKey
	// NotBefore is when the key signs first, for people who read the key set; zero for always. Verifiers do not look at
	// it.
	NotBefore time.Time
}

// KeyID returns the kid of a public key: the first 8 characters of its thumbprint (RFC 7638), as RFC 8037, section 2,
// says.
func KeyID(public ed25519.PublicKey) string {
	x := base64.RawURLEncoding.EncodeToString(public)
	sum := sha256.Sum256([]byte(`{"crv":"Ed25519","kty":"OKP","x":"` + x + `"}`))
	return base64.RawURLEncoding.EncodeToString(sum[:])[:8]
}

// jose returns the first part of every passport that the key signs, with its point: the header's canonical bytes in
// base64url.
func jose(alg, kid string) string {
	head := `{"alg":"` + alg + `","kid":"` + kid + `","typ":"` + typ + `"}`
	return base64.RawURLEncoding.EncodeToString([]byte(head)) + "."
}

// Signer signs passports. Goroutines may share it.
type Signer struct {
	private ed25519.PrivateKey
	key     Key
	jose    string
}

// NewSigner returns a signer for a private key. alg is [EdDSA], which every verifier knows, or [Ed25519]; empty for
// EdDSA. It returns an [InvalidError].
func NewSigner(private ed25519.PrivateKey, alg string) (*Signer, error) {
	if len(private) != ed25519.PrivateKeySize {
		return nil, invalid("private", "has %d bytes, an Ed25519 key has %d", len(private), ed25519.PrivateKeySize)
	}
	if alg == "" {
		alg = EdDSA
	}
	if alg != EdDSA && alg != Ed25519 {
		return nil, invalid("alg", "is neither EdDSA nor Ed25519")
	}
	private = bytes.Clone(private)
	public := ed25519.PublicKey(private[ed25519.PrivateKeySize-ed25519.PublicKeySize:])
	kid := KeyID(public)
	return &Signer{private: private, key: Key{ID: kid, Public: public}, jose: jose(alg, kid)}, nil
}

// Public returns the key that verifies what the signer signs.
func (s *Signer) Public() Key { return s.key }

// Sign returns claims as a passport, in the one spelling that claims have. It refuses claims that lack what is
// required, last longer than [MaxLife] or make a passport longer than [MaxToken], with an [InvalidError]. It never
// looks at a clock.
func (s *Signer) Sign(c *Claims) (string, error) {
	payload, err := appendClaims(nil, c)
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.AppendEncode([]byte(s.jose), payload)
	text = base64.RawURLEncoding.AppendEncode(append(text, '.'), ed25519.Sign(s.private, text))
	if len(text) > MaxToken {
		return "", invalid("tctx", "makes a passport of %d bytes, the limit is %d: let the schema publish less",
			len(text), MaxToken)
	}
	return string(text), nil
}
