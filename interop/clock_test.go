// SPDX-License-Identifier: Apache-2.0

// Clocks that are wrong by an hour: real processes whose wall clock is moved while they run, as by a hand that sets it.
// Their monotonic clock goes on, as that of a machine does.

package interop

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/vidimus/edge"
	"example.com/vidimus/heartbeat"
	"example.com/vidimus/passport"
	"example.com/vidimus/server/remote"
	"example.com/vidimus/session"
)

// movable is what the only door to time becomes in these processes: the wall part of each time is moved by what a file
// says now. A time holds it in seconds, from its bit 30 on.
const movable = `
// Now returns the current time, moved.
func Now() time.Time {
	t := time.Now()
	text, _ := os.ReadFile(os.Getenv("VIDIMUS_MOVED_CLOCK"))
	by, _ := time.ParseDuration(string(text))
	*(*uint64)(unsafe.Pointer(&t)) += uint64(by/time.Second) << 30
	return t
}

// Since returns the time passed since t.
func Since(t time.Time) time.Duration { return Now().Sub(t) }

// Until returns the time left until t.
func Until(t time.Time) time.Duration { return t.Sub(Now()) }
`

// clocked is the binary with clocks that can be moved, and an authority.
type clocked struct {
	dir, binary, authority string
	sessions               *remote.Sessions
	mint                   *remote.Authority
	service                *httptest.Server
}

// buildMovable builds the binary with another package clock.
func buildMovable(t *testing.T, dir string) string {
	t.Helper()
	at, err := filepath.Abs("../internal/clock/clock.go")
	must(t, err)
	text, err := os.ReadFile(at)
	must(t, err)
	code := string(text)
	for _, f := range []string{"Now() time.Time", "Since(t time.Time) time.Duration", "Until(t time.Time) time.Duration"} {
		before, after, found := strings.Cut(code, "\nfunc "+f+" {")
		_, after, ended := strings.Cut(after, "}\n")
		if !found || !ended {
			t.Fatalf("internal/clock has no func %s: mend this test", f)
		}
		code = before + "\n" + after
	}
	code = strings.Replace(code, "import (", "import (\n\t\"os\"\n\t\"unsafe\"", 1) + movable
	moved, overlay, binary := filepath.Join(dir, "clock.go"), filepath.Join(dir, "overlay"), filepath.Join(dir, "vidimus")
	must(t, os.WriteFile(moved, []byte(code), 0o600))
	list, err := json.Marshal(map[string]map[string]string{"Replace": {at: moved}})
	must(t, err)
	must(t, os.WriteFile(overlay, list, 0o600))
	build(t, "./cmd/vidimus", binary, "-overlay", overlay)
	return binary
}

// openClocked starts an authority whose clock is named "authority", and a service in this process, whose clock is
// right. Below /api/ it wants a passport; below /page/ it wants none.
func openClocked(t *testing.T) *clocked {
	t.Helper()
	dir := t.TempDir()
	c := &clocked{dir: dir, binary: buildMovable(t, dir)}
	c.authority = c.start(t, "authority", "dev", "--data", filepath.Join(dir, "data"), "--listen", "127.0.0.1:0")
	log, err := remote.New(remote.Config{URL: c.authority})
	must(t, err)
	t.Cleanup(func() { must(t, log.Close()) })
	c.sessions = log.Sessions()
	c.mint, err = remote.NewAuthority(remote.AuthorityConfig{URL: c.authority, Audience: "dev"})
	must(t, err)
	t.Cleanup(func() { must(t, c.mint.Close()) })
	feed, err := heartbeat.Open(heartbeat.Config{
		Sources: []heartbeat.Source{&heartbeat.Remote{URL: c.authority}}, Every: 100 * time.Millisecond,
	})
	must(t, err)
	run(t, feed.Run)
	v, err := passport.New(passport.Config{
		Issuer: c.authority, Audience: "dev", KeysURL: c.authority + "/.well-known/jwks.json", View: feed.View(),
	})
	must(t, err)
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") })
	mux := http.NewServeMux()
	mux.Handle("/page/", ok)
	mux.Handle("/api/", v.Require(ok, &passport.Rule{MaxStale: 5 * time.Second}))
	c.service = httptest.NewServer(mux)
	t.Cleanup(c.service.Close)
	return c
}

// start starts the binary with a clock, and returns its URL.
func (c *clocked) start(t *testing.T, clock string, args ...string) string {
	t.Helper()
	cmd := exec.Command(c.binary, append(args, "--json")...)
	cmd.Env = append(os.Environ(), "VIDIMUS_MOVED_CLOCK="+filepath.Join(c.dir, clock))
	p := launch(t, cmd, func() { _ = cmd.Process.Signal(os.Interrupt) })
	var said struct{ URL string }
	must(t, json.Unmarshal([]byte(p.said), &said))
	return said.URL
}

// edge starts an edge with a clock.
func (c *clocked) edge(t *testing.T, clock string) string {
	t.Helper()
	return c.start(t, clock, "edge", "--authority", c.authority, "--upstream", c.service.URL, "--listen", "127.0.0.1:0")
}

// move moves a clock.
func (c *clocked) move(t *testing.T, clock, by string) {
	t.Helper()
	next := filepath.Join(c.dir, clock+".next")
	must(t, os.WriteFile(next, []byte(by), 0o600))
	must(t, os.Rename(next, filepath.Join(c.dir, clock)))
}

