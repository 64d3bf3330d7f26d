// SPDX-License-Identifier: Apache-2.0

// Which headers pass: those that speak for a client, for an edge or for an authority are not taken from anybody.

package edge

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// guard knows the headers that clients may not send.
type guard struct {
	names  map[string]bool
	begins [][]string // of names that begin with the byte, each with more
}

// guarded are names, in lower case and with hyphens, that common servers, frameworks, networks and proxies which know
// people put an address, an identity, a client's certificate, a method or a path in; what ends with a star is how such
// names begin. No list of them is complete: [Config.Strip] adds what else a service believes.
const guarded = `
	txn-token vidimus-*
	forwarded forwarded-for x-forwarded x-forward-for x-forwarded-* x-envoy-* x-original-*
	x-real-ip client-ip x-client-ip true-client-ip x-true-client-ip x-cluster-client-ip x-originating-ip x-remote-*
	remote-addr proxy-client-ip wl-proxy-* cf-connecting-* cf-pseudo-ipv4 fastly-client-* x-azure-clientip
	x-azure-socketip x-appengine-* x-proxyuser-ip
	x-rewrite-url x-host x-http-host-override x-http-method x-http-method-override x-method-override
	x-middleware-subrequest proxy
	remote-user remote-name remote-email remote-group remote-groups
	x-user x-user-id x-user-name x-user-email x-user-role x-user-roles x-user-groups x-userid x-username
	x-authenticated-* x-auth-request-* x-webauth-* x-vouch-* x-authentik-* x-consumer-* x-credential-* x-pomerium-*
	tailscale-user-* cf-access-* x-amzn-oidc-* x-goog-authenticated-user-* x-goog-iap-* x-apigateway-api-userinfo
	x-endpoint-api-userinfo x-ms-client-principal x-ms-client-principal-* x-ms-token-* x-jwt-assertion
	client-cert client-cert-chain x-client-cert x-client-cert-* x-client-certificate x-client-dn x-client-verify
	ssl-client-* x-ssl-* x-tls-client-* x-amzn-mtls-* x-arr-clientcert x-arr-ssl`

func newGuard(more []string) (guard, error) {
	g := guard{map[string]bool{}, make([][]string, 256)}
	for _, name := range strings.Fields(guarded) {
		if begin, ok := strings.CutSuffix(name, "*"); ok {
			g.begins[begin[0]] = append(g.begins[begin[0]], begin)
		} else {
			g.names[name] = true
		}
	}
	for _, name := range more {
		if name == "" || strings.ContainsAny(name, " \t\r\n:") {
			return g, invalid("Strip", "%q is no name of a header", name)
		}
		g.names[plain(name)] = true
	}
	for _, name := range []string{"cookie", "host", "content-length", "transfer-encoding", "content-type"} {
		if g.names[name] {
			return g, invalid("Strip", "%q cannot be stripped: requests need it", name)
		}
	}
	return g, nil
}

// plain is a header's name as a gateway interface in the manner of CGI sees it.
func plain(name string) string { return strings.ReplaceAll(strings.ToLower(name), "_", "-") }

// holds reports whether a name, in whatever spelling, is guarded.
func (g guard) holds(name string) bool {
	if common(name) {
		return false
	}
	if framing(name) {
		return true
	}
	var short [64]byte // most names fit, and cost no memory then
	if len(name) > len(short) {
		return g.plain([]byte(plain(name)))
	}
	for i := range len(name) {
		c := name[i]
		switch {
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case c == '_':
			c = '-'
		}
		short[i] = c
	}
	return g.plain(short[:len(name)])
}

// framing reports names with underscores that such a gateway would take for what says how long a body is, and what.
func framing(name string) bool {
	if strings.IndexByte(name, '_') < 0 {
		return false
	}
	switch plain(name) {
	case "content-length", "content-type", "transfer-encoding":
		return true
	}
	return false
}

// plain reports whether a name in its plain spelling is guarded.
func (g guard) plain(p []byte) bool {
	if len(p) == 0 {
		return false
	}
	for _, with := range g.begins[p[0]] {
		if len(p) >= len(with) && string(p[:len(with)]) == with {
			return true
		}
	}
	return g.names[string(p)]
}

// forwarding reports the guarded headers that a proxy sets itself.
func forwarding(name string) bool {
	switch p := plain(name); p {
	case "forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-real-ip":
		return true
	default:
		return strings.HasPrefix(p, "x-envoy-")
	}
}

// clean deletes the guarded headers of a request.
func (g guard) clean(h http.Header) {
	for name := range h {
		if g.holds(name) {
			delete(h, name)
		}
	}
}

// common reports whether a name is one of those that nearly every request has, and that need no second look.
func common(name string) bool {
	switch name {
	case "Accept", "Accept-Encoding", "Accept-Language", "Cache-Control", "Content-Length", "Content-Type", "Cookie",
		"If-Match", "If-None-Match", "Origin", "Referer", "User-Agent", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site":
		return true
	}
	return false
}

// takes reports whether the Connection field of a request only names what is between two neighbours. A client that
// names other fields there would have them taken away behind the edge's back.
func takes(h http.Header) bool {
	for _, line := range h["Connection"] {
		for option := range strings.SplitSeq(line, ",") {
			switch strings.ToLower(strings.Trim(option, " \t")) {
			case "", "close", "keep-alive", "upgrade", "te", "http2-settings", "proxy-connection":
			default:
				return false
			}
		}
	}
	return true
}

// upgrade returns the protocol that a request wants to go on in, in lower case: only "websocket" is passed on. An
// upgrade to HTTP/2 would be a tunnel past the edge.
func upgrade(h http.Header) string {
	asked := false
	for _, line := range h["Connection"] {
		for option := range strings.SplitSeq(line, ",") {
			asked = asked || strings.EqualFold(strings.Trim(option, " \t"), "upgrade")
		}
	}
	if !asked {
		return ""
	}
	return strings.ToLower(strings.Join(h["Upgrade"], ","))
}

// refusedMethod reports methods that are never passed on: one tunnels, the other echoes cookies.
func refusedMethod(m string) bool { return m == http.MethodConnect || m == http.MethodTrace }

// isSafe reports methods that change nothing (RFC 9110, section 9.2.1) and may be passed on.
func isSafe(m string) bool {
	return m == http.MethodGet || m == http.MethodHead || m == http.MethodOptions
}

// client returns the address that a request comes from: that of the peer, or, as long as those who say so are
// trusted, what X-Forwarded-For says from the right.
func client(r *http.Request, trusted []netip.Prefix) netip.Addr {
	at := peer(r)
	if !among(at, trusted) {
		return at
	}
	lines := r.Header["X-Forwarded-For"]
	for i := len(lines) - 1; i >= 0; i-- {
		rest, last, more := lines[i], "", true
		for more {
			if comma := strings.LastIndexByte(rest, ','); comma >= 0 {
				rest, last = rest[:comma], rest[comma+1:]
			} else {
				last, more = rest, false
			}
			next, err := netip.ParseAddr(strings.Trim(last, " \t"))
			if err != nil {
				return at
			}
			if at = next.Unmap().WithZone(""); !among(at, trusted) {
				return at
			}
		}
	}
	return at
}

// peer returns the address of the other end of the connection; the zero Addr for one that has none.
func peer(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap().WithZone("")
}

func among(a netip.Addr, trusted []netip.Prefix) bool {
	return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(a) })
}
