// SPDX-License-Identifier: Apache-2.0

// Doing commands: races, retries, repetitions, conflicts.

package entity_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"

	"example.com/vidimus/entity"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/journaltest/stores"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/journal/schema"
)

func TestNoUpdateIsLostByManyWriters(t *testing.T) {
	t.Parallel()
	for name, open := range stores.All() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const writers, each = 16, 8
			ctx, c, e := context.Background(), mustCell(t, open(t)), counters(t)
			var done sync.WaitGroup
			for range writers {
				done.Go(func() {
					for range each {
						if _, err := e.Do(ctx, c, "one", Add{1}, &entity.Options{Tries: 1000}); err != nil {
							t.Error(err)
						}
					}
				})
			}
			done.Wait()
			got, err := e.Load(ctx, c, "one")
			if err != nil || got.State.N != writers*each || got.Version != writers*each {
				t.Errorf("after %d adds: %+v, %v", writers*each, got, err)
			}
		})
	}
}

func TestOfManyWhoHoldASeatOneGetsIt(t *testing.T) {
	t.Parallel()
	for name, open := range stores.All() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const guests = 16
			ctx, c, e := context.Background(), mustCell(t, open(t)), seats(t)
			errs := make([]error, guests)
			var done sync.WaitGroup
			for i := range guests {
				done.Go(func() { _, errs[i] = e.Do(ctx, c, "A12", Hold{fmt.Sprint("guest ", i)}, nil) })
			}
			done.Wait()
			held := 0
			for _, err := range errs {
				switch {
				case err == nil:
					held++
				case !errors.Is(err, errTaken):
					t.Errorf("a guest was told %v, want errTaken as the domain gave it", err)
				}
			}
			if held != 1 {
				t.Errorf("%d guests hold the seat", held)
			}
		})
	}
}

func TestARepeatedCommandHasItsFirstResult(t *testing.T) {
	t.Parallel()
	ctx, c, e := context.Background(), mustCell(t, mem.Open()), counters(t)
	o := &entity.Options{ID: journal.NewID()}
	first, err := e.Do(ctx, c, "one", Add{3}, o)
	if err != nil || first.State.N != 3 || first.Version != 3 || first.Duplicate {
		t.Fatalf("first: %+v, %v", first, err)
	}
	if _, err := e.Do(ctx, c, "one", Add{2}, nil); err != nil {
		t.Fatal(err)
	}
	// The command would lead to something else by now, and its version has passed.
	o.Expect = new(journal.Exactly(77))
	again, err := e.Do(ctx, c, "one", Add{3}, o)
	first.Duplicate = true
	if err != nil || !reflect.DeepEqual(again, first) {
		t.Errorf("again: %+v, %v; first it was %+v", again, err, first)
	}
	if got, err := e.Load(ctx, c, "one"); err != nil || got.State.N != 5 {
		t.Errorf("afterwards: %+v, %v", got, err)
	}
	// The same id means another command to another entity.
	if other, err := e.Do(ctx, c, "two", Add{1}, &entity.Options{ID: o.ID}); err != nil || other.Duplicate {
		t.Errorf("of another entity: %+v, %v", other, err)
	}
}

func TestOneCommandSentManyTimesAtOnceHappensOnce(t *testing.T) {
	t.Parallel()
	for name, open := range stores.All() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, c, e := context.Background(), mustCell(t, open(t)), counters(t)
			o := &entity.Options{ID: journal.NewID()}
			var done sync.WaitGroup
			for range 8 {
				done.Go(func() {
					if got, err := e.Do(ctx, c, "one", Add{2}, o); err != nil || got.State.N != 2 {
						t.Errorf("Do: %+v, %v", got, err)
					}
				})
			}
			done.Wait()
			if got, err := e.Load(ctx, c, "one"); err != nil || got.Version != 2 {
				t.Errorf("afterwards: %+v, %v", got, err)
			}
		})
	}
}

