// SPDX-License-Identifier: Apache-2.0

// The edge beside what it could at best be: a handler that checks an HMAC, and a reverse proxy that checks nothing.

package bench

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/vidimus/cell"
	"example.com/vidimus/edge"
	"example.com/vidimus/heartbeat"
	"example.com/vidimus/heartbeat/feed"
	"example.com/vidimus/heartbeat/presence"
	"example.com/vidimus/journal/sqlite"
	"example.com/vidimus/passport"
	"example.com/vidimus/passport/keyring"
	"example.com/vidimus/session"
)

// site is an edge with its authority, and a session.
type site struct {
	edge   *edge.Edge
	handle string
	token  string // a passport of the session
}

// openSite opens sessions on a journal on SQLite and an edge that follows them, in this process.
func openSite(b *testing.B, upstream string) *site {
	b.Helper()
	ctx := b.Context()
	journal, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(b.TempDir(), "journal.db")})
	must(b, err)
	b.Cleanup(func() { journal.Close() })
	c, err := cell.Open(ctx, cell.Config{Log: journal})
	must(b, err)
	seal := make([]byte, keyring.SealSize)
	_, err = rand.Read(seal)
	must(b, err)
	keys, err := keyring.Open(ctx, keyring.Config{Log: journal, Seal: seal})
	must(b, err)
	sessions, err := session.Open(ctx, session.Config{
		Cell: c, Keys: keys, Issuer: "https://id.shop.example", TrustDomain: "shop.example", Schema: "shop/1",
		Scopes: []string{"read", "buy"}, Public: session.Public{Subject: map[string]session.Attribute{"limit": {Type: "number"}}},
	})
	must(b, err)
	f, err := feed.Open(feed.Config{Log: journal, Changes: session.Changes})
	must(b, err)
	client, err := heartbeat.Open(heartbeat.Config{Sources: []heartbeat.Source{f}})
	must(b, err)
	beats, err := presence.OpenBatcher(presence.BatcherConfig{
		Send: func(context.Context, []presence.Beat) error { return nil },
	})
	must(b, err)
	e, err := edge.Open(edge.Config{
		Authority: sessions, View: client.View(), Beats: beats,
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Routes:         []edge.Route{{Path: "/", Upstream: upstream, Scopes: []string{"read"}, MaxStale: 2 * time.Second}},
	})
	must(b, err)
	runUntilEnd(b, f.Run, client.Run, beats.Run, e.Run)
	_, err = client.Sync(ctx)
	must(b, err)
	started, err := sessions.Start(ctx, session.Start{
		Tenant: "acme", Subject: "ada", SubjectState: session.State{"limit": json.RawMessage("500")},
	})
	must(b, err)
	grant, err := sessions.Mint(ctx, passport.Ask{Handle: started.Handle, Workload: "edge"})
	must(b, err)
	return &site{e, started.Handle, grant.Token}
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// runUntilEnd runs parts until the benchmark has ended.
func runUntilEnd(b *testing.B, parts ...func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	for _, run := range parts {
		group.Go(func() {
			if err := run(ctx); err != nil {
				b.Error(err)
			}
		})
	}
	b.Cleanup(func() {
		cancel()
		group.Wait()
	})
}

// browser is what a browser sends with every request.
func browser(cookie string) http.Header {
	return http.Header{
		"Accept": {"text/html,application/xhtml+xml"}, "Accept-Encoding": {"gzip, br"}, "Accept-Language": {"en"},
		"User-Agent": {"Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/145.0"}, "Sec-Fetch-Site": {"same-origin"},
		"Sec-Fetch-Mode": {"navigate"}, "Cookie": {"theme=dark; " + cookie},
	}
}

// served is one side of a comparison.
type served struct {
	name, url string
	header    http.Header
}

// compareServed loads the first and the second in turns, and reports the ratio of the first to the second: of answers a
// second, and of the CPU time that this process took for one. It reports medians over the rounds.
func compareServed(b *testing.B, a, other served) {
	b.Helper()
	const turns = 5
	var rates, costs []measured
	for round := range turns + 1 {
		var rate [2]float64
		var cost [2]time.Duration
		for i, s := range []served{a, other} {
			rate[i], cost[i] = wrk(b, s.url, s.header, roundLength)
		}
		if round == 0 {
			continue // to warm up
		}
		rates = append(rates, measured{perSecond: rate[0] / rate[1], p50: time.Duration(rate[0]), p99: time.Duration(rate[1])})
		costs = append(costs, measured{perSecond: float64(cost[0]) / float64(cost[1]), p50: cost[0], p99: cost[1]})
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(rates, func(m measured) float64 { return m.perSecond }), "of_"+other.name)
	b.ReportMetric(median(rates, func(m measured) float64 { return float64(m.p50) }), a.name+"_req/s")
	b.ReportMetric(median(rates, func(m measured) float64 { return float64(m.p99) }), other.name+"_req/s")
	b.ReportMetric(median(costs, func(m measured) float64 { return m.perSecond }), "cpu_of_"+other.name)
	b.ReportMetric(median(costs, func(m measured) float64 { return float64(m.p50.Nanoseconds()) / 1000 }), a.name+"_cpu_us")
	b.ReportMetric(median(costs, func(m measured) float64 { return float64(m.p99.Nanoseconds()) / 1000 }), other.name+"_cpu_us")
}

