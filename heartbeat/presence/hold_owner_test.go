// SPDX-License-Identifier: Apache-2.0

// Holding back a mass of sessions, and letting them go.

package presence_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/heartbeat/presence"
)

// holding opens an owner of 1,000 sessions that beat until now, and returns what it told of holds.
func holding(t *testing.T, m *morgue, limit time.Duration) (*presence.Owner, *[]presence.Hold, []presence.ID) {
	t.Helper()
	var told []presence.Hold
	cfg := presence.Config{Expire: m.expire, Grace: 1, Held: func(h presence.Hold) { told = append(told, h) }}
	o := run(t, cfg, nil)
	var ids []presence.ID
	for i := range 1000 {
		ids = append(ids, numbered(i))
	}
	track(t, o, limit, ids...)
	return o, &told, ids
}

func TestMassThatFallsSilentIsHeldUntilBeatsComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMorgue()
		o, told, ids := holding(t, m, 90*time.Second)
		time.Sleep(2 * time.Hour) // an edge is cut off
		synctest.Wait()
		if got := o.Stats(); !got.Held || got.Expired != 0 || got.Due != 1000 {
			t.Fatalf("got %+v, want all held", got)
		}
		if len(*told) != 1 || (*told)[0] != (presence.Hold{On: true, Due: 1000, Tracked: 1000}) {
			t.Fatalf("told %+v, want one alarm with the number of sessions", *told)
		}
		for range 20 {
			beat(t, o, ids[:900]...)
			time.Sleep(30 * time.Second)
		}
		if got := o.Stats(); got.Held || got.Expired != 100 || got.Recovered != 900 || got.Tracked != 900 {
			t.Errorf("got %+v, want the 100 expired that did not come back", got)
		}
		synctest.Wait()
		if len(*told) != 2 || (*told)[1].On {
			t.Errorf("told %+v, want that the hold ended", *told)
		}
	})
}

func TestPersonReleasesAHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMorgue()
		o, _, _ := holding(t, m, 90*time.Second)
		time.Sleep(100 * time.Second)
		o.Release()
		time.Sleep(2 * time.Second)
		if got := o.Stats(); got.Held || got.Expired != 1000 || got.Tracked != 0 || got.Due != 0 {
			t.Errorf("got %+v, want all expired", got)
		}
	})
}

func TestTrickleOfAnOutageIsHeldToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMorgue()
		o, _, ids := holding(t, m, 90*time.Second)
		for second := range 120 { // everybody beats every 30 seconds, not all at once
			if second == 60 {
				ids = ids[:400] // and 600 are cut off
			}
			for i, id := range ids {
				if i%30 == second%30 {
					beat(t, o, id)
				}
			}
			time.Sleep(time.Second)
		}
		for range 20 {
			time.Sleep(30 * time.Second)
			beat(t, o, ids...)
		}
		if got := o.Stats(); !got.Held || got.Expired > 200 {
			t.Errorf("got %+v, want a hold before more than a fifth expired", got)
		}
	})
}

func TestWhoWasTrackedAgainIsHeldAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMorgue()
		m.refuse(errors.New("the journal is away"))
		o, _, ids := holding(t, m, 90*time.Second)
		time.Sleep(100 * time.Second)
		o.Release()
		time.Sleep(10 * time.Minute) // each was given to Expire, and it failed
		m.refuse(nil)
		track(t, o, 90*time.Second, ids...)
		time.Sleep(10 * time.Minute)
		if got := o.Stats(); !got.Held || got.Expired > 0 {
			t.Errorf("got %+v, want them held as before", got)
		}
	})
}
