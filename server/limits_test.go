// SPDX-License-Identifier: Apache-2.0

// Connections that do nothing make room for those that do.

package server_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
)

// get asks for something on a connection that stays open, and returns the status.
func get(t *testing.T, c net.Conn, path string) int {
	t.Helper()
	if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	res := answer(t, c)
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode
}

// cut reports whether the other side has closed a connection.
func cut(t *testing.T, c net.Conn) bool {
	t.Helper()
	if err := c.SetReadDeadline(clock.Now().Add(time.Millisecond)); err != nil {
		return true // a pipe says so at once
	}
	_, err := c.Read(make([]byte, 1))
	return errors.Is(err, io.EOF)
}

func pass(t *testing.T, d time.Duration) {
	t.Helper()
	if err := clock.Sleep(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

func TestTheConnectionThatWaitedForLongestMakesRoom(t *testing.T) {
	t.Parallel()
	inBubbleOf(t, 3, nil, func(t *testing.T, _ *journal.Log, dial func() net.Conn) {
		busy := dial()
		follow(t, busy, `{}`)
		if got := answer(t, busy).StatusCode; got != http.StatusOK {
			t.Fatalf("follow is answered %d", got)
		}
		pass(t, time.Second)
		oldest, silent := dial(), dial()
		get(t, oldest, "/livez")
		pass(t, 2*time.Second)
		get(t, oldest, "/livez") // so the silent one has waited for longer

		began := clock.Now()
		next := dial()
		if got := get(t, next, "/livez"); got != http.StatusOK || clock.Since(began) > time.Millisecond {
			t.Errorf("one more is answered %d after %v, want 200 at once", got, clock.Since(began))
		}
		if !cut(t, silent) || cut(t, oldest) || cut(t, next) {
			t.Error("another connection was closed than the one that waited for longest")
		}
		// Nobody waits for a second yet, so the next one does.
		began = clock.Now()
		after := dial()
		if got := get(t, after, "/livez"); got != http.StatusOK || clock.Since(began) < 900*time.Millisecond ||
			clock.Since(began) > time.Second {
			t.Errorf("the next one is answered %d after %v, want 200 when another has waited for a second", got,
				clock.Since(began))
		}
		if !cut(t, oldest) || cut(t, next) || cut(t, after) {
			t.Error("another connection was closed than the one that waited for longest")
		}
	})
}

func TestConnectionsThatWorkAreNotClosed(t *testing.T) {
	t.Parallel()
	inBubbleOf(t, 1, nil, func(t *testing.T, _ *journal.Log, dial func() net.Conn) {
		busy := dial()
		follow(t, busy, `{}`)
		body := answer(t, busy).Body
		late := dial()
		answered := make(chan int, 1)
		go func() { answered <- get(t, late, "/livez") }()
		pass(t, 5*time.Second)
		select {
		case status := <-answered:
			t.Fatalf("the late one is answered %d while the only place is taken", status)
		default:
		}
		if _, err := body.Read(make([]byte, 1)); err != nil {
			t.Errorf("the stream was cut: %v", err)
		}
		if err := busy.Close(); err != nil {
			t.Fatal(err)
		}
		if got := <-answered; got != http.StatusOK {
			t.Errorf("the late one is answered %d when the place is free", got)
		}
	})
}

func TestIdleConnectionsOverTLSAndHTTP2MakeRoom(t *testing.T) {
	t.Parallel()
	secure := httptest.NewUnstartedServer(nil)
	secure.StartTLS() // for its certificate
	secure.Close()
	for name, c := range map[string]struct {
		url string
		tls *tls.Config
		set func(*http.Protocols, bool)
	}{
		"HTTP/1.1 over TLS":   {"https://localhost/livez", secure.TLS, (*http.Protocols).SetHTTP1},
		"HTTP/2 over TLS":     {"https://localhost/livez", secure.TLS, (*http.Protocols).SetHTTP2},
		"HTTP/2 in the clear": {"http://localhost/livez", nil, (*http.Protocols).SetUnencryptedHTTP2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubbleOf(t, 1, c.tls, func(t *testing.T, _ *journal.Log, dial func() net.Conn) {
				client := func() *http.Client { // with connections of its own
					transport := &http.Transport{
						DialContext:     func(context.Context, string, string) (net.Conn, error) { return dial(), nil },
						Protocols:       new(http.Protocols),
						TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
					}
					c.set(transport.Protocols, true)
					return &http.Client{Transport: transport}
				}
				first, second := client(), client()
				for _, each := range []*http.Client{first, second, first} {
					began := clock.Now()
					res, err := each.Get(c.url)
					if err != nil {
						t.Fatal(err)
					}
					if _, err := io.Copy(io.Discard, res.Body); err != nil {
						t.Error(err)
					}
					if took := clock.Since(began); res.StatusCode != http.StatusOK || took > idle {
						t.Errorf("answered %d after %v, want 200 in the place of the one before", res.StatusCode, took)
					}
					pass(t, idle)
				}
				first.CloseIdleConnections()
				second.CloseIdleConnections()
			})
		})
	}
}

// idle is longer than a connection may wait for a request before it may have to make room.
const idle = 2 * time.Second
