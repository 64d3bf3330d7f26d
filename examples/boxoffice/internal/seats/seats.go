// SPDX-License-Identifier: Apache-2.0

// Package seats is the service that holds and sells seats. It knows who asks, and what they may, from the passport
// alone; a purchase is written only if that is still so in the moment of the write.
package seats

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"example.com/vidimus/cell"
	"example.com/vidimus/entity"
	"example.com/vidimus/examples/boxoffice/internal/answer"
	"example.com/vidimus/examples/boxoffice/internal/seat"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/schema"
	"example.com/vidimus/passport"
)

// Scope is what a session must be allowed for this service.
const Scope = "seats"

// streamsMax is how many browsers may follow the seats at once.
const streamsMax = 1000

// Config configures a [Service]. Every field is required.
type Config struct {
	Cell     *cell.Cell // where the seats are kept
	Verifier *passport.Verifier
}

// Service shows, holds and sells seats. It is a service of its cell, whose Serve keeps the board up to date.
type Service struct {
	cfg     Config
	kinds   kinds
	board   *board
	written atomic.Int64 // the position of the newest write of this process
	streams chan struct{}
}

// New returns the service. It fails only when the types of its events do not fit each other.
func New(cfg Config) (*Service, error) {
	s := &Service{cfg: cfg, streams: make(chan struct{}, streamsMax)}
	var err error
	s.kinds.seats, err = entity.Define[seat.Seat](seatCategory, schema.Declaration{Event: seat.Held{}},
		schema.Declaration{Event: seat.Released{}}, schema.Declaration{Event: seat.Sold{}},
		schema.Declaration{Event: seat.Carried{}})
	if err != nil {
		return nil, err
	}
	s.kinds.wallets, err = entity.Define[seat.Wallet](walletCategory, schema.Declaration{Event: seat.Paid{}},
		schema.Declaration{Event: seat.WalletCarried{}})
	if err != nil {
		return nil, err
	}
	s.board = newBoard(s.kinds)
	return s, nil
}

// Name returns "seats".
func (s *Service) Name() string { return "seats" }

// Serve keeps the board up to date until ctx ends.
func (s *Service) Serve(ctx context.Context, c *cell.Cell) error { return s.board.run(ctx, c.Log()) }

// Rules are what the routes of the service demand of a passport: how stale the knowledge about it may be, and what
// happens beyond.
func Rules() map[string]passport.Rule {
	scopes := []string{Scope}
	look := passport.Rule{Scopes: scopes, MaxStale: 5 * time.Second, WhenStale: passport.ReadOnly}
	hold := passport.Rule{Scopes: scopes, MaxStale: 2 * time.Second, WhenStale: passport.FailClosed}
	// Money: where this service knows too little, the authority is asked. What it knows wrongly, the fence finds out.
	buy := passport.Rule{Scopes: scopes, MaxStale: 2 * time.Second, WhenStale: passport.AskAuthority}
	return map[string]passport.Rule{
		"GET /api/seats":               look,
		"GET /api/seats/events":        look,
		"POST /api/seats/{id}/hold":    hold,
		"POST /api/seats/{id}/release": hold,
		"POST /api/seats/{id}/buy":     buy,
	}
}

// Handler serves the routes of [Rules].
func (s *Service) Handler() http.Handler {
	handlers := map[string]http.HandlerFunc{
		"GET /api/seats":               s.list,
		"GET /api/seats/events":        s.follow,
		"POST /api/seats/{id}/hold":    s.hold,
		"POST /api/seats/{id}/release": s.release,
		"POST /api/seats/{id}/buy":     s.buy,
	}
	mux := http.NewServeMux()
	for pattern, rule := range Rules() {
		mux.Handle(pattern, s.cfg.Verifier.Require(handlers[pattern], &rule))
	}
	return mux
}

// buyer is who asks, as the passport says.
type buyer struct {
	key    string // names the person in streams, without the person's name
	claims *passport.Claims
	Permit string     `json:"permit"`
	Limit  seat.Cents `json:"limit"`
}

// who reads the passport that the verifier found good.
func who(r *http.Request) (buyer, error) {
	claims, _ := passport.FromContext(r.Context())
	state, err := passport.StateOf[struct {
		Subject buyer `json:"subject"`
	}](claims)
	b := state.Subject
	b.claims, b.key = claims, passport.SubjectKey(claims.Tenant, claims.Subject)
	return b, err
}

// list shows the seats, not without what this process has written before.
func (s *Service) list(w http.ResponseWriter, r *http.Request) {
	b, err := who(r)
	if err == nil {
		err = s.board.wait(r.Context(), journal.Position(s.written.Load()))
	}
	if err != nil {
		refuse(w, err)
		return
	}
	answer.JSON(w, http.StatusOK, s.board.list(b.key, clock.Now()))
}

