// SPDX-License-Identifier: Apache-2.0

// Package keyring keeps the keys that an authority signs passports and seals handles with: in its journal, sealed at
// rest.
//
// The keys of a ring are two records of the journal, each replaced as a whole by compare-and-set, so that of several
// nodes which rotate at once one does it and the others take over what it did. Private keys are in there only sealed,
// with AES-256-GCM under a key which the caller keeps outside the journal.
//
// A key is published for [Config.Overlap] before it signs and for as long after it has signed last, so that verifiers,
// which keep a copy of the key set, never meet a good passport whose key they cannot have. Nodes compare their clocks
// with times that other nodes wrote: they must agree within Overlap less six minutes.
//
// A signing key belongs to one epoch of the log. When the journal was renewed, because a backup was restored, all of
// them are revoked and a new one signs at once: the backup may hold a key that was revoked after it was made.
// Handle keys stay, and with them the sessions of the browsers that hold handles.
package keyring

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/passport"
)

// Limits and what they default to.
const (
	// SealSize is how long a seal key is, in bytes.
	SealSize          = 32
	DefaultRotate     = 24 * time.Hour
	DefaultOverlap    = 15 * time.Minute
	DefaultHandleLife = 90 * 24 * time.Hour
	// MinOverlap leaves room for the longest life of a passport, for verifiers' clocks, and for a node that is slow to
	// learn of a rotation.
	MinOverlap = 10 * time.Minute
	// MaxKeys is how many keys of a kind may be published at once.
	MaxKeys = 16
)

var (
	// ErrSeal: a private key was sealed under another key than those given, or what is stored of it was changed.
	ErrSeal = errors.New("key cannot be unsealed")
	// ErrBehind: the ring has not looked at its records for so long that other nodes may use keys it does not know.
	// It looks while [Ring.Serve] runs.
	ErrBehind = errors.New("keyring is behind")
)

// Config configures a [Ring].
type Config struct {
	Log *journal.Log
	// Seal is the key that private keys are sealed with at rest, [SealSize] bytes, kept outside the journal.
	Seal []byte
	// OldSeals are further keys that may have been used. What they sealed is sealed anew under Seal by [Open]. To change
	// the key on several nodes, first give the new one to all of them as an OldSeal, then make it the Seal of each.
	OldSeals [][]byte
	// Rotate is how long a key signs; 0 for [DefaultRotate]. Overlap is how long it is published before it signs and
	// after it has signed last; 0 for [DefaultOverlap], at least [MinOverlap], at most half of Rotate.
	Rotate, Overlap time.Duration
	// HandleLife is for how long a handle can be opened at least; 0 for [DefaultHandleLife], at least Rotate.
	HandleLife time.Duration
	// Logger is told of rotations, and of what nobody is there to return to. Nil for nobody.
	Logger *slog.Logger
}

// Ring is the keys of an authority. Goroutines may share it. It is a service of a cell: while Serve runs, it rotates
// its keys and learns of what other nodes did.
type Ring struct {
	log      *journal.Log
	seals    seals
	signing  schedule
	handles  schedule
	logger   *slog.Logger
	snapshot atomic.Pointer[snapshot]
}

// snapshot is what a ring knows of its keys. It is not changed.
type snapshot struct {
	read     time.Time // before the records were read
	epoch    journal.LogEpoch
	versions [2]journal.Version
	signing  []signingKey
	handles  []handleKey
	public   *passport.KeySet
}

// Open reads the keys, or makes the first ones. It returns journal.ErrInvalid for a bad field, [ErrSeal] when the keys
// cannot be unsealed, and journal.ErrUnavailable, journal.ErrClosed or the error of ctx. There is nothing to close.
func Open(ctx context.Context, cfg Config) (*Ring, error) {
	cfg.Rotate = or(cfg.Rotate, DefaultRotate)
	cfg.Overlap = or(cfg.Overlap, DefaultOverlap)
	cfg.HandleLife = or(cfg.HandleLife, DefaultHandleLife)
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	seals, err := newSeals(cfg.Seal, cfg.OldSeals)
	if err != nil {
		return nil, err
	}
	r := &Ring{
		log: cfg.Log, seals: seals, logger: cfg.Logger,
		signing: schedule{period: cfg.Rotate, before: cfg.Overlap, after: cfg.Overlap},
		handles: schedule{period: cfg.HandleLife, before: cfg.Overlap, after: cfg.HandleLife},
	}
	if r.logger == nil {
		r.logger = slog.New(slog.DiscardHandler)
	}
	if err := r.edit(ctx, r.reseal); err != nil {
		return nil, fmt.Errorf("open the keyring: %w", err)
	}
	return r, nil
}

