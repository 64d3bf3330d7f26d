// SPDX-License-Identifier: Apache-2.0

// Who asks the edge is answered in their own way.

package main

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"example.com/vidimus/edge"
	"example.com/vidimus/edge/extauthz"
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
	go func() { done <- serveAuth(ctx, l, asking(e)) }()
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
