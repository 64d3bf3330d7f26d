// SPDX-License-Identifier: Apache-2.0

// How clients of an authority are tested: against a whole node on this machine.

package remote_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"testing"

	"example.com/vidimus/cell"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/passport/keyring"
	"example.com/vidimus/server"
	"example.com/vidimus/server/authority"
	"example.com/vidimus/server/remote"
	"example.com/vidimus/server/token"
	"example.com/vidimus/session"
)

const domain = "shop.example"

// office is a node with an authority that runs.
type office struct {
	*authority.Authority
	log      *journal.Log
	sessions *session.Sessions
	book     *token.Book
	addr     string
	url      string
	stop     func()
}

// start runs a node until the test ends: on a new journal and any port, unless they are given.
func start(t *testing.T, log *journal.Log, addr, node string, edit ...func(*authority.Config)) *office {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	if log == nil {
		log = mem.Open()
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	quiet := slog.New(slog.DiscardHandler)
	c, err := cell.Open(ctx, cell.Config{Log: log, Node: node, Logger: quiet})
	check(err)
	keys, err := keyring.Open(ctx, keyring.Config{Log: log, Seal: bytes.Repeat([]byte{7}, keyring.SealSize)})
	check(err)
	o := &office{log: log}
	o.sessions, err = session.Open(ctx, session.Config{
		Cell: c, Keys: keys, Issuer: "https://id.example", TrustDomain: domain, Schema: "shop/1",
		Public: session.Public{
			Subject: map[string]session.Attribute{"limit": {Type: "number"}},
			Session: map[string]session.Attribute{"theme": {Type: "string"}},
		},
		Scopes: []string{"read", "pay"}, Logger: quiet,
	})
	check(err)
	s, err := server.New(server.Config{Cells: map[string]*journal.Log{c.Name(): log}, Logger: quiet})
	check(err)
	o.book = s.Tokens(c.Name())
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", addr)
	check(err)
	o.addr, o.url = l.Addr().String(), "http://"+l.Addr().String()
	cfg := authority.Config{
		Cell: c, Sessions: o.sessions, Keys: keys, Tokens: o.book, Issuer: "https://id.example", TrustDomain: domain,
		URL: o.url, Logger: quiet,
	}
	for _, change := range edit {
		change(&cfg)
	}
	o.Authority, err = authority.Open(cfg)
	check(err)
	check(o.Mount(s))
	ended := make(chan error, 2)
	go func() { ended <- s.Serve(ctx, l) }()
	go func() { ended <- c.Run(ctx, keys, o.sessions, o.Authority) }()
	stopped := false
	o.stop = func() {
		if cancel(); !stopped {
			stopped = true
			if err := errors.Join(<-ended, <-ended); err != nil {
				t.Errorf("the node ended with %v, want nil", err)
			}
		}
	}
	t.Cleanup(o.stop)
	return o
}

// token makes a token with the given rights.
func (o *office) token(t *testing.T, rights ...string) string {
	t.Helper()
	parsed, err := token.ParseRights(rights...)
	if err != nil {
		t.Fatal(err)
	}
	text, _, err := o.book.Create(t.Context(), token.Spec{Name: "login", Rights: parsed})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// dial returns a client with a token of the given rights.
func (o *office) dial(t *testing.T, rights ...string) *remote.Log {
	t.Helper()
	l, err := remote.New(remote.Config{URL: o.url, Token: o.token(t, rights...)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// authority returns a client that mints, with a token of the given rights.
func (o *office) authority(t *testing.T, rights ...string) *remote.Authority {
	t.Helper()
	a, err := remote.NewAuthority(remote.AuthorityConfig{URL: o.url, Token: o.token(t, rights...), Audience: domain})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func limit(n string) session.State { return session.State{"limit": json.RawMessage(n)} }
