// SPDX-License-Identifier: Apache-2.0

// Verifiers over HTTP: what they follow, and who may.

package authority_test

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"example.com/vidimus/heartbeat"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/passport"
	"example.com/vidimus/server/authority"
	"example.com/vidimus/session"
)

// follow runs a verifier's client against the authority until the test ends.
func (o *office) follow(t *testing.T, bearer string) *heartbeat.Client {
	t.Helper()
	c, err := heartbeat.Open(heartbeat.Config{
		Sources: []heartbeat.Source{&heartbeat.Remote{URL: o.url, Token: bearer}}, Every: 20 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return c
}

func TestAVerifierObeysWhatWasAcknowledged(t *testing.T) {
	t.Parallel()
	o := start(t, options{})
	client := o.follow(t, o.token(t, "feed"))
	v, err := passport.New(passport.Config{
		Issuer: issuer, Audience: domain, KeysURL: o.url + "/.well-known/jwks.json", View: client.View(),
	})
	if err != nil {
		t.Fatal(err)
	}
	s := o.signIn(t, "acme", "u-42")
	g := o.mint(t, s)
	if _, err := client.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	rule := &passport.Rule{Scopes: []string{"read"}, MaxStale: 5 * time.Second}
	if _, err := v.Check(t.Context(), g.Token, rule); err != nil {
		t.Fatalf("a good passport is refused: %v", err)
	}
	if _, err := o.sessions.End(t.Context(), s.ID, session.Ended{Why: session.LoggedOut}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Check(t.Context(), g.Token, rule); !errors.Is(err, passport.ErrRevoked) {
		t.Errorf("after the logout: %v, want revoked", err)
	}
}

func TestTheFeedTakesARight(t *testing.T) {
	t.Parallel()
	o := start(t, options{})
	for _, path := range []string{"/v1/feed", "/v1/ping", "/v1/beats"} {
		method := http.MethodPost
		if path == "/v1/feed" {
			method = http.MethodGet
		}
		for name, tt := range map[string]struct {
			bearer string
			status int
		}{
			"nobody":          {"", http.StatusUnauthorized},
			"an unknown one":  {"vid_abc_def", http.StatusUnauthorized},
			"no such right":   {o.token(t, "session:*", "passport:*", "read:*"), http.StatusForbidden},
			"a foreign token": {"Basic", http.StatusUnauthorized},
		} {
			got := o.do(t, ask{method: method, path: path, bearer: tt.bearer})
			if got.status != tt.status || got.body["message"] == nil {
				t.Errorf("%s at %s: %d %s, want %d and a message", name, path, got.status, got.text, tt.status)
			}
		}
	}
	got := o.do(t, ask{path: "/v1/ping", bearer: o.token(t, "feed")})
	head, err := o.log.Head(t.Context())
	if err != nil || got.status != http.StatusOK || got.body["pos"] != float64(head.Position) {
		t.Errorf("a ping is answered %d %s, want the head %v (%v)", got.status, got.text, head, err)
	}
}

// listen opens the feed and returns a reader of its lines.
func (o *office) listen(t *testing.T, bearer, from string) (*bufio.Scanner, *http.Response) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, o.url+"/v1/feed", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+bearer)
	if from != "" {
		r.Header.Set("Last-Event-ID", from)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return bufio.NewScanner(res.Body), res
}

func TestAFeedEndsWithItsToken(t *testing.T) {
	t.Parallel()
	o := start(t, options{})
	bearer := o.token(t, "feed")
	lines, res := o.listen(t, bearer, "")
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" || !lines.Scan() {
		t.Fatalf("the feed is answered %s %v", res.Status, res.Header)
	}
	id := strings.Split(bearer, "_")[1]
	if err := o.book.Revoke(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() { // ends when the token does
	}
	if t.Context().Err() != nil {
		t.Error("the feed went on")
	}
}

func TestAFeedEndsWhenTheNodeDoes(t *testing.T) {
	t.Parallel()
	o := start(t, options{})
	lines, _ := o.listen(t, o.token(t, "feed"), "")
	if !lines.Scan() {
		t.Fatal("the feed says nothing")
	}
	if err := o.stop(); err != nil { // which would wait 20 seconds for the stream
		t.Errorf("the node ended with %v", err)
	}
	for lines.Scan() {
	}
}

func TestABadPlaceIsRefusedAndAForeignOneGetsASnapshot(t *testing.T) {
	t.Parallel()
	o := start(t, options{})
	bearer := o.token(t, "feed")
	_, res := o.listen(t, bearer, "nonsense")
	if res.StatusCode != http.StatusBadRequest {
		t.Errorf("a bad Last-Event-ID is answered %s, want 400", res.Status)
	}
	lines, _ := o.listen(t, bearer, "elsewhere.1:5")
	lines.Scan()
	if lines.Scan(); !strings.Contains(lines.Text(), `"snapshot":true`) {
		t.Errorf("a place in another log is answered %s, want a snapshot", lines.Text())
	}
}

// TestOtherNodesGoOnWhereOneEnded lets a verifier change from one authority to another on the same journal.
func TestOtherNodesGoOnWhereOneEnded(t *testing.T) {
	t.Parallel()
	log := mem.Open()
	first, second := start(t, options{log: log, node: "n1"}), start(t, options{log: log, node: "n2"})
	bearer := first.token(t, "feed")
	client, err := heartbeat.Open(heartbeat.Config{
		Sources: []heartbeat.Source{
			&heartbeat.Remote{URL: first.url, Token: bearer}, &heartbeat.Remote{URL: second.url, Token: bearer},
		}, Every: 20 * time.Millisecond, Retry: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- client.Run(ctx) }()
	defer func() { cancel(); <-done }()
	s := first.signIn(t, "acme", "u-42")
	if _, err := client.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := second.sessions.End(t.Context(), s.ID, session.Ended{Why: session.LoggedOut}); err != nil {
		t.Fatal(err)
	}
	head, err := log.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	at := passport.Mark{Log: head.Log, Epoch: int64(head.Epoch), Position: int64(head.Position)}
	if err := client.View().Wait(t.Context(), at); err != nil {
		t.Fatal(err)
	}
	c := passport.Claims{Session: s.ID, Mark: at, Subject: "u-42", Tenant: "acme"}
	c.Mark.Position = int64(s.Position)
	if err := client.View().Judge(&c); !errors.Is(err, passport.ErrRevoked) {
		t.Errorf("the session that ended at the second node: %v, want revoked", err)
	}
}

func TestConfigNamesTheFieldAndTheRemedy(t *testing.T) {
	t.Parallel()
	o := start(t, options{})
	good := authority.Config{
		Cell: o.cell, Sessions: o.sessions, Keys: o.keys, Issuer: issuer, TrustDomain: domain,
	}
	for field, edit := range map[string]func(*authority.Config){
		"Config.Cell":        func(c *authority.Config) { c.Cell = nil },
		"Config.Sessions":    func(c *authority.Config) { c.Sessions = nil },
		"Config.Keys":        func(c *authority.Config) { c.Keys = nil },
		"Config.Issuer":      func(c *authority.Config) { c.Issuer = "id.example" },
		"Config.TrustDomain": func(c *authority.Config) { c.TrustDomain = "" },
		"Config.URL":         func(c *authority.Config) { c.URL = "ftp://x" },
		"Config.Streams":     func(c *authority.Config) { c.Streams = -1 },
	} {
		c := good
		edit(&c)
		var bad *journal.InvalidError
		if _, err := authority.Open(c); !errors.As(err, &bad) || bad.Field != field || bad.Problem == "" {
			t.Errorf("%s: %v, want invalid", field, err)
		}
	}
	if _, err := authority.Open(good); err != nil {
		t.Errorf("a good one: %v", err)
	}
	good.Presence.HoldShare = 7
	if _, err := authority.Open(good); err == nil || !strings.Contains(err.Error(), "HoldShare") {
		t.Errorf("a bad presence: %v, want HoldShare", err)
	}
}
