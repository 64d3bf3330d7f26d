// SPDX-License-Identifier: Apache-2.0

// Examples from the RFCs, below their headers: no RFC has a token with an alg and an enc that are both read here, but
// several have content or keys in our formats. The whole tokens are tried in the module interop.

package legacy

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha512"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		panic(err)
	}
	return b
}

func sequence(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

// sealedContent is content that an RFC has encrypted, with its key.
type sealedContent struct {
	name, enc, aad     string
	key, iv, text, tag []byte
	want               string
}

func contentsOfRFCs(t *testing.T) []sealedContent {
	t.Helper()
	part := func(s string) []byte {
		b, ok := canonical(s)
		if !ok {
			t.Fatalf("%q is not canonical", s)
		}
		return b
	}
	return []sealedContent{
		{
			name: "A256GCM of RFC 7516, appendix A.1", enc: encGCM,
			aad: "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ",
			key: []byte{
				177, 161, 244, 128, 84, 143, 225, 115, 63, 180, 3, 255, 107, 154, 212, 246, 138, 7, 110, 91, 112, 46, 34,
				105, 47, 130, 203, 46, 122, 234, 64, 252,
			},
			iv:   part("48V1_ALb6US04U3b"),
			text: part("5eym8TW_c8SuK0ltJ3rpYIzOeDQz7TALvtu6UG9oMo4vpzs9tX_EFShS8iB7j6jiSdiwkIr3ajwQzaBtQD_A"),
			tag:  part("XFBoMYUZodetZdvTiFvSkQ"),
			want: "The true sign of intelligence is not knowledge but imagination.",
		},
		{
			name: "A256GCM of RFC 7520, section 5.2", enc: encGCM,
			aad: "eyJhbGciOiJSU0EtT0FFUCIsImtpZCI6InNhbXdpc2UuZ2FtZ2VlQGhvYmJpdG9uLmV4YW1wbGUiLCJlbmMiOiJBMjU2R0NNIn0",
			key: part("mYMfsggkTAm0TbvtlFh2hyoXnbEzJQjMxmgLN3d8xXA"),
			iv:  part("-nBoKLH0YkLZPSI9"),
			text: part("o4k2cnGN8rSSw3IDo1YuySkqeS_t2m1GXklSgqBdpACm6UJuJowOHC5ytjqYgRL-I-soPlwqMUf4UgRWWeaOGNw6vGW-xyM01lTY" +
				"xrXfVzIIaRdhYtEMRBvBWbEwP7ua1DRfvaOjgZv6Ifa3brcAM64d8p5lhhNcizPersuhw5f-pGYzseva-TUaL8iWnctc-sSwy7SQmRkf" +
				"hDjwbz0fz6kFovEgj64X1I5s7E6GLp5fnbYGLa1QUiML7Cc2GxgvI7zqWo0YIEc7aCflLG1-8BboVWFdZKLK9vNoycrYHumwzKluLWEb" +
				"SVmaPpOslY2n525DxDfWaVFUfKQxMF56vn4B9QMpWAbnypNimbM8zVOw"),
			tag: part("UCGiqJxhBI3IFVdPalHHvA"),
			want: "You can trust us to stick with you through thick and thin–to the bitter end. And you can trust us to " +
				"keep any secret of yours–closer than you keep it yourself. But you cannot trust us to let you face trouble " +
				"alone, and go off without a word. We are your friends, Frodo.",
		},
		{
			name: "A256CBC-HS512 of RFC 7518, appendix B.3", enc: encCBC,
			aad: "The second principle of Auguste Kerckhoffs",
			key: sequence(64), iv: unhex("1af38c2dc2b96ffdd86694092341bc04"),
			text: unhex(`4affaaadb78c31c5da4b1b590d10ffbd 3dd8d5d302423526912da037ecbcc7bd 822c301dd67c373bccb584ad3e9279c2
				e6d12a1374b77f077553df829410446b 36ebd97066296ae6427ea75c2e0846a1 1a09ccf5370dc80bfecbad28c73f09b3
				a3b75e662a2594410ae496b2e2e6609e 31e6e02cc837f053d21f37ff4f51950b be2638d09dd7a4930930806d0703b1f6`),
			tag: unhex("4dd3b4c088a7f45c216839645b2012bf 2e6269a8c56a816dbc1b267761955bc5"),
			want: "A cipher system must not be required to be secret, and it must be able to fall into the hands of " +
				"the enemy without inconvenience",
		},
	}
}

func TestContentOpensAsTheRFCsSay(t *testing.T) {
	t.Parallel()
	for _, c := range contentsOfRFCs(t) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			made, err := newContent(c.enc, c.key)
			if err != nil {
				t.Fatal(err)
			}
			open := func(aad string) ([]byte, bool) {
				sealed := slices.Concat(c.text, c.tag)
				return made.open(&box{aad: []byte(aad), iv: c.iv, sealed: sealed, tag: len(c.tag)})
			}
			got, ok := open(c.aad)
			if !ok || string(got) != c.want {
				t.Fatalf("got %q, %v; want %q", got, ok, c.want)
			}
			for name, field := range map[string][]byte{"iv": c.iv, "ciphertext": c.text, "tag": c.tag} {
				for i := range field {
					field[i] ^= 1
					if _, ok := open(c.aad); ok {
						t.Errorf("opens with byte %d of its %s changed", i, name)
					}
					field[i] ^= 1
				}
			}
			if _, ok := open(c.aad + "x"); ok {
				t.Error("opens with another header")
			}
		})
	}
}

