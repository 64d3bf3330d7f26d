// SPDX-License-Identifier: Apache-2.0

// Cookie in, passport out: who is let through, how fresh that is, and what nobody can undo.

package edge_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/vidimus/edge"
	"example.com/vidimus/heartbeat"
	"example.com/vidimus/heartbeat/presence"
	"example.com/vidimus/passport"
	"example.com/vidimus/passport/header"
)

func TestACookieComesInAndAPassportGoesOut(t *testing.T) {
	t.Parallel()
	s := open(t, echo, nil)
	handle := s.signIn("alice")
	got := s.call(t, "GET", "/account/x", handle, "Accept: text/html").want(t, 200)
	sent := got.echoed(t)
	c := s.verify(t, sent.Header.Get(header.TxnToken))
	if c.Subject != "alice" || c.Workload != "edge" {
		t.Errorf("the passport is %s's, for %s", c.Subject, c.Workload)
	}
	if at := sent.Header.Get(header.Position); at != c.Mark.String() {
		t.Errorf("the service is told the position %q, want %q", at, c.Mark)
	}
	if at := got.header.Get(header.Position); at != c.Mark.String() {
		t.Errorf("the client is told the position %q, want %q", at, c.Mark)
	}
	stale, ok, err := header.GetStaleness(got.header)
	if err != nil || !ok || !stale.Known || stale.Age > edge.DefaultMaxStale {
		t.Errorf("the staleness is %v, %v, %v", stale, ok, err)
	}
	if got.header.Get("Cache-Control") != "private" || got.header.Get("Set-Cookie") != "" {
		t.Errorf("the answer is %v", got.header)
	}
	for range 10 {
		s.call(t, "GET", "/account/x", handle).want(t, 200)
	}
	if s.mints() != 1 {
		t.Errorf("the authority was asked %d times", s.mints())
	}
}

func TestPassportsGrowOldWhileTheMachineSleeps(t *testing.T) {
	t.Parallel()
	for name, route := range map[string]edge.Route{
		"beyond the bound":    {MaxStale: 2 * time.Second},
		"beyond its life":     {MaxStale: time.Hour},
		"and is read no more": {MaxStale: 2 * time.Second, WhenStale: passport.ReadOnly},
	} {
		s := open(t, echo, func(c *edge.Config) {
			c.View = nil // nothing else tells how old they are
			route.Path, route.Upstream = "/account/", c.Routes[0].Upstream
			c.Routes = []edge.Route{route}
		})
		handle := s.signIn("alice")
		s.call(t, "GET", "/account/", handle).want(t, 200)
		s.end(handle)
		s.call(t, "GET", "/account/", handle).want(t, 200)
		s.edge.Sleep(2 * time.Minute)
		status := 401
		if route.WhenStale == passport.ReadOnly {
			s.setDown(true)
			status = 503
		}
		if got := s.call(t, "GET", "/account/", handle); got.status != status {
			t.Errorf("%s: got %d after a sleep, want %d", name, got.status, status)
		}
	}
}

func TestWhoIsLetThrough(t *testing.T) {
	t.Parallel()
	s := open(t, echo, nil)
	handle := s.signIn("alice")
	for name, c := range map[string]struct {
		method, target, handle string
		want                   int
	}{
		"anybody to a public page":      {"GET", "/", "", 200},
		"nobody to an account":          {"GET", "/account/", "", 401},
		"a session to its account":      {"GET", "/account/", handle, 200},
		"a session with the scope":      {"POST", "/pay", handle, 200},
		"a session without the scope":   {"GET", "/admin/", handle, 403},
		"nobody to where a scope is":    {"GET", "/admin/", "", 401},
		"a path that is not there":      {"GET", "/.vidimus/x", "", 404},
		"in other letters, the edge's":  {"GET", "/.Vidimus/status", "", 404},
		"a method that is not there":    {"PUT", "/pay", handle, 405},
		"another session's end is mine": {"GET", "/account/", s.signIn("bob"), 200},
	} {
		t.Run(name, func(t *testing.T) { s.call(t, c.method, c.target, c.handle).want(t, c.want) })
	}
}

