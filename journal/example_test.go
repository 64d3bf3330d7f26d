// SPDX-License-Identifier: Apache-2.0

// The ideas of the journal, each as a small program.

package journal_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
)

// A transfer touches two accounts and a daily limit. It happens as a whole, or not at all.
func ExampleLog_Commit() {
	ctx := context.Background()
	log := mem.Open()
	defer log.Close()

	transfer := func(from, to journal.Version) error {
		_, err := log.Commit(ctx, journal.Unit{
			Appends: []journal.Append{
				{Stream: "account-anna", Expect: journal.Exactly(from), Events: []journal.EventData{
					{ID: journal.NewID(), Type: "money.sent", Data: []byte(`{"amount":30}`)},
				}},
				{Stream: "account-ben", Expect: journal.Exactly(to), Events: []journal.EventData{
					{ID: journal.NewID(), Type: "money.received", Data: []byte(`{"amount":30}`)},
				}},
			},
			Records: []journal.RecordWrite{{Kind: "limit", Key: "anna", Expect: journal.Any, Value: []byte("970")}},
		})
		return err
	}
	fmt.Println(transfer(0, 0))

	err := transfer(1, 0) // Ben's account has moved on
	var conflict *journal.ConflictError
	fmt.Println(errors.As(err, &conflict), conflict.Name, conflict.Actual)

	head, _ := log.Head(ctx)
	limit, _ := log.Record(ctx, "limit", "anna")
	fmt.Println(head.Position, limit.Version)
	// Output:
	// <nil>
	// true account-ben 1
	// 2 1
}

// A course has one seat. What must not have happened is said in the words of the events, not as a version.
func ExampleCondition() {
	ctx := context.Background()
	log := mem.Open()
	defer log.Close()

	taken := journal.Filter{{Types: []string{"seat.taken"}, Tags: []string{"course:go"}}}
	take := func(student string) error {
		_, err := log.Commit(ctx, journal.Unit{
			Conditions: []journal.Condition{{Filter: taken}},
			Appends: []journal.Append{{Stream: journal.Stream("student-" + student), Events: []journal.EventData{
				{ID: journal.NewID(), Type: "seat.taken", Tags: []string{"course:go", "student:" + student}},
			}}},
		})
		return err
	}
	fmt.Println(take("anna"))
	fmt.Println(errors.Is(take("ben"), journal.ErrCondition))
	// Output:
	// <nil>
	// true
}

// A holder that lost its lease cannot write any more, however late it wakes up.
func ExampleFence() {
	ctx := context.Background()
	log := mem.Open()
	defer log.Close()

	take := journal.RecordWrite{Kind: journal.KindLease, Key: "seat-7", Expect: journal.Any}
	write := func(epoch journal.Version) error {
		_, err := log.Commit(ctx, journal.Unit{
			Fences: []journal.Fence{{Lease: "seat-7", Epoch: journal.Epoch(epoch)}},
			Appends: []journal.Append{{Stream: "seat-7", Expect: journal.Any, Events: []journal.EventData{
				{ID: journal.NewID(), Type: "seat.reserved"},
			}}},
		})
		return err
	}
	first, _ := log.Commit(ctx, journal.Unit{Records: []journal.RecordWrite{take}})
	fmt.Println(write(first.Records[0]))

	second, _ := log.Commit(ctx, journal.Unit{Records: []journal.RecordWrite{take}})
	fmt.Println(errors.Is(write(first.Records[0]), journal.ErrFenced), write(second.Records[0]))
	// Output:
	// <nil>
	// true <nil>
}

// A follower reads what was, then waits for what comes.
func ExampleLog_Follow() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	log := mem.Open()
	defer log.Close()

	_, _ = log.Append(ctx, "order-1", journal.None, journal.EventData{Type: "order.placed"})
	_, _ = log.Append(ctx, "order-1", journal.Any, journal.EventData{Type: "order.paid"})

	for frame, err := range log.Follow(ctx, journal.FollowOptions{Pulse: time.Hour}) {
		if err != nil {
			fmt.Println("stopped:", errors.Is(err, context.Canceled))
			break
		}
		for _, e := range frame.Events {
			fmt.Println(e.Position, e.Type)
			if e.Type == "order.shipped" {
				stop()
			}
		}
		if frame.Checkpoint.Position == 2 && frame.CaughtUp {
			_, _ = log.Append(ctx, "order-1", journal.Any, journal.EventData{Type: "order.shipped"})
		}
	}
	// Output:
	// 1 order.placed
	// 2 order.paid
	// 3 order.shipped
	// stopped: true
}

// A consumer saves its checkpoint in the unit that has the effect, so the effect happens once.
func ExampleCheckpoint_Save() {
	ctx := context.Background()
	log := mem.Open()
	defer log.Close()
	for range 3 {
		_, _ = log.Append(ctx, "order-1", journal.Any, journal.EventData{Type: "order.placed"})
	}

	count := func() error { // one step of a consumer that counts
		from, version, err := log.Checkpoint(ctx, "counter")
		if err != nil {
			return err
		}
		for frame, err := range log.Follow(ctx, journal.FollowOptions{From: from, Page: 2}) {
			if err != nil {
				return err
			}
			n, _ := json.Marshal(frame.Checkpoint.Position)
			_, err = log.Commit(ctx, journal.Unit{Records: []journal.RecordWrite{
				{Kind: "count", Key: "orders", Expect: journal.Any, Value: n},
				frame.Checkpoint.Save("counter", journal.Exactly(version)),
			}})
			return err
		}
		return nil
	}
	fmt.Println(count(), count())

	at, version, err := log.Checkpoint(ctx, "counter")
	orders, _ := log.Record(ctx, "count", "orders")
	fmt.Println(at.Position, version, err, string(orders.Value))
	// Output:
	// <nil> <nil>
	// 3 2 <nil> 3
}

// ReadStream loads what an entity decides on.
func ExampleLog_ReadStream() {
	ctx := context.Background()
	log := mem.Open()
	defer log.Close()
	for _, data := range []string{"10", "-3", "5"} {
		_, _ = log.Append(ctx, "account-1", journal.Any, journal.EventData{Type: "account.moved", Data: []byte(data)})
	}

	balance, version := 0, journal.Version(0)
	for e, err := range log.ReadStream(ctx, "account-1", nil) {
		if err != nil {
			fmt.Println(err)
			return
		}
		var amount int
		_ = json.Unmarshal(e.Data, &amount)
		balance, version = balance+amount, e.Version
	}
	fmt.Println(balance, version)
	// Output:
	// 12 3
}

// Read finds events of all streams: here all of a category, from the end.
func ExampleLog_Read() {
	ctx := context.Background()
	log := mem.Open()
	defer log.Close()
	for _, s := range []journal.Stream{"order-1", "cart-9", "order-2", "orders-3"} {
		_, _ = log.Append(ctx, s, journal.None, journal.EventData{Type: "made"})
	}
	o := journal.ReadOptions{Filter: journal.Filter{{Category: "order"}}, Backwards: true}
	for e, err := range log.Read(ctx, o) {
		fmt.Println(e.Position, e.Stream, err)
	}
	// Output:
	// 3 order-2 <nil>
	// 1 order-1 <nil>
}
