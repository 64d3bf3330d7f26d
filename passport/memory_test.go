// SPDX-License-Identifier: Apache-2.0

// What a verifier remembers, for how long, and whose it is; and what clocks that are wrong do.

package passport_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/passport"
)

func TestWhatIsRememberedDiesWithItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := signer(t, 1)
		v := verifier(t, passport.Config{Keys: keySet(t, s)})
		token := sign(t, s, claims(time.Now()))
		for range 13 { // to 60 s, and the skew of 5 s
			if _, err := v.Check(t.Context(), token, nil); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Second)
		}
		for _, check := range []func() error{
			func() error { _, err := v.Check(t.Context(), token, nil); return err },
			func() error { _, err := v.Verify(t.Context(), token); return err },
		} {
			if err := check(); !errors.Is(err, passport.ErrExpired) {
				t.Errorf("after its time it gives %v", err)
			}
		}
	})
}

// A clock that is wrong by an hour closes the door, in either direction, and says why.
func TestAClockThatIsWrongByAnHourClosesTheDoor(t *testing.T) {
	t.Parallel()
	s := signer(t, 1)
	now := time.Now()
	shift := time.Duration(0)
	v := verifier(t, passport.Config{Keys: keySet(t, s), Now: func() time.Time { return now.Add(shift) }})
	fresh, token := sign(t, s, claims(now)), sign(t, s, claims(now))
	for _, c := range []struct {
		shift time.Duration
		want  error
		text  string
	}{
		{0, nil, ""},
		{time.Hour, passport.ErrExpired, "expired"},
		{-time.Hour, passport.ErrInvalid, "compare the clocks"},
		{0, nil, ""}, // and opens it again
		{-5 * time.Second, nil, ""},
		{-6 * time.Second, passport.ErrInvalid, "compare the clocks"},
		{64 * time.Second, nil, ""},
		{65 * time.Second, passport.ErrExpired, "expired"},
	} {
		shift = c.shift
		_, remembered := v.Check(t.Context(), token, nil)
		_, verified := v.Verify(t.Context(), fresh)
		for _, err := range []error{remembered, verified} {
			if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) ||
				err != nil && !strings.Contains(err.Error(), c.text) {
				t.Errorf("by %v it gives %v, want %v", c.shift, err, c.want)
			}
		}
	}
}

// Two verifiers never share what they remember: what is good for one audience is not for another.
func TestVerifiersRememberForThemselves(t *testing.T) {
	t.Parallel()
	s := signer(t, 1)
	keys := keySet(t, s)
	shop := verifier(t, passport.Config{Keys: keys})
	bank := verifier(t, passport.Config{Keys: keys, Audience: "bank"})
	elsewhere := verifier(t, passport.Config{Keys: keys, Issuer: "https://other.example"})
	token := sign(t, s, claims(time.Now()))
	for range 2 {
		if _, err := shop.Check(t.Context(), token, nil); err != nil {
			t.Error(err)
		}
		for _, v := range []*passport.Verifier{bank, elsewhere} {
			if _, err := v.Check(t.Context(), token, nil); !errors.Is(err, passport.ErrInvalid) {
				t.Errorf("a verifier for others gives %v", err)
			}
		}
	}
}