func TestPeopleAreSentToSignInAndProgramsAreNot(t *testing.T) {
	t.Parallel()
	s := open(t, echo, func(c *edge.Config) { c.SignInURL = "/sign-in" })
	page := []string{"Accept: text/html,*/*", "Sec-Fetch-Mode: navigate"}
	got := s.call(t, "GET", "/account/a%20b?x=1&y=2", "", page...).want(t, 303)
	if to := got.header.Get("Location"); to != "/sign-in?return_to=%2Faccount%2Fa%2520b%3Fx%3D1%26y%3D2" {
		t.Errorf("sent to %q", to)
	}
	s.call(t, "POST", "/account/", "", page...).want(t, 401)
	s.call(t, "GET", "/account/", "", "Accept: application/json").want(t, 401)
	s.call(t, "GET", "/account/", "", "Accept: text/html", "Sec-Fetch-Mode: cors").want(t, 401)
}

func TestALateRefusalDoesNotTakeAwayANewSession(t *testing.T) {
	t.Parallel()
	s := open(t, echo, nil)
	handle := s.signIn("alice")
	s.end(handle)
	got := s.call(t, "GET", "/account/", handle).want(t, 401)
	if cookie := got.header.Get("Set-Cookie"); cookie != "" {
		t.Errorf("the refusal sets %q: by then the browser may hold the handle of a new session", cookie)
	}
}

func TestAnEndedSessionIsRefusedAsSoonAsTheViewKnows(t *testing.T) {
	t.Parallel()
	s := open(t, echo, nil)
	handle := s.signIn("alice")
	s.call(t, "GET", "/account/", handle).want(t, 200)
	s.end(handle)
	s.tell(t)
	s.call(t, "GET", "/account/", handle).want(t, 401)
	asked := s.mints()
	for range 20 {
		s.call(t, "GET", "/account/", handle).want(t, 401)
	}
	if s.mints() != asked {
		t.Errorf("a handle without a session was asked about %d times more", s.mints()-asked)
	}
}

func TestWithoutAViewAPassportIsTrustedForTheBoundOfTheRoute(t *testing.T) {
	t.Parallel()
	s := open(t, echo, func(c *edge.Config) {
		c.View = nil
		c.Routes[1].MaxStale = time.Nanosecond
		c.Routes[2].MaxStale = time.Hour
	})
	handle := s.signIn("alice")
	for range 3 {
		s.call(t, "GET", "/account/", handle).want(t, 200)
	}
	if s.mints() != 3 {
		t.Errorf("within a nanosecond, the authority was asked %d times of 3", s.mints())
	}
	s.call(t, "POST", "/pay", handle).want(t, 200)
	if s.mints() != 3 {
		t.Error("within an hour, the authority is asked again")
	}
}

func TestAViewThatLostTouchMakesTheEdgeAsk(t *testing.T) {
	t.Parallel()
	s := open(t, echo, func(c *edge.Config) { c.Routes[1].MaxStale = time.Millisecond })
	handle := s.signIn("alice")
	s.call(t, "GET", "/account/", handle).want(t, 200)
	at := s.view.Through().Position
	if err := s.view.Apply(heartbeat.Frame{Log: "c3", Epoch: 7, After: at + 1, Through: at + 2}); err == nil {
		t.Fatal("a gap is no error")
	}
	if s.view.Staleness() != passport.Unknown {
		t.Fatal("after a gap the staleness is known")
	}
	s.end(handle) // which the view does not learn
	waitFor(t, func() bool { return s.call(t, "GET", "/account/", handle).status == 401 })
}

