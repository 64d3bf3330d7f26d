// SPDX-License-Identifier: Apache-2.0

// What anybody can have written into the log.

package edge

import (
	"bytes"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

func TestNobodyFloodsTheLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told bytes.Buffer
		e, err := Open(Config{
			Authority: noAuthority{}, Routes: []Route{{Path: "/"}}, Logger: slog.New(slog.NewTextHandler(&told, nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		lines := func() int { return bytes.Count(told.Bytes(), []byte(`level=WARN msg="a bad handshake"`)) }
		l := e.httpServer().ErrorLog
		for range 1000 {
			l.Print("a bad handshake")
		}
		if got := lines(); got != warningsAtOnce {
			t.Errorf("1000 failures make %d lines, want %d", got, warningsAtOnce)
		}
		time.Sleep(warningsEvery)
		l.Print("a bad handshake")
		if got := lines(); got != warningsAtOnce+1 {
			t.Errorf("after a while there are %d lines, want one more", got)
		}
	})
}
