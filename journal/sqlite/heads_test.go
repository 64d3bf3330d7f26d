// SPDX-License-Identifier: Apache-2.0

// Ends of streams, beside sweeps and foreign commits.

package sqlite

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	_ "github.com/ncruces/go-sqlite3/driver"

	"example.com/vidimus/journal"
)

// joined appends in a transaction of the application's.
func joined(t *testing.T, log *journal.Log, db *sql.DB, name journal.Stream) (journal.Result, error) {
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		return journal.Result{}, err
	}
	res, err := Tx(log, tx).Append(t.Context(), name, journal.Any, event("tx", "joined"))
	if err != nil {
		_ = tx.Rollback()
		return res, err
	}
	return res, tx.Commit()
}

func openApplication(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite3", DSN(path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestEndsThatForeignCommitsBringAreSavedToo(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	log := start(t, path, tuning{sweepEvery: 10})
	db := openApplication(t, path)
	const streams = 100
	for i := range streams {
		if _, err := joined(t, log, db, journal.Stream(fmt.Sprintf("order-%d", i))); err != nil {
			t.Fatal(err)
		}
	}
	// A waiting reader finds the commits, then saves ends, although the log itself commits nothing.
	if err := log.Store().Wait(t.Context(), streams-1); err != nil {
		t.Fatal(err)
	}
	s := log.Store().(*store)
	s.state.Lock()
	left := len(s.state.heads.unsaved)
	s.state.Unlock()
	if left == streams {
		t.Errorf("all %d ends are only in memory", left)
	}
	st, err := log.Stat(t.Context())
	if err != nil || st.Streams != streams || st.Events != streams {
		t.Errorf("stat: %+v, %v, want %d streams", st, err, streams)
	}
	mustVerify(t, log)
}

func TestReadersSeeTheirWritesThroughEverySweep(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "j.db")
	log := start(t, path, tuning{sweepEvery: 7, checkpointPages: 20})
	db := openApplication(t, path)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 100 {
				name := journal.Stream(fmt.Sprintf("order-%d", (i*5+w)%13))
				var res journal.Result
				var err error
				if (i+w)%4 == 0 {
					res, err = joined(t, log, db, name)
				} else {
					res, err = log.Append(t.Context(), name, journal.Any, event("log"))
				}
				if err != nil {
					t.Error(err)
					return
				}
				last := journal.Version(0)
				for e, err := range log.ReadStream(t.Context(), name, &journal.StreamOptions{Backwards: true, Limit: 1}) {
					if err != nil {
						t.Error(err)
						return
					}
					last = e.Version
				}
				if last < res.Versions[0] {
					t.Errorf("%s: wrote version %d, then read %d", name, res.Versions[0], last)
				}
			}
		})
	}
	wg.Wait()
	mustVerify(t, log)
	_ = log.Close()
	mustVerify(t, start(t, path, tuning{}))
}
