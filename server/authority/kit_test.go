// SPDX-License-Identifier: Apache-2.0

// How an authority is tested: a whole node on this machine, over real connections.

package authority_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"example.com/vidimus/cell"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/passport"
	"example.com/vidimus/passport/keyring"
	"example.com/vidimus/server"
	"example.com/vidimus/server/authority"
	"example.com/vidimus/server/token"
	"example.com/vidimus/session"
)

const (
	domain = "shop.example"
	issuer = "https://id.example"
)

// office is a node with an authority that runs.
type office struct {
	*authority.Authority
	log      *journal.Log
	cell     *cell.Cell
	sessions *session.Sessions
	keys     *keyring.Ring
	book     *token.Book
	url      string
	stop     func() error // ends everything, and returns what ended it
}

// options are what tests vary.
type options struct {
	log  *journal.Log
	open bool
	node string
	edit func(*authority.Config)
}

// start runs a node on this machine until the test ends.
func start(t testing.TB, opt options) *office {
	t.Helper()
	o := &office{log: opt.log}
	if o.log == nil {
		o.log = mem.Open()
	}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	quiet := slog.New(slog.DiscardHandler)
	var err error
	o.cell, err = cell.Open(ctx, cell.Config{Log: o.log, Node: opt.node, Logger: quiet})
	check(err)
	o.keys, err = keyring.Open(ctx, keyring.Config{Log: o.log, Seal: bytes.Repeat([]byte{7}, keyring.SealSize)})
	check(err)
	o.sessions, err = session.Open(ctx, session.Config{
		Cell: o.cell, Keys: o.keys, Issuer: issuer, TrustDomain: domain, Schema: "shop/1", Public: session.Public{
			Subject: map[string]session.Attribute{"limit": {Type: "number"}},
			Session: map[string]session.Attribute{"theme": {Type: "string"}},
		}, Scopes: []string{"read", "pay"}, Logger: quiet,
	})
	check(err)
	s, err := server.New(server.Config{
		Cells: map[string]*journal.Log{o.cell.Name(): o.log}, Open: opt.open, Logger: quiet,
	})
	check(err)
	o.book = s.Tokens(o.cell.Name())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	o.url = "http://" + l.Addr().String()
	config := authority.Config{
		Cell: o.cell, Sessions: o.sessions, Keys: o.keys, Tokens: o.book, Issuer: issuer, TrustDomain: domain, URL: o.url,
		Logger: quiet,
	}
	if opt.edit != nil {
		opt.edit(&config)
	}
	o.Authority, err = authority.Open(config)
	check(err)
	check(o.Mount(s))
	serving, endServing := context.WithCancel(ctx)
	served, worked := make(chan error, 1), make(chan error, 1)
	go func() { served <- s.Serve(serving, l) }()
	go func() { worked <- o.cell.Run(ctx, o.keys, o.sessions, o.Authority) }()
	stopped, result := false, error(nil)
	o.stop = func() error {
		if !stopped { // as a node does it: calls end first, then the work
			endServing()
			result = <-served
			cancel()
			result, stopped = errors.Join(result, <-worked), true
		}
		return result
	}
	t.Cleanup(func() {
		if err := o.stop(); err != nil {
			t.Errorf("the node ended with %v, want nil", err)
		}
	})
	return o
}

// token makes a token with the given rights.
func (o *office) token(t testing.TB, rights ...string) string {
	t.Helper()
	parsed, err := token.ParseRights(rights...)
	if err != nil {
		t.Fatal(err)
	}
	text, _, err := o.book.Create(t.Context(), token.Spec{Name: "edge-1", Rights: parsed})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// signIn starts a session.
func (o *office) signIn(t testing.TB, tenant, subject string) session.Started {
	t.Helper()
	s, err := o.sessions.Start(t.Context(), session.Start{
		ID: journal.NewID(), Tenant: tenant, Subject: subject,
		SubjectState: session.State{"limit": json.RawMessage("500")},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// said is an answer.
type said struct {
	status int
	header http.Header
	text   string
	body   map[string]any // if it is JSON
}

// ask is a request, with the body of a form unless it has one.
type ask struct {
	method, path string
	bearer       string
	form         url.Values
	body         io.Reader
	header       map[string]string
}

// do sends a request and reads the answer.
func (o *office) do(t *testing.T, a ask) said {
	t.Helper()
	if a.method == "" {
		a.method = http.MethodPost
	}
	body := a.body
	if body == nil && a.form != nil {
		body = strings.NewReader(a.form.Encode())
	}
	r, err := http.NewRequestWithContext(t.Context(), a.method, o.url+a.path, body)
	if err != nil {
		t.Fatal(err)
	}
	if a.form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if a.bearer != "" {
		r.Header.Set("Authorization", "Bearer "+a.bearer)
	}
	for name, value := range a.header {
		r.Header.Set(name, value)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := said{status: res.StatusCode, header: res.Header, text: string(text)}
	_ = json.Unmarshal(text, &out.body) // a test that needs it looks
	return out
}

// exchangeForm is a request for a passport that is in order.
func exchangeForm(handle string) url.Values {
	return url.Values{
		"grant_type":           {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"requested_token_type": {"urn:ietf:params:oauth:token-type:txn_token"},
		"audience":             {domain},
		"subject_token":        {handle},
		"subject_token_type":   {authority.TypeHandle},
	}
}

// verifier returns a verifier that fetches the keys over HTTP.
func (o *office) verifier(t *testing.T) *passport.Verifier {
	t.Helper()
	v, err := passport.New(passport.Config{
		Issuer: issuer, Audience: domain, KeysURL: o.url + "/.well-known/jwks.json", Remember: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}
