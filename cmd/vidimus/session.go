// SPDX-License-Identifier: Apache-2.0

// vidimus session: who is signed in, with what state; and the end of it.

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"example.com/vidimus/cmd/vidimus/internal/screen"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/passport"
	"example.com/vidimus/passport/header"
	"example.com/vidimus/server/remote"
	"example.com/vidimus/session"
)

type sessionCmd struct {
	where

	Start   sessionStartCmd   `cmd:"" help:"Begin a session of a subject, and show the handle for its cookie."`
	List    sessionListCmd    `cmd:"" help:"Show the sessions of a subject."`
	Show    sessionShowCmd    `cmd:"" help:"Show a session, by its id or its handle."`
	Subject sessionSubjectCmd `cmd:"" help:"Show the state that all sessions of a subject share."`
	Change  sessionChangeCmd  `cmd:"" help:"Set and remove attributes of a session, or of a subject."`
	History sessionHistoryCmd `cmd:"" help:"Show what happened to a session, or to a subject."`
	End     sessionEndCmd     `cmd:"" help:"End a session for ever."`
	Revoke  sessionRevokeCmd  `cmd:"" help:"Refuse every passport in a scope that was minted before now."`

	Presence sessionPresenceCmd `cmd:"" help:"Show how many sessions are there, and release those that are held."`
}

// node is the node whose sessions are meant: they are not reached past the authority.
func (w *where) node(a *app) (*remote.Log, error) {
	if err := w.settle(a); err != nil {
		return nil, err
	}
	if w.Server == "" {
		return nil, usage("--server", "is missing ($VIDIMUS_SERVER); sessions are kept by a running node, such as that of "+
			"`vidimus dev`")
	}
	return w.dial()
}

// withSessions dials the node, hands its sessions to do, and closes the connection.
func (s *sessionCmd) withSessions(a *app, do func(*remote.Sessions) error) error {
	log, err := s.node(a)
	if err != nil {
		return err
	}
	err = do(log.Sessions())
	return errors.Join(s.reached(inFlags(err, sessionFlags())), log.Close())
}

// sessionAnswer is the answer to --json.
type sessionAnswer struct {
	ID         string           `json:"id"`
	Version    journal.Version  `json:"version"`
	Position   journal.Position `json:"position"`
	Tenant     string           `json:"tenant"`
	Subject    string           `json:"subject"`
	Device     session.Device   `json:"device"`
	ACR        string           `json:"acr,omitempty"`
	AMR        []string         `json:"amr,omitempty"`
	Scopes     []string         `json:"scopes"`
	State      session.State    `json:"state"`
	Started    time.Time        `json:"started"`
	Idle       string           `json:"idle"`
	Expires    time.Time        `json:"expires"`
	Generation int64            `json:"generation"`
	Ended      *endedAnswer     `json:"ended,omitempty"`
	Handle     string           `json:"handle,omitempty"`
}

type endedAnswer struct {
	At     time.Time   `json:"at"`
	Why    session.Why `json:"why"`
	By     string      `json:"by,omitempty"`
	Reason string      `json:"reason,omitempty"`
}

func sessionAnswerOf(s *session.Session) sessionAnswer {
	answer := sessionAnswer{
		ID: s.ID, Version: s.Version, Position: s.Position, Tenant: s.Tenant, Subject: s.Subject, Device: s.Device,
		ACR: s.ACR, AMR: s.AMR, Scopes: append([]string{}, s.Scopes...), State: whole(s.State), Started: s.Started,
		Idle: s.Idle.String(), Expires: s.Expires, Generation: s.Generation,
	}
	if e := s.Ended; e != nil {
		answer.Ended = &endedAnswer{At: e.At, Why: e.Why, By: e.By, Reason: e.Reason}
	}
	return answer
}

// whole returns attributes that are written as an object, also when there are none.
func whole(s session.State) session.State {
	if s == nil {
		return session.State{}
	}
	return s
}

// standing says in a few words whether a session lives.
func standing(a *app, s *session.Session) string {
	switch {
	case s.Ended != nil:
		return strings.TrimSpace(string(s.Ended.Why) + " " + s.Ended.By)
	case s.Version == 0: // see session.Sessions.List
		return "until " + a.style.Time(s.Expires) + ", and cannot be read: upgrade the node"
	}
	return "until " + a.style.Time(s.Expires)
}

