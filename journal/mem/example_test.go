// SPDX-License-Identifier: Apache-2.0

// A first look at a journal.

package mem_test

import (
	"context"
	"errors"
	"fmt"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
)

func Example() {
	ctx := context.Background()
	log := mem.Open()
	defer log.Close()

	placed := journal.EventData{ID: journal.NewID(), Type: "order.placed", Data: []byte(`{"total":42}`)}
	first, err := log.Append(ctx, "order-7", journal.None, placed)
	fmt.Println(first.Position, first.Versions, err)

	// The answer was lost? Say it again.
	again, err := log.Append(ctx, "order-7", journal.None, placed)
	fmt.Println(again.Position, again.Versions, again.Duplicate, err)

	// Somebody else was faster? Nothing is overwritten.
	paid := journal.EventData{Type: "order.paid"}
	_, err = log.Append(ctx, "order-7", journal.None, paid)
	fmt.Println(errors.Is(err, journal.ErrConflict))

	for e, err := range log.ReadStream(ctx, "order-7", nil) {
		fmt.Println(e.Version, e.Type, string(e.Data), err)
	}
	// Output:
	// 1 [1] <nil>
	// 1 [1] true <nil>
	// true
	// 1 order.placed {"total":42} <nil>
}
