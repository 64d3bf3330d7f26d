// SPDX-License-Identifier: Apache-2.0

// Tests of what the file keeps besides events: the ends of streams, its format, its lock.

package sqlite

import (
	"fmt"
	"path/filepath"
	"testing"

	"example.com/vidimus/journal"
)

// start opens a journal that is closed with the test.
func start(t testing.TB, path string, with tuning) *journal.Log {
	t.Helper()
	s, err := open(t.Context(), Config{Path: path}, with)
	if err != nil {
		t.Fatal(err)
	}
	log := journal.New(s)
	t.Cleanup(func() { _ = log.Close() })
	return log
}

func event(data string, tags ...string) journal.EventData {
	return journal.EventData{ID: journal.NewID(), Type: "test.happened", Data: []byte(data), Tags: tags}
}

func mustVerify(t testing.TB, log *journal.Log) {
	t.Helper()
	breaches, err := log.Verify(t.Context(), nil)
	if err != nil || len(breaches) > 0 {
		t.Fatalf("verify: %v, %q", err, breaches)
	}
}

func TestEndsOfStreamsSurviveEverySweepAndReopening(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal.db")
	with := tuning{sweepEvery: 50}
	versions := map[journal.Stream]journal.Version{}
	for round := range 4 {
		log := start(t, path, with)
		for i := range 300 {
			name := journal.Stream(fmt.Sprintf("order-%d", (i*7+round)%41))
			if i%5 == 0 {
				name = "order-long"
			}
			res, err := log.Append(t.Context(), name, journal.Exactly(versions[name]), event("{}", "tag:a", "tag:b"))
			if err != nil {
				t.Fatal(err)
			}
			versions[name] = res.Versions[0]
		}
		mustVerify(t, log)
		for name, want := range versions {
			n := journal.Version(0)
			for e, err := range log.ReadStream(t.Context(), name, nil) {
				if err != nil {
					t.Fatal(err)
				}
				if n++; e.Version != n {
					t.Fatalf("%s: version %d at %d", name, e.Version, n)
				}
			}
			if n != want {
				t.Fatalf("%s: %d events, want %d", name, n, want)
			}
		}
		st, err := log.Stat(t.Context())
		if err != nil || st.Events != int64(300*(round+1)) || st.Streams != int64(len(versions)) {
			t.Fatalf("stat: %+v, %v, want %d streams", st, err, len(versions))
		}
		if round%2 == 0 {
			if err := log.Close(); err != nil {
				t.Fatal(err)
			}
			continue
		}
		abandon(log)
	}
}

// abandon releases a journal as a killed process does: nothing is saved on the way out.
func abandon(log *journal.Log) {
	s := log.Store().(*store)
	s.closing.Do(func() {
		close(s.closed)
		if !s.alone {
			closeAll(s.readers.drain())
		}
		closeAll(s.writer.drain())
		s.lock.release()
	})
}
