// SPDX-License-Identifier: Apache-2.0

// What clients try: headers that are not theirs, cookies that are none, paths around a protected route.

package edge_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"example.com/vidimus/edge"
	"example.com/vidimus/passport/header"
)

func TestNobodySpeaksForTheEdge(t *testing.T) {
	t.Parallel()
	s := open(t, echo, func(c *edge.Config) { c.Strip = []string{"X-Tenant"} })
	handle := s.signIn("alice")
	for _, name := range []string{
		"Txn-Token", "txn-token", "TXN-TOKEN", "Txn_Token", "txn_token", "TXN_TOKEN",
		"Vidimus-Effect", "vidimus-effect", "Vidimus_Position", "vidimus_staleness", "VIDIMUS_ANYTHING", "Vidimus-Status",
		"Forwarded", "X-Forwarded-User",
		"X_Forwarded_For", "x-forwarded-prefix", "X-Forwarded_Host", "X-Real-Ip", "X_REAL_IP",
		"X-Original-Url", "X-Rewrite-Url", "X-Http-Method-Override", "X-HTTP-Method", "X-Method-Override",
		"X-Middleware-Subrequest", "Remote-User", "Remote_User", "X-Remote-User", "X-Auth-Request-Email", "Client-Ip",
		"True-Client-Ip", "X-Envoy-Original-Path", "Proxy", "X-Tenant", "x_tenant",
		"Content_Length", "content_length", "Transfer_Encoding", "CONTENT_TYPE",
		"CF-Connecting-IP", "cf_connecting_ip", "Cf-Access-Jwt-Assertion", "Fastly-Client-IP", "X-SSL-Client-CN",
		"X_SSL_CLIENT_VERIFY", "Ssl-Client-Cert", "X-Client-Cert", "Client-Cert", "Client-Cert-Chain",
		"X-Amzn-Oidc-Identity", "X-Amzn-Oidc-Data", "X-Amzn-Mtls-Clientcert", "X-Goog-Authenticated-User-Email",
		"X-Goog-Iap-Jwt-Assertion", "X-MS-Client-Principal", "X-MS-Client-Principal-Id", "X-Pomerium-Jwt-Assertion",
		"WL-Proxy-Client-IP", "Proxy-Client-IP", "X-User-Id", "X-User-Email", "X-Forwarded", "Forwarded-For",
		"X-Forward-For", "X-Azure-ClientIP", "X-ProxyUser-Ip", "X-Appengine-User-Ip", "X-Original-Remote-Addr",
		"X-Original-Forwarded-For", "X-Originating-Ip", "Remote-Email", "Remote-Groups", "X-Authentik-Username",
		"X-Consumer-Username", "X-Authenticated-Userid", "X-Vouch-User", "Tailscale-User-Login",
	} {
		for _, signedIn := range []string{"", handle} {
			got := s.call(t, "GET", "/public", signedIn, name+": evil").want(t, 200).echoed(t)
			for sent, values := range got.Header {
				if strings.Contains(strings.Join(values, " "), "evil") {
					t.Errorf("%s reaches the service as %s", name, sent)
				}
			}
			if signedIn == "" && got.Header[header.TxnToken] != nil {
				t.Errorf("with %s, a service is given a passport of nobody", name)
			}
		}
	}
	got := s.call(t, "GET", "/account/", handle, "Txn-Token: evil", "Txn-Token: worse").want(t, 200).echoed(t)
	if tokens := got.Header[header.TxnToken]; len(tokens) != 1 || s.verify(t, tokens[0]).Subject != "alice" {
		t.Errorf("the service got %d passports", len(tokens))
	}
}

// What only looks like such a name is the application's own.
func TestOtherHeadersOfClientsPass(t *testing.T) {
	t.Parallel()
	s := open(t, echo, nil)
	for _, name := range []string{
		"X-Userland", "X-User-Agent", "X-Sslstrip",
		"X-Requested-With", "X-Csrf-Token", "Authorization", "Traceparent", "Cf-Ray", "X-Remote",
		"X-Originals", "Remote-Control", "Proxy-Hint", "Vidimus", "Txn-Tokens", "X-Client-Version", "X-Amzn-Trace-Id",
	} {
		if got := s.call(t, "GET", "/public", "", name+": mine").want(t, 200).echoed(t); got.Header.Get(name) != "mine" {
			t.Errorf("%s does not reach the service", name)
		}
	}
}