// showSession writes one session.
func (a *app) showSession(s *session.Session, handle string) error {
	if a.json {
		answer := sessionAnswerOf(s)
		answer.Handle = handle
		return a.object(answer)
	}
	state, err := json.Marshal(whole(s.State))
	if err != nil {
		return err
	}
	who := s.Subject
	if s.Tenant != "" {
		who += " of " + s.Tenant
	}
	for _, line := range [][2]string{
		{"session", a.style.Name(s.ID)},
		{"subject", screen.Printable(who)},
		{"version", screen.Number(s.Version)},
		{"state", screen.Printable(string(state))},
		{"scopes", screen.Printable(strings.Join(s.Scopes, " "))},
		{"device", screen.Printable(strings.TrimSpace(s.Device.Name + " " + s.Device.Address))},
		{"started", a.style.Time(s.Started)},
		{"lives", screen.Printable(standing(a, s))},
	} {
		if line[1] == "" {
			continue
		}
		if err := a.tell("%-8s %s", line[0], line[1]); err != nil {
			return err
		}
	}
	return nil
}

// attributes reads texts such as limit=500 and name="Ada" as attributes. A value that is no JSON is a string.
func attributes(flag string, texts []string) (session.State, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	state := session.State{}
	for _, text := range texts {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return nil, usage(flag, "%q has no name and value; write it as limit=500", text)
		}
		if _, twice := state[name]; twice {
			return nil, usage(flag, "%s is set twice; set it once", name)
		}
		raw := json.RawMessage(value)
		if !json.Valid(raw) {
			quoted, err := json.Marshal(value)
			if err != nil {
				return nil, err
			}
			raw = quoted
		}
		state[name] = raw
	}
	return state, nil
}

type sessionStartCmd struct {
	Subject    string        `arg:"" help:"Who signed in: a stable id, better no name."`
	Tenant     string        `placeholder:"NAME" help:"Whose subject it is."`
	Set        []string      `sep:"none" placeholder:"NAME=VALUE" help:"An attribute of the session; may be repeated."`
	SubjectSet []string      `name:"subject-set" sep:"none" placeholder:"NAME=VALUE" help:"An attribute of the subject, if it is new; may be repeated."`
	Scope      []string      `sep:"none" placeholder:"NAME" help:"What the session may do; may be repeated."`
	ACR        string        `name:"acr" placeholder:"LEVEL" help:"How surely the subject was recognised."`
	AMR        []string      `name:"amr" sep:"none" placeholder:"METHOD" help:"By which method; may be repeated."`
	Device     string        `placeholder:"NAME" help:"The client, for people, as 'Firefox on Linux'."`
	Idle       time.Duration `placeholder:"DURATION" help:"How long it may be silent."`
	Absolute   time.Duration `placeholder:"DURATION" help:"How long it may live at most."`
	ID         string        `name:"id" placeholder:"UUID" help:"Makes the command repeatable: the same id is the same session."`
}

// Help is shown by --help.
func (c *sessionStartCmd) Help() string {
	return `Whoever starts a session has already made sure who the subject is. The handle goes into the browser's cookie:

    Set-Cookie: __Host-vid=HANDLE; Path=/; Secure; HttpOnly; SameSite=Lax

Examples:

    vidimus session start u-42 --tenant acme --subject-set limit=500 --set theme=dark
    vidimus session start u-42 --json`
}

// Run begins the session.
func (c *sessionStartCmd) Run(ctx context.Context, a *app, s *sessionCmd) error {
	command := session.Start{
		Tenant: c.Tenant, Subject: c.Subject, Device: session.Device{Name: c.Device}, ACR: c.ACR, AMR: c.AMR,
		Scopes: c.Scope, Idle: c.Idle, Absolute: c.Absolute,
	}
	var err error
	if command.ID, err = commandID(c.ID); err != nil {
		return err
	}
	if command.State, err = attributes("--set", c.Set); err != nil {
		return err
	}
	if command.SubjectState, err = attributes("--subject-set", c.SubjectSet); err != nil {
		return err
	}
	return s.withSessions(a, func(sessions *remote.Sessions) error {
		started, err := sessions.Start(ctx, command)
		if err != nil {
			return err
		}
		if a.json {
			return a.showSession(&started.Session, started.Handle)
		}
		a.say("session %s of %s, %s; its handle:", started.ID, screen.Printable(c.Subject), standing(a, &started.Session))
		return a.tell("%s", started.Handle)
	})
}

