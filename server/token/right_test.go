// SPDX-License-Identifier: Apache-2.0

// Rights read as they are written, and cover no more than they say.

package token_test

import (
	"errors"
	"testing"

	"example.com/vidimus/journal"
	"example.com/vidimus/server/token"
)

func TestRightsCoverWhatTheySay(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		right string
		verb  token.Verb
		name  string
		want  bool
	}{
		{"read:order", token.Read, "order", true},
		{"read:order", token.Read, "orders", false},
		{"read:order", token.Read, "", false},
		{"read:order", token.Append, "order", false},
		{"read:order*", token.Read, "orders", true},
		{"read:order*", token.Read, "orde", false},
		{"read:*", token.Read, "anything", true},
		{"read:*", token.Append, "anything", false},
		{"admin", token.Read, "anything", true},
		{"admin", token.Lease, "anything", true},
		{"lease:seat/12", token.Lease, "seat/12", true},
		{"consumer:mailer-*", token.Consumer, "mailer-1", true},
		{"session:acme", token.Session, "acme", true},
		{"session:acme", token.Session, "acme2", false},
		{"session:acme", token.Session, "", false},
		{"session:acme", token.Passport, "acme", false},
		{"session:*", token.Session, "", true},
		{"passport:shop.example", token.Passport, "shop.example", true},
		{"passport:shop.example", token.Passport, "shop", false},
		{"feed", token.Feed, "", true},
		{"feed", token.Session, "", false},
		{"admin", token.Feed, "", true},
	} {
		rights, err := token.ParseRights(tt.right)
		if err != nil {
			t.Fatal(err)
		}
		if got := rights.Allow(tt.verb, tt.name); got != tt.want {
			t.Errorf("%s allows %s on %q: %v, want %v", tt.right, tt.verb, tt.name, got, tt.want)
		}
		if got := rights[0].String(); got != tt.right {
			t.Errorf("%s is written %s", tt.right, got)
		}
	}
}

func TestBadRightsAreRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "read", "read:", "fly:order", "admin:order", "admin:", "admin:*", "read:or*er", "read:**", "read:order-1",
		"append:order-*", "record:*", "record:lease", "record:token", "record:session", "record:checkpoint", "read:\x00",
		"Read:order", " read:order", "feed:", "feed:*", "feed:acme", "session", "session:", "passport:", "session:a*b",
		"record:keyring", "record:keyring-old", "record:presence", "record:subject",
	} {
		if r, err := token.ParseRight(text); !errors.Is(err, journal.ErrInvalid) {
			t.Errorf("%q was read as %v, %v, want invalid", text, r, err)
		}
	}
}

func TestReservedKinds(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]bool{
		"lease": true, "lease-queue": true, "token": true, "session": true, "timer": true, "flow.step": true,
		"basket": false, "leasehold": false, "tokens2": false, "": false,
	} {
		if got := token.Reserved(kind); got != want {
			t.Errorf("%q is reserved: %v, want %v", kind, got, want)
		}
	}
}

func FuzzParseRight(f *testing.F) {
	for _, text := range []string{"read:order", "append:*", "admin", "record:cart*", "lease:a/b", "admin:", "x:y:z"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := token.ParseRight(text)
		if err != nil {
			return
		}
		if again, err := token.ParseRight(r.String()); err != nil || again != r || r.String() != text {
			t.Errorf("%q reads as %v, which reads as %v, %v", text, r, again, err)
		}
	})
}
