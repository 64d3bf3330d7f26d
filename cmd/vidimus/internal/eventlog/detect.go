// SPDX-License-Identifier: Apache-2.0

// What a file is, judged by its name and first bytes, and whether the options fit it.

package eventlog

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"unicode/utf8"
)

var categoryText = regexp.MustCompile(`^[\p{L}\p{N}_.]{1,100}$`)

// detect returns the format asked for, or finds it out.
func detect(path string, text *bufio.Reader, asked Format) (Format, error) {
	switch asked {
	case XES, CSV, NDJSON, Combined, JSONArchive:
		return asked, nil
	case Auto, "":
	default:
		return "", &Error{
			Field: "Format", Problem: fmt.Sprintf("%q is not known", asked),
			Remedy: "use auto, xes, csv, ndjson, combined or json-archive",
		}
	}
	name := strings.TrimSuffix(strings.ToLower(filepath.Base(path)), ".gz")
	switch filepath.Ext(name) {
	case ".xes", ".xml":
		return XES, nil
	case ".csv", ".tsv":
		return CSV, nil
	case ".ndjson", ".jsonl":
		return NDJSON, nil
	case ".tgz", ".tar":
		return JSONArchive, nil
	}
	head, _ := text.Peek(sniffBytes)
	return detectContent(head)
}

func detectContent(head []byte) (Format, error) {
	line, _, _ := bytes.Cut(bytes.TrimLeft(head, " \t\r\n"), []byte("\n"))
	switch {
	case len(head) > 262 && string(head[257:262]) == "ustar":
		return JSONArchive, nil
	case bytes.HasPrefix(line, []byte("<")):
		return XES, nil
	case bytes.HasPrefix(line, []byte("{")):
		return NDJSON, nil
	case combinedLine.Match(bytes.TrimSuffix(line, []byte("\r"))):
		return Combined, nil
	case utf8.Valid(line) && len(columnsOf(string(line), guessDelimiter(string(line)))) > 1:
		return CSV, nil
	}
	return "", &Error{
		Place: "line 1", Problem: "it is not clear what kind of event log this is",
		Remedy: "say Format: xes, csv, ndjson, combined or json-archive",
	}
}

func columnsOf(line string, delimiter rune) []string { return strings.Split(line, string(delimiter)) }

// check refuses options that the format has no use for, so that none is ignored in silence.
func (o *Options) check(f Format) error {
	table := f == CSV || f == XES
	options := []struct {
		name       string
		given, fit bool
	}{
		{"Category", o.Category != "", f != NDJSON},
		{"CaseColumn", o.CaseColumn != "", table},
		{"TypeColumn", o.TypeColumn != "", table},
		{"TimeColumn", o.TimeColumn != "", table},
		{"TagColumns", len(o.TagColumns) > 0, table},
		{"TimeLayout", o.TimeLayout != "", f == CSV},
		{"NumberColumns", len(o.NumberColumns) > 0, f == CSV},
		{"Delimiter", o.Delimiter != 0, f == CSV},
	}
	for _, opt := range options {
		if opt.given && !opt.fit {
			return &Error{Field: opt.name, Problem: fmt.Sprintf("format %s has no use for it", f), Remedy: "leave it out"}
		}
	}
	if o.Category != "" && !categoryText.MatchString(o.Category) {
		return &Error{
			Field: "Category", Problem: fmt.Sprintf("%q cannot begin a stream name", o.Category),
			Remedy: "use letters, digits, '_' and '.', at most 100",
		}
	}
	if d := o.Delimiter; d != 0 && (strings.ContainsRune("\"\r\n\ufffd", d) || !utf8.ValidRune(d)) {
		return &Error{Field: "Delimiter", Problem: fmt.Sprintf("%q cannot be one", d), Remedy: "use ',', ';' or a tab"}
	}
	return nil
}

// defaultCategory is the name of the file without its endings, in plain characters.
func defaultCategory(path string, f Format) string {
	if f == Combined {
		return "visitor"
	}
	if path == "-" {
		return "import"
	}
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	base, _, _ := strings.Cut(filepath.Base(path), ".")
	name := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			return c
		}
		return '_'
	}, strings.ToLower(base))
	return cmp.Or(strings.Trim(name[:min(len(name), 100)], "_"), "import")
}
