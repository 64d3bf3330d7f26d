// SPDX-License-Identifier: Apache-2.0

// vidimus lease: who owns what.

package main

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"time"

	"example.com/vidimus/cmd/vidimus/internal/screen"
	"example.com/vidimus/journal"
	"example.com/vidimus/lease"
	"example.com/vidimus/server/remote"
)

type leaseCmd struct {
	where

	List    leaseListCmd    `cmd:"" help:"Show leases: who holds them, since when, who waits."`
	Release leaseReleaseCmd `cmd:"" help:"Take a lease from its holder; the holder's late writes are refused."`
}

// leases are the leases of a journal, here or behind a node.
type leases interface {
	List(ctx context.Context, prefix, after string, limit int) ([]lease.Info, error)
	ForceRelease(ctx context.Context, name, by string) (journal.Epoch, error)
}

// leaseAnswer is the answer to --json.
type leaseAnswer struct {
	Name    string         `json:"name"`
	Epoch   journal.Epoch  `json:"epoch"`
	Held    bool           `json:"held"`
	Holder  *lease.Holder  `json:"holder,omitempty"`
	Since   time.Time      `json:"since"`
	Forced  string         `json:"forced,omitempty"`
	Waiting []lease.Holder `json:"waiting"`
}

func leaseAnswerOf(i *lease.Info) leaseAnswer {
	answer := leaseAnswer{
		Name: i.Name, Epoch: i.Epoch, Held: i.Holder.Session != "", Since: i.Since, Forced: i.Forced,
		Waiting: append([]lease.Holder{}, i.Waiting...),
	}
	if answer.Held {
		answer.Holder = &i.Holder
	}
	return answer
}

type leaseListCmd struct {
	Prefix string `arg:"" optional:"" help:"Only leases whose name begins so."`
}

// Run shows the leases.
func (c *leaseListCmd) Run(ctx context.Context, a *app, l *leaseCmd) error {
	return l.withLeases(ctx, a, func(table leases) error {
		out := screen.NewTable(a.out, a.style,
			screen.Column{Title: "lease", Paint: a.style.Name}, screen.Column{Title: "epoch", Right: true},
			screen.Column{Title: "holder"}, screen.Column{Title: "node", Paint: a.style.Dim},
			screen.Column{Title: "since", Paint: a.style.Dim}, screen.Column{Title: "waiting", Right: true})
		for after := ""; ; {
			page, err := table.List(ctx, c.Prefix, after, journal.MaxPage)
			if err != nil {
				return err
			}
			for i := range page {
				if err := c.show(a, out, &page[i]); err != nil {
					return err
				}
			}
			if len(page) < journal.MaxPage {
				return out.Flush()
			}
			after = page[len(page)-1].Name
		}
	})
}

func (c *leaseListCmd) show(a *app, out *screen.Table, i *lease.Info) error {
	if a.json {
		return a.object(leaseAnswerOf(i))
	}
	holder := i.Holder.Owner
	switch {
	case i.Holder.Session == "" && i.Forced != "":
		holder = "free, released by " + i.Forced
	case i.Holder.Session == "":
		holder = "free"
	}
	return out.Row(i.Name, screen.Number(i.Epoch), holder, i.Holder.Node, a.style.Time(i.Since),
		screen.Number(len(i.Waiting)))
}

type leaseReleaseCmd struct {
	Name string `arg:"" help:"Name of the lease."`
	By   string `placeholder:"WHO" help:"Who does it, kept with the lease; without it user@host. A node puts the token before it."`
}

// Run takes the lease away.
func (c *leaseReleaseCmd) Run(ctx context.Context, a *app, l *leaseCmd) error {
	by := c.By
	if by == "" {
		by = whoami()
	}
	return l.withLeases(ctx, a, func(table leases) error {
		epoch, err := table.ForceRelease(ctx, c.Name, by)
		if err != nil {
			return err
		}
		if a.json {
			return a.object(map[string]any{"name": c.Name, "epoch": epoch, "by": by})
		}
		return a.tell("lease %s is free, at epoch %s; writes under older epochs are refused",
			a.style.Name(screen.Printable(c.Name)), screen.Number(epoch))
	})
}

func whoami() string {
	name, host := "somebody", "somewhere"
	if u, err := user.Current(); err == nil && u.Username != "" {
		name = u.Username
	}
	if h, err := os.Hostname(); err == nil && h != "" {
		host = h
	}
	return name + "@" + host
}

// withLeases opens the leases, hands them to do, and closes what was opened.
func (l *leaseCmd) withLeases(ctx context.Context, a *app, do func(leases) error) error {
	return l.with(ctx, a, false, func(b book) error {
		switch b := b.(type) {
		case *journal.Log:
			return do(lease.NewTable(b))
		case *remote.Log:
			return do(b.Leases())
		}
		return fmt.Errorf("leases cannot be reached through %T", b)
	})
}
