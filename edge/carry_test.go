// SPDX-License-Identifier: Apache-2.0

// Answers that nobody reads.

package edge

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/passport"
)

// deadlines is a connection that notes until when is read.
type deadlines struct {
	http.ResponseWriter
	set []time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.set = append(d.set, t)
	return nil
}

// SetWriteDeadline notes until when is written.
func (d *deadlines) SetWriteDeadline(t time.Time) error { return d.SetReadDeadline(t) }

func TestAClientThatStopsReadingIsBounded(t *testing.T) {
	t.Parallel()
	e, err := Open(Config{Authority: noAuthority{}, Routes: []Route{{
		Path: "/", Public: true, Upstream: "http://service.example",
	}}, Transport: says("hello")})
	if err != nil {
		t.Fatal(err)
	}
	d := &deadlines{ResponseWriter: httptest.NewRecorder()}
	e.ServeHTTP(d, httptest.NewRequest("GET", "/", nil))
	if len(d.set) != 2 || time.Until(d.set[0]) > bodyIdle || time.Until(d.set[0]) < bodyIdle/2 || !d.set[1].IsZero() {
		t.Errorf("the deadlines are %v, want one of %v, and then none", d.set, bodyIdle)
	}
}

// In HTTP/2, a client stops reading by granting no more room to a stream, while the connection lives on.
func TestAStreamNobodyReadsIsBoundedAndAQuietOneIsNot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bodies := map[string]io.Reader{
			"/large": io.LimitReader(zeros{}, 16<<20),
			"/quiet": io.MultiReader(strings.NewReader("begin "), waits(10*bodyIdle), strings.NewReader("end")),
		}
		e, client := overHTTP2(t, roundTrip(func(r *http.Request) (*http.Response, error) {
			return &http.Response{
				StatusCode: http.StatusOK, Request: r, Header: http.Header{}, ContentLength: -1,
				Body: io.NopCloser(bodies[r.URL.Path]),
			}, nil
		}))
		get := func(path string) *http.Response {
			res, err := client.Get("http://edge.example" + path)
			if err != nil {
				t.Fatal(err)
			}
			return res
		}
		unread := get("/large")
		synctest.Wait()
		if n := e.inFlight.Load(); n != 1 {
			t.Fatalf("%d requests are under way, want the one whose answer nobody reads", n)
		}
		began := time.Now()
		for e.inFlight.Load() > 0 {
			if time.Since(began) > bodyIdle {
				t.Fatalf("after %v it still holds its place", time.Since(began))
			}
			<-time.After(time.Second)
		}
		if _, err := io.Copy(io.Discard, unread.Body); err == nil {
			t.Error("an answer that was cut ends as if it were whole")
		}
		quiet := get("/quiet")
		if all, err := io.ReadAll(quiet.Body); err != nil || string(all) != "begin end" {
			t.Errorf("a quiet stream brought %q, %v", all, err)
		}
	})
}

// overHTTP2 serves an edge in front of a service to a client, over one connection without a network.
func overHTTP2(t *testing.T, service http.RoundTripper) (*Edge, *http.Client) {
	t.Helper()
	e, l := overPipes(t, Config{Authority: noAuthority{}, Transport: service})
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: p, DialContext: l.dial}
	t.Cleanup(transport.CloseIdleConnections)
	return e, &http.Client{Transport: transport}
}

// overPipes serves an edge without a network. Below /account/ a session is needed.
func overPipes(t *testing.T, c Config) (*Edge, *pipes) {
	t.Helper()
	c.Routes = []Route{
		{Path: "/", Public: true, Upstream: "http://service.example"},
		{Path: "/account/", Upstream: "http://service.example"},
	}
	e, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	hs, l := e.httpServer(), newPipes()
	go hs.Serve(l)
	t.Cleanup(func() { _ = hs.Close() })
	return e, l
}

// pipes is a listener for connections within the process.
type pipes struct {
	accepted chan net.Conn
	closed   chan struct{}
	close    func()
}

func newPipes() *pipes {
	p := &pipes{accepted: make(chan net.Conn), closed: make(chan struct{})}
	p.close = sync.OnceFunc(func() { close(p.closed) })
	return p
}

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	p.accepted <- there
	return here, nil
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accepted:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.close()
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// waits is a reader that ends after so long.
type waits time.Duration

func (w waits) Read([]byte) (int, error) {
	<-time.After(time.Duration(w))
	return 0, io.EOF
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// says is a service that says one thing.
type says string

func (s says) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, Request: r, Header: http.Header{}, ContentLength: int64(len(s)),
		Body: io.NopCloser(strings.NewReader(string(s))),
	}, nil
}

// noAuthority is never asked.
type noAuthority struct{ passport.Authority }
