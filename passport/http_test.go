// SPDX-License-Identifier: Apache-2.0

// Passports over HTTP: what a service sees, what a client is told, and what is passed on.

package passport_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"example.com/vidimus/passport"
	"example.com/vidimus/passport/header"
)

// answer is what a client gets for a request.
type answer struct {
	*httptest.ResponseRecorder
	problem struct {
		Type, Title, Detail, Code, Remedy string
		Status                            int
	}
}

func ask(t *testing.T, h http.Handler, method string, headers http.Header) answer {
	t.Helper()
	r := httptest.NewRequest(method, "/seats", nil)
	r.Header = headers
	a := answer{ResponseRecorder: httptest.NewRecorder()}
	h.ServeHTTP(a, r)
	if a.Header().Get("Content-Type") == "application/problem+json" {
		if err := json.Unmarshal(a.Body.Bytes(), &a.problem); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

func TestRequireLetsGoodPassportsThrough(t *testing.T) {
	t.Parallel()
	s, view := signer(t, 1), newView()
	view.staleness.Store(int64(412 * time.Millisecond))
	v := verifier(t, passport.Config{Keys: keySet(t, s), View: view})
	token := sign(t, s, claims(time.Now()))
	h := v.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, ok := passport.FromContext(r.Context())
		text, ok2 := passport.TokenFromContext(r.Context())
		fmt.Fprint(w, c.Subject, ok, ok2, text == token)
	}), &passport.Rule{Scopes: []string{"seats.hold"}, MaxStale: time.Second})
	a := ask(t, h, "POST", http.Header{"Txn-Token": {token}})
	if a.Code != 200 || a.Body.String() != "alice"+"true true true" {
		t.Errorf("got %d %q", a.Code, a.Body)
	}
	if got := a.Header().Get("Vidimus-Position"); got != "c3.7:184500" {
		t.Errorf("the position is %q", got)
	}
	if got := a.Header().Get("Vidimus-Staleness"); got != `412;pos="c3.7:184500"` {
		t.Errorf("the staleness is %q", got)
	}
}

func TestAWriteIsAtThePositionOfItsEffect(t *testing.T) {
	t.Parallel()
	s := signer(t, 1)
	v := verifier(t, passport.Config{Keys: keySet(t, s), View: newView()})
	for written, want := range map[int64]string{184501: "c3.7:184501", 184499: "c3.7:184500"} {
		h := v.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, _ := passport.FromContext(r.Context())
			at := passport.Mark{Log: c.Log, Epoch: c.Epoch, Position: written}
			header.SetEffect(w.Header(), header.Effect{Mark: at})
		}), nil)
		a := ask(t, h, "POST", http.Header{"Txn-Token": {sign(t, s, claims(time.Now()))}})
		if got := a.Header().Get("Vidimus-Position"); got != want {
			t.Errorf("what was written at %d is answered with the position %q, want %q", written, got, want)
		}
	}
}

