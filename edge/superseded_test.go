// SPDX-License-Identifier: Apache-2.0

// A state that changes while a request is under way.

package edge_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"example.com/vidimus/passport/header"
)

func TestAStateThatChangesAgainMeanwhileIsFetchedAgain(t *testing.T) {
	t.Parallel()
	var s *site
	var changes, tries atomic.Int64
	s = open(t, func(w http.ResponseWriter, r *http.Request) {
		tries.Add(1)
		if changes.Add(-1) >= 0 { // another tab writes before the service looks
			s.change("alice")
		}
		if s.verify(t, r.Header.Get(header.TxnToken)).SubjectVersion < s.versionNow("alice") {
			w.Header().Set("WWW-Authenticate", `Txn-Token error="superseded"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, "good")
	}, nil)
	handle := s.signIn("alice")
	for n, want := range map[int64]int{1: 200, 3: 200, 9: 503} {
		changes.Store(n)
		tries.Store(0)
		s.call(t, "GET", "/account/", handle).want(t, want)
		if got := tries.Load(); got != min(n+1, 4) {
			t.Errorf("%d changes: the service was asked %d times", n, got)
		}
	}
}

func TestALargeRequestThatIsSupersededMayBeTriedAgain(t *testing.T) {
	t.Parallel()
	s := open(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Txn-Token error="superseded"`)
		w.WriteHeader(http.StatusUnauthorized)
	}, nil)
	handle := s.signIn("alice")
	large := strings.NewReader(strings.Repeat("x", 65<<10)) // more than is kept
	got := s.send(t, "POST", "/account/", handle, large).want(t, http.StatusServiceUnavailable)
	if got.header.Get("Retry-After") == "" {
		t.Error("the answer does not say when to try again")
	}
}

func TestAServicesDoubtIsNoSignOut(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]struct{ status, tries int }{
		"foreign": {503, 2}, "expired": {503, 2}, "invalid_token": {503, 2}, "revoked": {503, 2},
		"no_session": {401, 1}, "insufficient_scope": {401, 1}, "": {401, 1},
	} {
		var doubts, tries atomic.Int64
		s := open(t, func(w http.ResponseWriter, r *http.Request) {
			tries.Add(1)
			if doubts.Add(-1) >= 0 {
				w.Header().Add("WWW-Authenticate", "Cookie")
				w.Header().Add("WWW-Authenticate", `Txn-Token error="`+code+`"`)
				w.WriteHeader(http.StatusUnauthorized)
			}
		}, nil)
		handle := s.signIn("alice")
		for doubt, status := range map[int64]int{1: 200, 9: want.status} {
			if want.tries == 1 {
				status = want.status
			}
			doubts.Store(doubt)
			tries.Store(0)
			got := s.call(t, "GET", "/account/", handle)
			if got.status != status || tries.Load() != int64(want.tries) {
				t.Errorf("%q, %d times: got %d after %d tries, want %d after %d",
					code, doubt, got.status, tries.Load(), status, want.tries)
			}
			if status == 503 && got.header.Get("Retry-After") == "" {
				t.Errorf("%q: the answer does not say when to try again", code)
			}
		}
		doubts.Store(9)
		s.end(handle)
		if got := s.call(t, "GET", "/account/", handle); got.status != 401 {
			t.Errorf("%q, after the session has ended: got %d", code, got.status)
		}
	}
}

func TestADoubtThatTheAuthorityCannotSettleIsNoSignOut(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"superseded", "expired"} {
		var s *site
		s = open(t, func(w http.ResponseWriter, _ *http.Request) {
			s.setDown(true)
			w.Header().Set("WWW-Authenticate", `Txn-Token error="`+code+`"`)
			w.WriteHeader(http.StatusUnauthorized)
		}, nil)
		got := s.call(t, "GET", "/account/", s.signIn("alice")).want(t, http.StatusServiceUnavailable)
		if got.header.Get("Retry-After") == "" {
			t.Errorf("%s: the answer does not say when to try again: %s", code, got.body)
		}
	}
}
