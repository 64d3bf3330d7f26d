// SPDX-License-Identifier: Apache-2.0

// Streams are judged while they are open: when they end, and when they do not.

package edge

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/heartbeat"
	"example.com/vidimus/heartbeat/presence"
	"example.com/vidimus/passport"
)

// people is an authority that knows everybody but those who left, and takes its time.
type people struct {
	mu    sync.Mutex
	takes time.Duration
	down  bool
	left  map[string]bool // handles
}

func (p *people) Mint(ctx context.Context, ask passport.Ask) (passport.Grant, error) {
	p.mu.Lock()
	takes, down, left := p.takes, p.down, p.left[ask.Handle]
	p.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return passport.Grant{}, ctx.Err()
	}
	switch {
	case down:
		return passport.Grant{}, passport.ErrUnavailable
	case left:
		return passport.Grant{}, passport.ErrNoSession
	}
	g := grant()
	g.Claims.Session = strings.Split(ask.Handle, ".")[2]
	g.Claims.Mark = passport.Mark{Log: "c3", Epoch: 7, Position: 100}
	return *g, nil
}

func (p *people) set(how func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	how()
}

// crowd are people with a stream open each.
type crowd struct {
	*people
	edge    *Edge
	handles []string
	began   time.Time

	mu    sync.Mutex
	ended map[int]time.Time
}

// gather opens streams, in a bubble.
func gather(t *testing.T, n int, view passport.View) *crowd {
	t.Helper()
	c := &crowd{people: &people{left: map[string]bool{}}, began: time.Now(), ended: map[int]time.Time{}}
	e, l := overPipes(t, Config{Authority: c.people, View: view, Transport: roundTrip(events)})
	c.edge = e
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		<-time.After(mintTimeout) // calls may outlive who asked
	})
	for i := range n {
		sid := presence.ID([16]byte{byte(i)}).String()
		handle := "v1.c3." + sid + ".1." + sid
		c.handles = append(c.handles, handle)
		conn := talk(t, l, "GET /account/ HTTP/1.1\r\nHost: x\r\nCookie: "+CookieName+"="+handle+"\r\n\r\n")
		go func() {
			_, _ = io.Copy(io.Discard, conn)
			c.mu.Lock()
			defer c.mu.Unlock()
			c.ended[i] = time.Now()
		}()
	}
	synctest.Wait()
	if got := e.streams.count(); got != n {
		t.Fatalf("%d streams are open, want %d", got, n)
	}
	return c
}

// events is a service whose answers do not end.
func events(r *http.Request) (*http.Response, error) {
	body, end := io.Pipe()
	context.AfterFunc(r.Context(), func() { _ = end.CloseWithError(context.Cause(r.Context())) })
	return &http.Response{
		StatusCode: http.StatusOK, Request: r, ContentLength: -1, Body: body,
		Header: http.Header{"Content-Type": {"text/event-stream"}},
	}, nil
}

// open returns how many streams are open.
func (c *crowd) open() int {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.handles) - len(c.ended)
}

func TestAStreamEndsInTimeWhateverTheAuthorityTakesForOthers(t *testing.T) {
	t.Parallel()
	const n, leaves = 2 * renewalsAtOnce, 7
	for name, takes := range map[string]time.Duration{"slow": 200 * time.Millisecond, "silent": time.Hour} {
		for _, view := range []*heartbeat.View{nil, heartbeat.NewView(nil)} {
			if view == nil && takes > mintTimeout {
				continue // nobody knows, then
			}
			t.Run(fmt.Sprint(name, view != nil), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var known passport.View
					if view != nil {
						known = view
						tell(t, view)
					}
					c := gather(t, n, known)
					c.set(func() { c.takes = takes })
					time.Sleep(45 * time.Second) // the passports of all are to be renewed
					left := time.Now()
					c.set(func() { c.left[c.handles[leaves]] = true })
					if view != nil {
						tell(t, view, heartbeat.Change{
							Scope: heartbeat.Session, Key: strings.Split(c.handles[leaves], ".")[2], Effect: heartbeat.Revoked,
						})
					}
					time.Sleep(DefaultMaxStale + 2*judgeEvery)
					synctest.Wait()
					c.mu.Lock()
					defer c.mu.Unlock()
					if len(c.ended) != 1 || c.ended[leaves].IsZero() {
						t.Fatalf("%d streams end, want the one whose session has ended", len(c.ended))
					}
					if took := c.ended[leaves].Sub(left); view != nil && took > judgeEvery {
						t.Errorf("it ends after %v", took)
					}
				})
			})
		}
	}
}

