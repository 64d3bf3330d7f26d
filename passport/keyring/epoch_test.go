// SPDX-License-Identifier: Apache-2.0

// A journal that was restored and renewed: what was revoked meanwhile does not come back.

package keyring_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/passport/keyring"
)

// restore puts a record back as it was, and renews the journal.
func restore(t *testing.T, log *journal.Log, r journal.Record) {
	t.Helper()
	mustPut(t, log, r.Key, json.RawMessage(r.Value))
	if _, err := log.Renew(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func TestARestoredBackupBringsNoSigningKeyBack(t *testing.T) {
	t.Parallel()
	ctx, log := context.Background(), mem.Open()
	r := mustOpen(t, log, keyring.Config{})
	stolen, handle := kid(t, r), r.Handle("main", strings.Repeat("s", 22), 1)
	backup, err := log.Record(ctx, kind, "signing")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Revoke(ctx, stolen, "ops", "laptop stolen"); err != nil {
		t.Fatal(err)
	}
	second := kid(t, r)

	restore(t, log, backup)
	r = mustOpen(t, log, keyring.Config{})
	fresh := kid(t, r)
	if keys := len(r.KeySet().Keys()); fresh == stolen || fresh == second || keys != 1 {
		t.Errorf("%s signs and %d keys are published after a restore, want one key that is neither %s nor %s", fresh, keys,
			stolen, second)
	}
	mustVerify(t, r.KeySet(), mustSign(t, r))
	if sid, _, err := r.OpenHandle("main", handle); err != nil {
		t.Errorf("a handle from before the restore: %q, %v", sid, err)
	}
	if got := lastOf(t, log, stolen); got != "key.revoked" {
		t.Errorf("the history of the key that the backup held ends with %s", got)
	}
	if got := kid(t, mustOpen(t, log, keyring.Config{})); got != fresh {
		t.Errorf("%s signs when the ring is opened again in the same epoch, want %s", got, fresh)
	}
}

func TestARunningRingKeepsNoKeyOfAnEarlierEpoch(t *testing.T) {
	t.Parallel()
	ctx, log := context.Background(), mem.Open()
	store := &stepping{Store: log.Store()}
	r := mustOpen(t, journal.New(store), keyring.Config{})
	old := kid(t, r)
	for range 3 { // so that the records are at later versions than in the backup
		if _, err := r.Rotate(ctx); err != nil {
			t.Fatal(err)
		}
	}
	restored := mem.Open()
	mustOpen(t, restored, keyring.Config{})
	if _, err := restored.Renew(ctx); err != nil {
		t.Fatal(err)
	}
	store.Store = restored.Store()
	next, err := r.Rotate(ctx)
	if err != nil || has(t, r.KeySet(), old) || !has(t, r.KeySet(), next) || kid(t, r) == old {
		t.Errorf("after another epoch began: %v; the old key is published: %v, the new one: %v", err,
			has(t, r.KeySet(), old), has(t, r.KeySet(), next))
	}
}

func TestRevokingAKeyThatTheEpochTookAlongIsFine(t *testing.T) {
	t.Parallel()
	ctx, log := context.Background(), mem.Open()
	r := mustOpen(t, log, keyring.Config{})
	bad := kid(t, r)
	if _, err := log.Renew(ctx); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := r.Revoke(ctx, bad, "ops", "laptop stolen"); err != nil || kid(t, r) == bad || has(t, r.KeySet(), bad) {
			t.Errorf("revoked after the journal was renewed: %v; published: %v", err, has(t, r.KeySet(), bad))
		}
	}
	if made := events(t, log, "key.made"); made != 2 {
		t.Errorf("%d keys were made, want 2", made)
	}
}

// mustSign returns a passport.
func mustSign(t *testing.T, r *keyring.Ring) string {
	t.Helper()
	token, err := r.Sign(claims())
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// lastOf returns the type of the last event of a key.
func lastOf(t *testing.T, log *journal.Log, kid string) (name string) {
	t.Helper()
	for e, err := range log.ReadStream(context.Background(), journal.Stream("key-"+kid), nil) {
		if err != nil {
			t.Fatal(err)
		}
		name = e.Type
	}
	return name
}
