// SPDX-License-Identifier: Apache-2.0

// The board: every seat and wallet as the journal has them, kept in memory by following it.

package seats

import (
	"context"
	"strings"
	"sync"
	"time"

	"example.com/vidimus/entity"
	"example.com/vidimus/examples/boxoffice/internal/follower"
	"example.com/vidimus/examples/boxoffice/internal/seat"
	"example.com/vidimus/journal"
	"example.com/vidimus/passport"
)

// kinds are the entities of this service.
type kinds struct {
	seats   *entity.Entity[seat.Seat]
	wallets *entity.Entity[seat.Wallet]
}

// The categories of the streams.
const (
	seatCategory   = "seat"
	walletCategory = "wallet"
)

// board is what readers are shown. It is a little behind the journal; see wait.
type board struct {
	kinds kinds
	mu    struct {
		sync.Mutex
		seats   map[string]seat.Seat
		wallets map[string]seat.Wallet
		through passport.Mark
		ready   bool          // has seen all there was
		moved   chan struct{} // closed and made anew when through moves
		changes uint64        // counts frames with events
	}
}

func newBoard(k kinds) *board {
	b := &board{kinds: k}
	b.mu.seats, b.mu.wallets = map[string]seat.Seat{}, map[string]seat.Wallet{}
	b.mu.moved = make(chan struct{})
	return b
}

// run follows the journal until ctx ends.
func (b *board) run(ctx context.Context, log *journal.Log) error {
	f := follower.Follower{
		Log: log, Filter: journal.Filter{{Category: seatCategory}, {Category: walletCategory}}, Begin: b.begin, Take: b.apply,
	}
	return f.Run(ctx)
}

// begin forgets everything and has the journal followed from its beginning.
func (b *board) begin(context.Context) (journal.Checkpoint, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.mu.seats)
	clear(b.mu.wallets)
	b.mu.through, b.mu.ready = passport.Mark{}, false
	return journal.Checkpoint{}, nil
}

// apply takes in a frame.
func (b *board) apply(f *journal.Frame) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range f.Events {
		if err := b.evolve(&f.Events[i]); err != nil {
			return err
		}
	}
	at := f.Checkpoint
	b.mu.through = passport.Mark{Log: at.Log, Epoch: int64(at.Epoch), Position: int64(at.Position)}
	b.mu.ready = b.mu.ready || f.CaughtUp
	if len(f.Events) > 0 {
		b.mu.changes++
	}
	close(b.mu.moved)
	b.mu.moved = make(chan struct{})
	return nil
}

func (b *board) evolve(e *journal.Event) error {
	category, id, _ := strings.Cut(string(e.Stream), "-")
	types := b.kinds.seats.Types()
	if category == walletCategory {
		types = b.kinds.wallets.Types()
	}
	value, err := types.Decode(e)
	if err != nil {
		return err
	}
	if category == walletCategory {
		b.mu.wallets[id] = b.mu.wallets[id].Evolve(value)
		return nil
	}
	b.mu.seats[id] = b.mu.seats[id].Evolve(value)
	return nil
}

// wait returns when the board has seen everything up to a position.
func (b *board) wait(ctx context.Context, p journal.Position) error {
	for {
		b.mu.Lock()
		done, moved := b.mu.ready && b.mu.through.Position >= int64(p), b.mu.moved
		b.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// after waits until more has changed than was seen, and returns what to give the next time.
func (b *board) after(ctx context.Context, seen uint64) (uint64, error) {
	for {
		b.mu.Lock()
		changes, moved := b.mu.changes, b.mu.moved
		b.mu.Unlock()
		if changes != seen {
			return changes, nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return seen, ctx.Err()
		}
	}
}

// listing is the programme as one person sees it.
type listing struct {
	Position string      `json:"position"`
	Spent    seat.Cents  `json:"spent"`
	Shows    []showShown `json:"shows"`
}

type showShown struct {
	ID    string     `json:"id"`
	Title string     `json:"title"`
	Venue string     `json:"venue"`
	State string     `json:"state"`
	Rows  []rowShown `json:"rows"`
}

type rowShown struct {
	Name  string      `json:"name"`
	Price seat.Cents  `json:"price"`
	Seats []seatShown `json:"seats"`
}

type seatShown struct {
	ID     string `json:"id"`
	Number int    `json:"number"`
	// Is is one of free, mine (held for the reader), held, bought (by the reader) and sold.
	Is     string `json:"is"`
	HeldMS int64  `json:"held_ms,omitempty"` // how long a hold lasts still
}

// list returns the programme as somebody sees it now.
func (b *board) list(who string, now time.Time) listing {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := listing{Position: b.mu.through.String(), Spent: b.mu.wallets[who].Spent}
	for _, show := range seat.Programme() {
		shown := showShown{ID: show.ID, Title: show.Title, Venue: show.Venue, State: show.State}
		for _, p := range show.Places() {
			if n := len(shown.Rows); n == 0 || shown.Rows[n-1].Name != p.Row {
				shown.Rows = append(shown.Rows, rowShown{Name: p.Row, Price: p.Price})
			}
			row := &shown.Rows[len(shown.Rows)-1]
			row.Seats = append(row.Seats, look(b.mu.seats[p.ID], p, who, now))
		}
		l.Shows = append(l.Shows, shown)
	}
	return l
}

// look says how a seat looks to somebody.
func look(s seat.Seat, p seat.Place, who string, now time.Time) seatShown {
	shown := seatShown{ID: p.ID, Number: p.Number, Is: "free"}
	switch holder := s.HeldAt(now); {
	case s.Buyer == who && who != "":
		shown.Is = "bought"
	case s.Buyer != "":
		shown.Is = "sold"
	case holder == who && who != "":
		shown.Is = "mine"
	case holder != "":
		shown.Is = "held"
	}
	if shown.Is == "mine" || shown.Is == "held" {
		shown.HeldMS = s.Until.Sub(now).Milliseconds()
	}
	return shown
}
