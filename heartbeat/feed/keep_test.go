// SPDX-License-Identifier: Apache-2.0

// What a feed keeps, for whom, and what it says when it cannot.

package feed_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/heartbeat"
	"example.com/vidimus/heartbeat/feed"
	"example.com/vidimus/journal"
	"example.com/vidimus/passport"
)

// frames reads frames by hand.
func frames(t *testing.T, f *feed.Feed, from passport.Mark) func() heartbeat.Frame {
	t.Helper()
	next, stop := iter.Pull2(f.Subscribe(t.Context(), from))
	t.Cleanup(stop)
	return func() heartbeat.Frame {
		t.Helper()
		frame, err, ok := next()
		if err != nil || !ok {
			t.Fatalf("the feed ended: %v", err)
		}
		return frame
	}
}

// place is a position of the journal.
func place(t *testing.T, log *journal.Log, position int64) passport.Mark {
	t.Helper()
	head, err := log.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return passport.Mark{Log: head.Log, Epoch: int64(head.Epoch), Position: position}
}

func TestFeedReadsBackAsFarAsItMay(t *testing.T) {
	for name, c := range map[string]struct {
		readBack, base int64
		changes        int
	}{
		"by default all of a short journal": {0, 0, 10},
		"a few positions":                   {4, 6, 4},
		"nothing":                           {-1, 10, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := memory(t)
				for i := range 10 {
					commit(t, log, journal.Stream(fmt.Sprint("session-", i)), "session.changed")
				}
				f := open(t, feed.Config{Log: log, ReadBack: c.readBack})
				synctest.Wait()
				got := frames(t, f, passport.Mark{})()
				if !got.Snapshot || got.After != c.base || got.Through != 10 || len(got.Changes) != c.changes {
					t.Errorf("got %+v", got)
				}
			})
		})
	}
}

func TestSubscribersGoOnWhereTheyWere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memory(t)
		for i := range 10 {
			commit(t, log, journal.Stream(fmt.Sprint("session-", i)), "session.changed")
		}
		f := open(t, feed.Config{Log: log, Remember: 2})
		synctest.Wait()
		if got := frames(t, f, place(t, log, 9))(); got.Snapshot || got.After != 9 || len(got.Changes) != 1 {
			t.Errorf("from 9: %+v", got)
		}
		if got := frames(t, f, place(t, log, 1))(); !got.Snapshot || got.After < 2 || got.Through != 10 {
			t.Errorf("from what is forgotten: %+v", got)
		}
		began := time.Now()
		if got := frames(t, f, place(t, log, 10))(); got.After != 10 || got.Through != 10 || len(got.Changes) != 0 {
			t.Errorf("from the end: %+v", got)
		}
		if waited := time.Since(began); waited != 500*time.Millisecond {
			t.Errorf("a sign of life came after %v", waited)
		}
	})
}

func TestSlowSubscriberGetsWhatHappenedInOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memory(t)
		f := open(t, feed.Config{Log: log})
		commit(t, log, "session-a", "session.started")
		synctest.Wait()
		next := frames(t, f, passport.Mark{})
		next()
		for i := range 50 {
			commit(t, log, journal.Stream(fmt.Sprint("session-", i)), "session.ended")
		}
		time.Sleep(time.Second)
		if got := next(); len(got.Changes) != 50 || got.Snapshot || got.After != 1 {
			t.Errorf("got %+v", got)
		}
	})
}

func TestEventsOfOthersMoveTheFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memory(t)
		f := open(t, feed.Config{Log: log, Filter: journal.Filter{{Category: "session"}}})
		synctest.Wait()
		next := frames(t, f, passport.Mark{})
		next()
		for range 30 {
			commit(t, log, "order-1", "order.placed")
		}
		if got := next(); got.Through != 30 || len(got.Changes) != 0 {
			t.Errorf("got %+v", got)
		}
	})
}

func TestRenewedJournalBeginsANewFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memory(t)
		f := open(t, feed.Config{Log: log})
		c := follow(t, heartbeat.Config{Sources: []heartbeat.Source{f}})
		commit(t, log, "session-a", "session.changed")
		synced(t, c)
		old := claims(c, "session-a", 1)
		if _, err := log.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if at := c.View().Through(); at != place(t, log, 1) {
			t.Errorf("followed is %v", at)
		}
		if err := c.View().Judge(old); !errors.Is(err, passport.ErrForeign) || c.View().Staleness() > time.Second {
			t.Errorf("judged %v, staleness %v", err, c.View().Staleness())
		}
	})
}

// cut is a database that can be cut off.
type cut struct {
	journal.Store
	off atomic.Bool
}

func (c *cut) Head(ctx context.Context) (journal.Checkpoint, error) {
	if c.off.Load() {
		return journal.Checkpoint{}, journal.ErrUnavailable
	}
	return c.Store.Head(ctx)
}

func (c *cut) Read(ctx context.Context, q journal.Query) (journal.Page, error) {
	if c.off.Load() {
		return journal.Page{}, journal.ErrUnavailable
	}
	return c.Store.Read(ctx, q)
}

func TestFeedThatLostItsDatabaseVouchesForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &cut{Store: memory(t).Store()}
		log := journal.New(store)
		f := open(t, feed.Config{Log: log})
		c := follow(t, heartbeat.Config{Sources: []heartbeat.Source{f}})
		at := commit(t, log, "session-a", "session.started")
		synced(t, c)
		store.off.Store(true)
		time.Sleep(20 * time.Second)
		if s := c.View().Staleness(); s < 19*time.Second || s == passport.Unknown {
			t.Errorf("staleness %v", s)
		}
		if _, err := f.Ping(t.Context()); !errors.Is(err, journal.ErrUnavailable) {
			t.Errorf("ping: %v", err)
		}
		commit(t, log, "session-a", "session.ended") // by another way
		store.off.Store(false)
		time.Sleep(10 * time.Second)
		if err := c.View().Judge(claims(c, "session-a", at)); !errors.Is(err, passport.ErrRevoked) {
			t.Errorf("judged %v", err)
		}
		if s := c.Status(); s.Staleness > time.Second || s.Snapshots != 1 {
			t.Errorf("status %+v", s)
		}
	})
}

// counter is a log of which only the lines that say something are counted.
type counter struct {
	of string
	n  atomic.Int64
}

func (c *counter) Write(line []byte) (int, error) {
	if strings.Contains(string(line), c.of) {
		c.n.Add(1)
	}
	return len(line), nil
}

func TestAJournalThatIsAwayIsToldOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said := counter{of: "journal is not followed"}
		store := &cut{Store: memory(t).Store()}
		log := journal.New(store)
		open(t, feed.Config{Log: log, Logger: slog.New(slog.NewTextHandler(&said, nil))})
		expect := func(when string, d time.Duration, want int64) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if got := said.n.Swap(0); got != want {
				t.Errorf("%s: told %d times, want %d", when, got, want)
			}
		}
		expect("at the beginning", 5*time.Second, 0)
		store.off.Store(true)
		expect("away", 50*time.Second, 1)
		expect("away for longer", time.Minute, 1)
		store.off.Store(false)
		expect("there again", 20*time.Second, 0)
		store.off.Store(true)
		expect("away again", 5*time.Second, 1)
		for range 40 {
			store.off.Store(false)
			time.Sleep(time.Second)
			store.off.Store(true)
			time.Sleep(time.Second)
		}
		expect("now there, now away", 0, 1)
	})
}

func TestSubscribersAreBoundedAndEndWithTheFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memory(t)
		f, err := feed.Open(feed.Config{Log: log, Changes: changes, Subscribers: 1})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended, last := make(chan error, 1), make(chan error, 1)
		go func() { ended <- f.Run(ctx) }()
		go func() {
			var err error
			for _, err = range f.Subscribe(t.Context(), passport.Mark{}) {
			}
			last <- err
		}()
		synctest.Wait()
		for _, err := range f.Subscribe(t.Context(), passport.Mark{}) {
			if !errors.Is(err, feed.ErrTooMany) {
				t.Errorf("the second subscriber got %v", err)
			}
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
		if err := <-last; !errors.Is(err, feed.ErrStopped) {
			t.Errorf("the subscription ended with %v", err)
		}
	})
}

