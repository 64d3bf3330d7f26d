// SPDX-License-Identifier: Apache-2.0

// The contract holds in the simulated world, and every mutant of it breaks it there.

package heartbeat

import (
	"os"
	"testing"
)

// soak reports whether long runs are wanted.
func soak() bool { return os.Getenv("VIDIMUS_SOAK") != "" }

// simulate runs seeds until enough of them broke the contract, and returns how many it ran and how many broke it.
func simulate(seeds, enough int, faults bool, mutant string) (total simResult, ran, broken int) {
	for ran < seeds && broken < enough {
		res := newSim(uint64(ran), faults, mutant).run()
		total.add(res)
		ran++
		if res.violations > 0 {
			broken++
		}
	}
	return total, ran, broken
}

func TestContractHoldsUnderFaults(t *testing.T) {
	t.Parallel()
	seeds := 300
	switch {
	case soak():
		seeds = 20_000
	case raced:
		seeds = 40 // one goroutine: there is nothing to find but time
	}
	res, _, broken := simulate(seeds, seeds, true, "")
	t.Logf("%d seeds: %v", seeds, res)
	if broken > 0 {
		t.Errorf("%d seeds broke the contract", broken)
	}
	if checks := res.accepted + res.changed + res.foreign + res.stale; res.accepted*5 < checks {
		t.Errorf("of %d checks only %d accepted: a verifier that refuses all proves nothing", checks, res.accepted)
	}
	if res.snapshots == 0 || res.gaps == 0 || res.overflows == 0 || res.stale == 0 || res.foreign == 0 {
		t.Errorf("some faults did not happen: %v", res)
	}
}

func TestNothingIsRefusedAsStaleWithoutFaults(t *testing.T) {
	t.Parallel()
	res, _, _ := simulate(6, 6, false, "")
	t.Log(res)
	if res.violations > 0 || res.gaps > 0 || res.stale*100 > res.accepted { // those before the first ping
		t.Errorf("without faults: %v", res)
	}
}

// TestMutantsBreakTheContract takes one thing away that the proof needs, and sees it missed.
func TestMutantsBreakTheContract(t *testing.T) {
	t.Parallel()
	for _, mutant := range []string{
		"no gap detection",
		"staleness from receipt",
		"dated before the frames are applied",
		"positions before commit",
		"deposed authority answers from memory",
		"drift beyond rho",
		"resume without a base",
		"drop from the tail without raising the base",
		"drop floors without raising the base",
		"state read before the head",
		"monotonic clock alone",
		"judged before the staleness is read",
	} {
		t.Run(mutant, func(t *testing.T) {
			t.Parallel()
			const seeds = 300
			enough := 3
			if soak() {
				enough = seeds
			}
			res, ran, broken := simulate(seeds, enough, true, mutant)
			t.Logf("%d of %d seeds broke the contract: %v", broken, ran, res)
			if broken == 0 {
				t.Error("no seed noticed: the simulation is too kind, or what was taken away is not needed")
			}
		})
	}
}