func TestRequireSaysWhyItRefuses(t *testing.T) {
	t.Parallel()
	s := signer(t, 1)
	good := sign(t, s, claims(time.Now()))
	old := sign(t, s, claims(time.Now().Add(-time.Hour)))
	one := func(token string) http.Header { return http.Header{"Txn-Token": {token}} }
	with := func(name, value string) http.Header { return http.Header{"Txn-Token": {good}, name: {value}} }
	for _, c := range []struct {
		name    string
		headers http.Header
		verdict error
		stale   time.Duration
		status  int
		code    string
	}{
		{"none", http.Header{}, nil, 0, 401, "missing"},
		{"another header", http.Header{"Authorization": {"Bearer " + good}}, nil, 0, 401, "missing"},
		{"an underscore", http.Header{"Txn_Token": {good}}, nil, 0, 401, "missing"},
		{"lower case", http.Header{"txn-token": {good}}, nil, 0, 401, "missing"},
		{"two", http.Header{"Txn-Token": {good, good}}, nil, 0, 401, "invalid_token"},
		{"two in one", one(good + "," + good), nil, 0, 401, "invalid_token"},
		{"an empty one", one(""), nil, 0, 401, "invalid_token"},
		{"a scheme", one("Bearer " + good), nil, 0, 401, "invalid_token"},
		{"an old one", one(old), nil, 0, 401, "expired"},
		{"superseded", one(good), passport.ErrSuperseded, 0, 401, "superseded"},
		{"revoked", one(good), passport.ErrRevoked, 0, 401, "revoked"},
		{"of another log", one(good), passport.ErrForeign, 0, 401, "foreign"},
		{"a view that fails", one(good), errors.New("secret path /var/x"), 0, 500, "internal"},
		{"stale", one(good), nil, time.Minute, 503, "stale"},
		{"an unknown mode", with("Vidimus-Consistency", "eventual"), nil, 0, 400, "invalid_request"},
		{"a bad position", with("Vidimus-Position", "7"), nil, 0, 400, "invalid_request"},
		{"inexact", http.Header{
			"Txn-Token": {good}, "Vidimus-Consistency": {"exact"}, "Vidimus-Position": {"c3.7:1"},
		}, nil, 0, 412, "inexact"},
		{"fresher than known", with("Vidimus-Position", "c3.7:999999"), nil, 0, 503, "stale"},
		{"tighter", with("Vidimus-Consistency", "minimize-latency;max-staleness=5"), nil, time.Second, 503, "stale"},
	} {
		view := newView()
		view.staleness.Store(int64(c.stale))
		view.judge(func(*passport.Claims) error { return c.verdict })
		v := verifier(t, passport.Config{Keys: keySet(t, s), View: view})
		reached := false
		h := v.Require(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }),
			&passport.Rule{MaxStale: 10 * time.Second})
		a := ask(t, h, "POST", c.headers)
		if a.Code != c.status || a.problem.Code != c.code || a.problem.Status != c.status || reached {
			t.Errorf("%s: got %d %q, want %d %q; reached is %v", c.name, a.Code, a.Body, c.status, c.code, reached)
		}
		checkRefusal(t, c.name, a)
	}
}

// checkRefusal checks what all refusals have.
func checkRefusal(t *testing.T, name string, a answer) {
	t.Helper()
	want := map[int]string{401: `Txn-Token error="` + a.problem.Code + `"`}[a.Code]
	if a.problem.Code == "missing" {
		want = "Txn-Token"
	}
	if got := a.Header().Get("WWW-Authenticate"); got != want {
		t.Errorf("%s: WWW-Authenticate is %q, want %q", name, got, want)
	}
	if retry := a.Header().Get("Retry-After"); (retry != "") != (a.Code == 503) {
		t.Errorf("%s: Retry-After is %q", name, retry)
	}
	if a.Header().Get("Cache-Control") != "no-store" || a.Header().Get("Vidimus-Position") != "" {
		t.Errorf("%s: the headers are %v", name, a.Header())
	}
	if !strings.HasSuffix(a.Body.String(), "}\n") {
		t.Errorf("%s: the line does not end: %q", name, a.Body)
	}
	if a.Code != 500 && (a.problem.Detail == "" || a.problem.Remedy == "") {
		t.Errorf("%s: says too little: %s", name, a.Body)
	}
	if strings.Contains(a.Body.String(), "eyJ") || strings.Contains(a.Body.String(), "secret") {
		t.Errorf("%s: says too much: %s", name, a.Body)
	}
}

func TestScopesAreForbiddenNotUnauthorized(t *testing.T) {
	t.Parallel()
	s := signer(t, 1)
	v := verifier(t, passport.Config{Keys: keySet(t, s)})
	h := v.Require(http.NotFoundHandler(), &passport.Rule{Scopes: []string{"admin"}})
	a := ask(t, h, "GET", http.Header{"Txn-Token": {sign(t, s, claims(time.Now()))}})
	if got := a.Header().Get("WWW-Authenticate"); a.Code != 403 || got != `Txn-Token error="insufficient_scope"` {
		t.Errorf("got %d %q", a.Code, got)
	}
}