// BenchmarkForwardAuth compares the question of a proxy in front, which the edge answers with a passport, with a handler
// that only verifies an HS256 token of the passport's size.
func BenchmarkForwardAuth(b *testing.B) {
	s := openSite(b, "http://127.0.0.1:1")
	auth := httptest.NewServer(s.edge.Auth())
	defer auth.Close()
	bare := newHMAC(b, len(s.token))
	plain := httptest.NewServer(bare)
	defer plain.Close()
	question := func(cookie string) http.Header {
		h := browser(cookie)
		h.Set("X-Forwarded-Uri", "/seats?row=1")
		h.Set("X-Forwarded-Method", "GET")
		h.Set("X-Forwarded-Host", "shop.example")
		h.Set("X-Forwarded-For", "192.0.2.7")
		h.Set("X-Forwarded-Proto", "https")
		return h
	}
	compareServed(b,
		served{"edge", auth.URL + "/auth", question(edge.CookieName + "=" + s.handle)},
		served{"bare", plain.URL + "/auth", question("token=" + bare.token)})
}

// BenchmarkEdge compares a small page through the edge with the same page through httputil.ReverseProxy alone.
func BenchmarkEdge(b *testing.B) {
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "<p>a small page</p>")
	}))
	defer page.Close()
	upstream, err := url.Parse(page.URL)
	must(b, err)
	s := openSite(b, page.URL)
	inFront := httptest.NewServer(s.edge)
	defer inFront.Close()
	alone := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:    func(p *httputil.ProxyRequest) { p.SetURL(upstream) },
		Transport:  &http.Transport{MaxIdleConnsPerHost: 2 * wrkConnections, DisableCompression: true},
		BufferPool: &buffers{},                 // without one it is slower than the edge
		ErrorLog:   log.New(io.Discard, "", 0), // clients that leave when a turn ends
	})
	defer alone.Close()
	header := browser(edge.CookieName + "=" + s.handle)
	compareServed(b,
		served{"edge", inFront.URL + "/seats?row=1", header},
		served{"reverseproxy", alone.URL + "/seats?row=1", header})
}

// hmacOnly is a handler that verifies an HS256 token (RFC 7515) and nothing else, on the standard library.
type hmacOnly struct {
	key   []byte
	token string
}

// newHMAC makes a handler and a token of so many bytes for it.
func newHMAC(b *testing.B, size int) *hmacOnly {
	b.Helper()
	h := &hmacOnly{key: make([]byte, 32)}
	_, err := rand.Read(h.key)
	must(b, err)
	for pad := ""; len(h.token) < size; pad += "x" {
		claims, err := json.Marshal(map[string]any{
			"sub": "ada", "exp": time.Now().Add(time.Hour).Unix(), "aud": "shop.example", "pad": pad,
		})
		must(b, err)
		signed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." +
			base64.RawURLEncoding.EncodeToString(claims)
		h.token = signed + "." + base64.RawURLEncoding.EncodeToString(h.sum(signed))
	}
	return h
}

func (h *hmacOnly) sum(signed string) []byte {
	m := hmac.New(sha256.New, h.key)
	m.Write([]byte(signed))
	return m.Sum(nil)
}

func (h *hmacOnly) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, err := r.Cookie("token")
	if err != nil {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	at := strings.LastIndexByte(c.Value, '.')
	sum, err := base64.RawURLEncoding.DecodeString(c.Value[at+1:])
	if at < 0 || err != nil || !hmac.Equal(sum, h.sum(c.Value[:at])) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	_, payload, _ := strings.Cut(c.Value[:at], ".")
	text, err := base64.RawURLEncoding.DecodeString(payload)
	var claims struct {
		Sub string `json:"sub"`
		Exp int64  `json:"exp"`
	}
	if err != nil || json.Unmarshal(text, &claims) != nil || claims.Exp < time.Now().Unix() {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	w.Header().Set("X-User", claims.Sub)
}

// buffers is the pool that a proxy under load should have.
type buffers struct{ pool sync.Pool }

func (p *buffers) Get() []byte {
	if b, ok := p.pool.Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, 32<<10)
}

func (p *buffers) Put(b []byte) { p.pool.Put(&b) }
