// SPDX-License-Identifier: Apache-2.0

// Answers of the authority that are used again.

package passport_test

import (
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/passport"
)

// A replacement may end before the passport it stands for. Without a bound of staleness, only its own end says so.
func TestAReplacementIsNotUsedPastItsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, view := newAuthority(t, 184700), newView()
		view.judge(func(c *passport.Claims) error {
			if c.Position < 184650 {
				return passport.ErrSuperseded
			}
			return nil
		})
		v := verifier(t, passport.Config{Keys: keySet(t, a.signer), View: view, Authority: a})
		old := claims(time.Now())
		old.ExpiresAt = old.IssuedAt.Add(passport.MaxLife)
		token := sign(t, a.signer, old)
		ask := &passport.Rule{WhenStale: passport.AskAuthority}
		for _, c := range []struct {
			wait  time.Duration
			calls int64
		}{{0, 1}, {59 * time.Second, 1}, {11 * time.Second, 2}, {time.Second, 2}, {69 * time.Second, 3}} {
			time.Sleep(c.wait)
			d, err := v.Decide(t.Context(), token, ask, passport.Need{})
			if n := a.calls.Load(); err != nil || n != c.calls {
				t.Fatalf("after %v more: %v, asked %d times, want %d", c.wait, err, n, c.calls)
			}
			if left := time.Until(d.Claims.ExpiresAt); left < -5*time.Second {
				t.Errorf("after %v more: a passport is used that ended %v ago", c.wait, -left)
			}
		}
	})
}
