// SPDX-License-Identifier: Apache-2.0

// Who waits for which call of the authority, and what is remembered of it.

package edge

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/passport"
)

// slow is an authority that answers when it is told to.
type slow struct {
	answer chan error
	asked  int
}

func (s *slow) Mint(ctx context.Context, _ passport.Ask) (passport.Grant, error) {
	s.asked++
	select {
	case err := <-s.answer:
		return *grant(), err
	case <-ctx.Done():
		return passport.Grant{}, ctx.Err()
	}
}

// slowly makes a mint with a slow authority.
func slowly() (*mint, *slow) {
	s := &slow{answer: make(chan error)}
	return newMint(&Config{Authority: s, Sessions: 100, InFlight: 100}), s
}

// begin calls fetch, and returns where its outcome will be.
func (m *mint) begin(ctx context.Context, order uint64) chan flight {
	return m.beginFor(ctx, "h", order)
}

func (m *mint) beginFor(ctx context.Context, handle string, order uint64) chan flight {
	out := make(chan flight, 1)
	go func() {
		h, err := m.fetch(ctx, handle, order, netip.Addr{})
		out <- flight{held: h, err: err}
	}()
	synctest.Wait()
	return out
}

func TestWhoWantsALaterAnswerDoesNotTakeAnEarlierOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, authority := slowly()
		first := m.begin(t.Context(), 0)
		second := m.begin(t.Context(), 0)
		event := m.event()
		third := m.begin(t.Context(), event)
		authority.answer <- nil
		synctest.Wait()
		if a, b := <-first, <-second; a.held != b.held || authority.asked != 2 {
			t.Errorf("two that want any answer get two, or the authority was asked %d times", authority.asked)
		}
		select {
		case f := <-third:
			t.Fatalf("who wants one after %d gets one of %d", event, f.held.order)
		default:
		}
		authority.answer <- nil
		if f := <-third; f.held.order <= event {
			t.Errorf("who wants one after %d gets one of %d", event, f.held.order)
		}
	})
}

func TestWhatWasForgottenUnderWayIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, authority := slowly()
		early := m.begin(t.Context(), 0)
		m.forget("h")
		late := m.begin(t.Context(), 0)
		authority.answer <- nil
		if f := <-early; f.err != nil {
			t.Error(f.err)
		}
		synctest.Wait()
		if m.ready.get("h") != nil {
			t.Error("a passport is kept that was forgotten before it came")
		}
		authority.answer <- passport.ErrNoSession
		if f := <-late; !errors.Is(f.err, passport.ErrNoSession) {
			t.Errorf("who came after the end gets %v", f.err)
		}
	})
}

func TestAnAnswerFromBeforeAChangeIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, authority := slowly()
		out := m.begin(t.Context(), 0)
		m.raise(passport.SubjectKey("", "s"))
		authority.answer <- nil
		synctest.Wait()
		select {
		case <-out:
			t.Fatal("a passport from before the change is given")
		default:
		}
		authority.answer <- nil
		if f := <-out; f.err != nil {
			t.Error(f.err)
		}
	})
}

func TestWhoGivesUpWaitingHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, authority := slowly()
		first, giveUp := context.WithCancel(t.Context())
		out := m.begin(first, 0)
		second, giveUpToo := context.WithCancel(t.Context())
		waits := m.begin(second, 0)
		giveUpToo()
		if f := <-waits; !errors.Is(f.err, context.Canceled) {
			t.Errorf("who gave up gets %v", f.err)
		}
		third := m.begin(t.Context(), 0)
		giveUp() // who asked goes away; the others still wait for the answer
		authority.answer <- nil
		if f := <-third; f.err != nil {
			t.Error(f.err)
		}
		<-out
		if len(m.flights) != 0 {
			t.Error("a call is left over")
		}
	})
}

func TestAnAuthorityThatDoesNotAnswerIsLeftAloneForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, authority := slowly()
		began := time.Now()
		if f := <-m.begin(t.Context(), 0); !errors.Is(f.err, passport.ErrUnavailable) || time.Since(began) != mintTimeout {
			t.Errorf("after %v: %v", time.Since(began), f.err)
		}
		if f := <-m.begin(t.Context(), 0); !errors.Is(f.err, passport.ErrUnavailable) || authority.asked != 1 {
			t.Errorf("asked %d times: %v", authority.asked, f.err)
		}
		time.Sleep(failingFor)
		out := m.begin(t.Context(), 0)
		authority.answer <- nil
		if f := <-out; f.err != nil {
			t.Error(f.err)
		}
	})
}

func TestAHandleThatTheAuthorityCannotAnswerShutsNobodyElseOut(t *testing.T) {
	t.Parallel()
	for _, failure := range []error{
		errors.New("the passport is too large"), passport.ErrUnavailable, context.DeadlineExceeded,
	} {
		synctest.Test(t, func(t *testing.T) {
			m, authority := slowly()
			asked := 0
			for i := range 10 {
				bad := m.beginFor(t.Context(), "bad", 0)
				if i%5 == 0 { // in between, it is not asked about
					authority.answer <- failure
					asked++
				}
				if f := <-bad; !errors.Is(f.err, passport.ErrUnavailable) {
					t.Errorf("a call that fails with %q is %v", failure, f.err)
				}
				good := m.beginFor(t.Context(), fmt.Sprint("good", i), 0)
				authority.answer <- nil
				asked++
				if f := <-good; f.err != nil || authority.asked != asked {
					t.Errorf("after %q, another handle: %v, asked %d times, want %d", failure, f.err, authority.asked, asked)
				}
				time.Sleep(failingFor / 5)
			}
		})
	}
}

