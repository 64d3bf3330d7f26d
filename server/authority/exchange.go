// SPDX-License-Identifier: Apache-2.0

// POST /oauth/token: a passport for a handle, or for one that is superseded.

package authority

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/passport"
	"example.com/vidimus/passport/header"
	"example.com/vidimus/server/internal/door"
	"example.com/vidimus/server/token"
	"example.com/vidimus/session"
)

// The types of tokens (RFC 8693, section 3). TypeHandle is our own: the opaque value of the browser's cookie.
const (
	TypeHandle   = "urn:vidimus:token-type:handle"
	TypePassport = "urn:ietf:params:oauth:token-type:txn_token"
)

const grantExchange = "urn:ietf:params:oauth:grant-type:token-exchange"

// Limits of a request.
const (
	formMax    = 64 << 10
	contextMax = 2 << 10 // of request_context
)

// form reads the parameters of a request as RFC 6749 has them: in the body, form-urlencoded, each once. A parameter
// without a value counts as left out, and one that nobody knows is passed over (section 3.2).
func form(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil ||
		kind != "application/x-www-form-urlencoded" {
		return nil, refuse(invalidRequest, "Content-Type is not application/x-www-form-urlencoded; encode the body so")
	}
	if r.URL.RawQuery != "" {
		return nil, refuse(invalidRequest, "there are parameters in the address, where logs keep them; put them in the body")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, formMax))
	if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
		out := refuse(invalidRequest, "the body has more than %d bytes; send less", formMax)
		out.status = http.StatusRequestEntityTooLarge
		return nil, out
	}
	if err != nil {
		return nil, refuse(invalidRequest, "the body did not come whole, or not in time; send it again")
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, refuse(invalidRequest, "the body is not form-urlencoded; encode names and values, and part them by &")
	}
	for name, all := range values {
		if len(all) > 1 {
			return nil, refuse(invalidRequest, "%s is there %d times; send it once", clip(name), len(all))
		}
	}
	return values, nil
}

// enter lets a request for plain HTTP in.
func (a *Authority) enter(r *http.Request) (*door.Visit, error) {
	return a.door.Caller(r, a.cell.Name(), false)
}

// granted is the answer to an exchange: RFC 8693, section 2.2.1, and the Transaction Tokens draft.
type granted struct {
	AccessToken string `json:"access_token"`
	IssuedType  string `json:"issued_token_type"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"`
	Scope       string `json:"scope,omitempty"`
	// Handle, if not empty, is to replace the browser's cookie.
	Handle string `json:"vidimus_handle,omitempty"`
}

// exchange answers POST /oauth/token.
func (a *Authority) exchange(w http.ResponseWriter, r *http.Request) {
	v, err := a.enter(r)
	if err != nil {
		a.answerRefusal(w, r, err)
		return
	}
	values, err := form(w, r)
	if err != nil {
		a.answerRefusal(w, r, err)
		return
	}
	if err := a.target(values, v); err != nil {
		a.answerRefusal(w, r, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), mintTimeout)
	defer cancel()
	grant, err := a.mint(ctx, v, values, r.Header)
	if err != nil {
		a.answerRefusal(w, r, err)
		return
	}
	c := &grant.Claims
	header.SetPosition(w.Header(), c.Mark)
	w.Header().Set("Pragma", "no-cache")
	writeJSON(w, http.StatusOK, granted{
		AccessToken: grant.Token, IssuedType: TypePassport, TokenType: "N_A", Scope: c.Scope, Handle: grant.Handle,
		ExpiresIn: max(0, int64(c.ExpiresAt.Sub(clock.Now())/time.Second)),
	})
}

// mintTimeout bounds how long an exchange may take.
const mintTimeout = 20 * time.Second

// target checks what is asked for, and whether the caller may have it.
func (a *Authority) target(values url.Values, v *door.Visit) error {
	switch grant := values.Get("grant_type"); {
	case grant == "":
		return refuse(invalidRequest, "grant_type is missing; send %s", grantExchange)
	case grant != grantExchange:
		return refuse(unsupportedGrantType, "grant_type is %q; this endpoint knows %s", clip(grant), grantExchange)
	}
	switch wanted := values.Get("requested_token_type"); {
	case wanted == "":
		return refuse(invalidRequest, "requested_token_type is missing; send %s", TypePassport)
	case wanted != TypePassport:
		return refuse(invalidRequest, "requested_token_type is %q; this endpoint mints %s", clip(wanted), TypePassport)
	}
	for _, name := range []string{"actor_token", "actor_token_type", "request_details"} {
		if values.Get(name) != "" {
			return refuse(invalidRequest,
				"%s is not taken: what a passport says is the state of its session; leave it out", name)
		}
	}
	switch audience := values.Get("audience"); {
	case audience == "":
		return refuse(invalidRequest, "audience is missing; send the trust domain, %s", a.cfg.TrustDomain)
	case audience != a.cfg.TrustDomain || values.Get("resource") != "":
		return refuse(invalidTarget,
			"this authority mints for the trust domain %s alone; send it as audience, and no resource", a.cfg.TrustDomain)
	}
	return door.Need(v.Rights, token.Passport, a.cfg.TrustDomain)
}