func TestConnectionTakesNothingAway(t *testing.T) {
	t.Parallel()
	s := open(t, echo, nil)
	handle := s.signIn("alice")
	for _, option := range []string{
		"Txn-Token", "txn-token", "keep-alive, Txn-Token", "Vidimus-Position", "X-Forwarded-For", "Cookie", "If-Match",
		"Idempotency-Key", "Content-Type", "close, x-anything",
	} {
		s.call(t, "GET", "/account/", handle, "Connection: "+option).want(t, 400)
	}
	for _, option := range []string{"keep-alive", "close", "Keep-Alive, TE"} {
		got := s.call(t, "GET", "/account/", handle, "Connection: "+option).want(t, 200).echoed(t)
		if len(got.Header[header.TxnToken]) != 1 {
			t.Errorf("Connection: %s takes the passport away", option)
		}
	}
}

func TestForwardingIsBelievedOfTrustedProxiesAlone(t *testing.T) {
	t.Parallel()
	fields := []string{"X-Forwarded-For: 203.0.113.9, 198.51.100.7", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil"}
	alone := open(t, echo, nil).call(t, "GET", "/", "", fields...).want(t, 200).echoed(t).Header
	if got := alone.Get("X-Forwarded-For"); got != "127.0.0.1" {
		t.Errorf("of anybody, the client is %q", got)
	}
	if got := alone.Get("X-Forwarded-Proto"); got != "http" {
		t.Errorf("of anybody, the scheme is %q", got)
	}
	behind := open(t, echo, func(c *edge.Config) {
		c.TrustedProxies = append(loopback(), netip.MustParsePrefix("198.51.100.0/24"))
	}).call(t, "GET", "/", "", fields...).want(t, 200).echoed(t).Header
	if got := behind.Get("X-Forwarded-For"); got != "203.0.113.9" {
		t.Errorf("of trusted proxies, the client is %q", got)
	}
	if got := behind.Get("X-Forwarded-Proto"); got != "https" {
		t.Errorf("of trusted proxies, the scheme is %q", got)
	}
	if got := behind.Get("X-Forwarded-Host"); strings.Contains(got, "evil") {
		t.Errorf("the host is %q", got)
	}
}

// A proxy that listens on IPv6 writes an IPv4 neighbour as an address of IPv6.
func TestTrustedProxiesAreKnownInEitherSpelling(t *testing.T) {
	t.Parallel()
	s := open(t, echo, func(c *edge.Config) {
		c.TrustedProxies = append(loopback(), netip.MustParsePrefix("198.51.100.0/24"))
	})
	for said, want := range map[string]string{
		"203.0.113.9, ::ffff:198.51.100.7":        "203.0.113.9",
		"::ffff:203.0.113.9, 198.51.100.7":        "203.0.113.9",
		"203.0.113.9, ::ffff:198.51.99.7":         "198.51.99.7",
		"2001:db8::9%eth0, 198.51.100.7":          "2001:db8::9",
		"203.0.113.9, nonsense, 198.51.100.7":     "198.51.100.7",
		"203.0.113.9,::ffff:c633:6407,127.0.0.1 ": "203.0.113.9",
	} {
		sent := s.call(t, "GET", "/", "", "X-Forwarded-For: "+said).want(t, 200).echoed(t)
		if got := sent.Header.Get("X-Forwarded-For"); got != want {
			t.Errorf("%q: the client is %q, want %q", said, got, want)
		}
	}
}

func TestNoPathGoesAroundAProtectedRoute(t *testing.T) {
	t.Parallel()
	s := open(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "REACHED ", r.URL.Path) }, nil)
	address := strings.TrimPrefix(s.url, "http://")
	for _, target := range []string{
		"/admin", "/admin/", "/admin/users", "/%61dmin/users", "/admin%2fusers", "/public/../admin", "/public/%2e%2e/admin",
		"/public/..%2fadmin", "/public/%2e%2e%2fadmin", "/public%2f..%2fadmin", `/public\..\admin`, "/public/..%5cadmin",
		"/public/%252e%252e/admin", "//admin", "/public//../admin", "/./admin", "/.//admin", "/;/admin", "/public;/../admin",
		"/admin;x=y", "/admin%3bx", "/admin%00", "/admin%20", "/admin.", "/admin%2e", "/ADMIN/users", "/Admin", "/aDmin%2Fx",
		"/%EF%BD%81dmin/", "/%ef%bc%8fadmin", "/admin%09", "/admin%0d%0a", "/admin%3f", "/admin%23", "/admin#", "/public/..",
		"http://" + address + "/admin", "http://elsewhere.example/admin", "//elsewhere.example/admin", "/admin/../admin",
	} {
		got := raw(t, address, "GET "+target+" HTTP/1.1\r\nHost: "+address+"\r\nConnection: close\r\n\r\n")
		if strings.Contains(got, "REACHED") || strings.Contains(got, " 200 ") {
			t.Errorf("%s passes: %q", target, got)
		}
	}
	got := raw(t, address, "GET /public HTTP/1.1\r\nHost: "+address+"\r\nConnection: close\r\n\r\n")
	if !strings.Contains(got, "REACHED") {
		t.Errorf("nothing passes at all: %q", got)
	}
}

