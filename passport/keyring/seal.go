// SPDX-License-Identifier: Apache-2.0

// Sealing: what is secret of a key, under a key that is not in the journal.

package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"

	"example.com/vidimus/internal/chance"
)

// box is a sealed secret.
type box struct {
	// By tells which seal key was used without saying anything about it.
	By     []byte `json:"by"`
	Nonce  []byte `json:"nonce"`
	Sealed []byte `json:"sealed"`
}

// seals are the keys to seal with, first, and to open with.
type seals []sealer

type sealer struct {
	id   string
	aead cipher.AEAD
}

func newSeals(first []byte, others [][]byte) (seals, error) {
	var all seals
	for _, key := range append([][]byte{first}, others...) {
		s, err := newSealer(key)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// newSealer derives from a seal key one for AES-256-GCM, and a name.
func newSealer(key []byte) (sealer, error) {
	id, err := hkdf.Expand(sha256.New, key, "vidimus keyring id", 8)
	if err != nil {
		return sealer{}, fmt.Errorf("derive the id of a seal key: %w", err)
	}
	inner, err := hkdf.Expand(sha256.New, key, "vidimus keyring seal", SealSize)
	if err != nil {
		return sealer{}, fmt.Errorf("derive from a seal key: %w", err)
	}
	block, err := aes.NewCipher(inner)
	if err != nil {
		return sealer{}, err
	}
	aead, err := cipher.NewGCM(block)
	return sealer{string(id), aead}, err
}

// seal returns a secret sealed under the first key. About names what it belongs to: it opens with the same words only.
func (s seals) seal(secret []byte, about string) box {
	b := box{By: []byte(s[0].id), Nonce: make([]byte, s[0].aead.NonceSize())}
	chance.Fill(b.Nonce)
	b.Sealed = s[0].aead.Seal(nil, b.Nonce, secret, []byte(about))
	return b
}

// fresh reports whether a box is sealed under the first key.
func (s seals) fresh(b box) bool { return string(b.By) == s[0].id }

// open returns the secret in a box, or ErrSeal with the remedy.
func (s seals) open(b box, about string) ([]byte, error) {
	for _, k := range s {
		if k.id != string(b.By) {
			continue
		}
		if len(b.Nonce) != k.aead.NonceSize() {
			return nil, fmt.Errorf("%w: its nonce has %d bytes: the record was changed by something else than this program",
				ErrSeal, len(b.Nonce))
		}
		secret, err := k.aead.Open(nil, b.Nonce, b.Sealed, []byte(about))
		if err != nil {
			return nil, fmt.Errorf("%w: the record was changed by something else than this program", ErrSeal)
		}
		return secret, nil
	}
	return nil, fmt.Errorf("%w: it was sealed under another seal key (%x) than the %d given: add that one to "+
		"Config.OldSeals", ErrSeal, b.By, len(s))
}