func TestAnAuthorityThatIsDown(t *testing.T) {
	t.Parallel()
	s := open(t, echo, func(c *edge.Config) {
		c.View = nil
		for i := range c.Routes {
			c.Routes[i].MaxStale = time.Nanosecond
		}
		c.Routes = append(c.Routes, edge.Route{
			Path: "/reads/", Upstream: "UPSTREAM", MaxStale: time.Nanosecond, WhenStale: passport.ReadOnly,
		})
	})
	handle, other := s.signIn("alice"), s.signIn("bob")
	s.call(t, "GET", "/account/", handle).want(t, 200)
	s.setDown(true)
	for range 3 {
		s.call(t, "GET", "/account/", handle).want(t, 503)
		s.call(t, "POST", "/reads/", handle).want(t, 503)
		s.call(t, "GET", "/reads/", other).want(t, 503) // was never seen: nobody knows whose it is
		s.call(t, "GET", "/reads/", handle, "Vidimus-Consistency: fully-consistent").want(t, 503)
		s.call(t, "GET", "/reads/", handle, "Vidimus-Consistency: minimize-latency;max-staleness=1").want(t, 503)
		got := s.call(t, "GET", "/reads/", handle).want(t, 200)
		if stale, _, err := header.GetStaleness(got.header); err != nil || !stale.ReadOnly || stale.Age == 0 {
			t.Errorf("a stale read says %v, %v", stale, err)
		}
		if sent := s.call(t, "GET", "/", handle).want(t, 200).echoed(t); sent.Header[header.TxnToken] != nil {
			t.Error("a public page gets a passport that nobody vouches for")
		}
	}
	if asked := s.mints(); asked > 20 {
		t.Errorf("an authority that is down was asked %d times", asked)
	}
	s.setDown(false)
	waitFor(t, func() bool { return s.call(t, "GET", "/account/", handle).status == 200 })
	waitFor(t, func() bool { return s.call(t, "POST", "/reads/", other).status == 200 })
}

func TestAStaleReadStillObeysWhatTheViewKnows(t *testing.T) {
	t.Parallel()
	s := open(t, echo, func(c *edge.Config) {
		c.Routes[1].MaxStale, c.Routes[1].WhenStale = time.Nanosecond, passport.ReadOnly
	})
	handle := s.signIn("alice")
	s.call(t, "GET", "/account/", handle).want(t, 200)
	s.end(handle)
	s.tell(t)
	s.setDown(true)
	s.call(t, "GET", "/account/", handle).want(t, 503)
}

// waitFor asks again until it is so, as long as the test may run.
func waitFor(t *testing.T, so func() bool) {
	t.Helper()
	for !so() {
		if t.Context().Err() != nil {
			t.Fatal("it never came to be")
		}
	}
}

func TestParallelRequestsAskOnce(t *testing.T) {
	t.Parallel()
	s := open(t, echo, nil)
	handle := s.signIn("alice")
	s.pause, s.paused = make(chan struct{}), make(chan struct{}, 1)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { s.call(t, "GET", "/account/", handle).want(t, 200) })
	}
	<-s.paused
	close(s.pause)
	wg.Wait()
	if s.mints() > 2 { // a second one only for who came too late for the first
		t.Errorf("20 requests asked %d times", s.mints())
	}
}

// TestALogoutIsNotUndoneByAPassportUnderWay drives the race of nextjs-auth0's resurrected sessions: a request asks
// for a passport, the session ends, and then the passport arrives.
func TestALogoutIsNotUndoneByAPassportUnderWay(t *testing.T) {
	t.Parallel()
	s := open(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/sign-in" {
			edge.ClearHandle(w)
			return
		}
		echo(w, r)
	}, func(c *edge.Config) {
		c.View = nil // no view helps here
		for i := range c.Routes {
			c.Routes[i].MaxStale = time.Hour
		}
		c.Routes[4].Public = true
	})
	handle := s.signIn("alice")
	s.pause, s.paused = make(chan struct{}), make(chan struct{}, 2)
	slow := make(chan int)
	go func() { slow <- s.call(t, "GET", "/account/", handle).status }()
	<-s.paused // it has read the state of the session, which lives
	s.mu.Lock()
	s.sessions[handle].ended = true
	pause := s.pause
	s.pause = nil
	s.mu.Unlock()
	out := make(chan answer)
	go func() { out <- s.call(t, "POST", "/sign-in", "", "Cookie: other=1; "+edge.CookieName+"="+handle) }()
	close(pause)
	<-slow // that request was under way when the session ended: either answer is right
	if got := (<-out).want(t, 200); !strings.Contains(got.header.Get("Set-Cookie"), "Max-Age=0") {
		t.Fatalf("signing out sets %q", got.header.Get("Set-Cookie"))
	}
	s.call(t, "GET", "/account/", handle).want(t, 401)
}

