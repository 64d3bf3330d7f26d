// SPDX-License-Identifier: Apache-2.0

// A cookie becomes a session, and is worth nothing once that has ended.

package sessionlegacy_test

import (
	"context"
	"errors"
	"fmt"

	"example.com/vidimus/cell"
	"example.com/vidimus/edge/legacy"
	"example.com/vidimus/edge/legacy/sessionlegacy"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/passport/keyring"
	"example.com/vidimus/session"
)

func ExampleJournal() {
	ctx, log := context.Background(), mem.Open()
	c, err := cell.Open(ctx, cell.Config{Name: "shop", Log: log})
	if err != nil {
		fmt.Println(err)
		return
	}
	ring, err := keyring.Open(ctx, keyring.Config{Log: log, Seal: make([]byte, keyring.SealSize)})
	if err != nil {
		fmt.Println(err)
		return
	}
	sessions, err := session.Open(ctx, session.Config{
		Cell: c, Keys: ring, Issuer: "https://id.test", TrustDomain: "shop", Scopes: []string{"buy"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	journal := sessionlegacy.New(sessions, log)
	cookie := legacy.SignIn{Key: [32]byte{1}, Identity: legacy.Identity{Subject: "ada"}}

	handle, err := journal.Start(ctx, cookie)
	fmt.Println(handle != "", err)
	again, err := journal.Start(ctx, cookie)
	fmt.Println(again == handle, err)

	live, err := sessions.Resolve(ctx, handle)
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := sessions.End(ctx, live.ID, session.Ended{Why: session.LoggedOut}); err != nil {
		fmt.Println(err)
		return
	}
	_, err = journal.Start(ctx, cookie)
	fmt.Println(errors.Is(err, legacy.ErrSpent))
	// Output:
	// true <nil>
	// true <nil>
	// true
}
