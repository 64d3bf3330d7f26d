// SPDX-License-Identifier: Apache-2.0

// Package ids makes, reads and writes the identifiers of events.
package ids

import (
	"fmt"

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
