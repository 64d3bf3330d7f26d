// SPDX-License-Identifier: Apache-2.0

// What the tests of other proxies share: sessions on a journal, an edge that answers questions, and a service that
// checks passports on its own.

package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"example.com/vidimus/cell"
	"example.com/vidimus/edge"
	"example.com/vidimus/edge/legacy"
	"example.com/vidimus/edge/legacy/sessionlegacy"
	"example.com/vidimus/heartbeat"
	"example.com/vidimus/heartbeat/feed"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/passport"
	"example.com/vidimus/passport/keyring"
	"example.com/vidimus/session"
)

// obeyed is how soon a logout must be obeyed, with room for a machine that is busy.
const obeyed = 2*time.Second + 5*time.Second

// proxied is everything behind another proxy.
type proxied struct {
	sessions *session.Sessions
	edge     *edge.Edge
	outage   *outage
	slow     *slow            // the edge's view
	heard    *heartbeat.View  // the service's
	auth     *httptest.Server // the edge's answers
	service  *httptest.Server
	url      string // of the proxy, once it runs
}

// openProxied opens sessions, an edge and a service. The service knows passports by its own verifier and its own view, as
// it would on another machine.
func openProxied(t *testing.T) *proxied {
	t.Helper()
	log := mem.Open()
	c, err := cell.Open(t.Context(), cell.Config{Log: log})
	must(t, err)
	keys, err := keyring.Open(t.Context(), keyring.Config{Log: log, Seal: bytes.Repeat([]byte{1}, keyring.SealSize)})
	must(t, err)
	p := &proxied{}
	p.sessions, err = session.Open(t.Context(), session.Config{
		Cell: c, Keys: keys, Issuer: "https://id.example", TrustDomain: "shop", Schema: "shop/1", Scopes: []string{"buy"},
		Public: session.Public{Subject: map[string]session.Attribute{"limit": {Type: "number"}}},
	})
	must(t, err)
	changes, err := feed.Open(feed.Config{Log: log, Changes: session.Changes})
	must(t, err)
	run(t, changes.Run)
	p.outage, p.heard = &outage{Sessions: p.sessions}, follow(t, changes)
	p.slow = &slow{View: follow(t, changes)}
	verifier, err := passport.New(passport.Config{
		Issuer: "https://id.example", Audience: "shop", KeysNow: keys.KeySet, View: p.heard,
		Authority: p.outage,
	})
	must(t, err)
	p.service = httptest.NewServer(serviceBehind(verifier, p.sessions))
	t.Cleanup(p.service.Close)
	p.edge, err = edge.Open(edge.Config{
		Authority: p.outage, View: p.slow, SignInURL: "/sign-in", Legacy: importing(t, p.sessions),
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Routes: []edge.Route{
			{Path: "/", Public: true}, {Path: "/account/"}, {Path: "/admin/", Scopes: []string{"admin"}},
		},
	})
	must(t, err)
	p.auth = httptest.NewServer(p.edge.Auth())
	t.Cleanup(p.auth.Close)
	return p
}

// importing takes over the sessions of cookies named "old".
func importing(t *testing.T, sessions *session.Sessions) *legacy.Gate {
	t.Helper()
	reader, err := legacy.NewReader(legacy.Config{Cookies: []legacy.Cookie{
		{Name: "old", Format: legacy.JoseDir, Keys: []legacy.Key{{Secret: joseKinds()[0].key}}},
	}})
	must(t, err)
	gate, err := legacy.NewGate(legacy.GateConfig{
		Reader: reader, Journal: sessionlegacy.New(sessions, nil), Stage: legacy.Import,
	})
	must(t, err)
	return gate
}

// outage is an authority that may be down.
type outage struct {
	*session.Sessions
	down atomic.Bool
}

func (o *outage) Mint(ctx context.Context, a passport.Ask) (passport.Grant, error) {
	if o.down.Load() {
		return passport.Grant{}, passport.ErrUnavailable
	}
	return o.Sessions.Mint(ctx, a)
}

// slow is a view that hears of nothing while it is behind.
type slow struct {
	passport.View
	behind atomic.Bool
}

func (s *slow) Judge(c *passport.Claims) error {
	if s.behind.Load() {
		return nil
	}
	return s.View.Judge(c)
}

