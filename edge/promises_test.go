// SPDX-License-Identifier: Apache-2.0

// What an edge promises while the authority is away, while a handle is replaced, and while a stream stays open: each
// on a clock of the test's own.

package edge_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/edge"
	"example.com/vidimus/passport"
	"example.com/vidimus/passport/header"
)

// within is a service that answers without a network.
type within func(*http.Request) (*http.Response, error)

func (f within) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answers is an answer of a service. A body that is not a [strings.Reader] has no stated length.
func answers(r *http.Request, body io.Reader) *http.Response {
	res := httptest.NewRecorder().Result()
	res.Request, res.ContentLength = r, -1
	if text, ok := body.(*strings.Reader); ok {
		res.ContentLength = text.Size()
	}
	res.Body = io.NopCloser(body)
	return res
}

// through sends a request through an edge within the process.
func through(ctx context.Context, e *edge.Edge, method, target, handle string, fields ...string) *http.Response {
	r := httptest.NewRequestWithContext(ctx, method, target, nil)
	r.Header.Set("Cookie", edge.CookieName+"="+handle)
	for i := 0; i+1 < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	return w.Result()
}

// readOnly is a route that reads on while the authority does not answer, in front of a service that writes when it
// is sent a POST.
func readOnly(t *testing.T) (*authority, *edge.Edge) {
	t.Helper()
	return bubble(t, func(c *edge.Config) {
		a := c.Authority.(*authority)
		c.Routes[0] = edge.Route{
			Path: "/", Upstream: "http://service.example", MaxStale: time.Second, WhenStale: passport.ReadOnly,
		}
		c.Transport = within(func(r *http.Request) (*http.Response, error) {
			res := answers(r, strings.NewReader("done"))
			if r.Method == http.MethodPost {
				header.SetEffect(res.Header, header.Effect{Mark: a.change("alice")})
			}
			return res, nil
		})
	})
}

// want complains about another status.
func want(t *testing.T, what string, res *http.Response, status int) {
	t.Helper()
	if res.StatusCode != status {
		t.Errorf("%s: got status %d, want %d", what, res.StatusCode, status)
	}
}

func TestWhoeverWroteDoesNotReadFromBeforeItDuringAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, e := readOnly(t)
		alice, bob := a.signIn("alice"), a.signIn("bob")
		for _, handle := range []string{alice, bob} {
			want(t, "before", through(t.Context(), e, "GET", "/", handle), 200)
		}
		want(t, "the write", through(t.Context(), e, "POST", "/", alice), 200)
		a.setDown(true)
		time.Sleep(2 * time.Second)
		want(t, "who wrote", through(t.Context(), e, "GET", "/", alice), 503)
		want(t, "who did not", through(t.Context(), e, "GET", "/", bob), 200)
	})
}

func TestReadsGoOnUntilTheLastPassportEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, e := readOnly(t)
		handle := a.signIn("alice")
		want(t, "before", through(t.Context(), e, "GET", "/", handle), 200)
		a.setDown(true)
		time.Sleep(a.life - 5*time.Second)
		res := through(t.Context(), e, "GET", "/", handle)
		want(t, "before its end", res, 200)
		if said, _, err := header.GetStaleness(res.Header); err != nil || !said.ReadOnly {
			t.Errorf("a read that goes on says %+v, %v", said, err)
		}
		time.Sleep(5 * time.Second)
		want(t, "at its end", through(t.Context(), e, "GET", "/", handle), 503)
	})
}

func TestNoWebSocketOpensForReadingOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, e := readOnly(t)
		handle := a.signIn("alice")
		socket := []string{"Connection", "Upgrade", "Upgrade", "websocket"}
		want(t, "before", through(t.Context(), e, "GET", "/", handle, socket...), 200)
		a.setDown(true)
		time.Sleep(2 * time.Second)
		want(t, "a page", through(t.Context(), e, "GET", "/", handle), 200)
		want(t, "a WebSocket, which is written to", through(t.Context(), e, "GET", "/", handle, socket...), 503)
	})
}

func TestRequestsOfASessionShareAPassportUntilItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, e := bubble(t, nil)
		handle := a.signIn("alice")
		first := check(t, e, handle)
		time.Sleep(57 * time.Second)
		if again := check(t, e, handle); again.Claims == nil || again.Claims.Txn != first.Claims.Txn {
			t.Errorf("after 57 seconds the claims are %+v, want the same transaction as at first", again.Claims)
		}
		time.Sleep(time.Second)
		if last := check(t, e, handle); last.Claims == nil || last.Claims.Txn == first.Claims.Txn {
			t.Errorf("after 58 seconds the claims are %+v, want another transaction", last.Claims)
		}
	})
}

