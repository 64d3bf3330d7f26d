// SPDX-License-Identifier: Apache-2.0

// Who may sign in, and how passwords are kept.

package signin

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"

	"example.com/vidimus/session"
)

// iterations of PBKDF2-HMAC-SHA-512, as OWASP's Password Storage Cheat Sheet recommends.
const iterations = 220_000

// longest is how long a password may be, so that nobody makes us hash a book.
const longest = 128

// User is somebody the sample knows. A real login service keeps them in its own database.
type User struct {
	ID, Name   string
	salt, hash string // base64; the password itself is kept nowhere
	// State is what the subject begins with when it signs in for the first time.
	State session.State
}

// Demo is a user with the password that the sign-in page gives away.
type Demo struct{ Name, Password string }

// Users returns the users of the sample.
func Users() []User {
	return []User{
		{"ada", "Ada", "H3xvMpYaYqZpiIqeX579Fw", "kqhk3aOCVhgS0KtgmkDQgSOmPMYy0DL0NEKzS7I2D9Q", state("Ada", "NJ", 300_00)},
		{"ben", "Ben", "GkDvhBKJjH5rfiMJSqeBlQ", "8mPelr2XMjzqqd0HQBLHLIud29IFv94Q2dcWJnbWbTQ", state("Ben", "PA", 150_00)},
	}
}

// Demos returns the users with their passwords, for people who try the sample.
func Demos() []Demo {
	return []Demo{{"ada", "analytical-engine"}, {"ben", "kite-and-key"}}
}

// state is the public state of a subject, as the schema of the box office declares it.
func state(name, permit string, limit int64) session.State {
	raw := func(v any) json.RawMessage {
		b, _ := json.Marshal(v) // strings and numbers always marshal
		return b
	}
	return session.State{"name": raw(name), "permit": raw(permit), "limit": raw(limit)}
}

// hashes checks passwords, a few at a time: each costs a processor a tenth of a second or more.
type hashes struct{ slots chan struct{} }

func newHashes(atOnce int) hashes { return hashes{make(chan struct{}, atOnce)} }

// check returns the user if the password is right, as slowly for an unknown name as for a wrong password. It waits for
// its turn, and returns the error of ctx when that ends first.
func (h hashes) check(ctx context.Context, id, password string) (*User, error) {
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	known := Users()
	user, found := &known[0], false
	for i := range known {
		if known[i].ID == id {
			user, found = &known[i], true
		}
	}
	salt, err := base64.RawStdEncoding.DecodeString(user.salt)
	if err != nil {
		return nil, err
	}
	want, err := base64.RawStdEncoding.DecodeString(user.hash)
	if err != nil {
		return nil, err
	}
	got, err := pbkdf2.Key(sha512.New, password, salt, iterations, len(want))
	if err != nil || subtle.ConstantTimeCompare(got, want) != 1 || !found {
		return nil, err
	}
	return user, nil
}