// guide returns the lines of docs/edge.md below a line, for the addresses of this test.
func (p *proxied) guide(t *testing.T, below string) string {
	t.Helper()
	page, err := os.ReadFile("../docs/edge.md")
	must(t, err)
	_, rest, found := strings.Cut(string(page), below)
	lines, _, ended := strings.Cut(rest, "```\n")
	if !found || !ended {
		t.Fatalf("docs/edge.md has no lines below %q", below)
	}
	return strings.NewReplacer("127.0.0.1:8080", strings.TrimPrefix(p.service.URL, "http://"),
		"127.0.0.1:7431", strings.TrimPrefix(p.auth.URL, "http://")).Replace(lines)
}

// serviceBehind answers with what it was sent; below /account/ only to those who have a passport, of whom those of
// /account/limit may change theirs.
func serviceBehind(v *passport.Verifier, sessions *session.Sessions) http.Handler {
	mux := http.NewServeMux()
	tell := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		subject := ""
		if c, ok := passport.FromContext(r.Context()); ok {
			subject = c.Subject
		}
		_ = json.NewEncoder(w).Encode(told{subject, r.URL.Path, r.Header})
	})
	mux.Handle("/", tell)
	strict := &passport.Rule{MaxStale: 5 * time.Second}
	asking := &passport.Rule{MaxStale: 5 * time.Second, WhenStale: passport.AskAuthority}
	mux.Handle("/account/", v.Require(tell, strict))
	mux.Handle("/account/limit", v.Require(limits{sessions}, strict))
	mux.Handle("/account/asking/limit", v.Require(limits{sessions}, asking))
	mux.HandleFunc("/account/forbidden", func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "the service's own words", http.StatusForbidden)
	})
	return mux
}

// told is what the service was sent.
type told struct {
	Subject, Path string
	Header        http.Header
}

// follow returns a view that follows the feed.
func follow(t *testing.T, f *feed.Feed) *heartbeat.View {
	t.Helper()
	c, err := heartbeat.Open(heartbeat.Config{Sources: []heartbeat.Source{f}, Every: 100 * time.Millisecond})
	must(t, err)
	run(t, c.Run)
	return c.View()
}

// run runs something until the test ends.
func run(t *testing.T, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// signIn starts a session and returns it.
func (p *proxied) signIn(t *testing.T) session.Started {
	t.Helper()
	s, err := p.sessions.Start(t.Context(), session.Start{Tenant: "acme", Subject: "ada"})
	must(t, err)
	return s
}

// get asks the proxy for a page.
func (p *proxied) get(t *testing.T, target, cookie string, fields ...string) (int, told, http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+target, nil)
	must(t, err)
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header[name] = append(r.Header[name], value)
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	must(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	must(t, err)
	var got told
	if res.StatusCode == http.StatusOK {
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatalf("%s answers 200 with %q", target, body)
		}
	}
	return res.StatusCode, got, res.Header
}

// program finds a program, or ends the test with the remedy.
func program(t *testing.T, name, remedy string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		for _, dir := range []string{"/usr/sbin", "/usr/local/sbin"} {
			if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
				return filepath.Join(dir, name)
			}
		}
		t.Fatalf("%s is not installed: %s", name, remedy)
	}
	return path
}

