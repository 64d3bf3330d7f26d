// SPDX-License-Identifier: Apache-2.0

// The whole box office in this process, used as browsers use it.

package office_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/vidimus/edge"
	"example.com/vidimus/examples/boxoffice/internal/office"
)

// open opens a box office on free ports. It ends with the test, or with the returned function.
func open(t *testing.T, dir string) (string, func()) {
	t.Helper()
	ready := make(chan struct{})
	o, err := office.Open(t.Context(), office.Config{
		Data: dir, Authority: "127.0.0.1:0", Edge: "127.0.0.1:0", Ready: func() { close(ready) },
		SignIn: edge.Limit{Every: time.Millisecond, Burst: 1000},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- o.Run(ctx) }()
	end := sync.OnceFunc(func() {
		cancel()
		if err := <-ran; err != nil {
			t.Errorf("the office ended with %v", err)
		}
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(end)
	select {
	case <-ready:
	case err := <-ran:
		ran <- err
		t.Fatalf("the office does not open: %v", err)
	}
	at, _, _, _ := o.URLs()
	return at, end
}

// browser is one browser with its cookie. Its requests may be made at once.
type browser struct {
	t      *testing.T
	url    string
	client *http.Client
	mu     sync.Mutex
	cookie string
}

const cookieName = "__Host-vid"

func newBrowser(t *testing.T, url string) *browser {
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &browser{t: t, url: url, client: &http.Client{CheckRedirect: stay, Timeout: 30 * time.Second}}
}

// answer is what a browser was answered.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, a.body) }

// ask sends a request. headers are names and values in turn.
func (b *browser) ask(method, path, body string, headers ...string) answer {
	r, err := http.NewRequest(method, b.url+path, strings.NewReader(body))
	if err != nil {
		b.t.Error(err)
		return answer{}
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	b.mu.Lock()
	if b.cookie != "" {
		r.Header.Set("Cookie", cookieName+"="+b.cookie)
	}
	b.mu.Unlock()
	res, err := b.client.Do(r)
	if err != nil {
		b.t.Error(err)
		return answer{}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Error(err)
	}
	for _, c := range res.Cookies() {
		if c.Name == cookieName {
			b.mu.Lock()
			b.cookie = c.Value
			b.mu.Unlock()
		}
	}
	return answer{res.StatusCode, res.Header, string(text)}
}

// want asks, and complains about another status or an answer without the words.
func (b *browser) want(status int, words, method, path, body string, headers ...string) answer {
	b.t.Helper()
	a := b.ask(method, path, body, headers...)
	if a.status != status || !strings.Contains(a.body, words) {
		b.t.Errorf("%s %s: %v; want %d with %q", method, path, a, status, words)
	}
	return a
}

// signIn signs in.
func (b *browser) signIn(user, password string) {
	b.t.Helper()
	form := url.Values{"user": {user}, "password": {password}}.Encode()
	b.want(http.StatusSeeOther, "", "POST", "/signin", form, "Content-Type", "application/x-www-form-urlencoded")
	if b.cookie == "" {
		b.t.Fatal("signing in sets no cookie")
	}
}

// change changes the account as it is now.
func (b *browser) change(body string) answer {
	b.t.Helper()
	now := b.want(http.StatusOK, "", "GET", "/api/account", "")
	return b.want(http.StatusOK, "", "PATCH", "/api/account", body, "If-Match", now.header.Get("ETag"))
}

func TestPeopleSignInHoldAndBuy(t *testing.T) {
	t.Parallel()
	at, _ := open(t, t.TempDir())
	stranger := newBrowser(t, at)
	stranger.want(http.StatusUnauthorized, "", "GET", "/api/account", "")
	stranger.want(http.StatusUnauthorized, "do not belong together", "POST", "/signin", "user=ada&password=x",
		"Content-Type", "application/x-www-form-urlencoded")
	if a := stranger.ask("GET", "/", "", "Accept", "text/html"); a.status/100 != 3 ||
		!strings.HasPrefix(a.header.Get("Location"), "/signin") {
		t.Errorf("a stranger is answered %v, %s", a, a.header.Get("Location"))
	}
	ada := newBrowser(t, at)
	ada.signIn("ada", "analytical-engine")
	ada.want(http.StatusOK, "Ada", "GET", "/", "", "Accept", "text/html")
	ada.want(http.StatusOK, `"permit":"NJ","limit":30000`, "GET", "/api/account", "")
	ada.want(http.StatusOK, `"is":"mine"`, "POST", "/api/seats/lyra-b4/hold", "")
	ada.want(http.StatusOK, `{"id":"lyra-b4","number":4,"is":"mine"`, "GET", "/api/seats", "")
	ben := newBrowser(t, at)
	ben.signIn("ben", "kite-and-key")
	ben.change(`{"permit": "NJ"}`)
	ben.want(http.StatusConflict, "Somebody else holds", "POST", "/api/seats/lyra-b4/hold", "")
	ada.want(http.StatusOK, `"is":"bought"`, "POST", "/api/seats/lyra-b4/buy", "", "Idempotency-Key", `"k1"`)
	ada.want(http.StatusOK, `"is":"bought"`, "POST", "/api/seats/lyra-b4/buy", "", "Idempotency-Key", `"k1"`)
	ada.want(http.StatusConflict, "sold", "POST", "/api/seats/lyra-b4/buy", "", "Idempotency-Key", `"k2"`)
	ada.want(http.StatusOK, `"spent":7000,`, "GET", "/api/seats", "")
	ben.want(http.StatusOK, `{"id":"lyra-b4","number":4,"is":"sold"`, "GET", "/api/seats", "")
}

func TestChangeInOneSessionIsObeyedInTheOther(t *testing.T) {
	t.Parallel()
	at, _ := open(t, t.TempDir())
	phone, laptop := newBrowser(t, at), newBrowser(t, at)
	phone.signIn("ada", "analytical-engine")
	laptop.signIn("ada", "analytical-engine")
	seen := laptop.want(http.StatusOK, "", "GET", "/api/account", "").header.Get("ETag")
	laptop.want(http.StatusOK, "mine", "POST", "/api/seats/lyra-a1/hold", "")
	phone.change(`{"permit": "PA"}`)
	laptop.want(http.StatusForbidden, "your permit is for PA", "POST", "/api/seats/lyra-a2/hold", "")
	laptop.want(http.StatusOK, "mine", "POST", "/api/seats/tempest-a2/hold", "")
	beat := fmt.Sprintf(`{"seen_ver":99,"seen_sver":%s,"tab":"t1"}`, strings.Trim(seen, `"`))
	laptop.want(http.StatusOK, `"stale":true`, "POST", "/.vidimus/heartbeat", beat)

	// What was decided on an old version is not written.
	laptop.want(http.StatusPreconditionFailed, "changed meanwhile", "PATCH", "/api/account", `{"limit": 1}`,
		"If-Match", seen)
	laptop.want(http.StatusPreconditionRequired, "", "PATCH", "/api/account", `{"limit": 1}`)
	laptop.want(http.StatusOK, `"permit":"PA","limit":30000`, "GET", "/api/account", "")
	now := laptop.ask("GET", "/api/account", "").header.Get("ETag")
	for body, status := range map[string]int{
		`{"permit": "Mars"}`: 422, `{"limit": -1}`: 422, `{"limit": 1000001}`: 422, `{}`: 422,
		`{"role": "admin"}`: 400, `x`: 400,
	} {
		laptop.want(status, "", "PATCH", "/api/account", body, "If-Match", now)
	}
}

func TestTwentyPurchasesOfOneAccountStayWithinItsLimit(t *testing.T) {
	t.Parallel()
	at, _ := open(t, t.TempDir())
	tabs := []*browser{newBrowser(t, at), newBrowser(t, at)}
	for _, b := range tabs {
		b.signIn("ada", "analytical-engine")
	}
	tabs[0].change(`{"limit": 50000}`)
	prices := map[string]int{}
	for i := range 20 {
		id := fmt.Sprintf("lyra-%c%d", 'a'+i/8, i%8+1)
		prices[id] = []int{90_00, 70_00, 50_00}[i/8]
		tabs[0].want(http.StatusOK, "mine", "POST", "/api/seats/"+id+"/hold", "")
	}
	// The limit is lowered while they buy.
	var work sync.WaitGroup
	var mu sync.Mutex
	total, turn := 0, 0
	for id, price := range prices {
		b := tabs[turn%2]
		turn++
		work.Go(func() {
			a := b.ask("POST", "/api/seats/"+id+"/buy", "")
			switch {
			case a.status == http.StatusOK:
				mu.Lock()
				total += price
				mu.Unlock()
			case a.status != http.StatusConflict || !strings.Contains(a.body, "spending limit"):
				t.Errorf("%s: %v", id, a)
			}
		})
	}
	work.Wait()
	if total > 500_00 || total <= 500_00-90_00 {
		t.Errorf("%d was spent of 50000", total)
	}
	tabs[1].want(http.StatusOK, fmt.Sprintf(`"spent":%d,`, total), "GET", "/api/seats", "")
	tabs[1].change(fmt.Sprintf(`{"limit": %d}`, total))
	for id := range prices {
		if a := tabs[0].ask("POST", "/api/seats/"+id+"/buy", ""); a.status != http.StatusConflict {
			t.Errorf("%s over a lowered limit: %v", id, a)
		}
	}
}

func TestSignedOutIsSignedOutEverywhere(t *testing.T) {
	t.Parallel()
	at, _ := open(t, t.TempDir())
	tab, elsewhere := newBrowser(t, at), newBrowser(t, at)
	tab.signIn("ada", "analytical-engine")
	elsewhere.signIn("ada", "analytical-engine")
	other := newBrowser(t, at) // another tab with the same cookie
	other.cookie = tab.cookie
	other.want(http.StatusOK, "", "GET", "/api/account", "")
	tab.want(http.StatusSeeOther, "", "POST", "/signout", "")
	if tab.cookie != "" {
		t.Errorf("signing out leaves the cookie %q", tab.cookie)
	}
	for _, path := range []string{"/api/account", "/api/seats"} {
		again := newBrowser(t, at)
		again.cookie = other.cookie
		again.want(http.StatusUnauthorized, "", "GET", path, "")
	}
	elsewhere.want(http.StatusOK, "", "GET", "/api/account", "")
	elsewhere.want(http.StatusOK, "", "POST", "/live/subjects/"+ofAda(t, elsewhere)+"/revoke", "")
	acknowledged := time.Now()
	for {
		asked := time.Now()
		if a := elsewhere.ask("GET", "/api/account", ""); a.status == http.StatusUnauthorized {
			break
		}
		if late := asked.Sub(acknowledged); late > edge.DefaultMaxStale {
			t.Fatalf("%v after everything was revoked, Ada is still let in", late)
		}
	}
	elsewhere.signIn("ada", "analytical-engine") // whoever was revoked may come back by the front door
	elsewhere.want(http.StatusOK, "", "GET", "/api/account", "")
}

// ofAda finds the key of Ada on the live page.
func ofAda(t *testing.T, b *browser) string {
	t.Helper()
	for _, s := range live(t, b).Subjects {
		if s.Name == "Ada" {
			return s.Key
		}
	}
	t.Fatal("the live page does not show Ada")
	return ""
}

// picture is what the live page is told, as far as tests look at it.
type picture struct {
	Verifiers []struct {
		Name        string `json:"name"`
		StalenessMS int64  `json:"staleness_ms"`
		PausedMS    int64  `json:"paused_ms"`
		Routes      []struct {
			Name string `json:"name"`
			Now  string `json:"now"`
		} `json:"routes"`
	} `json:"verifiers"`
	Subjects []struct {
		Key      string `json:"key"`
		Name     string `json:"name"`
		Sessions []struct {
			ID    string `json:"id"`
			Ended string `json:"ended"`
		} `json:"sessions"`
	} `json:"subjects"`
	Events []struct {
		Type string `json:"type"`
	} `json:"events"`
}

// live reads the first picture of the live page.
func live(t *testing.T, b *browser) picture {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url+"/live/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := b.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var text strings.Builder
	buf := make([]byte, 4096)
	for !strings.HasSuffix(text.String(), "\n\n") {
		n, err := res.Body.Read(buf)
		text.Write(buf[:n])
		if err != nil {
			t.Fatalf("the live page says %q, %v", text.String(), err)
		}
	}
	_, data, _ := strings.Cut(text.String(), "data: ")
	var p picture
	if err := json.Unmarshal([]byte(data), &p); err != nil {
		t.Fatalf("%v in %q", err, data)
	}
	return p
}

func TestServiceThatHearsNothingCloses(t *testing.T) {
	t.Parallel()
	at, _ := open(t, t.TempDir())
	ada := newBrowser(t, at)
	ada.signIn("ada", "analytical-engine")
	ada.want(http.StatusOK, "mine", "POST", "/api/seats/lyra-a1/hold", "")
	ada.want(http.StatusOK, "", "POST", "/live/verifiers/seats/pause", "")
	began := time.Now()
	until := func(what string, reached func() bool) {
		t.Helper()
		for !reached() {
			if time.Since(began) > time.Minute {
				t.Fatalf("%s is not reached; the live page shows %+v", what, live(t, ada).Verifiers)
			}
		}
	}
	until("closed", func() bool { return ada.ask("POST", "/api/seats/lyra-a2/hold", "").status == 503 })
	// Money asks the authority, which is well; and so is the other service.
	ada.want(http.StatusOK, "bought", "POST", "/api/seats/lyra-a1/buy", "")
	ada.want(http.StatusOK, "", "GET", "/api/account", "")
	until("read only", func() bool {
		a := ada.want(http.StatusOK, "", "GET", "/api/seats", "")
		return strings.Contains(a.header.Get("Vidimus-Staleness"), "read-only")
	})
	until("open again", func() bool { return ada.ask("POST", "/api/seats/lyra-a3/hold", "").status == 200 })
}

func TestPagesOfOthersPressNoButtons(t *testing.T) {
	t.Parallel()
	at, _ := open(t, t.TempDir())
	ada := newBrowser(t, at)
	ada.signIn("ada", "analytical-engine")
	key := ofAda(t, ada)
	for _, path := range []string{
		"/live/subjects/" + key + "/revoke", "/live/verifiers/seats/pause", "/signout", "/api/seats/lyra-a1/hold",
		"/signin",
	} {
		ada.want(http.StatusForbidden, "", "POST", path, "", "Sec-Fetch-Site", "cross-site")
		ada.want(http.StatusForbidden, "", "POST", path, "", "Origin", "https://evil.example")
	}
	ada.want(http.StatusOK, "", "GET", "/api/account", "")
	ada.want(http.StatusNotFound, "nobody", "POST", "/live/subjects/"+strings.Repeat("x", 22)+"/revoke", "")
	ada.want(http.StatusNotFound, "", "POST", "/live/sessions/none/revoke", "")
	ada.want(http.StatusNotFound, "no such feed", "POST", "/live/verifiers/none/pause", "")

	r, err := http.NewRequest(http.MethodGet, at+"/live/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "rebound.example" // a name that its owner has pointed at this machine
	res, err := ada.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("a foreign host is answered %d", res.StatusCode)
	}
}

func TestRestartKeepsSessionsAndSeats(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at, end := open(t, dir)
	ada := newBrowser(t, at)
	ada.signIn("ada", "analytical-engine")
	ada.want(http.StatusOK, "mine", "POST", "/api/seats/lyra-a1/hold", "")
	ada.want(http.StatusOK, "bought", "POST", "/api/seats/lyra-a1/buy", "")
	end()
	ada.url, _ = open(t, dir)
	ada.want(http.StatusOK, `"user":"ada"`, "GET", "/api/account", "")
	ada.want(http.StatusOK, `{"id":"lyra-a1","number":1,"is":"bought"`, "GET", "/api/seats", "")
	ada.want(http.StatusSeeOther, "", "POST", "/signout", "")
}

func TestTakenPortIsSaid(t *testing.T) {
	t.Parallel()
	at, _ := open(t, t.TempDir())
	taken := strings.TrimPrefix(at, "http://localhost")
	_, err := office.Open(t.Context(), office.Config{
		Data: t.TempDir(), Authority: "127.0.0.1:0", Edge: "127.0.0.1" + taken,
	})
	if err == nil || !strings.Contains(err.Error(), taken) || !strings.Contains(err.Error(), "another address") {
		t.Errorf("a taken port is answered %v", err)
	}
}
