// SPDX-License-Identifier: Apache-2.0

// What an edge costs beside what it is made of. The comparison with others is in bench.

package edge_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"example.com/vidimus/edge"
)

// page is a service with a small page.
func page(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "a small page") }

// like is a request as a browser sends it.
func like(handle string) http.Header {
	return http.Header{
		"Accept": {"text/html,application/xhtml+xml"}, "Accept-Encoding": {"gzip, br"}, "Accept-Language": {"en"},
		"User-Agent": {"Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/145.0"}, "Sec-Fetch-Site": {"same-origin"},
		"Sec-Fetch-Mode": {"navigate"}, "Cookie": {"theme=dark; " + edge.CookieName + "=" + handle},
	}
}

// BenchmarkAuth measures the decision alone, and an answer of the handler without a network.
func BenchmarkAuth(b *testing.B) {
	s := open(b, page, func(c *edge.Config) { c.TrustedProxies = loopback() })
	r := httptest.NewRequest(http.MethodGet, "/account/seats?x=1", nil)
	r.Header = like(s.signIn("alice"))
	r.RemoteAddr = "127.0.0.1:1"
	b.Run("check", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if v := s.edge.Check(b.Context(), r); v.Status != http.StatusOK {
				b.Fatal(v.Status)
			}
		}
	})
	q := r.Clone(b.Context())
	q.Header.Set("X-Forwarded-Uri", "/account/seats?x=1")
	q.Header.Set("X-Forwarded-Method", "GET")
	auth, w := s.edge.Auth(), &nowhere{}
	b.Run("handler", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			w.header = make(http.Header, 8)
			auth.ServeHTTP(w, q)
		}
		if w.status != http.StatusOK {
			b.Fatal(w.status)
		}
	})
}

type nowhere struct {
	header http.Header
	status int
}

func (n *nowhere) Header() http.Header         { return n.header }
func (n *nowhere) WriteHeader(status int)      { n.status = status }
func (n *nowhere) Write(p []byte) (int, error) { return len(p), nil }

// BenchmarkProxy measures a page through the edge, and through httputil.ReverseProxy alone, over real connections.
func BenchmarkProxy(b *testing.B) {
	s := open(b, page, nil)
	upstream, err := url.Parse(s.service.URL)
	if err != nil {
		b.Fatal(err)
	}
	alone := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:   func(p *httputil.ProxyRequest) { p.SetURL(upstream) },
		Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true},
	})
	defer alone.Close()
	header := like(s.signIn("alice"))
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}}
	load := func(url string) func(*testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				r, err := http.NewRequest(http.MethodGet, url+"/account/seats?x=1", nil)
				if err != nil {
					b.Error(err)
					return
				}
				r.Header = header
				for pb.Next() {
					res, err := client.Do(r)
					if err != nil {
						b.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
					if res.StatusCode != http.StatusOK {
						b.Error(res.Status)
					}
				}
			})
		}
	}
	b.Run("alone", load(alone.URL))
	b.Run("edge", load(s.url))
}
