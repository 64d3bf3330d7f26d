// SPDX-License-Identifier: Apache-2.0

// Package eventlog reads event logs that other tools wrote: XES, CSV, NDJSON, web access logs and archives of JSON.
//
// [Open] finds out what a file is, and [Reader.All] hands out its events one by one in the order of the file, with
// memory that does not grow with the file (but for one small counter a case, see [Record.ID]).
//
//   - XES: a trace is a stream; every attribute of an event is in Data, in document order, with its JSON type; the
//     attributes of the trace are in the Meta of its first event, as {"case":{...}}. A trace without events and the
//     attributes of the log itself are not read.
//   - CSV: a row is an event; columns that are not case, type or time are in Data as strings; empty cells are left
//     out. Columns named ocel:type:<type> hold objects: arrays in Data, and tags such as "orders:990001". A log of
//     objects without a case column is one stream, "<category>-log".
//   - NDJSON: a line is an event, as `vidimus journal export` writes it.
//   - combined: a line of a web server's access log is an event of the stream "visitor-<pseudonym>", the beginning of
//     the SHA-256 of the address. The address itself is in Data.
//   - json-archive: a file of a directory or tar is an event; its folder and name give the type.
package eventlog

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
	"time"
)

// Limits of what is read; beyond them an event log is refused.
const (
	lineBytesMax   = 4 << 20
	streamBytesMax = 255 // of stream, type and tag
	tagsMax        = 32
	dataBytesMax   = 1 << 20
	metaBytesMax   = 64 << 10
	casesMax       = 4 << 20
)

// Format is how an event log is written down.
type Format string

// The formats that can be read. The empty Format is Auto.
const (
	Auto        Format = "auto"
	XES         Format = "xes"
	CSV         Format = "csv"
	NDJSON      Format = "ndjson"
	Combined    Format = "combined"
	JSONArchive Format = "json-archive"
)

// Record is one event as found in a file. It shares no memory with the reader.
type Record struct {
	// Stream is "<category>-<case>", at most 255 bytes without control characters.
	Stream string
	// Type is what happened, never empty.
	Type string
	// ID is a UUID in its canonical form. When the file has none it is derived, and the same whenever the same file
	// is read with the same options: a UUID of version 8 (RFC 9562) made of the time in milliseconds, the index of
	// the event in its stream within this file (12 bits), and the SHA-256 of stream, index, type, time and data. For
	// [JSONArchive] it is the SHA-256 of stream, path, type and data.
	ID string
	// Schema is 1 unless the file says more.
	Schema int
	// Time is in UTC. It is zero only for an XES event that has no time.
	Time time.Time
	// Data is valid JSON, or nil when an NDJSON line has none. Only data_base64 in an NDJSON line may be anything.
	Data json.RawMessage
	// Meta is a JSON object, or nil. Only meta_base64 in an NDJSON line may be anything.
	Meta json.RawMessage
	// Tags are "<column>:<value>", each once, in the order of the columns; NDJSON lines name their own.
	Tags []string
}

// Options say how to read a file. The zero value of each finds out by itself or uses what is usual. An option that
// the format has no use for is refused.
type Options struct {
	// Format is that of the file. Auto looks at the name, then at the first bytes.
	Format Format
	// Category begins the stream names: letters, digits, '_' and '.', no '-'. The default is the file's name in
	// lower case with other characters as '_', "visitor" for Combined, "import" for standard input.
	// NDJSON lines name their own streams.
	Category string
	// CaseColumn names the CSV column, or XES trace attribute (else event attribute), that tells cases apart.
	CaseColumn string
	// TypeColumn names the CSV column, XES event attribute, or XES classifier that says what happened.
	TypeColumn string
	// TimeColumn names the CSV column or XES event attribute that says when.
	TimeColumn string
	// TimeLayout is a layout of package time, for a CSV that does not write ISO 8601. Without a zone it is UTC.
	TimeLayout string
	// TagColumns name CSV columns or XES event attributes that become tags.
	TagColumns []string
	// NumberColumns name CSV columns that hold numbers and become JSON numbers.
	NumberColumns []string
	// Delimiter stands between CSV cells; 0 takes the most frequent of comma, semicolon, tab and '|' in line 1.
	Delimiter rune
	// Stdin is read for the path "-"; nil is os.Stdin.
	Stdin io.Reader
}

// Error says where an event log is wrong and what to do about it.
type Error struct {
	// File is the path as given to Open.
	File string
	// Place is "line 7" or more; empty when it is the file as a whole.
	Place string
	// Field is the attribute, column or option at fault; it may be empty.
	Field string
	// Problem says what is wrong, and Remedy what to do.
	Problem, Remedy string
}

// Error returns everything in one line.
func (e *Error) Error() string {
	var b strings.Builder
	for _, part := range []string{e.File, e.Place, e.Field} {
		if part != "" {
			b.WriteString(part + ": ")
		}
	}
	b.WriteString(e.Problem)
	if e.Remedy != "" {
		b.WriteString("; " + e.Remedy)
	}
	return b.String()
}

