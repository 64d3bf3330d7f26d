// SPDX-License-Identifier: Apache-2.0

// vidimus schema: whether contracts and stored events still fit.

package main

import (
	"context"
	"fmt"
	"os"

	"example.com/vidimus/cmd/vidimus/internal/screen"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/schema"
)

type schemaCmd struct {
	where

	Check schemaCheckCmd `cmd:"" help:"Check events, or an older contract, against a contract."`
}

type schemaCheckCmd struct {
	Contract string `arg:"" help:"The contract file, as kept next to the code."`
	Against  string `placeholder:"FILE" help:"Do not look at events: say what breaks readers of this older contract."`
	Strict   bool   `help:"Take events of types that the contract does not know for a problem."`
	Category string `placeholder:"NAME" help:"Only events of streams of this category."`
	After    int64  `placeholder:"N" help:"Only events behind this position."`
}

// Help is shown by --help.
func (c *schemaCheckCmd) Help() string {
	return `Examples:

    vidimus schema check contract.json
    git show main:contract.json > old.json && vidimus schema check contract.json --against old.json`
}

// problem is one line of the answer to --json.
type problem struct {
	Position journal.Position `json:"position,omitempty"`
	Stream   journal.Stream   `json:"stream,omitempty"`
	Problem  string           `json:"problem"`
}

// problemsMax bounds what is shown; more of the same help nobody.
const problemsMax = 100

// Run checks and fails when something does not fit.
func (c *schemaCheckCmd) Run(ctx context.Context, a *app, s *schemaCmd) error {
	contract, err := readContract("contract", c.Contract)
	if err != nil {
		return err
	}
	if c.Against == "" {
		return s.with(ctx, a, false, func(b book) error { return c.events(ctx, a, b, contract) })
	}
	older, err := readContract("--against", c.Against)
	if err != nil {
		return err
	}
	breaks := schema.Compare(older, contract)
	for _, text := range breaks {
		if err := c.show(a, &problem{Problem: text}); err != nil {
			return err
		}
	}
	if len(breaks) > 0 {
		return &brokenError{fmt.Sprintf("the contract breaks readers of %s in %s; give what changed the next schema "+
			"number and an upcaster", c.Against, screen.Plural(len(breaks), "place"))}
	}
	if a.json {
		return nil
	}
	return a.tell("nothing in %s breaks readers of %s", c.Contract, c.Against)
}

func readContract(field, path string) (*schema.Contract, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", field, err)
	}
	contract, err := schema.ReadContract(data)
	if err != nil {
		return nil, usage(field, "%s: %v", path, err)
	}
	return contract, nil
}

// events checks what is in the journal.
func (c *schemaCheckCmd) events(ctx context.Context, a *app, b book, contract *schema.Contract) error {
	var checked, unknown, wrong int64
	o := journal.ReadOptions{After: journal.Position(c.After)}
	if c.Category != "" {
		o.Filter = journal.Filter{{Category: c.Category}}
	}
	for e, err := range b.Read(ctx, o) {
		if err != nil {
			return err
		}
		problems, declared := contract.CheckEvent(&e.EventData)
		switch {
		case !declared && c.Strict:
			problems = []string{e.Type + ": the type is not in the contract"}
		case !declared:
			unknown++
		}
		checked++
		for _, text := range problems {
			if wrong++; wrong > problemsMax {
				continue
			}
			if err := c.show(a, &problem{e.Position, e.Stream, text}); err != nil {
				return err
			}
		}
	}
	if wrong > 0 {
		return &brokenError{fmt.Sprintf("%s in %s; mend the contract, or write an upcaster for what is stored",
			screen.Plural(wrong, "problem"), screen.Plural(checked, "event"))}
	}
	if a.json {
		return a.object(map[string]int64{"checked": checked, "unknown": unknown, "problems": 0})
	}
	return a.tell("%s keep the contract; it does not know the types of %s", screen.Plural(checked-unknown, "event"),
		screen.Number(unknown))
}

func (c *schemaCheckCmd) show(a *app, p *problem) error {
	switch {
	case a.json:
		return a.object(p)
	case p.Position > 0:
		return a.tell("position %s, stream %s: %s", screen.Number(p.Position), screen.Printable(string(p.Stream)),
			screen.Printable(p.Problem))
	}
	return a.tell("%s", screen.Printable(p.Problem))
}
