// SPDX-License-Identifier: Apache-2.0

// Closing the books: histories without an end, at a cost that does not grow.

package entity_test

import (
	"context"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"example.com/vidimus/entity"
	"example.com/vidimus/entity/entitytest"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/journaltest/stores"
	"example.com/vidimus/journal/mem"
)

func TestASeatIsCarried(t *testing.T) {
	t.Parallel()
	entitytest.Carried(t, Seat{}, Seat{"ada", 7})
}

func TestCarriedStatesAreSeenInNoAnswer(t *testing.T) {
	t.Parallel()
	for name, open := range stores.All() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, chance := mustCell(t, open(t)), rand.New(rand.NewPCG(7, 7))
			for _, carryAfter := range []int{0, 1, 2, 5} {
				steps := make([]byte, 60)
				for i := range steps {
					steps[i] = byte(chance.Uint32())
				}
				e := seatsOf(t, name+string('a'+rune(carryAfter)))
				e.CarryAfterOnly(carryAfter)
				walk(t, c, e, carryAfter, steps)
			}
		})
	}
}

// long is a seat with a long history, and a store that counts what is read of it.
func long(t *testing.T, commands int) (*stores.Counting, *journal.Log, *entity.Entity[Seat]) {
	t.Helper()
	store := &stores.Counting{Store: mem.Open().Store()}
	log, e := journal.New(store), seats(t)
	c := mustCell(t, log)
	for range commands / 2 {
		for _, cmd := range []any{Hold{"ada"}, Free{"ada"}} {
			if _, err := e.Do(context.Background(), c, "A12", cmd, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	return store, log, e
}

func TestALongHistoryCostsNoMoreThanAShortOne(t *testing.T) {
	t.Parallel()
	const commands = 3000
	ctx := context.Background()
	store, log, e := long(t, commands)
	c := mustCell(t, log)
	for name, read := range map[string]struct {
		most int
		do   func() error
	}{
		"load": {4 * entity.CarryAfter, func() error {
			got, err := e.Load(ctx, c, "A12")
			if got.State.Holds != commands/2 || got.Version != commands+commands/entity.CarryAfter {
				t.Errorf("loaded %+v", got)
			}
			return err
		}},
		"do": {4 * entity.CarryAfter, func() error {
			_, err := e.Do(ctx, c, "A12", Free{"bob"}, nil)
			return err
		}},
		"do with an id": {2 * journal.Window, func() error {
			_, err := e.Do(ctx, c, "A12", Free{"bob"}, &entity.Options{ID: journal.NewID()})
			return err
		}},
		"extend from the start": {4 * entity.CarryAfter, func() error {
			got, err := e.Extend(ctx, c, "A12", entity.Snapshot[Seat]{State: Seat{"ada", 1}, Version: 1, Position: 1})
			if got.State.Holds != commands/2 {
				t.Errorf("extended to %+v", got)
			}
			return err
		}},
	} {
		store.Events = 0
		if err := read.do(); err != nil || store.Events > read.most {
			t.Errorf("%s read %d events, want %d at most; %v", name, store.Events, read.most, err)
		}
	}
}

// TestACommandIsRecognisedAsLongAsTheJournalDoes repeats a command behind so many later events, also when the books
// were closed in between, and often.
func TestACommandIsRecognisedAsLongAsTheJournalDoes(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, closed := range []int{0, 1, 50, journal.Window} {
		for _, later := range []int{0, 1, 400, journal.Window - 1, 2 * journal.Window} {
			log, e := mem.Open(), seats(t)
			c := mustCell(t, log)
			e.CarryAfterOnly(closed)
			do := func(cmd any, o *entity.Options) entity.Result[Seat] {
				res, err := e.Do(ctx, c, "A12", cmd, o)
				if err != nil {
					t.Fatal(err)
				}
				return res
			}
			for range 30 {
				do(Hold{"ada"}, nil)
				do(Free{"ada"}, nil)
			}
			o := &entity.Options{ID: journal.NewID()}
			first := do(Hold{"ada"}, o)
			var after []journal.EventData
			for i := range later {
				ev := journal.EventData{ID: journal.NewID(), Type: "seat.freed", Data: []byte(`{}`)}
				if closed > 0 && i%closed == 0 {
					ev.Type, ev.Data = "seat.carried", []byte(`{"guest":"bob","holds":99}`)
				}
				after = append(after, ev)
			}
			for part := range slices.Chunk(after, 500) {
				if _, err := log.Append(ctx, e.Stream("A12"), journal.Exists, part...); err != nil {
					t.Fatal(err)
				}
			}
			again, err := e.Do(ctx, c, "A12", Hold{"ada"}, o)
			first.Duplicate = true
			if later < journal.Window && (err != nil || !reflect.DeepEqual(again, first)) {
				t.Errorf("closed after %d, %d events later: %+v, %v; first it was %+v", closed, later, again, err, first)
			}
			if later > journal.Window && closed > 0 && closed < journal.Window && again.Duplicate {
				t.Errorf("closed after %d, %d events later it is still searched for: %+v", closed, later, again)
			}
		}
	}
}

// TestACommandOfManyEventsIsRecognisedAtTheEdgeOfTheWindow has a command's last event, which carries the state, as the
// last that the journal recognises it by.
func TestACommandOfManyEventsIsRecognisedAtTheEdgeOfTheWindow(t *testing.T) {
	t.Parallel()
	ctx, c := context.Background(), mustCell(t, mem.Open())
	e, err := entity.Define[Shelf]("shelf", declared(Put{}), declared(ShelfCarried{}))
	if err != nil {
		t.Fatal(err)
	}
	e.CarryAfterOnly(40)
	do := func(n int, o *entity.Options) entity.Result[Shelf] {
		res, err := e.Do(ctx, c, "one", n, o)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	do(35, nil)
	o := &entity.Options{ID: journal.NewID()}
	first := do(entity.MaxEvents, o)
	if first.Version != 35+entity.MaxEvents+1 || len(first.Events) != entity.MaxEvents {
		t.Fatalf("first: version %d with %d events", first.Version, len(first.Events))
	}
	e.CarryAfterOnly(0)
	for range journal.Window - 1 {
		do(1, nil)
	}
	again := do(entity.MaxEvents, o)
	first.Duplicate = true
	if !reflect.DeepEqual(again, first) {
		t.Errorf("again it is %+v at %d; first it was %+v at %d", again.State, again.Version, first.State, first.Version)
	}
}

// TestAHistoryFromBeforeThereWasCarrying is longer than any that could be read then.
func TestAHistoryFromBeforeThereWasCarrying(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	store := &stores.Counting{Store: mem.Open().Store()}
	log, e := journal.New(store), seats(t)
	const events = entity.MaxHistory + 1000
	for range events / 500 {
		var batch []journal.EventData
		for range 500 {
			batch = append(batch, journal.EventData{ID: journal.NewID(), Type: "seat.held", Data: []byte(`{"guest":"ada"}`)})
		}
		if _, err := log.Append(ctx, e.Stream("A12"), journal.Any, batch...); err != nil {
			t.Fatal(err)
		}
	}
	c := mustCell(t, log)
	if got, err := e.Load(ctx, c, "A12"); err != nil || got.State.Holds != events || got.Version != events {
		t.Errorf("loaded %+v, %v", got, err)
	}
	if _, err := e.Do(ctx, c, "A12", Free{"ada"}, nil); err != nil {
		t.Fatal(err)
	}
	store.Events = 0
	got, err := e.Load(ctx, c, "A12")
	if err != nil || got.State != (Seat{Holds: events}) || got.Version != events+2 || store.Events > 4*entity.CarryAfter {
		t.Errorf("loaded %+v by %d events, %v", got, store.Events, err)
	}
}
