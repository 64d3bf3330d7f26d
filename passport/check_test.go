// SPDX-License-Identifier: Apache-2.0

// Decisions on genuine passports: fresh enough, unchanged, allowed; and who is asked otherwise.

package passport_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/passport"
	"example.com/vidimus/passport/header"
)

// authority replaces passports by ones that are minted at a position.
type authority struct {
	t        testing.TB
	signer   *passport.Signer
	position atomic.Int64
	calls    atomic.Int64
	change   func(*passport.Claims) // of what it gives, if not nil
	fail     atomic.Pointer[error]
	hold     chan struct{} // answers wait for it, if not nil
}

func newAuthority(t testing.TB, position int64) *authority {
	a := &authority{t: t, signer: signer(t, 1)}
	a.position.Store(position)
	return a
}

func (a *authority) Replace(ctx context.Context, _ string, _ passport.Mark) (passport.Grant, error) {
	n := a.calls.Add(1)
	if a.hold != nil {
		select {
		case <-a.hold:
		case <-ctx.Done():
			return passport.Grant{}, ctx.Err()
		}
	}
	if err := a.fail.Load(); err != nil {
		return passport.Grant{}, *err
	}
	c := claims(time.Now())
	c.Position, c.Version = a.position.Load(), 1000+n
	if a.change != nil {
		a.change(&c)
	}
	token, err := a.signer.Sign(&c)
	return passport.Grant{Token: token, Claims: c}, err
}

func mark(position int64) passport.Mark {
	return passport.Mark{Log: "c3", Epoch: 7, Position: position}
}

func TestRoutesDecideWhatStalenessMeans(t *testing.T) {
	t.Parallel()
	const s = time.Second
	rule := func(when passport.WhenStale) *passport.Rule { return &passport.Rule{MaxStale: s, WhenStale: when} }
	for _, c := range []struct {
		name     string
		rule     *passport.Rule
		need     passport.Need
		stale    time.Duration
		noView   bool
		want     error
		readOnly bool
		asked    bool
	}{
		{name: "no rule, unknown staleness", stale: passport.Unknown},
		{name: "no rule, no view", noView: true},
		{name: "within the bound", rule: rule(passport.FailClosed), stale: s},
		{name: "beyond the bound", rule: rule(passport.FailClosed), stale: s + 1, want: passport.ErrStale},
		{name: "below every bound", rule: &passport.Rule{MaxStale: -1}, want: passport.ErrStale},
		{name: "no bound, asks", rule: &passport.Rule{MaxStale: -1, WhenStale: passport.AskAuthority}, asked: true},
		{name: "unknown", rule: rule(passport.FailClosed), stale: passport.Unknown, want: passport.ErrStale},
		{name: "no view", rule: rule(passport.FailClosed), noView: true, want: passport.ErrStale},
		{
			name: "read-only, safe", rule: rule(passport.ReadOnly), need: passport.Need{Safe: true}, stale: 5 * s,
			readOnly: true,
		},
		{name: "read-only, not safe", rule: rule(passport.ReadOnly), stale: 5 * s, want: passport.ErrStale},
		{name: "read-only within the bound", rule: rule(passport.ReadOnly), stale: s},
		{name: "asks beyond the bound", rule: rule(passport.AskAuthority), stale: 5 * s, asked: true},
		{name: "asks without a view", rule: rule(passport.AskAuthority), noView: true, asked: true},
		{name: "asks not within the bound", rule: rule(passport.AskAuthority), stale: s},
		{
			name: "the request wants less", stale: 3 * s, want: passport.ErrStale,
			need: passport.Need{Consistency: header.Consistency{MaxStale: 2 * s}},
		},
		{
			name: "the request wants less, of a route that reads on", rule: rule(passport.ReadOnly), stale: 3 * s,
			need: passport.Need{Safe: true, Consistency: header.Consistency{MaxStale: 2 * s}}, want: passport.ErrStale,
		},
		{
			name: "the request cannot want more", rule: rule(passport.FailClosed), stale: 3 * s, want: passport.ErrStale,
			need: passport.Need{Consistency: header.Consistency{MaxStale: 9 * s}},
		},
	} {
		view, a := newView(), newAuthority(t, 184600)
		view.staleness.Store(int64(c.stale))
		cfg := passport.Config{Keys: keySet(t, a.signer), View: view, Authority: a}
		if c.noView {
			cfg.View = nil
		}
		d, err := verifier(t, cfg).Decide(t.Context(), sign(t, a.signer, claims(time.Now())), c.rule, c.need)
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
			continue
		}
		if asked := a.calls.Load() > 0; asked != c.asked {
			t.Errorf("%s: asked is %v, want %v", c.name, asked, c.asked)
		}
		if d.Staleness.ReadOnly != c.readOnly {
			t.Errorf("%s: read-only is %v, want %v", c.name, d.Staleness.ReadOnly, c.readOnly)
		}
		if err == nil && c.asked && (d.At != mark(184600) || d.Claims.Version != 1001 || !d.Staleness.Known) {
			t.Errorf("%s: the answer is not used: %+v", c.name, d)
		}
		if err == nil && !c.asked && !c.noView && d.At != view.Through() {
			t.Errorf("%s: the position is %v, want that of the view", c.name, d.At)
		}
	}
}

