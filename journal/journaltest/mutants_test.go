// SPDX-License-Identifier: Apache-2.0

// Stores that are broken on purpose: each must be caught by the cases that are about its fault.

package journaltest

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/vidimus/journal"
)

// mutant is a fault, and the group of cases that must find it.
type mutant struct {
	fault string
	group string
	wrap  func(journal.Store) journal.Store
}

func TestBrokenStoresAreCaught(t *testing.T) {
	t.Parallel()
	for _, m := range slices.Concat(expectMutants(), commitMutants(), readMutants(), filterMutants(), otherMutants()) {
		t.Run(m.fault, func(t *testing.T) {
			t.Parallel()
			by := m.killers(t)
			if len(by) == 0 {
				t.Errorf("no case of the group %s finds a store that %s", m.group, m.fault)
			}
			t.Logf("found by %d: %s", len(by), strings.Join(by, "; "))
		})
	}
}

func TestASoundStorePassesAside(t *testing.T) {
	t.Parallel()
	for _, g := range groups() {
		for _, c := range g.cases {
			if !c.passes(t, nil, patience) {
				t.Errorf("%s: %s: fails aside, so that it catches nothing", g.name, c.name)
			}
		}
	}
}

// killers returns the cases of the mutant's group that fail on it.
func (m *mutant) killers(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, g := range groups() {
		for _, c := range g.cases {
			if g.name == m.group && !c.passes(t, m.wrap, 500*time.Millisecond) {
				out = append(out, c.name)
			}
		}
	}
	return out
}

// passes runs a case aside and reports whether it passes within a limit.
func (c *testCase) passes(t *testing.T, wrap func(journal.Store) journal.Store, limit time.Duration) bool {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &recorder{TB: t, ctx: ctx}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if recover() != nil {
				r.Fail()
			}
		}()
		c.runOn(r, func(testing.TB) Harness { return sharedMemory(wrap) }, limit)
	}()
	<-done
	cancel()
	r.cleanUp()
	return !r.Failed()
}

// recorder is a test that may fail without failing the test that runs it.
type recorder struct {
	testing.TB
	ctx context.Context
	mu  struct {
		sync.Mutex
		failed   bool
		cleanups []func()
	}
}

func (r *recorder) Context() context.Context { return r.ctx }
func (r *recorder) Helper()                  {}
func (r *recorder) Logf(string, ...any)      {}
func (r *recorder) Error(...any)             { r.Fail() }
func (r *recorder) Errorf(string, ...any)    { r.Fail() }
func (r *recorder) Fatal(...any)             { r.FailNow() }
func (r *recorder) Fatalf(string, ...any)    { r.FailNow() }

func (r *recorder) Fail() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.failed = true
}

func (r *recorder) FailNow() {
	r.Fail()
	runtime.Goexit()
}

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.failed
}

func (r *recorder) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.cleanups = append(r.mu.cleanups, f)
}

func (r *recorder) cleanUp() {
	for {
		r.mu.Lock()
		n := len(r.mu.cleanups)
		if n == 0 {
			r.mu.Unlock()
			return
		}
		f := r.mu.cleanups[n-1]
		r.mu.cleanups = r.mu.cleanups[:n-1]
		r.mu.Unlock()
		f()
	}
}
