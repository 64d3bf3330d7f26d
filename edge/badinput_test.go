// SPDX-License-Identifier: Apache-2.0

// Bad input, and the answers that docs/edge.md promises: every row of its tables is sent here.

package edge_test

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"example.com/vidimus/edge"
	"example.com/vidimus/passport"
	"example.com/vidimus/passport/header"
)

// promised is an answer as the documentation has it.
type promised struct {
	status int
	code   string // "–" for none
}

// promises reads the table below a line of docs/edge.md.
func promises(t *testing.T, below string) map[string]promised {
	t.Helper()
	page, err := os.ReadFile("../docs/edge.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "\n"+below+"\n\n")
	if !found {
		t.Fatalf("docs/edge.md does not say %q", below)
	}
	table, _, _ := strings.Cut(rest, "\n\n")
	rows := map[string]promised{}
	for line := range strings.SplitSeq(strings.TrimSpace(table), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) < 5 {
			t.Fatalf("%q is no row", line)
		}
		status, err := strconv.Atoi(strings.TrimSpace(cells[2]))
		if err != nil {
			continue // the head of the table
		}
		rows[strings.TrimSpace(cells[1])] = promised{status, strings.Trim(cells[3], " `")}
	}
	return rows
}

// keep compares the answers to what was sent with the promises, row by row.
func keep(t *testing.T, below string, sent map[string]func(*testing.T) *http.Response) {
	t.Helper()
	rows := promises(t, below)
	for name := range sent {
		if _, ok := rows[name]; !ok {
			t.Errorf("%q is sent, but docs/edge.md says nothing of it", name)
		}
	}
	for name, want := range rows {
		if sent[name] == nil {
			t.Errorf("docs/edge.md says %+v of %q, which is not sent", want, name)
			continue
		}
		t.Run(name, func(t *testing.T) {
			res := sent[name](t)
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			got := promised{res.StatusCode, "–"}
			if res.Header.Get("Content-Type") == "application/problem+json" {
				var problem struct{ Code string }
				if err := json.Unmarshal(body, &problem); err != nil {
					t.Fatal(err)
				}
				got.code = problem.Code
			}
			if got != want {
				t.Errorf("got %+v, want %+v: %.300s", got, want, body)
			}
		})
	}
}

// forged signs a changed payload of a passport with the authority's key; alter changes one part, which must be there.
func (a *authority) forged(t *testing.T, token, old, next string) string {
	t.Helper()
	part := strings.Split(token, ".")
	payload, err := base64.RawURLEncoding.DecodeString(part[1])
	if err != nil || bytes.Count(payload, []byte(old)) != 1 {
		t.Fatalf("%q is not once in %s (%v)", old, payload, err)
	}
	payload = bytes.Replace(payload, []byte(old), []byte(next), 1)
	message := part[0] + "." + base64.RawURLEncoding.EncodeToString(payload)
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) // as in newAuthority
	return message + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(key, []byte(message)))
}

// token mints a passport.
func (a *authority) token(t *testing.T, handle string) string {
	t.Helper()
	g, err := a.Mint(t.Context(), passport.Ask{Handle: handle, Workload: "edge"})
	if err != nil {
		t.Fatal(err)
	}
	return g.Token
}

