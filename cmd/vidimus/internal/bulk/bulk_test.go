// SPDX-License-Identifier: Apache-2.0

// Tests that the plain rows are counted and leave nothing behind.

package bulk_test

import (
	"context"
	"errors"
	"iter"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/vidimus/cmd/vidimus/internal/bulk"
	"example.com/vidimus/cmd/vidimus/internal/eventlog"
	"example.com/vidimus/internal/pgtest"
)

const lines = `{"stream":"a-1","type":"x","time":"2026-01-31T12:00:00Z","data":{"n":1},"meta":{"m":1},"tags":["t:1"]}
{"stream":"a-1","type":"y","time":"2026-01-31T12:00:00Z"}
{"stream":"a-2","type":"x","time":"2026-01-31T12:00:00Z","data":{"n":1}}
`

func read(t *testing.T, text string) iter.Seq2[eventlog.Record, error] {
	t.Helper()
	r, err := eventlog.Open("-", eventlog.Options{Format: eventlog.NDJSON, Stdin: strings.NewReader(text)})
	if err != nil {
		t.Fatal(err)
	}
	return r.All()
}

func TestRowsAreCountedAndNothingStays(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	got, err := bulk.SQLite(t.Context(), folder, read(t, lines))
	if err != nil || got.Rows != 3 || got.Took <= 0 {
		t.Errorf("SQLite: got %+v, %v", got, err)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 0 {
		t.Errorf("SQLite leaves %v, %v", left, err)
	}
	url := pgtest.Open(t)
	for range 2 {
		if got, err = bulk.Postgres(t.Context(), url, read(t, lines)); err != nil || got.Rows != 3 {
			t.Errorf("PostgreSQL: got %+v, %v", got, err)
		}
	}
}

func TestAnInterruptedCopyLeavesNoSchema(t *testing.T) {
	t.Parallel()
	url := pgtest.Open(t)
	ctx, cancel := context.WithCancel(t.Context())
	endless := func(yield func(eventlog.Record, error) bool) {
		for n := 0; ; n++ {
			if n == 10_000 {
				cancel()
			}
			r := eventlog.Record{Stream: "a", Type: "x", ID: "00000000-0000-4000-8000-000000000000", Time: time.Unix(1, 0)}
			if !yield(r, nil) || n > 1_000_000 {
				return
			}
		}
	}
	if _, err := bulk.Postgres(ctx, url, endless); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the end of the context alone", err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	left := 0
	const q = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'vidimus%'"
	if err := conn.QueryRow(t.Context(), q).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d schemas are left, %v", left, err)
	}
}

func TestErrorsComeThrough(t *testing.T) {
	t.Parallel()
	if _, err := bulk.SQLite(t.Context(), t.TempDir(), read(t, lines+"{\n")); err == nil {
		t.Error("a malformed line: got no error")
	}
	if _, err := bulk.SQLite(t.Context(), "/nowhere/at/all", read(t, lines)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: got %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := bulk.SQLite(ended, t.TempDir(), read(t, lines)); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody waits: got %v", err)
	}
}