func or(d, standard time.Duration) time.Duration {
	if d == 0 {
		return standard
	}
	return d
}

func (c *Config) validate() error {
	bad := func(field, problem string) error {
		return &journal.InvalidError{Field: "Config." + field, Problem: problem}
	}
	switch {
	case c.Log == nil:
		return bad("Log", "is missing: give the journal that the keys are kept in")
	case len(c.Seal) != SealSize:
		return bad("Seal", fmt.Sprintf("has %d bytes: give %d random ones", len(c.Seal), SealSize))
	case c.Overlap < MinOverlap:
		return bad("Overlap", fmt.Sprintf("is %v: passports outlive it, give %v or more", c.Overlap, MinOverlap))
	case c.Rotate < 2*c.Overlap:
		return bad("Rotate", fmt.Sprintf("is %v: give at least twice the overlap of %v", c.Rotate, c.Overlap))
	case c.HandleLife < c.Rotate:
		return bad("HandleLife", fmt.Sprintf("is %v: give at least the %v of Rotate", c.HandleLife, c.Rotate))
	}
	for i, seal := range c.OldSeals {
		if len(seal) != SealSize {
			return bad(fmt.Sprintf("OldSeals[%d]", i), fmt.Sprintf("has %d bytes, not %d", len(seal), SealSize))
		}
	}
	return nil
}

// Sign returns claims as a signed passport, or the error of [passport.Signer.Sign]. It returns [ErrBehind] rather than
// use a key that others may have stopped publishing.
func (r *Ring) Sign(c *passport.Claims) (string, error) {
	now, s := clock.Now(), r.snapshot.Load()
	// The earliest that a node which made the next key right after we looked stops publishing this one.
	if clock.Elapsed(s.read, now) > r.signing.before+r.signing.after-MinOverlap {
		return "", fmt.Errorf("sign: %w: let it Serve, or look at the log for why it cannot", ErrBehind)
	}
	at := signs(s.signing, now)
	return s.signing[at].signer.Sign(c)
}

// KeySet returns the public keys, for the JWKS: those that sign, signed a while ago, or will sign. It is not changed.
func (r *Ring) KeySet() *passport.KeySet { return r.snapshot.Load().public }

// HandleLife returns for how long a handle can be opened at least.
func (r *Ring) HandleLife() time.Duration { return r.handles.period }

// Rotate makes a new signing key now, which signs after the overlap, and returns its kid. It returns
// journal.ErrOverloaded when [MaxKeys] are published already, and the errors of [Open].
func (r *Ring) Rotate(ctx context.Context) (kid string, err error) {
	err = r.edit(ctx, func(d *draft) error {
		key, err := newSigningKey(d.now, d.now.Add(r.signing.before))
		if err != nil {
			return err
		}
		kid = key.ID
		return d.add(key)
	})
	return kid, err
}

// Revoke stops publishing a key, appends an event to its stream, from which the feed tells verifiers, and makes a new
// key that signs at once if the revoked one did. Passports signed with the key are refused from then on. Who revoked it
// and why is kept with the event. Twice is fine. It returns journal.ErrInvalid for a key that there never was, and the
// errors of [Open].
func (r *Ring) Revoke(ctx context.Context, kid, by, reason string) error {
	err := r.edit(ctx, func(d *draft) error {
		at := d.index(kid)
		switch {
		case at < 0 && d.revokes(kid):
			return nil
		case at < 0:
			return r.wasRevoked(ctx, kid)
		}
		signed := at == signs(d.signing, d.now)
		if err := d.remove(at, by, reason); err != nil || !signed {
			return err
		}
		key, err := newSigningKey(d.now, d.now)
		if err != nil {
			return err
		}
		return d.add(key)
	})
	if err != nil {
		return fmt.Errorf("revoke key %q: %w", kid, err)
	}
	return nil
}

// wasRevoked returns nil if a key was revoked, and journal.ErrInvalid if there never was such a key.
func (r *Ring) wasRevoked(ctx context.Context, kid string) error {
	for e, err := range r.log.ReadStream(ctx, keyStream(kid), &journal.StreamOptions{Backwards: true, Limit: MaxKeys}) {
		if err != nil {
			return err
		}
		if e.Type == EventRevoked {
			return nil
		}
	}
	return &journal.InvalidError{Field: "kid", Problem: "names no key that is published: look at the key set"}
}
