// SPDX-License-Identifier: Apache-2.0

// What is answered in JSON, errors above all, and what is public.

package authority

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"example.com/vidimus/journal"
	"example.com/vidimus/passport"
	"example.com/vidimus/server/internal/wire"
	"example.com/vidimus/server/token"
	"example.com/vidimus/session"
)

// textMax is how many bytes of what a caller sent are quoted to it.
const textMax = 200

func clip(text string) string {
	if len(text) <= textMax {
		return text
	}
	return text[:textMax] + "..."
}

// problem is an error where no standard says what it looks like.
type problem struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// refusal is an error of OAuth (RFC 6749, section 5.2).
type refusal struct {
	// Code is one of those that the standards name.
	Code string `json:"error"`
	// Description names the parameter and the remedy.
	Description string `json:"error_description,omitempty"`
	// Reason says more than the standards' codes can; see reasons.
	Reason string `json:"vidimus_reason,omitempty"`

	status int
	after  int // seconds
}

func (r *refusal) Error() string { return r.Code + ": " + r.Description }

// refuse returns an error that is answered with 400, as RFC 6749 has it for all that does not say otherwise.
func refuse(code, format string, args ...any) *refusal {
	return &refusal{Code: code, Description: fmt.Sprintf(format, args...), status: http.StatusBadRequest}
}

// The codes of RFC 6749, section 5.2, of RFC 8693, section 2.2.2, and of RFC 7009, section 2.2.1.
const (
	invalidRequest       = "invalid_request"
	invalidClient        = "invalid_client"
	unauthorizedClient   = "unauthorized_client"
	unsupportedGrantType = "unsupported_grant_type"
	invalidScope         = "invalid_scope"
	invalidTarget        = "invalid_target"
	serverError          = "server_error"
	unavailable          = "temporarily_unavailable"
)

// The reasons beside an invalid_request whose parameters are in order: the subject token is genuine no more.
const (
	reasonNoSession = "no_session"
	reasonRevoked   = "revoked"
	reasonExpired   = "expired"
	reasonInvalid   = "invalid_token"
)

// refusalOf finds out how OAuth says an error. What is not for strangers is logged and not told.
func (a *Authority) refusalOf(ctx context.Context, err error) *refusal {
	var said *refusal
	var denied *wire.PermissionError
	var invalid *journal.InvalidError
	switch {
	case errors.As(err, &said):
		return said
	case errors.Is(err, token.ErrUnauthenticated):
		return &refusal{Code: invalidClient, Description: err.Error(), status: http.StatusUnauthorized}
	case errors.As(err, &denied):
		return refuse(unauthorizedClient, "the token lacks the right %s; %s", denied.Right, denied.Remedy)
	case errors.Is(err, wire.ErrLimit), errors.Is(err, journal.ErrOverloaded):
		return &refusal{Code: unavailable, Description: err.Error(), status: http.StatusServiceUnavailable, after: 1}
	case errors.Is(err, passport.ErrScope), errors.As(err, &invalid) && invalid.Field == "scope":
		return refuse(invalidScope, "%v", err)
	case errors.As(err, &invalid):
		return refuse(invalidRequest, "%s: %s", invalid.Field, invalid.Problem)
	}
	if gone := goneOf(err); gone != "" {
		r := refuse(invalidRequest, "subject_token: %v", err)
		r.Reason = gone
		return r
	}
	a.cfg.Logger.ErrorContext(ctx, "authority cannot answer", "error", err)
	for _, passing := range []error{
		passport.ErrUnavailable, journal.ErrUnavailable, journal.ErrUncertain, journal.ErrClosed, journal.ErrLocked,
		context.Canceled, context.DeadlineExceeded,
	} {
		if errors.Is(err, passing) {
			return &refusal{
				Code: unavailable, Description: "the authority cannot use its journal now; nothing was minted or revoked",
				status: http.StatusServiceUnavailable, after: 1,
			}
		}
	}
	return &refusal{
		Code: serverError, Description: "internal error; see the node's log", status: http.StatusInternalServerError,
	}
}

// goneOf returns why a subject token that is in order is good no more, or nothing.
func goneOf(err error) string {
	switch {
	case errors.Is(err, passport.ErrNoSession), errors.Is(err, session.ErrEnded):
		return reasonNoSession
	case errors.Is(err, passport.ErrRevoked):
		return reasonRevoked
	case errors.Is(err, passport.ErrExpired):
		return reasonExpired
	case errors.Is(err, passport.ErrInvalid), errors.Is(err, passport.ErrForeign):
		return reasonInvalid
	}
	return ""
}

// answerRefusal writes an error of OAuth.
func (a *Authority) answerRefusal(w http.ResponseWriter, r *http.Request, err error) {
	out := a.refusalOf(r.Context(), err)
	if out.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="vidimus"`)
	}
	if out.after > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(out.after))
	}
	w.Header().Set("Pragma", "no-cache") // RFC 6749, section 5.1
	writeJSON(w, out.status, out)
}

// writeJSON writes an answer.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the caller is gone if it cannot be told
}

// jwksAge is for how long copies of the keys are good. Keys are published for much longer before they sign.
const jwksAge = "public, max-age=60"

// jwks answers with the public keys.
func (a *Authority) jwks(w http.ResponseWriter, r *http.Request) {
	text, err := json.Marshal(a.keys.KeySet())
	if err != nil {
		a.cfg.Logger.ErrorContext(r.Context(), "keys cannot be published", "error", err)
		writeJSON(w, http.StatusInternalServerError, problem{"internal", "internal error; see the node's log"})
		return
	}
	w.Header().Set("Cache-Control", jwksAge)
	w.Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
	w.Header().Set("Content-Type", "application/jwk-set+json")
	_, _ = w.Write(text)
}

// Discovery is the answer of /.well-known/vidimus. Names that RFC 8414 has are used as there.
type Discovery struct {
	Issuer        string   `json:"issuer"`
	TrustDomain   string   `json:"trust_domain"`
	Cell          string   `json:"cell"`
	JWKS          string   `json:"jwks_uri"`
	Token         string   `json:"token_endpoint"`
	Introspection string   `json:"introspection_endpoint"`
	Revocation    string   `json:"revocation_endpoint"`
	Feed          string   `json:"feed_endpoint"`
	Ping          string   `json:"ping_endpoint"`
	Beats         string   `json:"beats_endpoint"`
	Grants        []string `json:"grant_types_supported"`
	SubjectTokens []string `json:"subject_token_types_supported"`
	Auth          []string `json:"token_endpoint_auth_methods_supported"`
	Algorithms    []string `json:"passport_signing_alg_values_supported"`
}

// discovery answers with where everything is.
func (a *Authority) discovery(w http.ResponseWriter, _ *http.Request) {
	at := func(path string) string { return a.cfg.Issuer + path }
	w.Header().Set("Cache-Control", jwksAge)
	writeJSON(w, http.StatusOK, Discovery{
		Issuer: a.cfg.Issuer, TrustDomain: a.cfg.TrustDomain, Cell: a.cell.Name(), JWKS: at("/.well-known/jwks.json"),
		Token: at("/oauth/token"), Introspection: at("/oauth/introspect"), Revocation: at("/oauth/revoke"),
		Feed: at("/v1/feed"), Ping: at("/v1/ping"), Beats: at("/v1/beats"),
		Grants: []string{grantExchange}, SubjectTokens: []string{TypeHandle, TypePassport},
		// A token of ours is the bearer of the request; RFC 8414 has no name for that.
		Auth: []string{"bearer"}, Algorithms: []string{passport.EdDSA},
	})
}
