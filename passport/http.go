// SPDX-License-Identifier: Apache-2.0

// Passports over net/http: a handler that requires one, and a transport that passes it on.

package passport

import (
	"context"
	"net/http"
)

// Require returns a handler that lets a request through to h if its one header Txn-Token holds a passport that is
// good under the rule. h finds the claims with [FromContext]. Responses carry Vidimus-Position and Vidimus-Staleness.
// Refusals are problem+json (RFC 9457) with the status of [Status], and WWW-Authenticate: Txn-Token error="…" where
// the passport is at fault. A nil rule is an empty one. Nothing is logged.
func (v *Verifier) Require(h http.Handler, rule *Rule) http.Handler {
	return h
}

// Refuse answers a request with an error of this package, as [Verifier.Require] does.
func Refuse(w http.ResponseWriter, err error) {}

// NewContext returns a context that carries a decision, for [FromContext] and [TokenFromContext].
func NewContext(ctx context.Context, d Decision) context.Context { return ctx }

// FromContext returns the claims of the passport that the request was let through with. They are shared: do not
// change them.
func FromContext(ctx context.Context) (*Claims, bool) { return nil, false }

// TokenFromContext returns the passport itself, to pass it on unmodified. Never log it.
func TokenFromContext(ctx context.Context) (string, bool) { return "", false }

// Transport passes the passport of a request's context on to the next service, unmodified, in the header Txn-Token. A
// request whose context has none is sent without one. Goroutines may share it.
type Transport struct {
	Base http.RoundTripper // nil for http.DefaultTransport
}

// RoundTrip sends a request.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) { return nil, nil }

// StateOf decodes the state that a passport carries (the claim tctx) into a value of the caller's type.
func StateOf[T any](c *Claims) (T, error) { var s T; return s, nil }
