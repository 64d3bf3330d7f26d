// SPDX-License-Identifier: Apache-2.0

// The exchange, by the sections of RFC 8693, RFC 6749 and the Transaction Tokens draft.

package authority_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"example.com/vidimus/journal"
	"example.com/vidimus/passport"
	"example.com/vidimus/server/authority"
	"example.com/vidimus/session"
)

func TestAHandleIsExchangedForAPassport(t *testing.T) {
	t.Parallel()
	o := start(t, options{})
	bearer := o.token(t, "passport:"+domain)
	s := o.signIn(t, "acme", "u-42")
	form := exchangeForm(s.Handle)
	form.Set("scope", "read")
	form.Set("request_context", `{"req_ip":"192.0.2.1"}`)
	form.Set("vidimus_life", "30")
	form.Set("vidimus_txn", "txn-0123456789abcdef")
	form.Set("nobody_knows", "this") // RFC 6749, section 3.2: unrecognised parameters are passed over
	form.Set("actor_token", "")      // and one without a value counts as left out
	got := o.do(t, ask{path: "/oauth/token", bearer: bearer, form: form})
	if got.status != http.StatusOK {
		t.Fatalf("answered %d %s", got.status, got.text)
	}
	for name, want := range map[string]any{ // draft, section Txn-Token Response; RFC 8693, section 2.2.1
		"token_type": "N_A", "issued_token_type": "urn:ietf:params:oauth:token-type:txn_token", "refresh_token": nil,
		"scope": "read", "vidimus_handle": nil,
	} {
		if got.body[name] != want {
			t.Errorf("%s is %v, want %v", name, got.body[name], want)
		}
	}
	if life, _ := got.body["expires_in"].(float64); life < 28 || life > 30 {
		t.Errorf("expires_in is %v, want 30 or a little less", got.body["expires_in"])
	}
	kind := got.header.Get("Content-Type")
	if got.header.Get("Cache-Control") != "no-store" || !strings.HasPrefix(kind, "application/json") {
		t.Errorf("headers are %v", got.header)
	}
	text, _ := got.body["access_token"].(string)
	c, err := o.verifier(t).Verify(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	if got.header.Get("Vidimus-Position") != c.Mark.String() {
		t.Errorf("position %q, want %q", got.header.Get("Vidimus-Position"), c.Mark)
	}
	if c.Subject != "u-42" || c.Tenant != "acme" || c.Session != s.ID || c.Scope != "read" || c.Audience != domain ||
		c.Workload != "edge-1" || c.Txn != "txn-0123456789abcdef."+s.ID || string(c.Request) != `{"req_ip":"192.0.2.1"}` {
		t.Errorf("the passport says %+v", c)
	}
}

// refusedExchange is an exchange that is refused, as the section in its name says.
type refusedExchange struct {
	name         string
	param, value string // what is changed in a request that is in order; an empty value leaves it out
	code, says   string
}

const typeUnder = "urn:ietf:params:oauth:token-type:"

func refusedParameters() []refusedExchange {
	huge := `{"a":"` + strings.Repeat("x", 4<<10) + `"}`
	return []refusedExchange{
		{"no grant_type, RFC 6749 5.2", "grant_type", "", "invalid_request", "grant_type"},
		{"another grant, RFC 6749 5.2", "grant_type", "client_credentials", "unsupported_grant_type", "token-exchange"},
		{"no audience, draft Txn-Token Request", "audience", "", "invalid_request", "audience"},
		{"another audience, RFC 8693 2.2.2", "audience", "other.example", "invalid_target", domain},
		{"a resource, RFC 8693 2.2.2", "resource", "https://a.example", "invalid_target", "resource"},
		{"no type requested, draft", "requested_token_type", "", "invalid_request", "requested_token_type"},
		{"another type, RFC 8693 2.1", "requested_token_type", typeUnder + "access_token", "invalid_request", "txn_token"},
		{"no subject_token, RFC 8693 2.1", "subject_token", "", "invalid_request", "subject_token"},
		{"no subject_token_type, RFC 8693 2.1", "subject_token_type", "", "invalid_request", "subject_token_type"},
		{
			"a refresh token, draft Subject Token Types", "subject_token_type", typeUnder + "refresh_token",
			"invalid_request", "subject_token_type",
		},
		{"unsigned JSON", "subject_token_type", typeUnder + "unsigned_json", "invalid_request", "subject_token_type"},
		{"an actor, RFC 8693 2.1", "actor_token", "x", "invalid_request", "actor_token"},
		{"request_details", "request_details", "{}", "invalid_request", "request_details"},
		{"a context that is no object, draft", "request_context", "[1]", "invalid_request", "request_context"},
		{"a huge context", "request_context", huge, "invalid_request", "request_context"},
		{"a scope that the session lacks, draft Scope Processing", "scope", "read admin", "invalid_scope", ""},
		{"a life that is none", "vidimus_life", "301", "invalid_request", "300"},
		{"a huge transaction", "vidimus_txn", strings.Repeat("t", 65), "invalid_request", `"vidimus_txn: `},
		{"a huge scope", "scope", strings.Repeat("s", 2000), "invalid_scope", "scope: has 2000"},
		{"a context of an impossible form", "request_context", `{"a":1,"a":2}`, "invalid_request", `"request_context: `},
		{"a handle that is text", "subject_token", "hello", "invalid_request", "no_session"},
	}
}

func TestBadParametersAreRefusedAsTheStandardsSay(t *testing.T) {
	t.Parallel()
	o := start(t, options{})
	bearer := o.token(t, "passport:"+domain)
	s := o.signIn(t, "acme", "u-42")
	for _, tt := range refusedParameters() {
		form := exchangeForm(s.Handle)
		if form.Set(tt.param, tt.value); tt.value == "" {
			form.Del(tt.param)
		}
		got := o.do(t, ask{path: "/oauth/token", bearer: bearer, form: form})
		got.refused(t, tt.name, http.StatusBadRequest, tt.code, tt.says)
	}
	twice := exchangeForm(s.Handle)
	twice["scope"] = []string{"read", "pay"}
	got := o.do(t, ask{path: "/oauth/token", bearer: bearer, form: twice})
	got.refused(t, "a parameter twice, RFC 6749 3.2", http.StatusBadRequest, "invalid_request", "scope")
}

// refused checks an error of OAuth: RFC 6749, sections 5.1 and 5.2.
func (s said) refused(t *testing.T, name string, status int, code, says string) {
	t.Helper()
	if s.status != status || s.body["error"] != code || !strings.Contains(s.text, says) {
		t.Errorf("%s: answered %d %s, want %d %s with %q", name, s.status, s.text, status, code, says)
	}
	if challenge := s.header.Get("WWW-Authenticate"); (challenge == "") == (status == http.StatusUnauthorized) {
		t.Errorf("%s: WWW-Authenticate is %q", name, challenge)
	}
	if s.header.Get("Cache-Control") != "no-store" || s.header.Get("Pragma") != "no-cache" {
		t.Errorf("%s: the answer may be cached: %v", name, s.header)
	}
}

func TestWhoMayNotExchangeIsToldSo(t *testing.T) {
	t.Parallel()
	o := start(t, options{})
	s := o.signIn(t, "acme", "u-42")
	for _, tt := range []struct {
		name, bearer string
		status       int
		code, says   string
	}{
		{"no client, RFC 6749 5.2", "", 401, "invalid_client", "Bearer"},
		{"an unknown client", "vid_abc_def", 401, "invalid_client", ""},
		{"no such right", o.token(t, "feed", "session:*"), 400, "unauthorized_client", "passport:" + domain},
		{"the right to another audience", o.token(t, "passport:other"), 400, "unauthorized_client", "passport:" + domain},
	} {
		got := o.do(t, ask{path: "/oauth/token", bearer: tt.bearer, form: exchangeForm(s.Handle)})
		got.refused(t, tt.name, tt.status, tt.code, tt.says)
	}
}

func TestBadHandlesAreRefused(t *testing.T) {
	t.Parallel()
	o := start(t, options{})
	bearer := o.token(t, "passport:"+domain)
	s, over := o.signIn(t, "acme", "u-42"), o.signIn(t, "acme", "u-43")
	if _, err := o.sessions.End(t.Context(), over.ID, session.Ended{Why: session.LoggedOut}); err != nil {
		t.Fatal(err)
	}
	for name, handle := range map[string]string{
		"forged":                    strings.Replace(s.Handle, s.ID, over.ID, 1),
		"of nobody":                 strings.Replace(s.Handle, s.ID, "0123456789abcdefghijkl", 1),
		"of another cell":           strings.Replace(s.Handle, "v1."+o.cell.Name()+".", "v1.other.", 1),
		"cut short":                 s.Handle[:len(s.Handle)-1],
		"of a later generation":     strings.Replace(s.Handle, "."+"0"+".", ".9.", 1) + "x",
		"of a session that is over": over.Handle,
	} {
		got := o.do(t, ask{path: "/oauth/token", bearer: bearer, form: exchangeForm(handle)})
		got.refused(t, name, http.StatusBadRequest, "invalid_request", "no_session")
	}
	got := o.do(t, ask{path: "/oauth/token", bearer: bearer, form: exchangeForm(strings.Repeat("v", 70<<10))})
	got.refused(t, "huge", http.StatusRequestEntityTooLarge, "invalid_request", "bytes")
	if good := o.do(t, ask{path: "/oauth/token", bearer: bearer, form: exchangeForm(s.Handle)}); good.status != 200 {
		t.Errorf("the good one is answered %d %s", good.status, good.text)
	}
}

func TestBodiesThatAreNoFormsAreRefused(t *testing.T) {
	t.Parallel()
	o := start(t, options{})
	bearer := o.token(t, "admin")
	s := o.signIn(t, "", "u-42")
	good := exchangeForm(s.Handle)
	typed := func(kind, body string) ask {
		return ask{body: strings.NewReader(body), header: map[string]string{"Content-Type": kind}}
	}
	for name, a := range map[string]ask{
		"JSON":              typed("application/json", `{"grant_type":"x"}`),
		"no content type":   {body: strings.NewReader(good.Encode())},
		"parts":             typed("multipart/form-data; boundary=x", "x"),
		"broken escapes":    typed("application/x-www-form-urlencoded", "%zz"),
		"parameters in URL": {path: "?" + good.Encode(), form: url.Values{}},
	} {
		a.path, a.bearer = "/oauth/token"+a.path, bearer
		got := o.do(t, a)
		got.refused(t, name, http.StatusBadRequest, "invalid_request", "")
	}
	got := o.do(t, ask{method: http.MethodGet, path: "/oauth/token", bearer: bearer})
	if got.status != http.StatusMethodNotAllowed {
		t.Errorf("GET is answered %d, want 405 (RFC 6749, section 3.2)", got.status)
	}
}

func TestASupersededPassportIsReplaced(t *testing.T) {
	t.Parallel()
	o := start(t, options{})
	bearer := o.token(t, "passport:"+domain)
	s := o.signIn(t, "acme", "u-42")
	grant, err := o.sessions.Mint(t.Context(), passport.Ask{Handle: s.Handle, Scope: "read", Workload: "edge-1"})
	if err != nil {
		t.Fatal(err)
	}
	changed, err := o.sessions.ChangeSubject(t.Context(), "acme", "u-42", session.Change{
		ID: journal.NewID(), Expect: journal.Any, Set: session.State{"limit": json.RawMessage("5")},
	})
	if err != nil {
		t.Fatal(err)
	}
	form := exchangeForm(grant.Token)
	form.Set("subject_token_type", authority.TypePassport)
	got := o.do(t, ask{path: "/oauth/token", bearer: bearer, form: form})
	text, _ := got.body["access_token"].(string)
	c, err := o.verifier(t).Verify(t.Context(), text)
	if err != nil {
		t.Fatalf("answered %d %s: %v", got.status, got.text, err)
	}
	old := grant.Claims
	if c.Txn != old.Txn || c.Subject != old.Subject || c.Audience != old.Audience || c.Scope != old.Scope { // draft
		t.Errorf("the replacement says %+v, the passport said %+v", c, old)
	}
	if c.Mark.Position < int64(changed.Position) || !strings.Contains(string(c.State), "5") {
		t.Errorf("the replacement is of %v with %s, want the change at %d", c.Mark, c.State, changed.Position)
	}
	form.Set("scope", "read pay")
	if got := o.do(t, ask{path: "/oauth/token", bearer: bearer, form: form}); got.body["error"] != "invalid_scope" {
		t.Errorf("a wider scope is answered %d %s, want invalid_scope", got.status, got.text)
	}
	form.Del("scope")
	for name, text := range map[string]string{
		"cut": grant.Token[:len(grant.Token)-4], "swapped": "e" + grant.Token,
		"huge": grant.Token + strings.Repeat("a", 9<<10), "a handle": s.Handle,
	} {
		form.Set("subject_token", text)
		got := o.do(t, ask{path: "/oauth/token", bearer: bearer, form: form})
		if got.status != http.StatusBadRequest || got.body["error"] != "invalid_request" {
			t.Errorf("%s: answered %d %s, want 400 invalid_request", name, got.status, got.text)
		}
	}
	if _, err := o.sessions.End(t.Context(), s.ID, session.Ended{Why: session.LoggedOut}); err != nil {
		t.Fatal(err)
	}
	form.Set("subject_token", grant.Token)
	if got := o.do(t, ask{path: "/oauth/token", bearer: bearer, form: form}); got.body["vidimus_reason"] == nil {
		t.Errorf("after the logout it is answered %d %s, want the reason", got.status, got.text)
	}
}

// TestASlowBodyHoldsNothing sends half a form and then nothing: others are served meanwhile.
func TestASlowBodyHoldsNothing(t *testing.T) {
	t.Parallel()
	o := start(t, options{edit: func(c *authority.Config) { c.Requests = 2 }})
	bearer := o.token(t, "passport:"+domain)
	s := o.signIn(t, "", "u-42")
	slow, rest := io.Pipe()
	ended := make(chan said, 1)
	go func() {
		ended <- o.do(t, ask{
			path: "/oauth/token", bearer: bearer, body: slow,
			header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"},
		})
	}()
	form := exchangeForm(s.Handle).Encode()
	if _, err := io.WriteString(rest, form[:20]); err != nil {
		t.Fatal(err)
	}
	got := o.do(t, ask{path: "/oauth/token", bearer: bearer, form: exchangeForm(s.Handle)})
	if got.status != http.StatusOK {
		t.Errorf("beside a slow one: %d %s", got.status, got.text)
	}
	if _, err := io.WriteString(rest, form[20:]); err != nil || rest.Close() != nil {
		t.Fatal(err)
	}
	if got := <-ended; got.status != http.StatusOK {
		t.Errorf("the slow one: %d %s", got.status, got.text)
	}
}
