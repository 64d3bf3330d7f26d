// SPDX-License-Identifier: Apache-2.0

// What other proxies are answered, and whom they are answered for.

package edge_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"example.com/vidimus/edge"
	"example.com/vidimus/passport"
	"example.com/vidimus/passport/header"
)

// ask asks as a proxy does.
func (s *site) ask(t *testing.T, handle string, fields ...string) answer {
	t.Helper()
	front := httptest.NewServer(s.edge.Auth())
	defer front.Close()
	there := *s
	there.url = front.URL
	return there.call(t, "GET", "/auth", handle, fields...)
}

func trusting(c *edge.Config) { c.TrustedProxies = loopback() }

func TestAnotherProxyIsToldWhomARequestIsFrom(t *testing.T) {
	t.Parallel()
	s := open(t, echo, trusting)
	handle := s.signIn("alice")
	for name, fields := range map[string][]string{
		"Caddy and Traefik": {"X-Forwarded-Uri: /account/x?y=1", "X-Forwarded-Method: POST", "X-Forwarded-Host: shop"},
		"nginx":             {"X-Original-Uri: /account/x?y=1", "X-Original-Method: POST", "X-Forwarded-Host: shop"},
	} {
		t.Run(name, func(t *testing.T) {
			cookies := "Cookie: a=1; " + edge.CookieName + "=" + handle + "; b=2"
			got := s.ask(t, "", append(fields, cookies, "Txn-Token: evil")...).want(t, 200)
			c := s.verify(t, got.header.Get(header.TxnToken))
			if c.Subject != "alice" || got.header.Get(header.Position) != c.Mark.String() {
				t.Errorf("the answer is %v", got.header)
			}
			if rest := got.header.Get("Cookie"); rest != "a=1; b=2" {
				t.Errorf("the service's cookies are %q", rest)
			}
			if got := s.ask(t, "", append(fields, "Cookie: a=1")...); got.status != 401 {
				t.Errorf("nobody gets %d", got.status)
			}
		})
	}
	public := []string{"X-Forwarded-Uri: /public", "X-Forwarded-Method: GET"}
	got := s.ask(t, "", append(public, "Cookie: a=1", "Txn-Token: evil")...).want(t, 200)
	if got.header[header.TxnToken] != nil || got.header.Get("Cookie") != "a=1" {
		t.Errorf("a public page's answer is %v", got.header)
	}
}

func TestQuestionsThatAClientHasAHandInAreRefused(t *testing.T) {
	t.Parallel()
	s := open(t, echo, trusting)
	handle := s.signIn("alice")
	for name, fields := range map[string][]string{
		"both families":   {"X-Original-Uri: /admin/", "X-Original-Method: GET", "X-Forwarded-Uri: /public"},
		"both methods":    {"X-Original-Uri: /", "X-Original-Method: GET", "X-Forwarded-Method: POST"},
		"mixed":           {"X-Original-Uri: /public", "X-Forwarded-Method: GET"},
		"two targets":     {"X-Forwarded-Uri: /public", "X-Forwarded-Uri: /admin/", "X-Forwarded-Method: GET"},
		"two methods":     {"X-Forwarded-Uri: /public", "X-Forwarded-Method: GET", "X-Forwarded-Method: PUT"},
		"no method":       {"X-Forwarded-Uri: /public"},
		"no target":       {"X-Forwarded-Method: GET"},
		"nothing":         nil,
		"an empty target": {"X-Forwarded-Uri: ", "X-Forwarded-Method: GET"},
		"two hosts": {
			"X-Forwarded-Uri: /", "X-Forwarded-Method: GET", "X-Forwarded-Host: a", "X-Forwarded-Host: b",
		},
		"a path with two sides":  {"X-Forwarded-Uri: /public/..%2fadmin/", "X-Forwarded-Method: GET"},
		"an absolute target":     {"X-Forwarded-Uri: http://x/public", "X-Forwarded-Method: GET"},
		"a protected path":       {"X-Forwarded-Uri: /admin/", "X-Forwarded-Method: GET"},
		"the edge's own page":    {"X-Forwarded-Uri: /.vidimus/status", "X-Forwarded-Method: GET"},
		"a method that tunnels":  {"X-Forwarded-Uri: /public", "X-Forwarded-Method: CONNECT"},
		"a page of another site": {"X-Forwarded-Uri: /account/", "X-Forwarded-Method: POST", "Sec-Fetch-Site: cross-site"},
	} {
		t.Run(name, func(t *testing.T) {
			got := s.ask(t, handle, fields...)
			if got.status < 400 || got.header[header.TxnToken] != nil {
				t.Errorf("got %d %v", got.status, got.header)
			}
			if name == "both families" && !strings.Contains(got.body, "one is the client's: have the proxy clear") {
				t.Errorf("the operator is told %s", got.body)
			}
		})
	}
}

