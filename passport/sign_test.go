// SPDX-License-Identifier: Apache-2.0

// What is signed and what is published: complete, bounded, and read again as it was.

package passport_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"example.com/vidimus/passport"
)

func TestWhatIsSignedIsReadAgain(t *testing.T) {
	t.Parallel()
	s := signer(t, 1)
	v := verifier(t, passport.Config{Keys: keySet(t, s)})
	now := time.Now().Truncate(time.Second).UTC()
	full := claims(now)
	odd := claims(now)
	odd.Subject, odd.Session = "zoë \"quoted\" \\ \u2028 \x01 😀", ""
	odd.Request = nil
	odd.State = json.RawMessage("{ \"a\" : [ 1 , \"\\u00e9\" ] }")
	odd.AMR, odd.ACR, odd.AuthTime, odd.Tenant, odd.Schema = nil, "", time.Time{}, "", ""
	odd.Version, odd.SubjectVersion = 0, 0
	for name, want := range map[string]passport.Claims{"full": full, "odd": odd} {
		got, err := v.Verify(t.Context(), sign(t, s, want))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want.KeyID = s.Public().ID
		want.AsOf = want.AsOf.UTC()
		if name == "odd" {
			want.State = json.RawMessage(`{"a":[1,"\u00e9"]}`)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got  %+v\nwant %+v", name, got, want)
		}
	}
	again := claims(now)
	if sign(t, s, again) != sign(t, s, full) {
		t.Error("the same claims are signed in two spellings")
	}
}

func TestClaimsThatNobodyWouldBelieveAreNotSigned(t *testing.T) {
	t.Parallel()
	s := signer(t, 1)
	for _, c := range []struct {
		field  string
		change func(*passport.Claims)
	}{
		{"iss", func(c *passport.Claims) { c.Issuer = "" }},
		{"aud", func(c *passport.Claims) { c.Audience = "" }},
		{"iat", func(c *passport.Claims) { c.IssuedAt = time.Time{} }},
		{"exp", func(c *passport.Claims) { c.ExpiresAt = time.Time{} }},
		{"exp", func(c *passport.Claims) { c.ExpiresAt = c.IssuedAt }},
		{"exp", func(c *passport.Claims) { c.ExpiresAt = c.IssuedAt.Add(passport.MaxLife + time.Second) }},
		{"txn", func(c *passport.Claims) { c.Txn = "" }},
		{"sub", func(c *passport.Claims) { c.Subject = "" }},
		{"sub", func(c *passport.Claims) { c.Subject = "al\xffice" }},
		{"scope", func(c *passport.Claims) { c.Scope = "" }},
		{"scope", func(c *passport.Claims) { c.Scope = "a  b" }},
		{"scope", func(c *passport.Claims) { c.Scope = " a" }},
		{"scope", func(c *passport.Claims) { c.Scope = "a\"b" }},
		{"scope", func(c *passport.Claims) { c.Scope = "ä" }},
		{"req_wl", func(c *passport.Claims) { c.Workload = "" }},
		{"log", func(c *passport.Claims) { c.Log = "" }},
		{"vid", func(c *passport.Claims) { c.Log = "c3:1" }},
		{"vid", func(c *passport.Claims) { c.Epoch = 0 }},
		{"pos", func(c *passport.Claims) { c.Position = -1 }},
		{"ver", func(c *passport.Claims) { c.Version = -1 }},
		{"ver", func(c *passport.Claims) { c.Version = 1 << 53 }},
		{"vid.asof", func(c *passport.Claims) { c.AsOf = time.Time{} }},
		{"amr", func(c *passport.Claims) { c.AMR = make([]string, 9) }},
		{"tctx", func(c *passport.Claims) { c.State = json.RawMessage(`[1]`) }},
		{"tctx", func(c *passport.Claims) { c.State = json.RawMessage(`{"a":1,"a":2}`) }},
		{"tctx", func(c *passport.Claims) { c.State = json.RawMessage(`{"\u0061":1}`) }},
		{"tctx", func(c *passport.Claims) { c.State = json.RawMessage(`{"a":1`) }},
		{"tctx", func(c *passport.Claims) { c.State = json.RawMessage("{\"a\":\"\xff\"}") }},
		{"tctx", func(c *passport.Claims) { c.State = json.RawMessage(`{"a":"\ud800"}`) }},
		{"tctx", func(c *passport.Claims) { c.State = json.RawMessage(`{"a":"` + strings.Repeat("x", 5000) + `"}`) }},
		{"tctx", func(c *passport.Claims) { c.State = json.RawMessage(`{"a":"` + strings.Repeat("x", 3500) + `"}`) }},
		{"rctx", func(c *passport.Claims) { c.Request = json.RawMessage(`"x"`) }},
	} {
		with := claims(time.Now())
		c.change(&with)
		token, err := s.Sign(&with)
		var bad *passport.InvalidError
		if !errors.As(err, &bad) || bad.Field != c.field || token != "" {
			t.Errorf("%s: got %q, %v", c.field, token, err)
		}
	}
}

