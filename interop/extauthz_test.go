// SPDX-License-Identifier: Apache-2.0

// Envoy's own Go code asks an edge about requests (envoy.service.auth.v3.Authorization), over gRPC.

package interop

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"

	"example.com/vidimus/edge"
	"example.com/vidimus/edge/extauthz"
	"example.com/vidimus/session"
)

// envoy is a client of an edge, as Envoy is one.
func envoy(t *testing.T, e *edge.Edge) authv3.AuthorizationClient {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle(extauthz.Procedure, extauthz.New(e))
	server := httptest.NewUnstartedServer(mux)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	conn, err := grpc.NewClient(strings.TrimPrefix(server.URL, "http://"),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return authv3.NewAuthorizationClient(conn)
}

// envoyAsks is what Envoy's filter sends, with headers in the map, or as they were sent.
func envoyAsks(method, path string, raw bool, headers map[string]string) *authv3.CheckRequest {
	ask := &authv3.AttributeContext_HttpRequest{
		Id: "7", Method: method, Path: path, Host: "shop.example", Scheme: "https", Protocol: "HTTP/2", Size: -1,
	}
	if raw {
		ask.HeaderMap = &corev3.HeaderMap{}
		for name, value := range headers {
			ask.HeaderMap.Headers = append(ask.HeaderMap.Headers, &corev3.HeaderValue{Key: name, RawValue: []byte(value)})
		}
	} else {
		ask.Headers = headers
	}
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source: &authv3.AttributeContext_Peer{Principal: "x", Address: &corev3.Address{
			Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
				Address: "192.0.2.7", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 4711},
			}},
		}},
		Request:           &authv3.AttributeContext_Request{Http: ask},
		ContextExtensions: map[string]string{"later": "version"},
	}}
}

func TestEnvoyIsToldWhomToLetThrough(t *testing.T) {
	t.Parallel()
	p := openProxied(t)
	client := envoy(t, p.edge)
	ada := p.signIn(t)
	for _, raw := range []bool{false, true} {
		got, err := client.Check(t.Context(), envoyAsks("GET", "/account/x?y=1", raw, map[string]string{
			":path": "/evil", "cookie": "a=1; " + edge.CookieName + "=" + ada.Handle, "txn-token": "evil",
			"vidimus_effect": "evil", "x-forwarded-for": "192.0.2.7",
		}))
		must(t, err)
		must(t, got.ValidateAll())
		ok := got.GetOkResponse()
		if got.GetStatus().GetCode() != int32(codes.OK) || ok == nil {
			t.Fatalf("a session is answered %v", got)
		}
		set := options(ok.GetHeaders())
		r := httptest.NewRequest(http.MethodGet, "/account/x", nil)
		r.Header.Set("Txn-Token", set["txn-token"])
		w := httptest.NewRecorder()
		p.service.Config.Handler.ServeHTTP(w, r)
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"Subject":"ada"`) {
			t.Errorf("the service answers the passport %d %s", w.Code, w.Body)
		}
		if set["cookie"] != "a=1" || set["vidimus-position"] == "" {
			t.Errorf("to set: %v", set)
		}
		if remove := ok.GetHeadersToRemove(); !slices.Equal(remove, []string{"vidimus_effect"}) {
			t.Errorf("to take out: %q", remove)
		}
		if answer := options(ok.GetResponseHeadersToAdd()); answer["vidimus-staleness"] == "" {
			t.Errorf("to add to the answer: %v", answer)
		}
	}
}

func TestEnvoyIsToldWhomToRefuse(t *testing.T) {
	t.Parallel()
	p := openProxied(t)
	client := envoy(t, p.edge)
	ada := p.signIn(t)
	cookie := map[string]string{"cookie": edge.CookieName + "=" + ada.Handle}
	twice := map[string]string{"cookie": cookie["cookie"] + "; " + cookie["cookie"]}
	refused := func(ask *authv3.CheckRequest) (int, codes.Code) {
		got, err := client.Check(t.Context(), ask)
		must(t, err)
		must(t, got.ValidateAll())
		denied := got.GetDeniedResponse()
		if denied == nil || !strings.Contains(denied.GetBody(), `"code"`) ||
			options(denied.GetHeaders())["content-type"] != "application/problem+json" {
			t.Fatalf("the answer is %v", got)
		}
		return int(denied.GetStatus().GetCode()), codes.Code(got.GetStatus().GetCode())
	}
	for name, c := range map[string]struct {
		ask  *authv3.CheckRequest
		http int
		grpc codes.Code
	}{
		"nobody":      {envoyAsks("GET", "/account/", false, nil), 401, codes.Unauthenticated},
		"no scope":    {envoyAsks("GET", "/admin/", false, cookie), 403, codes.PermissionDenied},
		"two paths":   {envoyAsks("GET", "/x/..%2fadmin", false, nil), 400, codes.PermissionDenied},
		"two handles": {envoyAsks("GET", "/account/", false, twice), 400, codes.PermissionDenied},
	} {
		if status, code := refused(c.ask); status != c.http || code != c.grpc {
			t.Errorf("%s: got %d %v, want %d %v", name, status, code, c.http, c.grpc)
		}
	}
	if _, err := client.Check(t.Context(), &authv3.CheckRequest{}); err == nil {
		t.Error("a question about nothing is answered")
	}
	_, err := p.sessions.End(t.Context(), ada.ID, session.Ended{By: "ada"})
	must(t, err)
	for ended := time.Now(); ; {
		got, err := client.Check(t.Context(), envoyAsks("GET", "/account/", false, cookie))
		must(t, err)
		if got.GetDeniedResponse() != nil {
			break
		}
		if time.Since(ended) > obeyed {
			t.Fatal("the logout is not obeyed")
		}
	}
}

// options are headers by name. It complains through the value when an option does not say whether it overwrites in both
// ways.
func options(all []*corev3.HeaderValueOption) map[string]string {
	h := map[string]string{}
	for _, o := range all {
		value := o.GetHeader().GetValue()
		overwrites := o.GetAppendAction() == corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD
		if o.GetAppend().GetValue() == overwrites {
			value = "neither appended nor overwritten"
		}
		h[o.GetHeader().GetKey()] = value
	}
	return h
}
