// SPDX-License-Identifier: Apache-2.0

// vidimus journal append: one event.

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"example.com/vidimus/cmd/vidimus/internal/screen"
	"example.com/vidimus/journal"
)

type appendCmd struct {
	Stream string    `arg:"" help:"Stream to append to, as category-key: order-7."`
	Data   string    `arg:"" optional:"" help:"The payload, @FILE to read it from a file, or - from standard input."`
	Type   string    `required:"" placeholder:"NAME" help:"What happened, as order.placed."`
	ID     string    `name:"id" placeholder:"UUID" help:"Id of the event; append again with the same to retry."`
	Expect string    `default:"any" placeholder:"any|none|exists|N" help:"What the stream must be at: any, none, exists or a version."`
	Schema int       `default:"1" placeholder:"N" help:"Schema of the payload."`
	Time   time.Time `placeholder:"RFC3339" help:"When it happened; without it now."`
	Tag    []string  `sep:"none" placeholder:"TAG" help:"Tag of the event; may be repeated."`
	Meta   string    `placeholder:"JSON" help:"A JSON object that goes along: actor, correlation, causation, traceparent, tenant."`
	Raw    bool      `help:"Take a payload that is not JSON."`
}

// Help is shown by --help.
func (c *appendCmd) Help() string {
	return `Examples:

    vidimus journal append order-7 '{"total":42}' --type order.placed --expect none
    vidimus journal append order-7 @paid.json --type order.paid --expect 1`
}

// appendAnswer is the answer to --json.
type appendAnswer struct {
	Stream    string           `json:"stream"`
	Version   journal.Version  `json:"version"`
	Position  journal.Position `json:"position"`
	ID        journal.ID       `json:"id"`
	Duplicate bool             `json:"duplicate"`
}

// Run appends the event.
func (c *appendCmd) Run(ctx context.Context, a *app, j *journalCmd) error {
	expect, err := parseExpect(c.Expect)
	if err != nil {
		return err
	}
	event, err := c.event(a)
	if err != nil {
		return err
	}
	stream := journal.Stream(c.Stream)
	unit := journal.Unit{Appends: []journal.Append{{Stream: stream, Expect: expect, Events: []journal.EventData{event}}}}
	if err := unit.Validate(); err != nil {
		return err // before a journal is made for it
	}
	return j.with(ctx, a, true, func(b book) error {
		result, err := b.Commit(ctx, unit)
		if err != nil {
			return err
		}
		answer := appendAnswer{c.Stream, result.Versions[0], result.Position, event.ID, result.Duplicate}
		if a.json {
			return a.object(answer)
		}
		state := ""
		if answer.Duplicate {
			state = ", a duplicate: it was there before"
		}
		return a.tell("%s is at version %s, position %s, id %s%s", a.style.Name(screen.Printable(c.Stream)),
			screen.Number(answer.Version), screen.Number(answer.Position), answer.ID, state)
	})
}

// event makes the event out of the flags.
func (c *appendCmd) event(a *app) (journal.EventData, error) {
	e := journal.EventData{ID: journal.NewID(), Type: c.Type, Schema: c.Schema, Time: c.Time, Tags: c.Tag}
	var err error
	if c.ID != "" {
		if e.ID, err = journal.ParseID(c.ID); err != nil {
			return e, err
		}
	}
	if e.Data, err = c.payload(a); err != nil {
		return e, err
	}
	if len(e.Data) > 0 && !c.Raw && !json.Valid(e.Data) {
		return e, usage("data", "is not JSON; quote it for the shell, as '{\"total\":42}', or add --raw")
	}
	if c.Meta != "" {
		var object map[string]json.RawMessage
		if json.Unmarshal([]byte(c.Meta), &object) != nil {
			return e, usage("--meta", `is no JSON object; write it as '{"actor":"anna"}'`)
		}
		e.Meta = []byte(c.Meta)
	}
	return e, nil
}

// payload reads the data from where the argument says it is.
func (c *appendCmd) payload(a *app) ([]byte, error) {
	path, isFile := strings.CutPrefix(c.Data, "@")
	if c.Data != "-" && !isFile {
		return []byte(c.Data), nil
	}
	from := a.in
	if isFile {
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("data: %w", err)
		}
		defer file.Close()
		from = file
	}
	data, err := io.ReadAll(io.LimitReader(from, journal.MaxData+1))
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	if !c.Raw { // editors end files with a line feed
		data = []byte(strings.TrimSpace(string(data)))
	}
	return data, nil
}

func parseExpect(text string) (journal.Expect, error) {
	switch text {
	case "any":
		return journal.Any, nil
	case "none":
		return journal.None, nil
	case "exists":
		return journal.Exists, nil
	}
	version, err := strconv.ParseInt(text, 10, 64)
	if err != nil || version < 0 {
		return 0, usage("--expect", "%q is nothing to expect; use any, none, exists or a version such as 3", text)
	}
	return journal.Exactly(journal.Version(version)), nil
}
