// SPDX-License-Identifier: Apache-2.0

// What a reader of legacy cookies is configured with, and what it finds in a request.

// Package legacy reads the encrypted state cookies that applications had before, so that their users stay signed in.
//
// It decrypts what Auth.js, next-auth, iron-session and plain jose write, and never writes any of it. A [Reader]
// turns the cookies of a request into an identity; a [Gate] decides what becomes of it: it compares it with the
// journal (shadow), starts a session for it once (import, cut over), or refuses it.
package legacy

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"example.com/vidimus/internal/clock"
)

// Limits of a [Reader].
const (
	MaxCookies = 4        // in one configuration
	MaxKeys    = 4        // of one cookie: so many are tried at most
	maxChunks  = 8        // that one cookie may be split into
	MaxSize    = 16 << 10 // bytes of one cookie, its chunks joined
	// DefaultSkew is how far the clock of the application that wrote the cookies may be off.
	DefaultSkew = 15 * time.Second
	// DefaultLife is the ttl of iron-session's seals.
	DefaultLife = 14 * 24 * time.Hour
)

// Format is how a cookie was encrypted.
type Format string

// The formats. What each of them does was read in the packages' sources, at the versions named.
const (
	// AuthJS is the session token of Auth.js v5 (@auth/core 0.41.3, jwt.js): JWE, dir, A256CBC-HS512 or A256GCM, with a
	// key derived by HKDF from the secret and the cookie's name, and named by its thumbprint (RFC 7638).
	AuthJS Format = "authjs"
	// NextAuth is the session token of next-auth v4 (4.24.15, jwt/index.js): JWE, dir, A256GCM, with a key derived by
	// HKDF.
	NextAuth Format = "next-auth"
	// Iron is the seal of iron-session v8 and v9 (8.0.4 and 9.0.1, on iron-webcrypto 1.2.1 and 2.0.0): Fe26.2.
	Iron Format = "iron-session"
	// JoseDir is any JWE with alg dir: the secret's length says which enc, 32 bytes A256GCM and 64 bytes A256CBC-HS512.
	JoseDir Format = "jose-dir"
	// JoseKW is any JWE with alg A256KW and a secret of 32 bytes; enc is A256GCM or A256CBC-HS512.
	JoseKW Format = "jose-a256kw"
)

// Key is one secret that cookies were encrypted with.
type Key struct {
	// ID is the kid of a JWE, or the password id of a seal. A JWE key without one is tried for every kid; a seal's is
	// "1", as iron-session's. AuthJS and NextAuth need none.
	ID string
	// Secret is AUTH_SECRET, NEXTAUTH_SECRET, or the password, as they stand in the application's configuration; for
	// jose, the bytes of the key.
	Secret []byte
}

// Cookie describes one legacy cookie.
type Cookie struct {
	// Name is the whole name, prefixes included, such as "__Secure-authjs.session-token". Chunks are Name.0, Name.1 and
	// so on.
	Name   string
	Format Format
	// Keys are tried in this order, at most [MaxKeys] of them: put the one in use first.
	Keys []Key
	// Life is how long a seal lives, for the time at which it was made: seals say only when they end. 0 for
	// [DefaultLife].
	Life time.Duration
	// Endless accepts cookies that never expire. The record of their import is then kept for good.
	Endless bool
	// Domain and Path are those it was set with: a browser deletes only what matches. Empty Path means "/".
	Domain, Path string
}

// Config configures a [Reader].
type Config struct {
	// Cookies are looked for in this order; the first good one counts.
	Cookies []Cookie
	// Map says whom a cookie stands for, and with which state. Nil takes the subject from the claim "sub", and no state.
	Map func(Token) (Identity, error)
	// Skew is how far the clock of the application may be off; 0 for [DefaultSkew].
	Skew time.Duration
}

// Token is a cookie that was decrypted, and is genuine and current.
type Token struct {
	Cookie string // its name
	Format Format
	Claims map[string]json.RawMessage
	// Issued is when it was made, as far as it says: the zero time if it does not. Applications that roll their cookies
	// make a new one now and then, so it is not when somebody signed in.
	Issued time.Time
	// Expires is when it ends; the zero time if it never does.
	Expires time.Time
}

