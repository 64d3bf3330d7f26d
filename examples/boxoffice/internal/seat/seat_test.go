// SPDX-License-Identifier: Apache-2.0

// What seats and wallets decide.

package seat_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"example.com/vidimus/entity/entitytest"
	"example.com/vidimus/examples/boxoffice/internal/seat"
)

// curtain is when the tests play.
func curtain() time.Time { return time.Date(2026, 11, 20, 19, 30, 0, 0, time.UTC) }

// after folds events over a free seat.
func after(events ...any) seat.Seat {
	var s seat.Seat
	for _, e := range events {
		s = s.Evolve(e)
	}
	return s
}

func TestSeatsDecide(t *testing.T) {
	t.Parallel()
	now := curtain()
	later := now.Add(seat.HoldFor)
	held := func(by string) seat.Held { return seat.Held{By: by, Until: later} }
	sold := seat.Sold{By: "ada", Price: 45_00}
	for _, c := range []struct {
		name    string
		given   []any
		command any
		want    []any
		refused error
	}{
		{"a free seat can be held", nil, seat.Hold{"ada", now}, []any{held("ada")}, nil},
		{"a held seat is refused to others", []any{held("ada")}, seat.Hold{"ben", now}, nil, seat.ErrHeld},
		{
			"a holder may hold anew",
			[]any{held("ada")},
			seat.Hold{"ada", now.Add(time.Minute)},
			[]any{seat.Held{"ada", later.Add(time.Minute)}},
			nil,
		},
		{
			"a hold that ran out is no hold",
			[]any{held("ada")},
			seat.Hold{"ben", later},
			[]any{seat.Held{"ben", later.Add(seat.HoldFor)}},
			nil,
		},
		{
			"a seat given back is free",
			[]any{held("ada"), seat.Released{"ada"}},
			seat.Hold{"ben", now},
			[]any{held("ben")},
			nil,
		},
		{"its holder may give it back", []any{held("ada")}, seat.Release{"ada"}, []any{seat.Released{"ada"}}, nil},
		{"nobody else may give it back", []any{held("ada")}, seat.Release{"ben"}, nil, seat.ErrNotHeld},
		{"nobody holds nothing", nil, seat.Release{"ada"}, nil, seat.ErrNotHeld},
		{"its holder may buy it", []any{held("ada")}, seat.Sell{"ada", now, 45_00}, []any{sold}, nil},
		{"nobody buys a free seat", nil, seat.Sell{"ada", now, 45_00}, nil, seat.ErrNotHeld},
		{"nobody buys what another holds", []any{held("ada")}, seat.Sell{"ben", now, 45_00}, nil, seat.ErrNotHeld},
		{"a hold that ran out buys nothing", []any{held("ada")}, seat.Sell{"ada", later, 45_00}, nil, seat.ErrNotHeld},
		{"a sold seat cannot be held", []any{held("ada"), sold}, seat.Hold{"ada", now}, nil, seat.ErrSold},
		{"a sold seat cannot be given back", []any{held("ada"), sold}, seat.Release{"ada"}, nil, seat.ErrSold},
		{"a sold seat is not sold twice", []any{held("ada"), sold}, seat.Sell{"ada", now, 45_00}, nil, seat.ErrSold},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := after(c.given...).Decide(c.command)
			if !errors.Is(err, c.refused) || !slices.Equal(got, c.want) {
				t.Errorf("got %v, %v; want %v, %v", got, err, c.want, c.refused)
			}
		})
	}
}

func TestWalletsDecide(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name         string
		spent        seat.Cents
		price, limit seat.Cents
		refused      error
	}{
		{"within the limit", 50_00, 45_00, 100_00, nil},
		{"to the last cent", 55_00, 45_00, 100_00, nil},
		{"one cent over", 55_01, 45_00, 100_00, seat.ErrLimit},
		{"no limit is no money", 0, 1, 0, seat.ErrLimit},
		{"a limit that was lowered below what is spent", 90_00, 1, 50_00, seat.ErrLimit},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := seat.Wallet{}.Evolve(seat.Paid{Seat: "lyra-a1", Price: c.spent})
			got, err := w.Decide(seat.Pay{Seat: "lyra-a2", Price: c.price, Limit: c.limit})
			if !errors.Is(err, c.refused) || (err == nil) != (len(got) == 1) {
				t.Errorf("got %v, %v; want %v", got, err, c.refused)
			}
		})
	}
}

func TestSeatsAndWalletsAreCarriedWhole(t *testing.T) {
	t.Parallel()
	held := seat.Held{By: "ada", Until: curtain()}
	entitytest.Carried(t, seat.Seat{}, after(held), after(held, seat.Released{By: "ada"}),
		after(held, seat.Sold{By: "ada", Price: 4500}))
	entitytest.Carried(t, seat.Wallet{}, seat.Wallet{}.Evolve(seat.Paid{Seat: "A1", Price: 4500}))
}

func TestUnknownCommandsAreRefused(t *testing.T) {
	t.Parallel()
	if got, err := (seat.Seat{}).Decide("hold"); err == nil || got != nil {
		t.Errorf("a seat answers %v, %v", got, err)
	}
	if got, err := (seat.Wallet{}).Decide(seat.Hold{}); err == nil || got != nil {
		t.Errorf("a wallet answers %v, %v", got, err)
	}
}

// TestNoScheduleSellsASeatTwice plays random commands: at most one of all that ask becomes the buyer, and stays it.
func TestNoScheduleSellsASeatTwice(t *testing.T) {
	t.Parallel()
	people := []string{"ada", "ben", "cleo"}
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 1))
		var s seat.Seat
		now, buyers := curtain(), 0
		for range 40 {
			now = now.Add(time.Duration(r.Int64N(int64(seat.HoldFor))))
			by := people[r.IntN(len(people))]
			command := []any{seat.Hold{by, now}, seat.Release{by}, seat.Sell{by, now, 1}}[r.IntN(3)]
			holder := s.HeldAt(now)
			events, err := s.Decide(command)
			if err != nil {
				continue
			}
			for _, e := range events {
				if e, ok := e.(seat.Sold); ok {
					buyers++
					if e.By != holder {
						t.Fatalf("seed %d: %s bought what %q held", seed, e.By, holder)
					}
				}
				s = s.Evolve(e)
			}
		}
		if buyers > 1 {
			t.Fatalf("seed %d: sold %d times", seed, buyers)
		}
	}
}

func TestEveryPlaceIsFoundByItsID(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, show := range seat.Programme() {
		if !slices.Contains(seat.States(), show.State) {
			t.Errorf("%s is in %s, which no permit is for", show.ID, show.State)
		}
		for _, place := range show.Places() {
			at, got, ok := seat.Find(place.ID)
			if !ok || got != place || at.ID != show.ID || seen[place.ID] {
				t.Errorf("%s: found %v of %s, seen before: %v", place.ID, got, at.ID, seen[place.ID])
			}
			seen[place.ID] = true
		}
	}
	for _, id := range []string{"", "lyra", "lyra-", "lyra-a9", "lyra-A1", "lyra-a01", "other-a1"} {
		if _, _, ok := seat.Find(id); ok {
			t.Errorf("%q was found", id)
		}
	}
}

func ExampleSeat_Decide() {
	now := curtain()
	free := seat.Seat{}
	events, _ := free.Decide(seat.Hold{By: "ada", At: now})
	held := free.Evolve(events[0])
	_, err := held.Decide(seat.Hold{By: "ben", At: now})
	fmt.Println(held.HeldAt(now), "holds it;", err)
	// Output: ada holds it; somebody else holds the seat
}