// mint does what a checked request asks for.
func (a *Authority) mint(ctx context.Context, v *door.Visit, values url.Values, h http.Header) (passport.Grant, error) {
	subject := values.Get("subject_token")
	if subject == "" {
		return passport.Grant{}, refuse(invalidRequest, "subject_token is missing; send a handle, or a passport to replace")
	}
	atLeast, err := header.GetPosition(h)
	if err != nil {
		return passport.Grant{}, refuse(invalidRequest, "Vidimus-Position: %v", err)
	}
	switch kind := values.Get("subject_token_type"); kind {
	case TypeHandle:
		ask, err := askOf(values)
		if err != nil {
			return passport.Grant{}, err
		}
		// Who asks is known from the token, and nothing else that the caller says can change it.
		ask.Handle, ask.AtLeast, ask.Workload = subject, atLeast, v.Workload()
		grant, err := a.sessions.Mint(ctx, ask)
		return grant, inParameters(err)
	case TypePassport:
		if len(subject) > passportMax {
			return passport.Grant{}, refuse(invalidRequest, "subject_token has %d bytes; a passport has %d at most",
				len(subject), passportMax)
		}
		return a.replace(ctx, subject, values.Get("scope"), atLeast)
	case "":
		return passport.Grant{}, refuse(invalidRequest, "subject_token_type is missing; send %s or %s",
			TypeHandle, TypePassport)
	default:
		return passport.Grant{}, refuse(invalidRequest, "subject_token_type is %q; send %s or %s", clip(kind), TypeHandle,
			TypePassport)
	}
}

// inParameters names the parameter of the request in which a field of an Ask came.
func inParameters(err error) error {
	invalid := (*journal.InvalidError)(nil)
	if !errors.As(err, &invalid) {
		return err
	}
	parameter := map[string]string{
		"Ask.Txn": "vidimus_txn", "Ask.Life": "vidimus_life", "Ask.Request": "request_context", "Ask.Scope": "scope",
	}[invalid.Field]
	if parameter == "" {
		return err
	}
	return &journal.InvalidError{Field: parameter, Problem: invalid.Problem}
}

// passportMax is the largest passport that is looked at.
const passportMax = 8 << 10

// askOf reads what a passport is asked for with.
func askOf(values url.Values) (passport.Ask, error) {
	ask := passport.Ask{Scope: values.Get("scope"), Txn: values.Get("vidimus_txn")}
	if text := values.Get("request_context"); text != "" {
		if len(text) > contextMax {
			return ask, refuse(invalidRequest, "request_context has %d bytes; at most %d are taken", len(text), contextMax)
		}
		var object map[string]json.RawMessage
		if err := json.Unmarshal([]byte(text), &object); err != nil || object == nil {
			return ask, refuse(invalidRequest, "request_context is no JSON object")
		}
		ask.Request = json.RawMessage(text)
	}
	if text := values.Get("vidimus_life"); text != "" {
		seconds, err := strconv.ParseInt(text, 10, 32)
		if err != nil || seconds < 1 || seconds > int64(session.MaxLife/time.Second) {
			return ask, refuse(invalidRequest, "vidimus_life is %q; send whole seconds from 1 to %d", clip(text),
				int64(session.MaxLife/time.Second))
		}
		ask.Life = time.Duration(seconds) * time.Second
	}
	return ask, nil
}

// replace mints a passport for the holder of one that is superseded. A scope that is asked for must be the one it has:
// the draft lets a replacement have less, but whoever needs less can do without.
func (a *Authority) replace(
	ctx context.Context, subject, scope string, atLeast passport.Mark,
) (passport.Grant, error) {
	grant, err := a.sessions.Replace(ctx, subject, atLeast)
	if err == nil && scope != "" && !within(scope, grant.Claims.Scope) {
		return passport.Grant{}, refuse(invalidScope, "scope is wider than that of the passport to replace; leave it out")
	}
	return grant, err
}

// within reports whether every name of a scope stands in another.
func within(scope, wide string) bool {
	have := " " + wide + " "
	for name := range strings.FieldsSeq(scope) {
		if !strings.Contains(have, " "+name+" ") {
			return false
		}
	}
	return true
}
