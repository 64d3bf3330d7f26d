// SPDX-License-Identifier: Apache-2.0

// Package journaltest holds every promise of a journal as a test that any database must pass.
//
// A database's own tests call [Run] with a function that makes a [Harness]: a fresh, empty place for a journal, and
// ways to open it. What a database cannot do, such as a second node on the same journal, is left nil, and its cases
// do not run.
package journaltest

import (
	"context"
	"testing"
	"time"

	"example.com/vidimus/journal"
)

// Harness is one place that a journal is kept at. Cases run in parallel, each with a harness of its own.
type Harness struct {
	// Open opens the journal at this place, which is empty at first. The suite closes what it opens.
	Open func(t testing.TB) *journal.Log
	// Reopens: Open may be called again once the log was closed, and then finds what was written before.
	Reopens bool
	// Second opens the same journal as another node would, while the first log is open. Nil where a journal belongs to
	// one process. It may be called more than once; the suite closes what it opens.
	Second func(t testing.TB) *journal.Log
	// Tx appends inside the user's own transactions. Nil where that is not possible.
	Tx *Transactions
	// Hold begins a transaction that holds a snapshot of the whole database, as a long report does, until release is
	// called. Nil where there is no such thing.
	Hold func(t testing.TB) (release func())
	// Seeds is how many random histories the cases that draw lots try. 0 stands for 3; long runs want thousands.
	Seeds int
}

// Transactions are those of the user, in the database in which the journal is kept.
type Transactions struct {
	// Isolations are the isolation levels to try, in the words that Do understands; the first is the usual one.
	Isolations []string
	// Snapshot names those of Isolations under which a transaction sees one snapshot from its first statement on.
	// Conditions cannot be checked there, so a unit with conditions must be refused as [journal.ErrInvalid].
	Snapshot []string
	// Exclusive: a transaction that has added a unit keeps all other writers waiting until it ends.
	Exclusive bool
	// Do begins a transaction at an isolation level, calls fn, and commits. When fn returns an error it rolls back and
	// returns that error. The error of a commit is returned in the journal's words, such as [journal.ErrConflict].
	// It may be called from several goroutines and must not call t.Fatal.
	Do func(ctx context.Context, log *journal.Log, isolation string, fn func(tx Tx) error) error
	// Rows returns the rows of the user's table that [Tx.Insert] wrote and that were committed, in any order.
	Rows func(t testing.TB) []string
}

// Tx is an open transaction of the user.
type Tx interface {
	// Add adds a unit to the transaction. A unit that cannot be written is refused here or when the transaction
	// commits. One that was written before is not written again.
	Add(ctx context.Context, u journal.Unit) error
	// Insert writes a row into a table of the user's.
	Insert(ctx context.Context, row string) error
}

// Run runs the suite, each case with a new harness.
func Run(t *testing.T, newHarness func(t testing.TB) Harness) {
	t.Helper()
	for _, g := range groups() {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			for _, c := range g.cases {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.runOn(t, newHarness, patience)
				})
			}
		})
	}
}

// patience bounds a case: what takes longer hangs.
const patience = 2 * time.Minute

// testCase is one promise. Its name is a sentence.
type testCase struct {
	name string
	// needs reports whether the harness can do what the case is about; nil is yes.
	needs func(h *Harness) bool
	run   func(k *kit)
}

type group struct {
	name  string
	cases []testCase
}

func groups() []group {
	return []group{
		{"expect", expectCases()},
		{"retry", retryCases()},
		{"window", windowCases()},
		{"condition", conditionCases()},
		{"read", readCases()},
		{"stream", streamCases()},
		{"record", recordCases()},
		{"fence", fenceCases()},
		{"fidelity", fidelityCases()},
		{"follow", followCases()},
		{"checkpoint", checkpointCases()},
		{"lifecycle", lifecycleCases()},
		{"transaction", txCases()},
		{"linear", linearCases()},
		{"model", modelCases()},
	}
}

func (c *testCase) runOn(t testing.TB, newHarness func(t testing.TB) Harness, limit time.Duration) {
	t.Helper()
	h := newHarness(t)
	if c.needs != nil && !c.needs(&h) {
		return
	}
	c.run(newKit(t, h, newHarness, limit))
}

func needsReopen(h *Harness) bool { return h.Reopens }
func needsSecond(h *Harness) bool { return h.Second != nil }
func needsTx(h *Harness) bool     { return h.Tx != nil }
