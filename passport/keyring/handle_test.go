// SPDX-License-Identifier: Apache-2.0

// Handles: what is genuine opens, and nothing else.

package keyring_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"example.com/vidimus/journal/mem"
	"example.com/vidimus/passport"
	"example.com/vidimus/passport/header"
	"example.com/vidimus/passport/keyring"
)

func TestForgedHandlesAreRefused(t *testing.T) {
	t.Parallel()
	r := mustOpen(t, mem.Open(), keyring.Config{})
	other := mustOpen(t, mem.Open(), keyring.Config{})
	sid := strings.Repeat("a", 22)
	good := r.Handle("main", sid, 12)
	if got, generation, err := r.OpenHandle("main", good); got != sid || generation != 12 || err != nil {
		t.Fatalf("OpenHandle(%q) = %q, %d, %v", good, got, generation, err)
	}
	if cell, ok := header.HandleCell(good); cell != "main" || !ok {
		t.Errorf("%q has not the form of a handle", good)
	}
	mac := good[strings.LastIndexByte(good, '.')+1:]
	for name, handle := range map[string]string{
		"empty":               "",
		"of another ring":     other.Handle("main", sid, 12),
		"of another cell":     r.Handle("west", sid, 12),
		"of a longer cell":    r.Handle("main.x", sid, 12),
		"another session":     strings.Replace(good, "aaa", "aab", 1),
		"another generation":  strings.Replace(good, ".12.", ".13.", 1),
		"a padded generation": strings.Replace(good, ".12.", ".012.", 1),
		"another version":     "v2" + good[2:],
		"truncated":           good[:len(good)-1],
		"longer":              good + "A",
		"without a MAC":       strings.TrimSuffix(good, mac),
		"only a MAC":          mac,
		"dots":                "....",
		"padded":              good + "==",
		"other trailing bits": good[:len(good)-1] + "_",
		"huge":                strings.Repeat(good, 1000),
		"a short session id":  r.Handle("main", "short", 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if sid, _, err := r.OpenHandle("main", handle); !errors.Is(err, passport.ErrNoSession) {
				t.Errorf("OpenHandle(%.80q) = %q, %v, want ErrNoSession", handle, sid, err)
			}
		})
	}
}

// FuzzOpenHandle: nothing opens but what the ring wrote, letter by letter.
func FuzzOpenHandle(f *testing.F) {
	r, err := keyring.Open(context.Background(), keyring.Config{Log: mem.Open(), Seal: seal(1)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("v1.main.aaaaaaaaaaaaaaaaaaaaaa.1.bbbbbbbbbbbbbbbbbbbbbb")
	f.Add(r.Handle("main", strings.Repeat("a", 22), 7))
	f.Fuzz(func(t *testing.T, handle string) {
		sid, generation, err := r.OpenHandle("main", handle)
		if err == nil && r.Handle("main", sid, generation) != handle {
			t.Errorf("%q opens as %q, %d", handle, sid, generation)
		}
	})
}
