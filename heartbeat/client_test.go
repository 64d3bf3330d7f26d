// SPDX-License-Identifier: Apache-2.0

// Clients of sources that fail in every way there is.

package heartbeat

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/passport"
)

// authority is a source with a real tail, and faults to switch on.
type authority struct {
	mu   sync.Mutex
	tail *Tail
	news chan struct{}
	asks []passport.Mark // where subscribers began

	mute    bool          // sends nothing
	refuses error         // subscriptions and pings
	deaf    error         // to pings alone
	lose    int           // so many frames with changes
	lag     int64         // how far the head is ahead of the tail
	slow    time.Duration // how long a ping takes
}

func newAuthority(start passport.Mark) *authority {
	return &authority{tail: NewTail(start, 0), news: make(chan struct{})}
}

// set changes a fault, or the tail, and tells subscribers.
func (a *authority) set(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
	close(a.news)
	a.news = make(chan struct{})
}

func (a *authority) add(t *testing.T, through int64, changes ...Change) {
	t.Helper()
	a.set(func() { must(t, a.tail.Add(through, changes...)) })
}

func (a *authority) Subscribe(ctx context.Context, from passport.Mark) iter.Seq2[Frame, error] {
	return func(yield func(Frame, error) bool) {
		a.mu.Lock()
		a.asks = append(a.asks, from)
		a.mu.Unlock()
		for {
			a.mu.Lock()
			f, news := a.tail.Next(from)
			moved, mute, refuses := a.news, a.mute, a.refuses
			lost := news && len(f.Changes) > 0 && a.lose > 0
			if lost {
				a.lose--
			}
			a.mu.Unlock()
			if refuses != nil {
				yield(Frame{}, refuses)
				return
			}
			if news {
				from = f.Mark()
			}
			if !mute && !lost && !yield(f, nil) {
				return
			}
			pulse := time.NewTimer(500 * time.Millisecond)
			select {
			case <-moved:
			case <-pulse.C:
			case <-ctx.Done():
				yield(Frame{}, ctx.Err())
				return
			}
			pulse.Stop()
		}
	}
}

func (a *authority) Ping(ctx context.Context) (Head, error) {
	a.mu.Lock()
	head, refuses, slow := a.tail.Through(), cmp.Or(a.refuses, a.deaf), a.slow
	head.Position += a.lag
	a.mu.Unlock()
	pause := time.NewTimer(slow)
	defer pause.Stop()
	select {
	case <-pause.C:
		return head, refuses
	case <-ctx.Done():
		return Head{}, ctx.Err()
	}
}

// began returns where the last subscription began, and how many there were.
func (a *authority) began() (passport.Mark, int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.asks) == 0 {
		return passport.Mark{}, 0
	}
	return a.asks[len(a.asks)-1], len(a.asks)
}

// start runs a client of the authorities in a bubble, until stop is called.
func start(t *testing.T, authorities ...*authority) (c *Client, stop func()) {
	t.Helper()
	cfg := Config{}
	for _, a := range authorities {
		cfg.Sources = append(cfg.Sources, a)
	}
	c, err := Open(cfg)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	return c, func() {
		cancel()
		must(t, <-ended)
	}
}

// pass lets time pass in a bubble, and returns the greatest staleness seen meanwhile.
func pass(c *Client, d time.Duration) (worst time.Duration) {
	for range d / (50 * time.Millisecond) {
		pause := time.NewTimer(50 * time.Millisecond)
		<-pause.C
		synctest.Wait()
		worst = max(worst, c.View().Staleness())
	}
	return worst
}

func TestClientStaysFreshWhileItsAuthorityLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(mark(0))
		c, stop := start(t, a)
		defer stop()
		pass(c, time.Second)
		for p := range int64(20) {
			a.add(t, p+1, ended(p+1, "s"))
			if worst := pass(c, time.Second); worst > 510*time.Millisecond {
				t.Fatalf("staleness %v", worst)
			}
			if err := c.View().Judge(of(p, "s")); !errors.Is(err, passport.ErrRevoked) {
				t.Fatalf("judged %v", err)
			}
		}
		if s := c.Status(); !s.Connected || s.Changes != 20 || s.Resyncs != 0 || s.PingsFailed != 0 || s.LastError != "" {
			t.Errorf("status %+v", s)
		}
	})
}

func TestLostFrameIsAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(mark(0))
		c, stop := start(t, a)
		defer stop()
		pass(c, time.Second)
		a.set(func() { a.lose = 1 })
		a.add(t, 1, ended(1, "s"))
		pass(c, 100*time.Millisecond)
		if err := c.View().Judge(of(0, "s")); err != nil {
			t.Fatalf("the frame was not lost: %v", err)
		}
		a.add(t, 2, ended(2, "r"))
		pass(c, time.Second)
		if err := c.View().Judge(of(0, "s")); !errors.Is(err, passport.ErrRevoked) {
			t.Errorf("the lost change is judged %v", err)
		}
		from, times := a.began()
		if s := c.Status(); s.Gaps != 1 || s.Resyncs != 1 || times != 2 || from != mark(0) || s.Snapshots != 1 {
			t.Errorf("status %+v, subscribed %d times, last from %v", s, times, from)
		}
	})
}

