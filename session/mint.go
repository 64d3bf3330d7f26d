// SPDX-License-Identifier: Apache-2.0

// Minting passports, replacing them, and saying what one is worth.

package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/vidimus/internal/chance"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/passport"
	"example.com/vidimus/passport/keyring"
)

// Mint returns a passport for the session of a handle. The journal's end is read before the state, so the passport
// holds every change that was acknowledged before the call, by any node: Ask.AtLeast is always reached, and a mark of
// another log asks for nothing more than that.
//
// It returns [passport.ErrNoSession] as [Sessions.Resolve] does, [passport.ErrScope] when the session does not have a
// scope that is asked for, a journal.InvalidError for a bad field, and [passport.ErrUnavailable].
func (s *Sessions) Mint(ctx context.Context, a passport.Ask) (passport.Grant, error) {
	life, err := s.validAsk(&a)
	if err != nil {
		return passport.Grant{}, err
	}
	now, head, err := s.head(ctx)
	if err != nil {
		return passport.Grant{}, err
	}
	l, err := s.open(ctx, a.Handle)
	if err != nil {
		return passport.Grant{}, unavailable(err)
	}
	scope, err := narrowed(a.Scope, l.life.State.Scopes)
	if err != nil {
		return passport.Grant{}, err
	}
	c, err := s.claims(&l, now, head)
	if err != nil {
		return passport.Grant{}, err
	}
	c.Txn, c.Scope, c.Workload, c.Request = txnOf(a.Txn, l.sid), scope, a.Workload, a.Request
	if b := l.life.State.before; b != nil && b.generation == l.life.State.Generation {
		life = min(life, graceLife)
	}
	c.ExpiresAt = earlier(c.IssuedAt.Add(life), l.life.State.Expires.Truncate(time.Second))
	if !c.ExpiresAt.After(c.IssuedAt) {
		return passport.Grant{}, fmt.Errorf("%w: %w", passport.ErrNoSession, ErrEnded) // in less than a second
	}
	g, err := s.sign(c)
	if handle := s.withHandle(l.session()).Handle; handle != a.Handle {
		g.Handle = handle
	}
	return g, err
}

// graceLife is how long passports live for a handle that a step-up replaced, so that they do not outlive it by much.
const graceLife = 5 * time.Second

func (s *Sessions) validAsk(a *passport.Ask) (time.Duration, error) {
	life := a.Life
	if life == 0 {
		life = s.cfg.Life
	}
	if life < time.Second || life > MaxLife {
		return 0, &journal.InvalidError{Field: "Ask.Life", Problem: fmt.Sprintf("is %v: give 1 s to %v", a.Life, MaxLife)}
	}
	if len(a.Request) > maxRequest {
		return 0, &journal.InvalidError{Field: "Ask.Request", Problem: fmt.Sprintf(
			"has %d bytes: %d are the limit", len(a.Request), maxRequest)}
	}
	for _, err := range []error{
		text("Ask.Workload", a.Workload, maxWorkload, true), text("Ask.Txn", a.Txn, maxAskedTxn, false),
		text("Ask.Scope", a.Scope, maxScopes, false),
	} {
		if err != nil {
			return 0, err
		}
	}
	return life, nil
}

// txnOf returns the name of a transaction. Passports are revoked by it, so one that the asker chose ends with the
// session: nobody can mint a passport with the name of another session's, and revoke that along with his own.
func txnOf(asked, sid string) string {
	if asked != "" {
		return asked + "." + sid
	}
	var id [16]byte
	chance.Fill(id[:])
	return idText(id)
}

// head returns the time, and then the end of the journal: in this order, and before any state is read.
func (s *Sessions) head(ctx context.Context) (time.Time, journal.Checkpoint, error) {
	now := clock.Now()
	head, err := s.log.Head(ctx)
	if err != nil {
		return now, head, unavailable(err)
	}
	s.known.of(head)
	return now, head, nil
}

// unavailable says in the words of package passport that the journal cannot be asked.
func unavailable(err error) error {
	for _, e := range []error{
		journal.ErrUnavailable, journal.ErrOverloaded, journal.ErrClosed, journal.ErrUncertain, keyring.ErrBehind,
	} {
		if errors.Is(err, e) && !errors.Is(err, passport.ErrUnavailable) {
			return fmt.Errorf("%w: %w", passport.ErrUnavailable, err)
		}
	}
	return err
}

// narrowed returns the scopes that are asked for, all for none.
func narrowed(asked string, has []string) (string, error) {
	if asked == "" {
		return strings.Join(has, " "), nil
	}
	want := strings.Split(asked, " ")
	for _, scope := range want {
		if !slices.Contains(has, scope) {
			return "", fmt.Errorf("%w: the session does not have %q", passport.ErrScope, scope)
		}
	}
	return asked, nil
}

