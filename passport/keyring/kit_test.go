// SPDX-License-Identifier: Apache-2.0

// What the tests share.

package keyring_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"example.com/vidimus/journal"
	"example.com/vidimus/passport"
)

// kidOf reads the kid from a passport's header.
func kidOf(t *testing.T, token string) string {
	t.Helper()
	head, _, _ := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(head)
	var h struct{ Kid string }
	if err == nil {
		err = json.Unmarshal(text, &h)
	}
	if err != nil || h.Kid == "" {
		t.Fatalf("header %s: %v", text, err)
	}
	return h.Kid
}

// has reports whether a key is published.
func has(t *testing.T, set *passport.KeySet, kid string) bool {
	t.Helper()
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(text), `"kid":"`+kid+`"`)
}

// mustVerify checks a passport with a key set and nothing else.
func mustVerify(t *testing.T, set *passport.KeySet, token string) {
	t.Helper()
	v, err := passport.New(passport.Config{Issuer: "https://vidimus.test", Audience: "shop", Keys: set, Remember: -1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(context.Background(), token); err != nil {
		t.Fatalf("a good passport of key %s is refused: %v", kidOf(t, token), err)
	}
}

// events counts the events of a type.
func events(t *testing.T, log *journal.Log, name string) int {
	t.Helper()
	n, o := 0, journal.ReadOptions{Filter: journal.Filter{{Types: []string{name}}}}
	for _, err := range log.Read(context.Background(), o) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// mustPut overwrites a record behind the ring's back.
func mustPut(t *testing.T, log *journal.Log, key string, value any) {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	_, err = log.Commit(context.Background(), journal.Unit{Records: []journal.RecordWrite{
		{Kind: kind, Key: key, Expect: journal.Any, Value: text},
	}})
	if err != nil {
		t.Fatal(err)
	}
}