// source reads one format. next fills a record but its ID, unless the format gives one, and returns io.EOF at the
// end. An *Error of a source leaves File empty.
type source interface {
	next(r *Record) error
}

// Reader reads one event log. One goroutine may read it, while others ask for Offset and Size.
type Reader struct {
	name   string
	in     *input
	src    source
	cases  cases
	events int64 // read so far
	used   bool
}

// Open opens an event log for reading, "-" being standard input. It returns an *Error for options and files that
// cannot be used, and the error of the operating system for files that cannot be opened. The caller closes it.
func Open(path string, o Options) (*Reader, error) {
	name := path
	if path == "-" {
		name = "standard input"
	}
	rd, err := open(path, o)
	if err != nil {
		return nil, named(name, err)
	}
	rd.name = name
	return rd, nil
}

func open(path string, o Options) (*Reader, error) {
	if info, err := os.Stat(path); err == nil && path != "-" && info.IsDir() {
		return openFolder(path, o)
	}
	in, err := openInput(path, o.Stdin)
	if err != nil {
		return nil, err
	}
	src, err := newSource(path, in, o)
	if err != nil {
		return nil, errors.Join(in.explain(err), in.Close())
	}
	return &Reader{in: in, src: src, cases: newCases()}, nil
}

// newSource chooses the format and starts its reader.
func newSource(path string, in *input, o Options) (source, error) {
	format, err := detect(path, in.text, o.Format)
	if err != nil {
		return nil, err
	}
	if err := o.check(format); err != nil {
		return nil, err
	}
	category := cmp.Or(o.Category, defaultCategory(path, format))
	switch format {
	case XES:
		return newXES(in.text, category, o)
	case CSV:
		return newCSV(in.text, category, o)
	case NDJSON:
		return &ndjsonSource{lines: newLines(in.text)}, nil
	case Combined:
		return &combinedSource{lines: newLines(in.text), category: category}, nil
	default:
		return newTar(in.text, category), nil
	}
}

func openFolder(path string, o Options) (*Reader, error) {
	if f := cmp.Or(o.Format, Auto); f != Auto && f != JSONArchive {
		return nil, &Error{Field: "Format", Problem: "a folder is no " + string(f), Remedy: "name a file"}
	}
	if err := o.check(JSONArchive); err != nil {
		return nil, err
	}
	src, err := newFolder(path, cmp.Or(o.Category, defaultCategory(path, JSONArchive)))
	if err != nil {
		return nil, err
	}
	return &Reader{in: &input{size: -1}, src: src, cases: newCases()}, nil
}

// All returns the events in the order of the file, and ends after an error: an *Error if the file is malformed.
// A loop that was left goes on at the next event when All is ranged over again; after the end that is an *Error.
func (r *Reader) All() iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for {
			rec, err := r.read()
			if err == io.EOF {
				return
			}
			if !yield(rec, err) || err != nil {
				return
			}
		}
	}
}

func (r *Reader) read() (Record, error) {
	var rec Record
	if r.used {
		return rec, &Error{File: r.name, Problem: "read already", Remedy: "open it again"}
	}
	err := r.src.next(&rec)
	r.events++
	if err == nil {
		err = r.fits(&rec)
	}
	if err == nil {
		err = r.identify(&rec)
	}
	if err == nil {
		return rec, nil
	}
	r.used = true
	if err == io.EOF { // the plain one: explain tells files cut short apart
		return Record{}, err
	}
	return Record{}, named(r.name, r.in.explain(err))
}

// fits refuses a record that is larger than a journal takes.
func (r *Reader) fits(rec *Record) error {
	for _, part := range []struct {
		field     string
		size, max int
	}{{"data", len(rec.Data), dataBytesMax}, {"meta", len(rec.Meta), metaBytesMax}, {"tags", len(rec.Tags), tagsMax}} {
		if part.size > part.max {
			return &Error{
				Place: fmt.Sprintf("event %d, of stream %q", r.events, rec.Stream), Field: part.field,
				Problem: fmt.Sprintf("%d is over the limit of %d", part.size, part.max), Remedy: "shorten or remove this event",
			}
		}
	}
	return nil
}

// identify derives the ID of a record that has none.
func (r *Reader) identify(rec *Record) error {
	if rec.ID != "" {
		return nil
	}
	index, err := r.cases.count(rec.Stream)
	if err != nil {
		return err
	}
	rec.ID = deriveID(rec, index)
	return nil
}

// Offset returns how many bytes of the file, as it is stored, were read; 0 for a folder. Any goroutine may call it.
func (r *Reader) Offset() int64 { return r.in.offset.Load() }

// Size returns the bytes of the file as it is stored, or -1 when that is not known. Any goroutine may call it.
func (r *Reader) Size() int64 { return r.in.size }

// Close closes the file, but not standard input. Twice is fine.
func (r *Reader) Close() error { return r.in.Close() }

// named writes the file's name into an error.
func named(name string, err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		e.File = name
		return e
	}
	return err
}
