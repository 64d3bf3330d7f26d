// SPDX-License-Identifier: Apache-2.0

// Who asks the edge is answered in their own way.

package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"example.com/vidimus/edge"
	"example.com/vidimus/edge/extauthz"
	"example.com/vidimus/heartbeat"
	"example.com/vidimus/heartbeat/presence"
	"example.com/vidimus/passport"
)

// nobody is an authority that knows no sessions.
type nobody struct{}

func (nobody) Mint(context.Context, passport.Ask) (passport.Grant, error) {
	return passport.Grant{}, passport.ErrNoSession
}

func TestProxiesAreAnsweredInTheirOwnWay(t *testing.T) {
	t.Parallel()
	e, err := edge.Open(edge.Config{
		Authority: nobody{}, Routes: []edge.Route{{Path: "/"}},
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }() // nothing to give back
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- serveAuth(ctx, slog.New(slog.DiscardHandler), l, asking(e)) }()
	defer func() { cancel(); <-done }()

	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	grpc := &http.Client{Transport: &http.Transport{Protocols: protocols}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+l.Addr().String()+extauthz.Procedure,
		strings.NewReader("\x00\x00\x00\x00\x00")) // one empty message
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/grpc")
	request.Header.Set("Te", "trailers")
	answer, err := grpc.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if got := answer.Header.Get("Content-Type"); !strings.HasPrefix(got, "application/grpc") || answer.ProtoMajor != 2 {
		t.Errorf("Envoy's question is answered with %s over %s, want gRPC over HTTP/2", got, answer.Proto)
	}
	answer, err = http.Get("http://" + l.Addr().String() + "/")
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if got := answer.Header.Get("Content-Type"); strings.HasPrefix(got, "application/grpc") || answer.StatusCode/100 != 4 {
		t.Errorf("a question by headers is answered with %s and %s", answer.Status, got)
	}
}

func TestWhoHasAskedIsAnsweredWhenTheEdgeEnds(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	asked, answer := make(chan struct{}), make(chan struct{})
	slow := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(asked)
		<-answer
	})
	ended, got := make(chan error, 1), make(chan error, 1)
	go func() { ended <- serveAuth(ctx, slog.New(slog.DiscardHandler), l, slow) }()
	go func() {
		res, err := http.Get("http://" + l.Addr().String())
		if err == nil {
			err = res.Body.Close()
		}
		got <- err
	}()
	<-asked
	end()
	for c, err := net.Dial("tcp", l.Addr().String()); err == nil; c, err = net.Dial("tcp", l.Addr().String()) {
		_ = c.Close() // until nobody is let in any more
	}
	close(answer)
	if err := <-got; err != nil {
		t.Errorf("who had asked gets %v", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("it ends with %v", err)
	}
}

func TestAnEdgeThatCannotAnswerOtherProxiesEnds(t *testing.T) {
	t.Parallel()
	e, err := edge.Open(edge.Config{Authority: nobody{}, Routes: []edge.Route{{Path: "/"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }() // nothing to give back
	source := &heartbeat.Remote{URL: "http://127.0.0.1:1"}
	client, err := heartbeat.Open(heartbeat.Config{Sources: []heartbeat.Source{source}})
	if err != nil {
		t.Fatal(err)
	}
	send := func(context.Context, []presence.Beat) error { return nil }
	beats, err := presence.OpenBatcher(presence.BatcherConfig{Send: send})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close() // as if the system had taken it away
	parts := &edgeParts{logger: slog.New(slog.DiscardHandler), edge: e, client: client, beats: beats}
	if err := parts.Run(t.Context(), nil, l); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want that nobody can ask", err)
	}
}

func TestSignInLimits(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]edge.Limit{
		"10/1m": {Burst: 10, Every: 6 * time.Second},
		"1/1s":  {Burst: 1, Every: time.Second},
		"":      {}, "10": {}, "0/1m": {}, "-1/1m": {}, "10/-1m": {}, "10/9ns": {}, "ten/1m": {}, "10/1m/2": {}, "10/m": {},
	} {
		if got, err := limitOf(text); got != want || (err == nil) != (want.Burst > 0) {
			t.Errorf("%q reads %v, %v; want %v", text, got, err, want)
		}
	}
	c := edgeCmd{Limit: "3/3s", MaxStale: time.Second, Drain: time.Second}
	if config, err := c.config(); err != nil || config.SignIn != (edge.Limit{Burst: 3, Every: time.Second}) {
		t.Errorf("the edge gets %v, %v", config.SignIn, err)
	}
}
