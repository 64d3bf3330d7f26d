// SPDX-License-Identifier: Apache-2.0

// Introspection by RFC 7662, revocation by RFC 7009, and what is public.

package authority_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"example.com/vidimus/heartbeat"
	"example.com/vidimus/journal"
	"example.com/vidimus/passport"
	"example.com/vidimus/session"
)

// mint returns a passport of a session.
func (o *office) mint(t *testing.T, s session.Started) passport.Grant {
	t.Helper()
	g, err := o.sessions.Mint(t.Context(), passport.Ask{Handle: s.Handle, Scope: "read", Workload: "edge-1"})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func (o *office) introspect(t *testing.T, bearer, text string) said {
	t.Helper()
	return o.do(t, ask{path: "/oauth/introspect", bearer: bearer, form: url.Values{"token": {text}}})
}

func TestIntrospectionSaysWhatAPassportSaysWhileItIsGood(t *testing.T) {
	t.Parallel()
	o := start(t, options{})
	bearer := o.token(t, "passport:"+domain)
	s := o.signIn(t, "acme", "u-42")
	g := o.mint(t, s)
	got := o.introspect(t, bearer, g.Token)
	for name, want := range map[string]any{ // RFC 7662, section 2.2
		"active": true, "scope": "read", "client_id": "edge-1", "sub": "u-42", "aud": domain, "iss": issuer,
		"txn": g.Claims.Txn, "sid": s.ID, "exp": float64(g.Claims.ExpiresAt.Unix()), "vidimus_tenant": "acme",
		"vidimus_position": g.Claims.Mark.String(),
	} {
		if got.body[name] != want {
			t.Errorf("%s is %v, want %v: %s", name, got.body[name], want, got.text)
		}
	}
	if got := o.introspect(t, bearer, s.Handle); got.body["active"] != true || got.body["sid"] != s.ID {
		t.Errorf("the handle is answered %s, want its session", got.text)
	}
	_, err := o.sessions.ChangeSubject(t.Context(), "acme", "u-42", session.Change{
		ID: journal.NewID(), Expect: journal.Any, Set: session.State{"limit": json.RawMessage("5")},
	})
	if err != nil {
		t.Fatal(err)
	}
	// The next question comes after the change was acknowledged, so the answer knows of it.
	o.inactive(t, bearer, "a superseded passport", g.Token)
	again := o.mint(t, s)
	if got := o.introspect(t, bearer, again.Token); got.body["active"] != true {
		t.Errorf("a new passport is answered %s, want active", got.text)
	}
	if _, err := o.sessions.End(t.Context(), s.ID, session.Ended{Why: session.LoggedOut}); err != nil {
		t.Fatal(err)
	}
	o.inactive(t, bearer, "a passport of a session that is over", again.Token)
	o.inactive(t, bearer, "a handle of a session that is over", s.Handle)
	o.inactive(t, bearer, "a passport that is cut", g.Token[:len(g.Token)-3])
	o.inactive(t, bearer, "text", "hello")
	o.inactive(t, bearer, "a forged handle", strings.Replace(s.Handle, s.ID, "0123456789abcdefghijkl", 1))
}

// inactive checks that nothing is said of a token but that it is not good: RFC 7662, section 2.2.
func (o *office) inactive(t *testing.T, bearer, name, text string) {
	t.Helper()
	got := o.introspect(t, bearer, text)
	if got.status != http.StatusOK || strings.TrimSpace(got.text) != `{"active":false}` {
		t.Errorf("%s is answered %d %s, want no more than inactive", name, got.status, got.text)
	}
}

func TestIntrospectionTakesARight(t *testing.T) {
	t.Parallel()
	o := start(t, options{})
	g := o.mint(t, o.signIn(t, "", "u-42"))
	o.introspect(t, "", g.Token).refused(t, "nobody, RFC 7662 2.1", 401, "invalid_client", "")
	o.introspect(t, o.token(t, "feed"), g.Token).refused(t, "no such right", 400, "unauthorized_client", "passport:")
	o.introspect(t, o.token(t, "admin"), "").refused(t, "no token, RFC 7662 2.1", 400, "invalid_request", "token")
}

func TestRevocationEndsATokenOrASession(t *testing.T) {
	t.Parallel()
	o := start(t, options{})
	edge, login := o.token(t, "passport:"+domain), o.token(t, "session:acme")
	revoke := func(bearer, text string) said {
		return o.do(t, ask{
			path: "/oauth/revoke", bearer: bearer, form: url.Values{"token": {text}, "token_type_hint": {"access_token"}},
		})
	}
	s := o.signIn(t, "acme", "u-42")
	g, other := o.mint(t, s), o.mint(t, s)
	if got := revoke(edge, g.Token); got.status != http.StatusOK || got.text != "" { // RFC 7009, section 2.2
		t.Errorf("answered %d %s, want 200 and nothing", got.status, got.text)
	}
	o.inactive(t, edge, "the revoked passport", g.Token)
	if got := o.introspect(t, edge, other.Token); got.body["active"] != true {
		t.Errorf("another transaction's passport is %s, want active", got.text)
	}
	for name, text := range map[string]string{ // RFC 7009, section 2.2: invalid tokens do not cause an error
		"revoked before": g.Token, "cut": g.Token[:40], "text": "hello", "a forged handle": "v1.main.x.1.y",
	} {
		if got := revoke(edge, text); got.status != http.StatusOK {
			t.Errorf("%s is answered %d %s, want 200", name, got.status, got.text)
		}
	}
	revoke(edge, s.Handle).refused(t, "an edge that ends sessions", 400, "unauthorized_client", "session:acme")
	revoke(login, g.Token).refused(t, "a login service that revokes passports", 400, "unauthorized_client", "passport:")
	revoke("", g.Token).refused(t, "nobody, RFC 7009 2.1", 401, "invalid_client", "")
	revoke(edge, "").refused(t, "no token, RFC 7009 2.1", 400, "invalid_request", "token")
	if got := revoke(login, s.Handle); got.status != http.StatusOK {
		t.Errorf("answered %d %s, want 200", got.status, got.text)
	}
	if over, err := o.sessions.Get(t.Context(), s.ID); err != nil || over.Ended == nil {
		t.Errorf("the session is %+v, %v, want ended", over, err)
	}
	if got := revoke(login, s.Handle); got.status != http.StatusOK {
		t.Errorf("again: %d %s, want 200", got.status, got.text)
	}
}

func TestWhoSignsOutWithAReplacedHandleIsOut(t *testing.T) {
	t.Parallel()
	o := start(t, options{})
	s := o.signIn(t, "acme", "u-42")
	handle := s.Handle
	for range 2 { // the answers were lost: the browser has the first handle still
		next, err := o.sessions.Rotate(t.Context(), handle)
		if err != nil {
			t.Fatal(err)
		}
		handle = next.Handle
	}
	revoke := func(bearer string) said {
		return o.do(t, ask{path: "/oauth/revoke", bearer: bearer, form: url.Values{"token": {s.Handle}}})
	}
	revoke(o.token(t, "session:other")).refused(t, "another tenant's login", 400, "unauthorized_client", "session:acme")
	if got := revoke(o.token(t, "session:acme")); got.status != http.StatusOK {
		t.Errorf("answered %d %s, want 200", got.status, got.text)
	}
	if _, err := o.sessions.Resolve(t.Context(), handle); !errors.Is(err, session.ErrEnded) {
		t.Errorf("the session that answered 200 to its end: %v, want ErrEnded", err)
	}
}

func TestOnesOwnRevocationReachesNobodyElse(t *testing.T) {
	t.Parallel()
	o := start(t, options{})
	bearer := o.token(t, "passport:"+domain)
	victim := o.mint(t, o.signIn(t, "globex", "bob"))
	form := exchangeForm(o.signIn(t, "acme", "mallory").Handle)
	form.Set("vidimus_txn", victim.Claims.Txn)
	named := o.do(t, ask{path: "/oauth/token", bearer: bearer, form: form})
	own, _ := named.body["access_token"].(string)
	got := o.do(t, ask{path: "/oauth/revoke", bearer: bearer, form: url.Values{"token": {own}}})
	if got.status != http.StatusOK {
		t.Fatalf("the exchange is answered %s, the revocation %d %s", named.text, got.status, got.text)
	}
	o.inactive(t, bearer, "one's own passport", own)
	if got := o.introspect(t, bearer, victim.Token); got.body["active"] != true {
		t.Errorf("a passport whose txn somebody else asked for is %s, want active", got.text)
	}
}

func TestAPassportIsRevokedOnce(t *testing.T) {
	t.Parallel()
	o := start(t, options{})
	bearer := o.token(t, "passport:"+domain)
	g := o.mint(t, o.signIn(t, "acme", "u-42"))
	for range 3 {
		got := o.do(t, ask{path: "/oauth/revoke", bearer: bearer, form: url.Values{"token": {g.Token}}})
		if got.status != http.StatusOK {
			t.Errorf("answered %d %s, want 200", got.status, got.text)
		}
	}
	head, err := o.log.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	target := session.Target{Scope: heartbeat.Token, Key: g.Claims.Txn}
	if at, err := o.sessions.Revoke(t.Context(), target, "test", ""); err != nil || at < head.Position {
		t.Errorf("Revoke of what is revoked = %d, %v, want %d or later", at, err, head.Position)
	}
	n := 0
	for _, err := range o.log.ReadStream(t.Context(), journal.Stream("revocation-token/"+g.Claims.Txn), nil) {
		if n++; err != nil {
			t.Fatal(err)
		}
	}
	if n != 1 {
		t.Errorf("%d events revoke one passport, want 1", n)
	}
}

func TestKeysAndAddressesArePublic(t *testing.T) {
	t.Parallel()
	o := start(t, options{})
	keys := o.do(t, ask{method: http.MethodGet, path: "/.well-known/jwks.json"})
	if keys.status != http.StatusOK || keys.header.Get("Content-Type") != "application/jwk-set+json" || // RFC 7517, 8.5
		!strings.Contains(keys.header.Get("Cache-Control"), "max-age=60") {
		t.Errorf("the keys are answered %d %v", keys.status, keys.header)
	}
	if set, err := passport.ParseKeySet([]byte(keys.text)); err != nil || len(set.Keys()) == 0 {
		t.Errorf("the keys are %s: %v", keys.text, err)
	}
	if strings.Contains(keys.text, `"d"`) {
		t.Errorf("a private key is published: %s", keys.text)
	}
	got := o.do(t, ask{method: http.MethodGet, path: "/.well-known/vidimus"})
	for name, want := range map[string]string{
		"issuer": issuer, "trust_domain": domain, "jwks_uri": issuer + "/.well-known/jwks.json",
		"token_endpoint": issuer + "/oauth/token", "introspection_endpoint": issuer + "/oauth/introspect",
		"revocation_endpoint": issuer + "/oauth/revoke", "feed_endpoint": issuer + "/v1/feed",
		"ping_endpoint": issuer + "/v1/ping", "beats_endpoint": issuer + "/v1/beats", "cell": o.cell.Name(),
	} {
		if got.body[name] != want {
			t.Errorf("%s is %v, want %s", name, got.body[name], want)
		}
	}
	if got := o.do(t, ask{path: "/.well-known/jwks.json"}); got.status != http.StatusMethodNotAllowed {
		t.Errorf("POST for the keys is answered %d, want 405", got.status)
	}
}

func TestRevokedScopesReachIntrospection(t *testing.T) {
	t.Parallel()
	o := start(t, options{})
	bearer := o.token(t, "passport:"+domain)
	for _, scope := range []heartbeat.Scope{
		heartbeat.Session, heartbeat.Subject, heartbeat.Tenant, heartbeat.Key, heartbeat.All,
	} {
		s := o.signIn(t, "acme", "u-"+string(scope))
		g := o.mint(t, s)
		target := session.Target{Scope: scope}
		switch scope {
		case heartbeat.Session:
			target.Key = s.ID
		case heartbeat.Subject:
			target.Tenant, target.Subject = "acme", s.Subject
		case heartbeat.Tenant:
			target.Key = "acme"
		case heartbeat.Key:
			target.Key = g.Claims.KeyID
		}
		if target.Key == "" && scope == heartbeat.Key {
			c, err := passport.Peek(g.Token)
			if err != nil {
				t.Fatal(err)
			}
			target.Key = c.KeyID
		}
		if got := o.introspect(t, bearer, g.Token); got.body["active"] != true {
			t.Errorf("before %s is revoked the passport is %s", scope, got.text)
		}
		if _, err := o.sessions.Revoke(t.Context(), target, "test", ""); err != nil {
			t.Fatalf("revoke %s: %v", scope, err)
		}
		o.inactive(t, bearer, "after "+string(scope)+" was revoked, its passport", g.Token)
	}
}
