// SPDX-License-Identifier: Apache-2.0

// What identifiers promise.

package ids_test

import (
	"bytes"
	"testing"
	"time"

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

func TestJitterStaysInItsHalf(t *testing.T) {
	t.Parallel()
	for range 1000 {
		if d := ids.Jitter(time.Second); d < time.Second/2 || d >= time.Second {
			t.Fatalf("jitter of 1s is %v", d)
		}
	}
	if d := ids.Jitter(1); d != 1 {
		t.Fatalf("jitter of 1ns is %v", d)
	}
}

func TestShortNamesDiffer(t *testing.T) {
	t.Parallel()
	if a, b := ids.Short(), ids.Short(); a == b || len(a) != 10 {
		t.Fatalf("got %q and %q", a, b)
	}
}
