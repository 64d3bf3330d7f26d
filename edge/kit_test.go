// SPDX-License-Identifier: Apache-2.0

// What the tests of the edge share: an authority with a log of its own, a service that tells what it was sent, and
// an edge between them.

package edge_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/vidimus/edge"
	"example.com/vidimus/heartbeat"
	"example.com/vidimus/heartbeat/presence"
	"example.com/vidimus/internal/chance"
	"example.com/vidimus/passport"
)

const (
	issuer = "https://id.example"
	domain = "shop"
)

// authority keeps sessions in memory, in one order of changes, and signs real passports.
type authority struct {
	signer *passport.Signer
	keys   *passport.KeySet
	view   *heartbeat.View

	mu       sync.Mutex
	head     int64
	sessions map[string]*session // by handle
	versions map[string]int64    // by subject
	changes  []heartbeat.Change  // that no view was told of
	minted   int
	down     bool
	life     time.Duration
	pause    chan struct{} // if not nil, a mint has read the state and waits here before it answers
	paused   chan struct{} // is told that it waits
}

type session struct {
	id, subject, scope, successor string
	ended                         bool
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	signer, err := passport.NewSigner(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), "")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := passport.NewKeySet(signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	return &authority{
		signer: signer, keys: keys, view: heartbeat.NewView(nil), head: 100, life: time.Minute,
		sessions: map[string]*session{}, versions: map[string]int64{},
	}
}

// signIn starts a session and returns its handle.
func (a *authority) signIn(subject string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var raw [16]byte
	chance.Fill(raw[:])
	id := presence.ID(raw).String()
	chance.Fill(raw[:])
	handle := "v1.c3." + id + ".1." + presence.ID(raw).String()
	a.sessions[handle] = &session{id: id, subject: subject, scope: "buy hold"}
	a.head++
	return handle
}

func (a *authority) mark() passport.Mark {
	return passport.Mark{Log: "c3", Epoch: 7, Position: a.head}
}

// change changes a subject, and returns where the change stands.
func (a *authority) change(subject string) passport.Mark {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.versions[subject]++
	a.note(heartbeat.Subject, passport.SubjectKey("acme", subject), heartbeat.Superseded)
	return a.mark()
}

// end ends a session.
func (a *authority) end(handle string) passport.Mark {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sessions[handle].ended = true
	a.note(heartbeat.Session, a.sessions[handle].id, heartbeat.Revoked)
	return a.mark()
}

func (a *authority) note(scope heartbeat.Scope, key string, effect heartbeat.Effect) {
	a.head++
	a.changes = append(a.changes, heartbeat.Change{Position: a.head, Scope: scope, Key: key, Effect: effect})
}