// commandID reads the id of a command, or makes one.
func commandID(text string) (journal.ID, error) {
	if text == "" {
		return journal.NewID(), nil
	}
	id, err := journal.ParseID(text)
	if err != nil {
		return id, usage("--id", "%q is no UUID", text)
	}
	return id, nil
}

type sessionListCmd struct {
	Subject string `arg:"" help:"Whose sessions."`
	Tenant  string `placeholder:"NAME" help:"Whose subject it is."`
}

// Run shows the sessions.
func (c *sessionListCmd) Run(ctx context.Context, a *app, s *sessionCmd) error {
	return s.withSessions(a, func(sessions *remote.Sessions) error {
		list, err := sessions.List(ctx, c.Tenant, c.Subject)
		if err != nil {
			return err
		}
		table := screen.NewTable(a.out, a.style,
			screen.Column{Title: "session", Paint: a.style.Name}, screen.Column{Title: "version", Right: true},
			screen.Column{Title: "device"}, screen.Column{Title: "started", Paint: a.style.Dim},
			screen.Column{Title: "lives"}, screen.Column{Title: "scopes"})
		for i := range list {
			one := &list[i]
			if a.json {
				err = a.object(sessionAnswerOf(one))
			} else {
				err = table.Row(one.ID, screen.Number(one.Version), cmp.Or(one.Device.Name, one.Device.UserAgent),
					a.style.Time(one.Started), standing(a, one), strings.Join(one.Scopes, " "))
			}
			if err != nil {
				return err
			}
		}
		return table.Flush()
	})
}

type sessionShowCmd struct {
	Session string `arg:"" help:"Id or handle of the session."`
}

// Run shows the session.
func (c *sessionShowCmd) Run(ctx context.Context, a *app, s *sessionCmd) error {
	return s.withSessions(a, func(sessions *remote.Sessions) error {
		found, err := find(ctx, sessions, c.Session)
		if err != nil {
			return err
		}
		return a.showSession(&found, "")
	})
}

// find returns the session that an id or a handle names. A handle of a session that has ended stands for nothing any
// more, but the id in it still says which session is meant.
func find(ctx context.Context, sessions *remote.Sessions, text string) (session.Session, error) {
	if !strings.HasPrefix(text, header.HandlePrefix) {
		return sessions.Get(ctx, text)
	}
	started, err := sessions.Resolve(ctx, text)
	gone := errors.Is(err, session.ErrEnded) || errors.Is(err, passport.ErrNoSession)
	if cell, ok := header.HandleCell(text); ok && gone {
		id, _, _ := strings.Cut(text[len(header.HandlePrefix+cell+"."):], ".")
		if ended, failed := sessions.Get(ctx, id); failed == nil && ended.Ended != nil {
			return ended, nil
		}
	}
	return started.Session, err
}

// idOf returns the id of the session that an id or a handle names. It does not look at a session whose id is given: one
// whose history the node cannot read can be told of and ended.
func idOf(ctx context.Context, sessions *remote.Sessions, text string) (string, error) {
	if !strings.HasPrefix(text, header.HandlePrefix) {
		return text, nil
	}
	found, err := find(ctx, sessions, text)
	return found.ID, err
}

type sessionSubjectCmd struct {
	Subject string `arg:"" help:"Whose state."`
	Tenant  string `placeholder:"NAME" help:"Whose subject it is."`
}

// Run shows the subject.
func (c *sessionSubjectCmd) Run(ctx context.Context, a *app, s *sessionCmd) error {
	return s.withSessions(a, func(sessions *remote.Sessions) error {
		found, err := sessions.Subject(ctx, c.Tenant, c.Subject)
		if err != nil {
			return err
		}
		return a.showSubject(&found)
	})
}

// showSubject writes one subject.
func (a *app) showSubject(s *session.Subject) error {
	state, err := json.Marshal(whole(s.State))
	if err != nil {
		return err
	}
	if a.json {
		return a.object(struct {
			Tenant   string           `json:"tenant"`
			Subject  string           `json:"subject"`
			Version  journal.Version  `json:"version"`
			Position journal.Position `json:"position"`
			State    json.RawMessage  `json:"state"`
		}{s.Tenant, s.ID, s.Version, s.Position, state})
	}
	return a.tell("%s is at version %s: %s", a.style.Name(screen.Printable(s.ID)), screen.Number(s.Version),
		screen.Printable(string(state)))
}

// age is how long ago something was, for people.
func age(t time.Time) string { return clock.Since(t).Round(time.Second).String() }
