// SPDX-License-Identifier: Apache-2.0

// Chunks, names that come twice, deletion, and what a configuration may not say.

package legacy

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestChunksAreJoined(t *testing.T) {
	t.Parallel()
	whole := jose(claims("state", strings.Repeat("x", 9000)))
	third := len(whole) / 3
	a, b, c := whole[:third], whole[third:2*third], whole[2*third:]
	small := jose(claims())
	for _, tc := range []struct {
		name    string
		cookies []string
		why     string
	}{
		{"in order", []string{"session.0", a, "session.1", b, "session.2", c}, ""},
		{"in another order", []string{"session.2", c, "session.0", a, "session.1", b}, ""},
		{"whole", []string{"session", small}, ""},
		{"beside look-alikes", []string{"session", small, "session.x", a, "session.00", a, "sessions", a}, ""},
		{"beside an empty chunk", []string{"session", small, "session.0", ""}, ""},
		{"one missing", []string{"session.0", a, "session.2", c}, gap},
		{"the first missing", []string{"session.1", b, "session.2", c}, gap},
		{"the last missing", []string{"session.0", a, "session.1", b}, malformed},
		{"in the wrong places", []string{"session.0", b, "session.1", a, "session.2", c}, malformed},
		{"one twice", []string{"session.0", a, "session.1", b, "session.1", b, "session.2", c}, twice},
		{"beside a whole one", []string{"session", small, "session.0", a}, twice},
		{"the whole one twice", []string{"session", small, "session", small}, twice},
		{"one of another token", []string{"session.0", whole[:len(whole)-22], "session.1", small[len(small)-22:]}, forged},
		{"too long together", []string{"session.0", whole, "session.1", whole}, tooLong},
		{"too long alone", []string{"session", strings.Repeat("a", MaxSize+1)}, tooLong},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := mustReader(t, joseCookie()).Read(request(tc.cookies...))
			if Why(err) != tc.why || err != nil && tc.why == "" {
				t.Errorf("got %v because %q, want because %q", err, Why(err), tc.why)
			}
		})
	}
}

func TestQuotedCookiesAreRefused(t *testing.T) {
	t.Parallel()
	req := request()
	req.Header.Set("Cookie", `session="`+jose(claims())+`"`)
	if _, err := mustReader(t, joseCookie()).Read(req); Why(err) != malformed {
		t.Errorf("got %q, want %q", Why(err), malformed)
	}
}

func TestTheFirstGoodCookieCounts(t *testing.T) {
	t.Parallel()
	old := Cookie{Name: "old", Format: NextAuth, Keys: []Key{{Secret: []byte(secret)}}}
	r := mustReader(t, joseCookie(), old)
	oldToken := encrypt(headerOf(encGCM), "", encGCM, nextAuthKey(secret), claims("sub", "eve"))
	for _, c := range []struct {
		name    string
		cookies []string
		subject string
		err     string
	}{
		{"both good", []string{"old", oldToken, "session", jose(claims())}, "ada", ""},
		{"the first bad", []string{"session", jose(claims("exp", 1)), "old", oldToken}, "eve", ""},
		{"both bad", []string{"session", jose(claims("exp", 1)), "old", "x"}, "", ErrRefused.Error()},
		{"neither there", []string{"other", "x"}, "", ErrNone.Error()},
		{"no cookie", nil, "", ErrNone.Error()},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := r.Read(request(c.cookies...))
			if got.Identity.Subject != c.subject || fmt.Sprint(err) != c.err && (err != nil || c.err != "") {
				t.Errorf("got %q and %v, want %q and %q", got.Identity.Subject, err, c.subject, c.err)
			}
		})
	}
}

func TestConfigurationsAreChecked(t *testing.T) {
	t.Parallel()
	good := joseCookie()
	with := func(change func(*Cookie)) Config {
		c := good
		change(&c)
		return Config{Cookies: []Cookie{c}}
	}
	five := func(k Key) []Key { return []Key{k, k, k, k, k} }
	for _, c := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"no cookie", Config{}, "legacy: Cookies has 0: name 1 to 4"},
		{"five cookies", Config{Cookies: make([]Cookie, 5)}, "Cookies has 5"},
		{"negative skew", Config{Cookies: []Cookie{good}, Skew: -1}, "Skew is -1ns"},
		{"one name twice", Config{Cookies: []Cookie{good, good}}, `Cookies[1].Name "session" is named twice`},
		{"no name", with(func(c *Cookie) { c.Name = "" }), "Cookies[0].Name is none"},
		{"a name with a space", with(func(c *Cookie) { c.Name = "a b" }), "Cookies[0].Name is none"},
		{"a path that is none", with(func(c *Cookie) { c.Path = ";" }), "Cookies[0].Path is none"},
		{
			"a format nobody knows", with(func(c *Cookie) { c.Format = "jws" }),
			`Cookies[0].Format "jws" is unknown: use one of`,
		},
		{"no key", with(func(c *Cookie) { c.Keys = nil }), "Cookies[0].Keys has 0: name 1 to 4"},
		{"five keys", with(func(c *Cookie) { c.Keys = five(good.Keys[0]) }), "Cookies[0].Keys has 5"},
		{"negative life", with(func(c *Cookie) { c.Life = -time.Second }), "Cookies[0].Life is -1s"},
		{
			"an empty secret", with(func(c *Cookie) { c.Format, c.Keys = AuthJS, []Key{{}} }),
			"Cookies[0].Keys[0].Secret is empty",
		},
		{
			"a jose key of 31 bytes", with(func(c *Cookie) { c.Keys = []Key{{Secret: make([]byte, 31)}} }),
			"Cookies[0].Keys[0].Secret has 31 bytes",
		},
		{
			"a key to unwrap with of 16 bytes",
			with(func(c *Cookie) { c.Format, c.Keys = JoseKW, []Key{{Secret: make([]byte, 16)}} }), "A256KW takes 32",
		},
		{
			"a short password", with(func(c *Cookie) { c.Format, c.Keys = Iron, []Key{{Secret: []byte("short")}} }),
			"iron takes 32 at least",
		},
		{
			"a bad password id",
			with(func(c *Cookie) { c.Format, c.Keys = Iron, []Key{{ID: "a*b", Secret: []byte(password)}} }),
			`Cookies[0].Keys[0].ID "a*b"`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := NewReader(c.cfg)
			if _, ok := errors.AsType[*InvalidError](err); !ok || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
			for _, cookie := range c.cfg.Cookies {
				for _, k := range cookie.Keys {
					if err != nil && len(k.Secret) > 5 && strings.Contains(err.Error(), string(k.Secret)) {
						t.Errorf("the error tells the secret: %v", err)
					}
				}
			}
		})
	}
}

func TestChunkNamesOfAnotherCookieAreNoNames(t *testing.T) {
	t.Parallel()
	chunk := joseCookie()
	chunk.Name += ".1"
	for _, cookies := range [][]Cookie{{joseCookie(), chunk}, {chunk, joseCookie()}} {
		if _, err := NewReader(Config{Cookies: cookies}); err == nil {
			t.Errorf("%s and %s are taken for two cookies", cookies[0].Name, cookies[1].Name)
		}
	}
}
