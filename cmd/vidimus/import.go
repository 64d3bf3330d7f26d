// SPDX-License-Identifier: Apache-2.0

// vidimus journal import: event logs on their way in.

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"example.com/vidimus/cmd/vidimus/internal/eventlog"
	"example.com/vidimus/cmd/vidimus/internal/importer"
	"example.com/vidimus/cmd/vidimus/internal/screen"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
)

type importCmd struct {
	File         string   `arg:"" help:"The event log, gzipped or not; - for standard input; a directory of JSON files."`
	Format       string   `enum:"auto,xes,csv,ndjson,combined,json-archive" default:"auto" help:"What the file is: ${enum}."`
	Category     string   `placeholder:"NAME" help:"Category of the streams, category-case; without it the name of the file."`
	CaseColumn   string   `placeholder:"NAME" help:"Column or attribute that tells cases apart."`
	TypeColumn   string   `placeholder:"NAME" help:"Column or attribute that says what happened."`
	TimeColumn   string   `placeholder:"NAME" help:"Column or attribute that says when."`
	TimeLayout   string   `placeholder:"LAYOUT" help:"How a CSV writes times, if not as ISO 8601: '02.01.2006 15:04'."`
	TagColumn    []string `sep:"none" placeholder:"NAME" help:"Column or attribute that becomes a tag; may be repeated."`
	NumberColumn []string `sep:"none" placeholder:"NAME" help:"CSV column of numbers; may be repeated."`
	Delimiter    string   `placeholder:"CHAR" help:"What stands between the cells of a CSV; tab for a tab."`
	Compare      bool     `help:"Then measure the plain bulk insert of the same rows, in a table of its own that is removed."`
}

// Help is shown by --help.
func (c *importCmd) Help() string {
	return `Events keep the order of the file. Each comes in once, whenever it is imported again: one without an id gets an id
made of what it says and where it stands. So an import that was cut off is repeated to go on.

Examples:

    vidimus journal import bpic2012.xes.gz --category loan
    vidimus journal import orders.csv --case-column order_id --type-column activity --tag-column customer
    vidimus journal import access.log --format combined`
}

// importAnswer is the answer to --json.
type importAnswer struct {
	File            string           `json:"file"`
	New             int64            `json:"new"`
	Duplicates      int64            `json:"duplicates"`
	Position        journal.Position `json:"position"`
	Seconds         float64          `json:"seconds"`
	EventsPerSecond float64          `json:"events_per_second"`
	Compare         *compareAnswer   `json:"compare,omitempty"`
}

// Run imports the file.
func (c *importCmd) Run(ctx context.Context, a *app, j *journalCmd) error {
	o, err := c.options(a)
	if err != nil {
		return err
	}
	if err := c.checkCompare(a, &j.where); err != nil {
		return err
	}
	reader, err := c.open(ctx, o)
	if err != nil {
		return err
	}
	defer reader.Close()
	return j.with(ctx, a, true, func(b book) error {
		began := clock.Now()
		m := a.newMeter("import", reader.Size(), "events")
		result, err := importer.Run(ctx, b, reader.All(), func(r importer.Result) { m.at(reader.Offset(), r.Done()) })
		m.end()
		if err != nil {
			return c.stopped(ctx, err, result)
		}
		answer := c.answer(result, clock.Since(began))
		if c.Compare {
			if answer.Compare, err = c.compare(ctx, a, j.DB, o, answer); err != nil {
				return fmt.Errorf("all events are in the journal, but the comparison failed: %w", err)
			}
		}
		return c.show(a, answer)
	})
}

// open opens the file, which takes its first bytes: from a pipe they may never come.
func (c *importCmd) open(ctx context.Context, o eventlog.Options) (*eventlog.Reader, error) {
	type opened struct {
		reader *eventlog.Reader
		err    error
	}
	done := make(chan opened, 1)
	go func() {
		reader, err := eventlog.Open(c.File, o)
		done <- opened{reader, err}
	}()
	select {
	case got := <-done:
		return got.reader, got.err
	case <-ctx.Done():
		return nil, c.stopped(ctx, ctx.Err(), importer.Result{})
	}
}

