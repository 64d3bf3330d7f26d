// SPDX-License-Identifier: Apache-2.0

// Holding back a mass of sessions, and letting them go.

package presence_test

import (
	"context"
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
		synctest.Wait()
		o.Release()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := o.Stats(); got.Held || got.Expired != 1000 || got.Tracked != 0 || got.Due != 0 {
			t.Errorf("got %+v, want all expired", got)
		}
	})
}

func TestReleaseWithoutAHoldDoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMorgue()
		o, told, _ := holding(t, m, 90*time.Second)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if o.Release() {
			t.Error("a hold was released before there was one")
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if got := o.Stats(); !got.Held || got.Expired != 0 || len(*told) != 1 {
			t.Errorf("got %+v after %+v, want all held", got, *told)
		}
		if !o.Release() {
			t.Error("there was no hold to release")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := o.Stats(); got.Held || got.Expired != 1000 {
			t.Errorf("got %+v, want all expired", got)
		}
	})
}

// others tracks sessions that beat every half a minute until the returned function is called.
func others(t *testing.T, o *presence.Owner, first, n int) (leave func()) {
	t.Helper()
	var ids []presence.ID
	for i := range n {
		ids = append(ids, numbered(first+i))
	}
	track(t, o, 90*time.Second, ids...)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for ctx.Err() == nil {
			beat(t, o, ids...)
			select {
			case <-ctx.Done():
			case <-time.After(30 * time.Second):
			}
		}
	}()
	return func() {
		cancel()
		synctest.Wait()
	}
}

func TestHoldEndsWhenOthersAreHeardForLong(t *testing.T) {
	for _, c := range []struct {
		name   string
		others int
		ends   bool
	}{
		{"nobody", 0, false},
		{"too few", 150, false},
		{"as many as make a hold", 250, true},
		{"more", 2000, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMorgue()
				o, told, _ := holding(t, m, 90*time.Second)
				leave := others(t, o, 5000, c.others)
				defer leave()
				time.Sleep(90*time.Second + time.Hour) // some 1.5 s less than it takes
				synctest.Wait()
				if got := o.Stats(); !got.Held || got.Expired != 0 {
					t.Fatalf("got %+v, want all held for the whole time", got)
				}
				time.Sleep(time.Minute)
				got := o.Stats()
				if c.ends && (got.Held || got.Expired != 1000 || got.Tracked != c.others || len(*told) != 2 || (*told)[1].On) {
					t.Errorf("got %+v after %+v, want the 1,000 expired and the others alone", got, *told)
				}
				if !c.ends && (!got.Held || got.Expired != 0) {
					t.Errorf("got %+v, want all held", got)
				}
			})
		})
	}
}

func TestHoldStaysWhileBeatsBreakOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMorgue()
		o, _, _ := holding(t, m, 90*time.Second)
		leave := others(t, o, 5000, 500)
		time.Sleep(50 * time.Minute)
		synctest.Wait()
		leave() // now all is dark
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if got := o.Stats(); !got.Held || got.Expired != 0 || got.Due != 1500 {
			t.Fatalf("got %+v, want all held in the dark", got)
		}
		few := others(t, o, 7000, 200)
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if got := o.Stats(); !got.Held || got.Expired != 0 {
			t.Fatalf("got %+v, want all held: who was heard before the dark does not count", got)
		}
		few()
		time.Sleep(5 * time.Minute)
		defer others(t, o, 8000, 1000)()
		time.Sleep(59 * time.Minute)
		synctest.Wait()
		if got := o.Stats(); !got.Held || got.Expired != 0 {
			t.Fatalf("got %+v, want all held until others were heard for an hour", got)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got := o.Stats(); got.Held || got.Expired != 1700 || got.Tracked != 1000 {
			t.Errorf("got %+v, want the 1,700 expired", got)
		}
	})
}

func TestWhoFallsSilentDuringAHoldIsHeldAsLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMorgue()
		o, told, _ := holding(t, m, 90*time.Second)
		defer others(t, o, 5000, 2000)()
		leave := others(t, o, 8000, 1500)
		time.Sleep(50 * time.Minute)
		synctest.Wait()
		leave() // another edge is cut off
		time.Sleep(15 * time.Minute)
		synctest.Wait()
		if got := o.Stats(); !got.Held || got.Expired != 1000 || got.Due != 1500 || len(*told) != 1 {
			t.Fatalf("got %+v after %+v, want the first expired and the second held", got, *told)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := o.Stats(); got.Held || got.Expired != 2500 || got.Tracked != 2000 || len(*told) != 2 {
			t.Errorf("got %+v after %+v, want both expired", got, *told)
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
		synctest.Wait()
		o.Release()
		time.Sleep(10 * time.Minute) // each was given to Expire, and it failed
		m.refuse(nil)
		track(t, o, 90*time.Second, ids...)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if got := o.Stats(); !got.Held || got.Expired > 0 {
			t.Errorf("got %+v, want them held as before", got)
		}
	})
}