func TestOnlyTrustedProxiesAreAnswered(t *testing.T) {
	t.Parallel()
	s := open(t, echo, nil)
	got := s.ask(t, s.signIn("alice"), "X-Forwarded-Uri: /account/", "X-Forwarded-Method: GET").want(t, 403)
	if got.header[header.TxnToken] != nil {
		t.Error("anybody gets passports")
	}
}

func TestNginxIsAnsweredInTheStatusesThatItKnows(t *testing.T) {
	t.Parallel()
	s := open(t, echo, func(c *edge.Config) {
		trusting(c)
		c.SignInURL = "/sign-in"
		c.Routes = append(c.Routes, edge.Route{Path: "/keyed", Idempotency: edge.RequireKey, MaxStale: 1})
	})
	handle := s.signIn("alice")
	nginx := func(method, target string, more ...string) []string {
		return append([]string{"X-Original-Uri: " + target, "X-Original-Method: " + method}, more...)
	}
	for name, c := range map[string]struct {
		handle string
		fields []string
		want   int
		real   string
	}{
		"a session":               {handle, nginx("GET", "/account/"), 200, ""},
		"nobody":                  {"", nginx("GET", "/account/"), 401, ""},
		"a person without one":    {"", nginx("GET", "/account/", "Accept: text/html"), 401, "303"},
		"a session without scope": {handle, nginx("GET", "/admin/"), 403, "403"},
		"a path of two readings":  {handle, nginx("GET", "/account//"), 403, "400"},
		"a method that is not":    {handle, nginx("GET", "/pay"), 403, "405"},
		"no key":                  {handle, nginx("POST", "/keyed"), 403, "400"},
	} {
		t.Run(name, func(t *testing.T) {
			got := s.ask(t, c.handle, c.fields...).want(t, c.want)
			if got.header.Get(edge.StatusField) != c.real {
				t.Errorf("the real status is %q, want %q", got.header.Get(edge.StatusField), c.real)
			}
			if c.real == "303" && !strings.HasPrefix(got.header.Get("Location"), "/sign-in?") {
				t.Errorf("sent to %q", got.header.Get("Location"))
			}
		})
	}
	s.setDown(true)
	got := s.ask(t, s.signIn("bob"), nginx("GET", "/account/")...).want(t, 403)
	if got.header.Get(edge.StatusField) != "503" {
		t.Errorf("an authority that is down is %v", got.header)
	}
	s.ask(t, s.signIn("bob"), "X-Forwarded-Uri: /account/", "X-Forwarded-Method: GET").want(t, 503)
}

