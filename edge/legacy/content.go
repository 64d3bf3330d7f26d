// SPDX-License-Identifier: Apache-2.0

// Authenticated decryption: A256GCM and A256CBC-HS512 (RFC 7518, sections 5.2 and 5.3), and AES key unwrapping (RFC
// 3394).

package legacy

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
)

// content is a key for the content of a token, with the only enc it is good for.
type content struct {
	enc   string
	gcm   cipher.AEAD
	block cipher.Block
	mac   []byte
}

func newContent(enc string, key []byte) (content, error) {
	switch {
	case enc == encGCM && len(key) == 32:
		block, err := aes.NewCipher(key)
		if err != nil {
			return content{}, err
		}
		gcm, err := cipher.NewGCM(block)
		return content{enc: enc, gcm: gcm}, err
	case enc == encCBC && len(key) == 64:
		block, err := aes.NewCipher(key[32:])
		return content{enc: enc, block: block, mac: key[:32]}, err
	}
	return content{}, fmt.Errorf("%s with a key of %d bytes", enc, len(key))
}

// box is what a content key is tried on: the same for every key, with room for what comes out.
type box struct {
	aad, iv []byte
	sealed  []byte // the ciphertext, and behind it the tag
	tag     int    // bytes of it
	room    []byte
}

// open returns the plaintext, or false if anything about it is not genuine. The sizes were checked before. It is good
// until the box is opened again.
func (c *content) open(b *box) ([]byte, bool) {
	if c.gcm != nil {
		plain, err := c.gcm.Open(b.room[:0], b.iv, b.sealed, b.aad)
		return plain, err == nil
	}
	ciphertext, tag := b.sealed[:len(b.sealed)-b.tag], b.sealed[len(b.sealed)-b.tag:]
	mac := hmac.New(sha512.New, c.mac)
	mac.Write(b.aad)
	mac.Write(b.iv)
	mac.Write(ciphertext)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(b.aad))*8))
	if subtle.ConstantTimeCompare(mac.Sum(nil)[:32], tag) != 1 {
		return nil, false
	}
	return decryptCBC(c.block, b.iv, ciphertext)
}

// decryptCBC decrypts and takes the padding off (RFC 5652, section 6.3). Only what was proved genuine comes here, so
// it tells nobody anything.
func decryptCBC(block cipher.Block, iv, ciphertext []byte) ([]byte, bool) {
	plain := make([]byte, len(ciphertext))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, ciphertext)
	pad := int(plain[len(plain)-1])
	if pad == 0 || pad > aes.BlockSize {
		return nil, false
	}
	for _, b := range plain[len(plain)-pad:] {
		if int(b) != pad {
			return nil, false
		}
	}
	return plain[:len(plain)-pad], true
}

// unwrap takes a key out of its wrapping (RFC 3394, section 2.2.2).
func unwrap(block cipher.Block, wrapped []byte) ([]byte, bool) {
	n := len(wrapped)/8 - 1
	if n < 2 || len(wrapped)%8 != 0 {
		return nil, false
	}
	var b [16]byte
	copy(b[:8], wrapped[:8])
	key := append([]byte(nil), wrapped[8:]...)
	for t := 6 * n; t > 0; t-- {
		part := key[(t-1)%n*8:][:8]
		binary.BigEndian.PutUint64(b[:8], binary.BigEndian.Uint64(b[:8])^uint64(t))
		copy(b[8:], part)
		block.Decrypt(b[:], b[:])
		copy(part, b[8:])
	}
	initial := [8]byte{0xA6, 0xA6, 0xA6, 0xA6, 0xA6, 0xA6, 0xA6, 0xA6}
	return key, subtle.ConstantTimeCompare(b[:8], initial[:]) == 1
}
