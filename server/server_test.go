// SPDX-License-Identifier: Apache-2.0

// How a server is tested: over real connections to a listener of this machine.

package server_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/server"
	"example.com/vidimus/server/remote"
	"example.com/vidimus/server/token"
	"example.com/vidimus/server/vidimusv1/vidimusv1connect"
)

// node is a server that runs.
type node struct {
	*server.Server
	log  *journal.Log
	url  string
	stop func() error // ends Serve and returns what it returned
}

// start runs a server on this machine until the test ends.
func start(t *testing.T, c server.Config) *node {
	t.Helper()
	n := &node{log: mem.Open()}
	if c.Cells == nil {
		c.Cells = map[string]*journal.Log{"main": n.log}
	}
	if c.Logger == nil {
		c.Logger = logTo(io.Discard)
	}
	s, err := server.New(c)
	if err != nil {
		t.Fatal(err)
	}
	n.Server = s
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n.url = "http://" + l.Addr().String()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	var result error
	stopped := false
	n.stop = func() error {
		if !stopped {
			cancel()
			result, stopped = <-ended, true
		}
		return result
	}
	t.Cleanup(func() {
		if err := n.stop(); err != nil {
			t.Errorf("Serve returned %v, want nil", err)
		}
	})
	return n
}

// token makes a token with the given rights.
func (n *node) token(t *testing.T, rights ...string) string {
	t.Helper()
	parsed, err := token.ParseRights(rights...)
	if err != nil {
		t.Fatal(err)
	}
	text, _, err := n.Tokens("main").Create(t.Context(), token.Spec{Name: "test", Rights: parsed})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// dial returns the node's journal as a holder of these rights sees it.
func (n *node) dial(t *testing.T, rights ...string) *remote.Log {
	t.Helper()
	return n.dialWith(t, n.token(t, rights...))
}

func (n *node) dialWith(t *testing.T, token string) *remote.Log {
	t.Helper()
	log, err := remote.New(remote.Config{URL: n.url, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	return log
}

// client returns a generated client that speaks one of the protocols.
func (n *node) client(t *testing.T, token string, o ...connect.ClientOption) vidimusv1connect.JournalServiceClient {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	o = append(o, connect.WithInterceptors(authorize(token)))
	return vidimusv1connect.NewJournalServiceClient(&http.Client{Transport: transport}, n.url, o...)
}

// authorize puts a token on every call, if it is one.
type authorize string

func (a authorize) put(h http.Header) {
	if a != "" {
		h.Set("Authorization", "Bearer "+string(a))
	}
}

func (a authorize) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
		a.put(r.Header())
		return next(ctx, r)
	}
}

func (a authorize) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return func(ctx context.Context, spec connect.Spec) connect.StreamingClientConn {
		conn := next(ctx, spec)
		a.put(conn.RequestHeader())
		return conn
	}
}

func (a authorize) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}

// post sends JSON as curl would, and returns the status and the body.
func (n *node) post(t *testing.T, procedure, token, body string, header ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.url+procedure, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
		r.Header.Set(header[i], header[i+1])
	}
	return do(t, r)
}

func (n *node) get(t *testing.T, path string, header ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return do(t, r)
}

func do(t *testing.T, r *http.Request) (int, string) {
	t.Helper()
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func logTo(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// event returns an event of a type with JSON in it.
func event(kind, data string) journal.EventData {
	return journal.EventData{ID: journal.NewID(), Type: kind, Data: []byte(data)}
}

// fill appends n events to a stream of the node.
func (n *node) fill(t *testing.T, stream journal.Stream, count int) {
	t.Helper()
	for i := range count {
		e := event("thing.happened", `{"n":`+itoa(i)+`}`)
		if _, err := n.log.Append(t.Context(), stream, journal.Any, e); err != nil {
			t.Fatal(err)
		}
	}
}
