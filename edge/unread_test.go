// SPDX-License-Identifier: Apache-2.0

// Clients that do not read what they are answered.

package edge

import (
	"bufio"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// The end of an answer, or a short one as a whole, is written by net/http when the edge has done its part.
func TestAnAnswerThatNobodyReadsEndsItsConnection(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/", "/account/", "/.vidimus/status", "/.vidimus/nothing"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				_, l := overPipes(t, Config{Authority: grants{}, Transport: says("hello")})
				c := talk(t, l, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")
				<-time.After(2 * bodyIdle)
				if n, err := c.Read(make([]byte, 1)); err == nil {
					t.Errorf("after %v there is still something to read: %d bytes", 2*bodyIdle, n)
				}
			})
		})
	}
}

// In HTTP/2, a client that grants no room holds a stream, while the connection lives on.
func TestAnAnswerWithoutRoomEndsItsStream(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/", "/account/", "/.vidimus/status", "/.vidimus/nothing"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const settings, fields, reset, ping, ack = 4, 1, 3, 6, 1
				_, l := overPipes(t, Config{Authority: grants{}, Transport: says("hello")})
				get := "\x82\x86\x44" + string(rune(len(path))) + path + "\x41\x01x" // as RFC 7541 has it
				c := talk(t, l, http2Preface+frame(settings, 0, 0, "\x00\x04\x00\x00\x00\x00")+frame(fields, 5, 1, get))
				if err := c.SetReadDeadline(time.Now().Add(2 * bodyIdle)); err != nil {
					t.Fatal(err)
				}
				for in := bufio.NewReader(c); ; {
					kind, flags, payload, err := readFrame(in)
					if err != nil {
						t.Fatalf("after %v its stream is open: %v", 2*bodyIdle, err)
					}
					switch {
					case kind == reset:
						return
					case kind == ping && flags != ack:
						_, _ = io.WriteString(c, frame(ping, ack, 0, payload))
					}
				}
			})
		})
	}
}

const http2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// frame is one of HTTP/2 (RFC 9113, section 4.1).
func frame(kind, flags, stream byte, payload string) string {
	return string([]byte{0, 0, byte(len(payload)), kind, flags, 0, 0, 0, stream}) + payload
}

func readFrame(in io.Reader) (kind, flags byte, payload string, err error) {
	var head [9]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return 0, 0, "", err
	}
	body := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
	_, err = io.ReadFull(in, body)
	return head[3], head[4], string(body), err
}

func TestAnAnswerThatWasReadLeavesItsConnectionAsItWas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, l := overPipes(t, Config{Authority: grants{}, Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			<-time.After(10 * bodyIdle)
			return says("hello").RoundTrip(r)
		})})
		client := &http.Client{Transport: &http.Transport{DialContext: l.dial, MaxConnsPerHost: 1}}
		defer client.CloseIdleConnections()
		for range 3 {
			for path, want := range map[string]int{"/": 200, "/account/": 401, "/.vidimus/status": 200} {
				res, err := client.Get("http://edge.example" + path)
				if err != nil {
					t.Fatal(err)
				}
				if all, err := io.ReadAll(res.Body); err != nil || len(all) == 0 || res.StatusCode != want {
					t.Errorf("%s is answered %d with %q, %v", path, res.StatusCode, all, err)
				}
				_ = res.Body.Close()
				<-time.After(idleTimeout * 9 / 10)
			}
		}
	})
}
