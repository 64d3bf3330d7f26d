// SPDX-License-Identifier: Apache-2.0

// What anybody can have written into the log of an edge that other proxies ask.

package main

import (
	"bytes"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

func TestNoiseIsToldNowAndThen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told bytes.Buffer
		l := slog.NewLogLogger(noise{slog.NewTextHandler(&told, nil), &seldom{}}, slog.LevelWarn)
		for want := 1; want < 3; want++ {
			for range 100 {
				l.Print("a bad handshake")
			}
			if got := bytes.Count(told.Bytes(), []byte(`level=WARN msg="a bad handshake"`)); got != want {
				t.Errorf("there are %d lines, want %d", got, want)
			}
			time.Sleep(seldomEvery)
		}
	})
}
