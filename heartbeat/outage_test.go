// SPDX-License-Identifier: Apache-2.0

// What a client tells of an authority that is down, or does not want it.

package heartbeat

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestAnOutageIsToldOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(mark(0))
		var log bytes.Buffer
		c, err := Open(Config{Sources: []Source{a}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		must(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.Run(ctx) }()
		told := func() (lines []string) {
			synctest.Wait()
			for line := range strings.Lines(log.String()) {
				_, line, _ = strings.Cut(line, "msg=")
				lines = append(lines, strings.TrimSpace(line))
			}
			log.Reset()
			return lines
		}
		expect := func(when string, want ...string) {
			t.Helper()
			got := told()
			for i, begin := range want {
				if len(got) != len(want) || !strings.HasPrefix(got[i], begin) {
					t.Fatalf("%s: got %q, want lines that begin with %q", when, got, want)
				}
			}
			if len(want) == 0 && len(got) > 0 {
				t.Fatalf("%s: got %q, want nothing", when, got)
			}
		}
		const lost, refused = `"feed was lost" error=down next=0`, `"the authority refuses the feed" status=401`
		pass(c, time.Second)
		expect("at the beginning", `"feed is followed"`)
		a.set(func() { a.refuses = errors.New("down") })
		pass(c, 30*time.Second)
		expect("down", lost+" attempts=1")
		pass(c, 45*time.Second)
		expect("down for longer", lost)
		a.set(func() { a.refuses = &answerError{"GET /v1/feed", http.StatusUnauthorized, "no token"} })
		pass(c, 30*time.Second)
		expect("refusing", refused+` error="no token" remedy="give an API token that has the right feed`)
		a.set(func() { a.refuses = nil })
		pass(c, 10*time.Second)
		expect("up again", `"feed is followed"`)
		a.set(func() { a.refuses = errors.New("down") })
		pass(c, time.Second)
		expect("down again", lost+" attempts=1")
		cancel()
		must(t, <-ended)
	})
}

func TestFeedsThatAreLostAgainAtOnceAreToldOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := newAuthority(mark(0)), newAuthority(mark(0))
		var log bytes.Buffer
		c, err := Open(Config{Sources: []Source{first, second}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		must(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.Run(ctx) }()
		expect := func(when string, d time.Duration, lost, followed int) {
			t.Helper()
			pass(c, d)
			text := log.String()
			log.Reset()
			l, f := strings.Count(text, "feed was lost"), strings.Count(text, "feed is followed")
			if l != lost || f != followed {
				t.Errorf("%s: lost is told %d times and followed %d, want %d and %d", when, l, f, lost, followed)
			}
		}
		expect("at the beginning", 10*time.Second, 0, 1)
		for _, a := range []*authority{first, second} { // as when their database is away
			a.set(func() { a.deaf = errors.New("the journal does not answer") })
		}
		expect("deaf", 50*time.Second, 1, 1)
		expect("deaf for longer", time.Minute, 1, 1)
		for _, a := range []*authority{first, second} {
			a.set(func() { a.deaf = nil })
		}
		expect("well", 20*time.Second, 0, 0)
		first.set(func() { first.deaf = errors.New("down") })
		second.set(func() { second.refuses = errors.New("down") })
		expect("away again", 5*time.Second, 1, 1)
		cancel()
		must(t, <-ended)
	})
}

func TestARefusalIsSaidInTheAuthoritysWords(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"code":"unauthenticated","message":"no token; send one"}`: "answered 401 Unauthorized: no token; send one",
		`{"title":"Unauthorized","detail":"sign in"}`:               "answered 401 Unauthorized: sign in",
		`{}`:                    `answered 401 Unauthorized: "{}\n"`,
		"<h1>Who are you?</h1>": `answered 401 Unauthorized: "<h1>Who are you?</h1>\n"`,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, body, http.StatusUnauthorized)
		}))
		_, err := (&Remote{URL: server.URL}).Ping(t.Context())
		server.Close()
		if err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", body, err, want)
		}
	}
}
