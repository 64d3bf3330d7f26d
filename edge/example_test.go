// SPDX-License-Identifier: Apache-2.0

// An edge in front of a service, from sign-in to sign-out.

package edge_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"time"

	"example.com/vidimus/edge"
	"example.com/vidimus/passport"
)

// ada is an authority that knows one session. In life it is session.Sessions in this process, or remote.Authority over
// HTTP.
type ada struct{ signedOut bool }

const adasHandle = "v1.main.AAAAAAAAAAAAAAAAAAAAAA.1.BBBBBBBBBBBBBBBBBBBBBB"

func (a *ada) Mint(_ context.Context, ask passport.Ask) (passport.Grant, error) {
	if ask.Handle != adasHandle || a.signedOut {
		return passport.Grant{}, passport.ErrNoSession
	}
	now := time.Now()
	return passport.Grant{Token: "a-signed-passport", Claims: passport.Claims{
		Subject: "ada", Scope: "buy", IssuedAt: now, ExpiresAt: now.Add(time.Minute),
		Mark: passport.Mark{Log: "main", Epoch: 1, Position: 12},
	}}, nil
}

func Example() {
	// A service signs people in and out, and has pages for those who are signed in.
	authority := &ada{}
	service := http.NewServeMux()
	service.HandleFunc("POST /sign-in", func(w http.ResponseWriter, _ *http.Request) {
		_ = edge.SetHandle(w, adasHandle) // which the authority answered with
	})
	service.HandleFunc("POST /sign-out", func(w http.ResponseWriter, _ *http.Request) {
		authority.signedOut = true // which the authority is told
		edge.ClearHandle(w)
	})
	service.HandleFunc("GET /account/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "passport %q, cookie %q", r.Header.Get("Txn-Token"), r.Header.Get("Cookie"))
	})
	upstream := httptest.NewServer(service)
	defer upstream.Close()

	e, err := edge.Open(edge.Config{
		Authority: authority,
		Routes: []edge.Route{
			{Path: "/account/", Upstream: upstream.URL},
			{Path: "/sign-in", Upstream: upstream.URL, Public: true, SignIn: true},
			{Path: "/sign-out", Upstream: upstream.URL, SignIn: true},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = e.Close() }()

	var cookie *http.Cookie
	for _, request := range []string{
		"GET /account/", "POST /sign-in", "GET /account/", "POST /sign-out", "GET /account/",
	} {
		var method, path string
		_, _ = fmt.Sscan(request, &method, &path)
		r := httptest.NewRequest(method, path, nil)
		r.Header.Set("Txn-Token", "what a client says of itself")
		if cookie != nil {
			r.AddCookie(cookie)
		}
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		if set := w.Result().Cookies(); len(set) > 0 && set[0].MaxAge >= 0 {
			cookie = set[0]
		}
		body, _ := io.ReadAll(w.Result().Body)
		if w.Code != http.StatusOK {
			body = nil
		}
		fmt.Println(strings.TrimSpace(fmt.Sprint(request, " ", w.Code, " ", string(body))))
	}
	// Output:
	// GET /account/ 401
	// POST /sign-in 200
	// GET /account/ 200 passport "a-signed-passport", cookie ""
	// POST /sign-out 200
	// GET /account/ 401
}

// Another proxy asks about a request, and is told what to set on it.
func ExampleEdge_Auth() {
	e, err := edge.Open(edge.Config{
		Authority:      &ada{},
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
		Routes:         []edge.Route{{Path: "/account/"}, {Path: "/", Public: true}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, handle := range []string{adasHandle, "v1.main.forged"} {
		question := httptest.NewRequest(http.MethodGet, "/", nil)
		question.RemoteAddr = "192.0.2.7:4711"
		question.Header.Set("X-Forwarded-Method", "GET")
		question.Header.Set("X-Forwarded-Uri", "/account/seats")
		question.Header.Set("Cookie", edge.CookieName+"="+handle)
		w := httptest.NewRecorder()
		e.Auth().ServeHTTP(w, question)
		fmt.Printf("%d %q\n", w.Code, w.Header().Get("Txn-Token"))
	}
	// Output:
	// 200 "a-signed-passport"
	// 401 ""
}

// A mistake in the configuration is named with its field and the remedy.
func ExampleInvalidError() {
	_, err := edge.Open(edge.Config{
		Authority: &ada{},
		Routes:    []edge.Route{{Path: "/account/", Upstream: "localhost:8080"}},
	})
	fmt.Println(err)
	// Output:
	// edge: Routes[0].Upstream "localhost:8080": write it as http://host:port, https://… or h2c://…
}
