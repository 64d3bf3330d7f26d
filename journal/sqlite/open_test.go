// SPDX-License-Identifier: Apache-2.0

// What Open refuses, upgrades and locks, and what Verify finds.

package sqlite

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"example.com/vidimus/journal"
)

func TestOpenRefusesWhatCannotBeRight(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("this is no database ", 500)), 0o600); err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(dir, "foreign.db")
	execOn(t, foreign, "PRAGMA application_id = 252006673; CREATE TABLE t(x)")
	newer := filepath.Join(dir, "newer.db")
	_ = start(t, newer, tuning{}).Close()
	execOn(t, newer, "UPDATE journal_log SET format = 99")
	nonsense := filepath.Join(dir, "nonsense.db")
	_ = start(t, nonsense, tuning{}).Close()
	execOn(t, nonsense, "UPDATE journal_log SET format = -1")
	headless := filepath.Join(dir, "headless.db")
	_ = start(t, headless, tuning{}).Close()
	execOn(t, headless, "DELETE FROM journal_log")
	for _, c := range []struct {
		name, path string
		want       error
		says       string
	}{
		{"a format that never was", nonsense, journal.ErrUnavailable, "damaged"},
		{"without its row", headless, journal.ErrUnavailable, "damaged"},
		{"no path", "", journal.ErrInvalid, "path"},
		{"no folder", filepath.Join(dir, "none", "j.db"), journal.ErrInvalid, "create it first"},
		{"a folder", dir, journal.ErrUnavailable, dir},
		{"no database", garbage, journal.ErrUnavailable, "name another file"},
		{"another application's", foreign, journal.ErrInvalid, "another application"},
		{"from the future", newer, journal.ErrTooNew, "format 99"},
	} {
		log, err := Open(t.Context(), Config{Path: c.path})
		if err == nil {
			_ = log.Close()
		}
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %v saying %q", c.name, err, c.want, c.says)
		}
		_, err = Open(t.Context(), Config{Path: c.path})
		if errors.Is(err, journal.ErrLocked) {
			t.Errorf("%s: the failed open left a lock", c.name)
		}
	}
}

// execOn runs statements on a file without a journal on top.
func execOn(t *testing.T, path, sql string) {
	t.Helper()
	c, err := sqlite3.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.Exec(sql); err != nil {
		t.Fatal(err)
	}
}

func TestExistsChangesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	other, ours, empty := filepath.Join(dir, "other.db"), filepath.Join(dir, "ours.db"), filepath.Join(dir, "empty.db")
	execOn(t, other, "CREATE TABLE notes(text)")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := Open(t.Context(), Config{Path: ours})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	missing := filepath.Join(dir, "missing.db")
	for path, want := range map[string]bool{other: false, empty: false, missing: false, ours: true} {
		before, _ := os.ReadFile(path)
		got, err := Exists(t.Context(), path)
		after, _ := os.ReadFile(path)
		if err != nil || got != want || !bytes.Equal(before, after) {
			t.Errorf("%s: got %v, %v, want %v and the file as it was", filepath.Base(path), got, err, want)
		}
	}
	if _, err := os.Stat(missing); !errors.Is(err, os.ErrNotExist) {
		t.Error("asking made a file")
	}
	if _, err := Exists(t.Context(), ""); !errors.Is(err, journal.ErrInvalid) {
		t.Errorf("no path: got %v, want invalid", err)
	}
}

func TestOneFileIsOpenOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "j.db")
	log := start(t, path, tuning{})
	if err := os.Symlink(path, filepath.Join(dir, "alias.db")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, filepath.Join(dir, "alias.db"), filepath.Join(dir, ".", "x", "..", "j.db")} {
		_, err := Open(t.Context(), Config{Path: name})
		if !errors.Is(err, journal.ErrLocked) || !strings.Contains(err.Error(), "in this process already") {
			t.Fatalf("second open as %s: got %v, want ErrLocked", name, err)
		}
	}
	if _, err := log.Append(t.Context(), "a", journal.None, event("1")); err != nil {
		t.Fatalf("the refused opens hurt the first: %v", err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	again := start(t, path, tuning{})
	if h, err := again.Head(t.Context()); err != nil || h.Position != 1 {
		t.Fatalf("after reopening: %+v, %v", h, err)
	}
}

func TestOlderFilesAreUpgradedOnceAndForward(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	log := start(t, path, tuning{})
	if _, err := log.Append(t.Context(), "a", journal.None, event("1", "tag")); err != nil {
		t.Fatal(err)
	}
	before, err := log.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = log.Close()

	broken := tuning{formats: []string{format1, "CREATE TABLE journal_next(x); CREATE TABLE journal_next(x);"}}
	if _, err := open(t.Context(), Config{Path: path}, broken); !errors.Is(err, journal.ErrUnavailable) {
		t.Fatalf("a step that fails: got %v, want ErrUnavailable", err)
	}
	_ = start(t, path, tuning{}).Close() // it left no trace

	next := tuning{formats: []string{format1, "CREATE TABLE journal_next(x);"}}
	for range 2 {
		log = start(t, path, next)
		after, err := log.Head(t.Context())
		if err != nil || after != before {
			t.Fatalf("after the upgrade: %+v, %v; want %+v", after, err, before)
		}
		mustVerify(t, log)
		_ = log.Close()
	}
	if _, err := Open(t.Context(), Config{Path: path}); !errors.Is(err, journal.ErrTooNew) {
		t.Fatalf("the older program: got %v, want ErrTooNew", err)
	}
}

func TestTheDatabaseItselfRefusesToChangeEvents(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	log := start(t, path, tuning{})
	if _, err := log.Append(t.Context(), "a", journal.None, event("1")); err != nil {
		t.Fatal(err)
	}
	_ = log.Close()
	c, err := sqlite3.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	for _, q := range []string{"UPDATE journal_events SET type = 'x'", "DELETE FROM journal_events"} {
		if err := c.Exec(q); err == nil || !strings.Contains(err.Error(), "events are never") {
			t.Errorf("%s: got %v, want a refusal", q, err)
		}
	}
}

func TestVerifyFindsWhatIsBroken(t *testing.T) {
	t.Parallel()
	const open = "DROP TRIGGER journal_events_stay; DROP TRIGGER journal_events_remain; "
	for name, damage := range map[string]string{
		"a missing event":      "DELETE FROM journal_events WHERE position = 100",
		"a wrong version":      "UPDATE journal_events SET version = version + 1 WHERE position = 150",
		"a wrong chain":        "UPDATE journal_events SET prev = prev - 1 WHERE position = 150",
		"a wrong skip":         "UPDATE journal_events SET skip = 3 WHERE position = 150",
		"a short id":           "UPDATE journal_events SET id = x'00' WHERE position = 150",
		"another greatest id":  "UPDATE journal_events SET id = zeroblob(16) WHERE position = 300",
		"a stream moved":       "UPDATE journal_events SET stream = 'other' WHERE position = 300",
		"a wrong end":          "UPDATE journal_streams SET position = position - 1 WHERE name = 'order-1'",
		"a wrong greatest id":  "UPDATE journal_streams SET newest = zeroblob(16) WHERE name = 'order-1'",
		"an end too few":       "DELETE FROM journal_streams WHERE name = 'order-1'",
		"an end too many":      "INSERT INTO journal_streams VALUES('ghost', 1, 2, 0, zeroblob(16))",
		"a tag not indexed":    "DELETE FROM journal_tags WHERE position = 7",
		"a tag of nothing":     "INSERT INTO journal_tags VALUES('none', 7)",
		"a tag that was taken": "UPDATE journal_events SET tags = NULL WHERE position = 7",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "j.db")
			log := start(t, path, tuning{})
			for i := range 300 {
				s := journal.Stream("order-1")
				if i%3 == 0 {
					s = "order-2"
				}
				if _, err := log.Append(t.Context(), s, journal.Any, event("x", "even", "odd")); err != nil {
					t.Fatal(err)
				}
			}
			mustVerify(t, log)
			_ = log.Close()
			execOn(t, path, open+damage)
			log = start(t, path, tuning{})
			breaches, err := log.Verify(t.Context(), nil)
			if err != nil || len(breaches) == 0 {
				t.Fatalf("verify found nothing, %v", err)
			}
		})
	}
}
