// SPDX-License-Identifier: Apache-2.0

// Rows under each other, in columns that line up.

package screen

import (
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// tableRows is how many rows are looked at together to find the width of the columns.
const tableRows = 100

// Column is one column of a [Table].
type Column struct {
	// Title stands above the column.
	Title string
	// Right aligns to the right, as for numbers.
	Right bool
	// Paint colours a cell; nil leaves it as it is.
	Paint func(string) string
}

// Table writes rows in aligned columns, a hundred at a time: widths grow and never shrink, so a table has no end it
// must wait for. One goroutine at a time may use it.
type Table struct {
	to      io.Writer
	style   Style
	columns []Column
	widths  []int
	rows    [][]string
	titled  bool
}

// NewTable returns a table that writes to w. The titles are written above the first rows; without rows nothing is.
func NewTable(w io.Writer, s Style, columns ...Column) *Table {
	t := &Table{to: w, style: s, columns: columns, widths: make([]int, len(columns))}
	for i, c := range columns {
		t.widths[i] = utf8.RuneCountInString(c.Title)
	}
	return t
}

// Row adds a row, one cell for each column; control characters in it are shown as '?'. It returns the error of the
// writer.
func (t *Table) Row(cells ...string) error {
	row := make([]string, len(t.columns))
	for i := range row {
		row[i] = Printable(cells[i])
	}
	t.rows = append(t.rows, row)
	if len(t.rows) < tableRows {
		return nil
	}
	return t.Flush()
}

// Flush writes the rows that were added since the last time. It returns the error of the writer.
func (t *Table) Flush() error {
	for _, row := range t.rows {
		for i, cell := range row {
			t.widths[i] = max(t.widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	if !t.titled && len(t.rows) > 0 {
		t.titled = true
		titles := make([]string, len(t.columns))
		for i, c := range t.columns {
			titles[i] = c.Title
		}
		t.line(&b, titles, true)
	}
	for _, row := range t.rows {
		t.line(&b, row, false)
	}
	t.rows = t.rows[:0]
	_, err := io.WriteString(t.to, b.String())
	return err
}

// line writes one line; titles are dimmed, other cells painted as their column asks.
func (t *Table) line(b *strings.Builder, cells []string, titles bool) {
	at, last := 0, len(cells)-1
	for last > 0 && cells[last] == "" {
		last--
	}
	for i, cell := range cells[:last+1] {
		if i > 0 {
			b.WriteString("  ")
			at += 2
		}
		if t.style.Width > 0 {
			cell = Cut(cell, max(0, t.style.Width-at))
		}
		pad := strings.Repeat(" ", max(0, t.widths[i]-utf8.RuneCountInString(cell)))
		at += max(t.widths[i], utf8.RuneCountInString(cell))
		text := cell
		switch {
		case titles:
			text = t.style.Dim(cell)
		case t.columns[i].Paint != nil:
			text = t.columns[i].Paint(cell)
		}
		switch {
		case t.columns[i].Right:
			b.WriteString(pad + text)
		case i == last:
			b.WriteString(text)
		default:
			b.WriteString(text + pad)
		}
	}
	b.WriteByte('\n')
}

// Cut shortens text to n characters, with "…" as the last where something was cut off.
func Cut(text string, n int) string {
	if len(text) <= n || utf8.RuneCountInString(text) <= n {
		return text
	}
	if n <= 0 {
		return ""
	}
	runes := []rune(text)
	return string(runes[:n-1]) + "…"
}

// Printable keeps text on its line and the terminal as it is: what is no printable character becomes '?'.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}