// Decode decodes the claims into a value, as json.Unmarshal does.
func (t *Token) Decode(v any) error {
	text, err := json.Marshal(t.Claims)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, v)
}

// Identity is whom a cookie stands for.
type Identity struct {
	Tenant, Subject string
	// State are attributes of the session, SubjectState those that all sessions of the subject share. Null, as nil, says
	// that there is none: it is compared, and not imported.
	State, SubjectState map[string]json.RawMessage
	// SignIn, if the application kept one, is what names the sign-in in every cookie that was rolled from it. All of
	// them are then imported as one session. Without it, each cookie counts alone.
	SignIn string
	// Issued corrects the time at which the cookie was made, where the claims know it better.
	Issued time.Time
	// ACR and AMR say how the subject was recognised.
	ACR string
	AMR []string
}

// Found is what a request brought.
type Found struct {
	Token
	Identity Identity
	// Key names the sign-in: the hash of what [Identity] says of it, or else of the cookie, whose text has one spelling.
	Key [32]byte
}

var (
	// ErrNone: the request has no legacy cookie.
	ErrNone = errors.New("no legacy cookie")
	// ErrRefused: it has one that is no good. [Why] has the reason, which is for logs and not for clients.
	ErrRefused = errors.New("legacy cookie refused")
)

// InvalidError says which field of a [Config] or a [GateConfig] is wrong, and what would be right. It quotes no secret.
type InvalidError struct {
	Field   string // such as Cookies[0].Keys[1].Secret
	Problem string
}

func (e *InvalidError) Error() string { return fmt.Sprintf("legacy: %s %s", e.Field, e.Problem) }

func invalid(field, format string, args ...any) error {
	return &InvalidError{field, fmt.Sprintf(format, args...)}
}

// Reader reads legacy cookies. Goroutines may share it.
type Reader struct {
	cookies  []reading
	identify func(Token) (Identity, error)
	skew     time.Duration
}

// reading is one cookie with its keys made ready.
type reading struct {
	Cookie
	jwe  []jweKey
	iron []ironKey
}

// NewReader checks a configuration and derives its keys. It returns an [InvalidError].
func NewReader(cfg Config) (*Reader, error) {
	if n := len(cfg.Cookies); n == 0 || n > MaxCookies {
		return nil, invalid("Cookies", "has %d: name 1 to %d", n, MaxCookies)
	}
	if cfg.Skew < 0 {
		return nil, invalid("Skew", "is %v, below 0: give 0 for %v", cfg.Skew, DefaultSkew)
	}
	r := &Reader{identify: cfg.Map, skew: cmp.Or(cfg.Skew, DefaultSkew)}
	if r.identify == nil {
		r.identify = bySub
	}
	for i, c := range cfg.Cookies {
		field := fmt.Sprintf("Cookies[%d]", i)
		prepared, err := prepare(field, c)
		if err != nil {
			return nil, err
		}
		for _, other := range r.cookies {
			if other.owns(c.Name) || prepared.owns(other.Name) {
				return nil, invalid(field+".Name", "%q is named twice, or like a chunk of another: name each once", c.Name)
			}
		}
		r.cookies = append(r.cookies, prepared)
	}
	return r, nil
}

// prepare checks one cookie and derives its keys.
func prepare(field string, c Cookie) (reading, error) {
	c.Life, c.Path = cmp.Or(c.Life, DefaultLife), cmp.Or(c.Path, "/")
	for _, probe := range []struct {
		field  string
		cookie http.Cookie
	}{
		{".Name", http.Cookie{Name: c.Name}},
		{".Domain", http.Cookie{Name: "x", Domain: c.Domain}},
		{".Path", http.Cookie{Name: "x", Path: c.Path}},
	} {
		if err := probe.cookie.Valid(); err != nil {
			return reading{}, invalid(field+probe.field, "is none (%v): give it as the application sets it", err)
		}
	}
	if c.Life < 0 {
		return reading{}, invalid(field+".Life", "is %v, below 0: give 0 for %v", c.Life, DefaultLife)
	}
	if n := len(c.Keys); n == 0 || n > MaxKeys {
		return reading{}, invalid(field+".Keys", "has %d: name 1 to %d", n, MaxKeys)
	}
	r := reading{Cookie: c}
	for i, k := range c.Keys {
		if err := r.add(field, fmt.Sprintf("%s.Keys[%d]", field, i), k); err != nil {
			return reading{}, err
		}
	}
	return r, nil
}

