// SPDX-License-Identifier: Apache-2.0

// What malformed files and wrong options are answered.

package eventlog

import (
	"bytes"
	"compress/gzip"
	"errors"
	"strings"
	"testing"
	"testing/iotest"
)

const xesEvent = `<event><string key="concept:name" value="a"/></event>`

func xesLog(inside string) string {
	return "<log>\n<trace><string key=\"concept:name\" value=\"c\"/>\n" + inside + "</trace></log>"
}

// wrongCase is a text and a part of the error it is answered with.
type wrongCase struct {
	name   string
	format Format
	text   string
	want   string
}

func refuses(t *testing.T, cases []wrongCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := readText(t, c.text, Options{Format: c.format})
			if _, ok := errors.AsType[*Error](err); !ok || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestMalformedXESIsRefused(t *testing.T) {
	t.Parallel()
	refuses(t, []wrongCase{
		{"XES that is no XES", XES, "<html/>", "input: line 1: the root element is <html>, not <log>; name an XES"},
		{"XES cut off", XES, xesLog(xesEvent)[:90], "malformed XML: the file ends within a tag"},
		{"XES cut off between tags", XES, "<log>\n<trace>", "line 2: malformed XML: the file ends too early"},
		{"XES empty", XES, "", "line 1: malformed XML: the file ends too early"},
		{"XES tags crossed", XES, "<log><trace></log></trace>", "<trace> is closed by </log>"},
		{"XES entity bomb", XES, `<!DOCTYPE log [<!ENTITY a "aaaa">]><log/>`, "document type with declarations"},
		{"XES unknown entity", XES, `<log><string key="&x;"/></log>`, `unknown reference "&x;"`},
		{"XES unknown encoding", XES, `<?xml version="1.0" encoding="KOI8-R"?><log/>`, `encoding: "koi8-r" is not read`},
		{"XES not UTF-8", XES, "<log a='\xff'/>", "not UTF-8"},
		{"XES undeclared prefix", XES, "<log><x:y/></log>", `prefix "x" is not declared`},
		{"XES wrong int", XES, xesLog(`<event><int key="n" value="1.5"/></event>`), `line 3, trace 1, event 1: n: "1.5"`},
		{"XES wrong float", XES, xesLog(`<event><float key="n" value="0x1p3"/></event>`), `n: "0x1p3" is no number`},
		{"XES wrong boolean", XES, xesLog(`<event><boolean key="n" value="2"/></event>`), `n: "2" is neither`},
		{"XES without value", XES, xesLog(`<event><string key="n"/></event>`), `n: no value; correct the attribute`},
		{"XES without key", XES, xesLog(`<event><string value="n"/></event>`), `<string> has no key`},
		{"XES unknown attribute", XES, xesLog(`<event><blob key="n" value=""/></event>`), `<blob> is no attribute`},
		{
			"XES key twice", XES, xesLog(`<event><id key="n" value=""/><id key="n" value=""/></event>`),
			"n: given twice",
		},
		{"XES without type", XES, xesLog("<event/>"), "event 1: concept:name: the event has no type; name an attribute"},
		{
			"XES wrong time", XES,
			xesLog(`<event><id key="concept:name" value="a"/><id key="time:timestamp" value="x"/></event>`),
			`time:timestamp: "x" is no time; write it as`,
		},
		{"XES nameless case", XES, "<log><trace>" + xesEvent + "</trace></log>", "concept:name: the case has no name; name"},
		{"XES event without trace", XES, "<log>" + xesEvent + "</log>", "the case has no name"},
		{"XES attribute after event", XES, xesLog(xesEvent + `<string key="x" value=""/>`), "<string> after an event"},
		{"XES too deep", XES, "<log>" + strings.Repeat("<string key='a' value=''>", 300), "nested deeper than 200"},
	})
}

func TestMalformedCSVIsRefused(t *testing.T) {
	t.Parallel()
	const csvHead = "case,activity,time\n"
	refuses(t, []wrongCase{
		{"CSV empty", CSV, "", "line 1: no header; name the columns"},
		{"CSV without a type", CSV, "case,x\n", "line 1: TypeColumn: no column has a usual name; choose one of: case, x"},
		{"CSV with a column twice", CSV, "case,x,x\n", "x: two columns have this name"},
		{"CSV short row", CSV, csvHead + "1,a\n", "line 2: 2 cells, but the header has 3"},
		{"CSV stray quote", CSV, csvHead + "1,a\"b,2024-01-01\n", "line 2, column 4: bare"},
		{"CSV wrong time", CSV, csvHead + "\n1,a,soon\n", `line 3: time: "soon" is no time; write it as`},
		{"CSV zone without offset", CSV, csvHead + "1,a,2024-01-01 10:00:00 PST\n", "has a zone without an offset"},
		{"CSV empty case", CSV, csvHead + ",a,2024-01-01\n", "line 2: case: the case is empty"},
		{"CSV long case", CSV, csvHead + strings.Repeat("x", 300) + ",a,2024-01-01\n", "at most 255 fit"},
		{"CSV empty type", CSV, csvHead + "1,,2024-01-01\n", "line 2: activity: the event has no type"},
		{"CSV not UTF-8", CSV, csvHead + "1,\xff,2024-01-01\n", "line 2: activity: the cell is not UTF-8"},
		{"CSV quote never closed", CSV, csvHead + `1,"` + strings.Repeat("x\n", 3<<20), "a quote that is not closed"},
		{"CSV broken objects", CSV, "activity,time,ocel:type:o\na,2024-01-01,['x\n", "ocel:type:o: a list that is"},
	})
}

func TestMalformedLinesAreRefused(t *testing.T) {
	t.Parallel()
	refuses(t, []wrongCase{
		{"NDJSON unknown field", NDJSON, "\n" + `{"stream":"a","kind":"b"}`, "line 2: kind: unknown field; rename"},
		{"NDJSON field twice", NDJSON, `{"type":"a","type":"b"}`, "type: given twice"},
		{"NDJSON no base64", NDJSON, `{"stream":"a","data_base64":"?"}`, "line 1: data_base64: not base64"},
		{"NDJSON data twice", NDJSON, `{"data":1,"data_base64":"AA=="}`, "data_base64: given beside"},
		{"NDJSON meta twice", NDJSON, `{"meta_base64":"AA==","meta":{}}`, "meta: given beside"},
		{"NDJSON field in other case", NDJSON, `{"Type":"a"}`, "Type: unknown field"},
		{"NDJSON cut off", NDJSON, `{"type":`, "line 1: JSON cut off at byte"},
		{"NDJSON two values", NDJSON, `{} {}`, "more than one JSON value"},
		{"NDJSON array", NDJSON, `[]`, "no JSON object"},
		{"NDJSON without stream", NDJSON, `{}`, "stream: missing or empty; add"},
		{"NDJSON without type", NDJSON, `{"stream":"a"}`, "type: missing or empty"},
		{"NDJSON without time", NDJSON, `{"stream":"a","type":"b"}`, "time: missing; say when"},
		{"NDJSON wrong id", NDJSON, `{"id":"7"}`, `id: "7" is no UUID; write a UUID`},
		{"NDJSON wrong schema", NDJSON, `{"schema":0}`, "schema: 0 is no whole number from 1"},
		{"NDJSON wrong meta", NDJSON, `{"meta":[]}`, "meta: not an object"},
		{"NDJSON wrong tags", NDJSON, `{"tags":[""]}`, `tags: "" cannot be a tag`},
		{"NDJSON control character", NDJSON, `{"stream":"a\u0007"}`, "stream: \"a\\a\" has a control character at byte 1"},
		{"NDJSON long line", NDJSON, `{"stream":"` + strings.Repeat("x", lineBytesMax), "line 1: longer than 4194304 bytes"},
		{"access log with another line", Combined, "hello\n", "line 1: no line of a combined access log; it reads"},
		{"access log with a wrong month", Combined, `h - - [17/Mai/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 1`, "time: "},
		{"archive that is no tar", JSONArchive, strings.Repeat("x", 2000), "damaged tar, or no tar"},
		{"unclear", Auto, "hello\n", "standard input: line 1: it is not clear what kind of event log this is; say Format"},
		{"unknown format", "yaml", "x", `Format: "yaml" is not known; use auto, xes`},
		{"half a character", XES, "\xff\xfe<\x00\x00\xd8", "half a character in UTF-16"},
	})
}

func TestOptionsThatDoNotFitAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		options Options
		text    string
		want    string
	}{
		{Options{Format: NDJSON, Category: "a"}, "{}", "Category: format ndjson has no use for it"},
		{Options{Format: XES, Delimiter: ';'}, "<log/>", "Delimiter: format xes has no use for it"},
		{Options{Format: Combined, TypeColumn: "a"}, "x", "TypeColumn: format combined has no use for it"},
		{Options{Format: CSV, Delimiter: '"'}, "x", "Delimiter: '\"' cannot be one"},
		{Options{Format: CSV, Category: "a-b"}, "x", `Category: "a-b" cannot begin a stream name`},
		{Options{Format: CSV, CaseColumn: "k"}, "case,type,time", `CaseColumn: there is no column "k"; choose one of: case,`},
		{Options{Format: CSV, TagColumns: []string{"k"}}, "case,type,time", `TagColumns: there is no column "k"`},
		{Options{Format: CSV, TypeColumn: "case"}, "case,type,time", `TypeColumn: column "case" serves twice; name one`},
		{Options{Format: CSV, NumberColumns: []string{"time"}}, "case,type,time", `NumberColumns: "time" is case, type`},
		{Options{Format: CSV, NumberColumns: []string{"n"}}, "case,type,time,n\n1,a,2024-01-01,x", `n: "x" is no number`},
	} {
		if _, err := readText(t, c.text, c.options); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %s", c.options, err, c.want)
		}
	}
	_, err := readAll(t, "testdata", Options{Format: CSV})
	if err == nil || err.Error() != "testdata: Format: a folder is no csv; name a file" {
		t.Errorf("folder as CSV: got %v", err)
	}
}

