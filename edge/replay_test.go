// SPDX-License-Identifier: Apache-2.0

// The same request again, and requests that do not say what they were decided on.

package edge_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"example.com/vidimus/edge"
)

// till is a service that counts what it does.
func till(count *atomic.Int64) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		n := count.Add(1)
		w.Header().Set("Set-Cookie", "n=1")
		w.Header().Set("X-Key", r.Header.Get("Idempotency-Key"))
		switch r.URL.Query().Get("do") {
		case "fail":
			w.WriteHeader(http.StatusInternalServerError)
		case "break":
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case "large":
			_, _ = w.Write(make([]byte, 100<<10))
		default:
			w.WriteHeader(http.StatusCreated)
		}
		fmt.Fprint(w, "sold ", n)
	}
}

func replaying(c *edge.Config) {
	c.Routes = append(c.Routes,
		edge.Route{Path: "/buy", Upstream: "UPSTREAM", Idempotency: edge.Replay},
		edge.Route{Path: "/keyed", Upstream: "UPSTREAM", Idempotency: edge.RequireKey})
}

func TestTheSameRequestAgainIsAnsweredTheSame(t *testing.T) {
	t.Parallel()
	var count atomic.Int64
	s := open(t, till(&count), replaying)
	alice, bob := s.signIn("alice"), s.signIn("bob")
	buy := func(handle, key, body string) answer {
		return s.send(t, "POST", "/buy", handle, strings.NewReader(body), "Idempotency-Key: "+key)
	}
	first := buy(alice, "k1", "seat 1").want(t, 201)
	again := buy(alice, "k1", "seat 1").want(t, 201)
	if again.body != first.body || again.header.Get("Idempotent-Replayed") != "true" || again.header.Get("X-Key") != "k1" {
		t.Errorf("again: %q %v", again.body, again.header)
	}
	if again.header.Get("Set-Cookie") != "" {
		t.Error("a cookie is set again")
	}
	buy(alice, "k1", "seat 2").want(t, 422)
	if got := buy(bob, "k1", "seat 1").want(t, 201); got.body == first.body {
		t.Error("another session's answer")
	}
	s.end(alice)
	s.tell(t)
	buy(alice, "k1", "seat 1").want(t, 401)
	if count.Load() != 2 {
		t.Errorf("sold %d", count.Load())
	}
}

func TestAnswersThatAreNotFinalAreNotRepeated(t *testing.T) {
	t.Parallel()
	for _, do := range []string{"fail", "large"} {
		var count atomic.Int64
		s := open(t, till(&count), replaying)
		handle := s.signIn("alice")
		for range 2 {
			s.send(t, "POST", "/buy?do="+do, handle, strings.NewReader("x"), "Idempotency-Key: k")
		}
		if count.Load() != 2 {
			t.Errorf("%s: the service was asked %d times, want 2", do, count.Load())
		}
	}
	var count atomic.Int64
	s := open(t, till(&count), replaying)
	handle := s.signIn("alice")
	address := strings.TrimPrefix(s.url, "http://")
	for range 2 {
		got := raw(t, address, "POST /buy?do=break HTTP/1.1\r\nHost: x\r\nConnection: close\r\nIdempotency-Key: k\r\n"+
			"Cookie: "+edge.CookieName+"="+handle+"\r\nContent-Length: 0\r\n\r\n")
		if strings.Contains(got, "\r\n0\r\n\r\n") || strings.Contains(got, "Replayed") {
			t.Errorf("an answer that broke off is %q", got)
		}
	}
	if count.Load() != 2 {
		t.Errorf("an answer that broke off is kept")
	}
	for range 2 { // a body that is not at hand cannot be compared
		body := struct{ io.Reader }{strings.NewReader("a stream")}
		s.send(t, "POST", "/buy", handle, body, "Idempotency-Key: stream").want(t, 201)
	}
	if count.Load() != 4 {
		t.Errorf("a stream is answered for another")
	}
}

func TestASecondRequestWhileTheFirstIsUnderWay(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan bool), make(chan bool)
	s := open(t, func(http.ResponseWriter, *http.Request) {
		entered <- true
		<-leave
	}, replaying)
	handle := s.signIn("alice")
	first := make(chan int)
	go func() { first <- s.call(t, "POST", "/buy", handle, "Idempotency-Key: k").status }()
	<-entered
	s.call(t, "POST", "/buy", handle, "Idempotency-Key: k").want(t, 409)
	leave <- true
	if got := <-first; got != 200 {
		t.Errorf("the first got %d", got)
	}
	s.call(t, "POST", "/buy", handle, "Idempotency-Key: k").want(t, 200)
}

func TestWritesMustSayWhatTheyWereDecidedOn(t *testing.T) {
	t.Parallel()
	s := open(t, echo, func(c *edge.Config) {
		replaying(c)
		c.Routes = append(c.Routes, edge.Route{Path: "/doc", Upstream: "UPSTREAM", RequireIfMatch: true})
	})
	handle := s.signIn("alice")
	for _, method := range []string{"PUT", "PATCH", "DELETE"} {
		s.call(t, method, "/doc", handle).want(t, 428)
		got := s.call(t, method, "/doc", handle, `If-Match: "7"`).want(t, 200).echoed(t)
		if got.Header.Get("If-Match") != `"7"` {
			t.Errorf("%s: If-Match does not arrive", method)
		}
	}
	s.call(t, "GET", "/doc", handle).want(t, 200)
	s.call(t, "POST", "/keyed", handle).want(t, 400)
	s.call(t, "POST", "/keyed", handle, "Idempotency-Key: "+strings.Repeat("k", 300)).want(t, 400)
	s.call(t, "POST", "/keyed", handle, "Idempotency-Key: a", "Idempotency-Key: b").want(t, 400)
	s.call(t, "POST", "/keyed", handle, "Idempotency-Key: a").want(t, 200)
	s.call(t, "GET", "/keyed", handle).want(t, 200)
}