// raw sends bytes and returns what comes back until the connection ends.
func raw(t *testing.T, address, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil && len(got) == 0 {
		return err.Error()
	}
	return string(got)
}

// TestNoRequestIsSmuggled pins what net/http does, which the edge stands on: a request whose end two servers could
// see in different places is refused, or has one end, and the connection is not used again.
func TestNoRequestIsSmuggled(t *testing.T) {
	t.Parallel()
	reached := make(chan string, 100)
	s := open(t, func(_ http.ResponseWriter, r *http.Request) { reached <- r.URL.Path }, nil)
	address := strings.TrimPrefix(s.url, "http://")
	const hidden = "GET /account/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	for name, request := range map[string]string{
		"both lengths":         "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
		"two lengths":          "Content-Length: 0\r\nContent-Length: 44\r\n\r\n" + hidden,
		"a length with a sign": "Content-Length: +0\r\n\r\n" + hidden,
		"chunked and not":      "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + hidden,
		"chunked in disguise":  "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + hidden,
		"a space before colon": "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + hidden,
		"a folded field":       "X: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
		"a bare line feed":     "Transfer-Encoding:\n chunked\r\n\r\n0\r\n\r\n" + hidden,
		"a NUL in a field":     "X: a\x00b\r\n\r\n",
		"a long chunk line":    "Transfer-Encoding: chunked\r\n\r\n0;" + strings.Repeat("x", 8192) + "\r\n\r\n" + hidden,
	} {
		got := raw(t, address, "POST /public HTTP/1.1\r\nHost: "+address+"\r\nConnection: close\r\n"+request)
		if answers := strings.Count(got, "HTTP/1.1 "); answers > 1 {
			t.Errorf("%s: %d answers", name, answers)
		}
	}
	s.service.Close() // waits for what the edge gave up, and the service did not yet
	close(reached)
	for path := range reached {
		if strings.Contains(path, "smuggled") {
			t.Error("a request was smuggled")
		}
	}
}

func TestNoProtocolButWebSocketIsSwitchedTo(t *testing.T) {
	t.Parallel()
	s := open(t, echo, nil)
	for _, protocol := range []string{"h2c", "HTTP/2.0", "websocket, h2c", "TLS/1.0"} {
		got := s.call(t, "GET", "/public", "", "Connection: Upgrade, HTTP2-Settings", "Upgrade: "+protocol,
			"Http2-Settings: AAMAAABkAAQAoAAAAAIAAAAA").want(t, 200).echoed(t)
		if got.Header["Upgrade"] != nil || got.Header["Connection"] != nil || got.Header["Http2-Settings"] != nil {
			t.Errorf("%s reaches the service", protocol)
		}
	}
}