// A handle that was replaced is refused after its grace. Its passport must not outlive that in the edge's memory.
func TestAPassportOfAReplacedHandleIsKeptForASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, e := bubble(t, nil)
		old, next := a.signIn("alice"), a.signIn("alice")
		a.sessions[old].successor = next
		if v := check(t, e, old); v.Status != 200 || v.Response.Get("Set-Cookie") == "" {
			t.Fatalf("with the old handle it is %d, and sets %q", v.Status, v.Response.Get("Set-Cookie"))
		}
		a.mu.Lock()
		delete(a.sessions, old)
		a.mu.Unlock()
		time.Sleep(1100 * time.Millisecond)
		if v := check(t, e, old); v.Status != 401 {
			t.Errorf("after its grace the old handle is answered %d, want 401", v.Status)
		}
	})
}

// An answer that comes late would put an old handle in the place of a newer one that the browser got meanwhile.
func TestALateAnswerBringsNoNewHandle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var slow time.Duration
		a, e := bubble(t, func(c *edge.Config) {
			c.Routes[0].Upstream = "http://service.example"
			c.Transport = within(func(r *http.Request) (*http.Response, error) {
				time.Sleep(slow)
				return answers(r, strings.NewReader("done")), nil
			})
		})
		next := a.signIn("alice")
		for after, brings := range map[time.Duration]bool{0: true, 4 * time.Second: true, 6 * time.Second: false} {
			old := a.signIn("alice")
			a.sessions[old].successor = next
			slow = after
			res := through(t.Context(), e, "GET", "/", old)
			want(t, after.String(), res, 200)
			if got := strings.Contains(res.Header.Get("Set-Cookie"), next); got != brings {
				t.Errorf("an answer after %v brings the new handle: %v, want %v", after, got, brings)
			}
		}
	})
}

func TestAnImportersHandleIsLookedAt(t *testing.T) {
	t.Parallel()
	old := &importer{sessions: map[string]string{
		"attributes": "v1.c3.x; Domain=evil.example", "nonsense": "nonsense", "nothing": "",
	}}
	s := open(t, echo, func(c *edge.Config) { c.Legacy = old })
	for value := range old.sessions {
		got := s.call(t, "GET", "/account/", "", "Cookie: old="+value).want(t, 503)
		if got.header["Set-Cookie"] != nil {
			t.Errorf("%s: sets %q", value, got.header["Set-Cookie"])
		}
	}
	if s.mints() != 0 {
		t.Errorf("the authority was asked %d times about what is no handle", s.mints())
	}
}

// events opens a stream of events through an edge that runs, and returns what is closed when it ends.
func events(t *testing.T, e *edge.Edge, handle string) (ended chan bool) {
	t.Helper()
	ended = make(chan bool)
	go func() {
		defer close(ended)
		through(t.Context(), e, "GET", "/", handle)
	}()
	synctest.Wait()
	return ended
}

// isOpen reports whether a stream is open for a while longer.
func isOpen(ended chan bool, longer time.Duration) bool {
	select {
	case <-ended:
		return false
	case <-time.After(longer):
		return true
	}
}

// silent is a body of events that brings none until its request ends.
type silent struct{ ctx context.Context }

func (s silent) Read([]byte) (int, error) {
	<-s.ctx.Done()
	return 0, context.Cause(s.ctx)
}

// streaming is an edge in front of a stream of events, which runs until the test ends.
func streaming(t *testing.T, edit func(*edge.Route)) (*authority, *edge.Edge) {
	t.Helper()
	a, e := bubble(t, func(c *edge.Config) {
		c.Routes[0] = edge.Route{Path: "/", Upstream: "http://service.example", MaxStale: time.Second}
		edit(&c.Routes[0])
		c.Transport = within(func(r *http.Request) (*http.Response, error) {
			res := answers(r, silent{r.Context()})
			res.Header.Set("Content-Type", "text/event-stream")
			return res, nil
		})
	})
	end := run(t, e)
	t.Cleanup(func() {
		if err := end(); err != nil {
			t.Error(err)
		}
	})
	return a, e
}

func TestAStreamEndsWithItsPassportWhileNobodyAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, e := streaming(t, func(*edge.Route) {})
		handle := a.signIn("alice")
		ended := events(t, e, handle)
		if !isOpen(ended, a.life+10*time.Second) {
			t.Fatal("while the authority answers, a stream ends with its first passport")
		}
		a.setDown(true)
		asked := a.mints()
		if !isOpen(ended, a.life/2) {
			t.Error("a stream ends before its passport, because nobody answers")
		}
		if a.mints() == asked {
			t.Error("nobody was asked")
		}
		if isOpen(ended, a.life/2+5*time.Second) {
			t.Error("a stream outlives its passport, while nobody answers")
		}
	})
}

func TestAStreamEndsWhenItsSessionMayNotDoThisAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, e := streaming(t, func(r *edge.Route) { r.Scopes = []string{"buy"} })
		alice, bob := a.signIn("alice"), a.signIn("bob")
		less, same := events(t, e, alice), events(t, e, bob)
		a.mu.Lock()
		a.sessions[alice].scope = "hold"
		a.sessions[bob].scope = "buy"
		a.mu.Unlock()
		a.change("alice")
		if isOpen(less, 5*time.Second) {
			t.Error("a stream goes on without the scope that its route wants")
		}
		if !isOpen(same, 5*time.Second) {
			t.Error("a stream ends whose session may still do this")
		}
	})
}
