// SPDX-License-Identifier: Apache-2.0

// The stored form, and what is refused.

package timer_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/timer"
)

// What is stored is read by later releases: neither the lanes nor the values must change.
func TestTheStoredFormStays(t *testing.T) {
	t.Parallel()
	due := time.Date(2030, time.May, 6, 7, 8, 9, 123456000, time.FixedZone("", 3600))
	set := timer.Set("flow/order-7#reminder", due, []byte("\x00raw\n"))
	if want := "{\"due\":\"2030-05-06T06:08:09.123456Z\"}\n\x00raw\n"; string(set.Value) != want {
		t.Errorf("stored as %q, want %q", set.Value, want)
	}
	if c := timer.Cancel("x"); string(c.Value) != "{\"cancelled\":true}\n" || !c.Due.Equal(time.Unix(0, 0)) {
		t.Errorf("cancelled as %q, due %v", c.Value, c.Due)
	}
	for key, want := range map[string]string{
		"flow/order-7#reminder": "3b/flow/order-7#reminder",
		"cron/order-7":          "3b/cron/order-7",
		"order-7":               "3b/order-7",
		"a":                     "8c/a",
		"ä/ö":                   "ec/ä/ö",
	} {
		if got := timer.Set(key, due, nil).Key; got != want {
			t.Errorf("%s is kept under %s, want %s", key, got, want)
		}
	}
}

func TestTheRouteIsWhatTheTimerIsAbout(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{
		"flow/order-7#a": "order-7", "flow/order-7": "order-7", "order-7": "order-7", "order-7#a": "order-7",
		"a/b/c": "b/c", "a/": "", "": "", "a#b/c": "c",
	} {
		if got := timer.Route(key); got != want {
			t.Errorf("the route of %q is %q, want %q", key, got, want)
		}
	}
}

func TestBadTimersAreRefusedWithTheirUnit(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	log := mem.Open()
	for name, w := range map[string]journal.RecordWrite{
		"an empty key":      timer.Set("", now, nil),
		"a cancelled empty": timer.Cancel(""),
		"a long key":        timer.Set(strings.Repeat("k", timer.MaxKey+1), now, nil),
		"a control sign":    timer.Set("a\nb", now, nil),
		"the far future":    timer.Set("a", now.AddDate(8000, 0, 0), nil),
		"a large payload":   timer.Set("a", now, make([]byte, journal.MaxData)),
	} {
		_, err := log.Commit(t.Context(), journal.Unit{Records: []journal.RecordWrite{w}})
		if !errors.Is(err, journal.ErrInvalid) {
			t.Errorf("%s: got %v, want invalid", name, err)
		}
	}
	longest := timer.Set(strings.Repeat("k", timer.MaxKey), now, nil)
	if _, err := log.Commit(t.Context(), journal.Unit{Records: []journal.RecordWrite{longest}}); err != nil {
		t.Errorf("the longest key: %v", err)
	}
	timers, err := timer.Open(log, timer.Config{})
	if err != nil {
		t.Fatal(err)
	}
	list, err := timers.List(t.Context(), time.Time{}, 0)
	if err != nil || len(list) != 1 || list[0].Key != longest.Key[3:] {
		t.Errorf("listed %+v, %v", list, err)
	}
}

func TestBadFieldsAreNamed(t *testing.T) {
	t.Parallel()
	for field, cfg := range map[string]timer.Config{
		"poll":        {Poll: time.Hour},
		"timeout":     {Timeout: -1},
		"retry min":   {RetryMin: -1},
		"retry max":   {RetryMin: time.Minute, RetryMax: time.Second},
		"concurrency": {Concurrency: timer.Lanes + 1},
	} {
		var invalid *journal.InvalidError
		if _, err := timer.Open(mem.Open(), cfg); !errors.As(err, &invalid) || invalid.Field != field {
			t.Errorf("got %v, want invalid %s", err, field)
		}
	}
}

// FuzzDamagedRecords feeds records that nobody wrote: they are refused, and stop nothing.
func FuzzDamagedRecords(f *testing.F) {
	f.Add("00/a", []byte("{}\n"))
	f.Add("0", []byte(`{"due":"2030-05-06T06:08:09Z"}`))
	f.Add("zz/", []byte("\n"))
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		log := mem.Open()
		w := journal.RecordWrite{Kind: timer.Kind, Key: key, Due: time.Unix(1, 0), Value: value}
		if _, err := log.Commit(t.Context(), journal.Unit{Records: []journal.RecordWrite{w}}); err != nil {
			return // the journal refuses it
		}
		timers, err := timer.Open(log, timer.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if list, err := timers.List(t.Context(), time.Time{}, 0); err == nil && len(list) > 1 {
			t.Errorf("one record gave %d timers", len(list))
		}
	})
}
