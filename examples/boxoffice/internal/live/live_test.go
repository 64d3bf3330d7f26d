// SPDX-License-Identifier: Apache-2.0

// What the live page says of people.

package live

import "testing"

func TestAttributesAreShownAsInTheShop(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, value, want string }{
		{"limit", "30000", "300.00"},
		{"limit", "5", "0.05"},
		{"permit", `"NJ"`, "NJ"},
		{"permit", `""`, "none"},
		{"more", `{"a":1}`, `{"a":1}`},
	} {
		if got := said(c.name, []byte(c.value)); got != c.want {
			t.Errorf("%s %s is shown as %q, want %q", c.name, c.value, got, c.want)
		}
	}
}
