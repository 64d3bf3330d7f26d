// SPDX-License-Identifier: Apache-2.0

// What is seen of a service, and what a pause of its feed does.

package live

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/heartbeat"
	"example.com/vidimus/passport"
)

// ticker is an authority that sends a frame every tenth of a second, and answers pings at once.
type ticker struct{}

func (ticker) Subscribe(ctx context.Context, _ passport.Mark) iter.Seq2[heartbeat.Frame, error] {
	return func(yield func(heartbeat.Frame, error) bool) {
		for n := int64(1); ; n++ {
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
				yield(heartbeat.Frame{}, ctx.Err())
				return
			}
			if !yield(heartbeat.Frame{Log: "main", Epoch: 1, After: n - 1, Through: n, Snapshot: n == 1}, nil) {
				return
			}
		}
	}
}

func (ticker) Ping(context.Context) (heartbeat.Head, error) {
	return heartbeat.Head{Log: "main", Epoch: 1, Position: 1}, nil
}

func TestPauseHoldsBackFramesAndPings(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		v := &Valve{Source: ticker{}}
		began := time.Now()
		var gaps []time.Duration
		last := began
		for f, err := range v.Subscribe(ctx, passport.Mark{}) {
			if err != nil {
				t.Fatal(err)
			}
			if f.Through == 3 {
				v.Pause(5 * time.Second)
				_, err := v.Ping(ctx)
				if waited := time.Since(last); err != nil || waited < 5*time.Second {
					t.Errorf("a ping during the pause was answered after %v: %v", waited, err)
				}
			}
			gaps = append(gaps, time.Since(last))
			last = time.Now()
			if f.Through == 5 {
				break
			}
		}
		if len(gaps) != 5 || gaps[1] > 200*time.Millisecond || gaps[4] > 200*time.Millisecond {
			t.Errorf("frames came after %v", gaps)
		}
	})
}

func TestPausedFeedLetsGoWhenItsReaderLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		v := &Valve{Source: ticker{}}
		v.Pause(time.Hour)
		for _, err := range v.Subscribe(ctx, passport.Mark{}) {
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a frame, or %v, came through", err)
			}
		}
		if _, err := v.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a ping came through: %v", err)
		}
	})
}

func TestVerdictsAreReadFromAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		status int
		header http.Header
		want   string
	}{
		{"let through", 200, http.Header{"Vidimus-Staleness": {`412;pos="main.1:7"`}}, "good"},
		{"refused by the domain", 409, nil, "good"},
		{"read only", 200, http.Header{"Vidimus-Staleness": {`6412;pos="main.1:7";read-only`}}, "read-only"},
		{"superseded", 401, http.Header{"Www-Authenticate": {`Txn-Token error="superseded"`}}, "superseded"},
		{"no code", 401, nil, "refused"},
		{"stale", 503, nil, "stale"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := judge(c.status, c.header); got != c.want {
				t.Errorf("got %q; want %q", got, c.want)
			}
		})
	}
}

func TestLastVerdictsAreKept(t *testing.T) {
	t.Parallel()
	w := &Watch{name: "seats"}
	h := w.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/bad" {
			w.Header().Set("WWW-Authenticate", `Txn-Token error="revoked"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = fmt.Fprint(w, "fine")
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
	}))
	for _, path := range []string{"/assets/x.css", "/api/1", "/api/2", "/api/3", "/api/4", "/api/5", "/api/bad"} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
	}
	if len(w.mu.last) != lastMax || w.mu.last[0] != (verdict{6, "GET", "/api/bad", 401, "revoked"}) ||
		w.mu.last[4].Path != "/api/2" || of(w.mu.refused, w.mu.count) != "1 of 6" {
		t.Errorf("kept %+v, %d refused of %d", w.mu.last, w.mu.refused, w.mu.count)
	}
}

func TestRoutesCloseAtTheirBounds(t *testing.T) {
	t.Parallel()
	rules := map[string]passport.Rule{
		"GET /api/seats":               {MaxStale: 5 * time.Second, WhenStale: passport.ReadOnly},
		"GET /api/seats/events":        {MaxStale: 5 * time.Second, WhenStale: passport.ReadOnly},
		"POST /api/seats/{id}/buy":     {MaxStale: 2 * time.Second, WhenStale: passport.AskAuthority},
		"POST /api/seats/{id}/hold":    {MaxStale: 2 * time.Second},
		"POST /api/seats/{id}/release": {},
	}
	for staleness, want := range map[time.Duration]string{
		time.Second:      "look open, buy open, hold open, release open, ",
		3 * time.Second:  "look open, buy asks, hold closed, release open, ",
		passport.Unknown: "look read only, buy asks, hold closed, release open, ",
	} {
		got := ""
		for _, m := range moods(rules, staleness) {
			got += m.Name + " " + m.Now + ", "
		}
		if got != want {
			t.Errorf("at %v: %s; want %s", staleness, got, want)
		}
	}
}
