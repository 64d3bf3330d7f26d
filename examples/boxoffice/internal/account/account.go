// SPDX-License-Identifier: Apache-2.0

// Package account is the service where people see and change their attributes. It reads them from the passport alone,
// and writes them to the authority at the version that the caller has seen.
package account

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/vidimus/examples/boxoffice/internal/answer"
	"example.com/vidimus/examples/boxoffice/internal/seat"
	"example.com/vidimus/journal"
	"example.com/vidimus/passport"
	"example.com/vidimus/passport/header"
	"example.com/vidimus/session"
)

// Scope is what a session must be allowed for this service.
const Scope = "account"

// MaxLimit is the highest spending limit that people may give themselves.
const MaxLimit seat.Cents = 10_000_00

// Subjects is what the service needs of the authority: [session.Sessions] in this process, or a client of it.
type Subjects interface {
	ChangeSubject(ctx context.Context, tenant, subject string, c session.Change) (session.Subject, error)
}

// Config configures a [Service]. Every field is required.
type Config struct {
	Subjects Subjects
	Verifier *passport.Verifier
}

// Service shows and changes accounts.
type Service struct{ cfg Config }

// New returns the service.
func New(cfg Config) *Service { return &Service{cfg} }

// Rules are what the routes of the service demand of a passport: how stale the knowledge about it may be, and what
// happens beyond.
func Rules() map[string]passport.Rule {
	scopes := []string{Scope}
	return map[string]passport.Rule{
		"GET /api/account":   {Scopes: scopes, MaxStale: 5 * time.Second, WhenStale: passport.ReadOnly},
		"PATCH /api/account": {Scopes: scopes, MaxStale: 2 * time.Second, WhenStale: passport.FailClosed},
	}
}

// Handler serves the routes of [Rules].
func (s *Service) Handler() http.Handler {
	handlers := map[string]http.HandlerFunc{"GET /api/account": s.show, "PATCH /api/account": s.change}
	mux := http.NewServeMux()
	for pattern, rule := range Rules() {
		mux.Handle(pattern, s.cfg.Verifier.Require(handlers[pattern], &rule))
	}
	return mux
}

// attributes are what this service knows of the public state in a passport.
type attributes struct {
	Name   string     `json:"name"`
	Permit string     `json:"permit"`
	Limit  seat.Cents `json:"limit"`
}

// shown is the account as it is answered.
type shown struct {
	User string `json:"user"`
	attributes
	Version        int64  `json:"version"`
	Session        string `json:"session"`
	SessionVersion int64  `json:"session_version"`
}

// show answers from the passport: it is a copy of the account, signed, and known to be fresh. No database is asked.
func (s *Service) show(w http.ResponseWriter, r *http.Request) {
	claims, _ := passport.FromContext(r.Context())
	state, err := passport.StateOf[struct {
		Subject attributes `json:"subject"`
	}](claims)
	if err != nil {
		answer.Error(w, err)
		return
	}
	s.write(w, claims, state.Subject, claims.SubjectVersion)
}

func (s *Service) write(w http.ResponseWriter, c *passport.Claims, a attributes, version int64) {
	w.Header().Set("ETag", strconv.Quote(strconv.FormatInt(version, 10)))
	answer.JSON(w, http.StatusOK, shown{c.Subject, a, version, c.Session, c.Version})
}

// change writes the attributes that the body names, if the account is still at the version in If-Match.
func (s *Service) change(w http.ResponseWriter, r *http.Request) {
	claims, _ := passport.FromContext(r.Context())
	version, err := ifMatch(r)
	if err != nil {
		answer.Error(w, err)
		return
	}
	set, err := readChange(w, r)
	if err != nil {
		answer.Error(w, err)
		return
	}
	changed, err := s.cfg.Subjects.ChangeSubject(r.Context(), claims.Tenant, claims.Subject, session.Change{
		Expect: journal.Exactly(version), Set: set, Via: claims.Session, By: claims.Subject,
	})
	switch {
	case errors.Is(err, session.ErrEnded):
		passport.Refuse(w, passport.ErrRevoked)
		return
	case errors.Is(err, journal.ErrConflict):
		answer.Error(w, &answer.Problem{
			Status: http.StatusPreconditionFailed, Title: "The account was changed meanwhile.",
			Detail: "Nothing was written. Look at it again, and decide anew.",
		})
		return
	case err != nil:
		answer.Error(w, err)
		return
	}
	// The edge reads this before it lets the answer go: the next request of this browser sees the change.
	header.SetEffect(w.Header(), header.Effect{Mark: changed.Mark, Version: int64(changed.Version)})
	var now attributes
	if err := decode(changed.State, &now); err != nil {
		answer.Error(w, err)
		return
	}
	s.write(w, claims, now, int64(changed.Version))
}

// ifMatch reads the version that the caller has seen. It returns an [answer.Problem].
func ifMatch(r *http.Request) (journal.Version, error) {
	value := r.Header.Get("If-Match")
	if value == "" {
		return 0, &answer.Problem{
			Status: http.StatusPreconditionRequired, Title: "If-Match is missing.",
			Detail: "Send the ETag of the account as you have seen it, so that nobody's change is overwritten.",
		}
	}
	n, err := strconv.ParseInt(strings.Trim(value, `"`), 10, 64)
	if err != nil || n < 0 || value != strconv.Quote(strconv.FormatInt(n, 10)) {
		return 0, &answer.Problem{
			Status: http.StatusBadRequest, Title: "If-Match is no version.", Detail: `Send the ETag as it was, such as "3".`,
		}
	}
	return journal.Version(n), nil
}

// readChange reads and checks what is to be set. It returns an [answer.Problem].
func readChange(w http.ResponseWriter, r *http.Request) (session.State, error) {
	var body struct {
		Permit *string     `json:"permit"`
		Limit  *seat.Cents `json:"limit"`
	}
	if err := answer.Read(w, r, &body); err != nil {
		return nil, err
	}
	refused := func(title, detail string) (session.State, error) {
		return nil, &answer.Problem{Status: http.StatusUnprocessableEntity, Title: title, Detail: detail}
	}
	set := session.State{}
	if p := body.Permit; p != nil {
		if *p != "" && !slices.Contains(seat.States(), *p) {
			known := strings.Join(seat.States(), ", ")
			return refused("There is no such permit.", fmt.Sprintf("Choose one of %s, or none.", known))
		}
		set["permit"] = json.RawMessage(strconv.Quote(*p))
	}
	if l := body.Limit; l != nil {
		if *l < 0 || *l > MaxLimit {
			return refused("The limit cannot be that.", fmt.Sprintf("Choose between 0 and %v.", MaxLimit))
		}
		set["limit"] = json.RawMessage(strconv.FormatInt(int64(*l), 10))
	}
	if len(set) == 0 {
		return refused("Nothing is to be changed.", "Send permit, limit, or both.")
	}
	return set, nil
}

// decode reads a set of attributes into a struct.
func decode(state session.State, into any) error {
	raw, err := json.Marshal(state)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}
