// SPDX-License-Identifier: Apache-2.0

// Batches on the wire, saved silence, and heartbeats of tabs: what is read back, and what is refused.

package presence_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/vidimus/heartbeat"
	"example.com/vidimus/heartbeat/presence"
)

func TestBatchIsReadBack(t *testing.T) {
	t.Parallel()
	beats := []presence.Beat{
		{ID: numbered(1)},
		{ID: numbered(2), Age: 1999 * time.Millisecond},
		{ID: numbered(3), Age: -time.Second},
		{ID: numbered(4), Age: 2 * presence.MaxIdle},
	}
	data, err := presence.AppendBatch([]byte("before"), beats)
	if err != nil {
		t.Fatal(err)
	}
	got, err := presence.ParseBatch(beats[:1:1], data[len("before"):])
	want := []presence.Beat{
		{ID: numbered(1)},
		{ID: numbered(1)},
		{ID: numbered(2), Age: 1900 * time.Millisecond},
		{ID: numbered(3)},
		{ID: numbered(4), Age: presence.MaxIdle},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

func TestLargestBatchFits(t *testing.T) {
	t.Parallel()
	beats := make([]presence.Beat, presence.MaxBatch+1)
	for i := range beats {
		beats[i].Age = presence.MaxIdle
	}
	data, err := presence.AppendBatch(nil, beats[1:])
	if err != nil || len(data) > presence.MaxBatchBytes {
		t.Errorf("the largest batch takes %d bytes, %v; want at most %d", len(data), err, presence.MaxBatchBytes)
	}
	if _, err = presence.AppendBatch(nil, beats); !isInvalid(err, "batch", "10001 beats") {
		t.Errorf("one more was answered %v", err)
	}
}

func isInvalid(err error, field, problem string) bool {
	invalid, ok := errors.AsType[*presence.InvalidError](err)
	return ok && invalid.Field == field && errors.Is(err, heartbeat.ErrInvalid) &&
		strings.HasPrefix(err.Error(), "invalid "+field+": ") && strings.Contains(err.Error(), problem)
}

func TestDamagedBatchIsRefused(t *testing.T) {
	t.Parallel()
	beat := "\x00\x00\x00\x01\x01" + strings.Repeat("\x00", 11)
	for name, test := range map[string]struct{ data, problem string }{
		"nothing":             {"", "is empty"},
		"another version":     {"\x02\x00", "version 2"},
		"no number":           {"\x01", "how many"},
		"long number":         {"\x01\x80\x00", "how many"},
		"too many":            {"\x01\x91\x4e", "10001 beats"},
		"fewer than it says":  {"\x01\x02" + beat + "\x00", "too short"},
		"cut within an id":    {"\x01\x01" + beat[:9], "too short"},
		"cut within an age":   {"\x01\x01" + beat + "\x80", "no age"},
		"age in a long form":  {"\x01\x01" + beat + "\x80\x00", "no age"},
		"age of two years":    {"\x01\x01" + beat + "\xff\xff\xff\xff\x01", "no age"},
		"more than it says":   {"\x01\x01" + beat + "\x00" + "more", "4 bytes after"},
		"cut by a longer age": {"\x01\x02" + beat + "\xff\x01" + beat, "ends within beat 2"},
	} {
		got, err := presence.ParseBatch(nil, []byte(test.data))
		if !isInvalid(err, "batch", test.problem) || got != nil {
			t.Errorf("%s: got %v, %v, want an error with %q", name, got, err, test.problem)
		}
	}
}

func FuzzBatch(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		beats, err := presence.ParseBatch(nil, data)
		if err != nil {
			return
		}
		again, err := presence.AppendBatch(nil, beats)
		if err != nil || !bytes.Equal(again, data) {
			t.Errorf("%x was read as %v and written as %x, %v", data, beats, again, err)
		}
	})
}

func FuzzHeartbeat(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := presence.ParseHeartbeat(data)
		if err == nil && (h.Version < 0 || h.SubjectVersion < 0 || len(h.Tab) > 64 || len(data) > presence.MaxHeartbeat) {
			t.Errorf("%q was read as %+v", data, h)
		}
	})
}

func FuzzID(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		if id, err := presence.ParseID(text); err == nil && id.String() != text {
			t.Errorf("%q is a second spelling of %v", text, id)
		}
	})
}

func FuzzSavedSilence(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := presence.Open(presence.Config{Expire: func(context.Context, []presence.Expired) error { return nil }})
		if err != nil {
			t.Fatal(err)
		}
		track(t, o, time.Minute, numbered(1))
		n, err := o.ReadFrom(bytes.NewReader(data))
		if n > int64(len(data)) || err == nil && n < 4 {
			t.Errorf("%d bytes of %x were read, %v", n, data, err)
		}
	})
}

func TestSilenceIsSavedOfQuietSessionsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMorgue()
		o := run(t, presence.Config{Expire: m.expire}, nil)
		for i := range 100 {
			track(t, o, time.Hour, numbered(i))
		}
		time.Sleep(50 * time.Minute)
		beat(t, o, numbered(7))
		time.Sleep(20 * time.Second)
		var saved bytes.Buffer
		if n, err := o.WriteTo(&saved); err != nil || n != int64(saved.Len()) {
			t.Fatalf("wrote %d of %d bytes, %v", n, saved.Len(), err)
		}
		next := newMorgue()
		o = run(t, presence.Config{Expire: next.expire, HoldMin: 1000}, func(o *presence.Owner) {
			for i := range 100 {
				track(t, o, time.Hour, numbered(i))
			}
			if n, err := o.ReadFrom(bytes.NewReader(saved.Bytes())); err != nil || n != int64(saved.Len()) {
				t.Fatalf("read %d of %d bytes, %v", n, saved.Len(), err)
			}
		})
		time.Sleep(10 * time.Minute)
		if got := o.Stats(); got.Tracked != 1 || next.at(numbered(7)) != 0 || next.at(numbered(8)) < 9*time.Minute {
			t.Errorf("got %+v and an end at %v, want all but one expired, ten minutes later", got, next.at(numbered(8)))
		}
	})
}

func TestDamagedSilenceIsRefused(t *testing.T) {
	t.Parallel()
	for name, data := range map[string]string{
		"nothing":        "",
		"cut in a size":  "\x00\x00",
		"cut in a batch": "\x00\x00\x00\x09\x01",
		"no end":         "\x00\x00\x00\x02\x01\x00",
		"too large":      "\xff\x00\x00\x00",
		"not a batch":    "\x00\x00\x00\x01\x07",
	} {
		o, err := presence.Open(presence.Config{Expire: newMorgue().expire})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := o.ReadFrom(strings.NewReader(data)); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s: got %v, want an error that is not the usual end", name, err)
		}
	}
}

func TestFailedSaveStopsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		saves := 0
		m := newMorgue()
		o := run(t, presence.Config{Expire: m.expire, Save: func(context.Context, io.WriterTo) error {
			saves++
			return errors.New("disk full")
		}}, nil)
		track(t, o, time.Minute, numbered(1))
		time.Sleep(65 * time.Second)
		synctest.Wait()
		if o.Stats().Expired != 1 || saves != 6 {
			t.Errorf("got %+v after %d saves, want one expired and 6 saves", o.Stats(), saves)
		}
	})
}

func TestIDHasOneSpelling(t *testing.T) {
	t.Parallel()
	id := crowd(1)[0]
	if got, err := presence.ParseID(id.String()); err != nil || got != id {
		t.Errorf("got %v, %v, want %v", got, err, id)
	}
	for _, text := range []string{
		"", "short", "AAAAAAAAAAAAAAAAAAAAAB", "AAAAAAAAAAAAAAAAAAAA==", "AAAAAAAAAAAAAAAAAAAA+/", "AAAAAAAAAAAAAAAAAAAAA\n",
	} {
		if got, err := presence.ParseID(text); !isInvalid(err, "id", "") || got != (presence.ID{}) {
			t.Errorf("%q was read as %v, %v", text, got, err)
		}
	}
}

func TestTabIsToldWhenItIsStale(t *testing.T) {
	t.Parallel()
	now := presence.Answer{Version: 412, SubjectVersion: 7, Position: "c3.7:184470"}
	for name, test := range map[string]struct {
		seen  string
		stale bool
	}{
		"it shows what is":             {`{"seen_ver":412,"seen_sver":7,"tab":"k3"}`, false},
		"it shows an older session":    {`{"seen_ver":411,"seen_sver":7}`, true},
		"it shows an older subject":    {`{"seen_ver":412,"seen_sver":6}`, true},
		"it shows nothing yet":         {`{}`, true},
		"it has seen more than we did": {`{"seen_ver":413,"seen_sver":8}`, false},
	} {
		h, err := presence.ParseHeartbeat([]byte(test.seen))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		got := h.Answer(now, 0, 0.5)
		want := now
		want.Stale, want.Next = test.stale, 30_000
		if got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
}

func TestTabsSpreadOut(t *testing.T) {
	t.Parallel()
	for draw, want := range map[float64]int64{-1: 8000, 0: 8000, 0.25: 9000, 1: 12000, 7: 12000} {
		if got := (presence.Heartbeat{}).Answer(presence.Answer{}, 10*time.Second, draw).Next; got != want {
			t.Errorf("draw %v: next in %d ms, want %d", draw, got, want)
		}
	}
}

func TestBadHeartbeatIsRefused(t *testing.T) {
	t.Parallel()
	for data, field := range map[string]string{
		``:                                "heartbeat",
		`[]`:                              "heartbeat",
		`{"seen_ver":"4"}`:                "heartbeat",
		`{"seen_ver":4,"sid":"x"}`:        "heartbeat",
		`{"seen_ver":4} {}`:               "heartbeat",
		`{"seen_ver":-4}`:                 "seen_ver",
		`{"seen_sver":-4}`:                "seen_sver",
		`{"seen_ver":1e400}`:              "heartbeat",
		strings.Repeat(" ", 256) + `{}`:   "heartbeat",
		`{"tab":"` + text(65, 'x') + `"}`: "tab",
	} {
		if _, err := presence.ParseHeartbeat([]byte(data)); !isInvalid(err, field, "") {
			t.Errorf("%s was answered %v, want an error of %s", data, err, field)
		}
	}
}

func text(n int, c byte) string { return string(bytes.Repeat([]byte{c}, n)) }