func TestBrokenFilesSayWhere(t *testing.T) {
	t.Parallel()
	var zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	for i := range 5000 {
		if _, err := zip.Write([]byte{'a' + byte(i*i%7), '\n'}); err != nil {
			t.Fatal(err)
		}
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	cut := zipped.String()[:zipped.Len()/2]
	if _, err := readText(t, cut, Options{Format: XES}); err == nil || !strings.Contains(err.Error(), "ends too early") {
		t.Errorf("half a gzip: got %v", err)
	}
	broken := errors.New("disk on fire")
	_, err := readAll(t, "-", Options{Format: CSV, Stdin: iotest.ErrReader(broken)})
	if !errors.Is(err, broken) {
		t.Errorf("broken disk: got %v", err)
	}
	if _, err := readAll(t, "testdata/none", Options{}); err == nil || !strings.Contains(err.Error(), "testdata/none") {
		t.Errorf("missing file: got %v", err)
	}
}

func TestTooManyCasesAreRefused(t *testing.T) {
	t.Parallel()
	c := cases{seen: map[uint64]uint32{}, max: 2}
	for stream, want := range map[string]bool{"a": true, "b": true} {
		if _, err := c.count(stream); (err == nil) != want {
			t.Errorf("%s: %v", stream, err)
		}
	}
	if _, err := c.count("c"); err == nil || !strings.Contains(err.Error(), "more than 2 cases; split") {
		t.Errorf("third case: got %v", err)
	}
	if n, err := c.count("a"); n != 1 || err != nil {
		t.Errorf("first case again: got %d, %v", n, err)
	}
}
