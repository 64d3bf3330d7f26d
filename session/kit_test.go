// SPDX-License-Identifier: Apache-2.0

// What the tests share: sessions on several stores, with a public schema.

package session_test

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"

	"example.com/vidimus/cell"
	"example.com/vidimus/journal"
	"example.com/vidimus/passport"
	"example.com/vidimus/passport/keyring"
	"example.com/vidimus/session"
)

// house is a cell with its sessions.
type house struct {
	*session.Sessions
	cell *cell.Cell
	log  *journal.Log
	keys *keyring.Ring
}

// open opens sessions on a log. Alter may change the settings.
func open(t testing.TB, log *journal.Log, alter func(*session.Config)) *house {
	t.Helper()
	ctx := context.Background()
	c, err := cell.Open(ctx, cell.Config{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := keyring.Open(ctx, keyring.Config{Log: log, Seal: bytes.Repeat([]byte{7}, keyring.SealSize)})
	if err != nil {
		t.Fatal(err)
	}
	cfg := session.Config{
		Cell: c, Keys: keys, Issuer: "https://id.test", TrustDomain: "shop.test", Schema: "shop/1",
		Public: session.Public{
			Subject: map[string]session.Attribute{"permit": {Type: "string"}, "limit": {Type: "number"}, "extra": {}},
			Session: map[string]session.Attribute{"cart": {Type: "object"}, "tab": {Type: "number"}},
		},
		Scopes: []string{"read", "buy"},
	}
	if alter != nil {
		alter(&cfg)
	}
	s, err := session.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &house{s, c, log, keys}
}

// start begins a session of ada's at acme.
func (h *house) start(t testing.TB) session.Started {
	t.Helper()
	st, err := h.Start(context.Background(), session.Start{Tenant: "acme", Subject: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// ask is what a passport is asked for with.
func ask(handle string) passport.Ask { return passport.Ask{Handle: handle, Workload: "edge"} }

// mint mints a passport and has it verified.
func (h *house) mint(t testing.TB, handle string) passport.Grant {
	t.Helper()
	g, err := h.Mint(context.Background(), ask(handle))
	if err != nil {
		t.Fatal(err)
	}
	v, err := passport.New(passport.Config{
		Issuer: "https://id.test", Audience: "shop.test", KeysNow: h.keys.KeySet, Remember: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := v.Verify(context.Background(), g.Token)
	if err != nil {
		t.Fatalf("the passport is refused: %v", err)
	}
	g.Claims = c
	return g
}

// state makes attributes of names and JSON values.
func state(pairs ...string) session.State {
	s := session.State{}
	for i := 0; i < len(pairs); i += 2 {
		s[pairs[i]] = json.RawMessage(pairs[i+1])
	}
	return s
}
