// SPDX-License-Identifier: Apache-2.0

// Passports from another node: what goes wrong is told apart, also while the node restarts.

package remote_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/passport"
	"example.com/vidimus/server/remote"
	"example.com/vidimus/session"
)

// await waits until the node keeps presence, when everything runs.
func await(t *testing.T, o *office) {
	t.Helper()
	for {
		if _, ok := o.Attendance(); ok {
			return
		}
		if err := clock.Sleep(t.Context(), time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
}

func (o *office) begin(t *testing.T) session.Started {
	t.Helper()
	s, err := o.sessions.Start(t.Context(), session.Start{
		ID: journal.NewID(), Tenant: "acme", Subject: "u-42", SubjectState: limit("500"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPassportsComeFromAnotherNode(t *testing.T) {
	t.Parallel()
	o := start(t, nil, "", "")
	far := o.authority(t, "passport:"+domain)
	s := o.begin(t)
	g, err := far.Mint(t.Context(), passport.Ask{
		Handle: s.Handle, Scope: "read", Txn: "txn-0123456789abcdef", Request: []byte(`{"req_ip":"192.0.2.1"}`),
		Life: 90 * time.Second, Workload: "somebody else",
	})
	if err != nil {
		t.Fatal(err)
	}
	c := &g.Claims
	if c.Subject != "u-42" || c.Scope != "read" || c.Txn != "txn-0123456789abcdef."+s.ID || c.Workload != "login" ||
		c.ExpiresAt.Sub(c.IssuedAt) != 90*time.Second || string(c.Request) != `{"req_ip":"192.0.2.1"}` {
		t.Errorf("the passport says %+v", c)
	}
	changed, err := o.sessions.ChangeSubject(t.Context(), "acme", "u-42", session.Change{
		ID: journal.NewID(), Expect: journal.Any, Set: limit("5"),
	})
	if err != nil {
		t.Fatal(err)
	}
	at := c.Mark
	at.Position = int64(changed.Position)
	next, err := far.Replace(t.Context(), g.Token, at)
	if err != nil || next.Claims.Position < at.Position || next.Claims.Txn != c.Txn {
		t.Errorf("the replacement is %+v, %v, want the same transaction from %v on", next.Claims, err, at)
	}
	successor, err := o.sessions.Rotate(t.Context(), s.Handle)
	if err != nil {
		t.Fatal(err)
	}
	rotated, err := far.Mint(t.Context(), passport.Ask{Handle: s.Handle})
	if err != nil || rotated.Handle != successor.Handle {
		t.Errorf("the old handle brings %q, %v, want its successor %q", rotated.Handle, err, successor.Handle)
	}
}

func TestRefusalsAreToldApart(t *testing.T) {
	t.Parallel()
	o := start(t, nil, "", "")
	far := o.authority(t, "passport:"+domain)
	s := o.begin(t)
	g, err := far.Mint(t.Context(), passport.Ask{Handle: s.Handle})
	if err != nil {
		t.Fatal(err)
	}
	forged := strings.Replace(s.Handle, s.ID, "0123456789abcdefghijkl", 1)
	for name, tt := range map[string]struct {
		ask  passport.Ask
		want error
	}{
		"a forged handle":     {passport.Ask{Handle: forged}, passport.ErrNoSession},
		"nothing":             {passport.Ask{}, journal.ErrInvalid},
		"a wider scope":       {passport.Ask{Handle: s.Handle, Scope: "read admin"}, passport.ErrScope},
		"too long a life":     {passport.Ask{Handle: s.Handle, Life: time.Hour}, journal.ErrInvalid},
		"a huge context":      {passport.Ask{Handle: s.Handle, Request: make([]byte, 80<<10)}, journal.ErrInvalid},
		"a context of no use": {passport.Ask{Handle: s.Handle, Request: []byte("x")}, journal.ErrInvalid},
	} {
		if _, err := far.Mint(t.Context(), tt.ask); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	if _, err := far.Replace(t.Context(), g.Token[:50], passport.Mark{}); !errors.Is(err, passport.ErrInvalid) {
		t.Errorf("replacing what is no passport: %v, want invalid", err)
	}
	if _, err := o.sessions.End(t.Context(), s.ID, session.Ended{}); err != nil {
		t.Fatal(err)
	}
	_, minted := far.Mint(t.Context(), passport.Ask{Handle: s.Handle})
	_, replaced := far.Replace(t.Context(), g.Token, passport.Mark{})
	if !errors.Is(minted, passport.ErrNoSession) || errors.Is(replaced, passport.ErrUnavailable) || replaced == nil {
		t.Errorf("after the logout: %v and %v, want no session", minted, replaced)
	}
	_, err = o.authority(t, "feed").Mint(t.Context(), passport.Ask{Handle: s.Handle})
	if !errors.Is(err, remote.ErrPermission) {
		t.Errorf("without the right: %v, want permission denied", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := far.Mint(ended, passport.Ask{Handle: s.Handle}); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
}

// TestAnythingElseIsUnavailable asks what is no authority, or is one that is out of order.
func TestAnythingElseIsUnavailable(t *testing.T) {
	t.Parallel()
	answers := map[string]func(w http.ResponseWriter){
		"a page":        func(w http.ResponseWriter) { _, _ = io.WriteString(w, "<html>") },
		"no JSON":       func(w http.ResponseWriter) { say(w, 200, "nope") },
		"nothing in it": func(w http.ResponseWriter) { say(w, 200, "{}") },
		"another type":  func(w http.ResponseWriter) { say(w, 200, `{"access_token":"x","issued_token_type":"y"}`) },
		"no passport": func(w http.ResponseWriter) {
			say(w, 200, noPassport)
		},
		"an endless one":   func(w http.ResponseWriter) { say(w, 200, strings.Repeat(" ", 1<<20)) },
		"a broken gateway": func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) },
		"out of order":     func(w http.ResponseWriter) { say(w, 503, `{"error":"temporarily_unavailable"}`) },
		"too many":         func(w http.ResponseWriter) { say(w, 429, `{"error":"temporarily_unavailable"}`) },
		"another service":  func(w http.ResponseWriter) { say(w, 404, `{}`) },
		"elsewhere":        func(w http.ResponseWriter) { w.Header().Set("Location", "/x"); w.WriteHeader(http.StatusFound) },
	}
	for name, answer := range answers {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w) }))
		a, err := remote.NewAuthority(remote.AuthorityConfig{URL: s.URL, Audience: domain})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Mint(t.Context(), passport.Ask{Handle: "v1.x"}); !errors.Is(err, passport.ErrUnavailable) {
			t.Errorf("%s: %v, want unavailable", name, err)
		}
		s.Close()
		if _, err := a.Mint(t.Context(), passport.Ask{Handle: "v1.x"}); !errors.Is(err, passport.ErrUnavailable) {
			t.Errorf("%s, when nobody is there: %v, want unavailable", name, err)
		}
	}
}

const noPassport = `{"access_token":"x","issued_token_type":"urn:ietf:params:oauth:token-type:txn_token"}`

func say(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

func TestAnAuthorityIsNamedWell(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]remote.AuthorityConfig{
		"URL":      {URL: "id.example", Audience: domain},
		"Audience": {URL: "https://id.example"},
		"Token":    {URL: "https://id.example", Audience: domain, Token: "a b"},
	} {
		var bad *journal.InvalidError
		if _, err := remote.NewAuthority(c); !errors.As(err, &bad) || bad.Field != name {
			t.Errorf("%s: %v, want invalid", name, err)
		}
	}
	plain := remote.AuthorityConfig{URL: "http://id.example", Audience: domain, Token: "vid_a_b"}
	if _, err := remote.NewAuthority(plain); !errors.Is(err, journal.ErrInvalid) {
		t.Errorf("a token in the clear: %v, want invalid", err)
	}
}

// TestTheAuthorityMayRestart mints all the time while the authority ends and begins anew: each passport is either given
// or unavailable, and afterwards it works as before.
func TestTheAuthorityMayRestart(t *testing.T) {
	t.Parallel()
	o := start(t, nil, "", "n1")
	far := o.authority(t, "passport:"+domain)
	s := o.begin(t)
	await(t, o)
	ctx, cancel := context.WithCancel(t.Context())
	var given, refused atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			switch _, err := far.Mint(ctx, passport.Ask{Handle: s.Handle}); {
			case err == nil:
				given.Add(1)
			case errors.Is(err, passport.ErrUnavailable):
				refused.Add(1)
			case ctx.Err() == nil:
				t.Errorf("while it restarts: %v, want unavailable", err)
			}
		}
	}()
	for range 3 {
		o.stop()
		before := given.Load()
		o = start(t, o.log, o.addr, "n1")
		for given.Load() < before+3 && clock.Sleep(t.Context(), time.Millisecond) == nil {
		}
	}
	cancel()
	<-done
	t.Logf("%d given, %d unavailable", given.Load(), refused.Load())
	if _, err := far.Mint(t.Context(), passport.Ask{Handle: s.Handle}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
