// SPDX-License-Identifier: Apache-2.0

// A service with timers, on a node of its own.

package cell_test

import (
	"context"
	"fmt"

	"example.com/vidimus/cell"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/timer"
)

// greeter greets when its timer fires.
type greeter struct {
	log  *journal.Log
	done context.CancelFunc
}

func (greeter) Name() string { return "greeter" }

// Serve works until ctx ends.
func (g greeter) Serve(ctx context.Context, c *cell.Cell) error {
	fmt.Println("serving in", c.Name(), "on", c.Node())
	<-ctx.Done()
	return nil
}

// Fire greets and completes the timer in one unit.
func (g greeter) Fire(ctx context.Context, f timer.Fired) error {
	_, err := g.log.Commit(ctx, f.Complete(journal.Unit{Appends: []journal.Append{{
		Stream: "greeting-1", Events: []journal.EventData{{ID: journal.NewID(), Type: "greeted", Data: f.Payload}},
	}}}))
	g.done()
	return err
}

func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	log := mem.Open()
	defer log.Close()
	c, err := cell.Open(ctx, cell.Config{Log: log, Node: "node-1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = log.Commit(ctx, journal.Unit{Records: []journal.RecordWrite{
		timer.Set("greeter/world", clock.Now(), []byte("hello, world")),
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.Run(ctx, greeter{log, stop}))
	for e := range log.ReadStream(context.Background(), "greeting-1", nil) {
		fmt.Println(e.Type, string(e.Data))
	}
	// Output:
	// serving in main on node-1
	// <nil>
	// greeted hello, world
}
