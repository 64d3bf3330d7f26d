// SPDX-License-Identifier: Apache-2.0

// Editing the ring: read, decide, write by compare-and-set, and decide again when another node was faster.

package keyring

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
)

// Category is that of the streams of keys: a key's is its kid behind it. EventRevoked is the type of the event that
// says there that the key was revoked.
const (
	Category     = "key"
	EventRevoked = "key.revoked"

	typeMade = "key.made"
)

// made and revoked are the data of the events.
type (
	made struct {
		From time.Time `json:"from"`
	}
	revoked struct {
		By     string `json:"by,omitempty"`
		Reason string `json:"reason,omitempty"`
	}
)

func keyStream(kid string) journal.Stream { return journal.Stream(Category + "-" + kid) }

// draft is the ring while it is edited.
type draft struct {
	snapshot
	now     time.Time
	stored  journal.LogEpoch // in which the signing keys were written
	dirty   [2]bool          // the signing keys, the handle keys
	appends []journal.Append
}

// tries is how often an edit is tried when others edit at the same time, or an answer is lost.
const (
	tries    = 20
	tryPause = 20 * time.Millisecond
)

// edit reads the ring, does what is due, lets change change it, and writes it. What others wrote meanwhile makes it
// begin again. The ring knows what was written, or read, when it returns nil. Change may be nil.
func (r *Ring) edit(ctx context.Context, change func(*draft) error) error {
	for try := 1; ; try++ {
		err := r.editOnce(ctx, change)
		again := errors.Is(err, journal.ErrConflict) || errors.Is(err, journal.ErrUncertain)
		if !again || try == tries {
			return err
		}
		if err := clock.Sleep(ctx, journalPause(try)); err != nil {
			return err
		}
	}
}

func journalPause(try int) time.Duration { return tryPause * time.Duration(min(try, 5)) }

func (r *Ring) editOnce(ctx context.Context, change func(*draft) error) error {
	d, err := r.read(ctx)
	if err != nil {
		return err
	}
	if err := r.upkeep(d); err != nil {
		return err
	}
	if change != nil {
		if err := change(d); err != nil {
			return err
		}
	}
	if err := r.write(ctx, d); err != nil {
		return err
	}
	if d.public, err = publish(d.signing); err != nil {
		return err
	}
	r.take(&d.snapshot)
	return nil
}

// take makes a snapshot the ring's own, unless it has a later one.
func (r *Ring) take(s *snapshot) {
	for {
		old := r.snapshot.Load()
		if old != nil && (s.epoch < old.epoch || s.epoch == old.epoch &&
			(s.versions[0] < old.versions[0] || s.versions[1] < old.versions[1])) {
			return
		}
		if r.snapshot.CompareAndSwap(old, s) {
			return
		}
	}
}