func TestWhoeverWritesReadsIt(t *testing.T) {
	t.Parallel()
	var s *site
	s = open(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			header.SetEffect(w.Header(), header.Effect{Mark: s.change("alice")})
		}
		echo(w, r)
	}, nil)
	handle, tab := s.signIn("alice"), s.signIn("alice")
	version := func(handle string, fields ...string) int64 {
		sent := s.call(t, "GET", "/account/", handle, fields...).want(t, 200).echoed(t)
		return s.verify(t, sent.Header.Get(header.TxnToken)).SubjectVersion
	}
	before := max(version(handle), version(tab))
	for i := range int64(5) {
		got := s.call(t, "POST", "/account/", handle).want(t, 200)
		if got.header.Get(header.EffectField) != "" {
			t.Error("the client sees the effect")
		}
		if at, err := header.GetPosition(got.header); err != nil || at != s.mark() {
			t.Errorf("the answer's position is %v, %v, want %v", at, err, s.mark())
		}
		// The view was told nothing. The writer reads its write, and so does its other session here.
		for _, h := range []string{handle, tab} {
			if seen := version(h); seen != before+i+1 {
				t.Fatalf("after %d writes the version is %d, want %d", i+1, seen, before+i+1)
			}
		}
	}
}

func TestAWriteBySomebodyElsesEdgeIsReadWithItsPosition(t *testing.T) {
	t.Parallel()
	s := open(t, echo, func(c *edge.Config) {
		for i := range c.Routes {
			c.Routes[i].MaxStale = time.Hour
		}
	})
	handle := s.signIn("alice")
	version := func(fields ...string) int64 {
		sent := s.call(t, "GET", "/account/", handle, fields...).want(t, 200).echoed(t)
		return s.verify(t, sent.Header.Get(header.TxnToken)).SubjectVersion
	}
	before := version()
	at := s.change("alice") // elsewhere, and the view is not told
	if version() != before {
		t.Fatal("the view knows what it was not told")
	}
	if version("Vidimus-Position: "+at.String()) != before+1 {
		t.Error("with the position of the write, the write is not read")
	}
	asked := s.mints()
	if version("Vidimus-Position: "+at.String()) != before+1 || s.mints() != asked {
		t.Error("a position that the passport has reached is asked about again")
	}
	for name, fields := range map[string][]string{
		"fully consistent":        {"Vidimus-Consistency: fully-consistent"},
		"at least as fresh":       {"Vidimus-Consistency: at-least-as-fresh", "Vidimus-Position: HERE"},
		"of another log":          {"Vidimus-Position: c9.1:5"}, // never satisfied, so fully consistent
		"of another epoch":        {"Vidimus-Position: c3.6:5"},
		"fresh without a mark":    {"Vidimus-Consistency: at-least-as-fresh"},
		"fresh to a millisecond":  {"Vidimus-Consistency: minimize-latency;max-staleness=1", "Vidimus-Position: HERE"},
		"exactly at the position": {"Vidimus-Consistency: exact", "Vidimus-Position: HERE"},
	} {
		at = s.change("alice")
		want := s.versionNow("alice")
		for i := range fields {
			fields[i] = strings.Replace(fields[i], "HERE", at.String(), 1)
		}
		if strings.Contains(fields[0], "max-staleness") {
			waitFor(t, func() bool { return version(fields...) == want }) // within a millisecond it may be the old one
		} else if got := version(fields...); got != want {
			t.Errorf("%s: the version is %d, want %d", name, got, want)
		}
	}
	s.change("alice")
	s.call(t, "GET", "/account/", handle, "Vidimus-Position: c3.7:99999").want(t, 400)
	s.call(t, "GET", "/account/", handle, "Vidimus-Position: c3.7").want(t, 400)
	s.call(t, "GET", "/account/", handle, "Vidimus-Consistency: best").want(t, 400)
	s.call(t, "GET", "/account/", handle, "Vidimus-Consistency: exact", "Vidimus-Position: "+at.String()).want(t, 412)
	now := "Vidimus-Position: " + s.mark().String()
	s.call(t, "GET", "/account/", handle, "Vidimus-Consistency: exact", now).want(t, 200)
}