func TestGenuinePaddingHasToBePadding(t *testing.T) {
	t.Parallel()
	block, err := aes.NewCipher(sequence(32))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		end  []byte
		want int // bytes of plaintext, -1 to refuse
	}{
		{"one byte", []byte{1}, 15},
		{"three bytes", []byte{3, 3, 3}, 13},
		{"a whole block", bytes.Repeat([]byte{16}, 16), 0},
		{"none", []byte{0}, -1},
		{"more than a block", bytes.Repeat([]byte{17}, 16), -1},
		{"three bytes that differ", []byte{3, 2, 3}, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			plain := append(make([]byte, 16-len(c.end)), c.end...)
			sealed := make([]byte, 16)
			cipher.NewCBCEncrypter(block, sequence(16)).CryptBlocks(sealed, plain)
			got, ok := decryptCBC(block, sequence(16), sealed)
			if ok != (c.want >= 0) || ok && len(got) != c.want {
				t.Errorf("got %x, %v; want %d bytes", got, ok, c.want)
			}
		})
	}
}

func TestKeysUnwrapAsRFC3394Says(t *testing.T) {
	t.Parallel()
	// Section 4.6: 256 bits of key data with a 256-bit key.
	wrapped := unhex("28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21")
	want := unhex("00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F")
	block, err := aes.NewCipher(sequence(32))
	if err != nil {
		t.Fatal(err)
	}
	got, ok := unwrap(block, wrapped)
	if !ok || !bytes.Equal(got, want) {
		t.Fatalf("got %x, %v; want %x", got, ok, want)
	}
	if again := wrapKey(sequence(32), want); !bytes.Equal(again, wrapped) {
		t.Errorf("the kit wraps to %x, want %x", again, wrapped)
	}
	for i := range wrapped {
		wrapped[i] ^= 0x80
		if _, ok := unwrap(block, wrapped); ok {
			t.Errorf("unwraps with byte %d changed", i)
		}
		wrapped[i] ^= 0x80
	}
	for _, size := range []int{0, 8, 16, 23, 39} {
		if _, ok := unwrap(block, make([]byte, size)); ok {
			t.Errorf("unwraps %d bytes", size)
		}
	}
}

// The key of RFC 7520, section 5.3, is wrapped with A256KW, under a key that PBES2 makes from a password.
func TestKeysUnwrapAsRFC7520Says(t *testing.T) {
	t.Parallel()
	salt, ok := canonical("8Q1SzinasR3xchYz6ZZcHA")
	wrapped, ok2 := canonical("d3qNhUWfqheyPp4H8sjOWsDYajoej4c5Je6rlUtFPWdgtURtmeDV1g")
	if !ok || !ok2 {
		t.Fatal("the example is not canonical")
	}
	salt = append([]byte("PBES2-HS512+A256KW\x00"), salt...)
	key, err := pbkdf2.Key(sha512.New, "entrap_o–peter_long–credit_tun", salt, 8192, 32)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	got, ok := unwrap(block, wrapped)
	if want := "uwsjJXaBK407Qaf0_zpcpmr1Cs0CC50hIUEyGNEt3m0"; !ok || b64(got) != want {
		t.Errorf("got %s, %v; want %s", b64(got), ok, want)
	}
}