func TestClientBeginsAnewWhenTheLogLostWhatItApplied(t *testing.T) {
	for name, sources := range map[string]int{"one authority": 1, "one of two": 2} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var all []*authority
				for range sources {
					all = append(all, newAuthority(mark(0)))
					all[len(all)-1].add(t, 9, ended(2, "s"))
				}
				c, stop := start(t, all...)
				defer stop()
				pass(c, time.Second)
				fallen := NewTail(mark(0), 0)
				must(t, fallen.Add(3, ended(3, "r"))) // 3 was something else
				for _, a := range all {
					a.set(func() { a.tail = fallen })
				}
				pass(c, time.Second)
				if got := c.View().Staleness(); got != passport.Unknown {
					t.Errorf("staleness %v while the log ends before what was applied", got)
				}
				must(t, fallen.Add(12))
				for _, a := range all {
					a.set(func() {})
				}
				pass(c, 6*time.Second)
				if s := c.Status(); s.Staleness > 510*time.Millisecond || s.Through != mark(12) {
					t.Errorf("status %+v", s)
				}
				if err := c.View().Judge(of(9, "r")); !errors.Is(err, passport.ErrSuperseded) {
					t.Errorf("a passport from the history that was lost is judged %v", err)
				}
				if err := c.View().Judge(of(10, "r")); err != nil {
					t.Errorf("a passport from behind what was lost is judged %v", err)
				}
			})
		})
	}
}

func TestClientLeavesAnAuthorityThatFails(t *testing.T) {
	down := errors.New("down")
	for name, fail := range map[string]func(a *authority){
		"it refuses":           func(a *authority) { a.refuses = down },
		"it goes silent":       func(a *authority) { a.mute = true },
		"it lags":              func(a *authority) { a.lag = 3 }, // what the other one brings
		"it answers no ping":   func(a *authority) { a.slow = time.Hour },
		"its log is abandoned": func(a *authority) { a.tail = NewTail(passport.Mark{Log: "c3", Epoch: 6, Position: 9}, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				first, second := newAuthority(mark(0)), newAuthority(mark(0))
				for _, a := range []*authority{first, second} {
					a.add(t, 9, ended(9, "s"))
				}
				c, stop := start(t, first, second)
				defer stop()
				pass(c, time.Second)
				if c.Status().Source != 0 {
					t.Fatal("the first is not preferred")
				}
				first.set(func() { fail(first) })
				second.add(t, 12, ended(12, "r"))
				worst := pass(c, 12*time.Second)
				s := c.Status()
				if s.Source != 1 || s.Staleness > 510*time.Millisecond || s.Through != mark(12) || worst > 10*time.Second {
					t.Errorf("status %+v, worst %v", s, worst)
				}
				if from, _ := second.began(); from != mark(9) {
					t.Errorf("resumed from %v", from)
				}
			})
		})
	}
}

func TestClientOfOneAuthorityTakesItUpAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(mark(0))
		c, stop := start(t, a)
		defer stop()
		pass(c, time.Second)
		a.set(func() { a.refuses = errors.New("restarting") })
		a.mu.Lock()
		tail := a.tail
		a.mu.Unlock()
		worst := pass(c, time.Minute)
		if worst < 59*time.Second || tail.Through() != mark(0) {
			t.Errorf("with nobody there the staleness was %v at most", worst)
		}
		_, before := a.began()
		if before > 25 {
			t.Errorf("it was asked %d times in a minute", before)
		}
		a.set(func() { a.refuses = nil })
		pass(c, 6*time.Second)
		if s := c.Status(); s.Staleness > 510*time.Millisecond || !s.Connected {
			t.Errorf("status %+v", s)
		}
	})
}

func TestClientFollowsARenewedLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(mark(9))
		c, stop := start(t, a)
		defer stop()
		pass(c, time.Second)
		renewed := passport.Mark{Log: "c3", Epoch: 8, Position: 7}
		a.set(func() { a.tail = NewTail(renewed, 0) })
		pass(c, 5*time.Second)
		if s := c.Status(); s.Through != renewed || s.Staleness > 510*time.Millisecond {
			t.Errorf("status %+v", s)
		}
		if err := c.View().Judge(of(9, "s")); !errors.Is(err, passport.ErrForeign) {
			t.Errorf("a passport of the old epoch is judged %v", err)
		}
	})
}

func TestSyncKnowsWhatWasAcknowledgedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(mark(0))
		c, stop := start(t, a)
		defer stop()
		pass(c, time.Second)
		a.set(func() { a.lag = 3 })
		synced := make(chan error, 1)
		go func() {
			at, err := c.Sync(t.Context())
			if err == nil && at != mark(3) {
				err = errors.New("synchronised up to " + at.String())
			}
			synced <- err
		}()
		pass(c, time.Second)
		if len(synced) > 0 {
			t.Fatalf("returned %v before the change was known", <-synced)
		}
		a.set(func() { a.lag = 0; must(t, a.tail.Add(3, ended(3, "s"))) })
		must(t, <-synced)
		if err := c.View().Judge(of(2, "s")); err == nil {
			t.Error("the change is not known")
		}
		a.set(func() { a.refuses = errors.New("down") })
		if _, err := c.Sync(t.Context()); err == nil {
			t.Error("synchronised with nobody")
		}
	})
}

func TestLoggerMayAskTheClientHowItFares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(mark(0))
		asking := &askingHandler{}
		c, err := Open(Config{Sources: []Source{a}, Logger: slog.New(asking)})
		must(t, err)
		asking.client = c
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.Run(ctx) }()
		pass(c, time.Second)
		a.set(func() { a.refuses = errors.New("down") })
		pass(c, time.Second)
		cancel()
		must(t, <-ended)
		if got := asking.said; len(got) < 2 || got[0] != "feed is followed" || got[1] != "feed was lost" {
			t.Errorf("logged %q", got)
		}
	})
}

// askingHandler is a logger that asks the client for its status, as one would that logs a status with every line.
type askingHandler struct {
	slog.Handler // nil: the rest is not called

	client *Client
	said   []string
}

func (h *askingHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h *askingHandler) Handle(_ context.Context, r slog.Record) error {
	_ = h.client.Status()
	h.said = append(h.said, r.Message)
	return nil
}

func TestRetryBoundsTheFirstWaitToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(mark(0))
		a.refuses = errors.New("down")
		c, err := Open(Config{Sources: []Source{a}, Retry: time.Millisecond})
		must(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.Run(ctx) }()
		pass(c, 50*time.Millisecond)
		cancel()
		must(t, <-ended)
		if _, times := a.began(); times < 45 {
			t.Errorf("subscribed %d times in 50 ms, want about 50", times)
		}
	})
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]Config{
		"no sources":      {},
		"a nil source":    {Sources: []Source{nil}},
		"a negative time": {Sources: []Source{&Remote{}}, Every: -1},
	} {
		if _, err := Open(cfg); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRemoteRefusesWhatIsNoAuthority(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		serve http.HandlerFunc
		feed  string // what the error says
		ping  string
	}{
		"an error": {
			func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no right `feed`", http.StatusForbidden) },
			"403 Forbidden: \"no right `feed`", "403 Forbidden",
		},
		"a page": {
			func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
			"text/event-stream", "no JSON",
		},
		"a long error": {
			func(w http.ResponseWriter, _ *http.Request) {
				http.Error(w, strings.Repeat("x", 1<<20), http.StatusInternalServerError)
			},
			"500", "500",
		},
		"an endless answer": {
			func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = w.Write([]byte("{" + strings.Repeat(" ", 3<<20)))
			},
			"longer than", "no JSON",
		},
		"an end": {
			func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "text/event-stream") },
			"unexpected EOF", "no JSON",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(c.serve)
			defer server.Close()
			r := &Remote{URL: server.URL + "/"}
			var err error
			for _, err = range r.Subscribe(t.Context(), passport.Mark{}) {
			}
			if err == nil || !strings.Contains(err.Error(), c.feed) || len(err.Error()) > 1000 {
				t.Errorf("the feed says %.300v, want %q", err, c.feed)
			}
			if _, err = r.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), c.ping) {
				t.Errorf("the ping says %.300v, want %q", err, c.ping)
			}
		})
	}
}

func TestRemoteSaysWhoItIsAndWhereItStands(t *testing.T) {
	t.Parallel()
	seen := make(chan *http.Request, 4)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r }))
	defer server.Close()
	r := &Remote{URL: server.URL, Token: "secret"}
	for range r.Subscribe(t.Context(), mark(5)) {
	}
	for range r.Subscribe(t.Context(), passport.Mark{}) {
	}
	_, _ = r.Ping(t.Context())
	for _, want := range []struct{ method, path, id string }{
		{"GET", "/v1/feed", "c3.7:5"}, {"GET", "/v1/feed", ""}, {"POST", "/v1/ping", ""},
	} {
		got := <-seen
		if got.Method != want.method || got.URL.Path != want.path || got.Header.Get("Last-Event-ID") != want.id ||
			got.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("asked %s %s with %v, want %+v", got.Method, got.URL, got.Header, want)
		}
	}
}