// follow tells a browser whenever seats change, until the passport expires: the browser then asks again, with a new
// one.
func (s *Service) follow(w http.ResponseWriter, r *http.Request) {
	claims, _ := passport.FromContext(r.Context())
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		refuse(w, journal.ErrUnavailable)
		return
	}
	ctx, cancel := context.WithDeadline(r.Context(), claims.ExpiresAt)
	defer cancel()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := http.NewResponseController(w)
	_, err := fmt.Fprint(w, "retry: 500\n\n")
	for seen := uint64(0); err == nil; {
		if err = out.Flush(); err != nil {
			return // the browser has gone
		}
		if seen, err = s.board.after(ctx, seen); err == nil {
			_, err = fmt.Fprintf(w, "data: %d\n\n", seen)
		}
	}
}

// hold keeps a seat for somebody with a permit for where the show is.
func (s *Service) hold(w http.ResponseWriter, r *http.Request) {
	show, place, b, err := s.asked(r)
	if err == nil {
		err = b.permits(show)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	s.do(w, r, place, seat.Hold{By: b.key, At: clock.Now()})
}

// release gives a held seat back.
func (s *Service) release(w http.ResponseWriter, r *http.Request) {
	_, place, b, err := s.asked(r)
	if err != nil {
		refuse(w, err)
		return
	}
	s.do(w, r, place, seat.Release{By: b.key})
}

// done is what is answered to a command.
type done struct {
	ID   string     `json:"id"`
	Name string     `json:"name"`
	Is   string     `json:"is"`
	Cost seat.Cents `json:"cost"`
	// Position is where it stands in the log.
	Position journal.Position `json:"position"`
}

// do carries out a command on one seat: it is decided on the newest state, and anew if somebody else was faster.
func (s *Service) do(w http.ResponseWriter, r *http.Request, p seat.Place, command any) {
	res, err := s.kinds.seats.Do(r.Context(), s.cfg.Cell, p.ID, command, nil)
	if err != nil {
		refuse(w, err)
		return
	}
	is := "mine"
	if res.State.Holder == "" {
		is = "free"
	}
	s.wrote(res.Position)
	answer.JSON(w, http.StatusOK, done{p.ID, p.Name(), is, p.Price, res.Position})
}

// wrote notes a write, so that readers of this process see it.
func (s *Service) wrote(p journal.Position) {
	for old := s.written.Load(); old < int64(p) && !s.written.CompareAndSwap(old, int64(p)); old = s.written.Load() {
	}
}

// asked finds the seat of a request and who asks for it.
func (s *Service) asked(r *http.Request) (seat.Show, seat.Place, buyer, error) {
	show, place, ok := seat.Find(r.PathValue("id"))
	if !ok {
		return show, place, buyer{}, &answer.Problem{
			Status: http.StatusNotFound, Title: "There is no such seat.", Detail: "GET /api/seats lists them.",
		}
	}
	b, err := who(r)
	return show, place, b, err
}

// permits returns a refusal unless the buyer may buy where the show is.
func (b buyer) permits(show seat.Show) error {
	if b.Permit == show.State {
		return nil
	}
	return &answer.Problem{
		Status: http.StatusForbidden, Title: "The location permit is for somewhere else.",
		Detail: fmt.Sprintf("This show is in %s, your permit is for %s.", show.State, cmp.Or(b.Permit, "nowhere")),
	}
}

// refuse answers with what a command was refused for.
func refuse(w http.ResponseWriter, err error) {
	known := map[error]string{
		seat.ErrSold: "That seat is sold.", seat.ErrHeld: "Somebody else holds that seat.",
		seat.ErrNotHeld: "You do not hold that seat, or no longer.", seat.ErrLimit: "That is over your spending limit.",
	}
	for reason, title := range known {
		if errors.Is(err, reason) {
			answer.Error(w, &answer.Problem{Status: http.StatusConflict, Title: title, Detail: sentence(err)})
			return
		}
	}
	switch {
	case errors.Is(err, passport.ErrSuperseded), errors.Is(err, passport.ErrRevoked):
		passport.Refuse(w, err)
	case errors.Is(err, entity.ErrContended), errors.Is(err, journal.ErrUnavailable):
		w.Header().Set("Retry-After", "1")
		answer.Error(w, &answer.Problem{
			Status: http.StatusServiceUnavailable, Title: "The box office is busy.", Detail: "Try again.",
		})
	default:
		answer.Error(w, err)
	}
}

// sentence makes a sentence of an error of the domain.
func sentence(err error) string {
	text := []byte(err.Error())
	if len(text) > 0 && text[0] >= 'a' && text[0] <= 'z' {
		text[0] -= 'a' - 'A'
	}
	return string(text) + "."
}
