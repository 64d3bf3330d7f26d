// SPDX-License-Identifier: Apache-2.0

// Package extauthz lets Envoy ask an edge about each request, over gRPC.
//
// It answers envoy.service.auth.v3.Authorization/Check, as Envoy's ext_authz filter sends it and as proxies that
// speak the same protocol do. The messages are read and written by their field numbers, so that nothing of Envoy's
// is needed to build it, and nothing gets in the way of those who use Envoy's own Go code.
package extauthz

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"connectrpc.com/connect"

	"example.com/vidimus/edge"
)

// Procedure is the path that Envoy calls.
const Procedure = "/envoy.service.auth.v3.Authorization/Check"

// requestMax is the largest question. Envoy bounds the headers of a request to less, and sends no body.
const requestMax = 256 << 10

// New returns the handler for [Procedure]. It answers only the edge's TrustedProxies, and needs HTTP/2, as gRPC
// does. Goroutines may share it.
//
// Envoy must send the target as the client sent it, and take what it is told from nowhere else: the answer says
// which headers to take out and which to set. A service's answer does not come past here, so Vidimus-Effect has no
// effect. When the question cannot be read, the answer is the gRPC error InvalidArgument, which Envoy refuses
// unless it is told to allow failures: do not tell it so.
func New(e *edge.Edge) http.Handler {
	check := connect.NewUnaryHandler(Procedure,
		func(ctx context.Context, r *connect.Request[question]) (*connect.Response[verdict], error) {
			about, err := r.Msg.request()
			if err != nil {
				return nil, connect.NewError(connect.CodeInvalidArgument, err)
			}
			v := verdict(e.Check(ctx, about))
			return connect.NewResponse(&v), nil
		}, connect.WithCodec(codec{}), connect.WithReadMaxBytes(requestMax))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !e.Trusts(r) {
			http.Error(w, "only proxies that the edge trusts are answered here", http.StatusForbidden)
			return
		}
		check.ServeHTTP(w, r)
	})
}

// question is a CheckRequest, as far as an edge wants to know it.
type question struct {
	method, path, host string
	headers            []field
	raw                bool // whether headers are as the client sent them; otherwise each name is there once
	address            string
	port               uint64
}

type field struct{ name, value string }

// request returns the request that is asked about.
func (q *question) request() (*http.Request, error) {
	if q.method == "" || q.path == "" {
		return nil, errNoRequest
	}
	r := &http.Request{
		Method: q.method, RequestURI: q.path, Host: q.host, URL: &url.URL{}, Header: http.Header{},
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, RemoteAddr: remote(q.address, q.port),
	}
	for _, f := range q.headers {
		if strings.HasPrefix(f.name, ":") {
			continue // what HTTP/2 says of a request besides its fields
		}
		r.Header.Add(f.name, f.value)
	}
	return r, nil
}

// verdict is a CheckResponse.
type verdict edge.Verdict

// eachField calls yield for each field, in order.
func eachField(h http.Header, yield func(name, value string)) {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range h[name] {
			yield(strings.ToLower(name), value)
		}
	}
}
