// SPDX-License-Identifier: Apache-2.0

// What clients behind another proxy are told: how to read what they wrote, and why they are refused.

package interop

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"example.com/vidimus/edge"
	"example.com/vidimus/journal"
	"example.com/vidimus/passport"
	"example.com/vidimus/passport/header"
	"example.com/vidimus/session"
)

// limits shows and changes the limit of whoever asks, as a service does.
type limits struct{ sessions *session.Sessions }

func (l limits) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, _ := passport.FromContext(r.Context())
	if r.Method == http.MethodGet {
		state, err := passport.StateOf[struct{ Subject struct{ Limit int } }](c)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("ETag", strconv.Quote(strconv.FormatInt(c.SubjectVersion, 10)))
		fmt.Fprint(w, state.Subject.Limit)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	seen, err := strconv.ParseInt(strings.Trim(r.Header.Get("If-Match"), `"`), 10, 64)
	if err != nil {
		http.Error(w, "If-Match", http.StatusPreconditionRequired)
		return
	}
	changed, err := l.sessions.ChangeSubject(r.Context(), c.Tenant, c.Subject, session.Change{
		Expect: journal.Exactly(journal.Version(seen)), Set: session.State{"limit": body}, Via: c.Session, By: c.Subject,
	})
	switch {
	case errors.Is(err, journal.ErrConflict):
		http.Error(w, err.Error(), http.StatusPreconditionFailed)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		header.SetEffect(w.Header(), header.Effect{Mark: changed.Mark, Version: int64(changed.Version)})
	}
}

// writer is a client that reads and writes.
type writer struct {
	url, cookie string
	consistency string // what it asks for, if anything
	sends       bool   // whether it sends the position that it was answered with
	position    string
}

func (c *writer) call(t *testing.T, method, path, ifMatch, body string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, c.url+path, strings.NewReader(body))
	must(t, err)
	r.Header.Set("Cookie", c.cookie)
	if ifMatch != "" {
		r.Header.Set("If-Match", ifMatch)
	}
	if c.consistency != "" {
		r.Header.Set("Vidimus-Consistency", c.consistency)
	}
	if c.sends && c.position != "" {
		r.Header.Set("Vidimus-Position", c.position)
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	must(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	must(t, err)
	if at := res.Header.Get("Vidimus-Position"); at != "" {
		c.position = at
	}
	if effect := res.Header.Get("Vidimus-Effect"); effect != "" {
		t.Errorf("%s %s: the client gets Vidimus-Effect: %s", method, path, effect)
	}
	return res, string(text)
}

// rounds reads, writes on what was read, reads again, and counts how that went.
func (c *writer) rounds(t *testing.T, path string, n int) map[string]int {
	t.Helper()
	went := map[string]int{}
	for i := range n {
		res, text := c.call(t, "GET", path, "", "")
		if res.StatusCode != 200 {
			went["read "+res.Status]++
			continue
		}
		want := strconv.Itoa(1000 + i)
		res, _ = c.call(t, "POST", path, res.Header.Get("ETag"), want)
		if res.StatusCode != 200 {
			went["write "+res.Status]++
			continue
		}
		switch res, text = c.call(t, "GET", path, "", ""); {
		case res.StatusCode != 200:
			went["read again "+res.Status]++
		case text == want:
			went["right"]++
		default:
			went["stale"]++
		}
	}
	return went
}

// readsItsWrites: whoever sends the position back that a write was answered with reads what was written.
func (p *proxied) readsItsWrites(t *testing.T) {
	const rounds = 50
	start := func(t *testing.T, subject string) *writer {
		s, err := p.sessions.Start(t.Context(), session.Start{
			Tenant: "acme", Subject: subject, SubjectState: session.State{"limit": []byte("1")},
		})
		must(t, err)
		return &writer{url: p.url, cookie: edge.CookieName + "=" + s.Handle}
	}
	t.Run("a client that sends the position reads its writes", func(t *testing.T) {
		for _, path := range []string{"/account/limit", "/account/asking/limit"} {
			c := start(t, "grace")
			c.sends = true
			if went := c.rounds(t, path, rounds); went["right"] != rounds {
				t.Errorf("%s: of %d rounds: %v", path, rounds, went)
			}
		}
		t.Logf("of %d rounds that do not send it: %v", rounds, start(t, "hedy").rounds(t, "/account/limit", rounds))
	})
	t.Run("who asks for all that is known reads its writes", func(t *testing.T) {
		c := start(t, "joan")
		c.consistency = "fully-consistent"
		if went := c.rounds(t, "/account/limit", rounds); went["right"] != rounds {
			t.Errorf("of %d rounds: %v", rounds, went)
		}
	})
	t.Run("a service that asks answers with what the edge has not heard of", func(t *testing.T) {
		c := start(t, "ida")
		c.call(t, "GET", "/account/limit", "", "") // now the edge has a passport
		p.slow.behind.Store(true)
		defer p.slow.behind.Store(false)
		changed, err := p.sessions.ChangeSubject(t.Context(), "acme", "ida", session.Change{
			Expect: journal.Any, Set: session.State{"limit": []byte("7")}, By: "an operator",
		})
		must(t, err)
		must(t, p.heard.Wait(t.Context(), changed.Mark))
		if res, _ := c.call(t, "GET", "/account/limit", "", ""); res.StatusCode != 401 {
			t.Errorf("a service that does not ask answers %s, want the refusal of an old passport", res.Status)
		}
		if res, text := c.call(t, "GET", "/account/asking/limit", "", ""); res.StatusCode != 200 || text != "7" {
			t.Errorf("a service that asks answers %s, %q", res.Status, text)
		}
	})
}

// refusesInItsWords: a client is told what the edge says, and what the service says.
func (p *proxied) refusesInItsWords(t *testing.T) {
	t.Run("a person who opens a page is sent to sign in", func(t *testing.T) {
		status, _, h := p.get(t, "/account/x?y=1", "", "Accept: text/html")
		if to := h.Get("Location"); status != 303 || to != "/sign-in?return_to=%2Faccount%2Fx%3Fy%3D1" {
			t.Errorf("got %d to %q", status, to)
		}
		if status, _, h := p.get(t, "/account/x", ""); status != 401 || h.Get("WWW-Authenticate") == "" {
			t.Errorf("a program gets %d with %v", status, h)
		}
	})
	t.Run("an outage is said as one", func(t *testing.T) {
		cookie := edge.CookieName + "=" + p.signIn(t).Handle
		p.outage.down.Store(true)
		status, _, h := p.get(t, "/account/x", cookie)
		p.outage.down.Store(false)
		if status != 503 || h.Get("Retry-After") == "" {
			t.Errorf("got %d with Retry-After %q", status, h.Get("Retry-After"))
		}
		for status != 200 { // an authority that was down is left alone for a moment
			if status, _, _ = p.get(t, "/account/x", cookie); t.Context().Err() != nil {
				t.Fatalf("got %d after the outage", status)
			}
		}
	})
	t.Run("a service's refusal goes through", func(t *testing.T) {
		c := &writer{url: p.url, cookie: edge.CookieName + "=" + p.signIn(t).Handle}
		if res, text := c.call(t, "GET", "/account/forbidden", "", ""); res.StatusCode != 403 ||
			text != "the service's own words\n" {
			t.Errorf("got %d %q", res.StatusCode, text)
		}
	})
	t.Run("what is malformed is said to be so", func(t *testing.T) {
		if status, _, _ := p.get(t, "/account/x", "", "Vidimus-Position: 7"); status != 400 {
			t.Errorf("got %d", status)
		}
	})
}