func TestALostAnswerIsAskedForAgain(t *testing.T) {
	t.Parallel()
	ctx, inner := context.Background(), mem.Open()
	uncertain := fmt.Errorf("connection reset: %w", journal.ErrUncertain)
	store := &crooked{Store: inner.Store()}
	c, e := mustCell(t, journal.New(store)), counters(t)
	lose := func(times int) func(int) error {
		from := store.commits
		return func(n int) error {
			if n-from <= times {
				return uncertain
			}
			return nil
		}
	}
	for name, set := range map[string]func(){
		"written, answer lost":       func() { store.before, store.after = nil, lose(2) },
		"not written, answer lost":   func() { store.before, store.after = lose(2), nil },
		"written, but never told so": func() { store.before, store.after = nil, lose(1000) },
	} {
		before, err := e.Load(ctx, c, "one")
		if err != nil {
			t.Fatal(err)
		}
		set()
		o := &entity.Options{ID: journal.NewID()}
		res, err := e.Do(ctx, c, "one", Add{2}, o)
		if name == "written, but never told so" {
			if !errors.Is(err, journal.ErrUncertain) {
				t.Errorf("%s: %+v, %v, want ErrUncertain", name, res, err)
			}
			store.after = nil
			if res, err = e.Do(ctx, c, "one", Add{2}, o); !res.Duplicate {
				t.Errorf("%s: repeated: %+v, want a duplicate", name, res)
			}
		}
		if err != nil || res.State.N != before.State.N+2 {
			t.Errorf("%s: %+v, %v; before %+v", name, res, err, before)
		}
		store.before, store.after = nil, nil
		if got, err := e.Load(ctx, c, "one"); err != nil || got.State.N != before.State.N+2 {
			t.Errorf("%s: afterwards %+v, %v; before %+v", name, got, err, before)
		}
	}
}

func TestAStaleVersionIsAConflictOfTheCaller(t *testing.T) {
	t.Parallel()
	ctx, c, e := context.Background(), mustCell(t, mem.Open()), counters(t)
	if _, err := e.Do(ctx, c, "one", Add{3}, nil); err != nil {
		t.Fatal(err)
	}
	_, err := e.Do(ctx, c, "one", Add{1}, &entity.Options{Expect: new(journal.Exactly(2))})
	var conflict *journal.ConflictError
	if !errors.As(err, &conflict) || conflict.Actual != 3 || errors.Is(err, entity.ErrContended) {
		t.Errorf("at version 2: %v, want a conflict that says 3", err)
	}
	o := &entity.Options{Expect: new(journal.Exactly(3))}
	if got, err := e.Do(ctx, c, "one", Add{1}, o); err != nil || got.Version != 4 {
		t.Errorf("at version 3: %+v, %v", got, err)
	}
	for id, exists := range map[string]bool{"one": true, "new": false} {
		_, err := e.Do(ctx, c, id, Add{1}, &entity.Options{Expect: new(journal.None)})
		if errors.Is(err, journal.ErrConflict) != exists {
			t.Errorf("%s, which must not exist: %v", id, err)
		}
	}
}

func TestTriesAreBounded(t *testing.T) {
	t.Parallel()
	ctx, c, e := context.Background(), mustCell(t, mem.Open()), counters(t)
	tried := 0
	_, err := e.DoAlso(ctx, c, "one", Add{1}, &entity.Options{Tries: 5},
		func(ctx context.Context, _, _ Counter, _ []any) (journal.Unit, error) {
			tried++ // and somebody is faster each time
			_, err := e.Do(ctx, c, "one", Add{1}, nil)
			return journal.Unit{}, err
		})
	if !errors.Is(err, entity.ErrContended) || tried != 5 {
		t.Errorf("tried %d times: %v, want 5 and ErrContended", tried, err)
	}
	many := &entity.Options{Tries: entity.MaxTries + 1}
	if _, err := e.Do(ctx, c, "one", Add{1}, many); !errors.Is(err, journal.ErrInvalid) {
		t.Errorf("too many tries: %v, want ErrInvalid", err)
	}
}

func TestAlsoIsCommittedInTheSameUnit(t *testing.T) {
	t.Parallel()
	ctx, log := context.Background(), mem.Open()
	c, e := mustCell(t, log), seats(t)
	put := func(expect journal.Expect) entity.Also[Seat] {
		return func(_ context.Context, before, after Seat, events []any) (journal.Unit, error) {
			if before.Guest != "" || after.Guest != "ada" || len(events) != 1 {
				t.Errorf("also was given %+v, %+v, %v", before, after, events)
			}
			w := journal.RecordWrite{Kind: "guest", Key: after.Guest, Expect: expect, Value: []byte("A12")}
			return journal.Unit{Records: []journal.RecordWrite{w}}, nil
		}
	}
	_, err := e.DoAlso(ctx, c, "A12", Hold{"ada"}, &entity.Options{Tries: 3}, put(journal.Exists))
	if !errors.Is(err, entity.ErrContended) {
		t.Errorf("with a record that is not there: %v, want ErrContended", err)
	}
	res, err := e.DoAlso(ctx, c, "A12", Hold{"ada"}, nil, put(journal.None))
	if err != nil || res.Version != 1 || res.Position != 1 {
		t.Errorf("Do = %+v, %v", res, err)
	}
	if r, err := log.Record(ctx, "guest", "ada"); err != nil || string(r.Value) != "A12" {
		t.Errorf("the record is %+v, %v", r, err)
	}
	_, err = e.Do(ctx, c, "A12", Free{"ada"}, &entity.Options{Fences: []journal.Fence{{Lease: "shard/00", Epoch: 3}}})
	if !errors.Is(err, journal.ErrFenced) {
		t.Errorf("under a lost lease: %v, want ErrFenced", err)
	}
}

