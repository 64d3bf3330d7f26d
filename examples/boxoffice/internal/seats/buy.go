// SPDX-License-Identifier: Apache-2.0

// A purchase: the money, the seat, and the proof that the passport still holds, in one unit.

package seats

import (
	"context"
	"net/http"

	"example.com/vidimus/entity"
	"example.com/vidimus/examples/boxoffice/internal/answer"
	"example.com/vidimus/examples/boxoffice/internal/seat"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/schema"
	"example.com/vidimus/passport"
	"example.com/vidimus/session"
)

// triesMax is how often a purchase is decided at most when others of the same account are faster.
const triesMax = 100

// buy sells a held seat. The wallet decides on the limit that the passport names; the unit is written only if the
// wallet and the seat are where they were decided on, and if account and session are still at the versions in the
// passport. So neither twenty purchases at once nor a limit that was lowered a moment ago can spend too much, and
// nobody buys after they have signed out.
func (s *Service) buy(w http.ResponseWriter, r *http.Request) {
	show, place, b, err := s.asked(r)
	if err == nil {
		err = b.permits(show)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	p := purchase{service: s, buyer: b, place: place}
	pay := seat.Pay{Seat: place.ID, Price: place.Price, Limit: b.Limit}
	o := &entity.Options{Tries: triesMax}
	res, err := s.kinds.wallets.DoAlso(r.Context(), s.cfg.Cell, b.key, pay, o, p.also)
	if err != nil {
		refuse(w, err)
		return
	}
	s.wrote(res.Position)
	answer.JSON(w, http.StatusOK, done{place.ID, place.Name(), "bought", place.Price, res.Position})
}

// purchase is one that is under way.
type purchase struct {
	service *Service
	buyer   buyer
	place   seat.Place
}

// also returns what is written together with the payment.
func (p purchase) also(ctx context.Context, _, _ seat.Wallet, _ []any) (journal.Unit, error) {
	still, err := p.still(ctx)
	if err != nil {
		return journal.Unit{}, err
	}
	sold, err := p.sell(ctx)
	return journal.Unit{Appends: append(still, sold)}, err
}

// sell decides on the seat.
func (p purchase) sell(ctx context.Context) (journal.Append, error) {
	seats, c := p.service.kinds.seats, p.service.cfg.Cell
	now, err := seats.Load(ctx, c, p.place.ID)
	if err != nil {
		return journal.Append{}, err
	}
	events, err := now.State.Decide(seat.Sell{By: p.buyer.key, At: clock.Now(), Price: p.place.Price})
	if err != nil {
		return journal.Append{}, err
	}
	out := journal.Append{Stream: seats.Stream(p.place.ID), Expect: journal.Exactly(now.Version)}
	for _, e := range events {
		data, err := seats.Types().Encode(e.(schema.Event))
		if err != nil {
			return journal.Append{}, err
		}
		data.ID = journal.NewID()
		out.Events = append(out.Events, data)
	}
	return out, nil
}

// still returns the checks that what the passport says is still so in the moment of the write. If it is no longer, it
// returns [passport.ErrSuperseded]: the edge then asks again with a new passport.
func (p purchase) still(ctx context.Context) ([]journal.Append, error) {
	claims := p.buyer.claims
	checks := []journal.Append{
		{
			Stream: session.SubjectStream(claims.Tenant, claims.Subject),
			Expect: journal.Exactly(journal.Version(claims.SubjectVersion)),
		},
		{Stream: session.Stream(claims.Session), Expect: journal.Exactly(journal.Version(claims.Version))},
	}
	log := p.service.cfg.Cell.Log()
	for _, check := range checks {
		var at journal.Version
		for e, err := range log.ReadStream(ctx, check.Stream, &journal.StreamOptions{Backwards: true, Limit: 1}) {
			if err != nil {
				return nil, err
			}
			at = e.Version
		}
		if !check.Expect.Holds(at) {
			return nil, passport.ErrSuperseded
		}
	}
	return checks, nil
}