// tell brings the view up to now.
func (a *authority) tell(t testing.TB) {
	t.Helper()
	p := a.view.PingSent()
	a.mu.Lock()
	through := a.view.Through()
	f := heartbeat.Frame{Log: "c3", Epoch: 7, After: through.Position, Through: a.head, Changes: a.changes}
	f.Snapshot = through == passport.Mark{}
	head := a.mark()
	a.changes = nil
	a.mu.Unlock()
	if f.Through > f.After {
		if err := a.view.Apply(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.view.PingAnswered(p, head); err != nil {
		t.Fatal(err)
	}
}

func (a *authority) setDown(down bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.down = down
}

func (a *authority) mints() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.minted
}

// Mint reads the head before the state, as the contract of passports wants.
func (a *authority) Mint(ctx context.Context, ask passport.Ask) (passport.Grant, error) {
	grant, pause, err := a.read(ask)
	if pause != nil {
		a.paused <- struct{}{}
		select {
		case <-pause:
		case <-ctx.Done():
			return passport.Grant{}, ctx.Err()
		}
	}
	return grant, err
}

func (a *authority) read(ask passport.Ask) (passport.Grant, chan struct{}, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.minted++
	s := a.sessions[ask.Handle]
	switch {
	case a.down:
		return passport.Grant{}, nil, passport.ErrUnavailable
	case s == nil || s.ended:
		return passport.Grant{}, a.pause, passport.ErrNoSession
	}
	now := time.Now()
	state, err := json.Marshal(map[string]any{"subject": map[string]int64{"version": a.versions[s.subject]}})
	if err != nil {
		return passport.Grant{}, nil, err
	}
	c := passport.Claims{
		Issuer: issuer, Audience: domain, IssuedAt: now.Truncate(time.Second),
		ExpiresAt: now.Truncate(time.Second).Add(a.life), Txn: fmt.Sprint("t", a.minted), Subject: s.subject,
		Scope: s.scope, Workload: ask.Workload, Session: s.id, State: state, ACR: "1", AuthTime: now.Add(-time.Minute),
		Mark: a.mark(), Tenant: "acme", Version: 1, SubjectVersion: 1 + a.versions[s.subject], AsOf: now, Schema: "shop/1",
	}
	token, err := a.signer.Sign(&c)
	return passport.Grant{Token: token, Claims: c, Handle: s.successor}, a.pause, err
}

// verify reads a passport as a service would.
func (a *authority) verify(t testing.TB, token string) passport.Claims {
	t.Helper()
	v, err := passport.New(passport.Config{Issuer: issuer, Audience: domain, Keys: a.keys})
	if err != nil {
		t.Fatal(err)
	}
	c, err := v.Verify(t.Context(), token)
	if err != nil {
		t.Fatalf("the service got a passport that is not good: %v", err)
	}
	return c
}

// site is an edge on a port, in front of a service.
type site struct {
	*authority
	edge    *edge.Edge
	url     string
	service *httptest.Server
}

// open starts a site: / is public, /account/ and /pay need a session, /sign-in signs people in. edit may change the
// configuration; UPSTREAM in routes stands for the service.
func open(t testing.TB, service http.HandlerFunc, edit func(*edge.Config)) *site {
	t.Helper()
	s := &site{authority: newAuthority(t), service: httptest.NewServer(service)}
	t.Cleanup(s.service.Close)
	s.tell(t)
	c := edge.Config{
		Authority: s.authority, View: s.view,
		Routes: []edge.Route{
			{Path: "/", Upstream: "UPSTREAM", Public: true},
			{Path: "/account/", Upstream: "UPSTREAM"},
			{Path: "/pay", Upstream: "UPSTREAM", Scopes: []string{"buy"}, Methods: []string{"POST"}},
			{Path: "/admin/", Upstream: "UPSTREAM", Scopes: []string{"admin"}},
			{Path: "/sign-in", Upstream: "UPSTREAM", Public: true, SignIn: true},
		},
		TrustedProxies: nil,
	}
	if edit != nil {
		edit(&c)
	}
	for i := range c.Routes {
		c.Routes[i].Upstream = strings.Replace(c.Routes[i].Upstream, "UPSTREAM", s.service.URL, 1)
	}
	var err error
	if s.edge, err = edge.Open(c); err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(s.edge)
	s.url = front.URL
	t.Cleanup(func() {
		front.Close()
		if err := s.edge.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// echo is a service that answers with the headers it was sent.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	_ = json.NewEncoder(w).Encode(sent{r.Method, r.Host, r.RequestURI, r.Header, string(body)})
}

// sent is what a service was sent.
type sent struct {
	Method, Host, Target string
	Header               http.Header
	Body                 string
}

// answer is what a client got.
type answer struct {
	status int
	header http.Header
	body   string
}

// echoed reads what the service was sent.
func (a answer) echoed(t testing.TB) sent {
	t.Helper()
	var s sent
	if err := json.Unmarshal([]byte(a.body), &s); err != nil {
		t.Fatalf("status %d, and no echo: %v in %q", a.status, err, a.body)
	}
	return s
}

// call sends a request: fields are "Name: value", a handle becomes the cookie.
func (s *site) call(t testing.TB, method, target, handle string, fields ...string) answer {
	t.Helper()
	return s.send(t, method, target, handle, nil, fields...)
}

func (s *site) send(t testing.TB, method, target, handle string, body io.Reader, fields ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.url+target, body)
	if err != nil {
		t.Fatal(err)
	}
	if handle != "" {
		r.Header.Set("Cookie", edge.CookieName+"="+handle)
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		if name == "Host" {
			r.Host = value
		}
		r.Header[name] = append(r.Header[name], value)
	}
	return do(t, r)
}

func do(t testing.TB, r *http.Request) answer {
	t.Helper()
	client := http.Client{
		Transport:     http.DefaultTransport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(body)}
}

// want complains about another status.
func (a answer) want(t testing.TB, status int) answer {
	t.Helper()
	if a.status != status {
		t.Fatalf("got status %d, want %d: %s", a.status, status, a.body)
	}
	return a
}

func loopback() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }
