// SPDX-License-Identifier: Apache-2.0

// A feed of a journal in memory, followed in this process and over HTTP.

package feed_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/heartbeat"
	"example.com/vidimus/heartbeat/feed"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/passport"
)

// changes reads events of the type "session.changed" and "session.ended": the stream is the session.
func changes(e *journal.Event) []heartbeat.Change {
	c := heartbeat.Change{Scope: heartbeat.Session, Key: string(e.Stream), Effect: heartbeat.Superseded}
	switch e.Type {
	case "session.ended":
		c.Effect = heartbeat.Revoked
	case "session.changed":
	default:
		return nil
	}
	return []heartbeat.Change{c}
}

// memory returns a journal that is closed after all that runs on it.
func memory(t testing.TB) *journal.Log {
	log := mem.Open()
	t.Cleanup(func() { _ = log.Close() })
	return log
}

// commit appends one event and returns its position.
func commit(t testing.TB, log *journal.Log, s journal.Stream, kind string) int64 {
	t.Helper()
	res, err := log.Append(t.Context(), s, journal.Any, journal.EventData{Type: kind})
	if err != nil {
		t.Fatal(err)
	}
	return int64(res.Position)
}

// open runs a feed until the test ends.
func open(t testing.TB, cfg feed.Config) *feed.Feed {
	t.Helper()
	if cfg.Changes == nil {
		cfg.Changes = changes
	}
	f, err := feed.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	run(t, f.Run)
	return f
}

// run runs something until the test ends.
func run(t testing.TB, fn func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- fn(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

// follow runs a client until the test ends and returns it once its view is fresh.
func follow(t testing.TB, cfg heartbeat.Config) *heartbeat.Client {
	t.Helper()
	c, err := heartbeat.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	run(t, c.Run)
	synced(t, c)
	return c
}

// synced waits until the client knows all that happened before.
func synced(t testing.TB, c *heartbeat.Client) passport.Mark {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		m, err := c.Sync(ctx)
		if err == nil {
			return m
		}
		if ctx.Err() != nil {
			t.Fatalf("sync: %v, status %+v", err, c.Status())
		}
	}
}

// claims are of a session, minted at a position of the log that a client follows.
func claims(c *heartbeat.Client, sid string, position int64) *passport.Claims {
	at := c.View().Through()
	at.Position = position
	return &passport.Claims{Mark: at, Session: sid, Subject: "s", Txn: "t"}
}

func TestClientObeysWhatWasCommittedBeforeItsSync(t *testing.T) {
	for name, source := range map[string]func(*testing.T, *feed.Feed) heartbeat.Source{
		"in process": func(_ *testing.T, f *feed.Feed) heartbeat.Source { return f },
		"over HTTP": func(t *testing.T, f *feed.Feed) heartbeat.Source {
			server := httptest.NewServer(paths(f))
			t.Cleanup(server.CloseClientConnections)
			return &heartbeat.Remote{URL: server.URL, HTTP: server.Client()}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := memory(t)
			c := follow(t, heartbeat.Config{Sources: []heartbeat.Source{source(t, open(t, feed.Config{Log: log}))}})
			for _, step := range []struct {
				event string
				want  error
			}{
				{"session.started", nil},
				{"session.changed", passport.ErrSuperseded},
				{"session.ended", passport.ErrRevoked},
			} {
				minted := commit(t, log, "other-1", "other.happened")
				at := commit(t, log, "session-a", step.event)
				if m := synced(t, c); m.Position < at {
					t.Fatalf("synchronised up to %d, before %d", m.Position, at)
				}
				if err := c.View().Judge(claims(c, "session-a", minted)); !errors.Is(err, step.want) {
					t.Errorf("%s: a passport from before is judged %v, want %v", step.event, err, step.want)
				}
				if err := c.View().Judge(claims(c, "session-a", at)); err != nil {
					t.Errorf("%s: a passport from after is judged %v", step.event, err)
				}
			}
			if s := c.Status(); s.Gaps+s.Rejected+s.PingsFailed != 0 || !s.Connected || s.Staleness > time.Minute {
				t.Errorf("status %+v", s)
			}
		})
	}
}

func TestIdleFeedStaysFreshAndSilentOneDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memory(t)
		c := follow(t, heartbeat.Config{Sources: []heartbeat.Source{open(t, feed.Config{Log: log})}})
		for range 100 {
			time.Sleep(time.Second)
			if s := c.View().Staleness(); s > 520*time.Millisecond {
				t.Fatalf("an idle feed left the view %v stale", s)
			}
		}
	})
}
