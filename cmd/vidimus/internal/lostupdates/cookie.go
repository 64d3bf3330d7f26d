// SPDX-License-Identifier: Apache-2.0

// The shop that keeps its state in the browser: an encrypted cookie (JWE, RFC 7516, dir and A256GCM), as many libraries
// write it.

package lostupdates

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"

	"example.com/vidimus/internal/chance"
)

// jweHeader is the protected header of every cookie.
const jweHeader = `{"alg":"dir","enc":"A256GCM"}`

const cookieName = "session"

// cookieKeeper keeps nothing but the key, and the limit that new cookies get.
type cookieKeeper struct {
	sealer cipher.AEAD
	limit  atomic.Int64
}

func openCookieShop(context.Context, string) (*shop, error) {
	k, err := newCookieKeeper()
	if err != nil {
		return nil, err
	}
	return usualShop(k, func() int { return int(k.limit.Load()) }), nil
}

func newCookieKeeper() (*cookieKeeper, error) {
	key := make([]byte, 32)
	chance.Fill(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	sealer, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &cookieKeeper{sealer: sealer}, nil
}

func (k *cookieKeeper) load(r *http.Request) (s state, ok bool) {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return state{}, false
	}
	text, err := k.open(c.Value)
	if err != nil || json.Unmarshal(text, &s) != nil {
		return state{}, false
	}
	return s, true
}

func (k *cookieKeeper) save(w http.ResponseWriter, _ *http.Request, s state) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: k.seal(text), Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	return nil
}

func (k *cookieKeeper) end(w http.ResponseWriter, _ *http.Request) {
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: "/", MaxAge: -1})
}

// operate changes the account. What is in cookies out there cannot be reached.
func (k *cookieKeeper) operate(limit int) { k.limit.Store(int64(limit)) }

// seal writes the compact form: header, no key, initialization vector, ciphertext, tag.
func (k *cookieKeeper) seal(text []byte) string {
	header := encode([]byte(jweHeader))
	vector := make([]byte, k.sealer.NonceSize())
	chance.Fill(vector)
	sealed := k.sealer.Seal(nil, vector, text, []byte(header))
	tag := len(sealed) - k.sealer.Overhead()
	return strings.Join([]string{header, "", encode(vector), encode(sealed[:tag]), encode(sealed[tag:])}, ".")
}

func (k *cookieKeeper) open(value string) ([]byte, error) {
	parts := strings.Split(value, ".")
	if len(parts) != 5 || parts[0] != encode([]byte(jweHeader)) || parts[1] != "" {
		return nil, errors.New("not a cookie of this shop")
	}
	vector, errVector := decode(parts[2])
	sealed, errSealed := decode(parts[3])
	tag, errTag := decode(parts[4])
	if err := errors.Join(errVector, errSealed, errTag); err != nil {
		return nil, err
	}
	if len(vector) != k.sealer.NonceSize() {
		return nil, errors.New("a vector of another size")
	}
	return k.sealer.Open(nil, vector, append(sealed, tag...), []byte(parts[0]))
}

func encode(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

func decode(text string) ([]byte, error) { return base64.RawURLEncoding.Strict().DecodeString(text) }
