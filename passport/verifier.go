// SPDX-License-Identifier: Apache-2.0

// The verifier: genuine, for us, in time. What was changed since is decided in check.go.

package passport

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"example.com/vidimus/internal/clock"
)

const (
	defaultRemember = 100_000
	maxRemember     = 4_000_000
	maxSkew         = time.Minute
)

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
	// View is what is known of changes. Without one, staleness is unknown: a route with a MaxStale refuses everything, or
	// asks the authority.
	View View
	// Authority replaces passports, for routes that ask and for requests that want more than the view knows; nil for
	// nobody.
	Authority Replacer
	// Remember is how many verified passports are remembered, at most 4,000,000; 0 for 100,000, which take about 250 MB;
	// below 0 for none.
	Remember int
	// Now is the wall clock, which decides on iat, exp and nbf alone; nil for the system's.
	Now func() time.Time
}

// Verifier decides on passports. Goroutines may share it.
type Verifier struct {
	cfg    Config
	skew   int64         // seconds
	source *source       // nil unless keys are fetched
	memory *memory       // nil for none
	turns  [maxAsks]turn // to ask the authority
	words  words
}

// New returns a verifier. It returns an [InvalidError] for a Config that cannot work. It fetches nothing yet.
func New(cfg Config) (*Verifier, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.Skew == 0 {
		cfg.Skew = DefaultSkew
	}
	if cfg.Remember == 0 {
		cfg.Remember = defaultRemember
	}
	if cfg.Now == nil {
		cfg.Now = clock.Now
	}
	v := &Verifier{cfg: cfg}
	for i := range v.turns {
		v.turns[i].taken = make(chan struct{}, 1)
	}
	v.skew = int64((cfg.Skew + time.Second - 1) / time.Second)
	if cfg.KeysURL != "" {
		v.source = newSource(cfg.KeysURL, cfg.Client)
	}
	if cfg.Remember > 0 {
		v.memory = newMemory(cfg.Remember)
	}
	return v, nil
}

func (cfg *Config) check() error {
	sources := 0
	for _, given := range [...]bool{cfg.Keys != nil, cfg.KeysNow != nil, cfg.KeysURL != ""} {
		if given {
			sources++
		}
	}
	switch {
	case cfg.Issuer == "":
		return invalid("Config.Issuer", "is missing: say whom passports must be from")
	case cfg.Audience == "":
		return invalid("Config.Audience", "is missing: say which trust domain passports must be for")
	case sources != 1:
		return invalid("Config.Keys", "is one of three sources of keys: give one of Keys, KeysNow and KeysURL")
	case cfg.Skew < 0 || cfg.Skew > maxSkew:
		return invalid("Config.Skew", "is %v, it can be up to %v", cfg.Skew, maxSkew)
	case cfg.Remember > maxRemember:
		return invalid("Config.Remember", "is %d, it can be up to %d", cfg.Remember, maxRemember)
	}
	if u, err := url.Parse(cfg.KeysURL); cfg.KeysURL != "" && (err != nil || u.Host == "" || u.User != nil ||
		u.Scheme != "https" && u.Scheme != "http") {
		return invalid("Config.KeysURL", "is no http or https URL without a password")
	}
	return nil
}

// Run keeps the keys fresh until ctx ends, so that no request has to wait for them, and returns nil. A verifier works
// without it: then one request now and then waits for a fetch, up to 5 s.
func (v *Verifier) Run(ctx context.Context) error {
	if v.source == nil {
		<-ctx.Done()
		return nil
	}
	return v.source.run(ctx)
}

// Verify returns what a passport says if it is genuine: spelled in the one canonical way, signed by a key of the
// issuer, for this audience, and in time. It does not look at what was changed since, nor at scopes: [Verifier.Check]
// does. It returns [ErrInvalid], [ErrExpired] or, when the keys cannot be fetched, [ErrUnavailable] or the error of
// ctx.
func (v *Verifier) Verify(ctx context.Context, token string) (Claims, error) {
	r, _, _, err := v.verify(ctx, token)
	return r.Claims, err
}

