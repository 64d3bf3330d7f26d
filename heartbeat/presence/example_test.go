// SPDX-License-Identifier: Apache-2.0

// How an edge and an owner work together.

package presence_test

import (
	"context"
	"fmt"
	"time"

	"example.com/vidimus/heartbeat/presence"
)

// An edge notes beats, and an owner is told once a second. Over a network, Send posts what AppendBatch writes.
func Example() {
	owner, err := presence.Open(presence.Config{
		Expire: func(_ context.Context, sessions []presence.Expired) error {
			return nil // append to the journal that they ended, under the epoch of the owner's lease
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	batcher, err := presence.OpenBatcher(presence.BatcherConfig{Send: owner.Beats})
	if err != nil {
		fmt.Println(err)
		return
	}

	id, err := presence.ParseID("AAECAwQFBgcICQoLDA0ODw")
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := owner.Track(id, 30*time.Minute); err != nil { // when the session starts
		fmt.Println(err)
		return
	}
	for range 1000 {
		batcher.Beat(id) // with every request
	}

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	fmt.Println(batcher.Run(ctx), owner.Stats().Beats)
	// Output: <nil> 1
}

func ExampleHeartbeat_Answer() {
	seen, err := presence.ParseHeartbeat([]byte(`{"seen_ver":412,"seen_sver":7,"tab":"k3"}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	now := presence.Answer{Version: 413, SubjectVersion: 7, Position: "c3.7:184470"}
	answer := seen.Answer(now, 30*time.Second, 0.5)
	fmt.Println(answer.Stale, answer.Next)
	// Output: true 30000
}

func ExampleParseBatch() {
	heard := []presence.Beat{{ID: presence.ID{1}}, {ID: presence.ID{2}, Age: 3 * time.Second}}
	data, err := presence.AppendBatch(nil, heard)
	if err != nil {
		fmt.Println(err)
		return
	}
	beats, err := presence.ParseBatch(nil, data)
	fmt.Println(len(data), len(beats), beats[1].Age, err)
	// Output: 36 2 3s <nil>
}
