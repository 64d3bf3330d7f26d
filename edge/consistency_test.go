// SPDX-License-Identifier: Apache-2.0

// How fresh a decision is, in the order of events rather than by luck.

package edge_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/edge"
	"example.com/vidimus/heartbeat"
	"example.com/vidimus/passport"
	"example.com/vidimus/passport/header"
)

// bubble is an edge without a network, whose authority can be held up.
func bubble(t *testing.T, edit func(*edge.Config)) (*authority, *edge.Edge) {
	t.Helper()
	a := newAuthority(t)
	c := edge.Config{Authority: a, Routes: []edge.Route{{Path: "/", MaxStale: time.Hour}}}
	if edit != nil {
		edit(&c)
	}
	e, err := edge.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return a, e
}

// check decides on a request with a handle.
func check(t *testing.T, e *edge.Edge, handle string, fields ...string) edge.Verdict {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Cookie", edge.CookieName+"="+handle)
	for i := 0; i+1 < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	return e.Check(t.Context(), r)
}

func TestADemandingRequestDoesNotTakeAnAnswerUnderWay(t *testing.T) {
	for name, fields := range map[string]func(at passport.Mark) []string{
		"fully consistent": func(passport.Mark) []string { return []string{"Vidimus-Consistency", "fully-consistent"} },
		"at a position":    func(at passport.Mark) []string { return []string{"Vidimus-Position", at.String()} },
		"another log":      func(passport.Mark) []string { return []string{"Vidimus-Position", "c9.1:1"} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, e := bubble(t, nil)
				handle := a.signIn("alice")
				a.pause, a.paused = make(chan struct{}), make(chan struct{}, 1)
				slow, demanding := make(chan edge.Verdict, 1), make(chan edge.Verdict, 1)
				go func() { slow <- check(t, e, handle) }()
				synctest.Wait() // it has read the state, and is held up
				release := a.pause
				a.mu.Lock()
				a.pause = nil
				a.mu.Unlock()
				at := a.change("alice")
				go func() { demanding <- check(t, e, handle, fields(at)...) }()
				synctest.Wait()
				close(release)
				if v := <-slow; v.Status != 200 || v.Claims.SubjectVersion != 1 {
					t.Fatalf("the request under way is answered %d", v.Status)
				}
				if v := <-demanding; v.Status != 200 || v.Claims.SubjectVersion != 2 {
					t.Errorf("after the change, the answer is %d of version %d", v.Status, v.Claims.SubjectVersion)
				}
			})
		})
	}
}

func TestAnAnswerThatWasUnderWayTooLongIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, e := bubble(t, func(c *edge.Config) { c.Routes[0].MaxStale = time.Second })
		handle := a.signIn("alice")
		a.pause, a.paused = make(chan struct{}), make(chan struct{}, 1)
		slow, late := make(chan edge.Verdict, 1), make(chan edge.Verdict, 1)
		go func() { slow <- check(t, e, handle) }()
		synctest.Wait()
		release := a.pause
		a.mu.Lock()
		a.pause = nil
		a.mu.Unlock()
		a.change("alice")
		time.Sleep(3 * time.Second)
		go func() { late <- check(t, e, handle) }() // the change was acknowledged three seconds before it
		synctest.Wait()
		close(release)
		<-slow
		if v := <-late; v.Status != 200 || v.Claims.SubjectVersion != 2 {
			t.Errorf("the answer is %d of version %d: older than the route's bound", v.Status, v.Claims.SubjectVersion)
		}
	})
}

// TestTheBoundHolds compares an edge with the truth, while the feed comes and goes: a change that was acknowledged
// longer ago than MaxStale is in every passport.
func TestTheBoundHolds(t *testing.T) {
	const bound = 2 * time.Second
	synctest.Test(t, func(t *testing.T) {
		var view *heartbeat.View
		a, e := bubble(t, func(c *edge.Config) {
			view = c.Authority.(*authority).view
			c.View = view
			c.Routes[0].MaxStale = bound
		})
		handle := a.signIn("alice")
		type change struct {
			at      time.Time
			version int64
		}
		var changes []change
		accepted := 0
		for step := range 2000 {
			time.Sleep(time.Duration(step%7) * 50 * time.Millisecond)
			switch {
			case step%11 == 0:
				a.change("alice")
				changes = append(changes, change{time.Now(), a.versionNow("alice")})
			case step%5 == 0 && step/100%3 != 1: // for a hundred steps of three hundred, nothing comes
				a.tell(t)
			}
			v := check(t, e, handle)
			if v.Status != 200 {
				t.Fatalf("step %d: %d %s", step, v.Status, v.Body)
			}
			accepted++
			for i := len(changes) - 1; i >= 0; i-- {
				if time.Since(changes[i].at) > bound && v.Claims.SubjectVersion < changes[i].version {
					t.Fatalf("step %d: version %d is accepted %v after %d was acknowledged", step, v.Claims.SubjectVersion,
						time.Since(changes[i].at), changes[i].version)
				}
			}
		}
		if a.mints() > accepted*3/4 {
			t.Errorf("of %d decisions, %d asked the authority: the view is of no use", accepted, a.mints())
		}
		t.Logf("%d decisions asked the authority %d times", accepted, a.mints())
	})
}

// TestWritersReadTheirWritesThroughTwoEdges has writers go back and forth between two edges whose views are told
// nothing.
func TestWritersReadTheirWritesThroughTwoEdges(t *testing.T) {
	t.Parallel()
	var s *site
	var config edge.Config
	s = open(t, func(w http.ResponseWriter, r *http.Request) {
		c := s.verify(t, r.Header.Get(header.TxnToken))
		version := c.SubjectVersion
		if r.Method == http.MethodPost {
			at := s.change(c.Subject)
			version = s.versionNow(c.Subject)
			header.SetEffect(w.Header(), header.Effect{Mark: at, Version: version})
		}
		fmt.Fprint(w, version)
	}, func(c *edge.Config) {
		c.View = nil
		for i := range c.Routes {
			c.Routes[i].MaxStale = time.Hour
		}
		config = *c
	})
	other, err := edge.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(other)
	defer front.Close()
	there := *s
	there.url = front.URL
	edges := [2]*site{s, &there}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			subject := fmt.Sprint("writer", i)
			handle := s.signIn(subject)
			version := func(a answer) (v int64) {
				if _, err := fmt.Sscan(a.body, &v); err != nil || a.status != 200 {
					t.Errorf("%d %q: %v", a.status, a.body, err)
				}
				return v
			}
			for step := range 15 {
				mine, its := edges[(i+step)%2], edges[(i+step+1)%2]
				wrote := mine.call(t, "POST", "/account/", handle)
				at := "Vidimus-Position: " + wrote.header.Get(header.Position)
				want := version(wrote)
				if got := version(mine.call(t, "GET", "/account/", handle)); got < want {
					t.Errorf("after writing %d, the same edge reads %d", want, got)
				}
				if got := version(its.call(t, "GET", "/account/", handle, at)); got < want {
					t.Errorf("after writing %d, another edge reads %d", want, got)
				}
			}
		})
	}
	wg.Wait()
}
