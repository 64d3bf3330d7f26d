// SPDX-License-Identifier: Apache-2.0

// How a journal on another node is used.

package remote_test

import (
	"context"
	"errors"
	"fmt"
	"net"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/server"
	"example.com/vidimus/server/remote"
)

func Example() {
	// A node of this machine, open to programs on it. Elsewhere this is another process.
	node, err := server.New(server.Config{Cells: map[string]*journal.Log{"main": mem.Open()}, Open: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- node.Serve(ctx, listener) }()

	log, err := remote.New(remote.Config{URL: "http://" + listener.Addr().String()})
	if err != nil {
		fmt.Println(err)
		return
	}
	placed := journal.EventData{ID: journal.NewID(), Type: "order.placed", Data: []byte(`{"total":12}`)}
	first, err := log.Append(ctx, "order-42", journal.None, placed)
	fmt.Println("version", first.Versions[0], err)
	again, err := log.Append(ctx, "order-42", journal.None, placed)
	fmt.Println("version", again.Versions[0], "duplicate", again.Duplicate, err)
	_, err = log.Append(ctx, "order-42", journal.None, journal.EventData{Type: "order.placed"})
	fmt.Println("conflict", errors.Is(err, journal.ErrConflict))
	for e, err := range log.ReadStream(ctx, "order-42", nil) {
		fmt.Println(e.Type, string(e.Data), err)
	}
	stop()
	fmt.Println(<-ended)
	// Output:
	// version 1 <nil>
	// version 1 duplicate true <nil>
	// conflict true
	// order.placed {"total":12} <nil>
	// <nil>
}
