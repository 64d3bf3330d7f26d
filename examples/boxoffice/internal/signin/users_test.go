// SPDX-License-Identifier: Apache-2.0

// Who is let in.

package signin

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
)

func TestPasswordsAreChecked(t *testing.T) {
	t.Parallel()
	h := newHashes(2)
	for _, demo := range Demos() {
		u, err := h.check(t.Context(), demo.Name, demo.Password)
		if err != nil || u == nil || u.ID != demo.Name {
			t.Errorf("%s is answered %v, %v", demo.Name, u, err)
		}
	}
	for _, c := range [][2]string{
		{"ada", "kite-and-key"}, {"nobody", "analytical-engine"}, {"Ada", "analytical-engine"},
	} {
		if u, err := h.check(t.Context(), c[0], c[1]); u != nil || err != nil {
			t.Errorf("%q is let in as %v, %v", c, u, err)
		}
	}
}

func TestHashingWaitsForItsTurn(t *testing.T) {
	t.Parallel()
	h := newHashes(1)
	h.slots <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if u, err := h.check(ctx, "ada", "analytical-engine"); u != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("without a slot: %v, %v", u, err)
	}
}

func TestUsersBeginWithAttributes(t *testing.T) {
	t.Parallel()
	for _, u := range Users() {
		for _, name := range []string{"name", "permit", "limit"} {
			if !json.Valid(u.State[name]) {
				t.Errorf("%s has the %s %q", u.ID, name, u.State[name])
			}
		}
	}
}

func TestDevicesHaveNames(t *testing.T) {
	t.Parallel()
	for agent, want := range map[string]string{
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0":                 "Firefox on Linux",
		"Mozilla/5.0 (Windows NT 10.0) (KHTML, like Gecko) Chrome/140.0 Safari/537.36 Edg/140.0": "Edge on Windows",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Safari/604.1":       "Safari on iPhone",
		"Mozilla/5.0 (Linux; Android 16) (KHTML, like Gecko) Chrome/140.0 Mobile Safari/537.36":  "Chrome on Android",
		"curl/7.88.1":               "curl",
		"":                          "unknown",
		"<script>alert(1)</script>": "unknown",
	} {
		if got := deviceName(agent); got != want {
			t.Errorf("%q is %q; want %q", agent, got, want)
		}
	}
}
