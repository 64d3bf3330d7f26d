// SPDX-License-Identifier: Apache-2.0

// A ring that signs, rotates, and revokes a key that got into wrong hands.

package keyring_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"example.com/vidimus/journal/mem"
	"example.com/vidimus/passport/keyring"
)

func Example() {
	ctx := context.Background()
	seal := bytes.Repeat([]byte{1}, keyring.SealSize) // from a secret store
	ring, err := keyring.Open(ctx, keyring.Config{Log: mem.Open(), Seal: seal})
	if err != nil {
		fmt.Println(err)
		return
	}
	first := ring.KeySet().Keys()[0].ID
	_, err = ring.Rotate(ctx)
	fmt.Println(len(ring.KeySet().Keys()), "keys are published:", err)

	fmt.Println("revoked:", ring.Revoke(ctx, first, "ops", "laptop stolen"))
	for _, key := range ring.KeySet().Keys() {
		fmt.Println(key.ID != first)
	}
	// Output:
	// 2 keys are published: <nil>
	// revoked: <nil>
	// true
	// true
}

func ExampleRing_Handle() {
	ctx := context.Background()
	seal := bytes.Repeat([]byte{1}, keyring.SealSize)
	ring, err := keyring.Open(ctx, keyring.Config{Log: mem.Open(), Seal: seal})
	if err != nil {
		fmt.Println(err)
		return
	}
	handle := ring.Handle("main", "0123456789abcdefghijkl", 3)
	fmt.Println(strings.HasPrefix(handle, "v1.main.0123456789abcdefghijkl.3."))
	fmt.Println(ring.OpenHandle("main", handle))
	_, _, err = ring.OpenHandle("main", strings.Replace(handle, ".3.", ".4.", 1))
	fmt.Println(err)
	// Output:
	// true
	// 0123456789abcdefghijkl 3 <nil>
	// no such session
}
