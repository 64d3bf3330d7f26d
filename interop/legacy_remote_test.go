// SPDX-License-Identifier: Apache-2.0

// Cookies imported by an edge on another node than the authority's.

package interop

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"testing"
	"time"

	"example.com/vidimus/cell"
	"example.com/vidimus/edge/legacy"
	"example.com/vidimus/edge/legacy/sessionlegacy"
	"example.com/vidimus/heartbeat"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/passport/keyring"
	"example.com/vidimus/server"
	"example.com/vidimus/server/authority"
	"example.com/vidimus/server/remote"
	"example.com/vidimus/server/token"
	"example.com/vidimus/session"
)

// distant returns the log of a cell whose authority runs on a node of its own, reached over HTTP.
func distant(t *testing.T) *remote.Log {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	quiet, log := slog.New(slog.DiscardHandler), mem.Open()
	c, err := cell.Open(ctx, cell.Config{Log: log, Logger: quiet})
	check(err)
	ring, err := keyring.Open(ctx, keyring.Config{Log: log, Seal: make([]byte, keyring.SealSize)})
	check(err)
	sessions, err := session.Open(ctx, session.Config{
		Cell: c, Keys: ring, Issuer: npmIssuer, TrustDomain: npmAudience, Scopes: []string{"buy"}, Schema: "shop/1",
		Public: session.Public{Subject: map[string]session.Attribute{"limit": {Type: "number"}}},
	})
	check(err)
	s, err := server.New(server.Config{Cells: map[string]*journal.Log{c.Name(): log}, Logger: quiet})
	check(err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	url := "http://" + l.Addr().String()
	a, err := authority.Open(authority.Config{
		Cell: c, Sessions: sessions, Keys: ring, Tokens: s.Tokens(c.Name()), Issuer: npmIssuer, TrustDomain: npmAudience,
		URL: url, Logger: quiet,
	})
	check(err)
	check(a.Mount(s))
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	rights, err := token.ParseRights("session:*", "read:*")
	check(err)
	text, _, err := s.Tokens(c.Name()).Create(ctx, token.Spec{Name: "edge", Rights: rights})
	check(err)
	far, err := remote.New(remote.Config{URL: url, Token: text})
	check(err)
	t.Cleanup(func() {
		if err := far.Close(); err != nil {
			t.Error(err)
		}
	})
	return far
}

func TestCookiesAreImportedFromAnotherNode(t *testing.T) {
	t.Parallel()
	far := distant(t)
	sessions := far.Sessions()
	j := sessionlegacy.New(sessions, far)
	in := legacy.SignIn{Key: [32]byte{1}, Issued: time.Now(), Identity: legacy.Identity{
		Subject: "ada", SubjectState: map[string]json.RawMessage{"limit": []byte(`100`)},
	}}
	handle, err := j.Start(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := j.Start(t.Context(), in); err != nil || again != handle {
		t.Errorf("the same again: got %q, %v; want %q", again, err, handle)
	}
	known, err := j.Find(t.Context(), "", "ada")
	if err != nil || !known.Found || string(known.State["limit"]) != "100" || time.Since(known.Changed).Abs() > time.Minute {
		t.Errorf("found %+v, %v", known, err)
	}
	live, err := sessions.Resolve(t.Context(), handle)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sessions.End(t.Context(), live.ID, session.Ended{Why: session.LoggedOut}); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Start(t.Context(), in); !errors.Is(err, legacy.ErrSpent) {
		t.Errorf("after the logout: %v, want that it is spent", err)
	}
	bad := in
	bad.Key, bad.SubjectState = [32]byte{2}, map[string]json.RawMessage{"limit": []byte(`"much"`)}
	if _, err := j.Start(t.Context(), bad); !errors.Is(err, legacy.ErrUnfit) {
		t.Errorf("with a limit that is none: %v, want that it does not fit", err)
	}
	everywhere := session.Target{Scope: heartbeat.Subject, Subject: "ada"}
	if _, err := sessions.Revoke(t.Context(), everywhere, "ada", "lost phone"); err != nil {
		t.Fatal(err)
	}
	other := in
	other.Key = [32]byte{3}
	if _, err := j.Start(t.Context(), other); !errors.Is(err, legacy.ErrSpent) {
		t.Errorf("a cookie made before everything was revoked: %v, want that it is spent", err)
	}
}