func TestKeySetsAreReadAgain(t *testing.T) {
	t.Parallel()
	begins := time.Unix(1_800_000_000, 0).UTC()
	one, two := signer(t, 1).Public(), signer(t, 2).Public()
	two.NotBefore = begins
	set, err := passport.NewKeySet(one, two)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	again, err := passport.ParseKeySet(text)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := again.Keys(), []passport.Key{one, two}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v, from %s", got, want, text)
	}
	if empty, err := json.Marshal(new(passport.KeySet)); err != nil || string(empty) != `{"keys":[]}` {
		t.Errorf("no keys are %s, %v", empty, err)
	}
}

// The key of RFC 8037, appendix A.2, among keys that are not for passports (RFC 7517, section 5).
func TestKeysOfOthersAreLeftOut(t *testing.T) {
	t.Parallel()
	set, err := passport.ParseKeySet([]byte(`{"extra": 1, "keys": [
		{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"rsa"},
		{"kty":"EC","crv":"P-256","x":"a","y":"b","kid":"a kid with spaces"},
		{"kty":"OKP","crv":"X25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"x"},
		{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"enc","use":"enc"},
		{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"alg","alg":"HS256"},
		{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"ops","key_ops":["sign"]},
		{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"kPrK_qmx",
			"key_ops":["verify"],"use":"sig","alg":"Ed25519","x5c":[["a"],{"b":null}]}
	]}`))
	if err != nil {
		t.Fatal(err)
	}
	keys := set.Keys()
	if len(keys) != 1 || keys[0].ID != "kPrK_qmx" || passport.KeyID(keys[0].Public) != "kPrK_qmx" {
		t.Errorf("got %+v", keys)
	}
}

func TestBadKeySetsAreRefused(t *testing.T) {
	t.Parallel()
	const x = `"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"`
	key := func(members string) string { return `{"keys":[{"kty":"OKP","crv":"Ed25519",` + members + `}]}` }
	for name, text := range map[string]string{
		"nothing":            "",
		"no object":          "[]",
		"no keys":            "{}",
		"keys that are none": `{"keys":{}}`,
		"keys twice":         `{"keys":[],"keys":[]}`,
		"a member twice":     key(x + `,"kid":"a","kid":"b"`),
		"a private key":      key(x + `,"kid":"a","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"`),
		"a shared secret":    `{"keys":[{"kty":"oct","k":"AAAA"}]}`,
		"no x":               key(`"kid":"a"`),
		"a short x":          key(`"x":"AAAA","kid":"a"`),
		"a padded x":         key(`"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo=","kid":"a"`),
		"trailing bits in x": key(`"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURp","kid":"a"`),
		"a line break in x":  key(`"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\n","kid":"a"`),
		"no kid":             key(x),
		"a kid with a quote": key(x + `,"kid":"a\"b"`),
		"a long kid":         key(x + `,"kid":"` + strings.Repeat("a", 65) + `"`),
		"a kid that is 7":    key(x + `,"kid":7`),
		"one kid twice": `{"keys":[{"kty":"OKP","crv":"Ed25519",` + x + `,"kid":"a"},` +
			`{"kty":"OKP","crv":"Ed25519",` + x + `,"kid":"a"}]}`,
		"more behind":          `{"keys":[]} {}`,
		"invalid UTF-8":        "{\"keys\":[],\"a\":\"\xff\"}",
		"too many keys":        `{"keys":[` + strings.Repeat(`{},`, 200) + `{}]}`,
		"too long":             `{"keys":[],"a":"` + strings.Repeat("x", 64<<10) + `"}`,
		"nested without bound": `{"keys":[],"a":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`,
	} {
		if set, err := passport.ParseKeySet([]byte(text)); !errors.Is(err, passport.ErrInvalid) {
			t.Errorf("%s: got %+v, %v", name, set, err)
		} else if strings.Contains(err.Error(), "nWGxne") {
			t.Errorf("%s: the error holds the key: %v", name, err)
		}
	}
	long := signer(t, 1).Public()
	long.Public = bytes.Repeat([]byte{1}, 31)
	if _, err := passport.NewKeySet(long); !errors.Is(err, passport.ErrInvalid) {
		t.Errorf("a short key gives %v", err)
	}
	if _, err := passport.NewKeySet(make([]passport.Key, 33)...); !errors.Is(err, passport.ErrInvalid) {
		t.Errorf("33 keys give %v", err)
	}
}
