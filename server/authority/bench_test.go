// SPDX-License-Identifier: Apache-2.0

// What an exchange costs over HTTP, beside the mint alone.

package authority_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"example.com/vidimus/journal/sqlite"
	"example.com/vidimus/passport"
)

// BenchmarkExchange mints on SQLite: in this process, through the handler, and over a connection of this machine.
func BenchmarkExchange(b *testing.B) {
	log, err := sqlite.Open(b.Context(), sqlite.Config{Path: filepath.Join(b.TempDir(), "bench.db")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = log.Close() }) // after the node
	o := start(b, options{log: log})
	bearer := o.token(b, "passport:"+domain)
	s := o.signIn(b, "acme", "u-42")
	form := exchangeForm(s.Handle).Encode()
	request := func(url string) *http.Request {
		r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url+"/oauth/token", strings.NewReader(form))
		if err != nil {
			b.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Authorization", "Bearer "+bearer)
		return r
	}
	b.Run("mint", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := o.sessions.Mint(b.Context(), passport.Ask{Handle: s.Handle, Workload: "bench"}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("handler", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			w := httptest.NewRecorder()
			if o.ServeHTTP(w, request("http://id.example")); w.Code != http.StatusOK {
				b.Fatal(w.Body)
			}
		}
	})
	b.Run("http", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			res, err := http.DefaultClient.Do(request(o.url))
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, res.Body); err != nil || res.Body.Close() != nil || res.StatusCode != 200 {
				b.Fatal(res.Status, err)
			}
		}
	})
}
