// SPDX-License-Identifier: Apache-2.0

// Package stores opens a journal of each kind, for tests of what stands on one, and counts what they read of it.
//
//	for name, open := range stores.All() {
//		t.Run(name, func(t *testing.T) { … open(t) … })
//	}
package stores

import (
	"context"
	"path/filepath"
	"testing"

	"example.com/vidimus/internal/pgtest"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/journal/postgres"
	"example.com/vidimus/journal/sqlite"
)

// All returns what opens a journal of each kind, by its name: one that is new, and closed when the test ends.
func All() map[string]func(testing.TB) *journal.Log {
	return map[string]func(testing.TB) *journal.Log{
		"mem":      func(testing.TB) *journal.Log { return mem.Open() },
		"sqlite":   SQLite,
		"postgres": Postgres,
	}
}

// SQLite opens a journal in a file of its own.
func SQLite(t testing.TB) *journal.Log {
	t.Helper()
	log, err := sqlite.Open(context.Background(), sqlite.Config{Path: filepath.Join(t.TempDir(), "j.db")})
	return closing(t, log, err)
}

// Postgres opens a journal in a database of its own.
func Postgres(t testing.TB) *journal.Log {
	t.Helper()
	log, err := postgres.Open(context.Background(), postgres.Config{URL: pgtest.Open(t)})
	return closing(t, log, err)
}

func closing(t testing.TB, log *journal.Log, err error) *journal.Log {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	return log
}

// Counting is a store that counts the events of streams that it gives away. One goroutine uses it.
type Counting struct {
	journal.Store
	Events int
}

// ReadStream counts what the store returns.
func (s *Counting) ReadStream(ctx context.Context, q journal.StreamQuery) ([]journal.Event, error) {
	events, err := s.Store.ReadStream(ctx, q)
	s.Events += len(events)
	return events, err
}
