// SPDX-License-Identifier: Apache-2.0

// Bodies that arrive slowly, or not at all.

package edge

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"example.com/vidimus/passport"
)

const someHandle = "v1.c3.AAAAAAAAAAAAAAAAAAAAAA.1.BBBBBBBBBBBBBBBBBBBBBB"

// grants is an authority that knows everybody.
type grants struct{}

func (grants) Mint(context.Context, passport.Ask) (passport.Grant, error) { return *grant(), nil }

func TestASilentSenderIsBoundedAndASlowServiceIsNot(t *testing.T) {
	t.Parallel()
	d := &deadlines{ResponseWriter: httptest.NewRecorder()}
	r := httptest.NewRequest("POST", "/", iotest.OneByteReader(strings.NewReader("body")))
	p := receive(t.Context(), d, r)
	if got, err := io.ReadAll(p); err != nil || string(got) != "body" {
		t.Fatalf("got %q, %v", got, err)
	}
	if len(d.set) != 2 || time.Until(d.set[0]) > bodyIdle || time.Until(d.set[0]) < bodyIdle/2 {
		t.Fatalf("the deadlines are %v", d.set)
	}
	if !d.set[1].IsZero() {
		t.Errorf("after the body, the connection ends at %v: with it would end an answer that takes long", d.set[1])
	}
	p.ReadCloser = io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF))
	if _, err := p.Read(make([]byte, 1)); !errors.Is(err, errBody) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a body that breaks off is %v", err)
	}
}

// By then its connection is another request's, or, in HTTP/2, not to be touched.
func TestABodyThatIsReadAfterItsRequestSetsNoDeadline(t *testing.T) {
	t.Parallel()
	for _, major := range []int{1, 2} {
		d := &deadlines{ResponseWriter: httptest.NewRecorder()}
		r := httptest.NewRequest("POST", "/", iotest.OneByteReader(strings.NewReader("body")))
		r.ProtoMajor = major
		p := receive(t.Context(), d, r)
		p.over()
		d.set, p.set = nil, time.Time{}
		_, _ = io.ReadAll(p)
		p.interrupt()
		if len(d.set) != 0 {
			t.Errorf("HTTP/%d: the deadlines are %v", major, d.set)
		}
	}
}

// talk opens a connection, and says the beginning.
func talk(t *testing.T, l *pipes, begin string) net.Conn {
	t.Helper()
	c, err := l.dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	fmt.Fprint(c, begin)
	return c
}

func TestABodyThatDoesNotComeHoldsNothingForEver(t *testing.T) {
	t.Parallel()
	for name, target := range map[string]string{
		"a refused request":  "POST /account/ HTTP/1.1\r\nHost: x",
		"one too many":       "POST /account/ HTTP/1.1\r\nHost: x\r\nBusy: yes",
		"a heartbeat":        "POST /.vidimus/heartbeat HTTP/1.1\r\nHost: x\r\nCookie: __Host-vid=" + someHandle,
		"a request":          "POST /account/ HTTP/1.1\r\nHost: x\r\nCookie: __Host-vid=" + someHandle,
		"a refused method":   "TRACE / HTTP/1.1\r\nHost: x",
		"an answer in haste": "POST /haste HTTP/1.1\r\nHost: x",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e, l := overPipes(t, Config{Authority: grants{}, InFlight: 1, Transport: says("hello")})
				if strings.Contains(target, "Busy") {
					e.inFlight.Add(1)
					defer e.inFlight.Add(-1)
				}
				before := e.inFlight.Load()
				began := time.Now()
				c := talk(t, l, target+"\r\nContent-Length: 200\r\n\r\n{")
				answer, err := io.ReadAll(c)
				if err != nil {
					t.Error(err)
				}
				awaited := strings.Contains(target, "Cookie")
				if strings.Contains(string(answer), " 408 ") != awaited {
					t.Errorf("the answer is %q", answer)
				}
				if took := time.Since(began); took > bodyIdle {
					t.Errorf("after %v the edge ends the connection, want %v", took, bodyIdle)
				}
				if got := e.inFlight.Load(); got != before {
					t.Errorf("%d requests are under way", got-before)
				}
			})
		})
	}
}

func TestABodyThatCameLeavesItsConnectionAsItWas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, l := overPipes(t, Config{Authority: grants{}, Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			<-time.After(10 * bodyIdle) // an answer that takes long is not the sender's fault
			return says("hello").RoundTrip(r)
		})})
		cookie := "\r\nCookie: __Host-vid=" + someHandle
		refused := "POST /account/ HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
		c := talk(t, l, refused)
		answers := bufio.NewReader(c)
		for i, request := range []string{
			"", // the one that was sent
			"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody",
			"POST /account/ HTTP/1.1\r\nHost: x" + cookie + "\r\nContent-Length: 4\r\n\r\nbody",
			refused,
			"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		} {
			want := 200
			if request == "" || request == refused {
				want = 401
			}
			fmt.Fprint(c, request)
			res, err := http.ReadResponse(answers, nil)
			if err != nil || res.StatusCode != want {
				t.Fatalf("request %d gets %v, %v, want %d", i, res, err, want)
			}
			_, _ = io.Copy(io.Discard, res.Body)
			<-time.After(idleTimeout / 2)
		}
	})
}

// In HTTP/2 a deadline that passes ends a stream, whether somebody waits for its body or not.
func TestAServiceMayTakeABodySlowly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const size = 4 << 20
		e, client := overHTTP2(t, roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.URL.Path == "/silent" {
				_, err := io.Copy(io.Discard, r.Body)
				return nil, err
			}
			n, _ := io.CopyN(io.Discard, r.Body, size/2)
			<-time.After(3 * bodyIdle)
			rest, err := io.Copy(io.Discard, r.Body)
			if err != nil || n+rest != size {
				t.Errorf("the service gets %d of %d bytes: %v", n+rest, size, err)
			}
			return says("thanks").RoundTrip(r)
		}))
		res, err := client.Post("http://edge.example/slow", "", io.LimitReader(zeros{}, size))
		if err != nil || res.StatusCode != 200 {
			t.Fatal(res, err)
		}
		_ = res.Body.Close()
		began := time.Now()
		silent, end := io.Pipe()
		defer end.Close()
		res, err = client.Post("http://edge.example/silent", "", silent)
		if err != nil || res.StatusCode != http.StatusRequestTimeout || time.Since(began) > bodyIdle {
			t.Errorf("after %v a silent sender gets %v, %v", time.Since(began), res, err)
		}
		_ = res.Body.Close()
		synctest.Wait()
		if n := e.inFlight.Load(); n != 0 {
			t.Errorf("%d requests are under way", n)
		}
	})
}
