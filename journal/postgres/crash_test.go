// SPDX-License-Identifier: Apache-2.0

// Killed nodes, and a killed database.

package postgres_test

import (
	"context"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"example.com/vidimus/internal/pgtest"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/crashtest"
	"example.com/vidimus/journal/postgres"
)

func TestMain(m *testing.M) {
	if !crashtest.Child(openForCrash) {
		m.Run()
	}
}

func openForCrash(ctx context.Context, url string) (*journal.Log, error) {
	return postgres.Open(ctx, postgres.Config{URL: url})
}

// dice returns chance that a failure can be repeated with, as far as real processes allow.
func dice(t *testing.T) func(n int) int {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 1)).IntN
}

func TestKilledNodeLosesNothing(t *testing.T) {
	t.Parallel()
	crashtest.Run(t, crashtest.Config{
		Open: openForCrash, Place: pgtest.Open(t), Kills: 200, IntN: dice(t),
	})
}

func TestKilledDatabaseLosesNothing(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t, nil)
	kills := 30
	if os.Getenv("VIDIMUS_SOAK") != "" {
		kills = 300
	}
	crashtest.Run(t, crashtest.Config{
		Open: openForCrash, Place: server.Database(t), Kills: kills, IntN: dice(t),
		Victim: func(t *testing.T) {
			t.Helper()
			if err := server.Kill9(); err != nil {
				t.Fatal(err)
			}
			if err := server.Start(); err != nil {
				t.Fatal(err)
			}
		},
	})
}
