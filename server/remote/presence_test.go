// SPDX-License-Identifier: Apache-2.0

// Presence from another node: seen, and released, where it is kept.

package remote_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"example.com/vidimus/heartbeat/presence"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/server/authority"
	"example.com/vidimus/server/remote"
	"example.com/vidimus/session"
)

func TestAPersonEndsAHoldFromAnyNode(t *testing.T) {
	t.Parallel()
	first := start(t, nil, "", "n1", func(c *authority.Config) {
		c.Presence = presence.Config{
			Tick: 100 * time.Millisecond, Interval: time.Second, Grace: time.Millisecond, HoldMin: 2,
		}
	})
	await(t, first)
	far := start(t, first.log, "", "n2").dial(t, "admin").Presence()
	if released, err := far.Release(t.Context()); err != nil || released {
		t.Errorf("with nothing held: %v, %v, want that nothing was released", released, err)
	}
	for i := range 4 {
		_, err := first.sessions.Start(t.Context(), session.Start{
			ID: journal.NewID(), Tenant: "acme", Subject: fmt.Sprint("u-", i), Idle: time.Second,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	until := func(what string, ok func(presence.Stats) bool) {
		t.Helper()
		for {
			stats, node, err := far.Stats(t.Context())
			if err != nil || node != "n1" {
				t.Fatalf("%s: %+v of node %q, %v, want those of n1", what, stats, node, err)
			}
			if ok(stats) {
				return
			}
			if err := clock.Sleep(t.Context(), time.Millisecond); err != nil {
				t.Fatalf("%s: %+v", what, stats)
			}
		}
	}
	// Where a tick comes between the starts, up to two are let go before there are too many.
	until("held", func(s presence.Stats) bool { return s.Held && s.Due+int(s.Expired) == 4 })
	if released, err := far.Release(t.Context()); err != nil || !released {
		t.Fatalf("while they are held: %v, %v, want them released", released, err)
	}
	until("released", func(s presence.Stats) bool { return !s.Held && s.Expired == 4 && s.Tracked == 0 })
}

func TestPresenceTakesTheRightToAllSessions(t *testing.T) {
	t.Parallel()
	o := start(t, nil, "", "")
	await(t, o)
	for _, c := range []struct {
		right         string
		look, release error
	}{
		{"feed", remote.ErrPermission, remote.ErrPermission},
		{"session:acme", remote.ErrPermission, remote.ErrPermission},
		{"session:*", nil, remote.ErrPermission},
		{"admin", nil, nil},
	} {
		far := o.dial(t, c.right).Presence()
		if _, _, err := far.Stats(t.Context()); !errors.Is(err, c.look) {
			t.Errorf("to look with %s: %v, want %v", c.right, err, c.look)
		}
		if _, err := far.Release(t.Context()); !errors.Is(err, c.release) {
			t.Errorf("to release with %s: %v, want %v", c.right, err, c.release)
		}
	}
}
