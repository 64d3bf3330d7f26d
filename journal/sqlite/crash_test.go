// SPDX-License-Identifier: Apache-2.0

// Killed processes.

package sqlite

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/crashtest"
)

func TestMain(m *testing.M) {
	if !crashtest.Child(openForCrash) {
		m.Run()
	}
}

// openForCrash opens a file with sweeps and checkpoints so frequent that kills fall into them.
func openForCrash(ctx context.Context, path string) (*journal.Log, error) {
	s, err := open(ctx, Config{Path: path}, tuning{sweepEvery: 500, checkpointPages: 100})
	if err != nil {
		return nil, err
	}
	return journal.New(s), nil
}

func TestKilledProcessLosesNothing(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	crashtest.Run(t, crashtest.Config{
		Open: openForCrash, Place: filepath.Join(t.TempDir(), "journal.db"), Kills: 200,
		IntN: rand.New(rand.NewPCG(seed, 1)).IntN,
	})
}
