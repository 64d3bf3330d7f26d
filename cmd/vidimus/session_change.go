// SPDX-License-Identifier: Apache-2.0

// vidimus session change, history, end and revoke.

package main

import (
	"context"
	"strconv"

	"example.com/vidimus/cmd/vidimus/internal/screen"
	"example.com/vidimus/heartbeat"
	"example.com/vidimus/journal"
	"example.com/vidimus/server/remote"
	"example.com/vidimus/session"
)

type sessionChangeCmd struct {
	Session string   `arg:"" optional:"" help:"Id or handle of the session."`
	Subject string   `placeholder:"NAME" help:"Change this subject instead of a session."`
	Tenant  string   `placeholder:"NAME" help:"Whose subject it is."`
	Set     []string `sep:"none" placeholder:"NAME=VALUE" help:"Set an attribute; may be repeated."`
	Unset   []string `sep:"none" placeholder:"NAME" help:"Remove an attribute; may be repeated."`
	Expect  string   `default:"any" placeholder:"VERSION" help:"The version this was decided on, or any to merge with whatever is there (${default})."`
	Via     string   `placeholder:"ID" help:"Session on whose behalf a subject is changed; one that has ended changes nothing."`
	By      string   `placeholder:"WHO" help:"Who does it, for the history; without it user@host."`
	ID      string   `name:"id" placeholder:"UUID" help:"Makes the command repeatable."`
}

// Help is shown by --help.
func (c *sessionChangeCmd) Help() string {
	return `Passports that were minted before say something else, so verifiers refuse them from then on and get new ones.

Examples:

    vidimus session change --subject u-42 --tenant acme --set limit=250 --expect 3
    vidimus session change 0123456789abcdefghijkl --set theme=dark --unset banner`
}

// Run changes the attributes.
func (c *sessionChangeCmd) Run(ctx context.Context, a *app, s *sessionCmd) error {
	if (c.Session == "") == (c.Subject == "") {
		return usage("session", "is needed, or --subject, and not both")
	}
	command := session.Change{Unset: c.Unset, Via: c.Via, By: c.By}
	if command.By == "" {
		command.By = whoami()
	}
	var err error
	if command.ID, err = commandID(c.ID); err != nil {
		return err
	}
	if command.Set, err = attributes("--set", c.Set); err != nil {
		return err
	}
	if command.Expect = journal.Any; c.Expect != "any" {
		version, err := strconv.ParseInt(c.Expect, 10, 64)
		if err != nil || version < 0 {
			return usage("--expect", "%q is no version; write a number, or any", c.Expect)
		}
		command.Expect = journal.Exactly(journal.Version(version))
	}
	return s.withSessions(a, func(sessions *remote.Sessions) error {
		if c.Subject != "" {
			changed, err := sessions.ChangeSubject(ctx, c.Tenant, c.Subject, command)
			if err != nil {
				return err
			}
			return a.showSubject(&changed)
		}
		found, err := find(ctx, sessions, c.Session)
		if err != nil {
			return err
		}
		changed, err := sessions.Change(ctx, found.ID, command)
		if err != nil {
			return err
		}
		return a.showSession(&changed, "")
	})
}

type sessionHistoryCmd struct {
	Session string `arg:"" optional:"" help:"Id or handle of the session."`
	Subject string `placeholder:"NAME" help:"Show that of a subject instead."`
	Tenant  string `placeholder:"NAME" help:"Whose subject it is."`
}

// entryAnswer is the answer to --json.
type entryAnswer struct {
	Position journal.Position `json:"position"`
	Version  journal.Version  `json:"version"`
	Time     string           `json:"time"`
	Type     string           `json:"type"`
	By       string           `json:"by,omitempty"`
	Detail   any              `json:"detail,omitempty"`
}

