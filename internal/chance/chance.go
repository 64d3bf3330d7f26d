// SPDX-License-Identifier: Apache-2.0

// Package chance is the only door to chance: secrets, names and jitter come from here. It needs nothing but the
// standard library.
package chance

import (
	"crypto/rand"
	"encoding/binary"
	"time"
)

// Short returns a random name of 10 characters out of 32 (50 bits), for people to read and type.
func Short() string {
	const letters = "0123456789abcdefghjkmnpqrstvwxyz" // Crockford's base 32
	var raw [10]byte
	Fill(raw[:])
	for i, b := range raw {
		raw[i] = letters[b&31]
	}
	return string(raw[:])
}

// Fill fills b with random bytes fit for secrets.
func Fill(b []byte) {
	_, _ = rand.Read(b) // never fails: crypto/rand ends the process instead
}

// Jitter returns a duration drawn evenly from [d/2, d), so that crowds spread out.
func Jitter(d time.Duration) time.Duration {
	if d < 2 {
		return d
	}
	var raw [8]byte
	Fill(raw[:])
	half := uint64(d / 2)
	return time.Duration(half + binary.LittleEndian.Uint64(raw[:])%half)
}
