// SPDX-License-Identifier: Apache-2.0

// vidimus session presence: who is still there, and the end of a hold.

package main

import (
	"context"
	"errors"

	"example.com/vidimus/cmd/vidimus/internal/screen"
	"example.com/vidimus/heartbeat/presence"
)

type sessionPresenceCmd struct {
	Release bool `help:"Let those sessions expire that are held because too many fell silent at once."`
}

// Help is shown by --help.
func (c *sessionPresenceCmd) Help() string {
	return `A session that is silent for longer than its idle limit expires. When more than a fifth of all would expire within
half a minute, it is more likely that their beats are lost than that the people left: none expires then, and the node
logs an error. That ends when most are heard again; or for those who were held for an hour while others were heard as
usual; or by --release, when you have found that they are really gone.

To look takes the right session:*, and to release admin.

Examples:

    vidimus session presence
    vidimus session presence --release`
}

// presenceAnswer is the answer to --json.
type presenceAnswer struct {
	Node      string `json:"node"`
	Sessions  int    `json:"sessions"`
	Due       int    `json:"due"`
	Waiting   int    `json:"waiting"`
	Held      bool   `json:"held"`
	Frozen    bool   `json:"frozen"`
	Beats     uint64 `json:"beats"`
	Unknown   uint64 `json:"unknown"`
	Expired   uint64 `json:"expired"`
	Recovered uint64 `json:"recovered"`
	Refused   uint64 `json:"refused"`
	Stalls    uint64 `json:"stalls"`
	Failures  uint64 `json:"failures"`
}

// Run shows who is present, or releases who is held.
func (c *sessionPresenceCmd) Run(ctx context.Context, a *app, s *sessionCmd) error {
	log, err := s.node(a)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // only connections
	if c.Release {
		released, err := log.Presence().Release(ctx)
		switch {
		case err != nil:
			return err
		case a.json:
			return a.object(map[string]bool{"released": released})
		case released:
			return a.tell("the sessions that are held expire now")
		}
		return a.tell("no session is held")
	}
	stats, node, err := log.Presence().Stats(ctx)
	if err != nil {
		return err
	}
	return a.showPresence(&stats, node)
}

// showPresence writes who is present.
func (a *app) showPresence(p *presence.Stats, node string) error {
	if a.json {
		return a.object(presenceAnswer{
			Node: node, Sessions: p.Tracked, Due: p.Due, Waiting: p.Waiting, Held: p.Held, Frozen: p.Frozen, Beats: p.Beats,
			Unknown: p.Unknown, Expired: p.Expired, Recovered: p.Recovered, Refused: p.Refused, Stalls: p.Stalls,
			Failures: p.Failures,
		})
	}
	silent := screen.Number(p.Due) + " for too long"
	switch {
	case p.Held:
		silent += "; they are held, because too many fell silent at once: find out why, and if they are really gone, " +
			"release them with `vidimus session presence --release`"
	case p.Frozen:
		silent += "; none expires yet, because the node has just begun to watch, or stood still"
	}
	return errors.Join(
		a.tell("%-8s %s", "sessions", screen.Number(p.Tracked)),
		a.tell("%-8s %s", "silent", silent),
		a.tell("%-8s %s, and %s were heard again after their time was up", "expired", screen.Number(int64(p.Expired)),
			screen.Number(int64(p.Recovered))),
		a.tell("%-8s %s", "kept by", screen.Printable(node)),
	)
}