func TestAVerdictSaysWhatToTakeOutAndWhatToSet(t *testing.T) {
	t.Parallel()
	s := open(t, echo, nil)
	r := httptest.NewRequest(http.MethodGet, "/account/", nil)
	r.Header.Set("Cookie", edge.CookieName+"="+s.signIn("alice"))
	r.Header["txn_token"], r.Header["X-Forwarded-User"] = []string{"evil"}, []string{"evil"}
	v := s.edge.Check(t.Context(), r)
	if v.Status != 200 || v.Claims == nil || v.Claims.Subject != "alice" {
		t.Fatalf("the verdict is %+v", v)
	}
	if got := strings.Join(v.Remove, " "); got != "X-Forwarded-User txn_token" {
		t.Errorf("to take out: %q", got)
	}
	if cookie, ok := v.Request["Cookie"]; !ok || cookie[0] != "" {
		t.Errorf("the cookies that are left: %q", cookie)
	}
	r.Header.Del("Cookie")
	if v := s.edge.Check(t.Context(), r); v.Status != 401 || v.Claims != nil || len(v.Body) == 0 {
		t.Errorf("the verdict on nobody is %+v", v)
	}
}

func TestAnOlderCookieIsTakenOver(t *testing.T) {
	t.Parallel()
	var s *site
	old := &importer{sessions: map[string]string{}}
	s = open(t, echo, func(c *edge.Config) {
		c.Legacy = old
		trusting(c)
	})
	handle := s.signIn("alice")
	old.sessions["seal"] = handle
	got := s.call(t, "GET", "/account/", "", "Cookie: old=seal; a=1").want(t, 200)
	want := []string{
		edge.CookieName + "=" + handle + "; Path=/; Secure; HttpOnly; SameSite=Lax", "old=; Path=/; Max-Age=0",
	}
	if cookies := got.header["Set-Cookie"]; len(cookies) != 2 || cookies[0] != want[0] || cookies[1] != want[1] {
		t.Errorf("the cookies are %q, want %q", cookies, want)
	}
	sent := got.echoed(t)
	if s.verify(t, sent.Header.Get(header.TxnToken)).Subject != "alice" || sent.Header.Get("Cookie") != "a=1" {
		t.Errorf("the service got %v", sent.Header)
	}
	asked := s.ask(t, "", "X-Original-Uri: /account/", "X-Original-Method: GET", "Cookie: old=seal; a=1").want(t, 200)
	cookies := asked.header["Set-Cookie"]
	if len(cookies) != 1 || cookies[0] != want[0] || asked.header.Get("Cookie") != "a=1" {
		t.Errorf("another proxy is answered with the cookies %q", cookies)
	}
	s.call(t, "GET", "/account/", handle).want(t, 200)
	s.call(t, "GET", "/account/", "", "Cookie: old=forged").want(t, 401)
	s.end(handle)
	s.tell(t)
	s.call(t, "GET", "/account/", "", "Cookie: old=seal").want(t, 401)
	old.down = true
	s.call(t, "GET", "/account/", "", "Cookie: old=seal").want(t, 503)
	s.call(t, "GET", "/public", "", "Cookie: old=seal").want(t, 200)
	if got := s.call(t, "GET", "/.vidimus/status", "").want(t, 200); !strings.Contains(got.body, `"legacy":"down"`) {
		t.Errorf("the status is %s", got.body)
	}
	old.keep, old.down = true, false
	if got := s.call(t, "GET", "/public", "", "Cookie: old=x").echoed(t); got.Header.Get("Cookie") != "old=x" {
		t.Errorf("a cookie that stays reaches the service as %q", got.Header.Get("Cookie"))
	}
}

// importer knows one older cookie.
type importer struct {
	sessions   map[string]string
	keep, down bool
}

func (i *importer) Knows(name string) bool { return name == "old" }

func (i *importer) Status() any { return map[bool]string{true: "down"}[i.down] }

func (i *importer) Import(_ context.Context, r *http.Request) (string, bool, error) {
	c, err := r.Cookie("old")
	switch {
	case i.down:
		return "", false, passport.ErrUnavailable
	case err != nil:
		return "", false, nil
	}
	handle, ok := i.sessions[c.Value]
	return handle, ok, nil
}

func (i *importer) Delete(name string) *http.Cookie {
	if i.keep {
		return nil
	}
	return &http.Cookie{Name: name, Path: "/", MaxAge: -1}
}
