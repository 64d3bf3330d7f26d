// SPDX-License-Identifier: Apache-2.0

// Seals that are refused.

package legacy

import (
	"strings"
	"testing"

	"example.com/vidimus/internal/clock"
)

func TestBadSealsAreRefused(t *testing.T) {
	t.Parallel()
	good := sealIron("1", password, inAnHour(), claims())
	part := func(i int, change func(string) string) string {
		parts := strings.Split(good, "*")
		parts[i] = change(parts[i])
		return strings.Join(parts, "*")
	}
	to := func(s string) func(string) string { return func(string) string { return s } }
	past := "1700000000000"
	for _, c := range []struct{ name, value, why string }{
		{"garbage", "garbage", malformed},
		{"seven parts", strings.TrimSuffix(good, good[strings.LastIndex(good, "*"):]), malformed},
		{"nine parts", good + "*", malformed},
		{"the format before", part(0, to("Fe26.1")), malformed},
		{"version 1", good + "~1", malformed},
		{"two versions", good + "~2~2", malformed},
		{"an id nobody has", part(1, to("7")), noKey},
		{"an id with a sign", part(1, to("-1")), noKey},
		{"an endless id", part(1, to(strings.Repeat("1", 33))), malformed},
		{"a short salt", part(2, to("00")), malformed},
		{"a salt in capitals", part(2, strings.ToUpper), malformed},
		{"another salt", part(2, to(strings.Repeat("0", 64))), forged},
		{"iv with padding", part(3, func(s string) string { return s + "==" }), malformed},
		{"a short iv", part(3, to("AAAA")), malformed},
		{"nothing inside", part(4, to("")), malformed},
		{"half a block", part(4, to("AAAAAAAAAAA")), malformed},
		{"something else inside", part(4, to(b64(fill(64, "x")))), forged},
		{"an end in words", part(5, to("never")), malformed},
		{"an end with a plus", part(5, func(s string) string { return "+" + s }), malformed},
		{"an end with a zero", part(5, func(s string) string { return "0" + s }), malformed},
		{"an end before time", part(5, to("-1")), malformed},
		{"an end beyond time", part(5, to("9999999999999999")), malformed},
		{"a later end", part(5, func(s string) string { return s + "0" }), forged},
		{"no end", part(5, to("")), forged},
		{"expired and changed", part(5, to(past)), forged},
		{"another salt of the proof", part(6, to(strings.Repeat("0", 64))), forged},
		{"a cut proof", part(7, func(s string) string { return s[:22] }), malformed},
		{"a proof with bits left over", part(7, respell), malformed},
		{"another password", sealIron("1", "another "+password, inAnHour(), claims()), forged},
		{"expired", sealIron("1", password, past, claims()), expired},
		{"a list inside", sealIron("1", password, inAnHour(), []byte(`["ada"]`)), badClaims},
		{"a name twice inside", sealIron("1", password, inAnHour(), []byte(`{"sub":"ada","sub":"eve"}`)), badClaims},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := mustReader(t, Cookie{Name: "s", Format: Iron, Keys: []Key{{Secret: []byte(password)}}})
			if _, err := r.Read(request("s", c.value)); Why(err) != c.why {
				t.Errorf("got %v because %q, want because %q", err, Why(err), c.why)
			}
		})
	}
}

func TestAnExpClaimDoesNotLengthenASeal(t *testing.T) {
	t.Parallel()
	r := mustReader(t, Cookie{Name: "s", Format: Iron, Keys: []Key{{Secret: []byte(password)}}})
	value := sealIron("1", password, "1700000000000", claims("exp", clock.Now().Unix()+3600))
	if _, err := r.Read(request("s", value)); Why(err) != expired {
		t.Errorf("got %q, want %q", Why(err), expired)
	}
}
