// SPDX-License-Identifier: Apache-2.0

// The text of a token.

package token

import (
	"errors"
	"strings"
	"testing"
)

func FuzzParse(f *testing.F) {
	f.Add("vid_0123456789_0123456789abcdefghjkmnpqrstvwxyz")
	f.Add("vid_0123456789_" + newSecret())
	f.Add("vid__")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		id, secret, err := parse(text)
		if err != nil {
			if !errors.Is(err, ErrUnauthenticated) || text != "" && strings.Contains(err.Error(), text) && len(text) > 20 {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		if prefix+id+"_"+secret != text {
			t.Errorf("%q reads as id %q and secret %q", text, id, secret)
		}
	})
}

func TestSecretsDiffer(t *testing.T) {
	t.Parallel()
	a, b := newSecret(), newSecret()
	if a == b || len(a) != secretText || !plain(a) {
		t.Errorf("made %q and %q", a, b)
	}
}
