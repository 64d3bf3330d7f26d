// SPDX-License-Identifier: Apache-2.0

// A node with one service.

package vidimus_test

import (
	"context"
	"fmt"

	"example.com/vidimus"
	"example.com/vidimus/cell"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
)

// greeter is a service: it appends one event and is done.
type greeter struct{ done func() }

// Name implements [cell.Service].
func (greeter) Name() string { return "greeter" }

// Serve implements [cell.Service].
func (g greeter) Serve(ctx context.Context, c *cell.Cell) error {
	defer g.done()
	hello := journal.EventData{Type: "greeter.greeted", Data: []byte(`{"words":"hello"}`)}
	res, err := c.Log().Append(ctx, "greeting-1", journal.None, hello)
	fmt.Println(c.Name(), res.Position, err)
	return err
}

func Example() {
	log := mem.Open()
	defer log.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	node, err := vidimus.Open(ctx, vidimus.Config{
		Cell: cell.Config{Log: log}, Services: []cell.Service{greeter{done: cancel}}, Listen: "127.0.0.1:0", Open: true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(node.Run(ctx))
	// Output:
	// main 1 <nil>
	// <nil>
}