// add takes a key in. The fields are those of the cookie and of the key.
func (r *reading) add(field, keyField string, k Key) error {
	switch r.Format {
	case AuthJS, NextAuth, JoseDir, JoseKW:
		made, err := newJWEKey(keyField, r.Cookie, k)
		r.jwe = append(r.jwe, made)
		return err
	case Iron:
		made, err := newIronKey(keyField, k)
		r.iron = append(r.iron, made)
		return err
	}
	return invalid(field+".Format", "%q is unknown: use one of %q", r.Format,
		[]Format{AuthJS, NextAuth, Iron, JoseDir, JoseKW})
}

// bySub takes the subject of a JWT.
func bySub(t Token) (Identity, error) {
	var subject string
	if err := json.Unmarshal(t.Claims["sub"], &subject); err != nil {
		return Identity{}, fmt.Errorf("claim sub: %w: give a Map for cookies without it", err)
	}
	return Identity{Subject: subject}, nil
}

// Read finds the first good legacy cookie of a request. It returns [ErrNone] if there is no legacy cookie at all, and
// an error that is [ErrRefused] if there are only bad ones. What a bad cookie costs is bounded: its size is, each of
// its keys is tried once at most, and nothing is inflated.
func (r *Reader) Read(req *http.Request) (Found, error) {
	err := ErrNone
	brought := req.Cookies()
	for i := range r.cookies {
		c := &r.cookies[i]
		text, why := c.collect(brought)
		if why == absent {
			continue
		}
		var found Found
		if why == "" {
			found, why = r.open(c, text)
		}
		if why == "" {
			return found, nil
		}
		if errors.Is(err, ErrNone) {
			err = &refusal{cookie: c.Name, why: why}
		}
	}
	return Found{}, err
}

// open decrypts one cookie, looks at its times, and asks whom it stands for.
func (r *Reader) open(c *reading, text string) (Found, string) {
	payload, text, end, why := c.decrypt(text)
	if why != "" {
		return Found{}, why
	}
	claims, ok := strictObject(payload)
	if !ok {
		return Found{}, badClaims
	}
	token := Token{Cookie: c.Name, Format: c.Format, Claims: claims, Expires: end}
	if why = r.date(c, &token); why != "" {
		return Found{}, why
	}
	id, err := r.identify(token)
	if err != nil || id.Subject == "" {
		return Found{}, unmapped
	}
	if !id.Issued.IsZero() {
		token.Issued = id.Issued
	}
	return Found{Token: token, Identity: id, Key: name(c.Format, text, id)}, ""
}

// decrypt returns the payload, the text without what is not part of the proof, and the end of a seal.
func (c *reading) decrypt(text string) (payload []byte, proved string, end time.Time, why string) {
	if c.Format == Iron {
		return openSeal(text, c.iron)
	}
	payload, why = openJWE(text, c.jwe)
	return payload, text, time.Time{}, why
}

// date reads the times of a token and compares them with the clock.
func (r *Reader) date(c *reading, t *Token) string {
	now := clock.Now()
	if c.Format == Iron {
		if !t.Expires.IsZero() {
			t.Issued = t.Expires.Add(-c.Life)
		}
	} else {
		var notBefore time.Time
		for claim, into := range map[string]*time.Time{"exp": &t.Expires, "iat": &t.Issued, "nbf": &notBefore} {
			if !claimTime(t.Claims, claim, into) {
				return badClaims
			}
		}
		if notBefore.After(now.Add(r.skew)) {
			return early
		}
	}
	switch {
	case t.Expires.IsZero() && !c.Endless:
		return endless
	case !t.Expires.IsZero() && !now.Before(t.Expires.Add(r.skew)):
		return expired
	case c.Format != Iron && t.Issued.After(now.Add(r.skew)):
		return early
	}
	return ""
}
