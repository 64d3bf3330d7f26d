// SPDX-License-Identifier: Apache-2.0

// The whole migration without a line of Go: the binary beside a service on Node.js that signs people in with next-auth.

package interop

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/vidimus/edge"
	"example.com/vidimus/edge/legacy"
)

// nextCookie is where next-auth keeps who is signed in.
const nextCookie = "__Secure-next-auth.session-token"

// process is a program that introduces itself with one line.
type process struct {
	said string
	stop func()
}

// launch starts a program, which ends with the test, or when it is stopped, and then must have ended in order.
func launch(t *testing.T, cmd *exec.Cmd, stop func()) process {
	t.Helper()
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	over := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	ended := false
	p := process{said: strings.TrimSpace(line), stop: func() {
		if ended {
			return
		}
		ended = true
		stop()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s ended with %v", cmd.Args[:2], err)
		}
		over.Stop()
	}}
	t.Cleanup(p.stop)
	if err != nil {
		t.Fatalf("%s says nothing: %v", cmd.Args[:2], err)
	}
	return p
}

// build builds a program of the main module, with more flags of go build.
func build(t *testing.T, program, to string, flags ...string) {
	t.Helper()
	build := exec.Command("go", slices.Concat([]string{"build", "-o", to}, flags, []string{program})...)
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", build, err, out)
	}
}

// shop is a shop in the midst of its migration.
type shop struct {
	binary    string
	dir       string
	secret    string
	authority string // its URL
	service   string // its URL
}

func openShop(t *testing.T) *shop {
	t.Helper()
	packages, err := packages()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := &shop{binary: filepath.Join(dir, "vidimus"), dir: dir, secret: "as it stands in NEXTAUTH_SECRET, of any length"}
	build(t, "./cmd/vidimus", s.binary)
	_, s.authority = s.run(t, "dev", "--data", filepath.Join(dir, "data"), "--listen", "127.0.0.1:0")
	code, err := os.ReadFile(filepath.Join("npm", "service.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	settings, err := json.Marshal(map[string]string{"authority": s.authority, "audience": "dev"})
	if err != nil {
		t.Fatal(err)
	}
	// --eval leaves the standard input to the program, which ends with it.
	node := exec.Command("node", "--input-type=module", "--eval", string(code), string(settings))
	node.Dir, node.Env = packages, append(os.Environ(), "NEXTAUTH_URL=https://shop.test", "NEXTAUTH_SECRET="+s.secret)
	in, err := node.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.service = launch(t, node, func() { _ = in.Close() }).said
	return s
}

// run starts the binary, and returns the URL that it tells.
func (s *shop) run(t *testing.T, args ...string) (process, string) {
	t.Helper()
	cmd := exec.Command(s.binary, append(args, "--json")...)
	cmd.Env = append(os.Environ(), "NEXTAUTH_SECRET="+s.secret)
	p := launch(t, cmd, func() { _ = cmd.Process.Signal(os.Interrupt) })
	var said struct{ URL string }
	if err := json.Unmarshal([]byte(p.said), &said); err != nil {
		t.Fatalf("%v says %q: %v", cmd, p.said, err)
	}
	return p, said.URL
}

// stage starts an edge in a stage of the migration.
func (s *shop) stage(t *testing.T, text string, flags ...string) (process, string) {
	t.Helper()
	file := filepath.Join(s.dir, "legacy.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return s.run(t, append([]string{
		"edge", "--authority", s.authority, "--upstream", s.service, "--listen", "127.0.0.1:0",
		"--sign-in", "/api/auth/", "--sign-in", "/sign-out", "--legacy", file,
	}, flags...)...)
}

// verb runs the binary to its end.
func (s *shop) verb(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command(s.binary, args...).CombinedOutput(); err != nil {
		t.Fatalf("vidimus %v: %v\n%s", args, err, out)
	}
}

// browser keeps cookies, as one does that talks to the edge through TLS.
type browser map[string]string

