// SPDX-License-Identifier: Apache-2.0

// How a lease is held and used as a fence.

package lease_test

import (
	"context"
	"errors"
	"fmt"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/lease"
)

func Example() {
	log := mem.Open()
	defer log.Close()
	keeper, err := lease.Open(context.Background(), log, lease.Config{Owner: "node-1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	done := make(chan error)
	go func() { done <- keeper.Run(ctx) }()

	// Own it, then write under it.
	l, err := keeper.Acquire(ctx, "invoices")
	if err != nil {
		fmt.Println(err)
		return
	}
	sent := journal.Unit{
		Fences: []journal.Fence{l.Fence()},
		Appends: []journal.Append{{
			Stream: "invoice-1", Events: []journal.EventData{{ID: journal.NewID(), Type: "invoice.sent"}},
		}},
	}
	_, err = log.Commit(ctx, sent)
	fmt.Println("epoch", l.Epoch(), err)

	// Somebody takes it away. The next write comes too late, even if this process has not noticed yet.
	if _, err := keeper.Table().ForceRelease(ctx, "invoices", "ops"); err != nil {
		fmt.Println(err)
	}
	sent.Appends = []journal.Append{{
		Stream: "invoice-2", Events: []journal.EventData{{ID: journal.NewID(), Type: "invoice.sent"}},
	}}
	_, err = log.Commit(ctx, sent)
	fmt.Println(errors.Is(err, journal.ErrFenced))

	stop()
	fmt.Println(<-done)
	// Output:
	// epoch 1 <nil>
	// true
	// <nil>
}

// A server does the same steps for a client that lives elsewhere.
func ExampleTable() {
	ctx := context.Background()
	table := lease.NewTable(mem.Open())
	var sessions []lease.Session
	for _, owner := range []string{"ann", "ben"} {
		s, err := table.Start(ctx, lease.Session{Owner: owner})
		if err != nil {
			fmt.Println(err)
			return
		}
		sessions = append(sessions, s)
	}
	ann := lease.Claim{Name: "desk", Session: sessions[0].ID}
	ben := lease.Claim{Name: "desk", Session: sessions[1].ID, Wait: true}

	fmt.Println(table.Acquire(ctx, ann))
	fmt.Println(table.Acquire(ctx, ben))
	fmt.Println(table.Release(ctx, ann))
	fmt.Println(table.Acquire(ctx, ben))
	// Output:
	// 1 <nil>
	// 0 lease desk is held by ann since epoch 1; place 1 in its queue
	// <nil>
	// 3 <nil>
}