// options are the flags as the reader knows them.
func (c *importCmd) options(a *app) (eventlog.Options, error) {
	o := eventlog.Options{
		Format: eventlog.Format(c.Format), Category: c.Category,
		CaseColumn: c.CaseColumn, TypeColumn: c.TypeColumn, TimeColumn: c.TimeColumn, TimeLayout: c.TimeLayout,
		TagColumns: c.TagColumn, NumberColumns: c.NumberColumn, Stdin: a.in,
	}
	switch {
	case c.Delimiter == "tab":
		o.Delimiter = '\t'
	case utf8.RuneCountInString(c.Delimiter) == 1:
		o.Delimiter, _ = utf8.DecodeRuneInString(c.Delimiter)
	case c.Delimiter != "":
		return o, usage("--delimiter", "%q is not one character; use ',', ';' or tab", c.Delimiter)
	}
	return o, nil
}

func (c *importCmd) answer(r importer.Result, took time.Duration) *importAnswer {
	a := &importAnswer{
		File: c.File, New: r.New, Duplicates: r.Duplicates, Position: r.Position, Seconds: took.Seconds(),
	}
	if took > 0 {
		a.EventsPerSecond = float64(r.Done()) / took.Seconds()
	}
	return a
}

func (c *importCmd) show(a *app, r *importAnswer) error {
	if a.json {
		return a.object(r)
	}
	took := time.Duration(r.Seconds * float64(time.Second))
	err := a.tell("new: %s, duplicates: %s, in %.2f s (%s events/s)",
		screen.Number(r.New), screen.Number(r.Duplicates), r.Seconds, screen.Rate(r.New+r.Duplicates, took))
	if err != nil || r.Compare == nil {
		return err
	}
	return a.tell("plain bulk insert of the same rows: %s events/s (%s); the journal reaches %.2f of it",
		screen.Number(int64(r.Compare.EventsPerSecond)), r.Compare.How, r.Compare.Ratio)
}

// stopped says how much is in the journal when an import ends early.
func (c *importCmd) stopped(ctx context.Context, err error, r importer.Result) error {
	far := fmt.Sprintf("%s of the file are in the journal (new: %s, duplicates: %s)",
		screen.Plural(r.Done(), "event"), screen.Number(r.New), screen.Number(r.Duplicates))
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return &haltError{far + "; import the file again to go on"}
	}
	return &stoppedError{err: err, far: far}
}

// stoppedError is an error in the middle of an import.
type stoppedError struct {
	err error
	far string
}

func (e *stoppedError) Error() string {
	return e.err.Error() + "; " + e.far + "; import again once it is mended, what is in is left out"
}
func (e *stoppedError) Unwrap() error { return e.err }

// flagOf is the flag for an option of the reader, or the field itself where that is no option.
func flagOf(field string) string {
	flags := map[string]string{
		"Format": "--format", "Category": "--category", "CaseColumn": "--case-column", "TypeColumn": "--type-column",
		"TimeColumn": "--time-column", "TimeLayout": "--time-layout", "TagColumns": "--tag-column",
		"NumberColumns": "--number-column", "Delimiter": "--delimiter",
	}
	if flag, ok := flags[field]; ok {
		return flag
	}
	return field
}

// importMessage is the message of err with the reader's options named as flags.
func importMessage(err error, e *eventlog.Error) string {
	named := *e
	named.Field = flagOf(e.Field)
	flags := strings.NewReplacer("say Format:", "say --format", "say its Format", "say its --format")
	named.Remedy = flags.Replace(e.Remedy)
	return strings.Replace(err.Error(), e.Error(), named.Error(), 1)
}