// signIn starts a session.
func (c *clocked) signIn(t *testing.T, s session.Start) session.Started {
	t.Helper()
	s.Subject = "ada"
	started, err := c.sessions.Start(t.Context(), s)
	must(t, err)
	return started
}

// ends waits until an edge obeys that a session has ended.
func (c *clocked) ends(t *testing.T, url string, s session.Started) {
	t.Helper()
	began := time.Now()
	for (browser{edge.CookieName: s.Handle}).status(t, url) != http.StatusUnauthorized {
		if time.Since(began) > obeyed {
			t.Fatalf("after %v the session still passes", time.Since(began))
		}
	}
	t.Logf("the end of the session is obeyed after %v", time.Since(began))
}

// status asks for a page.
func (b browser) status(t *testing.T, url string) int {
	t.Helper()
	status, _ := b.ask(t, http.MethodGet, url, "")
	return status
}

// refuses shows a new passport to the service itself, and wants it refused.
func (c *clocked) refuses(t *testing.T, what string, s session.Started, code string) {
	t.Helper()
	grant, err := c.mint.Mint(t.Context(), passport.Ask{Handle: s.Handle})
	must(t, err)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.service.URL+"/api/", nil)
	must(t, err)
	r.Header.Set("Txn-Token", grant.Token)
	c.answers(t, what, r, http.StatusUnauthorized, code)
}

// want asks an edge, and complains about another answer.
func (c *clocked) want(t *testing.T, what, url string, s session.Started, status int, code string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	must(t, err)
	r.Header.Set("Cookie", edge.CookieName+"="+s.Handle)
	c.answers(t, what, r, status, code)
}

// answers sends a request, and complains about another answer.
func (c *clocked) answers(t *testing.T, what string, r *http.Request, status int, code string) {
	t.Helper()
	res, err := http.DefaultTransport.RoundTrip(r)
	must(t, err)
	defer res.Body.Close()
	var problem struct{ Code, Detail string }
	must(t, json.NewDecoder(res.Body).Decode(&problem))
	if res.StatusCode != status || problem.Code != code {
		t.Errorf("%s: got %d %+v, want %d %q", what, res.StatusCode, problem, status, code)
	}
}

// mintsAgain waits until the authority has looked at its keys since its clock went on.
func (c *clocked) mintsAgain(t *testing.T, handle string) {
	t.Helper()
	for began := time.Now(); ; {
		_, err := c.mint.Mint(t.Context(), passport.Ask{Handle: handle})
		switch {
		case err == nil:
			return
		case !errors.Is(err, passport.ErrUnavailable) || time.Since(began) > 20*time.Second:
			t.Fatalf("%v after the clock went on, minting gives %v", time.Since(began), err)
		}
		<-time.After(100 * time.Millisecond)
	}
}

func TestClocksThatAreWrongByAnHour(t *testing.T) {
	t.Parallel()
	c := openClocked(t)
	url := c.edge(t, "edge")
	api, page := url+"/api/", url+"/page/"
	known := c.signIn(t, session.Start{})
	short := c.signIn(t, session.Start{Absolute: 30 * time.Minute})
	silent := c.signIn(t, session.Start{Idle: 10 * time.Minute})
	c.want(t, "all clocks are right", api, known, 200, "")
	c.want(t, "all clocks are right", api, short, 200, "")

	c.move(t, "authority", "1h")
	c.ends(t, page, short)
	c.want(t, "ahead, a passport that is at hand", api, known, 200, "")
	c.want(t, "ahead, a session of 30 minutes", page, short, 401, "no_session")
	c.mintsAgain(t, known.Handle)
	ahead := c.signIn(t, session.Start{})
	c.refuses(t, "ahead, a service", ahead, "invalid_token")
	c.want(t, "ahead, where the edge alone decides", page, ahead, 200, "")
	c.want(t, "ahead, an edge in front of a service", api, ahead, 503, "passport_refused")

	c.move(t, "authority", "0s")
	c.want(t, "right again, a session of 30 minutes", page, short, 401, "no_session")
	c.want(t, "right again, a session that was silent", api, silent, 200, "")
	c.want(t, "right again, a new one", api, c.signIn(t, session.Start{}), 200, "")
	c.want(t, "right again, one begun meanwhile", c.edge(t, "edge")+"/api/", ahead, 200, "")

	c.move(t, "authority", "-1h")
	behind := c.signIn(t, session.Start{})
	c.want(t, "behind, a passport that is at hand", api, known, 200, "")
	c.refuses(t, "behind, a service", behind, "expired")
	c.want(t, "behind, where the edge alone decides", page, behind, 200, "")
	c.want(t, "behind, an edge in front of a service", api, behind, 503, "passport_refused")

	c.move(t, "authority", "0s")
	c.want(t, "right once more, a new one", api, c.signIn(t, session.Start{}), 200, "")
	c.want(t, "right once more, one begun meanwhile", c.edge(t, "edge")+"/api/", behind, 200, "")

	for _, by := range []string{"1h", "-1h"} {
		c.move(t, "moved", by)
		there := c.edge(t, "moved") + "/api/"
		c.want(t, "an edge's clock is wrong", there, known, 200, "")
		c.move(t, "moved", "0s")
		c.want(t, "an edge's clock is right again", there, known, 200, "")
		c.move(t, "moved", by)
		c.want(t, "an edge's clock is wrong again", there, known, 200, "")
	}
}
