// SPDX-License-Identifier: Apache-2.0

// What stays open: WebSockets, event streams, large bodies; and how an edge ends.

package edge_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"example.com/vidimus/edge"
	"example.com/vidimus/passport/header"
)

// echoSocket is a service that answers each message with the subject and the message.
func echoSocket(s **site, t *testing.T) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		subject := ""
		if token := r.Header.Get(header.TxnToken); token != "" {
			subject = (*s).verify(t, token).Subject
		}
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		for {
			kind, message, err := c.Read(r.Context())
			if err != nil {
				return
			}
			if err := c.Write(r.Context(), kind, []byte(subject+": "+string(message))); err != nil {
				return
			}
		}
	}
}

func dial(t *testing.T, url, handle string) *websocket.Conn {
	t.Helper()
	c, _, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{ //nolint:bodyclose // it has none
		HTTPHeader: http.Header{"Cookie": {edge.CookieName + "=" + handle}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.CloseNow() })
	return c
}

func say(t *testing.T, c *websocket.Conn, message, want string) {
	t.Helper()
	if err := c.Write(t.Context(), websocket.MessageText, []byte(message)); err != nil {
		t.Fatal(err)
	}
	if _, got, err := c.Read(t.Context()); err != nil || string(got) != want {
		t.Fatalf("got %q, %v, want %q", got, err, want)
	}
}

// run runs an edge until the test ends it, and returns what Run returned.
func run(t *testing.T, e *edge.Edge) (end func() error) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	return func() error {
		cancel()
		return <-done
	}
}

func TestAWebSocketEndsWithItsSession(t *testing.T) {
	t.Parallel()
	var s *site
	s = open(t, echoSocket(&s, t), nil)
	end := run(t, s.edge)
	alice, bob, nobody := s.signIn("alice"), s.signIn("bob"), dial(t, s.url+"/public", "")
	a, b := dial(t, s.url+"/account/", alice), dial(t, s.url+"/account/", bob)
	say(t, a, "hello", "alice: hello")
	say(t, b, "hello", "bob: hello")
	say(t, nobody, "hello", ": hello")
	s.end(alice)
	s.tell(t)
	if _, _, err := a.Read(t.Context()); err == nil {
		t.Error("something is read from a WebSocket whose session has ended")
	}
	s.change("bob") // which needs a new passport, and no new connection
	s.tell(t)
	asked := s.mints()
	waitFor(t, func() bool { return s.mints() > asked })
	say(t, b, "still here", "bob: still here")
	say(t, nobody, "me too", ": me too")
	_, _, _ = b.CloseNow(), nobody.CloseNow(), a.CloseNow()
	if err := end(); err != nil {
		t.Error(err)
	}
}

func TestAnUploadWithoutALengthEndsWithItsSession(t *testing.T) {
	t.Parallel()
	begun, got := make(chan bool, 1), make(chan error, 1)
	s := open(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.CopyN(io.Discard, r.Body, 1)
		begun <- true
		_, err := io.Copy(io.Discard, r.Body)
		got <- err
	}, nil)
	end := run(t, s.edge)
	alice := s.signIn("alice")
	body, feed := io.Pipe()
	answered := make(chan answer, 1)
	go func() { answered <- s.send(t, "POST", "/account/", alice, body) }()
	if _, err := feed.Write([]byte("a")); err != nil {
		t.Fatal(err)
	}
	<-begun
	s.end(alice)
	s.tell(t)
	(<-answered).want(t, http.StatusUnauthorized)
	if err := <-got; err == nil {
		t.Error("the service got the body whole, of a session that has ended")
	}
	_ = feed.Close()
	if err := end(); err != nil {
		t.Error(err)
	}
}

func TestAStreamOutlivesARotationOfItsHandle(t *testing.T) {
	t.Parallel()
	var s *site
	s = open(t, echoSocket(&s, t), nil)
	end := run(t, s.edge)
	old, next := s.signIn("alice"), s.signIn("alice")
	c := dial(t, s.url+"/account/", old)
	s.mu.Lock()
	s.sessions[old].successor = next
	s.mu.Unlock()
	s.change("alice")
	s.tell(t)
	asked := s.mints()
	waitFor(t, func() bool { return s.mints() > asked })
	s.mu.Lock()
	delete(s.sessions, old) // its grace is over
	s.mu.Unlock()
	s.change("alice")
	s.tell(t)
	asked = s.mints()
	waitFor(t, func() bool { return s.mints() > asked })
	say(t, c, "hello", "alice: hello")
	_ = c.CloseNow()
	if err := end(); err != nil {
		t.Error(err)
	}
}

