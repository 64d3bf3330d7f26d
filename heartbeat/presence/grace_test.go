// SPDX-License-Identifier: Apache-2.0

// The grace after a start, for sessions whose own limit is shorter.

package presence_test

import (
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/heartbeat/presence"
)

func TestNobodyExpiresWithinTheGraceAfterAStart(t *testing.T) {
	for name, cfg := range map[string]struct{ given, want time.Duration }{
		"by default two intervals": {0, 2 * presence.DefaultInterval},
		"as it is set":             {5 * time.Minute, 5 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMorgue()
				gone, back := numbered(1), numbered(2)
				o := run(t, presence.Config{Expire: m.expire, Grace: cfg.given}, func(o *presence.Owner) {
					track(t, o, 5*time.Second, gone, back)
				})
				time.Sleep(cfg.want - 2*time.Second)
				synctest.Wait()
				if got := o.Stats(); m.len() != 0 || !got.Frozen || got.Due != 2 {
					t.Fatalf("within the grace: expired %v, stats %+v; want both due and nobody expired", m.all(), got)
				}
				beat(t, o, back) // which was away as long as the owner before
				time.Sleep(4 * time.Second)
				synctest.Wait()
				if m.at(gone) < cfg.want || m.at(back) != 0 {
					t.Errorf("after the grace of %v: expired %v, want the silent one alone", cfg.want, m.all())
				}
			})
		})
	}
}
