// SPDX-License-Identifier: Apache-2.0

// Fuzz targets: no input makes a reader panic, and what is read keeps the promises of Record.

package eventlog

import (
	"bufio"
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func seed(f *testing.F, names ...string) {
	f.Helper()
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
}

// checkRecords reads text twice and checks what each record promises.
func checkRecords(t *testing.T, text []byte, o Options) {
	first, firstErr := readText(t, string(text), o)
	again, againErr := readText(t, string(text), o)
	if show(first) != show(again) || (firstErr == nil) != (againErr == nil) {
		t.Fatalf("read twice, two results: %v, %v", firstErr, againErr)
	}
	derived := map[string]bool{}
	for i, r := range first {
		switch {
		case r.ID != again[i].ID || !isUUID(r.ID) || r.ID != strings.ToLower(r.ID):
			t.Fatalf("ID %q, then %q", r.ID, again[i].ID)
		case r.ID[14] == '8' && derived[r.ID] && o.Format != NDJSON && o.Format != JSONArchive:
			t.Fatalf("ID %s twice", r.ID)
		case r.Stream == "" || len(r.Stream) > streamBytesMax || checkText(r.Stream) != nil:
			t.Fatalf("stream %q", r.Stream)
		case checkType(r.Type) != nil || r.Schema < 1:
			t.Fatalf("type %q, schema %d", r.Type, r.Schema)
		case bytes.Contains(text, []byte("_base64")): // of which anything may come
		case r.Data != nil && !json.Valid(r.Data) || r.Meta != nil && (!json.Valid(r.Meta) || r.Meta[0] != '{'):
			t.Fatalf("data %s, meta %s", r.Data, r.Meta)
		case !utf8.Valid(r.Data) || len(r.Data) > dataBytesMax:
			t.Fatalf("data %q", r.Data)
		case o.Format != NDJSON && hasKeyTwice(r.Data):
			t.Fatalf("a key twice in %s", r.Data)
		}
		derived[r.ID] = true
	}
}

func hasKeyTwice(object []byte) bool {
	if len(object) == 0 || object[0] != '{' {
		return false
	}
	members, err := membersOf(object)
	for i, m := range members {
		if slices.ContainsFunc(members[:i], func(o member) bool { return o.key == m.key }) {
			return true
		}
	}
	return err != nil
}

func FuzzXES(f *testing.F) {
	seed(f, "loans.xes")
	f.Add([]byte(xesLog(xesEvent)))
	f.Add([]byte("\xff\xfe<\x00l\x00o\x00g\x00/\x00>\x00"))
	f.Fuzz(func(t *testing.T, text []byte) {
		checkRecords(t, text, Options{Format: XES, TagColumns: []string{"org:resource"}})
	})
}

func FuzzCSV(f *testing.F) {
	seed(f, "tickets.csv", "objects.csv")
	f.Fuzz(func(t *testing.T, text []byte) { checkRecords(t, text, Options{Format: CSV}) })
}

func FuzzNDJSON(f *testing.F) {
	seed(f, "export.ndjson")
	f.Fuzz(func(t *testing.T, text []byte) { checkRecords(t, text, Options{Format: NDJSON}) })
}

func FuzzCombined(f *testing.F) {
	seed(f, "access.log")
	f.Fuzz(func(t *testing.T, text []byte) { checkRecords(t, text, Options{Format: Combined}) })
}

func FuzzAuto(f *testing.F) {
	seed(f, "loans.xes", "tickets.csv", "export.ndjson", "access.log")
	f.Add([]byte("\x1f\x8b\x08\x00"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := readText(t, string(text), Options{}); err == nil && len(text) == 0 {
			t.Fatal("nothing was taken for a log")
		}
	})
}

// FuzzXML holds the XML reader to encoding/xml: what it accepts, that accepts too, and with the same elements.
func FuzzXML(f *testing.F) {
	seed(f, "loans.xes")
	f.Add([]byte("<a b='&lt;\r\n&#65;'><c:d xmlns:c='e'/>t&amp;<![CDATA[<]]></a>"))
	f.Fuzz(func(t *testing.T, text []byte) {
		ours, err := ourTags(text)
		if err != nil {
			return
		}
		theirs, err := theirTags(text)
		if err != nil && strings.Contains(err.Error(), "invalid XML name") && !isASCII(text) {
			return // encoding/xml knows which letters may begin a name, the XML reader takes all of them
		}
		if err != nil || !slices.Equal(ours, theirs) {
			t.Fatalf("encoding/xml reads %q (%v), we read %q", theirs, err, ours)
		}
	})
}

func isASCII(b []byte) bool {
	return !bytes.ContainsFunc(b, func(r rune) bool { return r >= utf8.RuneSelf })
}

// spaces makes white space in values alike; encoding/xml does not, though XML asks for it.
func spaces(s string) string { return strings.NewReplacer("\t", " ", "\n", " ", "\r", " ").Replace(s) }

func ourTags(text []byte) (tags []string, err error) {
	for x := newXMLReader(bufio.NewReader(bytes.NewReader(text))); ; {
		tag, err := x.next()
		if err == io.EOF {
			return tags, nil
		}
		if err != nil {
			return nil, err
		}
		if tag.end {
			tags = append(tags, "end")
			continue
		}
		tags = append(tags, "start "+tag.space+" "+string(tag.local))
		for _, a := range tag.attrs {
			_, local, _ := splitName(a.name)
			tags = append(tags, string(local)+"="+spaces(string(a.value)))
		}
	}
}

func theirTags(text []byte) (tags []string, err error) {
	d := xml.NewDecoder(bytes.NewReader(text))
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	for {
		token, err := d.Token()
		if err == io.EOF {
			return tags, nil
		}
		if err != nil {
			return nil, err
		}
		switch tag := token.(type) {
		case xml.EndElement:
			tags = append(tags, "end")
		case xml.StartElement:
			tags = append(tags, "start "+tag.Name.Space+" "+tag.Name.Local)
			for _, a := range tag.Attr {
				tags = append(tags, a.Name.Local+"="+spaces(a.Value))
			}
		}
	}
}

// FuzzMembers holds the fast way to take objects apart against the slow one.
func FuzzMembers(f *testing.F) {
	for _, text := range []string{
		`{}`, `{ "a" : 1 , "b":"\\"}" , "c":[{"d":"]"},-1.5e3,true] }`, `{"\u0061\"":null,"é":{"x":[]}}`, `{"a":1}x`, `{"a"`,
		"{\"a\xff\":\"\xff\"}", `[1]`, ``,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		fast, fastErr := membersOf(text)
		slow, slowErr := explainedMembersOf(text)
		if (fastErr == nil) != (slowErr == nil) || len(fast) != len(slow) && fastErr == nil {
			t.Fatalf("got %v, %v, want %v, %v", fast, fastErr, slow, slowErr)
		}
		for i := range fast {
			if fast[i].key != slow[i].key || !bytes.Equal(fast[i].value, slow[i].value) {
				t.Fatalf("member %d: got %s %s, want %s %s", i, fast[i].key, fast[i].value, slow[i].key, slow[i].value)
			}
		}
	})
}
