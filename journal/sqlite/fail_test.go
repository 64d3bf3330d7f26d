// SPDX-License-Identifier: Apache-2.0

// Disks that fail.

package sqlite

import (
	"errors"
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/sqlite/internal/simdisk"
)

func TestAFailingDiskIsReportedAndSurvived(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		op     simdisk.Op
		fault  error
		want   error
		remedy string
	}{
		{"full", simdisk.Write, sqlite3.FULL, journal.ErrUnavailable, "free space"},
		{"read-only", simdisk.Write, sqlite3.READONLY, journal.ErrUnavailable, "writable"},
		{"broken on write", simdisk.Write, sqlite3.IOERR_WRITE, journal.ErrUncertain, "check the disk"},
		{"broken on sync", simdisk.Sync, sqlite3.IOERR_FSYNC, journal.ErrUncertain, "check the disk"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			disk := simdisk.New(1)
			name := "fail-" + strings.ReplaceAll(c.name, " ", "-")
			vfs.Register(name, disk)
			t.Cleanup(func() { vfs.Unregister(name) })
			log := start(t, "journal", tuning{vfs: name, sweepEvery: 5, checkpointPages: 10})
			a := event("a")
			for range 20 {
				if _, err := log.Append(t.Context(), "order-1", journal.Any, event("x", "tag")); err != nil {
					t.Fatal(err)
				}
			}
			disk.Fail(c.op, c.fault)
			for range 3 {
				_, err := log.Append(t.Context(), "order-1", journal.Exactly(20), a)
				if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.remedy) {
					t.Fatalf("append: got %v, want %v with %q", err, c.want, c.remedy)
				}
			}
			if _, err := log.Head(t.Context()); err != nil {
				t.Fatalf("reading while the disk cannot write: %v", err)
			}
			disk.Fail(c.op, nil)
			res, err := log.Append(t.Context(), "order-1", journal.Exactly(20), a)
			if err != nil || res.Versions[0] != 21 || res.Position != 21 {
				t.Fatalf("append to the mended disk: %+v, %v", res, err)
			}
			for range 50 {
				if _, err := log.Append(t.Context(), "order-2", journal.Any, event("x")); err != nil {
					t.Fatal(err)
				}
			}
			mustVerify(t, log)
		})
	}
}

// The mark of a commit may have reached the disk although the sync failed; after a restart it counts.
func TestAnUncertainCommitIsWholeOrAbsentAfterARestart(t *testing.T) {
	t.Parallel()
	there := 0
	for seed := range uint64(30) {
		m := newMachine(t, seed, "EXTRA")
		s, err := open(t.Context(), Config{Path: "journal"}, m.with)
		if err != nil {
			t.Fatal(err)
		}
		log := journal.New(s)
		for range 5 {
			units := m.batch()
			results, err := commit(t.Context(), log, units)
			if err != nil {
				t.Fatal(err)
			}
			for i, u := range units {
				m.note(u, results[i])
			}
		}
		m.disk.Fail(simdisk.Sync, sqlite3.IOERR_FSYNC)
		m.doubtful = m.batch()
		if _, err := commit(t.Context(), log, m.doubtful); !errors.Is(err, journal.ErrUncertain) {
			t.Fatalf("commit without sync: %v", err)
		}
		before := len(m.answered)
		if m.restart() > 0 {
			t.Fatal("answered units are gone")
		}
		_ = log.Close()
		if len(m.answered) > before {
			there++
		}
	}
	if there == 0 || there == 30 {
		t.Errorf("the uncertain commit was there %d times of 30; it should be now and then", there)
	}
}
