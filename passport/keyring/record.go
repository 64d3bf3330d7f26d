// SPDX-License-Identifier: Apache-2.0

// How keys are stored: two records, one for each kind of key, with what is secret of a key in a box.

package keyring

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"example.com/vidimus/internal/chance"
	"example.com/vidimus/journal"
	"example.com/vidimus/passport"
)

// kind is the kind of the two records, which stand under these keys.
const (
	kind        = "keyring"
	signingName = "signing"
	handlesName = "handles"
)

// entry is what is stored of a key.
type entry struct {
	ID   string    `json:"id"` // the kid of a signing key
	From time.Time `json:"from"`
	Made time.Time `json:"made"`
	Box  box       `json:"box"`
}

// about is what a box is bound to, so that none can be put into another's place or time.
func (e *entry) about(name string) string {
	return fmt.Sprintf("vidimus keyring\n%s\n%s\n%d\n%d", name, e.ID, e.From.UnixMilli(), e.Made.UnixMilli())
}

// signingKey is a key that signs passports.
type signingKey struct {
	entry
	seed   []byte
	signer *passport.Signer
}

// handleKey is a key that handles are authenticated with.
type handleKey struct {
	entry
	secret []byte
}

func (e entry) from() time.Time { return e.From }

// newEntry returns what is stored of a key but its name and secret. Times are kept to the millisecond.
func newEntry(id string, now, from time.Time) entry {
	const grain = time.Millisecond
	return entry{ID: id, From: from.Round(0).UTC().Truncate(grain), Made: now.Round(0).UTC().Truncate(grain)}
}

func newSigningKey(now, from time.Time) (signingKey, error) {
	seed := make([]byte, ed25519.SeedSize)
	chance.Fill(seed)
	k := signingKey{seed: seed}
	if err := k.makeSigner(); err != nil {
		return signingKey{}, err
	}
	k.entry = newEntry(k.signer.Public().ID, now, from)
	return k, nil
}

func (k *signingKey) makeSigner() (err error) {
	k.signer, err = passport.NewSigner(ed25519.NewKeyFromSeed(k.seed), "")
	return err
}

func newHandleKey(now, from time.Time) handleKey {
	name, secret := make([]byte, 6), make([]byte, 32)
	chance.Fill(name)
	chance.Fill(secret)
	return handleKey{newEntry(base64.RawURLEncoding.EncodeToString(name), now, from), secret}
}

// ring is what a record holds. Epoch is that of the log in which it was written.
type ring struct {
	Epoch journal.LogEpoch `json:"epoch"`
	Keys  []entry          `json:"keys"`
}

// decode reads a record. It refuses what this package never writes.
func decode(r journal.Record) (stored ring, err error) {
	d := json.NewDecoder(bytes.NewReader(r.Value))
	d.DisallowUnknownFields()
	if err := d.Decode(&stored); err != nil {
		return ring{}, fmt.Errorf("record %s/%s: %w", r.Kind, r.Key, err)
	}
	if n := len(stored.Keys); n == 0 || n > MaxKeys {
		return ring{}, fmt.Errorf("record %s/%s has %d keys: it was changed by something else than this program",
			r.Kind, r.Key, n)
	}
	return stored, nil
}

// unsealSigning makes signing keys of what is stored.
func (s seals) unsealSigning(entries []entry) ([]signingKey, error) {
	var keys []signingKey
	for _, e := range entries {
		seed, err := s.open(e.Box, e.about(signingName))
		if err != nil {
			return nil, fmt.Errorf("signing key %q: %w", e.ID, err)
		}
		k := signingKey{entry: e, seed: seed}
		if len(seed) != ed25519.SeedSize {
			return nil, fmt.Errorf("signing key %q: %w: it has %d bytes", e.ID, ErrSeal, len(seed))
		}
		if err := k.makeSigner(); err != nil {
			return nil, fmt.Errorf("signing key %q: %w", e.ID, err)
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// unsealHandles makes handle keys of what is stored.
func (s seals) unsealHandles(entries []entry) ([]handleKey, error) {
	var keys []handleKey
	for _, e := range entries {
		secret, err := s.open(e.Box, e.about(handlesName))
		if err != nil {
			return nil, fmt.Errorf("handle key %q: %w", e.ID, err)
		}
		keys = append(keys, handleKey{e, secret})
	}
	return keys, nil
}

// encode returns a record's value: the entries, each sealed anew that is not sealed under the first key.
func (s seals) encode(
	name string, epoch journal.LogEpoch, entries []entry, secret func(int) []byte,
) ([]byte, error) {
	stored := ring{Epoch: epoch}
	for i, e := range entries {
		if !s.fresh(e.Box) {
			e.Box = s.seal(secret(i), e.about(name))
		}
		stored.Keys = append(stored.Keys, e)
	}
	return json.Marshal(stored)
}

// publish makes the set of public keys.
func publish(keys []signingKey) (*passport.KeySet, error) {
	var public []passport.Key
	for i := range keys {
		public = append(public, keys[i].signer.Public())
	}
	return passport.NewKeySet(public...)
}
