// SPDX-License-Identifier: Apache-2.0

// The compact form of a JWS (RFC 7515, section 7.1), read in its one canonical spelling.

package passport

import (
	"crypto/ed25519"
	"encoding/base64"
	"strings"
	"unsafe"
)

const (
	maxRead       = 2 * MaxToken // bytes of a passport that is looked at
	signatureText = 86           // characters of an Ed25519 signature in base64url
)

// head returns the first part of a token with its point, or "" for what is no passport at all.
func head(token string) string {
	point := len(token) - signatureText - 1
	if len(token) > maxRead || point < 0 || token[point] != '.' {
		return ""
	}
	return token[:strings.IndexByte(token, '.')+1]
}

// open returns the payload of a token whose header is that of key, if the key has signed it. It allocates the payload
// alone.
func open(token, head string, key *Key) ([]byte, *InvalidError) {
	point := len(token) - signatureText - 1
	if point < len(head) {
		return nil, &InvalidError{"token", "has no payload"}
	}
	// No line breaks, which decoders of base64 skip: they would be a second spelling.
	if strings.IndexByte(token, '\n') >= 0 || strings.IndexByte(token, '\r') >= 0 {
		return nil, &InvalidError{"token", "has a line break"}
	}
	text := unsafe.Slice(unsafe.StringData(token), len(token)) // only read: no copy for what is about to be refused
	var signature [ed25519.SignatureSize + 2]byte
	strict := base64.RawURLEncoding.Strict()
	n, err := strict.Decode(signature[:], text[point+1:])
	if err != nil || n != ed25519.SignatureSize {
		return nil, &InvalidError{"signature", "is not 64 bytes in canonical base64url"}
	}
	if !ed25519.Verify(key.Public, text[:point], signature[:n]) {
		return nil, &InvalidError{"signature", "is not that of the key"}
	}
	payload := make([]byte, strict.DecodedLen(point-len(head)))
	if n, err = strict.Decode(payload, text[len(head):point]); err != nil || n != len(payload) {
		return nil, &InvalidError{"payload", "is not in canonical base64url"}
	}
	return payload, nil
}

// kid returns the kid in the first part of a token, or "" if that is no header that a passport can have.
func kid(head string) string {
	if head == "" || len(head) > 256 {
		return ""
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(head[:len(head)-1])
	if err != nil {
		return ""
	}
	for _, alg := range [...]string{EdDSA, Ed25519} {
		rest, ok := strings.CutPrefix(string(raw), `{"alg":"`+alg+`","kid":"`)
		id, ok2 := strings.CutSuffix(rest, `","typ":"`+typ+`"}`)
		if ok && ok2 && isKeyID(id) && jose(alg, id) == head {
			return id
		}
	}
	return ""
}
