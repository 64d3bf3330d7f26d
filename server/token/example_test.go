// SPDX-License-Identifier: Apache-2.0

// How tokens are used.

package token_test

import (
	"context"
	"errors"
	"fmt"

	"example.com/vidimus/journal/mem"
	"example.com/vidimus/server/token"
)

func Example() {
	ctx := context.Background()
	book := token.NewBook(mem.Open())
	rights, err := token.ParseRights("append:order", "read:*")
	if err != nil {
		fmt.Println(err)
		return
	}
	text, made, err := book.Create(ctx, token.Spec{Name: "the shop", Rights: rights})
	if err != nil {
		fmt.Println(err)
		return
	}
	found, err := book.Verify(ctx, text)
	fmt.Println(found.Name, found.Rights.Strings(), err)
	fmt.Println("may append to carts:", found.Rights.Allow(token.Append, "cart"))
	err = book.Revoke(ctx, made.ID)
	_, refused := book.Verify(ctx, text)
	fmt.Println(err, errors.Is(refused, token.ErrUnauthenticated))
	// Output:
	// the shop [append:order read:*] <nil>
	// may append to carts: false
	// <nil> true
}