// Run shows the history.
func (c *sessionHistoryCmd) Run(ctx context.Context, a *app, s *sessionCmd) error {
	if (c.Session == "") == (c.Subject == "") {
		return usage("session", "is needed, or --subject, and not both")
	}
	return s.withSessions(a, func(sessions *remote.Sessions) error {
		entries := sessions.SubjectHistory(ctx, c.Tenant, c.Subject)
		if c.Session != "" {
			id, err := idOf(ctx, sessions, c.Session)
			if err != nil {
				return err
			}
			entries = sessions.History(ctx, id)
		}
		table := screen.NewTable(a.out, a.style,
			screen.Column{Title: "version", Right: true}, screen.Column{Title: "time", Paint: a.style.Dim},
			screen.Column{Title: "what", Paint: a.style.Bold}, screen.Column{Title: "by"}, screen.Column{Title: "detail"})
		for e, err := range entries {
			if err != nil {
				return err
			}
			if a.json {
				const stored = "2006-01-02T15:04:05.999999Z07:00"
				err = a.object(entryAnswer{e.Position, e.Version, e.Time.UTC().Format(stored), e.Type, e.By, e.Detail})
			} else {
				err = table.Row(screen.Number(e.Version), a.style.Time(e.Time), e.Type, e.By, brief(e.Detail, nil))
			}
			if err != nil {
				return err
			}
		}
		return table.Flush()
	})
}

type sessionEndCmd struct {
	Session string `arg:"" help:"Id or handle of the session."`
	By      string `placeholder:"WHO" help:"Who does it, for the history; without it user@host."`
	Reason  string `placeholder:"TEXT" help:"Why, for people."`
}

// Run ends the session.
func (c *sessionEndCmd) Run(ctx context.Context, a *app, s *sessionCmd) error {
	ended := session.Ended{By: c.By, Reason: c.Reason}
	if ended.By == "" {
		ended.By = whoami()
	}
	return s.withSessions(a, func(sessions *remote.Sessions) error {
		id, err := idOf(ctx, sessions, c.Session)
		if err != nil {
			return err
		}
		over, err := sessions.End(ctx, id, ended)
		if err != nil {
			return err
		}
		if a.json {
			return a.object(sessionAnswerOf(&over))
		}
		return a.tell("session %s has ended; its passports are refused", a.style.Name(over.ID))
	})
}

type sessionRevokeCmd struct {
	Scope   string `arg:"" enum:"token,session,subject,tenant,key,all" help:"token, session, subject, tenant, key or all."`
	Name    string `arg:"" optional:"" help:"Which: a txn, an id, a subject, a tenant or a kid; nothing for all."`
	Tenant  string `placeholder:"NAME" help:"Whose subject it is."`
	By      string `placeholder:"WHO" help:"Who does it, for the history; without it user@host."`
	Reason  string `placeholder:"TEXT" help:"Why, for people."`
	Confirm bool   `name:"everybody" help:"Needed for the scope all, which signs everybody out."`
}

// Help is shown by --help.
func (c *sessionRevokeCmd) Help() string {
	return `Whoever signs in again gets new passports. A key that is revoked is published no more, and if it is the one that
signs, a new one takes its place at once; ` + "`vidimus passport keys`" + ` shows the kids.

Examples:

    vidimus session revoke subject u-42 --tenant acme --reason 'lost phone'
    vidimus session revoke tenant acme
    vidimus session revoke all --everybody`
}

// Run revokes what the arguments name.
func (c *sessionRevokeCmd) Run(ctx context.Context, a *app, s *sessionCmd) error {
	target := session.Target{Scope: heartbeat.Scope(c.Scope), Key: c.Name}
	switch target.Scope {
	case heartbeat.All:
		if c.Name != "" || !c.Confirm {
			return usage("scope", "all signs everybody out; give --everybody and no name")
		}
	case heartbeat.Subject:
		target.Key, target.Tenant, target.Subject = "", c.Tenant, c.Name
	}
	if target.Scope != heartbeat.All && c.Name == "" {
		return usage("name", "is missing; say which %s", c.Scope)
	}
	by := c.By
	if by == "" {
		by = whoami()
	}
	return s.withSessions(a, func(sessions *remote.Sessions) error {
		at, err := sessions.Revoke(ctx, target, by, c.Reason)
		if err != nil {
			return err
		}
		if a.json {
			return a.object(map[string]any{"scope": c.Scope, "name": c.Name, "position": at})
		}
		if target.Scope == heartbeat.Key {
			return a.tell("key %s is revoked; passports that it signed are refused", a.style.Name(screen.Printable(c.Name)))
		}
		return a.tell("passports minted before position %s are refused in this scope", screen.Number(at))
	})
}
