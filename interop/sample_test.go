// SPDX-License-Identifier: Apache-2.0

// The sample behind proxies that nobody here wrote: nginx or Caddy asks the real binary about each request, and passes
// it on to the services of the real box office.

package interop

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/vidimus/edge"
)

// sample is the box office behind a proxy.
type sample struct {
	office boxOffice
	proxy  proxied // of which only the addresses are used
}

// openSample opens the box office, and beside it the edge that a proxy asks. The office's own edge is not used.
func openSample(t *testing.T) *sample {
	t.Helper()
	s := &sample{office: openBoxOffice(t)}
	binary := &shop{binary: filepath.Join(t.TempDir(), "vidimus")}
	build(t, "./cmd/vidimus", binary.binary)
	asked, _ := binary.run(t, "edge", "--authority", s.office.parts["authority"], "--auth", "127.0.0.1:0",
		"--listen", "127.0.0.1:0", "--sign-in", "/signin", "--sign-in", "/signout", "--open", "/assets/")
	var said struct{ Auth string }
	must(t, json.Unmarshal([]byte(asked.said), &said))
	s.proxy.auth, s.proxy.service = &httptest.Server{URL: said.Auth}, &httptest.Server{URL: "http://SERVICE"}
	return s
}

// behind returns the lines of docs/edge.md with one service in the place of that which is shown.
func (s *sample) behind(lines, service string) string {
	return strings.Replace(lines, "SERVICE", strings.TrimPrefix(s.office.parts[service], "http://"), 1)
}

func TestNginxProtectsTheBoxOffice(t *testing.T) {
	t.Parallel()
	s := openSample(t)
	const begin, end = "location / {", "\n}\n"
	before, rest, _ := strings.Cut(s.proxy.guide(t, nginxGuide), begin)
	one, after, _ := strings.Cut(rest, end)
	var all strings.Builder // of the one location that the guide shows, one for each service
	for _, l := range [][2]string{{"/api/seats", "seats"}, {"/api/account", "account"}, {"/", "pages"}} {
		all.WriteString("location " + l[0] + " {" + s.behind(one, l[1]) + end)
	}
	s.proxy.startNginx(t, before+all.String()+after)
	s.protects(t)
}

func TestCaddyProtectsTheBoxOffice(t *testing.T) {
	t.Parallel()
	s := openSample(t)
	const begin, end = "\treverse_proxy ", "\n\t}\n"
	before, rest, _ := strings.Cut(s.proxy.guide(t, caddyGuide), begin)
	one, after, _ := strings.Cut(rest, end)
	var all strings.Builder
	for _, l := range [][2]string{{"/api/seats*", "seats"}, {"/api/account", "account"}, {"", "pages"}} {
		all.WriteString("\thandle " + l[0] + " {\n" + begin + s.behind(one, l[1]) + end + "\t}\n")
	}
	s.proxy.startCaddy(t, before+all.String()+after)
	s.protects(t)
}

// protects signs people in and out, and has them hold seats.
func (s *sample) protects(t *testing.T) {
	t.Helper()
	at := s.proxy.url
	ask := func(what string, b browser, want int, method, target, body string) string {
		t.Helper()
		status, text := b.ask(t, method, at+target, body)
		if status != want {
			t.Fatalf("%s: %s %s answers %d, want %d: %.300s", what, method, target, status, want, text)
		}
		return text
	}
	const hold = "/api/seats/lyra-b4/hold"
	nobody, forged := browser{}, browser{edge.CookieName: "v1.main.AAAAAAAAAAAAAAAAAAAAAA.1.AAAAAAAAAAAAAAAAAAAAAA"}
	for _, b := range []browser{nobody, forged} {
		ask("nobody", b, 401, "GET", "/", "")
		ask("nobody", b, 401, "GET", "/api/account", "")
		ask("nobody", b, 401, "POST", hold, "")
		ask("nobody", b, 200, "GET", "/signin", "")
		ask("nobody", b, 200, "GET", "/assets/style.css", "")
	}
	if status := s.field(t, at+"/api/account", nobody, "Txn-Token", "evil"); status != 401 {
		t.Errorf("with a passport of its own making a client gets %d", status)
	}
	if status, _ := nobody.ask(t, "GET", s.office.parts["seats"]+"/api/seats", ""); status != 401 {
		t.Errorf("around the proxy, a service answers %d", status)
	}

	ada, ben := browser{}, browser{}
	ask("a wrong password", ada, 401, "POST", "/signin", "user=ada&password=difference-engine")
	ask("ada signs in", ada, 303, "POST", "/signin", "user=ada&password=analytical-engine")
	if !strings.HasPrefix(ada[edge.CookieName], "v1.") {
		t.Fatalf("signing in leaves the cookies %v", ada)
	}
	if got := ask("ada", ada, 200, "GET", "/api/account", ""); !strings.Contains(got, `"permit":"NJ"`) {
		t.Errorf("her account is %s", got)
	}
	ask("ada", ada, 200, "GET", "/", "")
	ask("ada", ada, 200, "POST", hold, "")
	ask("a show where she has no permit", ada, 403, "POST", "/api/seats/tempest-a1/hold", "")
	if status := s.field(t, at+"/api/account", ada, "Sec-Fetch-Site", "cross-site"); status != 403 {
		t.Errorf("a page of another site gets %d", status)
	}
	ask("ben signs in", ben, 303, "POST", "/signin", "user=ben&password=kite-and-key")
	ask("ben, whose permit is for there", ben, 200, "POST", "/api/seats/tempest-a1/hold", "")
	ask("ben, where ada's permit is for", ben, 403, "POST", "/api/seats/lyra-b5/hold", "")

	tab := maps.Clone(ada) // the handle, as a thief or a slower tab has it
	ask("ada signs out", ada, 303, "POST", "/signout", "")
	left := time.Now()
	if ada[edge.CookieName] != "" {
		t.Errorf("signing out leaves the cookies %v", ada)
	}
	for {
		status, _ := tab.ask(t, "GET", at+"/api/account", "")
		if status == 401 {
			break
		}
		if time.Since(left) > obeyed {
			t.Fatalf("%v after she left, her account answers %d", time.Since(left), status)
		}
	}
	t.Logf("the sign-out is obeyed after %v", time.Since(left))
	ask("who left", tab, 401, "POST", "/api/seats/lyra-b5/hold", "")
	ask("who stayed", ben, 200, "GET", "/api/seats", "")
}

// field sends something that changes things, with one more field, and returns the status.
func (s *sample) field(t *testing.T, url string, b browser, name, value string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, nil)
	must(t, err)
	r.Header.Set(name, value)
	r.Header.Set("Cookie", edge.CookieName+"="+b[edge.CookieName])
	res, err := http.DefaultTransport.RoundTrip(r)
	must(t, err)
	must(t, res.Body.Close())
	return res.StatusCode
}