func TestCookiesThatStandForNothingSignNobodyIn(t *testing.T) {
	t.Parallel()
	s := open(t, echo, func(c *edge.Config) { c.Cells = []string{"c3"} })
	good := s.signIn("alice")
	for name, handle := range map[string]string{
		"empty": "", "forged": good[:len(good)-1] + flip(good[len(good)-1:]), "truncated": good[:len(good)-1],
		"longer": good + "A", "another cell": strings.Replace(good, "c3", "c4", 1),
		"no cell":         strings.Replace(good, "c3.", "", 1),
		"another version": "v2" + good[2:], "quoted": `"` + good + `"`, "a space": good[:30] + " " + good[30:],
		"no base64url": good[:30] + "+" + good[31:], "huge": "v1.c3." + strings.Repeat("A", 4000), "dots": "v1....",
		"a generation that is none": strings.Replace(good, ".1.", ".x.", 1), "a comma": good + "," + good,
	} {
		t.Run(name, func(t *testing.T) {
			before := s.mints()
			s.call(t, "GET", "/account/", handle).want(t, 401)
			if got := s.call(t, "GET", "/public", handle).want(t, 200).echoed(t); got.Header[header.TxnToken] != nil {
				t.Error("a passport goes to a public page")
			}
			if asked := s.mints() - before; asked > 0 && name != "forged" || asked > 1 {
				t.Errorf("the authority was asked %d times", asked)
			}
		})
	}
	s.call(t, "GET", "/account/", good).want(t, 200)
	two := []string{"Cookie: " + edge.CookieName + "=" + good}
	s.call(t, "GET", "/account/", good, two...).want(t, 400)
	s.call(t, "GET", "/account/", "", "Cookie: a=b; "+edge.CookieName+"="+good+"; "+edge.CookieName+"="+good).want(t, 400)
}

func flip(s string) string {
	if s == "A" {
		return "B"
	}
	return "A"
}

func TestAFloodOfForgedHandlesIsCutOff(t *testing.T) {
	t.Parallel()
	s := open(t, echo, func(c *edge.Config) {
		for i := range c.Routes {
			c.Routes[i].MaxStale = time.Hour // a flood may take its time on a busy machine
		}
	})
	good := s.signIn("alice")
	s.call(t, "GET", "/account/", good).want(t, 200)
	refused := 0
	for i := range 400 {
		forged := fmt.Sprintf("v1.c3.%022d.1.%022d", i, i)
		if got := s.call(t, "GET", "/account/", forged); got.status == 429 {
			if refused++; !strings.Contains(got.body, `"remedy":"Wait, then try again."`) {
				t.Fatalf("the client is told %s", got.body)
			}
		} else {
			got.want(t, 401)
		}
	}
	if asked := s.mints(); refused == 0 || asked > 350 {
		t.Errorf("%d were cut off, the authority was asked %d times", refused, asked)
	}
	s.call(t, "GET", "/account/", good).want(t, 200) // whoever was signed in does not feel it
}

func TestServicesSeeNoHandle(t *testing.T) {
	t.Parallel()
	s := open(t, echo, nil)
	handle := s.signIn("alice")
	for cookies, want := range map[string]string{
		edge.CookieName + "=" + handle:                                 "",
		"a=1; " + edge.CookieName + "=" + handle + "; b=2":             "a=1; b=2",
		edge.CookieName + " = " + handle + ";c=\"x y\"":                `c="x y"`,
		"__host-vid=" + handle:                                         "",
		"__HOST-VID=" + handle + "; " + edge.CookieName + "=" + handle: "",
		"a=" + edge.CookieName:                                         "a=" + edge.CookieName,
		"lonely; a=1":                                                  "lonely; a=1",
	} {
		got := s.call(t, "GET", "/public", "", "Cookie: "+cookies).want(t, 200).echoed(t)
		if cookie := got.Header.Get("Cookie"); cookie != want {
			t.Errorf("%q reaches the service as %q, want %q", cookies, cookie, want)
		}
	}
}

