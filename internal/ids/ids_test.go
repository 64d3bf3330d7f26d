// SPDX-License-Identifier: Apache-2.0

// What identifiers promise.

package ids_test

import (
	"bytes"
	"testing"

	"example.com/vidimus/internal/ids"
)

func TestNewIDsSortInTheOrderTheyWereMade(t *testing.T) {
	t.Parallel()
	last := ids.New()
	for range 10_000 {
		next := ids.New()
		if bytes.Compare(next[:], last[:]) <= 0 {
			t.Fatalf("%s does not sort after %s", ids.Format(next), ids.Format(last))
		}
		last = next
	}
}

func TestFormatAndParseAreInverse(t *testing.T) {
	t.Parallel()
	id := ids.New()
	got, err := ids.Parse(ids.Format(id))
	if err != nil || got != id {
		t.Fatalf("got %v, %v, want %v", got, err, id)
	}
	if _, err := ids.Parse("not-an-id"); err == nil {
		t.Fatal("parsed a text that is no id")
	}
}

func TestParseRefusesOtherForms(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"", "0190a1b2c3d47e5f8a9b0c1d2e3f4a5b", "{0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b}",
		"urn:uuid:0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5",
	} {
		if id, err := ids.Parse(s); err == nil || id != [16]byte{} {
			t.Errorf("%q: got %x, %v; want an error", s, id, err)
		}
	}
}
