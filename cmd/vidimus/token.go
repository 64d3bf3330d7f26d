// SPDX-License-Identifier: Apache-2.0

// vidimus token: who may do what with a journal over the network.

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"example.com/vidimus/cmd/vidimus/internal/screen"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/server/remote"
	"example.com/vidimus/server/token"
)

type tokenCmd struct {
	where

	Create tokenCreateCmd `cmd:"" help:"Make a token and show its text, once."`
	List   tokenListCmd   `cmd:"" help:"Show the tokens, without their secrets."`
	Revoke tokenRevokeCmd `cmd:"" help:"End a token for ever."`
}

// tokens are the tokens of a journal, here or behind a node.
type tokens interface {
	Create(ctx context.Context, s token.Spec) (text string, t token.Token, err error)
	List(ctx context.Context) ([]token.Token, error)
	Revoke(ctx context.Context, id string) error
}

// tokenAnswer is the answer to --json.
type tokenAnswer struct {
	ID      string     `json:"id"`
	Name    string     `json:"name"`
	Rights  []string   `json:"rights"`
	Last4   string     `json:"last4"`
	Created time.Time  `json:"created"`
	Expires *time.Time `json:"expires,omitempty"`
	Token   string     `json:"token,omitempty"`
}

func tokenAnswerOf(t *token.Token) tokenAnswer {
	answer := tokenAnswer{ID: t.ID, Name: t.Name, Rights: t.Rights.Strings(), Last4: t.Last4, Created: t.Created}
	if !t.Expires.IsZero() {
		answer.Expires = &t.Expires
	}
	return answer
}

type tokenCreateCmd struct {
	Name    string        `arg:"" help:"Who will hold the token."`
	Right   []string      `required:"" sep:"none" short:"r" placeholder:"RIGHT" help:"What it may do, as read:order, append:order*, session:acme, feed or admin; may be repeated."`
	Expires time.Duration `placeholder:"DURATION" help:"How long it is good for, as 720h; without it for ever."`
}

// Help is shown by --help.
func (c *tokenCreateCmd) Help() string {
	return `The text is printed to standard output and kept nowhere: the journal has a hash of it. Running nodes know the token
within a second. Rights are read, append (categories), record (kinds), lease, consumer (names), session (tenants),
passport (audiences), feed and admin. A '*' at the end of a name stands for every ending.

Examples:

    vidimus token create shop --right read:order --right append:order --expires 720h
    export VIDIMUS_TOKEN=$(vidimus token create root --right admin)`
}

// Run makes the token.
func (c *tokenCreateCmd) Run(ctx context.Context, a *app, t *tokenCmd) error {
	rights, err := token.ParseRights(c.Right...)
	if err != nil {
		return err
	}
	spec := token.Spec{Name: c.Name, Rights: rights}
	if c.Expires < 0 {
		return usage("--expires", "%v lies in the past; use a duration such as 720h", c.Expires)
	}
	if c.Expires > 0 {
		spec.Expires = clock.Now().UTC().Add(c.Expires).Truncate(time.Second)
	}
	return t.withTokens(ctx, a, true, func(book tokens) error {
		text, made, err := book.Create(ctx, spec)
		if err != nil {
			return err
		}
		answer := tokenAnswerOf(&made)
		if a.json {
			answer.Token = text
			return a.object(answer)
		}
		a.say("token %s of %s may %s; keep its text, it is shown only now", made.ID, screen.Printable(made.Name),
			strings.Join(answer.Rights, ", "))
		return a.tell("%s", text)
	})
}

type tokenListCmd struct{}

// Run shows the tokens.
func (c *tokenListCmd) Run(ctx context.Context, a *app, t *tokenCmd) error {
	return t.withTokens(ctx, a, false, func(book tokens) error {
		list, err := book.List(ctx)
		if err != nil {
			return err
		}
		table := screen.NewTable(a.out, a.style,
			screen.Column{Title: "id", Paint: a.style.Name}, screen.Column{Title: "name"},
			screen.Column{Title: "ends with", Paint: a.style.Dim}, screen.Column{Title: "created", Paint: a.style.Dim},
			screen.Column{Title: "expires"}, screen.Column{Title: "rights"})
		for i := range list {
			one := tokenAnswerOf(&list[i])
			if a.json {
				err = a.object(one)
			} else {
				err = table.Row(one.ID, one.Name, one.Last4, a.style.Time(one.Created), expiry(a, list[i].Expires),
					strings.Join(one.Rights, " "))
			}
			if err != nil {
				return err
			}
		}
		return table.Flush()
	})
}

func expiry(a *app, t time.Time) string {
	switch {
	case t.IsZero():
		return "never"
	case !clock.Now().Before(t):
		return "has expired"
	}
	return a.style.Time(t)
}

type tokenRevokeCmd struct {
	ID string `arg:"" name:"id" help:"Id of the token, as in the list: the part between the underscores."`
}

// Run ends the token.
func (c *tokenRevokeCmd) Run(ctx context.Context, a *app, t *tokenCmd) error {
	if strings.HasPrefix(c.ID, "vid_") {
		return usage("id", "is the whole token; give only its id, the part between the underscores, and revoke it soon: "+
			"it stands in your shell's history now")
	}
	return t.withTokens(ctx, a, false, func(book tokens) error {
		if err := book.Revoke(ctx, c.ID); err != nil {
			return err
		}
		if a.json {
			return a.object(map[string]string{"revoked": c.ID})
		}
		return a.tell("token %s is revoked; every node refuses it within %v", c.ID, token.Bound)
	})
}

// withTokens opens the tokens of the journal, hands them to do, and closes the journal.
func (t *tokenCmd) withTokens(ctx context.Context, a *app, create bool, do func(tokens) error) error {
	return t.with(ctx, a, create, func(b book) error {
		switch b := b.(type) {
		case *journal.Log:
			return do(token.NewBook(b))
		case *remote.Log:
			return do(b.Tokens())
		}
		return fmt.Errorf("tokens cannot be reached through %T", b)
	})
}