func TestReadOnlyRoutesReadOnAndSaySo(t *testing.T) {
	t.Parallel()
	s, view := signer(t, 1), newView()
	v := verifier(t, passport.Config{Keys: keySet(t, s), View: view})
	h := v.Require(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
		&passport.Rule{MaxStale: time.Second, WhenStale: passport.ReadOnly})
	token := http.Header{"Txn-Token": {sign(t, s, claims(time.Now()))}}
	for _, c := range []struct {
		stale  time.Duration
		method string
		status int
		says   string
	}{
		{0, "POST", 200, `0;pos="c3.7:184500"`},
		{5 * time.Second, "GET", 200, `5000;pos="c3.7:184500";read-only`},
		{passport.Unknown, "HEAD", 200, `unknown;pos="c3.7:184500";read-only`},
		{passport.Unknown, "OPTIONS", 200, `unknown;pos="c3.7:184500";read-only`},
		{5 * time.Second, "POST", 503, ""},
		{5 * time.Second, "TRACE", 503, ""},
		{5 * time.Second, "get", 503, ""},
	} {
		view.staleness.Store(int64(c.stale))
		a := ask(t, h, c.method, token.Clone())
		if got := a.Header().Get(header.StalenessField); a.Code != c.status || got != c.says {
			t.Errorf("%s at %v: got %d %q, want %d %q", c.method, c.stale, a.Code, got, c.status, c.says)
		}
	}
}

func TestTransportPassesOnWhatCame(t *testing.T) {
	t.Parallel()
	s := signer(t, 1)
	v := verifier(t, passport.Config{Keys: keySet(t, s)})
	behind := httptest.NewServer(v.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Header.Get("Txn-Token"))
	}), nil))
	defer behind.Close()
	client := &http.Client{Transport: &passport.Transport{Base: behind.Client().Transport}}
	token := sign(t, s, claims(time.Now()))
	h := v.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next, err := http.NewRequestWithContext(r.Context(), "GET", behind.URL, nil)
		if err != nil {
			t.Error(err)
			return
		}
		next.Header.Set("Txn-Token", "another")
		got, err := client.Do(next)
		if err != nil {
			t.Error(err)
			return
		}
		defer got.Body.Close()
		if err := got.Write(w); err != nil {
			t.Error(err)
		}
		if next.Header.Get("Txn-Token") != "another" {
			t.Error("the caller's request is changed")
		}
	}), nil)
	if a := ask(t, h, "GET", http.Header{"Txn-Token": {token}}); !strings.Contains(a.Body.String(), token) {
		t.Errorf("the passport is not passed on: %s", a.Body)
	}
	r, err := http.NewRequestWithContext(t.Context(), "GET", behind.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	if got.StatusCode != 401 {
		t.Errorf("without a passport: %s", got.Status)
	}
}

func TestStateHasATypeOfTheCallers(t *testing.T) {
	t.Parallel()
	type state struct {
		Subject struct {
			Limit  int    `json:"limit"`
			Permit string `json:"permit"`
		} `json:"subject"`
	}
	c := claims(time.Now())
	got, err := passport.StateOf[state](&c)
	if err != nil || got.Subject.Limit != 300 || got.Subject.Permit != "NJ" {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := passport.StateOf[struct{ Subject int }](&c); !errors.Is(err, passport.ErrInvalid) {
		t.Errorf("state of another form gives %v", err)
	}
	if got, err := passport.StateOf[state](&passport.Claims{}); err != nil || got != (state{}) {
		t.Errorf("no state gives %+v, %v", got, err)
	}
}
