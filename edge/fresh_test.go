// SPDX-License-Identifier: Apache-2.0

// How long a request waits for the authority.

package edge

import (
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
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
		if took := call("GET", "/"); took != publicPatience {
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
