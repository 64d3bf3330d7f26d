// SPDX-License-Identifier: Apache-2.0

// An id stands for one command: another one under it is refused, and never answered with what it did not do.

package entity_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"sync"
	"testing"

	"example.com/vidimus/entity"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/journaltest/stores"
	"example.com/vidimus/journal/mem"
)

// Take is a command that says the same as Hold, and is another one.
type Take struct{ Guest string }

func TestAnIDUnderAnotherCommandIsRefused(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	type object = map[string]any
	for name, of := range map[string]struct {
		cmd, other   any
		said, resaid any
		reused       bool
	}{
		"the same":                {cmd: Hold{"ada"}, other: Hold{"ada"}},
		"another guest":           {cmd: Hold{"ada"}, other: Hold{"bob"}, reused: true},
		"another kind":            {cmd: Hold{"ada"}, other: Free{"ada"}, reused: true},
		"a kind of the same form": {cmd: Hold{"ada"}, other: Take{"ada"}, reused: true},
		"said again":              {cmd: Hold{"ada"}, other: Hold{"bob"}, said: "x", resaid: "x"},
		"said otherwise":          {cmd: Hold{"ada"}, other: Hold{"ada"}, said: "x", resaid: "y", reused: true},
		"not said any more":       {cmd: Hold{"ada"}, other: Hold{"ada"}, said: "x", reused: true},
		"written otherwise": {
			cmd: Hold{"ada"}, other: Hold{"ada"},
			said:   json.RawMessage(`{"a": [1, {"c":2,"b":3}], "b":null}`),
			resaid: object{"b": nil, "a": []any{1, object{"b": 3, "c": 2}}},
		},
		"large numbers": {
			cmd: Hold{"ada"}, other: Hold{"ada"},
			said: json.RawMessage(`9007199254740993`), resaid: json.RawMessage(`9007199254740992`), reused: true,
		},
		"no JSON": {cmd: Hold{"ada"}, other: Hold{"ada"}, said: func() {}, resaid: "x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, e := mustCell(t, mem.Open()), seats(t)
			e.CarryAfterOnly(1)
			id := journal.NewID()
			first, err := e.Do(ctx, c, "A12", of.cmd, &entity.Options{ID: id, Said: of.said})
			if err != nil {
				t.Fatal(err)
			}
			again, err := e.Do(ctx, c, "A12", of.other, &entity.Options{ID: id, Said: of.resaid})
			first.Duplicate = true
			switch {
			case of.reused && (!errors.Is(err, journal.ErrIDReused) || !reflect.DeepEqual(again, entity.Result[Seat]{})):
				t.Errorf("%+v, %v, want ErrIDReused", again, err)
			case !of.reused && (err != nil || !reflect.DeepEqual(again, first)):
				t.Errorf("%+v, %v; first it was %+v", again, err, first)
			}
			if now, err := e.Load(ctx, c, "A12"); err != nil || now.State != first.State || now.Version != first.Version {
				t.Errorf("afterwards %+v, %v, want what was first: %+v", now, err, first)
			}
		})
	}
}

// TestOfTwoCommandsWithOneIDOneIsCarriedOut has them race, so that one notices the other at the commit.
func TestOfTwoCommandsWithOneIDOneIsCarriedOut(t *testing.T) {
	t.Parallel()
	for name, open := range stores.All() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, c, e := context.Background(), mustCell(t, open(t)), counters(t)
			o := &entity.Options{ID: journal.NewID()}
			var errs [8]error
			var done sync.WaitGroup
			for i := range errs {
				done.Go(func() { _, errs[i] = e.Do(ctx, c, "one", Add{1 + i%2}, o) })
			}
			done.Wait()
			now, err := e.Load(ctx, c, "one")
			if err != nil || now.State.N != 1 && now.State.N != 2 {
				t.Fatalf("they came to %+v, %v", now, err)
			}
			for i, err := range errs {
				if won := 1+i%2 == now.State.N; won != (err == nil) || !won && !errors.Is(err, journal.ErrIDReused) {
					t.Errorf("Add{%d}, when the counter came to %d: %v", 1+i%2, now.State.N, err)
				}
			}
		})
	}
}

// TestACommandOfAnEarlierReleaseIsRecognised takes from its event what that did not note.
func TestACommandOfAnEarlierReleaseIsRecognised(t *testing.T) {
	t.Parallel()
	ctx, now, before, e := context.Background(), mem.Open(), mem.Open(), seats(t)
	o := &entity.Options{ID: journal.NewID()}
	first, err := e.Do(ctx, mustCell(t, now), "A12", Hold{"ada"}, o)
	if err != nil {
		t.Fatal(err)
	}
	for ev, err := range now.ReadStream(ctx, e.Stream("A12"), nil) {
		if err != nil || len(ev.Meta) == 0 || entity.MaySay(&ev.EventData, "x") {
			t.Fatalf("%s holds %s, %v", ev.Type, ev.Meta, err)
		}
		for _, meta := range []string{"", "no JSON", `{"said":7}`, `{"actor":"ada"}`} {
			ev.Meta = []byte(meta)
			if !entity.MaySay(&ev.EventData, "x") {
				t.Errorf("with %q nobody knows what was said", meta)
			}
		}
		ev.Meta = nil
		if _, err := before.Append(ctx, ev.Stream, journal.Any, ev.EventData); err != nil {
			t.Fatal(err)
		}
	}
	again, err := e.Do(ctx, mustCell(t, before), "A12", Hold{"bob"}, o)
	if err != nil || !again.Duplicate || again.State != first.State {
		t.Errorf("repeated: %+v, %v", again, err)
	}
}
