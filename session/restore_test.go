// SPDX-License-Identifier: Apache-2.0

// A journal that was restored from a backup under a running node: nothing of the lost history is remembered.

package session_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/sqlite"
	"example.com/vidimus/passport"
	"example.com/vidimus/session"
)

// replaced is a store that is replaced by another one.
type replaced struct{ journal.Store }

func TestNothingIsRememberedOfALostHistory(t *testing.T) {
	t.Parallel()
	ctx, dir := context.Background(), t.TempDir()
	file, backup := filepath.Join(dir, "j.db"), filepath.Join(dir, "backup.db")
	mustOpen := func(path string) *journal.Log {
		log, err := sqlite.Open(ctx, sqlite.Config{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		return log
	}
	log := mustOpen(file)
	first := open(t, log, nil)
	st := first.start(t)
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(backup, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}

	store := &replaced{mustOpen(file).Store()}
	h := open(t, journal.New(store), nil)
	if _, err := h.Change(ctx, st.ID, session.Change{Expect: 1, Set: state("tab", "7")}); err != nil {
		t.Fatal(err)
	}
	lost, err := h.Start(ctx, session.Start{Tenant: "acme", Subject: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	before := h.mint(t, st.Handle).Claims
	h.mint(t, lost.Handle)

	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	restored := mustOpen(backup)
	defer restored.Close()
	if _, err := restored.Renew(ctx); err != nil {
		t.Fatal(err)
	}
	store.Store = restored.Store()
	c := h.mint(t, st.Handle).Claims
	if c.Epoch <= before.Epoch || c.Version != 1 || string(c.State) != `{"subject":{},"session":{}}` {
		t.Errorf("after the restore a passport of epoch %d says version %d, %s", c.Epoch, c.Version, c.State)
	}
	if _, err := h.Mint(ctx, ask(lost.Handle)); !errors.Is(err, passport.ErrNoSession) {
		t.Errorf("a session of the lost history: %v, want ErrNoSession", err)
	}
}
