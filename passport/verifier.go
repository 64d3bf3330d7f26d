// SPDX-License-Identifier: Apache-2.0

// The verifier: genuine, for us, in time. What was changed since is decided in check.go.

package passport

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"example.com/vidimus/internal/clock"
)

// defaultRemembered is how many verified passports a verifier remembers.
const defaultRemembered = 100_000

// Config configures a [Verifier].
type Config struct {
	// Issuer is whom passports must be from, and Audience the trust domain that they must be for. Both are required.
	Issuer, Audience string
	// Keys are the keys of the issuer; or KeysNow returns those of the moment, for who has them in the process, and is
	// called for every passport, so it must be quick; or KeysURL is where the issuer publishes them, such as
	// "https://id.example/.well-known/jwks.json". One of them is required.
	Keys    *KeySet
	KeysNow func() *KeySet
	KeysURL string
	// Client fetches the keys; nil for one with a timeout of 5 s that follows no redirects.
	Client *http.Client
	// Skew is how far the clocks of the issuer and this process may differ; 0 for [DefaultSkew], at most a minute.
	Skew time.Duration
	// View is what is known of changes. Without one, staleness is unknown: a route with a MaxStale refuses everything,
	// or asks the authority.
	View View
	// Authority replaces passports, for routes that ask and for requests that want more than the view knows; nil for
	// nobody.
	Authority Replacer
	// Remember is how many verified passports are remembered, at most 4,000,000; 0 for [defaultRemembered], below 0 for
	// none.
	Remember int
	// Now is the wall clock, which decides on iat, exp and nbf alone; nil for the system's.
	Now func() time.Time
}

// Verifier decides on passports. Goroutines may share it.
type Verifier struct {
	cfg    Config
	skew   int64 // seconds
	keys   atomic.Pointer[KeySet]
	source *source // nil for static keys
	amr    atomic.Pointer[map[string][]string]
	memory *memory // nil for none
}

// New returns a verifier. It returns an [InvalidError] for a Config that cannot work. It fetches nothing yet.
func New(cfg Config) (*Verifier, error) {
	return nil, nil
}

var _ = base64.RawURLEncoding
var _ = ed25519.Verify
var _ = strings.Cut

var _ = clock.Now

type source struct{}
type memory struct{}

// Verify returns what a passport says if it is genuine: spelled in the one canonical way, signed by a key of the
// issuer, for this audience, and in time. It does not look at what was changed since, nor at scopes: [Verifier.Check]
// does. It returns [ErrInvalid], [ErrExpired] or, when the keys cannot be fetched, [ErrUnavailable]. The claims alias
// memory of their own.
func (v *Verifier) Verify(ctx context.Context, token string) (Claims, error) {
	return Claims{}, nil
}
