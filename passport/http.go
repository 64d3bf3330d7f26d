// SPDX-License-Identifier: Apache-2.0

// Passports over net/http: a handler that requires one, and a transport that passes it on.

package passport

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"example.com/vidimus/passport/header"
)

// Require returns a handler that lets a request through to h if its one header Txn-Token holds a passport that is good
// under the rule. h finds the claims with [FromContext]. Responses carry Vidimus-Position, which [header.SetEffect]
// moves to what h wrote, and Vidimus-Staleness. The request's Vidimus-Consistency and Vidimus-Position are honoured.
// Refusals are problem+json (RFC 9457) with the status of [Status], and WWW-Authenticate: Txn-Token error="…" where
// the passport is at fault. A nil rule is an empty one. Nothing is logged.
func (v *Verifier) Require(h http.Handler, rule *Rule) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d, err := v.decideHTTP(r, rule)
		if err != nil {
			Refuse(w, err)
			return
		}
		header.SetPosition(w.Header(), d.At)
		header.SetStaleness(w.Header(), d.Staleness)
		h.ServeHTTP(w, r.WithContext(NewContext(r.Context(), d)))
	})
}

// decideHTTP decides on a request.
func (v *Verifier) decideHTTP(r *http.Request, rule *Rule) (Decision, error) {
	token, err := TokenOf(r.Header)
	if err != nil {
		return Decision{}, err
	}
	need, err := NeedOf(r.Header)
	if err != nil {
		return Decision{}, err
	}
	need.Safe = r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions
	return v.Decide(r.Context(), token, rule, need)
}

// TokenOf returns the passport in the header Txn-Token. It returns [ErrMissing], or an [InvalidError] if there are
// several.
func TokenOf(h http.Header) (string, error) {
	switch values := h[header.TxnToken]; {
	case len(values) == 0:
		return "", ErrMissing
	case len(values) > 1:
		return "", &InvalidError{header.TxnToken, "is there more than once"}
	default:
		return values[0], nil
	}
}

// NeedOf returns what the headers Vidimus-Consistency and Vidimus-Position ask. It returns a [header.Error].
func NeedOf(h http.Header) (Need, error) {
	consistency, err := header.GetConsistency(h)
	if err != nil {
		return Need{}, err
	}
	at, err := header.GetPosition(h)
	return Need{Consistency: consistency, At: at}, err
}

// problem is an answer as RFC 9457 has it.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	Code   string `json:"code"`
	Remedy string `json:"remedy,omitempty"`
}

// Refuse answers a request with an error of this package, as [Verifier.Require] does. Of other errors it says nothing
// but that there is one.
func Refuse(w http.ResponseWriter, err error) {
	s := statusOf(err)
	p := problem{Type: "about:blank", Title: http.StatusText(s.status), Status: s.status, Code: s.code, Remedy: s.remedy}
	var bad *InvalidError
	var field *header.Error
	switch {
	case errors.As(err, &bad):
		p.Detail = bad.Error()
	case errors.As(err, &field):
		p.Detail = field.Error()
	case s.err != nil:
		p.Detail = s.err.Error() // not err: it may say more of the inside than a client should know
	}
	body, failed := json.Marshal(p)
	if failed != nil {
		body = nil
	}
	body = append(body, '\n')
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Del(header.Position)
	h.Del(header.StalenessField)
	switch s.status {
	case http.StatusUnauthorized, http.StatusForbidden:
		h.Set("WWW-Authenticate", Challenge(err))
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", "1")
	}
	w.WriteHeader(s.status)
	_, _ = w.Write(body) // who asked may have left
}

// Challenge is the value of WWW-Authenticate (RFC 9110, section 11.6.1) for an error of this package.
func Challenge(err error) string {
	if _, code := Status(err); code != "missing" {
		return header.TxnToken + ` error="` + code + `"`
	}
	return header.TxnToken
}

type contextKey struct{}

// NewContext returns a context that carries a decision, for [FromContext] and [TokenFromContext].
func NewContext(ctx context.Context, d Decision) context.Context {
	return context.WithValue(ctx, contextKey{}, &d)
}

// FromContext returns the claims of the passport that the request was let through with. They are shared: do not change
// them.
func FromContext(ctx context.Context) (*Claims, bool) {
	if d, ok := ctx.Value(contextKey{}).(*Decision); ok && d.Claims != nil {
		return d.Claims, true
	}
	return nil, false
}

// TokenFromContext returns the passport itself, to pass it on unmodified. Never log it.
func TokenFromContext(ctx context.Context) (string, bool) {
	if d, ok := ctx.Value(contextKey{}).(*Decision); ok && d.Token != "" {
		return d.Token, true
	}
	return "", false
}

// Transport passes the passport of a request's context on to the next service, unmodified, in the header Txn-Token, in
// place of one that is there. A request whose context has none is sent as it is. Use it only for services of the own
// trust domain: whoever gets a passport can use it. Goroutines may share it.
type Transport struct {
	Base http.RoundTripper // nil for http.DefaultTransport
}

// RoundTrip sends a request, as [http.RoundTripper] has it.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	base := t.Base
	if base == nil {
		base = http.DefaultTransport
	}
	if token, ok := TokenFromContext(r.Context()); ok {
		r = r.Clone(r.Context()) // a RoundTripper may not change the request
		r.Header.Set(header.TxnToken, token)
	}
	return base.RoundTrip(r)
}

// StateOf decodes the state that a passport carries (the claim tctx) into a value of the caller's type, such as
//
//	struct {
//		Subject struct{ Limit int } `json:"subject"`
//		Session struct{ Theme string } `json:"session"`
//	}
//
// A passport without state decodes to the zero value. It returns an [InvalidError] for state of another form.
func StateOf[T any](c *Claims) (T, error) {
	var state T
	if len(c.State) == 0 {
		return state, nil
	}
	if err := json.Unmarshal(c.State, &state); err != nil {
		return state, invalid("tctx", "of schema %q does not fit: %v", c.Schema, err)
	}
	return state, nil
}