// verify is Verify, and says with which key of which set.
func (v *Verifier) verify(ctx context.Context, token string) (read, *KeySet, *Key, error) {
	head := head(token)
	if head == "" {
		return read{}, nil, nil, &InvalidError{"token", "is no JWS of at most 8 kB in compact form"}
	}
	keys, err := v.keys(ctx, head)
	if err != nil {
		return read{}, nil, nil, err
	}
	key := keys.byJOSE[head]
	if key == nil {
		return read{}, nil, nil, refuseHead(head)
	}
	payload, bad := open(token, head, key)
	if bad != nil {
		return read{}, nil, nil, bad
	}
	r, bad := parse(payload)
	if bad != nil {
		return read{}, nil, nil, bad
	}
	if err := v.believe(&r, v.cfg.Now().Unix()); err != nil {
		return read{}, nil, nil, err
	}
	r.KeyID, r.Issuer, r.Audience = key.ID, v.cfg.Issuer, v.cfg.Audience
	r.Log, r.Scope = v.words.text(r.Log), v.words.text(r.Scope)
	if r.methods != nil {
		r.AMR = v.words.list(r.methods)
	}
	return r, keys, key, nil
}

// keys returns the keys of the moment; if they are fetched, then such that have the key of head, if there are any.
func (v *Verifier) keys(ctx context.Context, head string) (*KeySet, error) {
	switch {
	case v.cfg.Keys != nil:
		return v.cfg.Keys, nil
	case v.source == nil:
		if set := v.cfg.KeysNow(); set != nil {
			return set, nil
		}
		return nil, fmt.Errorf("%w: no keys", ErrUnavailable)
	case !v.source.set.Load().has(head) && kid(head) == "":
		return nil, refuseHead(head) // nothing that a fetch could help
	}
	return v.source.keys(ctx, head)
}

// refuseHead says what is wrong with a header that no key has.
func refuseHead(head string) error {
	if kid(head) == "" {
		return &InvalidError{"header", `is not the canonical {"alg":"EdDSA","kid":"…","typ":"txntoken+jwt"}`}
	}
	return &InvalidError{"kid", "is of no key that the issuer publishes"}
}

// believe checks what a payload says against what is expected, at a second of the wall clock.
func (v *Verifier) believe(r *read, now int64) error {
	switch life := r.expires - r.issued; {
	case r.Audience != v.cfg.Audience:
		return &InvalidError{"aud", "is another trust domain"}
	case r.Issuer != v.cfg.Issuer:
		return &InvalidError{"iss", "is another issuer"}
	case r.Txn == "" || r.Subject == "" || r.Workload == "":
		return &InvalidError{"txn, sub or req_wl", "is empty"}
	case life <= 0 || life > int64(MaxLife/time.Second):
		return &InvalidError{"exp", "is not between 1 and 300 seconds after iat"}
	case !isScope(r.Scope):
		return &InvalidError{"scope", "is not names separated by one space each"}
	case now < r.begin(v.skew):
		return &InvalidError{"iat", "is in the future: compare the clocks of the issuer and this process"}
	case now >= r.end(v.skew):
		return ErrExpired
	}
	return nil
}

// begin and end are the seconds between which a passport is in time.
func (r *read) begin(skew int64) int64 { return max(r.issued, r.notBefore) - skew }
func (r *read) end(skew int64) int64   { return r.expires + skew }

// recall returns the entry of a passport that is genuine and in time, remembered or verified now.
func (v *Verifier) recall(ctx context.Context, token string) (*entry, error) {
	if v.memory == nil || len(token) <= signatureText {
		return v.admit(ctx, token, 0)
	}
	hash := v.memory.hash(token)
	e := v.memory.find(token, hash)
	if e == nil {
		return v.admit(ctx, token, hash)
	}
	switch now := v.cfg.Now().Unix(); {
	case now >= e.expiry:
		return nil, ErrExpired
	case now < e.notBefore:
		return nil, &InvalidError{"iat", "is in the future: compare the clocks of the issuer and this process"}
	}
	if keys := v.known(); keys != e.keys.Load() {
		// Other keys were published since: the passport is as good as its key.
		if keys == nil || !keys.same(e.key) {
			return nil, &InvalidError{"kid", "is of no key that the issuer publishes"}
		}
		e.keys.Store(keys)
	}
	return e, nil
}

// known returns the keys at hand.
func (v *Verifier) known() *KeySet {
	switch {
	case v.cfg.Keys != nil:
		return v.cfg.Keys
	case v.source != nil:
		return v.source.set.Load()
	}
	return v.cfg.KeysNow()
}

// admit verifies a passport and remembers it.
func (v *Verifier) admit(ctx context.Context, token string, hash uint64) (*entry, error) {
	r, keys, key, err := v.verify(ctx, token)
	if err != nil {
		return nil, err
	}
	e := &entry{notBefore: r.begin(v.skew), expiry: r.end(v.skew), claims: r.Claims, key: key}
	e.mark, e.scope = r.Mark, r.Scope
	e.keys.Store(keys)
	if v.memory == nil {
		e.token = token
		return e, nil
	}
	e.own(token)
	return v.memory.keep(e, hash, v.cfg.Now().Unix()), nil
}