func (a *authority) versionNow(subject string) int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return 1 + a.versions[subject]
}

func TestAServiceThatHeardOfAChangeFirstGetsANewPassport(t *testing.T) {
	t.Parallel()
	var s *site
	var tries []string
	var mu sync.Mutex
	s = open(t, func(w http.ResponseWriter, r *http.Request) {
		var body [64]byte
		n, _ := r.Body.Read(body[:])
		mu.Lock()
		tries = append(tries, string(body[:n]))
		mu.Unlock()
		if s.verify(t, r.Header.Get(header.TxnToken)).SubjectVersion < s.versionNow("alice") {
			w.Header().Set("WWW-Authenticate", `Txn-Token error="superseded"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, "good")
	}, nil)
	handle := s.signIn("alice")
	for method, body := range map[string]string{"GET": "", "POST": "money"} {
		s.call(t, "GET", "/account/", handle).want(t, 200)
		s.change("alice")
		mu.Lock()
		tries = nil
		mu.Unlock()
		got := s.send(t, method, "/account/", handle, strings.NewReader(body)).want(t, 200)
		if got.body != "good" || len(tries) != 2 || tries[0] != body || tries[1] != body {
			t.Errorf("%s: the service was tried with %q", method, tries)
		}
	}
	s.change("alice")
	got := s.send(t, "POST", "/account/", handle, struct{ *strings.Reader }{strings.NewReader("a stream")})
	got.want(t, 503) // a body that is not at hand is not sent twice
}

func TestARotatedHandleIsReplacedOnce(t *testing.T) {
	t.Parallel()
	s := open(t, echo, nil)
	old, next := s.signIn("alice"), s.signIn("alice")
	s.sessions[old].successor = next
	got := s.call(t, "GET", "/account/", old).want(t, 200)
	want := edge.CookieName + "=" + next + "; Path=/; Secure; HttpOnly; SameSite=Lax"
	if cookie := got.header.Get("Set-Cookie"); cookie != want {
		t.Errorf("the cookie is %q, want %q", cookie, want)
	}
	if cookie := s.call(t, "GET", "/account/", next).want(t, 200).header.Get("Set-Cookie"); cookie != "" {
		t.Errorf("the new handle is replaced by %q", cookie)
	}
}

func TestOnlyWhereOneSignsInIsTheCookieSet(t *testing.T) {
	t.Parallel()
	var s *site
	var handle string
	s = open(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Set-Cookie", "theme=dark")
		switch r.Header.Get("X-Do") {
		case "raw":
			w.Header().Add("Set-Cookie", edge.CookieName+"="+handle+"; Domain=evil.example; Max-Age=99")
		case "bad":
			w.Header().Add("Set-Cookie", edge.CookieName+"=whatever")
		case "case":
			w.Header().Add("Set-Cookie", "__host-VID="+handle)
		case "clear":
			edge.ClearHandle(w)
		default:
			if err := edge.SetHandle(w, handle); err != nil {
				t.Error(err)
			}
		}
	}, nil)
	handle = s.signIn("alice")
	set := edge.CookieName + "=" + handle + "; Path=/; Secure; HttpOnly; SameSite=Lax"
	cleared := edge.CookieName + "=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"
	for do, want := range map[string]string{"": set, "raw": set, "bad": "", "case": set, "clear": cleared} {
		got := s.call(t, "GET", "/sign-in", "", "X-Do: "+do).want(t, 200).header["Set-Cookie"]
		if want == "" && len(got) == 1 {
			continue
		}
		if len(got) != 2 || got[0] != "theme=dark" || got[1] != want {
			t.Errorf("%q: the cookies are %q, want %q", do, got, want)
		}
		if got := s.call(t, "GET", "/elsewhere", "", "X-Do: "+do).want(t, 200).header["Set-Cookie"]; len(got) != 1 {
			t.Errorf("%q: elsewhere the cookies are %q", do, got)
		}
	}
	if err := edge.SetHandle(nil, "no handle"); err == nil {
		t.Error("what is no handle is set")
	}
}

func TestAttemptsToSignInAreLimited(t *testing.T) {
	t.Parallel()
	s := open(t, echo, func(c *edge.Config) {
		c.TrustedProxies = loopback()
		c.SignIn = edge.Limit{Every: time.Hour, Burst: 3}
		c.SignInRoute = edge.Limit{Every: time.Hour, Burst: 8}
	})
	try := func(from string) int { return s.call(t, "POST", "/sign-in", "", "X-Forwarded-For: "+from).status }
	for i := range 3 {
		if got := try("192.0.2.1"); got != 200 {
			t.Fatalf("attempt %d: %d", i, got)
		}
	}
	got := s.call(t, "POST", "/sign-in", "", "X-Forwarded-For: 192.0.2.1").want(t, 429)
	if got.header.Get("Retry-After") != "3600" {
		t.Errorf("try again after %q", got.header.Get("Retry-After"))
	}
	s.call(t, "GET", "/sign-in", "", "X-Forwarded-For: 192.0.2.1").want(t, 200) // the form is no attempt
	for i := range 3 {
		if got := try(fmt.Sprintf("2001:db8::%d", i)); got != 200 {
			t.Fatalf("from another address: %d", got)
		}
	}
	if got := try("2001:db8::ffff"); got != 429 {
		t.Errorf("one /64 has more than one address's attempts: %d", got)
	}
	for i := range 5 {
		if got, want := try(fmt.Sprintf("192.0.2.%d", 10+i)), 200; i < 2 && got != want || i >= 2 && got != 429 {
			t.Errorf("attempt %d on the route: %d", 7+i, got)
		}
	}
}

func TestAHeartbeatTellsAStaleTab(t *testing.T) {
	t.Parallel()
	s := open(t, echo, nil)
	handle := s.signIn("alice")
	beat := func(body string) answer {
		return s.send(t, "POST", "/.vidimus/heartbeat", handle, strings.NewReader(body))
	}
	if got := beat(`{"seen_ver":1,"seen_sver":1}`).want(t, 200); !strings.Contains(got.body, `"stale":false`) {
		t.Errorf("a tab that is not stale is told %s", got.body)
	}
	s.change("alice")
	s.tell(t)
	if got := beat(`{"seen_ver":1,"seen_sver":1}`).want(t, 200); !strings.Contains(got.body, `"sver":2`) ||
		!strings.Contains(got.body, `"stale":true`) {
		t.Errorf("a stale tab is told %s", got.body)
	}
	beat(`{"seen_ver":-1}`).want(t, 400)
	beat(`{"x":1}`).want(t, 400)
	beat(strings.Repeat(" ", presence.MaxHeartbeat+1)).want(t, 413)
	s.call(t, "GET", "/.vidimus/heartbeat", handle).want(t, 405)
	handle = ""
	beat(`{}`).want(t, 401)
}

func TestEveryRequestOfASessionIsABeat(t *testing.T) {
	t.Parallel()
	sent := make(chan []presence.Beat, 10)
	batcher, err := presence.OpenBatcher(presence.BatcherConfig{
		Every: 10 * time.Millisecond,
		Send:  func(_ context.Context, b []presence.Beat) error { sent <- slices.Clone(b); return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, echo, func(c *edge.Config) { c.Beats = batcher })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- batcher.Run(ctx) }()
	handle := s.signIn("alice")
	s.call(t, "GET", "/public", "").want(t, 200)
	s.call(t, "GET", "/account/", handle).want(t, 200)
	s.call(t, "GET", "/account/", handle).want(t, 200)
	beats := <-sent
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if len(beats) != 1 || beats[0].ID.String() != s.sessions[handle].id {
		t.Errorf("got %v, want one beat of %s", beats, s.sessions[handle].id)
	}
}

func TestAPassportIsNotSentNearItsEnd(t *testing.T) {
	t.Parallel()
	s := open(t, echo, func(c *edge.Config) { c.Routes[1].MaxStale = time.Hour })
	handle := s.signIn("alice")
	s.life = 2 * time.Second // less than it may be under way
	for range 3 {
		s.call(t, "GET", "/account/", handle).want(t, 200)
	}
	if s.mints() != 3 {
		t.Errorf("the authority was asked %d times of 3", s.mints())
	}
}
