// SPDX-License-Identifier: Apache-2.0

// Answering another proxy that asks about each request before it passes it on.

package edge

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// asked are the fields in which a proxy tells of the request that it asks about.
type asked struct{ target, method string }

// The two families: X-Original-… by nginx's configuration, and X-Forwarded-… by Caddy and Traefik themselves.
func families() (nginx, others asked) {
	return asked{"X-Original-Uri", "X-Original-Method"}, asked{"X-Forwarded-Uri", "X-Forwarded-Method"}
}

// StatusField is the field of [Edge.Auth]'s answer to nginx that holds the status which the client should get:
// nginx itself understands no refusals but 401 and 403.
const StatusField = "Vidimus-Status"

// Auth returns the handler that another proxy asks whether to pass on a request: nginx with auth_request, Caddy
// with forward_auth, Traefik with ForwardAuth. It only answers [Config.TrustedProxies].
//
// The proxy tells of the request in X-Forwarded-Uri and X-Forwarded-Method, or in X-Original-URI and
// X-Original-Method; of the host in X-Forwarded-Host, and of the client in X-Forwarded-For. A question with fields
// of both families is refused: one of them would be the client's. The target must be as the client sent it
// ($request_uri in nginx).
//
// The answer is 200 if the request may pass. Its fields Txn-Token, Vidimus-Position, Vidimus-Consistency and Cookie
// (without the session's cookie) are for the request to the service, which must get them from nowhere else. Its
// Set-Cookie is for the client, and only ever one, because proxies join several or pass on the first: an older
// system's cookie that was imported stays in the browser until it expires, though no service sees it. Other answers
// are for the client as they are; for nginx (X-Original-URI) they are 401 or 403, with the real status in
// Vidimus-Status. A service's answer does not come past here: Vidimus-Effect has no effect, and WebSockets are not
// judged again.
func (e *Edge) Auth() http.Handler { return http.HandlerFunc(e.serveAuth) }

// Trusts reports whether a request comes from one of [Config.TrustedProxies].
func (e *Edge) Trusts(r *http.Request) bool { return among(peer(r), e.config.TrustedProxies) }

func (e *Edge) serveAuth(w http.ResponseWriter, r *http.Request) {
	about, nginx, f := e.about(r)
	var v Verdict
	if f == nil {
		v = e.Check(r.Context(), about)
	} else {
		v = Verdict{Status: f.status, Response: http.Header{}}
		v.Body = f.fill(v.Response)
	}
	h := w.Header()
	for name, values := range v.Response {
		h[name] = values
	}
	if v.Status == http.StatusOK {
		if set := h["Set-Cookie"]; len(set) > 1 {
			h["Set-Cookie"] = set[:1] // the handle: it comes first
		}
		for name, values := range v.Request {
			h[name] = values
		}
		if h["Cookie"] == nil && r.Header["Cookie"] != nil {
			h["Cookie"] = []string{strings.Join(r.Header["Cookie"], "; ")}
		}
		h["Cache-Control"] = []string{"no-store"}
		w.WriteHeader(http.StatusOK)
		return
	}
	if nginx && v.Status != http.StatusUnauthorized {
		h[StatusField] = []string{strconv.Itoa(v.Status)}
		if v.Status == http.StatusSeeOther {
			v.Status = http.StatusUnauthorized
		} else {
			v.Status = http.StatusForbidden
		}
	}
	w.WriteHeader(v.Status)
	_, _ = w.Write(v.Body)
}

// about returns the request that a proxy asks about, and whether the proxy is nginx.
func (e *Edge) about(r *http.Request) (*http.Request, bool, *refusal) {
	nginx, others := families()
	byNginx := r.Header[nginx.target] != nil
	if !e.Trusts(r) {
		e.warn("somebody asks for passports who is not among TrustedProxies", "address", r.RemoteAddr)
		return nil, byNginx, refuse(http.StatusForbidden, "not_trusted",
			"only proxies that the edge trusts are answered here")
	}
	mine, other := others, nginx
	if byNginx {
		mine, other = nginx, others
	}
	target, method := r.Header[mine.target], r.Header[mine.method]
	switch {
	case r.Header[other.target] != nil || r.Header[other.method] != nil:
		return nil, byNginx, refuse(http.StatusForbidden, "two_requests",
			"both %s and %s are there, and one is the client's: have the proxy clear what it does not set",
			mine.target, other.target)
	case len(target) != 1 || len(method) != 1 || method[0] == "":
		return nil, byNginx, refuse(http.StatusForbidden, "no_request",
			"have the proxy send %s and %s, once each", mine.target, mine.method)
	}
	about := *r
	about.Method, about.RequestURI, about.URL = method[0], target[0], &url.URL{}
	switch hosts := r.Header["X-Forwarded-Host"]; {
	case len(hosts) == 1:
		about.Host = hosts[0]
	case len(hosts) > 1:
		return nil, byNginx, refuse(http.StatusForbidden, "two_hosts", "X-Forwarded-Host is there more than once")
	}
	return &about, byNginx, nil
}
