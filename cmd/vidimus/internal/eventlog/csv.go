// SPDX-License-Identifier: Apache-2.0

// CSV with a header: one event a row.

package eventlog

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// csvSource reads row after row. Rows of one case need not stand together.
type csvSource struct {
	budget   *budgetReader
	rows     *csv.Reader
	category string
	columns  []column
	times    times
	timeHelp string
	data     []byte
}

// newCSV reads the header.
func newCSV(text *bufio.Reader, category string, o Options) (*csvSource, error) {
	delimiter := o.Delimiter
	if delimiter == 0 {
		head, _ := text.Peek(sniffBytes)
		line, _, _ := bytes.Cut(head, []byte("\n"))
		delimiter = guessDelimiter(string(line))
	}
	s := &csvSource{budget: &budgetReader{from: text}, category: category, times: newTimes(o.TimeLayout)}
	s.timeHelp = "write it as 2025-01-31T12:00:00Z, or say how it is written with TimeLayout"
	s.rows = csv.NewReader(s.budget)
	s.rows.Comma, s.rows.ReuseRecord = delimiter, true
	header, err := s.read()
	if err == io.EOF {
		return nil, &Error{Place: "line 1", Problem: "no header", Remedy: "name the columns in the first line"}
	}
	if err != nil {
		return nil, err
	}
	s.columns, err = planColumns(header, o)
	return s, err
}

// guessDelimiter takes the most frequent candidate outside of quotes; the earlier one if there are two.
func guessDelimiter(line string) rune {
	plain, quoted := strings.Builder{}, false
	for _, c := range line {
		if c == '"' {
			quoted = !quoted
		} else if !quoted {
			plain.WriteRune(c)
		}
	}
	best, most := ',', 0
	for _, c := range ",;\t|" {
		if n := strings.Count(plain.String(), string(c)); n > most {
			best, most = c, n
		}
	}
	return best
}

// read returns the next row; it is valid until the next call.
func (s *csvSource) read() ([]string, error) {
	s.budget.left = lineBytesMax
	row, err := s.rows.Read()
	var wrong *csv.ParseError
	switch {
	case err == nil:
		return row, nil
	case errors.Is(err, csv.ErrFieldCount):
		return nil, &Error{
			Place:   fmt.Sprintf("line %d", wrongLine(err)),
			Problem: fmt.Sprintf("%d cells, but the header has %d", len(row), s.rows.FieldsPerRecord),
			Remedy:  "put cells that contain the delimiter or a line end in quotes",
		}
	case errors.As(err, &wrong):
		return nil, &Error{
			Place: fmt.Sprintf("line %d, column %d", wrong.Line, wrong.Column), Problem: wrong.Err.Error(),
			Remedy: `put the cell in quotes and write each quote within it twice ("")`,
		}
	case errors.Is(err, errRowTooLong):
		return nil, &Error{
			Place:   fmt.Sprintf("after byte %d of the text", s.rows.InputOffset()),
			Problem: err.Error(), Remedy: "look for a quote that is not closed",
		}
	}
	return nil, err
}

func wrongLine(err error) int {
	var wrong *csv.ParseError
	if errors.As(err, &wrong) {
		return wrong.Line
	}
	return 0
}

func (s *csvSource) next(r *Record) error {
	row, err := s.read()
	if err != nil {
		return err
	}
	r.Schema = 1
	s.data = append(s.data[:0], '{')
	for i := range s.columns {
		c := &s.columns[i]
		if remedy, err := s.take(r, c, row[i]); err != nil {
			line, _ := s.rows.FieldPos(i)
			return &Error{Place: fmt.Sprintf("line %d", line), Field: c.name, Problem: err.Error(), Remedy: remedy}
		}
	}
	if r.Stream == "" {
		r.Stream = s.category + "-log"
	}
	r.Data = append(bytes.Clone(s.data), '}')
	return nil
}

// take puts one cell where it belongs, or says what is wrong and the remedy. Space around it is kept in the data only.
func (s *csvSource) take(r *Record, c *column, text string) (remedy string, err error) {
	cell := strings.TrimSpace(text)
	if !utf8.ValidString(cell) {
		return "convert the file with iconv", errors.New("the cell is not UTF-8")
	}
	objects := []string{cell}
	if c.objects {
		if objects, err = objectsOf(cell); err != nil {
			return "write objects as one name, or as ['a','b']", err
		}
	}
	switch {
	case c.isType:
		r.Type, err = cell, checkType(cell)
		remedy = "fill in the cell, or name another column as TypeColumn"
	case c.isTime:
		r.Time, err = s.times.parse(cell)
		remedy = s.timeHelp
	case c.isCase && len(objects) == 0:
		remedy, err = "name a column as CaseColumn that is filled in each row", errors.New("the case is empty")
	case c.isCase:
		r.Stream, err = streamName(s.category, objects[0])
		remedy = "correct the cell, or name another column as CaseColumn"
	}
	if err != nil || cell == "" {
		return remedy, err
	}
	if c.isTag {
		for _, object := range objects {
			if err := addTag(r, c.label, object); err != nil {
				return "shorten the cell, or leave the column out", err
			}
		}
	}
	return "write plain numbers such as 12.5, or leave the column out of NumberColumns", s.keep(c, text, objects)
}

// keep writes a cell into the data.
func (s *csvSource) keep(c *column, text string, objects []string) (err error) {
	switch {
	case c.objects:
		s.data = append(appendMember(s.data, c.name), '[')
		for i, object := range objects {
			if i > 0 {
				s.data = append(s.data, ',')
			}
			s.data = appendString(s.data, object)
		}
		s.data = append(s.data, ']')
	case c.isType, c.isTime, c.isCase:
	case c.isNumber:
		s.data, err = appendFloat(appendMember(s.data, c.name), text)
	default:
		s.data = appendString(appendMember(s.data, c.name), text)
	}
	return err
}

var errRowTooLong = fmt.Errorf("a row of more than %d bytes", lineBytesMax)

// budgetReader lets only so many bytes pass between two refills of left.
type budgetReader struct {
	from io.Reader
	left int
}

func (b *budgetReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errRowTooLong
	}
	n, err := b.from.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
