// SPDX-License-Identifier: Apache-2.0

// Who else may read a journal.

//go:build linux || darwin || freebsd || openbsd || netbsd || dragonfly

package sqlite_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/sqlite"
)

func TestAJournalIsForItsOwnerAlone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ before, want fs.FileMode }{
		"a new one":                         {0, 0o600},
		"one that others were let read":     {0o644, 0o644},
		"one that a group was let write to": {0o660, 0o660},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "a journal?&.db")
			if c.before != 0 {
				if err := os.WriteFile(path, nil, 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(path, c.before); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 { // when it is made, and when it is there
				log, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := log.Append(t.Context(), "order-1", journal.Any, journal.EventData{Type: "order.placed"}); err != nil {
					t.Fatal(err)
				}
				for _, beside := range []string{"", "-wal", "-shm"} {
					info, err := os.Stat(path + beside)
					if err != nil {
						t.Fatal(err)
					}
					if got := info.Mode().Perm(); got != c.want {
						t.Errorf("…%s has the mode %o, want %o", beside, got, c.want)
					}
				}
				if err := log.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