// read returns the ring as it is stored.
func (r *Ring) read(ctx context.Context) (*draft, error) {
	now := clock.Now()
	head, err := r.log.Head(ctx)
	if err != nil {
		return nil, err
	}
	d := &draft{now: now, snapshot: snapshot{read: now, epoch: head.Epoch}}
	for i, name := range []string{signingName, handlesName} {
		record, err := r.log.Record(ctx, kind, name)
		if errors.Is(err, journal.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		d.versions[i] = record.Version
		ring, err := decode(record)
		if err != nil {
			return nil, err
		}
		if name == signingName {
			d.stored = ring.Epoch
			d.signing, err = r.seals.unsealSigning(ring.Keys)
		} else {
			d.handles, err = r.seals.unsealHandles(ring.Keys)
		}
		if err != nil {
			return nil, err
		}
	}
	return d, nil
}

// upkeep removes the keys that nobody needs any more and makes those that are due.
func (r *Ring) upkeep(d *draft) error {
	if err := r.leave(d); err != nil {
		return err
	}
	if n := gone(r.signing, d.signing, d.now); n > 0 {
		d.signing, d.dirty[0] = d.signing[n:], true
	}
	if n := gone(r.handles, d.handles, d.now); n > 0 {
		d.handles, d.dirty[1] = d.handles[n:], true
	}
	if from, due := next(r.signing, d.signing, d.now); due {
		key, err := newSigningKey(d.now, from)
		if err != nil {
			return err
		}
		if err := d.add(key); err != nil {
			return err
		}
	}
	if from, due := next(r.handles, d.handles, d.now); due {
		d.handles, d.dirty[1] = append(d.handles, newHandleKey(d.now, from)), true
	}
	return nil
}

// leave revokes the signing keys of an earlier epoch of the log. A backup may hold keys that were revoked since, and
// does not know it; nothing that they signed is good in this epoch. Handles outlive it, so their keys stay.
func (r *Ring) leave(d *draft) error {
	if d.stored >= d.epoch {
		return nil
	}
	for len(d.signing) > 0 {
		if err := d.remove(0, "keyring", "the journal was renewed"); err != nil {
			return err
		}
	}
	return nil
}

// reseal makes sure that everything is sealed under the first seal key.
func (r *Ring) reseal(d *draft) error {
	for i := range d.signing {
		d.dirty[0] = d.dirty[0] || !r.seals.fresh(d.signing[i].Box)
	}
	for i := range d.handles {
		d.dirty[1] = d.dirty[1] || !r.seals.fresh(d.handles[i].Box)
	}
	return nil
}

// add adds a signing key, with its event.
func (d *draft) add(k signingKey) error {
	if len(d.signing) >= MaxKeys {
		return fmt.Errorf("%w: %d signing keys are published already: the oldest must go first, when the overlap is over",
			journal.ErrOverloaded, MaxKeys)
	}
	d.signing = append(slices.Clip(d.signing), k)
	slices.SortStableFunc(d.signing, func(a, b signingKey) int {
		return cmp.Or(a.From.Compare(b.From), a.Made.Compare(b.Made))
	})
	d.dirty[0] = true
	return d.event(k.ID, typeMade, made{k.From})
}

// remove removes a signing key, with its event.
func (d *draft) remove(at int, by, reason string) error {
	kid := d.signing[at].ID
	d.signing = slices.Delete(slices.Clone(d.signing), at, at+1)
	d.dirty[0] = true
	return d.event(kid, EventRevoked, revoked{by, reason})
}

func (d *draft) index(kid string) int {
	return slices.IndexFunc(d.signing, func(k signingKey) bool { return k.ID == kid })
}

// revokes reports whether the edit revokes a key.
func (d *draft) revokes(kid string) bool {
	return slices.ContainsFunc(d.appends, func(a journal.Append) bool {
		return a.Stream == keyStream(kid) && a.Events[0].Type == EventRevoked
	})
}

func (d *draft) event(kid, name string, data any) error {
	text, err := json.Marshal(data)
	if err != nil {
		return err
	}
	e := journal.EventData{ID: journal.NewID(), Type: name, Data: text}
	a := journal.Append{Stream: keyStream(kid), Expect: journal.Any, Events: []journal.EventData{e}}
	d.appends = append(d.appends, a)
	return nil
}

// write writes what was changed, if nobody else changed it.
func (r *Ring) write(ctx context.Context, d *draft) error {
	u := journal.Unit{Appends: d.appends}
	put := func(i int, name string, entries []entry, secret func(int) []byte) error {
		if !d.dirty[i] {
			return nil
		}
		value, err := r.seals.encode(name, d.epoch, entries, secret)
		u.Records = append(u.Records, journal.RecordWrite{
			Kind: kind, Key: name, Expect: journal.Exactly(d.versions[i]), Value: value,
		})
		return err
	}
	signing, handles := make([]entry, len(d.signing)), make([]entry, len(d.handles))
	for i := range d.signing {
		signing[i] = d.signing[i].entry
	}
	for i := range d.handles {
		handles[i] = d.handles[i].entry
	}
	if err := put(0, signingName, signing, func(i int) []byte { return d.signing[i].seed }); err != nil {
		return err
	}
	if err := put(1, handlesName, handles, func(i int) []byte { return d.handles[i].secret }); err != nil {
		return err
	}
	if len(u.Records) == 0 {
		return nil
	}
	res, err := r.log.Commit(ctx, u)
	if err != nil {
		return err
	}
	for i, w := range u.Records {
		d.versions[map[string]int{signingName: 0, handlesName: 1}[w.Key]] = res.Records[i]
	}
	return nil
}
