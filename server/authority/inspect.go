// SPDX-License-Identifier: Apache-2.0

// POST /oauth/introspect and POST /oauth/revoke: whether a token is good, and the end of one.

package authority

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"example.com/vidimus/heartbeat"
	"example.com/vidimus/passport"
	"example.com/vidimus/passport/header"
	"example.com/vidimus/server/internal/door"
	"example.com/vidimus/server/token"
	"example.com/vidimus/session"
)

// inactive is all that is said of a token that is not good: RFC 7662, section 2.2, asks not to say why.
type inactive struct {
	Active bool `json:"active"`
}

// active says what a token that is good says: RFC 7662, section 2.2, with the claims of a passport.
type active struct {
	Active    bool            `json:"active"`
	Scope     string          `json:"scope,omitempty"`
	ClientID  string          `json:"client_id,omitempty"`
	Expires   int64           `json:"exp,omitempty"`
	IssuedAt  int64           `json:"iat,omitempty"`
	Subject   string          `json:"sub"`
	Audience  string          `json:"aud,omitempty"`
	Issuer    string          `json:"iss,omitempty"`
	Txn       string          `json:"txn,omitempty"`
	Session   string          `json:"sid,omitempty"`
	Tenant    string          `json:"vidimus_tenant,omitempty"`
	State     json.RawMessage `json:"tctx,omitempty"`
	ACR       string          `json:"acr,omitempty"`
	AMR       []string        `json:"amr,omitempty"`
	AuthTime  int64           `json:"auth_time,omitempty"`
	Position  string          `json:"vidimus_position,omitempty"`
	Version   int64           `json:"vidimus_version,omitempty"`
	SubjectAt int64           `json:"vidimus_subject_version,omitempty"`
}

// introspect answers POST /oauth/introspect.
func (a *Authority) introspect(w http.ResponseWriter, r *http.Request) {
	v, text, err := a.tokenOf(w, r)
	if err == nil {
		err = door.Need(v.Rights, token.Passport, a.cfg.TrustDomain)
	}
	if err != nil {
		a.answerRefusal(w, r, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), mintTimeout)
	defer cancel()
	if strings.HasPrefix(text, header.HandlePrefix) {
		a.introspectHandle(ctx, w, r, text)
		return
	}
	d, err := a.judge(ctx, text)
	switch {
	case err == nil:
		header.SetPosition(w.Header(), d.At)
		writeJSON(w, http.StatusOK, activeOf(d.Claims))
	case passing(err):
		a.answerRefusal(w, r, err)
	default:
		writeJSON(w, http.StatusOK, inactive{})
	}
}

// judge decides on a passport by everything that was acknowledged before the call.
func (a *Authority) judge(ctx context.Context, text string) (passport.Decision, error) {
	// What is not even genuine costs no look at the journal.
	if _, err := a.verifier.Verify(ctx, text); err != nil {
		return passport.Decision{}, err
	}
	if _, err := a.client.Sync(ctx); err != nil {
		return passport.Decision{}, errors.Join(passport.ErrUnavailable, err)
	}
	return a.verifier.Decide(ctx, text, nil, passport.Need{Safe: true})
}

