// SPDX-License-Identifier: Apache-2.0

// Package edge stands between browsers and services: a cookie comes in, a passport goes out.
//
// A browser holds an opaque handle. The edge asks the authority for a passport of the session that the handle stands for,
// keeps it as long as the view says that it holds, and sends it to the service in the header Txn-Token. It does so as a
// reverse proxy ([Edge.ServeHTTP]), for another proxy that asks it about each request ([Edge.Auth]), or for any other that can
// build an [http.Request] ([Edge.Check]).
package edge

import (
	"context"
	"errors"
	"net"
	"net/http"

	"example.com/vidimus/passport"
)

// Edge is what stands in front. Goroutines may share it.
type Edge struct{ config Config }

// Open checks the configuration. It returns an [InvalidError].
func Open(c Config) (*Edge, error) { return nil, errors.ErrUnsupported }

// ServeHTTP passes a request on to the upstream of its route, or answers it.
func (e *Edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {}

// Auth answers another proxy's question whether to pass on a request (nginx auth_request, Caddy forward_auth, Traefik).
func (e *Edge) Auth() http.Handler { return http.NotFoundHandler() }

// Check decides on a request as [Edge.ServeHTTP] does, without passing it on.
func (e *Edge) Check(ctx context.Context, r *http.Request) Verdict { return Verdict{} }

// Run judges again what stays open (WebSockets and event streams), until ctx ends; then it waits for what is under way.
func (e *Edge) Run(ctx context.Context) error { return errors.ErrUnsupported }

// Serve serves what comes through a listener, and runs the edge, until ctx ends.
func (e *Edge) Serve(ctx context.Context, l net.Listener) error { return errors.ErrUnsupported }

// Close releases connections to upstreams. It may be called twice.
func (e *Edge) Close() error { return nil }

// Verdict is what an edge decides about a request.
type Verdict struct {
	// Status is 200 if the request may pass, and otherwise that of the answer.
	Status int
	// Request are the headers to set on the request that goes on.
	Request http.Header
	// Response are the headers to add to the answer.
	Response http.Header
	// Body is the body of the answer, if the request may not pass.
	Body []byte
	// Claims are those of the passport; nil if the request goes on without one.
	Claims *passport.Claims
}

// SetHandle sets the session's cookie on the answer of a service that signs people in.
func SetHandle(w http.ResponseWriter, handle string) error { return errors.ErrUnsupported }

// ClearHandle deletes the session's cookie: sign-out.
func ClearHandle(w http.ResponseWriter) {}