// ask sends a request with the cookies, keeps those of the answer, and returns its status and text.
func (b browser) ask(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range b {
		r.Header.Add("Cookie", name+"="+value)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range res.Cookies() {
		if b[c.Name] = c.Value; c.MaxAge < 0 || c.Value == "" {
			delete(b, c.Name)
		}
	}
	return res.StatusCode, string(text)
}

// sees checks who the service believes it talks to.
func (b browser) sees(t *testing.T, edge, by string, limit int) {
	t.Helper()
	code, text := b.ask(t, "GET", edge+"/", "")
	var got struct {
		By, Sub string
		Limit   int
	}
	err := json.Unmarshal([]byte(text), &got)
	if err != nil || code != http.StatusOK || got.By != by || got.Limit != limit || (got.Sub == "ada") != (by != "nobody") {
		t.Errorf("the service answers %d %q; want ada with %d by her %s", code, text, limit, by)
	}
}

// signIn signs in with next-auth.
func (b browser) signIn(t *testing.T, edge string) {
	t.Helper()
	_, text := b.ask(t, "GET", edge+"/api/auth/csrf", "")
	var csrf struct{ CSRFToken string }
	if err := json.Unmarshal([]byte(text), &csrf); err != nil {
		t.Fatalf("next-auth answers %q: %v", text, err)
	}
	code, text := b.ask(t, "POST", edge+"/api/auth/callback/credentials", "json=true&csrfToken="+csrf.CSRFToken)
	if code != http.StatusOK || b[nextCookie] == "" {
		t.Fatalf("next-auth answers %d %q", code, text)
	}
}

// counted returns what the edge counted.
func counted(t *testing.T, edge string) (s legacy.Stats) {
	t.Helper()
	_, text := browser{}.ask(t, "GET", edge+"/.vidimus/status", "")
	if err := json.Unmarshal([]byte(text), &struct{ Legacy *legacy.Stats }{&s}); err != nil {
		t.Fatalf("the status is %q: %v", text, err)
	}
	return s
}

// describe is the file that the binary is given, in a stage.
func describe(stage string) string {
	return fmt.Sprintf(`{"stage": %q, "patience": "1m", "cookies": [{
		"name": %q, "format": "next-auth", "keys": [{"env": "NEXTAUTH_SECRET"}],
		"subject": "sub", "sign_in": "signin", "subject_state": {"limit": "limit"}
	}]}`, stage, nextCookie)
}

func TestUsersOfNextAuthAreMigratedByTheBinary(t *testing.T) {
	t.Parallel()
	s, ada := openShop(t), browser{}

	shadow, url := s.stage(t, describe("shadow"), "--open", "/")
	ada.signIn(t, url)
	ada.sees(t, url, "cookie", 100)
	for _, limit := range []string{"50", "100"} {
		s.verb(t, "session", "change", "--server", s.authority, "--subject", "ada", "--set", "limit="+limit)
		ada.sees(t, url, "cookie", 100)
	}
	d := counted(t, url).Shadow
	if d == nil || d.Compared != 3 || d.Unknown != 1 || d.Differ != 1 || d.Stale != 1 || d.Agree != 1 {
		t.Errorf("in shadow: counted %+v", d)
	}
	shadow.stop()

	s.verb(t, "session", "change", "--server", s.authority, "--subject", "ada", "--set", "limit=70")
	kept := browser{nextCookie: ada[nextCookie]}
	opened, url := s.stage(t, describe("import"), "--open", "/")
	ada.sees(t, url, "passport", 70)
	if ada[nextCookie] != "" || ada[edge.CookieName] == "" {
		t.Errorf("after the import the browser has %v", ada)
	}
	ada.sees(t, url, "passport", 70)
	before := ada[edge.CookieName]
	if code, text := ada.ask(t, "POST", url+"/sign-out", ""); code != http.StatusOK || ada[edge.CookieName] != "" {
		t.Fatalf("the sign-out answers %d %q, and the browser has %v", code, text, ada)
	}
	kept.sees(t, url, "nobody", 0)
	kept[edge.CookieName] = before
	kept.sees(t, url, "nobody", 0)
	if c := counted(t, url); c.Imported != 1 || c.Failed != 0 || len(c.Refused) != 1 {
		t.Errorf("after the sign-out: counted %+v", c)
	}
	opened.stop()

	// Another edge knows it, too, and a new sign-in counts.
	closed, url := s.stage(t, describe("import"))
	if code, text := kept.ask(t, "GET", url+"/", ""); code != http.StatusUnauthorized {
		t.Errorf("after the sign-out another edge answers %d %q", code, text)
	}
	ada.signIn(t, url)
	again := browser{nextCookie: ada[nextCookie]}
	ada.sees(t, url, "passport", 70)
	closed.stop()

	_, url = s.stage(t, fmt.Sprintf(`{"stage": "refuse", "cookies": [{"name": %q, "format": "next-auth"}]}`, nextCookie),
		"--open", "/")
	again.sees(t, url, "nobody", 0)
	ada.sees(t, url, "passport", 70)
}