func TestTrailersOfRequestsEndHere(t *testing.T) {
	t.Parallel()
	seen := make(chan http.Header, 1)
	s := open(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		seen <- r.Trailer
	}, nil)
	address := strings.TrimPrefix(s.url, "http://")
	got := raw(t, address, "POST /public HTTP/1.1\r\nHost: "+address+"\r\nConnection: close\r\n"+
		"Transfer-Encoding: chunked\r\n"+
		"Trailer: Txn-Token\r\n\r\n1\r\na\r\n0\r\nTxn-Token: evil\r\nVidimus-Position: evil\r\n\r\n")
	if !strings.Contains(got, " 200 ") {
		t.Fatalf("got %q", got)
	}
	if trailer := <-seen; len(trailer) > 0 {
		t.Errorf("the service sees %v", trailer)
	}
}

func TestHostsAndMethodsThatAreNotServed(t *testing.T) {
	t.Parallel()
	s := open(t, echo, func(c *edge.Config) { c.Hosts = []string{"shop.example", "Shop.example:8443"} })
	for host, want := range map[string]int{
		"shop.example": 200, "SHOP.example": 200, "shop.example:8443": 200, "evil.example": 421, "shop.example.evil": 421,
		"shop.example:80": 421,
	} {
		s.call(t, "GET", "/", "", "Host: "+host).want(t, want)
	}
	for _, method := range []string{"TRACE", "CONNECT"} {
		address := strings.TrimPrefix(s.url, "http://")
		got := raw(t, address, method+" /public HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n")
		line, _, _ := bufio.NewReader(strings.NewReader(got)).ReadLine()
		if !strings.Contains(string(line), " 405 ") && !strings.Contains(string(line), " 400 ") {
			t.Errorf("%s: %s", method, line)
		}
	}
	got := s.call(t, "GET", "/pay", "", "Host: shop.example").want(t, 405)
	if got.header.Get("Allow") != "POST" {
		t.Errorf("allowed: %q", got.header.Get("Allow"))
	}
}

func TestPagesOfOtherOriginsChangeNothing(t *testing.T) {
	t.Parallel()
	s := open(t, echo, func(c *edge.Config) {
		c.TrustedOrigins = []string{"https://pay.example"}
		c.Routes = append(c.Routes, edge.Route{Path: "/hook", Upstream: "UPSTREAM", Public: true, CrossOrigin: true})
	})
	handle := s.signIn("alice")
	for name, c := range map[string]struct {
		method, target string
		want           int
		fields         []string
	}{
		"a page of another site":       {"POST", "/account/", 403, []string{"Sec-Fetch-Site: cross-site"}},
		"a page of a sister site":      {"POST", "/account/", 403, []string{"Sec-Fetch-Site: same-site"}},
		"an origin without Sec-Fetch":  {"POST", "/account/", 403, []string{"Origin: https://evil.example"}},
		"an origin that hides":         {"POST", "/account/", 403, []string{"Origin: null"}},
		"signing in from another site": {"POST", "/sign-in", 403, []string{"Sec-Fetch-Site: cross-site"}},
		"deleting":                     {"DELETE", "/account/", 403, []string{"Sec-Fetch-Site: cross-site"}},
		"a heartbeat":                  {"POST", "/.vidimus/heartbeat", 403, []string{"Sec-Fetch-Site: cross-site"}},
		"its own page":                 {"POST", "/account/", 200, []string{"Sec-Fetch-Site: same-origin"}},
		"no browser":                   {"POST", "/account/", 200, nil},
		"a trusted origin":             {"POST", "/account/", 200, []string{"Origin: https://pay.example"}},
		"a link from another site":     {"GET", "/account/", 200, []string{"Sec-Fetch-Site: cross-site"}},
		"a route for others":           {"POST", "/hook", 200, []string{"Sec-Fetch-Site: cross-site"}},
		"a WebSocket of another site's page": {
			"GET", "/account/", 403,
			[]string{"Origin: https://evil.example", "Connection: Upgrade", "Upgrade: websocket"},
		},
	} {
		t.Run(name, func(t *testing.T) { s.call(t, c.method, c.target, handle, c.fields...).want(t, c.want) })
	}
}
