// SPDX-License-Identifier: Apache-2.0

// Answers: JSON for programs, columns for people.

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"strings"
	"unicode/utf8"

	"example.com/vidimus/cmd/vidimus/internal/eventline"
	"example.com/vidimus/cmd/vidimus/internal/screen"
	"example.com/vidimus/journal"
)

// object writes one JSON object on a line of its own.
func (a *app) object(v any) error {
	enc := json.NewEncoder(a.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// events writes events one by one.
type events interface {
	// write writes an event; it may be held back until flush.
	write(e *journal.Event) error
	flush() error
}

// newEvents returns the writer that fits the reader at hand.
func (a *app) newEvents() events {
	if a.json {
		return &lines{to: a.out}
	}
	return &rows{table: screen.NewTable(
		a.out, a.style,
		screen.Column{Title: "position", Right: true, Paint: a.style.Dim},
		screen.Column{Title: "time", Paint: a.style.Dim},
		screen.Column{Title: "stream", Paint: a.style.Name},
		screen.Column{Title: "version", Right: true},
		screen.Column{Title: "type", Paint: a.style.Bold},
		screen.Column{Title: "data"},
	), style: a.style}
}

// lines writes events as lines of JSON.
type lines struct {
	to     io.Writer
	buffer []byte
}

const lineBuffer = 256 << 10

func (l *lines) write(e *journal.Event) error {
	if l.buffer = eventline.Append(l.buffer, e); len(l.buffer) < lineBuffer {
		return nil
	}
	return l.flush()
}

func (l *lines) flush() error {
	if len(l.buffer) == 0 {
		return nil
	}
	_, err := l.to.Write(l.buffer)
	l.buffer = l.buffer[:0]
	return err
}

// rows writes events in columns.
type rows struct {
	table *screen.Table
	style screen.Style
}

func (r *rows) write(e *journal.Event) error {
	return r.table.Row(screen.Number(e.Position), r.style.Time(e.Time), string(e.Stream), screen.Number(e.Version),
		e.Type, brief(e.Data, e.Tags))
}

func (r *rows) flush() error { return r.table.Flush() }

// briefBytes is how much of an event's data a row shows.
const briefBytes = 200

// brief shows data, and tags behind it, on one line.
func brief(data []byte, tags []string) string {
	text := string(data)
	var flat bytes.Buffer
	switch {
	case json.Compact(&flat, data) == nil:
		text = flat.String()
	case !utf8.Valid(data):
		text = "base64:" + base64.StdEncoding.EncodeToString(data)
	}
	text = screen.Cut(text, briefBytes)
	if len(tags) > 0 {
		text += "  #" + strings.Join(tags, " #")
	}
	return strings.TrimSpace(text)
}
