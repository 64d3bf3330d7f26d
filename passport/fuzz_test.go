// SPDX-License-Identifier: Apache-2.0

// Whatever is thrown at the readers: they never fail badly, and what they take, encoding/json takes in the same way.

package passport_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"example.com/vidimus/passport"
)

// issued is a moment in which fuzzed passports may be good, and which does not change from run to run.
func issued() time.Time { return time.Unix(1_800_000_000, 0).UTC() }

// FuzzToken throws texts at a verifier. What it takes is the one spelling of a JWS that our key has signed.
func FuzzToken(f *testing.F) {
	s := signer(f, 1)
	good := sign(f, s, claims(issued()))
	part := strings.Split(good, ".")
	for _, seed := range []string{
		good, "", "..", part[0] + ".", good + "=", good[:len(good)-1], "\n" + good, strings.ToUpper(good),
		part[0] + ".e30." + part[2], `{"payload":"` + part[1] + `"}`, strings.Repeat(".", 200),
	} {
		f.Add(seed)
	}
	v := verifier(f, passport.Config{Keys: keySet(f, s), Now: issued})
	f.Fuzz(func(t *testing.T, token string) {
		got, err := v.Verify(t.Context(), token)
		if err != nil {
			return
		}
		part := strings.Split(token, ".")
		payload, err := base64.RawURLEncoding.Strict().DecodeString(part[1])
		if err != nil || len(part) != 3 || s.SignPayload(payload) != token || got.Subject == "" {
			t.Errorf("%q is taken as %+v", token, got)
		}
	})
}

// FuzzPayload signs payloads. What the verifier takes, encoding/json reads in the same way, and holds no name twice.
func FuzzPayload(f *testing.F) {
	s := signer(f, 1)
	now := issued()
	payload := func(c passport.Claims) []byte {
		text, err := base64.RawURLEncoding.DecodeString(strings.Split(sign(f, s, c), ".")[1])
		if err != nil {
			f.Fatal(err)
		}
		return text
	}
	full := payload(claims(now))
	f.Add(full)
	f.Add(bytes.Replace(full, []byte(`"sub":"alice"`), []byte(`"sub":"\u0061\ud83d\ude00\n"`), 1))
	f.Add(bytes.Replace(full, []byte(`"sub":"alice"`), []byte(`"sub":"alice","sub":"bob"`), 1))
	f.Add(bytes.Replace(full, []byte(`"limit":300`), []byte(`"limit":-3.5e+7,"a":[[],{},null,true]`), 1))
	f.Add(bytes.ReplaceAll(full, []byte(`,`), []byte(" ,\n\t")))
	f.Add([]byte(`{}`))
	v := verifier(f, passport.Config{Keys: keySet(f, s), Now: issued})
	f.Fuzz(func(t *testing.T, payload []byte) {
		got, err := v.Verify(t.Context(), s.SignPayload(payload))
		if err != nil {
			return
		}
		want := exact(t, payload)
		if twice(json.NewDecoder(bytes.NewReader(payload))) {
			t.Errorf("%s is taken with a name that is there twice", payload)
		}
		if have := wireOf(got); !reflect.DeepEqual(have, want) {
			t.Errorf("%s reads\n%+v, want\n%+v", payload, have, want)
		}
	})
}

// exact reads a payload with encoding/json, by exact names: that package takes "SUB" for "sub", too.
func exact(t *testing.T, payload []byte) (w wire) {
	t.Helper()
	var all map[string]json.RawMessage
	if err := json.Unmarshal(payload, &all); err != nil {
		t.Fatalf("%s is taken, but is no JSON: %v", payload, err)
	}
	var vid map[string]json.RawMessage
	if err := json.Unmarshal(all["vid"], &vid); err != nil {
		t.Fatal(err)
	}
	for _, part := range []struct {
		from map[string]json.RawMessage
		to   reflect.Value
	}{{all, reflect.ValueOf(&w).Elem()}, {vid, reflect.ValueOf(&w.Vid).Elem()}} {
		for i := range part.to.NumField() {
			name := part.to.Type().Field(i).Tag.Get("json")
			if text, ok := part.from[name]; ok && name != "vid" {
				if err := json.Unmarshal(text, part.to.Field(i).Addr().Interface()); err != nil {
					t.Fatalf("%s is taken with %s that is %s", payload, name, text)
				}
			}
		}
	}
	return w
}

