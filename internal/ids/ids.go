// SPDX-License-Identifier: Apache-2.0

// Package ids is the only door to chance: identifiers, secrets and jitter come from here.
package ids

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// New returns a UUIDv7 (RFC 9562): it sorts after every one this process made before.
func New() [16]byte { return uuid.Must(uuid.NewV7()) }

// canonical is how long the canonical text form of a UUID is.
const canonical = 36

// Parse reads a UUID in its canonical text form, in letters of either case.
func Parse(s string) ([16]byte, error) {
	if len(s) != canonical {
		return [16]byte{}, fmt.Errorf("a UUID has %d characters, not %d", canonical, len(s))
	}
	id, err := uuid.Parse(s)
	return id, err
}

// Format writes a UUID in its canonical text form.
func Format(id [16]byte) string { return uuid.UUID(id).String() }

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