// tell tells a view of changes, and that there are no others.
func tell(t *testing.T, v *heartbeat.View, changes ...heartbeat.Change) {
	t.Helper()
	p, through := v.PingSent(), v.Through()
	f := heartbeat.Frame{Log: "c3", Epoch: 7, After: through.Position, Through: 100, Changes: changes}
	f.Snapshot = through == passport.Mark{}
	for i := range changes {
		f.Through = through.Position + 1 + int64(i)
		changes[i].Position = f.Through
	}
	if err := v.Apply(f); err != nil {
		t.Fatal(err)
	}
	if err := v.PingAnswered(p, v.Through()); err != nil {
		t.Fatal(err)
	}
}

func TestAStreamEndsWithItsPassportAndNotBefore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n, life = renewalsAtOnce, time.Minute
		c := gather(t, n, nil)
		c.set(func() { c.takes = DefaultMaxStale }) // each passport is too old when it comes
		time.Sleep(10 * life)
		if got := c.open(); got != n {
			t.Fatalf("%d of %d streams are open, though the authority answers", got, n)
		}
		c.set(func() { c.down = true })
		time.Sleep(life / 2)
		if got := c.open(); got != n {
			t.Errorf("%d of %d streams are open, though their passports hold", got, n)
		}
		time.Sleep(life / 2)
		if got := c.open(); got != 0 {
			t.Errorf("%d of %d streams are open after the end of their passports", got, n)
		}
	})
}

// Not parallel: it counts goroutines.
func TestAStreamAsksForOnePassportAtATime(t *testing.T) {
	e, err := Open(Config{Authority: grants{}, Routes: []Route{{Path: "/"}}})
	if err != nil {
		t.Fatal(err)
	}
	for range renewalsAtOnce {
		e.streams.slots <- struct{}{} // others ask
	}
	old := hold(someHandle, grant(), time.Now().Add(-50*time.Second), 1)
	v := &visit{edge: e, route: e.routes.find("/")[0], handle: someHandle, held: old}
	e.streams.add(v, false)
	before := runtime.NumGoroutine()
	for range 50 {
		e.judge(t.Context())
	}
	if n := runtime.NumGoroutine() - before; n > 1 {
		t.Errorf("%d wait to ask for one stream", n)
	}
	<-e.streams.slots
	e.streams.renewals.Wait()
	if got := e.streams.all()[v]; got.held == old || got.renewing {
		t.Error("the stream did not get another passport")
	}
}

// An upload is a stream before it is answered, and its answer one that goes on where it stood: its handle may have been
// rotated meanwhile, and the old one be refused by now.
func TestAStreamGoesOnWithItsNewestHandle(t *testing.T) {
	t.Parallel()
	const next = "v1.c3.AAAAAAAAAAAAAAAAAAAAAA.2.BBBBBBBBBBBBBBBBBBBBBB"
	rotated := grant()
	rotated.Handle = next
	old, held := hold(someHandle, rotated, time.Now(), 1), hold(next, grant(), time.Now(), 2)
	s := newStreams()
	v := &visit{handle: someHandle, held: old}
	s.add(v, false)
	if got := s.all()[v]; got.handle != next {
		t.Errorf("of a handle that was just rotated, it begins with %q", got.handle)
	}
	s.change(v, func(st *stream) { st.goOn(held) })
	s.add(v, true)
	if got := s.all()[v]; got.handle != next || got.held != held || !got.elsewhere {
		t.Errorf("with its answer, it goes on with %q and %+v", got.handle, got)
	}
	fresh := hold(someHandle, grant(), time.Now(), 3)
	v.held = fresh // which a service demanded
	s.add(v, true)
	if got := s.all()[v]; got.held != fresh || got.handle != next {
		t.Errorf("after a newer passport, it goes on with %q and %+v", got.handle, got)
	}
}