// passing reports whether an error says nothing of the token.
func passing(err error) bool {
	return errors.Is(err, passport.ErrUnavailable) || errors.Is(err, passport.ErrStale) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

func activeOf(c *passport.Claims) active {
	out := active{
		Active: true, Scope: c.Scope, ClientID: c.Workload, Expires: c.ExpiresAt.Unix(), IssuedAt: c.IssuedAt.Unix(),
		Subject: c.Subject, Audience: c.Audience, Issuer: c.Issuer, Txn: c.Txn, Session: c.Session, Tenant: c.Tenant,
		State: c.State, ACR: c.ACR, AMR: c.AMR, Position: c.Mark.String(), Version: c.Version, SubjectAt: c.SubjectVersion,
	}
	if !c.AuthTime.IsZero() {
		out.AuthTime = c.AuthTime.Unix()
	}
	return out
}

// introspectHandle says what a handle stands for.
func (a *Authority) introspectHandle(ctx context.Context, w http.ResponseWriter, r *http.Request, handle string) {
	s, err := a.sessions.Resolve(ctx, handle)
	switch {
	case goneOf(err) != "" || err == nil && s.Ended != nil:
		writeJSON(w, http.StatusOK, inactive{})
	case err != nil:
		a.answerRefusal(w, r, err)
	default:
		writeJSON(w, http.StatusOK, active{
			Active: true, Scope: strings.Join(s.Scopes, " "), Expires: s.Expires.Unix(), IssuedAt: s.Started.Unix(),
			Subject: s.Subject, Issuer: a.cfg.Issuer, Session: s.ID, Tenant: s.Tenant, ACR: s.ACR, AMR: s.AMR,
			AuthTime: s.AuthTime.Unix(), Version: int64(s.Version),
		})
	}
}

// tokenOf reads the request that both endpoints take: RFC 7662, section 2.1, and RFC 7009, section 2.1. The hint is not
// needed, because handles and passports look different.
func (a *Authority) tokenOf(w http.ResponseWriter, r *http.Request) (*door.Visit, string, error) {
	v, err := a.enter(r)
	if err != nil {
		return nil, "", err
	}
	values, err := form(w, r)
	if err != nil {
		return nil, "", err
	}
	text := values.Get("token")
	if text == "" {
		return nil, "", refuse(invalidRequest, "token is missing; send a passport or a handle")
	}
	return v, text, nil
}

// revoke answers POST /oauth/revoke. A token that is not good any more, or never was, is answered like one that has
// just been revoked (RFC 7009, section 2.2).
func (a *Authority) revoke(w http.ResponseWriter, r *http.Request) {
	v, text, err := a.tokenOf(w, r)
	if err == nil {
		ctx, cancel := context.WithTimeout(r.Context(), mintTimeout)
		defer cancel()
		if strings.HasPrefix(text, header.HandlePrefix) {
			err = a.endByHandle(ctx, v, text)
		} else {
			err = a.revokePassport(ctx, v, text)
		}
	}
	if err != nil {
		a.answerRefusal(w, r, err)
		return
	}
	w.WriteHeader(http.StatusOK)
}

// revokePassport refuses a passport, and all that replaced it, from now on.
func (a *Authority) revokePassport(ctx context.Context, v *door.Visit, text string) error {
	if err := door.Need(v.Rights, token.Passport, a.cfg.TrustDomain); err != nil {
		return err
	}
	claims, err := a.verifier.Verify(ctx, text)
	if err != nil {
		if passing(err) {
			return err
		}
		return nil
	}
	at, err := a.sessions.Revoke(ctx, session.Target{Scope: heartbeat.Token, Key: claims.Txn}, v.By(""), "")
	if err == nil {
		a.door.Audit(ctx, v, "passport revoked", "txn", claims.Txn, "position", int64(at))
	}
	return err
}

// endByHandle ends the session that a handle stands for, or stood for: who signs out with a handle that was replaced,
// because the answer with its successor was lost, is out as well.
func (a *Authority) endByHandle(ctx context.Context, v *door.Visit, handle string) error {
	id, _, err := a.keys.OpenHandle(a.cell.Name(), handle)
	var s session.Session
	if err == nil {
		s, err = a.sessions.Get(ctx, id)
	}
	if goneOf(err) != "" || err == nil && s.Ended != nil {
		return nil
	}
	if err != nil {
		return err
	}
	if err := door.Need(v.Rights, token.Session, s.Tenant); err != nil {
		return err
	}
	_, err = a.sessions.End(ctx, s.ID, session.Ended{Why: session.LoggedOut, By: v.By("")})
	if errors.Is(err, session.ErrEnded) {
		return nil
	}
	return err
}
