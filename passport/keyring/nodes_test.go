// SPDX-License-Identifier: Apache-2.0

// Several nodes at each interleaving, and a ring that nobody opened for long.

package keyring_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/passport/keyring"
)

// stepping is a store before whose next commit something else happens.
type stepping struct {
	journal.Store
	meanwhile func()
}

func (s *stepping) Commit(ctx context.Context, units []*journal.Unit) ([]journal.Outcome, error) {
	if f := s.meanwhile; f != nil {
		s.meanwhile = nil
		f()
	}
	return s.Store.Commit(ctx, units)
}

func TestTheSlowerNodeTakesOverWhatTheFasterDid(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	t.Run("both make the first keys", func(t *testing.T) {
		t.Parallel()
		log := mem.Open()
		store := &stepping{Store: log.Store()}
		var fast *keyring.Ring
		store.meanwhile = func() { fast = mustOpen(t, log, keyring.Config{}) }
		slow := mustOpen(t, journal.New(store), keyring.Config{})
		if a, b := kid(t, slow), kid(t, fast); a != b || events(t, log, "key.made") != 1 {
			t.Errorf("they sign with %s and %s; %d keys were made", a, b, events(t, log, "key.made"))
		}
		sid := strings.Repeat("s", 22)
		if slow.Handle("main", sid, 1) != fast.Handle("main", sid, 1) {
			t.Error("they make different handles")
		}
	})
	t.Run("both rotate", func(t *testing.T) {
		t.Parallel()
		log := mem.Open()
		store := &stepping{Store: log.Store()}
		slow, fast := mustOpen(t, journal.New(store), keyring.Config{}), mustOpen(t, log, keyring.Config{})
		var other string
		store.meanwhile = func() { other, _ = fast.Rotate(ctx) }
		own, err := slow.Rotate(ctx)
		if err != nil || own == other || !has(t, slow.KeySet(), own) || !has(t, slow.KeySet(), other) {
			t.Errorf("keys %s and %s are not both there: %v", own, other, err)
		}
	})
	t.Run("one revokes while the other rotates", func(t *testing.T) {
		t.Parallel()
		log := mem.Open()
		store := &stepping{Store: log.Store()}
		slow, fast := mustOpen(t, journal.New(store), keyring.Config{}), mustOpen(t, log, keyring.Config{})
		bad := kid(t, slow)
		store.meanwhile = func() {
			if err := fast.Revoke(ctx, bad, "ops", ""); err != nil {
				t.Error(err)
			}
		}
		if _, err := slow.Rotate(ctx); err != nil {
			t.Error(err)
		}
		if has(t, slow.KeySet(), bad) || kid(t, slow) == bad {
			t.Error("the revoked key is back")
		}
	})
}

func TestARingThatWasDownForLongIsPublishedBeforeItSigns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := mem.Open()
		old := kid(t, mustOpen(t, log, keyring.Config{}))
		time.Sleep(30 * 24 * time.Hour)
		r := mustOpen(t, log, keyring.Config{})
		defer serve(t, r)()
		time.Sleep(keyring.DefaultOverlap - time.Second)
		if got := kid(t, r); got != old || len(r.KeySet().Keys()) != 2 {
			t.Errorf("%s signs, want %s until the overlap is over; %d keys are published", got, old, len(r.KeySet().Keys()))
		}
		time.Sleep(2 * time.Second)
		if got := kid(t, r); got == old {
			t.Errorf("%s still signs", got)
		}
	})
}

func TestAnAnswerThatIsLostDoesNotCostAKey(t *testing.T) {
	t.Parallel()
	log := mem.Open()
	store := &forgetful{Store: log.Store(), lose: 2}
	r, err := keyring.Open(context.Background(), keyring.Config{Log: journal.New(store), Seal: seal(1)})
	if err != nil || events(t, log, "key.made") != 1 || len(r.KeySet().Keys()) != 1 {
		t.Errorf("Open: %v; %d keys were made", err, events(t, log, "key.made"))
	}
}

// forgetful is a store that loses answers.
type forgetful struct {
	journal.Store
	lose int
}

func (s *forgetful) Commit(ctx context.Context, units []*journal.Unit) ([]journal.Outcome, error) {
	outcomes, err := s.Store.Commit(ctx, units)
	if s.lose--; err == nil && s.lose >= 0 {
		return nil, journal.ErrUncertain
	}
	return outcomes, err
}
