// SPDX-License-Identifier: Apache-2.0

// A journal of each kind can be written and read, and counts.

package stores_test

import (
	"context"
	"testing"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/journaltest/stores"
)

func TestEachKindIsOpened(t *testing.T) {
	t.Parallel()
	for name, open := range stores.All() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, store := context.Background(), &stores.Counting{Store: open(t).Store()}
			log := journal.New(store)
			for range 3 {
				if _, err := log.Append(ctx, "a-1", journal.Any, journal.EventData{Type: "a", Data: []byte("{}")}); err != nil {
					t.Fatal(err)
				}
			}
			for _, err := range log.ReadStream(ctx, "a-1", nil) {
				if err != nil {
					t.Error(err)
				}
			}
			if store.Events != 3 {
				t.Errorf("%d events were counted, want 3", store.Events)
			}
		})
	}
}