func TestWhatWasChangedSinceIsMinded(t *testing.T) {
	t.Parallel()
	s := signer(t, 1)
	token := sign(t, s, claims(time.Now()))
	view := newView()
	v := verifier(t, passport.Config{Keys: keySet(t, s), View: view})
	broken := errors.New("broken")
	for _, want := range []error{
		nil, passport.ErrSuperseded, nil, passport.ErrRevoked, passport.ErrForeign, broken, nil,
	} {
		view.judge(func(*passport.Claims) error { return want })
		for range 2 { // the second time from memory
			if _, err := v.Check(t.Context(), token, nil); !errors.Is(err, want) || (err == nil) != (want == nil) {
				t.Errorf("got %v, want %v", err, want)
			}
		}
	}
	// What the view is shown has everything that changes can be about.
	view.judge(func(c *passport.Claims) error {
		if c.KeyID != s.Public().ID || c.Txn != "txn-1" || c.Session != "S1" || c.Tenant != "acme" || c.Mark != mark(184467) {
			return fmt.Errorf("%w: %+v", broken, c)
		}
		return nil
	})
	if _, err := v.Check(t.Context(), token, nil); err != nil {
		t.Error(err)
	}
}

// A passport that was used is refused when its transaction is revoked: a replay.
func TestReplaysOfARevokedTransactionAreRefused(t *testing.T) {
	t.Parallel()
	s, view := signer(t, 1), newView()
	v := verifier(t, passport.Config{Keys: keySet(t, s), View: view})
	token := sign(t, s, claims(time.Now()))
	other := claims(time.Now())
	other.Txn = "txn-2"
	stays := sign(t, s, other)
	for _, token := range []string{token, stays} {
		if _, err := v.Check(t.Context(), token, nil); err != nil {
			t.Fatal(err)
		}
	}
	view.judge(func(c *passport.Claims) error {
		if c.Txn == "txn-1" {
			return passport.ErrRevoked
		}
		return nil
	})
	if _, err := v.Check(t.Context(), token, nil); !errors.Is(err, passport.ErrRevoked) {
		t.Errorf("the replay gives %v", err)
	}
	if _, err := v.Check(t.Context(), stays, nil); err != nil {
		t.Errorf("another transaction gives %v", err)
	}
}

func TestRequestsMayWantMoreThanTheirRoute(t *testing.T) {
	t.Parallel()
	need := func(mode header.Mode, at passport.Mark) passport.Need {
		return passport.Need{Consistency: header.Consistency{Mode: mode}, At: at}
	}
	for _, c := range []struct {
		name   string
		need   passport.Need
		nobody bool // there is no authority
		want   error
		asked  bool
	}{
		{name: "nothing more", need: need(header.MinimizeLatency, mark(999999))},
		{name: "a position of the past", need: need(header.AtLeastAsFresh, mark(184000))},
		{name: "the position of the view", need: need(header.AtLeastAsFresh, mark(184500))},
		{name: "a position, without a mode", need: need("", mark(184600)), asked: true},
		{name: "a position to come", need: need(header.AtLeastAsFresh, mark(184600)), asked: true},
		{name: "a position to come, nobody to ask", need: need("", mark(184600)), nobody: true, want: passport.ErrStale},
		{
			name:  "a position of another log",
			need:  need(header.AtLeastAsFresh, passport.Mark{Log: "c4", Epoch: 7, Position: 1}),
			asked: true,
		},
		{
			name:  "a position of another epoch",
			need:  need("", passport.Mark{Log: "c3", Epoch: 6, Position: 1}),
			asked: true,
		},
		{name: "everything", need: need(header.FullyConsistent, passport.Mark{}), asked: true},
		{
			name: "everything, nobody to ask", need: need(header.FullyConsistent, passport.Mark{}), nobody: true,
			want: passport.ErrStale,
		},
		{name: "exactly that of the passport", need: need(header.Exact, mark(184467))},
		{name: "exactly another", need: need(header.Exact, mark(184468)), want: passport.ErrInexact},
	} {
		a := newAuthority(t, 184700)
		cfg := passport.Config{Keys: keySet(t, a.signer), View: newView(), Authority: a}
		if c.nobody {
			cfg.Authority = nil
		}
		d, err := verifier(t, cfg).Decide(t.Context(), sign(t, a.signer, claims(time.Now())), nil, c.need)
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
			continue
		}
		if asked := a.calls.Load() > 0; asked != c.asked {
			t.Errorf("%s: asked is %v, want %v", c.name, asked, c.asked)
		}
		if c.asked && err == nil && d.Claims.Position != 184700 {
			t.Errorf("%s: decided on position %d", c.name, d.Claims.Position)
		}
	}
	v := verifier(t, passport.Config{Keys: keySet(t, signer(t, 1))})
	for _, mode := range []header.Mode{header.AtLeastAsFresh, header.Exact, "eventual"} {
		_, err := v.Decide(t.Context(), sign(t, signer(t, 1), claims(time.Now())), nil, need(mode, passport.Mark{}))
		if status, _ := passport.Status(err); status != 400 {
			t.Errorf("%s without a position gives %v", mode, err)
		}
	}
}

