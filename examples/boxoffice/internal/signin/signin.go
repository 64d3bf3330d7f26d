// SPDX-License-Identifier: Apache-2.0

// Package signin is the login service of the box office: it finds out who somebody is, starts the session, and hands
// the browser its handle. Everything after that is the edge's work.
package signin

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"example.com/vidimus/edge"
	"example.com/vidimus/examples/boxoffice/internal/pages"
	"example.com/vidimus/passport"
	"example.com/vidimus/session"
)

// Tenant is the tenant that all subjects of the sample belong to.
const Tenant = "boxoffice"

// Sessions is what the service needs of the authority: [session.Sessions] in this process, or a client of it.
type Sessions interface {
	Start(ctx context.Context, s session.Start) (session.Started, error)
	End(ctx context.Context, id string, e session.Ended) (session.Session, error)
}

// Config configures a [Service]. Every field is required.
type Config struct {
	Sessions Sessions
	Verifier *passport.Verifier // of passports, for signing out
	Pages    *pages.Pages
}

// Service signs people in and out.
type Service struct {
	cfg    Config
	hashes hashes
}

// New returns the service.
func New(cfg Config) *Service { return &Service{cfg: cfg, hashes: newHashes(2)} }

// Handler serves GET and POST /signin, and POST /signout.
func (s *Service) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /signin", s.show)
	mux.HandleFunc("POST /signin", s.signIn)
	mux.Handle("POST /signout", s.cfg.Verifier.Require(http.HandlerFunc(s.signOut), nil))
	return mux
}

// form is what the sign-in page shows.
type form struct {
	Left          bool // they come from signing out
	User, Problem string
	Demo          []Demo
}

func (s *Service) show(w http.ResponseWriter, r *http.Request) {
	s.write(w, http.StatusOK, form{Left: r.URL.Query().Has("left")})
}

func (s *Service) write(w http.ResponseWriter, status int, f form) {
	f.Demo = Demos()
	s.cfg.Pages.Write(w, status, pages.Page{Name: "signin", Title: "Sign in", Data: f})
}

// signIn checks the password, starts a session and sets the cookie. The edge limits how often it is tried.
func (s *Service) signIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	name, password := strings.ToLower(strings.TrimSpace(r.PostFormValue("user"))), r.PostFormValue("password")
	if name == "" || password == "" || len(password) > longest {
		s.write(w, http.StatusBadRequest, form{User: name, Problem: "Give a name and a password."})
		return
	}
	user, err := s.hashes.check(r.Context(), name, password)
	switch {
	case err != nil:
		s.write(w, http.StatusServiceUnavailable, form{User: name, Problem: "Sign-in is busy. Try again in a moment."})
		return
	case user == nil:
		s.write(w, http.StatusUnauthorized, form{User: name, Problem: "That name and password do not belong together."})
		return
	}
	started, err := s.cfg.Sessions.Start(r.Context(), session.Start{
		Tenant: Tenant, Subject: user.ID, SubjectState: user.State, Device: device(r), AMR: []string{"pwd"},
	})
	if err == nil {
		err = edge.SetHandle(w, started.Handle)
	}
	switch {
	case errors.Is(err, session.ErrTooMany):
		const full = "There are too many sessions. Sign out somewhere else first."
		s.write(w, http.StatusConflict, form{User: name, Problem: full})
	case err != nil:
		s.write(w, http.StatusServiceUnavailable, form{User: name, Problem: "The session could not be started. Try again."})
	default:
		http.Redirect(w, r, "/", http.StatusSeeOther)
	}
}

// signOut ends the session that the passport speaks of. A session that has ended stays ended, so doing it twice is
// fine.
func (s *Service) signOut(w http.ResponseWriter, r *http.Request) {
	claims, _ := passport.FromContext(r.Context())
	end := session.Ended{Why: session.LoggedOut, By: claims.Subject}
	_, err := s.cfg.Sessions.End(r.Context(), claims.Session, end)
	if err != nil && !errors.Is(err, session.ErrEnded) {
		passport.Refuse(w, err)
		return
	}
	edge.ClearHandle(w) // the edge forgets the handle before it lets the answer go: no other tab gets through either
	http.Redirect(w, r, "/signin?left", http.StatusSeeOther)
}

// device says what is known of the client, for the list of sessions.
func device(r *http.Request) session.Device {
	agent := r.UserAgent()
	address, _, _ := strings.Cut(r.Header.Get("X-Forwarded-For"), ",") // set by the edge alone
	return session.Device{Name: deviceName(agent), UserAgent: agent, Address: strings.TrimSpace(address)}
}

// deviceName makes of a User-Agent what people call it, such as "Firefox on Linux".
func deviceName(agent string) string {
	first := func(names [][2]string) string {
		for _, n := range names {
			if strings.Contains(agent, n[0]) {
				return n[1]
			}
		}
		return ""
	}
	program := first([][2]string{
		{"Edg/", "Edge"},
		{"Firefox/", "Firefox"},
		{"Chrome/", "Chrome"},
		{"Safari/", "Safari"},
		{"curl/", "curl"},
		{"Go-http-client", "a Go program"},
	})
	system := first([][2]string{
		{"Android", "Android"},
		{"iPhone", "iPhone"},
		{"iPad", "iPad"},
		{"Windows", "Windows"},
		{"Mac OS", "macOS"},
		{"Linux", "Linux"},
	})
	switch {
	case program == "":
		return "unknown"
	case system == "":
		return program
	}
	return program + " on " + system
}
