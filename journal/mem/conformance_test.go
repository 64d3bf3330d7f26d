// SPDX-License-Identifier: Apache-2.0

// The suite of all stores, run on memory.

package mem_test

import (
	"testing"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/journaltest"
	"example.com/vidimus/journal/mem"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	journaltest.Run(t, func(testing.TB) journaltest.Harness {
		return journaltest.Harness{Open: func(testing.TB) *journal.Log { return mem.Open() }}
	})
}
