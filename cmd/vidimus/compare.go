// SPDX-License-Identifier: Apache-2.0

// vidimus journal import --compare: what the database does with the same rows and no journal.

package main

import (
	"context"
	"path/filepath"

	"example.com/vidimus/cmd/vidimus/internal/bulk"
	"example.com/vidimus/cmd/vidimus/internal/eventlog"
)

// compareAnswer is the part of the answer to --json.
type compareAnswer struct {
	How             string  `json:"how"`
	Rows            int64   `json:"rows"`
	Seconds         float64 `json:"seconds"`
	EventsPerSecond float64 `json:"events_per_second"`
	// Ratio is the speed of the import divided by that of the insert; both include reading the file.
	Ratio float64 `json:"ratio"`
}

// checkCompare refuses a comparison that cannot be made, before anything is imported.
func (c *importCmd) checkCompare(a *app, w *where) error {
	if !c.Compare {
		return nil
	}
	if err := w.settle(a); err != nil {
		return err
	}
	if w.Server != "" {
		return usage("--compare", "needs the database itself; use --db instead of --server")
	}
	if c.File == "-" {
		return usage("--compare", "reads the log twice; name a file instead of -")
	}
	return nil
}

// compare inserts the rows of the file once more, next to the journal.
func (c *importCmd) compare(
	ctx context.Context, a *app, db string, o eventlog.Options, imported *importAnswer,
) (*compareAnswer, error) {
	reader, err := eventlog.Open(c.File, o)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	a.say("imported at %.0f events/s; now the plain insert", imported.EventsPerSecond)
	var r bulk.Result
	if isPostgres(db) {
		r, err = bulk.Postgres(ctx, db, reader.All())
	} else {
		r, err = bulk.SQLite(ctx, filepath.Dir(db), reader.All())
	}
	if err != nil {
		return nil, err
	}
	answer := &compareAnswer{How: r.How, Rows: r.Rows, Seconds: r.Took.Seconds()}
	if r.Took > 0 && r.Rows > 0 {
		answer.EventsPerSecond = float64(r.Rows) / r.Took.Seconds()
		answer.Ratio = imported.EventsPerSecond / answer.EventsPerSecond
	}
	return answer, nil
}
