// SPDX-License-Identifier: Apache-2.0

// The whole migration, stage by stage: cookies that the real packages made, through the edge, into the journal.

package interop

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/vidimus/cell"
	"example.com/vidimus/edge"
	"example.com/vidimus/edge/legacy"
	"example.com/vidimus/edge/legacy/sessionlegacy"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/passport"
	"example.com/vidimus/passport/keyring"
	"example.com/vidimus/session"
)

// migrating is a shop whose service answers with whom it was told of, and with the cookies that it saw.
type migrating struct {
	sessions *session.Sessions
	log      *journal.Log
	upstream string
}

func newMigrating(t *testing.T) *migrating {
	t.Helper()
	log := mem.Open()
	c, err := cell.Open(t.Context(), cell.Config{Name: "shop", Log: log})
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keyring.Open(t.Context(), keyring.Config{Log: log, Seal: make([]byte, keyring.SealSize)})
	if err != nil {
		t.Fatal(err)
	}
	m := &migrating{log: log}
	m.sessions, err = session.Open(t.Context(), session.Config{
		Cell: c, Keys: ring, Issuer: npmIssuer, TrustDomain: npmAudience, Scopes: []string{"buy"}, Schema: "shop/1",
		Public: session.Public{Subject: map[string]session.Attribute{"limit": {Type: "number"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	v, err := passport.New(passport.Config{Issuer: npmIssuer, Audience: npmAudience, KeysNow: ring.KeySet})
	if err != nil {
		t.Fatal(err)
	}
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := "nobody"
		if token := r.Header.Get("Txn-Token"); token != "" {
			claims, err := v.Verify(r.Context(), token)
			if err != nil {
				t.Errorf("the service was sent a passport that is none: %v", err)
			}
			who = fmt.Sprintf("%s %s", claims.Subject, claims.State)
		}
		for _, cookie := range r.Cookies() {
			if strings.Contains(cookie.Name, ".session-token") || strings.HasPrefix(cookie.Name, "shop") {
				who += " with the old cookie"
				break
			}
		}
		fmt.Fprint(w, who)
	}))
	t.Cleanup(service.Close)
	m.upstream = service.URL
	return m
}

// open returns an edge in a stage of the migration of one kind of cookie.
func (m *migrating) open(t *testing.T, c *npmCase, cfg legacy.GateConfig) (*edge.Edge, *legacy.Gate) {
	t.Helper()
	cookie := legacy.Cookie{Name: c.Cookie, Format: c.Format, Endless: c.Endless}
	for _, k := range c.Keys {
		cookie.Keys = append(cookie.Keys, legacy.Key{ID: k.ID, Secret: append(k.Secret64, k.Secret...)})
	}
	var err error
	cfg.Reader, err = legacy.NewReader(legacy.Config{Cookies: []legacy.Cookie{cookie}, Map: withLimit})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Journal = sessionlegacy.New(m.sessions, m.log)
	gate, err := legacy.NewGate(cfg)
	if err != nil {
		t.Fatal(err)
	}
	// Nothing tells this edge of changes, so it asks the authority about each request.
	e, err := edge.Open(edge.Config{
		Authority: m.sessions, Legacy: gate,
		Routes: []edge.Route{
			{Path: "/", Upstream: m.upstream, Public: true, MaxStale: time.Nanosecond},
			{Path: "/account", Upstream: m.upstream, MaxStale: time.Nanosecond},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e, gate
}

func withLimit(t legacy.Token) (legacy.Identity, error) {
	var sub string
	err := json.Unmarshal(t.Claims["sub"], &sub)
	state := map[string]json.RawMessage{"limit": t.Claims["limit"]}
	return legacy.Identity{Subject: sub, SubjectState: state}, err
}

// get asks an edge for a page with cookies, and returns the answer, its text, and the cookies that it sets.
func get(e *edge.Edge, path, cookies string) (int, string, []*http.Cookie) {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header.Set("Cookie", cookies)
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	return w.Code, w.Body.String(), w.Result().Cookies()
}

const adaWithLimit = `ada {"subject":{"limit":100},"session":{}}`

func TestUsersOfTheRealPackagesAreMigrated(t *testing.T) {
	t.Parallel()
	var cases []npmCase
	if err := json.Unmarshal(node(t, "cookies.mjs"), &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		if c.Refused != "" {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			m := newMigrating(t)
			m.shadow(t, &c)
			m.importAndLeave(t, &c)
		})
	}
}

// shadow looks at a cookie without touching it.
func (m *migrating) shadow(t *testing.T, c *npmCase) {
	t.Helper()
	e, gate := m.open(t, c, legacy.GateConfig{Stage: legacy.Shadow, Patience: time.Minute})
	compare := func(want legacy.Disagreement) {
		t.Helper()
		code, text, set := get(e, "/", c.Header)
		if code != http.StatusOK || text != "nobody with the old cookie" || len(set) != 0 {
			t.Errorf("in shadow: %d %q, and sets %v", code, text, set)
		}
		got := *gate.Stats().Shadow
		got.Age, got.DifferAge, got.Attributes = legacy.Quantiles{}, legacy.Quantiles{}, nil
		got.Stale, got.Contrary = 0, 0 // seals are dated by their configured life
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("in shadow: counted %+v, want %+v", got, want)
		}
	}
	compare(legacy.Disagreement{Compared: 1, Unknown: 1})
	for i, limit := range []string{"50", "100"} {
		change := session.Change{Expect: journal.Any, Set: session.State{"limit": []byte(limit)}}
		if _, err := m.sessions.ChangeSubject(t.Context(), "", "ada", change); err != nil {
			t.Fatal(err)
		}
		compare(legacy.Disagreement{Compared: uint64(2 + i), Unknown: 1, Differ: 1, Agree: uint64(i)})
	}
}

// importAndLeave signs in by a cookie, signs out, and finds the cookie worthless.
func (m *migrating) importAndLeave(t *testing.T, c *npmCase) {
	t.Helper()
	e, gate := m.open(t, c, legacy.GateConfig{Stage: legacy.Import})
	code, text, set := get(e, "/account", c.Header)
	if code != http.StatusOK || text != adaWithLimit {
		t.Fatalf("imported: %d %q, want %q", code, text, adaWithLimit)
	}
	handle, gone := "", []string{}
	for _, cookie := range set {
		if cookie.Name == edge.CookieName {
			handle = cookie.Value
		} else if cookie.MaxAge < 0 && strings.Contains(c.Header, cookie.Name+"=") {
			gone = append(gone, cookie.Name)
		}
	}
	gone = slices.Compact(slices.Sorted(slices.Values(gone)))
	if handle == "" || len(gone) != c.Chunks {
		t.Fatalf("sets %v; want a handle, and %d cookies gone", set, c.Chunks)
	}
	code, text, set = get(e, "/account", edge.CookieName+"="+handle)
	if code != http.StatusOK || text != adaWithLimit || len(set) != 0 {
		t.Errorf("with the handle: %d %q, and sets %v", code, text, set)
	}
	live, err := m.sessions.List(t.Context(), "", "ada")
	if err != nil || len(live) != 1 {
		t.Fatalf("%d sessions, %v; want one", len(live), err)
	}
	if _, err := m.sessions.End(t.Context(), live[0].ID, session.Ended{Why: session.LoggedOut}); err != nil {
		t.Fatal(err)
	}
	ours := edge.CookieName + "=" + handle
	for _, cookies := range []string{c.Header, ours, ours + "; " + c.Header} {
		if code, text, _ := get(e, "/account", cookies); code != http.StatusUnauthorized {
			t.Errorf("after the logout: %d %q", code, text)
		}
	}
	stats := gate.Stats()
	if stats.Imported != 1 || stats.Failed != 0 || len(stats.Refused) != 1 {
		t.Errorf("counted %+v", stats)
	}
	last, _ := m.open(t, c, legacy.GateConfig{Stage: legacy.Refuse})
	if code, text, _ := get(last, "/", c.Header); code != http.StatusOK || text != "nobody" {
		t.Errorf("refused: %d %q; want that the service sees nothing of it", code, text)
	}
}
