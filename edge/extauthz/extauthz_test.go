// SPDX-License-Identifier: Apache-2.0

// What Envoy asks, written by hand, and what it is answered. The tests against Envoy's own Go code are in interop.

package extauthz

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protowire"

	"example.com/vidimus/edge"
	"example.com/vidimus/passport"
)

// authority knows one session.
type authority struct{ handle string }

func (a authority) Mint(_ context.Context, ask passport.Ask) (passport.Grant, error) {
	if ask.Handle != a.handle {
		return passport.Grant{}, passport.ErrNoSession
	}
	now := time.Now()
	return passport.Grant{Token: "signed", Claims: passport.Claims{
		Subject: "alice", Scope: "buy", IssuedAt: now, ExpiresAt: now.Add(time.Minute),
		Mark: passport.Mark{Log: "c3", Epoch: 7, Position: 9},
	}}, nil
}

const (
	handle = "v1.c3.AAAAAAAAAAAAAAAAAAAAAA.1.BBBBBBBBBBBBBBBBBBBBBB"
	cookie = edge.CookieName + "=" + handle
)

func newEdge(t testing.TB, trusted ...netip.Prefix) *edge.Edge {
	t.Helper()
	e, err := edge.Open(edge.Config{
		Authority: authority{handle}, TrustedProxies: trusted,
		Routes: []edge.Route{{Path: "/", Public: true}, {Path: "/account/"}, {Path: "/admin/", Scopes: []string{"admin"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// envoyAsks writes a CheckRequest.
func envoyAsks(method, path string, headers ...string) []byte {
	var h []byte
	h = appendMessage(h, 2, []byte(method))
	for i := 0; i+1 < len(headers); i += 2 {
		entry := appendMessage(appendMessage(nil, 1, []byte(headers[i])), 2, []byte(headers[i+1]))
		h = appendMessage(h, 3, entry)
	}
	h = appendMessage(h, 4, []byte(path))
	h = appendMessage(h, 5, []byte("shop.example"))
	socket := appendNumber(appendMessage(nil, 2, []byte("192.0.2.7")), 3, 4711)
	attributes := appendMessage(nil, 1, appendMessage(nil, 1, appendMessage(nil, 1, socket)))
	attributes = appendMessage(attributes, 4, appendMessage(nil, 2, h))
	return appendMessage(nil, 1, attributes)
}

func TestAQuestionIsRead(t *testing.T) {
	t.Parallel()
	var q question
	data := envoyAsks("POST", "/account/x?y=1", ":path", "/evil", "cookie", "a=1", "x-y", "z")
	data = protowire.AppendFixed64(protowire.AppendTag(data, 99, protowire.Fixed64Type), 7) // of a later version
	if err := (codec{}).Unmarshal(data, &q); err != nil {
		t.Fatal(err)
	}
	r, err := q.request()
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(r.Method, " ", r.RequestURI, " ", r.Host, " ", r.RemoteAddr, " ", r.Header)
	if want := "POST /account/x?y=1 shop.example 192.0.2.7:4711 map[Cookie:[a=1] X-Y:[z]]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestHeadersAsTheyWereSentTakePrecedence(t *testing.T) {
	t.Parallel()
	one := func(name, value string, in protowire.Number) []byte {
		return appendMessage(nil, 1, appendMessage(appendMessage(nil, 1, []byte(name)), in, []byte(value)))
	}
	inner := appendMessage(nil, 3, appendMessage(appendMessage(nil, 1, []byte("cookie")), 2, []byte("joined")))
	inner = appendMessage(inner, 13, append(one("cookie", "a=1", 2), one("cookie", "b=2", 3)...))
	inner = appendMessage(inner, 3, appendMessage(appendMessage(nil, 1, []byte("cookie")), 2, []byte("late")))
	var q question
	if err := q.parseHTTP(inner); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(q.headers); got != "[{cookie a=1} {cookie b=2}]" {
		t.Errorf("got %s", got)
	}
}

func TestVerdictsOverGRPC(t *testing.T) {
	t.Parallel()
	e := newEdge(t, netip.MustParsePrefix("127.0.0.0/8"))
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	server := httptest.NewUnstartedServer(New(e))
	server.Config.Protocols = p
	server.Start()
	defer server.Close()
	client := connect.NewClient[blob, blob](
		&http.Client{Transport: &http.Transport{Protocols: p}}, server.URL+Procedure,
		connect.WithGRPC(), connect.WithCodec(blobs{}))
	for name, c := range map[string]struct {
		question []byte
		want     []string // parts of the answer
		not      string
	}{
		"a session": {
			envoyAsks("GET", "/account/", "cookie", "a=1; "+cookie, "txn-token", "evil", "vidimus_x", "evil"),
			[]string{"txn-token\x12\x06signed", "cookie\x12\x03a=1", "vidimus-position\x12\x06c3.7:9", "*\tvidimus_x"},
			"evil",
		},
		"nobody":  {envoyAsks("GET", "/account/"), []string{"\x08\x10", "no_session"}, "signed"},
		"a scope": {envoyAsks("GET", "/admin/", "cookie", cookie), []string{"\x08\x07", "scope"}, "signed"},
		"anybody": {envoyAsks("GET", "/", "Txn-Token", "evil"), []string{"*\ttxn-token"}, "signed"},
	} {
		t.Run(name, func(t *testing.T) {
			res, err := client.CallUnary(t.Context(), connect.NewRequest(&blob{c.question}))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range c.want {
				if !bytes.Contains(res.Msg.data, []byte(want)) {
					t.Errorf("%q is not in %q", want, res.Msg.data)
				}
			}
			if bytes.Contains(res.Msg.data, []byte(c.not)) {
				t.Errorf("%q is in %q", c.not, res.Msg.data)
			}
		})
	}
	for _, bad := range [][]byte{nil, {0xff}, envoyAsks("", "/"), bytes.Repeat([]byte{0}, requestMax+1)} {
		if _, err := client.CallUnary(t.Context(), connect.NewRequest(&blob{bad})); err == nil {
			t.Errorf("a bad question of %d bytes is answered", len(bad))
		}
	}
}

func TestOnlyTrustedProxiesAreAnswered(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	New(newEdge(t)).ServeHTTP(w, httptest.NewRequest("POST", Procedure, strings.NewReader("")))
	if w.Code != http.StatusForbidden {
		t.Errorf("anybody gets %d", w.Code)
	}
}

func FuzzQuestion(f *testing.F) {
	f.Add(envoyAsks("GET", "/account/?x", "cookie", "a=1", ":authority", "x"))
	f.Add([]byte{0x0a, 0xff})
	f.Add([]byte{})
	e := newEdge(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		var q question
		if q.parse(data) != nil {
			return
		}
		r, err := q.request()
		if err != nil {
			return
		}
		v := verdict(e.Check(t.Context(), r))
		if v.Claims != nil && !bytes.Contains(data, []byte(handle)) {
			t.Fatal("somebody is let in who is nobody")
		}
		err = messages(v.append(nil), func(protowire.Number, []byte, uint64) error { return nil })
		if err != nil {
			t.Fatalf("the answer cannot be read: %v", err)
		}
	})
}

// blob is a message that the test reads and writes itself.
type blob struct{ data []byte }

type blobs struct{}

func (blobs) Name() string                  { return "proto" }
func (blobs) Marshal(m any) ([]byte, error) { return m.(*blob).data, nil }
func (blobs) Unmarshal(data []byte, m any) error {
	m.(*blob).data = bytes.Clone(data)
	return nil
}
