// SPDX-License-Identifier: Apache-2.0

// A restore from a backup must not bring an old epoch back to life.

package lease_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/sqlite"
	"example.com/vidimus/lease"
)

func TestEpochsOfALostHistoryAreNeverAccepted(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "main.db")
	open := func(path string) *journal.Log {
		log, err := sqlite.Open(ctx, sqlite.Config{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = log.Close() })
		return log
	}
	own := func(log *journal.Log, name, owner string) journal.Fence {
		table := lease.NewTable(log)
		c := lease.Claim{Name: name, Session: session(t, table, owner).ID}
		epoch, err := table.Acquire(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		return journal.Fence{Lease: name, Epoch: epoch}
	}

	log := open(path)
	own(log, "ledger", "first")
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	backup, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}

	log = open(path) // what happens now will be lost
	if _, err := lease.NewTable(log).ForceRelease(ctx, "ledger", "ops"); err != nil {
		t.Fatal(err)
	}
	lost := []journal.Fence{own(log, "ledger", "lost"), own(log, "made since", "lost")}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}

	restored := filepath.Join(t.TempDir(), "main.db")
	if err := os.WriteFile(restored, backup, 0o600); err != nil {
		t.Fatal(err)
	}
	log = open(restored)
	if _, err := log.Renew(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := lease.NewTable(log).ForceRelease(ctx, "ledger", "ops"); err != nil {
		t.Fatal(err)
	}
	for _, old := range lost {
		for range 3 {
			now := own(log, old.Lease, "new")
			if now.Epoch <= old.Epoch {
				t.Errorf("%s: epoch %d after %d", old.Lease, now.Epoch, old.Epoch)
			}
			_, err := log.Commit(ctx, journal.Unit{Fences: []journal.Fence{old}})
			if !errors.Is(err, journal.ErrFenced) {
				t.Errorf("%s: a write under the lost epoch %d: %v", old.Lease, old.Epoch, err)
			}
			if _, err := lease.NewTable(log).ForceRelease(ctx, old.Lease, "ops"); err != nil {
				t.Fatal(err)
			}
		}
	}
}