// badTokens are passports that are not good, by the name of their row.
func badTokens(t *testing.T, a *authority) map[string]string {
	t.Helper()
	good := a.token(t, a.signIn("alice"))
	other := strings.Split(a.token(t, a.signIn("mallory")), ".")
	part := strings.Split(good, ".")
	payload, err := base64.RawURLEncoding.DecodeString(part[1])
	if err != nil {
		t.Fatal(err)
	}
	var c struct{ Iat, Exp int64 }
	if err := json.Unmarshal(payload, &c); err != nil {
		t.Fatal(err)
	}
	stranger := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, ed25519.SeedSize))
	theirs := newAuthority(t)
	if theirs.signer, err = passport.NewSigner(stranger, ""); err != nil {
		t.Fatal(err)
	}
	iat, exp := fmt.Sprintf(`"iat":%d`, c.Iat), fmt.Sprintf(`"exp":%d`, c.Exp)
	later := time.Now().Add(time.Hour).Unix()
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"txntoken+jwt"}`))
	message := part[0] + "." + part[1]
	swap := func(old, next string) string { return a.forged(t, good, old, next) }
	life := func(iat, exp int64) string { return fmt.Sprintf(`"iat":%d,"exp":%d`, iat, exp) }
	return map[string]string{
		"truncated":                   good[:len(good)-1],
		"with the payload of another": part[0] + "." + other[1] + "." + part[2],
		"signed by another key, under our key's name": message + "." +
			base64.RawURLEncoding.EncodeToString(ed25519.Sign(stranger, []byte(message))),
		"signed by a key that the authority does not publish": theirs.token(t, theirs.signIn("alice")),
		"without a signature (`alg` is `none`)":               none + "." + part[1] + ".",
		"for another audience":                                swap(`"aud":"shop"`, `"aud":"bank"`),
		"of another issuer":                                   swap(issuer, issuer+".evil"),
		"from the future":                                     swap(iat+","+exp, life(later, later+60)),
		"with a life of more than 300 seconds":                swap(iat+","+exp, life(c.Iat, c.Iat+301)),
		"huge":                                                message + strings.Repeat("A", 9<<10) + "." + part[2],
		"with a claim twice":                                  swap(`"sub":"alice"`, `"sub":"alice","sub":"mallory"`),
		"the same one again, after its end":                   swap(iat+","+exp, life(c.Iat-3600, c.Iat-3540)),
	}
}

func TestServicesAnswerBadPassportsAsPromised(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.tell(t)
	v, err := passport.New(passport.Config{Issuer: issuer, Audience: domain, Keys: a.keys, View: a.view})
	if err != nil {
		t.Fatal(err)
	}
	ok := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	rule := &passport.Rule{MaxStale: time.Minute, Scopes: []string{"buy"}}
	ask := func(rule *passport.Rule, h http.Header) *http.Response {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Header = h
		w := httptest.NewRecorder()
		v.Require(ok, rule).ServeHTTP(w, r)
		return w.Result()
	}
	// again presents a passport that was good once more, after something happened.
	again := func(t *testing.T, happens func(handle string)) *http.Response {
		handle := a.signIn("bob")
		token := a.token(t, handle)
		if res := ask(rule, http.Header{header.TxnToken: {token}}); res.StatusCode != http.StatusOK {
			t.Fatalf("at first it is answered %d", res.StatusCode)
		}
		happens(handle)
		a.tell(t)
		return ask(rule, http.Header{header.TxnToken: {token}})
	}
	good := a.token(t, a.signIn("alice"))
	one := func(rule *passport.Rule, h http.Header) func(*testing.T) *http.Response {
		return func(*testing.T) *http.Response { return ask(rule, h) }
	}
	sent := map[string]func(*testing.T) *http.Response{
		"none":        one(rule, http.Header{}),
		"two of them": one(rule, http.Header{header.TxnToken: {good, good}}),
		"a good one":  one(rule, http.Header{header.TxnToken: {good}}),
		"the same one again, while it is good": func(t *testing.T) *http.Response {
			return again(t, func(string) {})
		},
		"the same one again, after its session ended": func(t *testing.T) *http.Response {
			return again(t, func(handle string) { a.end(handle) })
		},
		"the same one again, after its state changed": func(t *testing.T) *http.Response {
			return again(t, func(string) { a.change("bob") })
		},
		"without the scope of the route": one(&passport.Rule{Scopes: []string{"admin"}}, http.Header{
			header.TxnToken: {good},
		}),
		"a good one, with a malformed `Vidimus-Consistency`": one(rule, http.Header{
			header.TxnToken: {good}, header.ConsistencyField: {"perhaps"},
		}),
	}
	for name, token := range badTokens(t, a) {
		sent[name] = one(rule, http.Header{header.TxnToken: {token}})
	}
	keep(t, "What a service that holds `verifier.Require` answers:", sent)
}

// TestNoPassportOfAClientGetsThroughAnEdge sends what services refuse, and what they would take, to an edge.
func TestNoPassportOfAClientGetsThroughAnEdge(t *testing.T) {
	t.Parallel()
	s := open(t, echo, nil)
	alice := s.signIn("alice")
	tokens := badTokens(t, s.authority)
	tokens["a good one"] = s.token(t, s.signIn("mallory"))
	for name, token := range tokens {
		s.call(t, "GET", "/account/", "", "Txn-Token: "+token).want(t, 401)
		public := s.call(t, "GET", "/public", "", "Txn-Token: "+token).want(t, 200).echoed(t)
		if public.Header[header.TxnToken] != nil {
			t.Errorf("%s: a public page gets it", name)
		}
		got := s.call(t, "GET", "/account/", alice, "Txn-Token: "+token).want(t, 200).echoed(t).Header[header.TxnToken]
		if len(got) != 1 || s.verify(t, got[0]).Subject != "alice" {
			t.Errorf("%s: beside a good cookie, the service gets %d passports, and not the edge's", name, len(got))
		}
	}
}

func TestEdgesAnswerBadRequestsAsPromised(t *testing.T) {
	t.Parallel()
	b := openBad(t)
	keep(t, "What an edge answers:", b.requests())
}

// bad is an edge that is sent bad requests.
type bad struct {
	*site
	address, good string
}

func openBad(t *testing.T) *bad {
	t.Helper()
	b := &bad{}
	b.site = open(t, echo, func(c *edge.Config) {
		c.Cells, c.Hosts = []string{"c3"}, []string{"shop.example"}
		c.Routes[1].MaxBody = 1 << 10
	})
	b.good = b.signIn("alice")
	address, end := serve(t, b.edge) // with the limits of its own server
	b.address = address
	t.Cleanup(func() {
		if err := end(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// ask sends a request as it stands; fields are "Name: value".
func (b *bad) ask(line, handle string, fields ...string) func(*testing.T) *http.Response {
	if handle != "" {
		fields = append(fields, "Cookie: "+edge.CookieName+"="+handle)
	}
	return b.askFor("shop.example", line, fields...)
}

func (b *bad) askFor(host, line string, fields ...string) func(*testing.T) *http.Response {
	return func(t *testing.T) *http.Response {
		t.Helper()
		text := line + " HTTP/1.1\r\nHost: " + host + "\r\n"
		for _, f := range fields {
			text += f + "\r\n"
		}
		if !strings.Contains(text, "\r\nConnection: ") {
			text += "Connection: close\r\n"
		}
		res, err := http.ReadResponse(bufio.NewReader(strings.NewReader(raw(t, b.address, text+"\r\n"))), nil)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
}

// all sends requests that are to be answered alike, and returns the answer.
func all(asks ...func(*testing.T) *http.Response) func(*testing.T) *http.Response {
	return func(t *testing.T) *http.Response {
		t.Helper()
		first := asks[0](t)
		for i, ask := range asks[1:] {
			if res := ask(t); res.StatusCode != first.StatusCode {
				t.Errorf("number %d is answered %d, the first one %d", i+2, res.StatusCode, first.StatusCode)
			}
		}
		return first
	}
}

// clean is like ask, and wants that the service sees none of the fields.
func (b *bad) clean(line, handle string, fields ...string) func(*testing.T) *http.Response {
	return func(t *testing.T) *http.Response {
		t.Helper()
		res := b.ask(line, handle, fields...)(t)
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(body, []byte("evil")) {
			t.Errorf("the service sees %s", body)
		}
		res.Body = io.NopCloser(bytes.NewReader(body))
		return res
	}
}

func (b *bad) requests() map[string]func(*testing.T) *http.Response {
	const get = "GET /account/"
	good := b.good
	forged := good[:len(good)-1] + flip(good[len(good)-1:])
	paths := func(targets ...string) func(*testing.T) *http.Response {
		var asks []func(*testing.T) *http.Response
		for _, target := range targets {
			asks = append(asks, b.ask("GET "+target, good))
		}
		return all(asks...)
	}
	return map[string]func(*testing.T) *http.Response{
		"without a cookie":              b.ask(get, ""),
		"with a good cookie":            b.ask(get, good),
		"with a forged cookie":          b.ask(get, forged),
		"with a truncated cookie":       b.ask(get, good[:len(good)-1]),
		"with a cookie of another cell": b.ask(get, strings.Replace(good, "c3", "c4", 1)),
		"with a cookie of a session that ended": func(t *testing.T) *http.Response {
			handle := b.signIn("bob")
			b.ask(get, handle)(t)
			b.end(handle)
			b.tell(t)
			return b.ask(get, handle)(t)
		},
		"with a cookie of 4 KB":                        b.ask(get, "v1.c3."+strings.Repeat("A", 4000)),
		"with the cookie twice":                        b.ask(get, good+"; "+edge.CookieName+"="+good),
		"with many cookies that stand for nothing":     flood,
		"with a passport of its own":                   b.ask(get, "", "Txn-Token: eyJhbGciOiJub25lIn0.e30."),
		"with a good cookie and a passport of its own": b.clean(get, good, "Txn-Token: evil"),
		"with headers that speak for an edge, in any spelling": b.clean(get, good, "Txn_Token: evil", "TXN-TOKEN: evil",
			"Vidimus-Effect: evil", "vidimus_effect: evil", "Vidimus_Position: evil", "X-Auth-Request-User: evil"),
		"with `Txn-Token` in `Connection`": all(b.ask(get, good, "Connection: close, Txn-Token"),
			b.ask(get, good, "Connection: txn-token, close"), b.ask(get, good, "Connection: close, Vidimus-Position")),
		"with a malformed `Vidimus-Position`":     b.ask(get, good, "Vidimus-Position: 7"),
		"with a position that does not exist yet": b.ask(get, good, "Vidimus-Position: c3.7:999999"),
		"with `Forwarded` or `X-Forwarded-For`, of a stranger": b.clean(get, good, "Forwarded: for=evil",
			"X-Forwarded-For: evil", "X_Forwarded_For: evil", "X-Forwarded-Host: evil", "X-Real-IP: evil"),
		"for another protocol (`Upgrade: h2c`)": b.clean(get, good, "Connection: Upgrade, HTTP2-Settings, close",
			"Upgrade: h2c", "HTTP2-Settings: evil"),
		"of a page of another origin, which changes something": b.ask("POST /account/", good, "Sec-Fetch-Site: cross-site",
			"Content-Length: 0"),
		"for a host that is not served":        b.askFor("evil.example", get),
		"for a method that is never passed on": b.ask("TRACE /account/", good),
		"for a path with `..`":                 paths("/public/../admin/", "/public/.."),
		"for a path with an encoded `..` or `/`": paths("/public/%2e%2e/admin/", "/public/..%2fadmin/", "/public%2fadmin",
			"/public/%252e%252e/admin"),
		"for a path with `\\`, `;`, `//` or a control character": paths(`/public\..\admin`, "/public/..%5cadmin",
			"/public;/../admin", "//admin/", "/admin%00", "/admin%0d%0a"),
		"for a path in other letters (`/ADMIN/`)": paths("/ADMIN/", "/Admin/users"),
		"for a path and query of more than 8 KiB": b.ask("GET /account/?"+strings.Repeat("a", 9<<10), good),
		"with a body above the route's bound":     b.ask("POST /account/", good, "Content-Length: 2000"),
		"with headers above 64 KiB":               b.ask(get, good, "X-Large: "+strings.Repeat("a", 80<<10)),
		"with two lengths":                        b.ask("POST /account/", good, "Content-Length: 0", "Content-Length: 5"),
	}
}

// flood sends many handles that stand for nothing, until they are not looked at any more. It has an edge of its own:
// what comes after it would be refused, too.
func flood(t *testing.T) *http.Response {
	b := openBad(t)
	b.ask("GET /account/", b.good)(t)
	for i := range 1000 {
		res := b.ask("GET /account/", fmt.Sprintf("v1.c3.%022d.1.%022d", i, i))(t)
		if res.StatusCode != http.StatusUnauthorized {
			if got := b.ask("GET /account/", b.good)(t); got.StatusCode != http.StatusOK {
				t.Errorf("who is signed in is answered %d", got.StatusCode)
			}
			return res
		}
	}
	t.Fatal("a thousand are looked at")
	return nil
}
