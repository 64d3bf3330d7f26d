// SPDX-License-Identifier: Apache-2.0

// An authority on another node: passports for handles, and for those that are superseded.

package remote

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"example.com/vidimus/journal"
	"example.com/vidimus/passport"
	"example.com/vidimus/passport/header"
)

// The names that an exchange is asked for with (RFC 8693, and the Transaction Tokens draft).
const (
	grantExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	typePassport  = "urn:ietf:params:oauth:token-type:txn_token"
	typeHandle    = "urn:vidimus:token-type:handle"
)

// Limits of an exchange.
const (
	exchangeTimeout = 10 * time.Second
	answerMax       = 64 << 10
	requestMax      = 64 << 10
)

// AuthorityConfig says which authority is meant.
type AuthorityConfig struct {
	// URL is where the authority is, such as http://127.0.0.1:7420 or https://id.example.
	URL string
	// Token is the caller's token, with the right passport:<audience>. It also names the workload in the passports.
	Token string
	// Audience is the trust domain that passports are for.
	Audience string
	// Plain allows to send the token over http to another machine, where everybody on the way can read it.
	Plain bool
	// HTTP carries the calls; nil stands for one of its own.
	HTTP *http.Client
}

// Authority mints passports on another node. It is a [passport.Authority] and a [passport.Replacer]. Goroutines may
// share it. Close it when it is not used any more.
type Authority struct {
	url      string
	token    string
	audience string
	http     *http.Client
}

// NewAuthority returns the authority that c describes. It returns a [journal.InvalidError]; whether the node can be
// reached is found out by the first call.
func NewAuthority(c AuthorityConfig) (*Authority, error) {
	base := Config{URL: c.URL, Token: c.Token, Plain: c.Plain}
	u, err := base.validate()
	if err != nil {
		return nil, err
	}
	if c.Audience == "" {
		return nil, &journal.InvalidError{Field: "Audience", Problem: "is missing; name the trust domain"}
	}
	a := &Authority{
		url: strings.TrimRight(u.String(), "/") + "/oauth/token", token: c.Token, audience: c.Audience, http: c.HTTP,
	}
	if a.http == nil {
		a.http = newHTTP()
	}
	return a, nil
}

// Close gives the connections back. Calls under way go on. Twice is fine.
func (a *Authority) Close() error {
	a.http.CloseIdleConnections()
	return nil
}

// Mint returns a passport for the session that a handle stands for. It returns [passport.ErrNoSession],
// [passport.ErrScope], [passport.ErrUnavailable] when the node cannot be reached or does not answer within 10 seconds,
// [ErrUnauthenticated], [ErrPermission], a [journal.InvalidError], or the error of ctx. The workload is that of the
// token, whatever the ask says.
func (a *Authority) Mint(ctx context.Context, ask passport.Ask) (passport.Grant, error) {
	values := url.Values{"subject_token": {ask.Handle}, "subject_token_type": {typeHandle}}
	if ask.Scope != "" {
		values.Set("scope", ask.Scope)
	}
	if ask.Txn != "" {
		values.Set("vidimus_txn", ask.Txn)
	}
	if len(ask.Request) > 0 {
		values.Set("request_context", string(ask.Request))
	}
	if ask.Life > 0 {
		values.Set("vidimus_life", strconv.FormatInt(int64((ask.Life+time.Second-1)/time.Second), 10))
	}
	return a.exchange(ctx, values, ask.AtLeast)
}

// Replace returns a new passport for the holder of one that is superseded, as [passport.Replacer] says. It returns
// [passport.ErrRevoked], [passport.ErrNoSession], [passport.ErrExpired], and otherwise what [Authority.Mint] returns.
func (a *Authority) Replace(ctx context.Context, token string, atLeast passport.Mark) (passport.Grant, error) {
	return a.exchange(ctx, url.Values{"subject_token": {token}, "subject_token_type": {typePassport}}, atLeast)
}

// exchanged is the answer to an exchange, good or bad.
type exchanged struct {
	AccessToken string `json:"access_token"`
	IssuedType  string `json:"issued_token_type"`
	Handle      string `json:"vidimus_handle"`
	Code        string `json:"error"`
	Description string `json:"error_description"`
	Reason      string `json:"vidimus_reason"`
}

