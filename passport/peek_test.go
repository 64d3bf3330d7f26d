// SPDX-License-Identifier: Apache-2.0

// What a passport says is read without proof, and what is none is refused.

package passport_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"example.com/vidimus/passport"
)

func TestPeekReadsWhatAVerifierReads(t *testing.T) {
	t.Parallel()
	now := time.Now()
	want := claims(now)
	token, err := signer(t, 1).Sign(&want)
	if err != nil {
		t.Fatal(err)
	}
	v, err := passport.New(passport.Config{Issuer: issuer, Audience: audience, Keys: keySet(t, signer(t, 1))})
	if err != nil {
		t.Fatal(err)
	}
	verified, err := v.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	got, err := passport.Peek(token)
	if err != nil || !reflect.DeepEqual(got, verified) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, verified)
	}
	point := strings.LastIndexByte(token, '.')
	for name, text := range map[string]string{
		"nothing": "", "no signature": token[:point], "short signature": token[:point+9], "no header": token[5:],
		"no payload": token[:strings.IndexByte(token, '.')+1] + token[point:], "huge": strings.Repeat("a", 9<<10),
	} {
		if c, err := passport.Peek(text); !errors.Is(err, passport.ErrInvalid) {
			t.Errorf("%s: %+v, %v, want invalid", name, c, err)
		}
	}
}