func TestOfThoseWhoNeedASilentAuthorityFewWait(t *testing.T) {
	t.Parallel()
	for _, answer := range []error{nil, passport.ErrNoSession} {
		synctest.Test(t, func(t *testing.T) { fewWait(t, answer) })
	}
}

func fewWait(t *testing.T, answer error) {
	m, authority := slowly()
	<-m.begin(t.Context(), 0)
	var waiting []chan flight
	for i := range 3 * probesAtOnce {
		out := m.beginFor(t.Context(), fmt.Sprint("h", i), 0)
		select {
		case f := <-out:
			if !errors.Is(f.err, passport.ErrUnavailable) {
				t.Error(f.err)
			}
		default:
			waiting = append(waiting, out)
		}
	}
	if len(waiting) != probesAtOnce || authority.asked != 1+probesAtOnce {
		t.Fatalf("%d wait, want %d; asked %d times", len(waiting), probesAtOnce, authority.asked)
	}
	authority.answer <- answer
	synctest.Wait()
	for i := range m.most / 2 {
		waiting = append(waiting, m.beginFor(t.Context(), fmt.Sprint("later", i), 0))
	}
	if want := 1 + probesAtOnce + m.most/2; authority.asked != want {
		t.Errorf("once it answers, it is asked %d times, want %d", authority.asked, want)
	}
	for range authority.asked - 2 {
		authority.answer <- nil
	}
	for _, out := range waiting {
		<-out
	}
	if n := m.probes.Load(); n != 0 || len(m.flights) != 0 {
		t.Errorf("%d probes and %d calls are left over", n, len(m.flights))
	}
}

func TestHandlesThatAreAskedAboutAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, authority := slowly()
		ctx, giveUp := context.WithCancel(t.Context())
		var all []chan flight
		for i := range m.most {
			all = append(all, m.beginFor(ctx, fmt.Sprint("h", i), 0))
		}
		giveUp() // the calls go on
		for _, out := range all {
			<-out
		}
		if f := <-m.begin(t.Context(), 0); !errors.Is(f.err, passport.ErrUnavailable) || authority.asked != m.most {
			t.Errorf("one too many gets %v, asked %d times", f.err, authority.asked)
		}
		for range m.most {
			authority.answer <- nil
		}
	})
}

// panics is an authority with a fault.
type panics struct{ exits bool }

func (p panics) Mint(context.Context, passport.Ask) (passport.Grant, error) {
	if p.exits {
		runtime.Goexit()
	}
	panic("a fault of the authority")
}

func TestACallThatPanicsIsOver(t *testing.T) {
	t.Parallel()
	for name, a := range map[string]panics{"a panic": {}, "a goroutine that exits": {exits: true}} {
		synctest.Test(t, func(t *testing.T) {
			m := newMint(&Config{Authority: a, Sessions: 100, InFlight: 100})
			for range 2 {
				f := <-m.begin(t.Context(), 0)
				if !errors.Is(f.err, passport.ErrUnavailable) || !a.exits && !strings.Contains(f.err.Error(), "Mint") {
					t.Errorf("%s: %v", name, f.err)
				}
				if len(m.flights) != 0 || len(m.slots) != 0 {
					t.Errorf("%s leaves %d calls and %d slots behind", name, len(m.flights), len(m.slots))
				}
				time.Sleep(failingFor)
			}
		})
	}
}

func TestAHandleWithoutASessionIsAskedAboutOnceInAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, authority := slowly()
		for want := 1; want < 4; want++ {
			out := m.begin(t.Context(), 0)
			authority.answer <- passport.ErrRevoked
			<-out
			if f := <-m.begin(t.Context(), 0); !errors.Is(f.err, passport.ErrNoSession) || authority.asked != want {
				t.Errorf("asked %d times, want %d: %v", authority.asked, want, f.err)
			}
			time.Sleep(deadFor)
		}
	})
}

// Many people share an address, and one of them may be guessing.
func TestWhoGuessesHandlesShutsNobodyOutWhoIsKnown(t *testing.T) {
	t.Parallel()
	m := newMint(&Config{Authority: grants{}, Sessions: 100, InFlight: 100})
	fetch := func(handle string) error {
		_, err := m.fetch(t.Context(), handle, m.event(), netip.Addr{})
		return err
	}
	if err := fetch("known"); err != nil {
		t.Fatal(err)
	}
	for m.failures.take(netip.Addr{}, time.Now()) {
		continue
	}
	if err := fetch("known"); err != nil {
		t.Errorf("whose passport is at hand gets %v", err)
	}
	if err := fetch("guessed"); !errors.Is(err, errCrowd) {
		t.Errorf("one more guess gets %v, want %v", err, errCrowd)
	}
}

func TestAnAnswerThatWouldDoHarmIsNone(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*passport.Grant){
		"no token":         func(g *passport.Grant) { g.Token = "" },
		"two lines":        func(g *passport.Grant) { g.Token = "a\r\nb" },
		"a huge token":     func(g *passport.Grant) { g.Token = string(make([]byte, tokenMax+1)) },
		"no handle":        func(g *passport.Grant) { g.Handle = "x; Domain=evil" },
		"no life":          func(g *passport.Grant) { g.Claims.ExpiresAt = g.Claims.IssuedAt },
		"good, in the end": nil,
	} {
		g := grant()
		if spoil != nil {
			spoil(g)
		}
		if err := checkGrant(g); (err == nil) != (spoil == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
