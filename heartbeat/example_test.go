// SPDX-License-Identifier: Apache-2.0

// How a verifier keeps a view.

package heartbeat_test

import (
	"context"
	"fmt"
	"iter"
	"time"

	"example.com/vidimus/heartbeat"
	"example.com/vidimus/passport"
)

// A view is fed frames, and told when a ping was sent and what it was answered. Its staleness is then a bound.
func ExampleView() {
	view := heartbeat.NewView(nil)
	fmt.Println("knows nothing:", view.Staleness() == passport.Unknown)

	sent := view.PingSent()
	head := heartbeat.Head{Log: "c3", Epoch: 7, Position: 184_467} // what the authority answers
	_ = view.PingAnswered(sent, head)
	_ = view.Apply(heartbeat.Frame{
		Log: "c3", Epoch: 7, Snapshot: true, After: 184_000, Through: 184_467,
		Changes: []heartbeat.Change{
			{Position: 184_300, Scope: heartbeat.Session, Key: "s1", Effect: heartbeat.Revoked},
			{Position: 184_400, Scope: heartbeat.Tenant, Key: "acme", Effect: heartbeat.Superseded},
		},
	})
	fmt.Println("fresh:", view.Staleness() < time.Second, "through", view.Through())

	claims := passport.Claims{Session: "s1", Tenant: "acme", Mark: passport.Mark{Log: "c3", Epoch: 7}}
	for _, position := range []int64{183_999, 184_299, 184_300, 184_400} {
		claims.Position = position
		fmt.Println(position, view.Judge(&claims))
	}
	// Output:
	// knows nothing: true
	// fresh: true through c3.7:184467
	// 183999 passport is revoked
	// 184299 passport is revoked
	// 184300 passport is superseded
	// 184400 <nil>
}

// local is an authority in this process; feed.Feed is one that follows a journal, and [heartbeat.Remote] one over HTTP.
type local struct{ tail *heartbeat.Tail }

func (l local) Subscribe(ctx context.Context, from passport.Mark) iter.Seq2[heartbeat.Frame, error] {
	return func(yield func(heartbeat.Frame, error) bool) {
		if frame, news := l.tail.Next(from); news && !yield(frame, nil) {
			return
		}
		<-ctx.Done()
		yield(heartbeat.Frame{}, ctx.Err())
	}
}

func (l local) Ping(context.Context) (heartbeat.Head, error) { return l.tail.Through(), nil }

// A client keeps a view fed. Sync brings it up to now, for what must not be decided on less.
func ExampleClient() {
	tail := heartbeat.NewTail(passport.Mark{Log: "c3", Epoch: 7, Position: 100}, 0)
	_ = tail.Add(120, heartbeat.Change{Position: 117, Scope: heartbeat.All, Effect: heartbeat.Superseded})

	client, err := heartbeat.Open(heartbeat.Config{Sources: []heartbeat.Source{local{tail}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- client.Run(ctx) }()

	at, err := client.Sync(ctx)
	fmt.Println(at, err)
	old := passport.Claims{Mark: passport.Mark{Log: "c3", Epoch: 7, Position: 116}}
	fmt.Println(client.View().Judge(&old))

	cancel()
	fmt.Println(<-ended)
	// Output:
	// c3.7:120 <nil>
	// passport is superseded
	// <nil>
}

// A tail is what an authority remembers. Readers go on from wherever they are; who was away for too long begins anew
// at its base.
func ExampleTail() {
	tail := heartbeat.NewTail(passport.Mark{Log: "c3", Epoch: 7, Position: 100}, 0)
	for position := int64(101); position <= 103; position++ {
		_ = tail.Add(position, heartbeat.Change{
			Position: position, Scope: heartbeat.Session, Key: "s1", Effect: heartbeat.Superseded,
		})
	}
	for _, from := range []int64{102, 103, 50} {
		frame, news := tail.Next(passport.Mark{Log: "c3", Epoch: 7, Position: from})
		fmt.Println(from, news, frame.After, frame.Through, len(frame.Changes), frame.Snapshot)
	}
	// Output:
	// 102 true 102 103 1 false
	// 103 false 103 103 0 false
	// 50 true 100 103 3 true
}