// claims returns what a passport says of a session that was looked at after the moment.
func (s *Sessions) claims(l *look, now time.Time, head journal.Checkpoint) (passport.Claims, error) {
	of := &l.life.State
	state, err := stateOf(only(s.cfg.Public.Subject, l.person.State.State), only(s.cfg.Public.Session, of.State))
	return passport.Claims{
		Issuer: s.cfg.Issuer, Audience: s.cfg.TrustDomain, IssuedAt: now.Truncate(time.Second), Subject: of.Subject,
		Session: l.sid, State: state, ACR: of.ACR, AMR: of.AMR, AuthTime: of.AuthTime,
		Mark:   passport.Mark{Log: head.Log, Epoch: int64(head.Epoch), Position: int64(head.Position)},
		Tenant: of.Tenant, Version: int64(l.life.Version), SubjectVersion: int64(l.person.Version), AsOf: now,
		Schema: s.cfg.Schema,
	}, err
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func (s *Sessions) sign(c passport.Claims) (passport.Grant, error) {
	token, err := s.cfg.Keys.Sign(&c)
	if refused := (*passport.InvalidError)(nil); errors.As(err, &refused) && refused.Field == "rctx" {
		return passport.Grant{}, &journal.InvalidError{Field: "Ask.Request", Problem: refused.Problem}
	}
	return passport.Grant{Token: token, Claims: c}, unavailable(err)
}

// Replace mints a new passport for the holder of one that is genuine and has not expired: of the present state, with
// the same txn, sub, aud, req_wl and rctx, with no more scope and no better authentication, and no later exp, so that
// however often it is replaced, a passport does not outlive itself (draft-ietf-oauth-transaction-tokens, "Txn-Token as
// a subject_token"). It reaches atLeast as Mint does.
//
// It returns [passport.ErrRevoked] when the passport or what it stands on was revoked, [passport.ErrExpired] or another
// error of [passport.Verifier.Verify] when the passport is no good, and [passport.ErrUnavailable].
func (s *Sessions) Replace(ctx context.Context, token string, atLeast passport.Mark) (passport.Grant, error) {
	was, err := s.verifier.Verify(ctx, token)
	if err != nil {
		return passport.Grant{}, err
	}
	now, head, err := s.head(ctx)
	if err != nil {
		return passport.Grant{}, err
	}
	if !was.ExpiresAt.After(now.Truncate(time.Second)) {
		return passport.Grant{}, passport.ErrExpired
	}
	l, err := s.behind(ctx, &was)
	if err != nil {
		return passport.Grant{}, err
	}
	c, err := s.claims(&l, now, head)
	if err != nil {
		return passport.Grant{}, err
	}
	scopes := slices.DeleteFunc(strings.Split(was.Scope, " "), func(scope string) bool {
		return !slices.Contains(l.life.State.Scopes, scope)
	})
	if len(scopes) == 0 {
		return passport.Grant{}, fmt.Errorf("%w: nothing of its scope is left", passport.ErrRevoked)
	}
	c.Txn, c.Workload, c.Request, c.Scope = was.Txn, was.Workload, was.Request, strings.Join(scopes, " ")
	c.ACR, c.AMR, c.AuthTime = was.ACR, was.AMR, was.AuthTime
	c.ExpiresAt = earlier(was.ExpiresAt, earlier(c.IssuedAt.Add(MaxLife), l.life.State.Expires.Truncate(time.Second)))
	if !c.ExpiresAt.After(c.IssuedAt) {
		return passport.Grant{}, passport.ErrExpired
	}
	return s.sign(c)
}

// behind looks at the session of a passport. It returns [passport.ErrRevoked] if there is nothing behind it any more.
func (s *Sessions) behind(ctx context.Context, c *passport.Claims) (look, error) {
	b, err := s.bar(ctx, journal.Stream(tokenPrefix+c.Txn))
	if err != nil {
		return look{}, unavailable(err)
	}
	if b.version > 0 {
		return look{}, fmt.Errorf("%w: the token is", passport.ErrRevoked)
	}
	l, err := s.see(ctx, c.Session)
	if errors.Is(err, passport.ErrNoSession) {
		return look{}, fmt.Errorf("%w: there is no session of it", passport.ErrRevoked)
	}
	if err != nil {
		return look{}, unavailable(err)
	}
	if e := l.end(clock.Now()); e != nil {
		return look{}, fmt.Errorf("%w: %w (%s)", passport.ErrRevoked, ErrEnded, e.Why)
	}
	return l, nil
}
