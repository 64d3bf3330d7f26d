// SPDX-License-Identifier: Apache-2.0

// What a view says that it remembers.

package heartbeat_test

import (
	"testing"

	"example.com/vidimus/heartbeat"
)

func TestViewSaysWhatItRemembers(t *testing.T) {
	t.Parallel()
	v := heartbeat.NewView(nil)
	if base, n := v.Floors(); base != 0 || n != 0 {
		t.Errorf("a new view remembers %d floors above %d", n, base)
	}
	frame := heartbeat.Frame{Log: "main", Epoch: 1, After: 5, Through: 9, Snapshot: true, Changes: []heartbeat.Change{
		{Position: 6, Scope: heartbeat.Subject, Key: "s", Effect: heartbeat.Superseded},
		{Position: 7, Scope: heartbeat.Session, Key: "a", Effect: heartbeat.Revoked},
		{Position: 8, Scope: heartbeat.Subject, Key: "s", Effect: heartbeat.Revoked},
	}}
	if err := v.Apply(frame); err != nil {
		t.Fatal(err)
	}
	if base, n := v.Floors(); base != 5 || n != 2 {
		t.Errorf("it remembers %d floors above %d; want 2 above 5", n, base)
	}
}