func TestEventsArriveAsTheyAreSent(t *testing.T) {
	t.Parallel()
	next := make(chan string)
	s := open(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for {
			select {
			case event := <-next:
				fmt.Fprintf(w, "data: %s\n\n", event)
				_ = http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				return
			}
		}
	}, nil)
	end := run(t, s.edge)
	handle := s.signIn("alice")
	r, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/account/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Cookie", edge.CookieName+"="+handle)
	go func() { next <- "one" }()
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	for _, want := range []string{"one", "two", "three"} {
		if want != "one" {
			next <- want // only now: what came before has arrived
		}
		if !lines.Scan() || lines.Text() != "data: "+want || !lines.Scan() {
			t.Fatalf("got %q, %v, want %q", lines.Text(), lines.Err(), want)
		}
	}
	if err := end(); err != nil { // the edge ends, and with it the stream: its client takes it up elsewhere
		t.Error(err)
	}
	if lines.Scan() {
		t.Errorf("after the end comes %q", lines.Text())
	}
}

func TestALargeBodyIsNotHeldBack(t *testing.T) {
	t.Parallel()
	const first, size = 64 << 10, 32 << 20
	begun := make(chan bool)
	s := open(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.CopyN(io.Discard, r.Body, first)
		begun <- true
		rest, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n+rest)
	}, nil)
	handle := s.signIn("alice")
	body, feed := io.Pipe()
	go func() {
		_, _ = feed.Write(make([]byte, first))
		<-begun // the service has it, before there is more
		_, _ = feed.Write(make([]byte, size-first))
		_ = feed.Close()
	}()
	if got := s.send(t, "POST", "/account/", handle, body).want(t, 200); got.body != fmt.Sprint(size) {
		t.Fatalf("the service got %q bytes, want %d", got.body, size)
	}
}

func TestABodyThatIsTooLargeIsRefused(t *testing.T) {
	t.Parallel()
	s := open(t, echo, func(c *edge.Config) {
		for i := range c.Routes {
			c.Routes[i].MaxBody = 1000
		}
	})
	handle := s.signIn("alice")
	for _, size := range []int{1000, 1001, 100_000} {
		want := map[bool]int{true: 200, false: 413}[size <= 1000]
		for _, target := range []string{"/account/", "/public"} {
			s.send(t, "POST", target, handle, strings.NewReader(strings.Repeat("x", size))).want(t, want)
			s.send(t, "POST", target, handle, struct{ io.Reader }{strings.NewReader(strings.Repeat("x", size))}).want(t, want)
		}
	}
}

func TestTrailersOfAnswersPassWithoutWhatIsInternal(t *testing.T) {
	t.Parallel()
	s := open(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "Grpc-Status, Txn-Token")
		_, _ = io.WriteString(w, "body")
		w.Header().Set("Grpc-Status", "0")
		w.Header().Set("Txn-Token", "secret")
		w.Header().Set(http.TrailerPrefix+"Vidimus-Effect", "secret")
		w.Header().Set(http.TrailerPrefix+"Late", "yes")
	}, nil)
	res, err := http.Get(s.url + "/public") //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.ReadAll(res.Body); err != nil {
		t.Fatal(err)
	}
	if res.Trailer.Get("Grpc-Status") != "0" || res.Trailer.Get("Late") != "yes" {
		t.Errorf("the trailers are %v", res.Trailer)
	}
	if strings.Contains(fmt.Sprint(res.Trailer, res.Header), "secret") {
		t.Errorf("the client sees %v", res.Trailer)
	}
}

func TestHintsBringNoCookies(t *testing.T) {
	t.Parallel()
	s := open(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.Header().Set("Set-Cookie", edge.CookieName+"=evil")
		w.Header().Set("Vidimus-Effect", "secret")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Set-Cookie")
	}, nil)
	got := raw(t, strings.TrimPrefix(s.url, "http://"), "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	hint, rest, _ := strings.Cut(got, "\r\n\r\n")
	if !strings.Contains(hint, " 103 ") || !strings.Contains(hint, "style.css") || !strings.Contains(rest, " 200 ") {
		t.Fatalf("got %q", got)
	}
	if strings.Contains(got, "evil") || strings.Contains(got, "secret") {
		t.Errorf("the client sees %q", got)
	}
}

func TestUpstreamsInClearHTTP2AndThoseThatFail(t *testing.T) {
	t.Parallel()
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	h2 := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Proto, " ", r.URL.Path)
	}))
	h2.Config.Protocols = p
	h2.Start()
	defer h2.Close()
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer slow.Close()
	s := open(t, echo, func(c *edge.Config) {
		c.Routes = []edge.Route{
			{Path: "/", Public: true, Upstream: strings.Replace(h2.URL, "http:", "h2c:", 1) + "/base/"},
			{Path: "/gone/", Public: true, Upstream: "http://127.0.0.1:1"},
			{Path: "/slow/", Public: true, Upstream: slow.URL, Timeout: 50 * time.Millisecond},
		}
	})
	if got := s.call(t, "GET", "/x%20y", "").want(t, 200); got.body != "HTTP/2.0 /base/x y" {
		t.Errorf("got %q", got.body)
	}
	s.call(t, "GET", "/gone/", "").want(t, 502)
	s.call(t, "GET", "/slow/", "").want(t, 504)
}

// serve runs an edge on a port of its own, and returns its address and how to end it.
func serve(t *testing.T, e *edge.Edge) (address string, end func() error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Serve(ctx, l) }()
	return l.Addr().String(), func() error {
		cancel()
		return <-done
	}
}

