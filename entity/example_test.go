// SPDX-License-Identifier: Apache-2.0

// A seat that two guests want.

package entity_test

import (
	"context"
	"fmt"

	"example.com/vidimus/cell"
	"example.com/vidimus/entity"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/journal/schema"
)

func Example() {
	ctx := context.Background()
	log := mem.Open()
	defer log.Close()
	c, err := cell.Open(ctx, cell.Config{Log: log})
	if err != nil {
		fmt.Println(err)
		return
	}
	seats, err := entity.Define[Seat]("seat", schema.Declaration{Event: Held{}}, schema.Declaration{Event: Freed{}},
		schema.Declaration{Event: Carried{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	held, err := seats.Do(ctx, c, "A12", Hold{"ada"}, nil)
	fmt.Println(held.State.Guest, held.Version, err)
	_, err = seats.Do(ctx, c, "A12", Hold{"bob"}, nil)
	fmt.Println(err)
	// Output:
	// ada 1 <nil>
	// seat is taken by ada
}

// A form was filled in on version 1. The seat has moved on since, so the caller is told.
func ExampleOptions() {
	ctx := context.Background()
	log := mem.Open()
	defer log.Close()
	c, err := cell.Open(ctx, cell.Config{Log: log})
	if err != nil {
		fmt.Println(err)
		return
	}
	seats, err := entity.Define[Seat]("seat", schema.Declaration{Event: Held{}}, schema.Declaration{Event: Freed{}},
		schema.Declaration{Event: Carried{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	command := &entity.Options{ID: journal.NewID()}
	for range 2 { // the answer was lost, the client asks again
		held, err := seats.Do(ctx, c, "A12", Hold{"ada"}, command)
		fmt.Println(held.Version, held.Duplicate, err)
	}
	_, _ = seats.Do(ctx, c, "A12", Free{"ada"}, nil)
	_, err = seats.Do(ctx, c, "A12", Hold{"bob"}, &entity.Options{Expect: new(journal.Exactly(1))})
	fmt.Println(err)
	// Output:
	// 1 false <nil>
	// 1 true <nil>
	// version conflict on seat-A12: expected version 1, is at version 2; load it again and decide anew
}
