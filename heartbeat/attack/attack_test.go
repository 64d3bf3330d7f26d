// SPDX-License-Identifier: Apache-2.0

// The contract under attack: authorities and verifiers are processes that are stopped and killed, the network between
// them delays, stalls, drops and cuts, and thousands of changes are made meanwhile. No verifier may accept a passport
// whose change was acknowledged longer ago than the bound. Each mutant must be seen to accept one.

//go:build linux

package attack_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"example.com/vidimus/internal/pgtest"
	"example.com/vidimus/journal"
	"example.com/vidimus/passport"
)

const (
	bound    = time.Second // S
	drift    = 0.001       // rho
	sessions = 300
	subjects = 30
	window   = 800 // passports that a verifier is shown at a time

	issuer, audience, tenant = "https://authority.test", "attack", "ten"
)

func sessionStream(n int) journal.Stream { return journal.Stream(fmt.Sprint("session-", n)) }
func subjectName(n int) string           { return fmt.Sprint("person ", n) }

func subjectStream(n int) journal.Stream {
	return journal.Stream("subject-" + passport.SubjectKey(tenant, subjectName(n)))
}

// testKey signs the passports of all authorities.
func testKey() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) }

// monotonic reads the clock that all processes of a machine share.
func monotonic() time.Duration {
	const clockMonotonic = 1
	var ts syscall.Timespec
	_, _, _ = syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&ts)), 0)
	return time.Duration(ts.Nano())
}

// TestMain is the main function of the processes that are attacked, too.
func TestMain(m *testing.M) {
	if len(os.Args) != 3 {
		m.Run()
		return
	}
	var mu sync.Mutex
	say := func(v any) {
		mu.Lock()
		defer mu.Unlock()
		_ = json.NewEncoder(os.Stdout).Encode(v)
	}
	var err error
	switch os.Args[1] {
	case "attacked-authority":
		var s authoritySettings
		if err = json.Unmarshal([]byte(os.Args[2]), &s); err == nil {
			ctx, cancel := context.WithCancel(context.Background())
			go func() {
				_, _ = io.Copy(io.Discard, os.Stdin) // ends with the driver
				cancel()
			}()
			err = runAuthority(ctx, s, say)
		}
	case "attacked-verifier":
		var s verifierSettings
		if err = json.Unmarshal([]byte(os.Args[2]), &s); err == nil {
			err = runVerifier(context.Background(), s, os.Stdin, say)
		}
	default:
		m.Run()
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, os.Args[1], err)
	}
}

// length is how long an attack takes, or how long a mutant may go unnoticed.
func length(usual time.Duration) time.Duration {
	if os.Getenv("VIDIMUS_SOAK") != "" {
		return 30 * usual
	}
	return usual
}

func TestContractHoldsUnderAttack(t *testing.T) {
	a := &attack{places: []string{filepath.Join(t.TempDir(), "journal.db")}, seed: uint64(time.Now().UnixNano())}
	a.run(t, length(20*time.Second))
	a.check(t)
}

func TestContractHoldsWithTwoAuthoritiesOnPostgreSQL(t *testing.T) {
	url := pgtest.Open(t)
	a := &attack{places: []string{url, url}, seed: uint64(time.Now().UnixNano())}
	a.run(t, length(15*time.Second))
	a.check(t)
}

// check wants no violation, and enough that was tried.
func (a *attack) check(t *testing.T) {
	t.Helper()
	for _, v := range a.violations() {
		t.Error(v)
	}
	late := a.late()
	a.mu.Lock()
	defer a.mu.Unlock() // verifiers report until they are killed
	s := a.sum
	if a.acked < 200 || s.Passed == 0 || s.Changed == 0 || s.Stale == 0 || late < 50 {
		t.Errorf("too little happened to prove anything")
	}
	if s.Passed*10 < s.Checks/10 {
		t.Errorf("of %d checks only %d accepted", s.Checks, s.Passed)
	}
	if s.Odd > 0 {
		t.Errorf("%d checks ended oddly: %s", s.Odd, s.Problem)
	}
}

// TestMutantsAreCaughtUnderAttack takes away what the contract needs, in real processes.
func TestMutantsAreCaughtUnderAttack(t *testing.T) {
	for _, mutant := range []string{
		"no gap detection",
		"staleness from receipt",
		"dated before the frames are applied",
		"positions before commit",
		"deposed authority answers from memory",
		"drift beyond rho",
	} {
		t.Run(mutant, func(t *testing.T) {
			a := &attack{
				places: []string{filepath.Join(t.TempDir(), "journal.db")}, mutant: mutant, seed: uint64(time.Now().UnixNano()),
			}
			a.run(t, length(3*time.Minute))
			found := a.violations()
			if len(found) == 0 {
				t.Fatal("the mutant was not caught")
			}
			t.Logf("caught: %s", found[0])
		})
	}
}