func TestWhatIsUnderWayEndsBeforeTheEdge(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan bool, 1), make(chan bool)
	s := open(t, func(w http.ResponseWriter, _ *http.Request) {
		entered <- true
		<-leave
		fmt.Fprint(w, "done")
	}, nil)
	address, end := serve(t, s.edge)
	got := make(chan answer, 1)
	go func() {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+address+"/slow", nil)
		if err != nil {
			t.Error(err)
			return
		}
		got <- do(t, r)
	}()
	<-entered
	ended := make(chan error, 1)
	go func() { ended <- end() }()
	waitFor(t, func() bool { // until nobody is let in any more
		c, err := net.Dial("tcp", address)
		if err != nil {
			return true
		}
		_ = c.Close()
		return false
	})
	select {
	case err := <-ended:
		t.Fatalf("the edge ended with a request under way: %v", err)
	default:
	}
	leave <- true
	if a := <-got; a.status != 200 || a.body != "done" {
		t.Errorf("the request under way got %d %q", a.status, a.body)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestAWebSocketHoldsNoEdgeUp(t *testing.T) {
	t.Parallel()
	var s *site
	s = open(t, echoSocket(&s, t), nil)
	address, end := serve(t, s.edge)
	c := dial(t, "http://"+address+"/public", "")
	say(t, c, "hello", ": hello")
	began := time.Now()
	if err := end(); err != nil || time.Since(began) > edge.DefaultDrain/2 {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
	if _, _, err := c.Read(t.Context()); err == nil {
		t.Error("the connection is still there")
	}
}

func TestWhatTakesTooLongIsCutAndSaid(t *testing.T) {
	t.Parallel()
	entered := make(chan bool, 1)
	s := open(t, func(_ http.ResponseWriter, r *http.Request) {
		entered <- true
		<-r.Context().Done()
	}, func(c *edge.Config) { c.Drain = 50 * time.Millisecond })
	address, end := serve(t, s.edge)
	got := make(chan error, 1)
	go func() {
		res, err := http.Get("http://" + address + "/public")
		if err == nil {
			err = errors.New(res.Status)
			_ = res.Body.Close()
		}
		got <- err
	}()
	<-entered
	if err := end(); !errors.Is(err, edge.ErrCut) {
		t.Errorf("got %v, want ErrCut", err)
	}
	if err := <-got; !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a request that takes too long gets %v", err)
	}
}

func TestAnEdgeRunsOnce(t *testing.T) {
	t.Parallel()
	s := open(t, echo, nil)
	end := run(t, s.edge)
	if err := end(); err != nil {
		t.Fatal(err)
	}
	if err := s.edge.Run(t.Context()); err == nil {
		t.Error("it runs again")
	}
	got := s.call(t, "GET", "/.vidimus/status", "").want(t, 503)
	if !strings.Contains(got.body, "draining") {
		t.Errorf("it says %s", got.body)
	}
}

func TestTheStatusIsDetailedForThisMachineAlone(t *testing.T) {
	t.Parallel()
	s := open(t, echo, nil)
	s.call(t, "GET", "/account/", s.signIn("alice")).want(t, 200)
	if got := s.call(t, "GET", "/.vidimus/status", "").want(t, 200); !strings.Contains(got.body, `"passports":1`) {
		t.Errorf("it says %s", got.body)
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/.vidimus/status", nil) // from 192.0.2.1
	s.edge.ServeHTTP(w, r)
	if got := strings.TrimSpace(w.Body.String()); got != `{"status":"ok"}` {
		t.Errorf("it says %s to strangers", got)
	}
	trusting := open(t, echo, func(c *edge.Config) { c.TrustedProxies = loopback() })
	for name, stranger := range map[string]*site{"a proxy on this machine": s, "a trusted proxy": trusting} {
		got := stranger.call(t, "GET", "/.vidimus/status", "", "X-Forwarded-For: 203.0.113.9").want(t, 200)
		if strings.TrimSpace(got.body) != `{"status":"ok"}` {
			t.Errorf("it says %s to strangers behind %s", got.body, name)
		}
	}
	if got := trusting.call(t, "GET", "/.vidimus/status", "").want(t, 200); !strings.Contains(got.body, "passports") {
		t.Errorf("it says %s to a trusted proxy itself", got.body)
	}
}

func TestMoreRequestsThanMayBeUnderWayAreTurnedAway(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan bool), make(chan bool)
	s := open(t, func(http.ResponseWriter, *http.Request) {
		entered <- true
		<-leave
	}, func(c *edge.Config) { c.InFlight = 1 })
	first := make(chan int)
	go func() { first <- s.call(t, "GET", "/", "").status }()
	<-entered
	if got := s.call(t, "GET", "/", "").want(t, 503); got.header.Get("Retry-After") == "" {
		t.Error("it does not say when to try again")
	}
	leave <- true
	if got := <-first; got != 200 {
		t.Errorf("the first got %d", got)
	}
}
