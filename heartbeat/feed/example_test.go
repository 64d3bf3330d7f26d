// SPDX-License-Identifier: Apache-2.0

// A feed of a journal, and a verifier that follows it.

package feed_test

import (
	"context"
	"fmt"

	"example.com/vidimus/heartbeat"
	"example.com/vidimus/heartbeat/feed"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/passport"
)

// The authority says what its events change; whoever follows knows it as soon as it synchronises.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	log := mem.Open()
	f, err := feed.Open(feed.Config{Log: log, Changes: func(e *journal.Event) []heartbeat.Change {
		if e.Type != "session.ended" {
			return nil
		}
		return []heartbeat.Change{{Scope: heartbeat.Session, Key: string(e.Stream), Effect: heartbeat.Revoked}}
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() { _ = f.Run(ctx) }()
	client, err := heartbeat.Open(heartbeat.Config{Sources: []heartbeat.Source{f}})
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() { _ = client.Run(ctx) }()

	head, _ := log.Head(ctx)
	minted := passport.Claims{
		Session: "session-a", Mark: passport.Mark{Log: head.Log, Epoch: int64(head.Epoch), Position: int64(head.Position)},
	}
	_, _ = client.Sync(ctx)
	fmt.Println("before:", client.View().Judge(&minted))
	_, _ = log.Append(ctx, "session-a", journal.Any, journal.EventData{Type: "session.ended"})
	_, _ = client.Sync(ctx)
	fmt.Println("after:", client.View().Judge(&minted))
	// Output:
	// before: <nil>
	// after: passport is revoked
}