// A view that knows of no change is no reason to let a passport end.
func TestAPassportIsRenewedBeforeItsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		view := heartbeat.NewView(nil)
		tell(t, view)
		c := gather(t, renewalsAtOnce, view)
		c.set(func() { c.takes = mintTimeout - time.Second })
		for range 300 {
			time.Sleep(time.Second)
			p := view.PingSent()
			if err := view.PingAnswered(p, view.Through()); err != nil {
				t.Fatal(err)
			}
		}
		if got := c.open(); got != renewalsAtOnce {
			t.Errorf("%d of %d streams are open, though the authority answers", got, renewalsAtOnce)
		}
	})
}

// large is a service that takes large bodies, or answers with one.
func large(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPost {
		_, err := io.Copy(io.Discard, r.Body)
		return nil, err
	}
	res, err := events(r)
	res.Header, res.ContentLength = http.Header{}, smallBody+1
	return res, err
}

// A page that is loaded slowly, and an upload that is, are none the better for stating their lengths.
func TestALargeBodyEndsWithItsSession(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"GET", "POST"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				authority := &people{left: map[string]bool{}}
				e, l := overPipes(t, Config{Authority: authority, Transport: roundTrip(large)})
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- e.Run(ctx) }()
				length := map[string]int{"POST": smallBody + 1}[method]
				conn := talk(t, l, fmt.Sprintf("%s /account/ HTTP/1.1\r\nHost: x\r\nCookie: %s=%s\r\nContent-Length: %d\r\n\r\n",
					method, CookieName, someHandle, length))
				synctest.Wait()
				began := time.Now()
				authority.set(func() { authority.left[someHandle] = true })
				_, _ = io.Copy(io.Discard, conn)
				if took := time.Since(began); took > DefaultMaxStale+judgeEvery {
					t.Errorf("it ends %v after its session", took)
				}
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestAnEdgeThatIsToEndGoesOnForTheTimeOfItsNotice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const notice = 5 * time.Second
		e, err := Open(Config{Authority: grants{}, Notice: notice, Transport: roundTrip(helloOrEvents), Routes: []Route{
			{Path: "/", Public: true, Upstream: "http://service.example"},
		}})
		if err != nil {
			t.Fatal(err)
		}
		l := newPipes()
		client := &http.Client{Transport: &http.Transport{DialContext: l.dial, DisableKeepAlives: true}}
		status := func(path string) int {
			res, err := client.Get("http://edge.example" + path)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			_, _ = io.Copy(io.Discard, res.Body)
			return res.StatusCode
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- e.Serve(ctx, l) }()
		if got := status(ownPaths + "status"); got != 200 {
			t.Errorf("the status is %d before the end", got)
		}
		began, ended := time.Now(), make(chan time.Time)
		go func() {
			status("/events")
			ended <- time.Now()
		}()
		synctest.Wait()
		cancel()
		for range 4 {
			time.Sleep(notice / 5)
			if got := [2]int{status("/"), status(ownPaths + "status")}; got != [2]int{200, 503} {
				t.Errorf("after %v a page and the status are %d", time.Since(began), got)
			}
		}
		if took := (<-ended).Sub(began); took != notice {
			t.Errorf("after %v event streams are ended", took)
		}
		if err := <-done; err != nil || time.Since(began) > notice+time.Second {
			t.Errorf("after %v it ends: %v", time.Since(began), err)
		}
	})
}

func TestAnEdgeWhoseListenerFailsGivesNoNotice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e, err := Open(Config{Authority: grants{}, Notice: time.Hour, Transport: says("hello"), Routes: []Route{
			{Path: "/", Public: true, Upstream: "http://service.example"},
		}})
		if err != nil {
			t.Fatal(err)
		}
		l := newPipes()
		began, done := time.Now(), make(chan error, 1)
		go func() { done <- e.Serve(t.Context(), l) }()
		idle := talk(t, l, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(idle), nil)
		if err != nil || res.StatusCode != 200 {
			t.Fatal(res, err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		synctest.Wait()
		l.close()
		if err := <-done; !errors.Is(err, net.ErrClosed) || errors.Is(err, ErrCut) || time.Since(began) > time.Second {
			t.Errorf("after %v it ends: %v", time.Since(began), err)
		}
		if _, err := idle.Read(make([]byte, 1)); err == nil {
			t.Error("a connection outlives the edge")
		}
	})
}

func helloOrEvents(r *http.Request) (*http.Response, error) {
	if r.URL.Path == "/events" {
		return events(r)
	}
	return says("hello").RoundTrip(r)
}
