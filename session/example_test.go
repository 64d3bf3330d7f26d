// SPDX-License-Identifier: Apache-2.0

// A session from sign-in to logout.

package session_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"example.com/vidimus/cell"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/passport"
	"example.com/vidimus/passport/keyring"
	"example.com/vidimus/session"
)

// openExample opens sessions whose public schema has a limit.
func openExample(ctx context.Context) (*session.Sessions, error) {
	c, err := cell.Open(ctx, cell.Config{Log: mem.Open()})
	if err != nil {
		return nil, err
	}
	seal := bytes.Repeat([]byte{1}, keyring.SealSize) // from a secret store
	keys, err := keyring.Open(ctx, keyring.Config{Log: c.Log(), Seal: seal})
	if err != nil {
		return nil, err
	}
	return session.Open(ctx, session.Config{
		Cell: c, Keys: keys, Issuer: "https://id.example", TrustDomain: "shop", Schema: "shop/1",
		Public: session.Public{Subject: map[string]session.Attribute{"limit": {Type: "number"}}},
		Scopes: []string{"read", "buy"},
	})
}

func Example() {
	ctx := context.Background()
	sessions, err := openExample(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	// The login service has made sure who it is. The handle goes into the browser's cookie.
	ada, err := sessions.Start(ctx, session.Start{
		Tenant: "acme", Subject: "ada", AMR: []string{"pwd"}, SubjectState: session.State{"limit": json.RawMessage("100")},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	// The edge has a passport minted for each request.
	grant, err := sessions.Mint(ctx, passport.Ask{Handle: ada.Handle, Workload: "edge"})
	fmt.Println(grant.Claims.Subject, grant.Claims.Scope, string(grant.Claims.State), err)

	_, err = sessions.End(ctx, ada.ID, session.Ended{By: "ada"})
	fmt.Println("logged out:", err)
	_, err = sessions.Mint(ctx, passport.Ask{Handle: ada.Handle, Workload: "edge"})
	fmt.Println(err)
	// Output:
	// ada read buy {"subject":{"limit":100},"session":{}} <nil>
	// logged out: <nil>
	// no such session: session has ended
}

// Two tabs change what they saw at version 1. The second is told that it has to look again.
func ExampleSessions_ChangeSubject() {
	ctx := context.Background()
	sessions, err := openExample(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	ada, err := sessions.Start(ctx, session.Start{
		Tenant: "acme", Subject: "ada", SubjectState: session.State{"limit": json.RawMessage("100")},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	change := func(limit string) error {
		_, err := sessions.ChangeSubject(ctx, "acme", "ada", session.Change{
			Expect: journal.Exactly(1), Set: session.State{"limit": json.RawMessage(limit)}, Via: ada.ID,
		})
		return err
	}
	fmt.Println(change("50"))
	var conflict *journal.ConflictError
	fmt.Println(errors.As(change("70"), &conflict), conflict.Actual)

	// A request that was under way when the session ended changes nothing any more.
	_, _ = sessions.End(ctx, ada.ID, session.Ended{})
	_, err = sessions.ChangeSubject(ctx, "acme", "ada", session.Change{
		Expect: journal.Any, Set: session.State{"limit": json.RawMessage("1000000")}, Via: ada.ID,
	})
	fmt.Println(err)
	// Output:
	// <nil>
	// true 2
	// session has ended
}

func ExampleChanges() {
	e := journal.Event{
		Position: 7, Stream: "session-0123456789abcdefghijkl", EventData: journal.EventData{Type: "session.ended"},
	}
	for _, c := range session.Changes(&e) {
		fmt.Println(c.Position, c.Scope, c.Key, c.Effect)
	}
	// Output:
	// 7 session 0123456789abcdefghijkl revoked
}