// exchange asks for a passport.
func (a *Authority) exchange(ctx context.Context, values url.Values, atLeast passport.Mark) (passport.Grant, error) {
	values.Set("grant_type", grantExchange)
	values.Set("requested_token_type", typePassport)
	values.Set("audience", a.audience)
	body := values.Encode()
	if len(body) > requestMax {
		return passport.Grant{}, &journal.InvalidError{
			Field: "ask", Problem: fmt.Sprintf("has %d bytes, at most %d are sent", len(body), requestMax),
		}
	}
	limited, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(limited, http.MethodPost, a.url, strings.NewReader(body))
	if err != nil {
		return passport.Grant{}, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	if a.token != "" {
		r.Header.Set("Authorization", "Bearer "+a.token)
	}
	header.SetPosition(r.Header, atLeast)
	res, err := a.http.Do(r)
	if err != nil {
		return passport.Grant{}, lost(ctx, err)
	}
	defer res.Body.Close()
	out, err := readExchanged(res)
	if err != nil {
		return passport.Grant{}, lost(ctx, err)
	}
	if res.StatusCode != http.StatusOK {
		return passport.Grant{}, out.refused(res.StatusCode)
	}
	return out.grant()
}

// lost returns what it means that no answer came: nothing was minted, or nobody has it.
func lost(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("%w: %w", passport.ErrUnavailable, err)
}

// readExchanged reads an answer.
func readExchanged(res *http.Response) (*exchanged, error) {
	if kind, _, err := mime.ParseMediaType(res.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, fmt.Errorf("the answer, %s, is not that of an authority; check the address", res.Status)
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, answerMax+1))
	if err != nil {
		return nil, err
	}
	if len(text) > answerMax {
		return nil, fmt.Errorf("the answer has more than %d bytes, so it is not that of an authority", answerMax)
	}
	out := &exchanged{}
	if err := json.Unmarshal(text, out); err != nil {
		return nil, fmt.Errorf("the answer is not that of an authority: %w", err)
	}
	return out, nil
}

// grant returns the passport of a good answer. It came from the authority itself, so its signature is left to those who
// are shown it.
func (e *exchanged) grant() (passport.Grant, error) {
	if e.IssuedType != typePassport {
		return passport.Grant{}, fmt.Errorf("%w: it issued another type of token", passport.ErrUnavailable)
	}
	claims, err := passport.Peek(e.AccessToken)
	if err != nil {
		return passport.Grant{}, fmt.Errorf("%w: what it issued cannot be read: %w", passport.ErrUnavailable, err)
	}
	return passport.Grant{Token: e.AccessToken, Claims: claims, Handle: e.Handle}, nil
}

// refused returns the error that a bad answer stands for.
func (e *exchanged) refused(status int) error {
	switch e.Reason {
	case "no_session":
		return passport.ErrNoSession
	case "revoked":
		return passport.ErrRevoked
	case "expired":
		return passport.ErrExpired
	case "invalid_token":
		return &remoteError{passport.ErrInvalid, e.Description}
	}
	switch {
	case e.Code == "invalid_scope":
		return &remoteError{passport.ErrScope, e.Description}
	case e.Code == "invalid_client":
		return &remoteError{ErrUnauthenticated, e.Description}
	case e.Code == "unauthorized_client":
		return &remoteError{ErrPermission, e.Description}
	case status >= http.StatusInternalServerError || status == http.StatusTooManyRequests:
		return &remoteError{passport.ErrUnavailable, e.Description}
	case e.Code == "":
		return fmt.Errorf("%w: the answer, %d, is not that of an authority; check the address",
			passport.ErrUnavailable, status)
	}
	return &journal.InvalidError{Field: "ask", Problem: e.Code + ": " + e.Description}
}

// remoteError is an error of a kind with the text that came over the wire.
type remoteError struct {
	kind error
	text string
}

func (e *remoteError) Error() string { return e.kind.Error() + ": " + e.text }

func (e *remoteError) Unwrap() error { return e.kind }