// A passport that differs in one character anywhere is another one, be it short or long.
func TestEveryCharacterCounts(t *testing.T) {
	t.Parallel()
	s := signer(t, 1)
	v := verifier(t, passport.Config{Keys: keySet(t, s)})
	long := claims(time.Now())
	long.State = json.RawMessage(`{"a":"` + strings.Repeat("x", 1500) + `"}`)
	for _, token := range []string{sign(t, s, claims(time.Now())), sign(t, s, long)} {
		for range 2 {
			if _, err := v.Check(t.Context(), token, nil); err != nil {
				t.Fatal(err)
			}
		}
		for i := range len(token) {
			next := byte('A')
			if token[i] == next {
				next = 'Q'
			}
			if _, err := v.Check(t.Context(), token[:i]+string(next)+token[i+1:], nil); err == nil {
				t.Fatalf("another character at %d is taken", i)
			}
		}
		for _, other := range []string{token[1:], token + "A", token[:len(token)-1], token + "\x00"} {
			if _, err := v.Check(t.Context(), other, nil); err == nil {
				t.Fatalf("%d characters instead of %d are taken", len(other), len(token))
			}
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := signer(t, 1)
		const limit = 64
		v := verifier(t, passport.Config{Keys: keySet(t, s), Remember: limit})
		mint := func(n int) {
			for i := range n {
				c := claims(time.Now())
				c.Txn = fmt.Sprint("txn-", i)
				if _, err := v.Check(t.Context(), sign(t, s, c), nil); err != nil {
					t.Fatal(err)
				}
			}
		}
		mint(2000)
		const most = limit + limit/16 + 16*16 // the room that uneven filling takes
		if n := v.Remembered(); n > most || n < limit/2 {
			t.Errorf("remembers %d of 2,000 passports, the limit is %d", n, most)
		}
		time.Sleep(2 * time.Minute) // all are over, and make room
		mint(400)
		if n := v.Remembered(); n > most {
			t.Errorf("remembers %d, the limit is %d", n, most)
		}
		roomy := verifier(t, passport.Config{Keys: keySet(t, s), Remember: 1000})
		v = roomy
		mint(1000)
		time.Sleep(2 * time.Minute)
		mint(900)
		if n := v.Remembered(); n > 1100 {
			t.Errorf("remembers %d, of which 900 are in time", n)
		}
		none := verifier(t, passport.Config{Keys: keySet(t, s), Remember: -1})
		if _, err := none.Check(t.Context(), sign(t, s, claims(time.Now())), nil); err != nil {
			t.Errorf("without a memory: %v", err)
		}
	})
}

func TestManyMayAskAtOnce(t *testing.T) {
	t.Parallel()
	s, view := signer(t, 1), newView()
	v := verifier(t, passport.Config{Keys: keySet(t, s), View: view, Remember: 20})
	var tokens []string
	for i := range 100 {
		c := claims(time.Now())
		c.Txn = fmt.Sprint("txn-", i)
		tokens = append(tokens, sign(t, s, c))
	}
	rule := &passport.Rule{Scopes: []string{"seats.buy"}, MaxStale: time.Second}
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 300 {
				n := (i*7 + worker*13) % len(tokens)
				c, err := v.Check(t.Context(), tokens[n], rule)
				if err != nil || c.Txn != fmt.Sprint("txn-", n) {
					t.Errorf("passport %d gives %+v, %v", n, c, err)
					return
				}
				if i%50 == 0 {
					view.generation.Add(1)
				}
			}
		})
	}
	wg.Wait()
}

// The one allocation of a verification is the payload, and a decision on a remembered passport makes none.
func TestDecisionsAllocateLittle(t *testing.T) {
	s := signer(t, 1)
	v := verifier(t, passport.Config{Keys: keySet(t, s), View: newView()})
	token := sign(t, s, claims(time.Now()))
	rule := &passport.Rule{Scopes: []string{"seats.buy"}, MaxStale: time.Second}
	ctx := t.Context()
	for _, c := range []struct {
		name string
		most float64
		do   func() error
	}{
		{"verify", 1, func() error { _, err := v.Verify(ctx, token); return err }},
		{"check", 0, func() error { _, err := v.Check(ctx, token, rule); return err }},
		{"subject key", 0, func() error {
			var buf [22]byte
			if got := passport.AppendSubjectKey(buf[:0], "acme", "u-42"); len(got) != len(buf) {
				return fmt.Errorf("it has %d bytes", len(got))
			}
			return nil
		}},
	} {
		var err error
		if n := testing.AllocsPerRun(100, func() { err = errors.Join(err, c.do()) }); n > c.most || err != nil {
			t.Errorf("%s makes %v allocations, want at most %v; %v", c.name, n, c.most, err)
		}
	}
}
