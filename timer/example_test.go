// SPDX-License-Identifier: Apache-2.0

// How a timer and its effect are written.

package timer_test

import (
	"context"
	"fmt"
	"time"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/timer"
)

func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	log := mem.Open()
	defer log.Close()

	// The order and its timer are written together, or not at all.
	_, err := log.Commit(ctx, journal.Unit{
		Appends: []journal.Append{{
			Stream: "order-7", Events: []journal.EventData{{ID: journal.NewID(), Type: "order.placed"}},
		}},
		Records: []journal.RecordWrite{
			timer.Set("order/order-7#unpaid", clock.Now().Add(50*time.Millisecond), []byte("remind gently")),
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	timers, err := timer.Open(log, timer.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = timers.Run(ctx, func(ctx context.Context, f timer.Fired) error {
		// So are the effect and the timer's completion: the reminder is there once.
		_, err := log.Commit(ctx, f.Complete(journal.Unit{Appends: []journal.Append{{
			Stream: "order-7", Expect: journal.Any,
			Events: []journal.EventData{{ID: journal.NewID(), Type: "order.reminded", Data: f.Payload}},
		}}}))
		stop()
		return err
	})
	fmt.Println(err)
	for e := range log.ReadStream(context.Background(), "order-7", nil) {
		fmt.Printf("%d %s %q\n", e.Version, e.Type, e.Data)
	}
	// Output:
	// <nil>
	// 1 order.placed ""
	// 2 order.reminded "remind gently"
}
