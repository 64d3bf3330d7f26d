// SPDX-License-Identifier: Apache-2.0

// Tokens: their text, their secret and what is kept of it.

// Package token says who may do what with a journal over the network, and keeps it in the journal itself.
//
// A token reads vid_<id>_<secret>. The journal keeps a hash of the secret, never the secret. What a token may do is a
// list of [Right]s. A [Book] makes, lists, revokes and verifies the tokens of one journal; all nodes of the journal
// obey a revocation within [Bound].
package token

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"time"

	"example.com/vidimus/internal/chance"
	"example.com/vidimus/journal"
)

// Kind is the kind of the records that hold tokens.
const Kind = "token"

// ErrUnauthenticated: there is no such token, its secret is wrong, or it has expired or been revoked. Which of these it
// is stays untold.
var ErrUnauthenticated = errors.New("unauthenticated")

// Token is what may be known of a token: all but its secret.
type Token struct {
	ID string
	// Name says who holds it.
	Name   string
	Rights Rights
	// Last4 are the last characters of the secret, to recognise it by.
	Last4   string
	Created time.Time
	// Expires is when it ends; zero is never.
	Expires time.Time
}

// Spec is what a new token is to be.
type Spec struct {
	// Name says who holds it.
	Name string
	// Rights are what it may do; at least one.
	Rights Rights
	// Expires is when it ends; zero is never.
	Expires time.Time
}

func (s *Spec) validate(now time.Time) error {
	invalid := func(field, problem string) error { return &journal.InvalidError{Field: field, Problem: problem} }
	switch {
	case s.Name == "":
		return invalid("name", "is missing; say who will hold the token")
	case len(s.Name) > journal.MaxName:
		return invalid("name", fmt.Sprintf("has %d bytes, the limit is %d", len(s.Name), journal.MaxName))
	case strings.ContainsFunc(s.Name, unprintable):
		return invalid("name", "holds characters that cannot be printed")
	case strings.Contains(s.Name, "/"):
		return invalid("name", "holds a '/', which parts a token's name from the names of those who work under it")
	case len(s.Rights) == 0:
		return invalid("rights", "are missing; give at least one, such as read:order or admin")
	case len(s.Rights) > maxRights:
		return invalid("rights",
			fmt.Sprintf("are %d, the limit is %d; use patterns such as order*", len(s.Rights), maxRights))
	case !s.Expires.IsZero() && !s.Expires.After(now):
		return invalid("expires", "lies in the past; choose a later time, or none")
	}
	for i := range s.Rights {
		if err := s.Rights[i].validate(); err != nil {
			return err
		}
	}
	return nil
}

func unprintable(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }

const (
	prefix      = "vid_"
	idLength    = 10
	secretBytes = 20
	secretText  = 32 // secretBytes in base 32
	maxRights   = 64
)

const letters = "0123456789abcdefghjkmnpqrstvwxyz" // Crockford's base 32, as in chance.Short

// newSecret returns 160 random bits as text. Because it is random, one round of SHA-256 is enough to store it.
func newSecret() string {
	var raw [secretBytes]byte
	chance.Fill(raw[:])
	return base32.NewEncoding(letters).WithPadding(base32.NoPadding).EncodeToString(raw[:])
}

// parse takes the text of a token apart.
func parse(text string) (id, secret string, err error) {
	rest, ok := strings.CutPrefix(text, prefix)
	id, secret, found := strings.Cut(rest, "_")
	if !ok || !found || len(id) != idLength || len(secret) != secretText || !plain(id) || !plain(secret) {
		return "", "", fmt.Errorf("%w: this is no token; it reads vid_<id>_<secret>", ErrUnauthenticated)
	}
	return id, secret, nil
}

func plain(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !strings.ContainsRune(letters, r) })
}

// matches compares a secret with the hash that was kept, in constant time.
func matches(secret string, hash []byte) bool {
	sum := sha256.Sum256([]byte(secret))
	return subtle.ConstantTimeCompare(sum[:], hash) == 1
}
