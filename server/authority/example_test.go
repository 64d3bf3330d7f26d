// SPDX-License-Identifier: Apache-2.0

// How an authority is wired, and what it answers.

package authority_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"example.com/vidimus/cell"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/passport/keyring"
	"example.com/vidimus/server"
	"example.com/vidimus/server/authority"
	"example.com/vidimus/session"
)

// serve wires a cell, a server and an authority. A node does the same: see Add and Mount of package vidimus.
func serve(ctx context.Context) (sessions *session.Sessions, address string, done chan error, err error) {
	log := mem.Open()
	c, err := cell.Open(ctx, cell.Config{Log: log})
	if err != nil {
		return nil, "", nil, err
	}
	seal := sha256.Sum256([]byte("in earnest: 32 random bytes from a file"))
	keys, err := keyring.Open(ctx, keyring.Config{Log: log, Seal: seal[:]})
	if err != nil {
		return nil, "", nil, err
	}
	const issuer, domain = "https://id.example", "shop.example"
	sessions, err = session.Open(ctx, session.Config{
		Cell: c, Keys: keys, Issuer: issuer, TrustDomain: domain, Schema: "shop/1", Scopes: []string{"buy"},
		Public: session.Public{Subject: map[string]session.Attribute{"limit": {Type: "number"}}},
	})
	if err != nil {
		return nil, "", nil, err
	}
	a, err := authority.Open(authority.Config{
		Cell: c, Sessions: sessions, Keys: keys, Issuer: issuer, TrustDomain: domain,
	})
	if err != nil {
		return nil, "", nil, err
	}
	s, err := server.New(server.Config{Cells: map[string]*journal.Log{c.Name(): log}, Open: true})
	if err != nil {
		return nil, "", nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", nil, err
	}
	done = make(chan error, 2)
	go func() { done <- s.Serve(ctx, l) }()
	go func() { done <- c.Run(ctx, keys, sessions, a) }()
	return sessions, "http://" + l.Addr().String(), done, a.Mount(s)
}

func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	sessions, address, done, err := serve(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	// A login service has made sure who this is.
	begun, err := sessions.Start(ctx, session.Start{
		Tenant: "acme", Subject: "u-42", SubjectState: session.State{"limit": json.RawMessage("500")},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	// An edge exchanges the cookie's handle for a passport.
	res, err := http.PostForm(address+"/oauth/token", url.Values{
		"grant_type":           {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"requested_token_type": {authority.TypePassport},
		"audience":             {"shop.example"},
		"subject_token":        {begun.Handle},
		"subject_token_type":   {authority.TypeHandle},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Body.Close()
	var answer struct {
		Token string `json:"access_token"`
		Type  string `json:"token_type"`
		Scope string `json:"scope"`
	}
	err = json.NewDecoder(res.Body).Decode(&answer)
	fmt.Println(res.Status, answer.Type, answer.Scope, strings.Count(answer.Token, "."), err)
	stop()
	fmt.Println(errors.Join(<-done, <-done))
	// Output:
	// 200 OK N_A buy 2 <nil>
	// <nil>
}
