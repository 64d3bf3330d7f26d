// SPDX-License-Identifier: Apache-2.0

// Many ask the authority for one passport at once.

package passport_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/passport"
)

// together has n requests ask with the same passport at once, and returns how they fared and how long each took.
func together(ctx context.Context, v *passport.Verifier, token string, n int) (errs []error, took []time.Duration) {
	type outcome struct {
		err  error
		took time.Duration
	}
	out := make(chan outcome, n)
	began := time.Now()
	for range n {
		go func() {
			_, err := v.Check(ctx, token, &passport.Rule{MaxStale: time.Second, WhenStale: passport.AskAuthority})
			out <- outcome{err, time.Since(began)}
		}()
	}
	for range n {
		o := <-out
		errs, took = append(errs, o.err), append(took, o.took)
	}
	return errs, took
}

func TestNobodyWaitsLongerForAHungAuthorityThanItMayTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t, 184600)
		a.hold = make(chan struct{}) // for ever
		v := verifier(t, passport.Config{Keys: keySet(t, a.signer), Authority: a})
		errs, took := together(t.Context(), v, sign(t, a.signer, claims(time.Now())), 8)
		for i, err := range errs {
			if !errors.Is(err, passport.ErrUnavailable) || took[i] != 5*time.Second {
				t.Errorf("after %v: %v, want ErrUnavailable after 5s", took[i], err)
			}
		}
	})
}

func TestWhoWaitedForAQuestionSharesItsFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t, 184600)
		a.hold = make(chan struct{})
		down := errors.New("down")
		a.fail.Store(&down)
		v := verifier(t, passport.Config{Keys: keySet(t, a.signer), Authority: a})
		token := sign(t, a.signer, claims(time.Now()))
		time.AfterFunc(time.Second, func() { close(a.hold) })
		errs, _ := together(t.Context(), v, token, 8)
		for _, err := range errs {
			if !errors.Is(err, passport.ErrUnavailable) {
				t.Errorf("got %v, want ErrUnavailable", err)
			}
		}
		if n := a.calls.Load(); n != 1 {
			t.Errorf("the authority was asked %d times, want once", n)
		}
		a.fail.Store(nil)
		if errs, _ := together(t.Context(), v, token, 1); errs[0] != nil {
			t.Errorf("who comes later shares the failure: %v", errs[0])
		}
	})
}

func TestWhoLeavesDoesNotFailTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t, 184600)
		a.hold = make(chan struct{})
		v := verifier(t, passport.Config{Keys: keySet(t, a.signer), Authority: a})
		token := sign(t, a.signer, claims(time.Now()))
		impatient, leave := context.WithCancel(t.Context())
		gone := make(chan error, 1)
		go func() {
			errs, _ := together(impatient, v, token, 1)
			gone <- errs[0]
		}()
		synctest.Wait() // it has the turn
		others := make(chan error, 1)
		go func() {
			errs, took := together(t.Context(), v, token, 3)
			others <- errors.Join(errors.Join(errs...), late(took, 2*time.Second))
		}()
		synctest.Wait()
		leave()
		if err := <-gone; err == nil {
			t.Error("who left was let in")
		}
		time.AfterFunc(time.Second, func() { close(a.hold) })
		if err := <-others; err != nil {
			t.Errorf("the others got %v", err)
		}
	})
}

// late is an error if anything took longer than it may.
func late(took []time.Duration, most time.Duration) error {
	for _, d := range took {
		if d > most {
			return fmt.Errorf("it took %v, at most %v were to be", d, most)
		}
	}
	return nil
}
