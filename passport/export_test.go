// SPDX-License-Identifier: Apache-2.0

// What tests from outside need of the inside.

package passport

import (
	"crypto/ed25519"
	"encoding/base64"
	"time"

	"example.com/vidimus/internal/clock/clocktest"
)

// Open checks the form and the signature of any JWS in compact form whose header is head.
func Open(token, head string, public ed25519.PublicKey) ([]byte, error) {
	payload, err := open(token, head, &Key{Public: public})
	if err != nil {
		return nil, err
	}
	return payload, nil
}

// SignPayload signs any payload as if it were a passport's.
func (s *Signer) SignPayload(payload []byte) string { return s.SignUnder(s.jose, payload) }

// SignUnder signs any payload under any first part, which ends with a point.
func (s *Signer) SignUnder(jose string, payload []byte) string {
	text := base64.RawURLEncoding.AppendEncode([]byte(jose), payload)
	return string(text) + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(s.private, text))
}

// Remembered is how many passports a verifier remembers now.
func (v *Verifier) Remembered() int {
	n := 0
	for i := range v.memory.shards {
		s := &v.memory.shards[i]
		s.mu.Lock()
		n += s.mu.count
		s.mu.Unlock()
	}
	return n
}

// Sleep makes what a verifier knows of keys as old as if the machine had slept.
func (v *Verifier) Sleep(d time.Duration) {
	v.source.mu.Lock()
	defer v.source.mu.Unlock()
	v.source.mu.fetched = clocktest.BeforeSleep(v.source.mu.fetched, d)
	v.source.mu.tried = clocktest.BeforeSleep(v.source.mu.tried, d)
}

// SleepWith makes what the authority gave for a passport as old as if the machine had slept.
func (v *Verifier) SleepWith(token string, d time.Duration) {
	r := v.memory.find(token, v.memory.hash(token)).replaced.Load()
	r.asked = clocktest.BeforeSleep(r.asked, d)
}