// wire is a payload as encoding/json reads it.
type wire struct {
	Iss      string          `json:"iss"`
	Aud      string          `json:"aud"`
	Iat      int64           `json:"iat"`
	Exp      int64           `json:"exp"`
	Txn      string          `json:"txn"`
	Sub      string          `json:"sub"`
	Scope    string          `json:"scope"`
	ReqWl    string          `json:"req_wl"`
	Sid      string          `json:"sid"`
	Tctx     json.RawMessage `json:"tctx"`
	Rctx     json.RawMessage `json:"rctx"`
	ACR      string          `json:"acr"`
	AMR      []string        `json:"amr"`
	AuthTime int64           `json:"auth_time"`
	Vid      struct {
		Log  string `json:"log"`
		Ep   int64  `json:"ep"`
		Pos  int64  `json:"pos"`
		Ver  int64  `json:"ver"`
		Sver int64  `json:"sver"`
		Asof int64  `json:"asof"`
		Sch  string `json:"sch"`
		Ten  string `json:"ten"`
	} `json:"vid"`
}

func wireOf(c passport.Claims) wire {
	w := wire{
		Iss: c.Issuer, Aud: c.Audience, Iat: c.IssuedAt.Unix(), Exp: c.ExpiresAt.Unix(), Txn: c.Txn, Sub: c.Subject,
		Scope: c.Scope, ReqWl: c.Workload, Sid: c.Session, Tctx: c.State, Rctx: c.Request, ACR: c.ACR, AMR: c.AMR,
	}
	if !c.AuthTime.IsZero() {
		w.AuthTime = c.AuthTime.Unix()
	}
	w.Vid.Log, w.Vid.Ep, w.Vid.Pos, w.Vid.Asof = c.Log, c.Epoch, c.Position, c.AsOf.UnixMilli()
	w.Vid.Ver, w.Vid.Sver, w.Vid.Sch, w.Vid.Ten = c.Version, c.SubjectVersion, c.Schema, c.Tenant
	return w
}

// twice reports whether any object of a value has a name twice.
func twice(d *json.Decoder) bool {
	start, err := d.Token()
	if err != nil {
		return false
	}
	switch start {
	case json.Delim('{'):
		seen := map[json.Token]bool{}
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return false
			}
			if seen[name] || twice(d) {
				return true
			}
			seen[name] = true
		}
	case json.Delim('['):
		for d.More() {
			if twice(d) {
				return true
			}
		}
	default:
		return false
	}
	_, _ = d.Token() // the end, which is there: the value was read before
	return false
}

// FuzzKeySet throws texts at the reader of key sets. What it takes, it writes and reads again.
func FuzzKeySet(f *testing.F) {
	text, err := json.Marshal(keySet(f, signer(f, 1), signer(f, 2)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"keys":[]}`))
	f.Add([]byte(`{"keys":[{"kty":"RSA"},{"kty":"OKP","crv":"Ed25519","x":"` + strings.Repeat("A", 43) + `","kid":"b"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AAAA"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		set, err := passport.ParseKeySet(text)
		if err != nil {
			return
		}
		if !json.Valid(text) {
			t.Fatalf("%q is taken, but is no JSON", text)
		}
		written, err := json.Marshal(set)
		if err != nil {
			t.Fatal(err)
		}
		again, err := passport.ParseKeySet(written)
		if err != nil || !reflect.DeepEqual(again.Keys(), set.Keys()) {
			t.Errorf("%q is written %s, which reads %v", text, written, err)
		}
	})
}