func TestWhatCannotBeToldSupersedesAll(t *testing.T) {
	many := make([]heartbeat.Change, heartbeat.MaxChanges+1)
	for i := range many {
		many[i] = heartbeat.Change{Scope: heartbeat.Session, Key: fmt.Sprint(i), Effect: heartbeat.Revoked}
	}
	for name, told := range map[string][]heartbeat.Change{
		"too many changes":       many,
		"a change of nobody":     {{Scope: heartbeat.Session, Effect: heartbeat.Revoked}},
		"a key that is too long": {{Scope: heartbeat.Tenant, Key: strings.Repeat("x", 256), Effect: heartbeat.Revoked}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := memory(t)
				f := open(t, feed.Config{Log: log, Changes: func(*journal.Event) []heartbeat.Change { return told }})
				commit(t, log, "tenant-a", "tenant.revoked")
				time.Sleep(time.Second)
				got := frames(t, f, passport.Mark{})()
				want := heartbeat.Change{Position: 1, Scope: heartbeat.All, Effect: heartbeat.Superseded}
				if len(got.Changes) != 1 || got.Changes[0] != want {
					t.Errorf("got %+v", got.Changes)
				}
			})
		})
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	log := memory(t)
	for name, cfg := range map[string]feed.Config{
		"no journal":       {Changes: changes},
		"no changes":       {Log: log},
		"a negative limit": {Log: log, Changes: changes, Remember: -1},
	} {
		if _, err := feed.Open(cfg); !errors.Is(err, journal.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFeedOverHTTP(t *testing.T) {
	t.Parallel()
	store := &cut{Store: memory(t).Store()}
	log := journal.New(store)
	commit(t, log, "session-a", "session.ended")
	f := open(t, feed.Config{Log: log})
	server := httptest.NewServer(paths(f))
	t.Cleanup(func() {
		server.CloseClientConnections() // the feed does not end
		server.Close()
	})
	ask := func(method, path, id string) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Last-Event-ID", id)
		res, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = res.Body.Close() })
		return res
	}
	res := ask(http.MethodGet, "/v1/feed", "")
	if res.Header.Get("Content-Type") != "text/event-stream" || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("the feed has the headers %v", res.Header)
	}
	lines := bufio.NewScanner(res.Body)
	at := place(t, log, 1)
	data := `data: {"log":"` + at.Log + `","ep":1,`
	for text := []string{""}; text[0] != "id: "+at.String(); { // which it may have read after the first event was sent
		text = nil
		for lines.Scan() && lines.Text() != "" {
			text = append(text, lines.Text())
		}
		if len(text) != 2 || !strings.HasPrefix(text[1], data) {
			t.Fatalf("an event is %q", text)
		}
	}
	for _, id := range []string{"1", "c3.7", "c3.7:-1", "c3.7:01", strings.Repeat("x", 5000)} {
		if res := ask(http.MethodGet, "/v1/feed", id); res.StatusCode != http.StatusBadRequest {
			t.Errorf("Last-Event-ID %.20q is answered %s", id, res.Status)
		}
	}
	var head heartbeat.Head
	if err := json.NewDecoder(ask(http.MethodPost, "/v1/ping", "").Body).Decode(&head); err != nil || head != at {
		t.Errorf("the ping is answered %v, %v; want %v", head, err, at)
	}
	store.off.Store(true)
	res = ask(http.MethodPost, "/v1/ping", "")
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), "another node") {
		t.Errorf("without its journal the ping is answered %s, %s", res.Status, body)
	}
}

func TestSlowReaderOverHTTPIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memory(t)
		f := open(t, feed.Config{Log: log})
		commit(t, log, "session-a", "session.ended")
		w := &stuck{header: http.Header{}}
		ended := make(chan struct{})
		go func() {
			f.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/feed", nil))
			close(ended)
		}()
		<-ended
		if w.patience != 10*time.Second {
			t.Errorf("it was given %v", w.patience)
		}
	})
}

// stuck is a connection that nobody reads from: a write ends with its deadline.
type stuck struct {
	header   http.Header
	patience time.Duration
}

func (s *stuck) Header() http.Header { return s.header }
func (s *stuck) WriteHeader(int)     {}

func (s *stuck) SetWriteDeadline(t time.Time) error {
	s.patience = time.Until(t)
	return nil
}

func (s *stuck) Write([]byte) (int, error) {
	<-time.NewTimer(s.patience).C
	return 0, io.ErrShortWrite
}
