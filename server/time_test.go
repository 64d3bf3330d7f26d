// SPDX-License-Identifier: Apache-2.0

// Peers that do not do their part in time, under a clock that the tests own.

package server_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/server"
	pb "example.com/vidimus/server/vidimusv1"
	"example.com/vidimus/server/vidimusv1/vidimusv1connect"
)

// pipes is a listener whose connections are pipes in memory, so that time can be faked.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	select {
	case <-p.closed:
	default:
		close(p.closed)
	}
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7420} }

// near is a pipe that says it ends on this machine.
type near struct{ net.Conn }

func (near) LocalAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7420} }

// inBubble runs a test against a server with a clock of its own. Dial returns new connections.
func inBubble(t *testing.T, test func(t *testing.T, log *journal.Log, dial func() net.Conn)) {
	t.Helper()
	inBubbleOf(t, 0, nil, test)
}

// inBubbleOf is inBubble with so many places for connections, and with TLS if there is a configuration.
func inBubbleOf(
	t *testing.T, connections int, c *tls.Config, test func(t *testing.T, log *journal.Log, dial func() net.Conn),
) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		log := mem.Open()
		s, err := server.New(server.Config{
			Cells: map[string]*journal.Log{"main": log}, Open: true, Streams: 1, Connections: connections,
			Logger: logTo(io.Discard),
		})
		if err != nil {
			t.Fatal(err)
		}
		p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			if c != nil {
				ended <- s.ServeTLS(ctx, p, c)
				return
			}
			ended <- s.Serve(ctx, p)
		}()
		var conns []net.Conn
		test(t, log, func() net.Conn {
			ours, theirs := net.Pipe()
			p.conns <- near{theirs}
			conns = append(conns, ours)
			return ours
		})
		for _, c := range conns {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve returned %v", err)
		}
	})
}

// follow sends the request to follow over HTTP/1.1, as Connect's streams are framed.
func follow(t *testing.T, c net.Conn, body string) {
	t.Helper()
	framed := append([]byte{0, 0, 0, 0, byte(len(body))}, body...)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		"http://localhost"+vidimusv1connect.JournalServiceFollowProcedure, bytes.NewReader(framed))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/connect+json")
	if err := r.Write(c); err != nil {
		t.Fatal(err)
	}
}

// answer reads the head of an answer and returns it.
func answer(t *testing.T, c net.Conn) *http.Response {
	t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestASlowReaderIsCutOff(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, log *journal.Log, dial func() net.Conn) {
		big := event("x", `"`+strings.Repeat("x", 1<<19)+`"`)
		if _, err := log.Append(t.Context(), "big-1", journal.Any, big); err != nil {
			t.Fatal(err)
		}
		slow := dial()
		follow(t, slow, `{}`) // and never reads
		if err := clock.Sleep(t.Context(), 29*time.Second); err != nil {
			t.Fatal(err)
		}
		second := dial()
		follow(t, second, `{}`)
		body, err := io.ReadAll(answer(t, second).Body)
		if err != nil || !strings.Contains(string(body), "LIMIT") && !strings.Contains(string(body), "resource_exhausted") {
			t.Errorf("while the slow one is there another gets %.200q, %v; want the limit", body, err)
		}
		if err := clock.Sleep(t.Context(), 2*time.Second); err != nil {
			t.Fatal(err)
		}
		third := dial()
		follow(t, third, `{}`)
		head := make([]byte, 5)
		if _, err := io.ReadFull(answer(t, third).Body, head); err != nil || head[0] != 0 {
			t.Errorf("once the slow one is cut off another gets %v, %v; want a message", head, err)
		}
	})
}

func TestASlowSenderIsCutOff(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, _ *journal.Log, dial func() net.Conn) {
		for _, sent := range []string{
			"POST /vidimus.v1.JournalService/Append HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" +
				"Content-Length: 100\r\n\r\n{",
			"POST / HTTP/1.1\r\nHost: local",
		} {
			c := dial()
			if _, err := io.WriteString(c, sent); err != nil {
				t.Fatal(err)
			}
			began := clock.Now()
			if _, err := io.Copy(io.Discard, c); err != nil {
				t.Fatal(err)
			}
			if took := clock.Since(began); took < 5*time.Second || took > 31*time.Second {
				t.Errorf("a sender that stops after %.20q was cut off after %v", sent, took)
			}
		}
	})
}

func TestAnIdleFollowerIsNotCutOff(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, log *journal.Log, dial func() net.Conn) {
		c := dial()
		follow(t, c, `{"pulse":"60s"}`)
		body := answer(t, c).Body
		frames := make(chan string)
		go func() {
			defer close(frames)
			for {
				head := make([]byte, 5)
				if _, err := io.ReadFull(body, head); err != nil {
					return
				}
				text := make([]byte, int(head[2])<<16|int(head[3])<<8|int(head[4]))
				if _, err := io.ReadFull(body, text); err != nil {
					return
				}
				frames <- string(text)
			}
		}()
		<-frames // the first comes at once
		began := clock.Now()
		for range 5 {
			<-frames
		}
		if took := clock.Since(began); took < 4*time.Minute || took > 6*time.Minute {
			t.Errorf("five empty frames took %v, want one a minute", took)
		}
		if _, err := log.Append(t.Context(), "a-1", journal.Any, event("x", "{}")); err != nil {
			t.Fatal(err)
		}
		began = clock.Now()
		if f := <-frames; !strings.Contains(f, `"position":"1"`) || clock.Since(began) > 0 {
			t.Errorf("after %v came %s, want the event at once", clock.Since(began), f)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		for range frames {
		}
		synctest.Wait()
		next := dial()
		follow(t, next, `{}`)
		head := make([]byte, 5)
		if _, err := io.ReadFull(answer(t, next).Body, head); err != nil || head[0] != 0 {
			t.Errorf("after the follower has left another gets %v, %v; want a message at once", head, err)
		}
	})
}

func TestAnIdleFollowerOverHTTP2IsNotCutOff(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, _ *journal.Log, dial func() net.Conn) {
		protocols := new(http.Protocols)
		protocols.SetUnencryptedHTTP2(true)
		transport := &http.Transport{
			Protocols:   protocols,
			DialContext: func(context.Context, string, string) (net.Conn, error) { return dial(), nil },
		}
		client := &http.Client{Transport: transport}
		c := vidimusv1connect.NewJournalServiceClient(client, "http://localhost", connect.WithGRPC())
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		began := clock.Now()
		follow, err := c.Follow(ctx, &pb.FollowRequest{Pulse: durationpb.New(time.Minute)})
		for range 5 {
			if err != nil || !follow.Receive() {
				t.Fatalf("cut off after %v: %v", clock.Since(began), errors.Join(err, follow.Err()))
			}
		}
		if took := clock.Since(began); took < 3*time.Minute {
			t.Errorf("five frames came within %v, want one a minute", took)
		}
		cancel()
		for follow.Receive() {
		}
		transport.CloseIdleConnections()
	})
}