// freePort returns a port of this machine that nobody has.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// start runs a proxy until the test ends, and waits until it takes connections.
func (p *proxied) start(t *testing.T, port int, path string, args ...string) {
	t.Helper()
	var output bytes.Buffer
	c := exec.Command(path, args...)
	c.Stdout, c.Stderr = &output, &output
	c.Env = append(os.Environ(), "HOME="+t.TempDir())
	must(t, c.Start())
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	t.Cleanup(func() {
		_ = c.Process.Signal(os.Interrupt)
		<-ended
		if t.Failed() {
			t.Logf("%s said:\n%s", path, output.String())
		}
	})
	address := fmt.Sprintf("127.0.0.1:%d", port)
	p.url = "http://" + address
	for {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
			return
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("%s ended: %v\n%s", path, err, output.String())
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// protects is what every proxy must do when it asks the edge.
func (p *proxied) protects(t *testing.T) {
	t.Helper()
	ada := p.signIn(t)
	cookie := edge.CookieName + "=" + ada.Handle
	t.Run("a session passes, with a passport that the service verifies", func(t *testing.T) {
		status, got, _ := p.get(t, "/account/x?y=1", "a=1; "+cookie, "Txn-Token: evil", "Vidimus-Effect: evil",
			"Vidimus-Staleness: evil")
		if status != 200 || got.Subject != "ada" || got.Path != "/account/x" {
			t.Fatalf("got %d %+v", status, got)
		}
		if rest := strings.Join(got.Header["Cookie"], "; "); rest != "a=1" {
			t.Errorf("the service sees the cookies %q", rest)
		}
		if strings.Contains(fmt.Sprint(got.Header), "evil") {
			t.Errorf("what a client says of itself reaches the service: %v", got.Header)
		}
	})
	p.refusesInItsWords(t)
	p.readsItsWrites(t)
	t.Run("nobody does not", func(t *testing.T) {
		if status, _, _ := p.get(t, "/account/x", ""); status != 401 {
			t.Errorf("got %d", status)
		}
		if status, _, _ := p.get(t, "/account/x", cookie+"x"); status != 401 {
			t.Errorf("a forged handle gets %d", status)
		}
		if status, _, _ := p.get(t, "/admin/", cookie); status != 403 {
			t.Errorf("a session without the scope gets %d", status)
		}
	})
	t.Run("a public page gets what nobody spoofs", func(t *testing.T) {
		status, got, _ := p.get(t, "/public", "a=1", "Txn-Token: evil", "txn_token: evil", "Vidimus-Position: c3.1:1")
		if status != 200 || got.Header["Txn-Token"] != nil || strings.Contains(fmt.Sprint(got.Header), "evil") {
			t.Errorf("got %d %v", status, got.Header)
		}
	})
	t.Run("a client has no hand in the question", func(t *testing.T) {
		for _, fields := range [][]string{
			{"X-Forwarded-Uri: /public"},
			{"X-Original-Uri: /public"},
			{"X-Original-URI: /public", "X-Original-Method: GET"},
			{"X-Forwarded-Method: OPTIONS"},
			{"X-Forwarded-Host: evil.example"},
		} {
			if status, _, _ := p.get(t, "/account/x", "", fields...); status == 200 {
				t.Errorf("%q passes", fields)
			}
		}
		for _, target := range []string{"/public/%2e%2e/admin/", "/public/..%2fadmin/", "/public;/../admin/", "//admin/"} {
			if status, got, _ := p.get(t, target, ""); status == 200 && strings.HasPrefix(got.Path, "/admin") {
				t.Errorf("%s passes", target)
			}
		}
	})
	t.Run("a new handle reaches the browser", func(t *testing.T) {
		grace := p.signIn(t)
		next, err := p.sessions.Rotate(t.Context(), grace.Handle)
		must(t, err)
		before := joseKinds()[0].byGoJose(t, nil)
		for sent, want := range map[string]string{edge.CookieName + "=" + grace.Handle: next.Handle, "old=" + before: ""} {
			status, _, h := p.get(t, "/account/x", sent)
			all := (&http.Response{Header: h}).Cookies()
			if status != 200 || len(all) != 1 || all[0].Name != edge.CookieName || all[0].MaxAge != 0 || !all[0].Secure ||
				all[0].SameSite != http.SameSiteLaxMode || want != "" && all[0].Value != want {
				t.Fatalf("%.40s…: got %d with Set-Cookie %q", sent, status, h["Set-Cookie"])
			}
			status, got, h := p.get(t, "/account/x", all[0].Name+"="+all[0].Value+"; old="+before)
			if status != 200 || got.Subject != "ada" || h["Set-Cookie"] != nil || got.Header["Cookie"] != nil {
				t.Errorf("with the new handle: got %d, %q of %+v", status, h["Set-Cookie"], got)
			}
		}
	})
	t.Run("a logout is obeyed", func(t *testing.T) {
		_, err := p.sessions.End(t.Context(), ada.ID, session.Ended{By: "ada"})
		must(t, err)
		ended := time.Now()
		for {
			status, _, _ := p.get(t, "/account/x", cookie)
			if status == 401 {
				break
			}
			if time.Since(ended) > obeyed {
				t.Fatalf("%v after the logout the answer is %d", time.Since(ended), status)
			}
		}
		t.Logf("obeyed after %v", time.Since(ended))
	})
}