// waiting is a view that is about to reach a position.
type waiting struct{ *view }

func (w waiting) Wait(_ context.Context, at passport.Mark) error {
	w.through.Store(&at)
	return nil
}

func TestAViewThatIsAboutToKnowIsWaitedFor(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, 184700)
	v := verifier(t, passport.Config{Keys: keySet(t, a.signer), View: waiting{newView()}, Authority: a})
	d, err := v.Decide(t.Context(), sign(t, a.signer, claims(time.Now())), nil, passport.Need{At: mark(184600)})
	if err != nil || a.calls.Load() != 0 || d.At != mark(184600) {
		t.Errorf("got %v, %v after %d questions", d.At, err, a.calls.Load())
	}
}

func TestSupersededPassportsAreReplacedWhereTheRouteAsks(t *testing.T) {
	t.Parallel()
	a, view := newAuthority(t, 184700), newView()
	view.judge(func(c *passport.Claims) error {
		if c.Position < 184650 {
			return passport.ErrSuperseded
		}
		return nil
	})
	v := verifier(t, passport.Config{Keys: keySet(t, a.signer), View: view, Authority: a})
	token := sign(t, a.signer, claims(time.Now()))
	if _, err := v.Check(t.Context(), token, nil); !errors.Is(err, passport.ErrSuperseded) {
		t.Errorf("a route that does not ask gives %v", err)
	}
	ask := &passport.Rule{WhenStale: passport.AskAuthority}
	for range 3 {
		d, err := v.Decide(t.Context(), token, ask, passport.Need{})
		if err != nil || d.Claims.Position != 184700 || d.Token == token {
			t.Fatalf("got %+v, %v", d, err)
		}
	}
	if n := a.calls.Load(); n != 1 {
		t.Errorf("asked %d times for one passport, want once", n)
	}
	a.position.Store(184600) // an authority that lags is asked again, and then not believed
	other := claims(time.Now())
	other.Txn = "txn-1"
	other.Version = 1
	if _, err := v.Check(t.Context(), sign(t, a.signer, other), ask); !errors.Is(err, passport.ErrSuperseded) {
		t.Errorf("an authority that lags gives %v", err)
	}
	if n := a.calls.Load(); n != 3 {
		t.Errorf("asked %d times, want 3", n)
	}
}

func TestTheAuthorityIsNotBelievedEverything(t *testing.T) {
	t.Parallel()
	ask := &passport.Rule{MaxStale: time.Second, WhenStale: passport.AskAuthority, Scopes: []string{"seats.buy"}}
	down := errors.New("connection refused")
	for _, c := range []struct {
		name   string
		change func(*passport.Claims)
		fail   error
		want   error
	}{
		{"the same", func(*passport.Claims) {}, nil, nil},
		{"less scope", func(c *passport.Claims) { c.Scope = "seats.buy" }, nil, nil},
		{"more scope", func(c *passport.Claims) { c.Scope += " admin" }, nil, passport.ErrUnavailable},
		{"another subject", func(c *passport.Claims) { c.Subject = "bob" }, nil, passport.ErrUnavailable},
		{"another transaction", func(c *passport.Claims) { c.Txn = "txn-9" }, nil, passport.ErrUnavailable},
		{"another tenant", func(c *passport.Claims) { c.Tenant = "evil" }, nil, passport.ErrUnavailable},
		{"another session", func(c *passport.Claims) { c.Session = "S2" }, nil, passport.ErrUnavailable},
		{"an older position", func(c *passport.Claims) { c.Position = 184466 }, nil, passport.ErrUnavailable},
		{"an older version", func(c *passport.Claims) { c.Version = 411 }, nil, passport.ErrUnavailable},
		{"an older state", func(c *passport.Claims) { c.SubjectVersion = 8 }, nil, passport.ErrUnavailable},
		{"an older epoch", func(c *passport.Claims) { c.Epoch, c.Version = 6, 1 }, nil, passport.ErrUnavailable},
		{"a newer epoch", func(c *passport.Claims) { c.Epoch, c.Version, c.Position = 8, 1, 1 }, nil, nil},
		{"another log", func(c *passport.Claims) { c.Log, c.Version, c.Position = "c4", 1, 1 }, nil, nil},
		{"another audience", func(c *passport.Claims) { c.Audience = "bank" }, nil, passport.ErrUnavailable},
		{"less scope than the route wants", func(c *passport.Claims) { c.Scope = "seats.hold" }, nil, passport.ErrScope},
		{"no answer", nil, down, passport.ErrUnavailable},
		{"a revoked session", nil, passport.ErrRevoked, passport.ErrRevoked},
		{"a session that ended", nil, passport.ErrNoSession, passport.ErrNoSession},
	} {
		a, view := newAuthority(t, 184700), newView()
		view.staleness.Store(int64(passport.Unknown))
		a.change = c.change
		if c.fail != nil {
			a.fail.Store(&c.fail)
		}
		v := verifier(t, passport.Config{Keys: keySet(t, a.signer), View: view, Authority: a})
		_, err := v.Check(t.Context(), sign(t, a.signer, claims(time.Now())), ask)
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

func TestWhoWaitsSharesTheNextAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, view := newAuthority(t, 184700), newView()
		a.hold = make(chan struct{})
		v := verifier(t, passport.Config{Keys: keySet(t, a.signer), View: view, Authority: a})
		token := sign(t, a.signer, claims(time.Now()))
		everything := passport.Need{Consistency: header.Consistency{Mode: header.FullyConsistent}}
		decide := func(ctx context.Context) error {
			_, err := v.Decide(ctx, token, nil, everything)
			return err
		}
		failed := make(chan error, 50)
		for range cap(failed) {
			go func() { failed <- decide(t.Context()) }()
			time.Sleep(time.Millisecond) // so that all but the first come after the first question
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := decide(gone); !errors.Is(err, context.Canceled) {
			t.Errorf("who left gets %v", err)
		}
		close(a.hold)
		for range cap(failed) {
			if err := <-failed; err != nil {
				t.Error(err)
			}
		}
		if n := a.calls.Load(); n != 2 {
			t.Errorf("asked %d times, want once for the first, and once for all who came meanwhile", n)
		}
		time.Sleep(time.Millisecond)
		// Who comes later asks again: what was true then need not be true now.
		if err := decide(t.Context()); err != nil || a.calls.Load() != 3 {
			t.Errorf("%v after %d questions, want 3", err, a.calls.Load())
		}
	})
}

// An answer of the authority is used again for as long as it is as fresh as the route and the request want.
func TestAnswersAge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, view := newAuthority(t, 184600), newView()
		view.staleness.Store(int64(passport.Unknown))
		v := verifier(t, passport.Config{Keys: keySet(t, a.signer), View: view, Authority: a})
		token := sign(t, a.signer, claims(time.Now()))
		rule := &passport.Rule{MaxStale: time.Second, WhenStale: passport.AskAuthority}
		for i, c := range []struct {
			wait  time.Duration
			at    passport.Mark
			calls int64
			age   time.Duration
		}{
			{0, passport.Mark{}, 1, 0},
			{time.Second, passport.Mark{}, 1, time.Second},
			{time.Millisecond, passport.Mark{}, 2, 0},
			{time.Millisecond, mark(184600), 2, time.Millisecond},
			{time.Millisecond, mark(184650), 3, 0},
		} {
			time.Sleep(c.wait)
			d, err := v.Decide(t.Context(), token, rule, passport.Need{At: c.at})
			if n := a.calls.Load(); err != nil || n != c.calls || d.Staleness.Age != c.age {
				t.Errorf("step %d: asked %d times, age %v, %v; want %+v", i, n, d.Staleness.Age, err, c)
			}
		}
	})
}

// A view learns of a change, and that it knows of every change, between two steps of a decision: the old verdict
// must not pass under the new staleness.
func TestStalenessIsReadBeforeTheVerdict(t *testing.T) {
	t.Parallel()
	s, view := signer(t, 1), newView()
	view.staleness.Store(int64(time.Hour))
	view.judge(func(*passport.Claims) error {
		view.judge(func(*passport.Claims) error { return passport.ErrRevoked })
		view.staleness.Store(0)
		return nil
	})
	v := verifier(t, passport.Config{Keys: keySet(t, s), View: view})
	token := sign(t, s, claims(time.Now()))
	if _, err := v.Check(t.Context(), token, &passport.Rule{MaxStale: time.Second}); !errors.Is(err, passport.ErrStale) {
		t.Errorf("got %v, want stale", err)
	}
}

func TestVerdictsAreRememberedByGeneration(t *testing.T) {
	t.Parallel()
	s, view := signer(t, 1), newView()
	judged := 0
	view.judge(func(*passport.Claims) error { judged++; return nil })
	v := verifier(t, passport.Config{Keys: keySet(t, s), View: view})
	token := sign(t, s, claims(time.Now()))
	for _, want := range []int{1, 1, 1, 2} {
		if want == 2 {
			view.generation.Add(1)
		}
		if _, err := v.Check(t.Context(), token, nil); err != nil || judged != want {
			t.Errorf("judged %d times, %v; want %d", judged, err, want)
		}
	}
}

func TestScopes(t *testing.T) {
	t.Parallel()
	s := signer(t, 1)
	v := verifier(t, passport.Config{Keys: keySet(t, s)})
	token := sign(t, s, claims(time.Now()))
	for _, c := range []struct {
		scopes []string
		want   error
	}{
		{nil, nil},
		{[]string{"seats.hold"}, nil},
		{[]string{"seats.buy", "seats.hold"}, nil},
		{[]string{"seats"}, passport.ErrScope},
		{[]string{"seats.buy", "admin"}, passport.ErrScope},
		{[]string{"seats.hold seats.buy"}, passport.ErrScope},
		{[]string{""}, passport.ErrScope},
	} {
		if _, err := v.Check(t.Context(), token, &passport.Rule{Scopes: c.scopes}); !errors.Is(err, c.want) {
			t.Errorf("%q: got %v, want %v", c.scopes, err, c.want)
		}
	}
}

func TestSubjectKeyHidesWhomItNames(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{
		{"", ""},
		{"acme", "u-42"},
		{"acme", strings.Repeat("u", 195)},
		{"acme", strings.Repeat("u", 900)},
	} {
		sum := sha256.Sum256([]byte(c[0] + "\x00" + c[1]))
		want := base64.RawURLEncoding.EncodeToString(sum[:16])
		if got := passport.SubjectKey(c[0], c[1]); got != want {
			t.Errorf("a subject of %d bytes is named %s, want %s", len(c[1]), got, want)
		}
		if got := passport.AppendSubjectKey([]byte("subject-"), c[0], c[1]); string(got) != "subject-"+want {
			t.Errorf("a subject of %d bytes is appended as %s, want subject-%s", len(c[1]), got, want)
		}
	}
}

func TestAnEpochThatHasPassedIsNotAskedFor(t *testing.T) {
	t.Parallel()
	a, view := newAuthority(t, 184700), newView()
	view.staleness.Store(int64(passport.Unknown))
	view.through.Store(&passport.Mark{Log: "c3", Epoch: 8, Position: 1})
	v := verifier(t, passport.Config{Keys: keySet(t, a.signer), View: view, Authority: a})
	rule := &passport.Rule{MaxStale: time.Second, WhenStale: passport.AskAuthority}
	_, err := v.Check(t.Context(), sign(t, a.signer, claims(time.Now())), rule)
	if !errors.Is(err, passport.ErrUnavailable) {
		t.Errorf("an authority that is in an epoch before the view's gives %v", err)
	}
}

func TestWhatTheAuthorityGaveGrowsOldWhileTheMachineSleeps(t *testing.T) {
	t.Parallel()
	a, view := newAuthority(t, 184700), newView()
	view.staleness.Store(int64(passport.Unknown))
	v := verifier(t, passport.Config{Keys: keySet(t, a.signer), View: view, Authority: a})
	rule := &passport.Rule{MaxStale: time.Second, WhenStale: passport.AskAuthority}
	token := sign(t, a.signer, claims(time.Now()))
	for want := range int64(3) {
		if _, err := v.Check(t.Context(), token, rule); err != nil || a.calls.Load() != want+1 {
			t.Errorf("asked %d times, want %d: %v", a.calls.Load(), want+1, err)
		}
		v.SleepWith(token, 10*time.Second)
	}
}