func TestACommandWithoutEventsWritesNothing(t *testing.T) {
	t.Parallel()
	ctx, c, e := context.Background(), mustCell(t, mem.Open()), seats(t)
	if res, err := e.Do(ctx, c, "A12", Free{"ada"}, nil); err != nil || res.Version != 0 || res.Events != nil {
		t.Errorf("Do = %+v, %v", res, err)
	}
}

func TestAHistoryThatCannotBeReadIsNamed(t *testing.T) {
	t.Parallel()
	ctx, log := context.Background(), mem.Open()
	c, e := mustCell(t, log), seats(t)
	for stream, ev := range map[journal.Stream]journal.EventData{
		"seat-unknown": {Type: "seat.painted", Data: []byte(`{}`)},
		"seat-garbage": {Type: "seat.held", Data: []byte(`{`)},
		"seat-newer":   {Type: "seat.held", Schema: 2, Data: []byte(`{}`)},
	} {
		if _, err := log.Append(ctx, stream, journal.None, ev); err != nil {
			t.Fatal(err)
		}
		_, err := e.Do(ctx, c, string(stream[len("seat-"):]), Hold{"ada"}, nil)
		if !errors.Is(err, entity.ErrHistory) || !contains(err.Error(), string(stream), ev.Type) {
			t.Errorf("%s: %v, want ErrHistory with the stream and the type", stream, err)
		}
	}
}

func TestALongHistoryIsRefused(t *testing.T) {
	t.Parallel()
	ctx, c, e := context.Background(), mustCell(t, mem.Open()), counters(t)
	for range entity.MaxHistory / entity.MaxEvents {
		if _, err := e.Do(ctx, c, "one", Add{entity.MaxEvents}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.Do(ctx, c, "one", Add{1}, nil); !errors.Is(err, entity.ErrTooLong) {
		t.Errorf("at the limit: %v, want ErrTooLong", err)
	}
	if _, err := e.Do(ctx, c, "two", Add{entity.MaxEvents + 1}, nil); !errors.Is(err, entity.ErrTooLong) {
		t.Errorf("too many at once: %v, want ErrTooLong", err)
	}
	if _, err := e.Load(ctx, c, "one"); err != nil {
		t.Errorf("at the limit it cannot even be read: %v", err)
	}
}

func TestDefineNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	held := schema.Declaration{Event: Held{}}
	for name, define := range map[string]func() (*entity.Entity[Seat], error){
		"category": func() (*entity.Entity[Seat], error) { return entity.Define[Seat]("a-b", held) },
		"events":   func() (*entity.Entity[Seat], error) { return entity.Define[Seat]("seat") },
		"seat.held": func() (*entity.Entity[Seat], error) {
			return entity.Define[Seat]("seat", held, held)
		},
		"seat.carried": func() (*entity.Entity[Seat], error) { return entity.Define[Seat]("seat", held) },
	} {
		if _, err := define(); err == nil || !contains(err.Error(), name) {
			t.Errorf("%s: Define says %v", name, err)
		}
	}
	ctx, c := context.Background(), mustCell(t, mem.Open())
	e, err := entity.Define[Seat]("seat", schema.Declaration{Event: Freed{}}, schema.Declaration{Event: Carried{}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Do(ctx, c, "A12", Hold{"ada"}, nil); !errors.Is(err, schema.ErrUndeclared) {
		t.Errorf("an event that was not declared: %v, want ErrUndeclared", err)
	}
	if _, err := e.Do(ctx, c, "", Hold{"ada"}, nil); err == nil {
		t.Error("an entity without an id was written")
	}
}
