// SPDX-License-Identifier: Apache-2.0

// The services of the box office, and the routes by which the edge lets people reach them.

package office

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"example.com/vidimus/edge"
	"example.com/vidimus/examples/boxoffice/internal/account"
	"example.com/vidimus/examples/boxoffice/internal/live"
	"example.com/vidimus/examples/boxoffice/internal/pages"
	"example.com/vidimus/examples/boxoffice/internal/seat"
	"example.com/vidimus/examples/boxoffice/internal/seats"
	"example.com/vidimus/examples/boxoffice/internal/signin"
	"example.com/vidimus/heartbeat/presence"
	"example.com/vidimus/passport"
	"example.com/vidimus/server/remote"
)

// openGuests opens what the services and the edge know by themselves, and takes their addresses.
func (o *Office) openGuests(context.Context) error {
	pass := map[string]passport.Rule{"PASS /": {MaxStale: edge.DefaultMaxStale, WhenStale: passport.AskAuthority}}
	const free = "127.0.0.1:0"
	for _, g := range []struct {
		name, address string
		guest         **guest
		rules         map[string]passport.Rule
	}{
		{"seats", free, &o.seats, seats.Rules()},
		{"account", free, &o.account, account.Rules()},
		{"front", free, &o.front, nil},
		{"edge", o.cfg.Edge, &o.gate, pass},
	} {
		var err error
		if *g.guest, err = newGuest(g.name, o.node.URL(), o.token, g.rules); err == nil {
			err = (*g.guest).listen(g.address)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", g.name, err)
		}
	}
	return nil
}

// wire puts the services behind their addresses.
func (o *Office) wire(context.Context) error {
	shown, err := pages.Open()
	if err != nil {
		return err
	}
	s, err := seats.New(seats.Config{Cell: o.node.Cell(), Verifier: o.seats.verifier})
	if err != nil {
		return err
	}
	a := account.New(account.Config{Subjects: o.sessions, Verifier: o.account.verifier})
	door := signin.New(signin.Config{Sessions: o.sessions, Verifier: o.front.verifier, Pages: shown})
	page := live.New(live.Config{
		Cell: o.node.Cell(), Sessions: o.sessions, Pages: shown, URL: o.node.URL(), People: people(),
		Watches: []*live.Watch{o.gate.watch, o.seats.watch, o.account.watch},
	})
	o.node.Add(s, page)
	o.seats.serve = server{o.seats.listener, o.seats.watch.Handler(s.Handler())}.Serve
	o.account.serve = server{o.account.listener, o.account.watch.Handler(a.Handler())}.Serve
	o.front.serve = server{o.front.listener, visible(shown, o.front.verifier, door.Handler(), page.Handler())}.Serve
	return nil
}

// people are those the live page shows.
func people() []live.Person {
	var all []live.Person
	for _, u := range signin.Users() {
		all = append(all, live.Person{Tenant: signin.Tenant, ID: u.ID, Name: u.Name})
	}
	return all
}

// visible serves everything that is for eyes.
func visible(shown *pages.Pages, v *passport.Verifier, door, page http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/assets/", shown.Assets())
	mux.Handle("/signin", door)
	mux.Handle("/signout", door)
	mux.Handle("/live", page)
	mux.Handle("/live/", page)
	mux.Handle("GET /{$}", v.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, _ := passport.FromContext(r.Context())
		state, err := passport.StateOf[struct {
			Subject struct {
				Name string `json:"name"`
			} `json:"subject"`
		}](claims)
		if err != nil {
			http.Error(w, "this passport holds no name", http.StatusInternalServerError)
			return
		}
		data := struct{ States []string }{seat.States()}
		shown.Write(w, http.StatusOK, pages.Page{Name: "shop", Title: "Tickets", Who: state.Subject.Name, Data: data})
	}), nil))
	return mux
}

// openEdge says who may pass.
func (o *Office) openEdge(context.Context) error {
	_, port, err := net.SplitHostPort(o.gate.listener.Addr().String())
	if err != nil {
		return err
	}
	// Every request is a sign of life of its session: the edge collects them, and tells the authority once a second.
	if o.far, err = remote.New(remote.Config{URL: o.node.URL(), Token: o.token}); err != nil {
		return err
	}
	beats, err := presence.OpenBatcher(presence.BatcherConfig{Send: o.far.Feed().Beats, Logger: o.cfg.Logger})
	if err != nil {
		return err
	}
	o.gate.also = func(ctx context.Context) error { return errors.Join(beats.Run(ctx), o.far.Close()) }
	o.edge, err = edge.Open(edge.Config{
		Authority: o.sessions, View: o.gate.client.View(), Beats: beats, Cells: []string{o.node.Cell().Name()},
		Hosts:     []string{"localhost:" + port, "127.0.0.1:" + port},
		SignInURL: "/signin", SignIn: o.cfg.SignIn, Logger: o.cfg.Logger, Drain: drainMax,
		Routes: []edge.Route{
			{Path: "/api/seats/", Upstream: o.seats.url(), WhenStale: passport.ReadOnly, Idempotency: edge.Replay},
			{Path: "/api/account", Upstream: o.account.url(), WhenStale: passport.ReadOnly, RequireIfMatch: true},
			{Path: "/signin", Upstream: o.front.url(), Public: true, SignIn: true},
			{Path: "/signout", Upstream: o.front.url(), SignIn: true},
			{Path: "/live/", Upstream: o.front.url(), Public: true},
			{Path: "/assets/", Upstream: o.front.url(), Public: true},
			{Path: "/", Methods: []string{http.MethodGet, http.MethodHead}, Upstream: o.front.url()},
		},
	})
	if err == nil {
		o.gate.serve = func(ctx context.Context) error {
			return errors.Join(o.edge.Serve(ctx, o.gate.listener), o.edge.Close()) // or the services would wait for it
		}
	}
	return err
}
