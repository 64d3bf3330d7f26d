// SPDX-License-Identifier: Apache-2.0

// Fuzzing: nothing makes a reader panic, and it accepts the tokens that were made and no other spelling of them.

package legacy

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

// lasting is a set of claims that stays the same and good for a lifetime, so that corpora do.
func lasting() []byte { return []byte(`{"sub":"ada","iat":1700000000,"exp":9999999999}`) }

// made are tokens by the name of their cookie.
func made() map[string]string {
	kek := fill(32, "kek")
	return map[string]string{
		"gcm":  encrypt(headerOf(encGCM), "", encGCM, fill(32, "jose"), lasting()),
		"cbc":  encrypt(headerOf(encCBC), "", encCBC, authJSKey("cbc", secret), lasting()),
		"kw":   encrypt(`{"alg":"A256KW","enc":"A256GCM"}`, b64(wrapKey(kek, kek)), encGCM, kek, lasting()),
		"seal": sealIron("1", password, "9999999999999", lasting()),
	}
}

func FuzzRead(f *testing.F) {
	r := mustReader(
		f, Cookie{Name: "gcm", Format: JoseDir, Keys: []Key{{Secret: fill(32, "jose")}}},
		Cookie{Name: "cbc", Format: AuthJS, Keys: []Key{{Secret: []byte(secret)}}},
		Cookie{Name: "kw", Format: JoseKW, Keys: []Key{{Secret: fill(32, "kek")}}},
		Cookie{Name: "seal", Format: Iron, Keys: []Key{{Secret: []byte(password)}}},
	)
	good := made()
	for name, value := range good {
		f.Add(name + "=" + value)
		f.Add(name + ".0=" + value[:50] + "; " + name + ".1=" + value[50:])
		f.Add(name + "=" + respell(value))
		f.Add(name + "=" + value + "~2")
	}
	f.Fuzz(func(t *testing.T, cookies string) {
		req := &http.Request{Header: http.Header{"Cookie": {cookies}}}
		got, err := r.Read(req)
		if err != nil {
			return
		}
		joined := ""
		for _, c := range req.Cookies() {
			if r.owner(c.Name) != nil && r.owner(c.Name).Name == got.Cookie {
				joined += c.Value
			}
		}
		// Chunks may come in any order; each of them has to be a piece of the one good spelling.
		want := good[got.Cookie]
		if got.Cookie == "seal" {
			joined = strings.TrimSuffix(joined, "~2")
		}
		if len(joined) != len(want) && len(joined) != len(want)+len("~2") {
			t.Errorf("accepted %q for %s", cookies, got.Cookie)
		}
		if got.Identity.Subject != "ada" || got.Expires.Unix() != 9999999999 {
			t.Errorf("read %+v from %q", got, cookies)
		}
	})
}

func FuzzTokens(f *testing.F) {
	for _, value := range made() {
		f.Add(value)
		f.Add(respell(value))
		f.Add(strings.Replace(value, ".", ".AAAA", 1))
	}
	good := made()
	jwe := mustReader(
		f, Cookie{Name: "gcm", Format: JoseDir, Keys: []Key{{Secret: fill(32, "jose")}}},
		Cookie{Name: "cbc", Format: AuthJS, Keys: []Key{{Secret: []byte(secret)}}},
		Cookie{Name: "kw", Format: JoseKW, Keys: []Key{{Secret: fill(32, "kek")}}},
	)
	iron, _ := newIronKey("", Key{Secret: []byte(password)})
	f.Fuzz(func(t *testing.T, token string) {
		for i := range jwe.cookies {
			c := &jwe.cookies[i]
			if plain, why := openJWE(token, c.jwe); why == "" && (token != good[c.Name] || !bytes.Equal(plain, lasting())) {
				t.Errorf("%s opens %q as %q", c.Name, token, plain)
			}
		}
		plain, proved, end, why := openSeal(token, []ironKey{iron})
		whole := proved == good["seal"] && bytes.Equal(plain, lasting()) && end.Equal(time.UnixMilli(9999999999999))
		if why == "" && !whole {
			t.Errorf("the seal %q opens as %q", token, plain)
		}
	})
}

func FuzzHeader(f *testing.F) {
	for _, seed := range []string{
		headerOf(encGCM), headerOf(encCBC, `"kid":"k"`), `{"alg":"dir","alg":"dir"}`, `{"alg":"dir",}`, `{}`,
		"{ \"alg\" : \"dir\" ,\r\n \"enc\" : \"A256GCM\" }", `{"alg":"\u0064ir"}`, `{"zip":"DEF"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, why := readHeader(data)
		if why != "" {
			return
		}
		// What it reads, a JSON parser reads the same.
		object, ok := strictObject(data)
		var want header
		if err := json.Unmarshal(data, &want); !ok || err != nil || want != got {
			t.Errorf("read %+v from %q, encoding/json read %+v, %v", got, data, want, object)
		}
	})
}
