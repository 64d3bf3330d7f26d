// SPDX-License-Identifier: Apache-2.0

// How long a request waits for the authority.

package edge

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/passport"
	"example.com/vidimus/passport/header"
)

func TestAPublicPageWaitsForNoSilentAuthority(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		authority := &slow{answer: make(chan error)}
		e, err := Open(Config{Authority: authority, Transport: says("hello"), Routes: []Route{
			{Path: "/", Public: true, Upstream: "http://service.example"},
			{Path: "/sign-in", Public: true, SignIn: true, Upstream: "http://service.example"},
		}})
		if err != nil {
			t.Fatal(err)
		}
		call := func(method, path string, fields ...string) time.Duration {
			r := httptest.NewRequest(method, path, nil)
			r.Header.Set("Cookie", CookieName+"="+someHandle)
			for _, f := range fields {
				name, value, _ := strings.Cut(f, ": ")
				r.Header.Set(name, value)
			}
			w, began := httptest.NewRecorder(), time.Now()
			e.ServeHTTP(w, r)
			if w.Code != 200 {
				t.Errorf("%s %s gets %d", method, path, w.Code)
			}
			return time.Since(began)
		}
		if took := call("GET", ownPaths+"status"); took != 0 || authority.asked != 0 {
			t.Errorf("the edge's own page takes %v, and asks %d times", took, authority.asked)
		}
		if took := call("GET", "/"); took != shortPatience {
			t.Errorf("a public page takes %v", took)
		}
		authority.answer <- nil // which comes late, and not for nothing
		synctest.Wait()
		if took := call("GET", "/"); took != 0 || authority.asked != 1 || e.mint.ready.size() != 1 {
			t.Errorf("the next takes %v, and asks %d times", took, authority.asked)
		}
		e.mint.forget(someHandle)
		for i, c := range [][]string{
			{"POST", "/"}, {"GET", "/sign-in"}, {"GET", "/", "Vidimus-Consistency: fully-consistent"},
		} {
			if took := call(c[0], c[1], c[2:]...); took != mintTimeout || authority.asked != 2+i {
				t.Errorf("%q takes %v, and asks %d times", c, took, authority.asked)
			}
			time.Sleep(failingFor)
		}
	})
}

func TestWhoMayReadOnDoesNotWaitForASilentAuthority(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		authority := &slow{answer: make(chan error)}
		e, err := Open(Config{Authority: authority, Transport: says("hello"), Routes: []Route{{
			Path: "/", Upstream: "http://service.example", MaxStale: time.Second, WhenStale: passport.ReadOnly,
		}}})
		if err != nil {
			t.Fatal(err)
		}
		call := func(method string) (*httptest.ResponseRecorder, time.Duration) {
			r := httptest.NewRequest(method, "/", nil)
			r.Header.Set("Cookie", CookieName+"="+someHandle)
			w, began := httptest.NewRecorder(), time.Now()
			e.ServeHTTP(w, r)
			return w, time.Since(began)
		}
		first := make(chan int, 1)
		go func() {
			w, _ := call("GET")
			first <- w.Code
		}()
		synctest.Wait()
		authority.answer <- nil
		if status := <-first; status != 200 {
			t.Fatalf("before, a read gets %d", status)
		}
		time.Sleep(5 * time.Second)
		for range 10 {
			w, took := call("GET")
			stale, _, err := header.GetStaleness(w.Header())
			if w.Code != 200 || took > shortPatience || err != nil || !stale.ReadOnly {
				t.Errorf("a read gets %d after %v, with %q", w.Code, took, w.Header()[header.StalenessField])
			}
		}
		if w, took := call("POST"); w.Code != 503 || took > mintTimeout {
			t.Errorf("a write gets %d after %v", w.Code, took)
		}
		if w, _ := call("GET"); w.Code != 200 {
			t.Errorf("a read after it gets %d", w.Code)
		}
		time.Sleep(time.Minute)
		if w, _ := call("GET"); w.Code != 503 {
			t.Errorf("when the passport has ended, a read gets %d", w.Code)
		}
	})
}

// fails is an authority that has one answer.
type fails struct{ err error }

func (f fails) Mint(context.Context, passport.Ask) (passport.Grant, error) {
	return passport.Grant{}, f.err
}

// heard answers a request with the staleness that the service was told of.
type heard struct{}

func (heard) RoundTrip(r *http.Request) (*http.Response, error) {
	return says(r.Header.Get(header.StalenessField)).RoundTrip(r)
}

func TestWhetherNobodyAsksOrNobodyKnowsIsSaid(t *testing.T) {
	t.Parallel()
	for answer, want := range map[error]string{
		passport.ErrUnavailable: "unknown", passport.ErrNoSession: "", passport.ErrRevoked: "",
	} {
		e, err := Open(Config{Authority: fails{answer}, Transport: heard{}, Routes: []Route{{
			Path: "/", Public: true, Upstream: "http://service.example",
		}}})
		if err != nil {
			t.Fatal(err)
		}
		r, w := httptest.NewRequest("GET", "/", nil), httptest.NewRecorder()
		r.Header.Set("Cookie", CookieName+"="+someHandle)
		r.Header.Set(header.StalenessField, "7")
		e.ServeHTTP(w, r)
		if told := w.Body.String(); told != want || w.Header().Get(header.StalenessField) != want || w.Code != 200 {
			t.Errorf("%v: got %d, the service is told %q and the client %q, want %q",
				answer, w.Code, told, w.Header().Get(header.StalenessField), want)
		}
	}
}

// older is an older system that knows the cookie "old", and whose importer cannot say whose it is.
type older struct{}

func (older) Knows(name string) bool          { return name == "old" }
func (older) Delete(name string) *http.Cookie { return &http.Cookie{Name: name, MaxAge: -1} }
func (older) Import(context.Context, *http.Request) (string, bool, error) {
	return "", false, passport.ErrUnavailable
}

func TestAnOlderCookieThatNobodyKnowsIsNotPassedOn(t *testing.T) {
	t.Parallel()
	e, err := Open(Config{
		Authority: fails{passport.ErrUnavailable}, Legacy: older{}, Routes: []Route{
			{Path: "/", Public: true, Upstream: "http://service.example"},
			{Path: "/account/", Upstream: "http://service.example"},
		}, Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			return says(r.Header.Get(header.StalenessField) + " " + r.Header.Get("Cookie")).RoundTrip(r)
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"/": "unknown theme=dark", "/account/": ""} {
		r, w := httptest.NewRequest("GET", path, nil), httptest.NewRecorder()
		r.Header.Set("Cookie", "old=1; theme=dark")
		e.ServeHTTP(w, r)
		if want != "" && w.Body.String() != want || want == "" && w.Code != 503 || w.Header()["Set-Cookie"] != nil {
			t.Errorf("%s is answered %d with %q, and sets %q", path, w.Code, w.Body, w.Header()["Set-Cookie"])
		}
	}
}
