// SPDX-License-Identifier: Apache-2.0

// Handles: what a browser's cookie holds of a session.

package keyring

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/passport"
	"example.com/vidimus/passport/header"
)

// Parts of a handle.
const (
	sidSize = 22 // base64url of 128 bits
	macSize = 22
)

// Handle returns the opaque handle of a generation of a session: "v1.<cell>.<sid>.<generation>.<mac>". The MAC is
// HMAC-SHA-256, cut to 128 bits, with a key that all nodes of the authority share.
func (r *Ring) Handle(cell, sid string, generation int64) string {
	s := r.snapshot.Load()
	text := header.HandlePrefix + cell + "." + sid + "." + strconv.FormatInt(generation, 10)
	return text + "." + s.handles[signs(s.handles, clock.Now())].mac(text)
}

// OpenHandle returns what a handle says, or [passport.ErrNoSession] if it is not one of ours or of another cell. What
// it takes depends on the length of the handle alone. It returns [passport.ErrUnavailable] for a handle it does not
// know when the ring is behind: another node may have made it.
func (r *Ring) OpenHandle(cell, handle string) (sid string, generation int64, err error) {
	s := r.snapshot.Load()
	if len(handle) > header.HandleMax {
		return "", 0, passport.ErrNoSession
	}
	cut := max(strings.LastIndexByte(handle, '.'), 0)
	text, mac := handle[:cut], strings.TrimPrefix(handle[cut:], ".")
	good := 0
	for i := range s.handles {
		good |= subtle.ConstantTimeCompare([]byte(s.handles[i].mac(text)), []byte(mac))
	}
	if good == 0 {
		if clock.Age(s.read) > r.handles.before {
			return "", 0, fmt.Errorf("%w: %w", passport.ErrUnavailable, ErrBehind)
		}
		return "", 0, passport.ErrNoSession
	}
	// Genuine from here on, so only what this ring once wrote is taken apart.
	rest, ours := strings.CutPrefix(text, header.HandlePrefix+cell+".")
	sid, number, two := strings.Cut(rest, ".")
	generation, err = strconv.ParseInt(number, 10, 64)
	if !ours || !two || len(sid) != sidSize || err != nil {
		return "", 0, passport.ErrNoSession
	}
	return sid, generation, nil
}

// mac returns the code of a text, in base64url.
func (k *handleKey) mac(text string) string {
	h := hmac.New(sha256.New, k.secret)
	h.Write([]byte(text))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16])
}
