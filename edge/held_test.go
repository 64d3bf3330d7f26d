// SPDX-License-Identifier: Apache-2.0

// Tables that do not grow: passports at hand, numbers remembered, attempts counted, answers kept.

package edge

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"example.com/vidimus/passport"
)

// grant returns a passport that says little.
func grant() *passport.Grant {
	now := time.Now()
	return &passport.Grant{
		Token: "t", Claims: passport.Claims{IssuedAt: now, ExpiresAt: now.Add(time.Minute), Subject: "s"},
	}
}

func TestTheCacheKeepsWhatIsUsed(t *testing.T) {
	t.Parallel()
	const size = 64 * shards
	c := newCache(size)
	c.put(hold("mine", grant(), time.Now(), 1))
	for i := range 20 * size {
		c.put(hold(fmt.Sprint("other", i), grant(), time.Now(), 1))
		if i%8 == 0 && c.get("mine") == nil {
			t.Fatalf("what is used all the time is gone after %d others", i)
		}
	}
	if n := c.size(); n > size {
		t.Errorf("%d are kept, of %d", n, size)
	}
	c.drop("mine")
	c.drop("mine")
	if c.get("mine") != nil {
		t.Error("what was dropped is there")
	}
}

func TestAnOlderPassportDoesNotTakeThePlaceOfANewerOne(t *testing.T) {
	t.Parallel()
	c := newCache(1)
	c.put(hold("h", grant(), time.Now(), 7))
	c.put(hold("h", grant(), time.Now(), 3))
	if got := c.get("h").order; got != 7 {
		t.Errorf("the one asked for at %d is kept", got)
	}
	c.put(hold("h", grant(), time.Now(), 9))
	if got := c.get("h").order; got != 9 || c.size() != 1 {
		t.Errorf("the one asked for at %d is kept, of %d", got, c.size())
	}
}

func TestAFloorThatWasForgottenIsHigherAndNeverLower(t *testing.T) {
	t.Parallel()
	const limit = 10
	r := newRecent(limit)
	truth := map[string]uint64{}
	for n := uint64(1); n < 500; n++ {
		s := fmt.Sprint(n * n % 37)
		r.note(s, n)
		truth[s] = n
		for s, want := range truth {
			if got := r.atMost(s); got < want {
				t.Fatalf("after %d, the floor of %s is %d, want at least %d", n, s, got, want)
			}
		}
		if len(r.young)+len(r.old) > 2*limit {
			t.Fatalf("%d are kept", len(r.young)+len(r.old))
		}
	}
	if got := r.atMost("never seen"); got == 0 || got >= 499 {
		t.Errorf("the floor of one that was never seen is %d", got)
	}
}

func TestAttemptsAreCountedByAddress(t *testing.T) {
	t.Parallel()
	l := newLimits(Limit{Every: time.Second, Burst: 2})
	now := time.Now()
	mine, sister := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
	if !l.take(mine, now) || !l.take(sister, now) || l.take(mine, now) || !l.spent(sister, now) {
		t.Error("two addresses of one /64 do not share their attempts")
	}
	if !l.take(mine, now.Add(time.Second)) {
		t.Error("after a second there is no new attempt")
	}
	refused := 0
	for i := range 1000 { // others, of whom few may suffer from sharing
		if a := netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}); !l.take(a, now) {
			refused++
		}
	}
	if refused > 10 {
		t.Errorf("%d of 1000 others are refused", refused)
	}
}

func TestAnswersKeptHaveTheirLimits(t *testing.T) {
	t.Parallel()
	s := newReplays()
	for i := range 2 * replayTotal / replayAnswer {
		one := &replay{key: sum(fmt.Sprint(i)), status: 200, body: make([]byte, replayAnswer)}
		if s.begin(one) != nil {
			t.Fatal("a new key is taken")
		}
		s.finish(one, true)
		if count, bytes := s.size(); bytes > replayTotal || count > replayCount {
			t.Fatalf("%d answers of %d bytes are kept", count, bytes)
		}
	}
	if s.begin(&replay{key: sum("0")}) != nil {
		t.Error("the oldest is kept")
	}
	for i := range 2 * replayCount {
		one := &replay{key: sum("small", fmt.Sprint(i)), status: 200}
		s.begin(one)
		s.finish(one, true)
	}
	if count, _ := s.size(); count > replayCount+1 {
		t.Errorf("%d answers are kept", count)
	}
	s.mu.Lock()
	s.expire(time.Now().Add(replayAge))
	left := len(s.order)
	s.mu.Unlock()
	if left != 0 {
		t.Errorf("after a day %d answers are left", left)
	}
}
