// SPDX-License-Identifier: Apache-2.0

// What an owner and a batcher log.

package presence_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/heartbeat/presence"
)

func TestSaveThatTakesTooLongIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		calls := 0
		run(t, presence.Config{
			Expire: newMorgue().expire, Logger: slog.New(slog.NewTextHandler(&said, nil)), SaveEvery: 10 * time.Second,
			Save: func(ctx context.Context, _ io.WriterTo) error {
				calls++
				if calls > 1 {
					return nil
				}
				<-ctx.Done()
				return ctx.Err()
			},
		}, nil)
		time.Sleep(25 * time.Second)
		synctest.Wait()
		if got := said.String(); !strings.Contains(got, "was not saved") || !strings.Contains(got, "deadline exceeded") {
			t.Errorf("a save timed out, and the log says %q", got)
		}
	})
}

func TestHoldIsLoggedUnlessSomebodyIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		held func(presence.Hold)
		want int
	}{
		"nobody is told":   {nil, 1},
		"somebody is told": {func(presence.Hold) {}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var said bytes.Buffer
				o := run(t, presence.Config{
					Expire: newMorgue().expire, Grace: 1, Held: c.held, Logger: slog.New(slog.NewTextHandler(&said, nil)),
				}, nil)
				for i := range 1000 {
					track(t, o, 90*time.Second, numbered(i))
				}
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				if got := strings.Count(said.String(), "level=ERROR"); got != c.want || !o.Stats().Held {
					t.Errorf("%d lines of errors, want %d: %s", got, c.want, said.String())
				}
			})
		})
	}
}

func TestBatcherTellsOfAnOutageOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		w := &wire{heard: map[presence.ID][]time.Time{}}
		b, stop := batching(t, presence.BatcherConfig{Send: w.send, Logger: slog.New(slog.NewTextHandler(&said, nil))})
		expect := func(when string, d time.Duration, want ...string) {
			t.Helper()
			for range d / time.Second {
				b.Beat(numbered(1))
				time.Sleep(time.Second)
			}
			synctest.Wait()
			lines := strings.SplitAfter(said.String(), "\n")
			said.Reset()
			if len(lines) != len(want)+1 {
				t.Fatalf("%s: got %q, want lines with %q", when, lines, want)
			}
			for i := range want {
				if !strings.Contains(lines[i], want[i]) {
					t.Errorf("%s: got %q, want a line with %q", when, lines[i], want[i])
				}
			}
		}
		const failed = "beats could not be sent and are kept"
		expect("at the beginning", 5*time.Second)
		w.set(errors.New("down"))
		expect("down", 55*time.Second, failed+`" sessions=1 attempts=1 error=down`)
		expect("down for longer", 35*time.Second, failed)
		w.set(nil)
		expect("up again", 40*time.Second, "beats are sent again")
		w.set(errors.New("down"))
		expect("down again", 5*time.Second, failed+`" sessions=1 attempts=1`)
		w.set(nil)
		stop()
	})
}
