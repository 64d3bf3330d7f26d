// SPDX-License-Identifier: Apache-2.0

// What each format reads as, and that reading again gives the same.

package eventlog

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// readAll reads a file to its end or first error.
func readAll(t *testing.T, path string, o Options) ([]Record, error) {
	t.Helper()
	r, err := Open(path, o)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	var records []Record
	for rec, err := range r.All() {
		if err != nil {
			return records, err
		}
		records = append(records, rec)
	}
	return records, nil
}

// readText reads what would be standard input.
func readText(t *testing.T, text string, o Options) ([]Record, error) {
	t.Helper()
	o.Stdin = strings.NewReader(text)
	return readAll(t, "-", o)
}

// show writes records without their IDs, a part a line.
func show(records []Record) string {
	var b strings.Builder
	for _, r := range records {
		at := "-"
		if !r.Time.IsZero() {
			at = r.Time.Format(time.RFC3339Nano)
		}
		fmt.Fprintf(&b, "%s | %s | %d | %s | %s\n", r.Stream, r.Type, r.Schema, at, r.Data)
		if r.Meta != nil {
			fmt.Fprintf(&b, "  meta %s\n", r.Meta)
		}
		if r.Tags != nil {
			fmt.Fprintf(&b, "  tags %q\n", r.Tags)
		}
	}
	return b.String()
}

type readCase struct {
	name, path string
	options    Options
	want       string
}

func readsAs(t *testing.T, cases []readCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			records, err := readAll(t, filepath.Join("testdata", c.path), c.options)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := show(records), c.want[1:]; got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func TestTablesReadAs(t *testing.T) {
	t.Parallel()
	readsAs(t, []readCase{
		{"XES with all kinds of attributes", "loans.xes", Options{}, `
loans-L-1 | Ask & wait | 1 | 2024-03-01T08:00:00.25Z | {"concept:name":"Ask & wait",` +
			`"lifecycle:transition":"complete","time:timestamp":"2024-03-01T09:00:00.250+01:00","score":0.5,"online":true}
  meta {"case":{"concept:name":"L-1","amount":20000}}
loans-L-1 | Pay € <now> | 1 | 2024-03-02T08:00:00Z | {"concept:name":"Pay € <now>",` +
			`"lifecycle:transition":"complete","time:timestamp":"2024-03-02T09:00:00+01:00",` +
			`"items":[{"item":"a"},{"item":"b"}],"to":{"iban":"X","ref":"r-7"},` +
			`"org:resource":{"value":"Ann","attributes":{"age":41}}}
loans-L-3 | Reject | 1 | - | {"concept:name":"Reject"}
  meta {"case":{"concept:name":"L-3"}}
`},
		{"CSV with semicolons, rows of a case apart", "tickets.csv", Options{TagColumns: []string{"Resource"}}, `
tickets-T-1 | open | 1 | 2024-05-01T08:00:00Z | {"Resource":"Ann","Remark":"says \"it broke\"; twice"}
  tags ["Resource:Ann"]
tickets-T-2 | open | 1 | 2024-05-01T06:01:00.5Z | {"Resource":"Bob"}
  tags ["Resource:Bob"]
tickets-T-1 | close | 1 | 2024-05-02T00:00:00Z | {"Resource":"Ann"}
  tags ["Resource:Ann"]
`},
		{"CSV of objects", "objects.csv", Options{Category: "shop", NumberColumns: []string{"weight"}}, `
shop-log | place order | 1 | 2024-05-20T07:07:47Z | {"ocel:eid":"1.0","ocel:type:items":["i1","i2","i1"],` +
			`"ocel:type:orders":["o1"],"weight":3.52}
  tags ["items:i1" "items:i2" "orders:o1"]
shop-log | pick item | 1 | 2024-05-20T08:35:21Z | {"ocel:eid":"2.0","ocel:type:items":["i2"],"weight":2}
  tags ["items:i2"]
`},
		{"CSV of objects, one type of them as the case", "objects.csv", Options{CaseColumn: "ocel:type:items"}, `
objects-i1 | place order | 1 | 2024-05-20T07:07:47Z | {"ocel:eid":"1.0","ocel:type:items":["i1","i2","i1"],` +
			`"ocel:type:orders":["o1"],"weight":"3.52"}
  tags ["items:i1" "items:i2" "orders:o1"]
objects-i2 | pick item | 1 | 2024-05-20T08:35:21Z | {"ocel:eid":"2.0","ocel:type:items":["i2"],"weight":"2"}
  tags ["items:i2"]
`},
	})
}

func TestLinesReadAs(t *testing.T) {
	t.Parallel()
	readsAs(t, []readCase{
		{"NDJSON with and without optional fields", "export.ndjson", Options{}, `
order-1 | order.placed | 2 | 2024-05-01T08:00:00Z | {"total":5}
  meta {"actor":"ann"}
  tags ["order:1"]
order-1 | order.paid | 1 | 2024-05-01T08:00:00Z | null
`},
		{"access log with a request that is none and a cut line", "access.log", Options{}, `
visitor-37dad677cf0b | http.get | 1 | 2024-05-17T08:05:03Z | {"address":"192.0.2.7","user":"ann","method":"GET",` +
			`"path":"/a?b=\\\"c\\\"","protocol":"HTTP/1.1","status":200,"bytes":12,"agent":"Agent/1.0"}
visitor-37dad677cf0b | http.other | 1 | 2024-05-17T08:05:04Z | {"address":"192.0.2.7","request":"\\x16\\x03","status":400}
visitor-2ba3fdf22d35 | http.post | 1 | 2024-05-17T08:05:05Z | {"address":"198.51.100.9","method":"POST",` +
			`"path":"/login","protocol":"HTTP/1.1","status":302,"bytes":5}
visitor-2ba3fdf22d35 | http.head | 1 | 2024-05-17T08:05:06Z | {"address":"198.51.100.9","method":"HEAD","path":"/",` +
			`"protocol":"HTTP/1.0","status":200,"bytes":5,"referer":"http://example.org/","agent":"Agent/2.0 (cut of",` +
			`"truncated":true}
`},
	})
}

func TestFolderAndTarReadAlike(t *testing.T) {
	t.Parallel()
	folder, err := readAll(t, filepath.Join("testdata", "webhooks"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	at := folder[0].Time
	for i := range folder {
		folder[i].Time = at // the checkout's, and no part of the ID
	}
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	files := tar.NewWriter(zip)
	for _, name := range []string{"fork/payload.json", "ping/created.with-app.payload.json", "README"} {
		data, err := os.ReadFile(filepath.Join("testdata", "webhooks", name))
		if err != nil {
			t.Fatal(err)
		}
		header := &tar.Header{Name: "./" + name, Mode: 0o600, Size: int64(len(data)), ModTime: at, Format: tar.FormatPAX}
		if err := files.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := files.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(files.Close(), zip.Close()); err != nil {
		t.Fatal(err)
	}
	unpacked, err := readText(t, packed.String(), Options{Category: "webhooks"})
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`webhooks-fork | fork | 1 | %[1]s | {"forkee":1}
  meta {"file":"fork/payload.json"}
webhooks-ping | ping.created | 1 | %[1]s | {"zen":"short"}
  meta {"file":"ping/created.with-app.payload.json"}
`, at.Format(time.RFC3339Nano))
	for name, got := range map[string][]Record{"folder": folder, "tar": unpacked} {
		if show(got) != want {
			t.Errorf("%s: got:\n%s\nwant:\n%s", name, show(got), want)
		}
	}
	for i := range folder {
		if folder[i].ID != unpacked[i].ID {
			t.Errorf("event %d has ID %s in the folder and %s in the tar", i, folder[i].ID, unpacked[i].ID)
		}
	}
}

func TestEncodingsAndPackingsReadAlike(t *testing.T) {
	t.Parallel()
	const xes = `<?xml version="1.0"?><log><trace><string key="concept:name" value="é€"/>` +
		`<event><string key="concept:name" value="x😀"/></event></trace></log>`
	utf16 := func(high, low int) string {
		out := []byte{0xff, 0xfe}
		if high == 0 {
			out = []byte{0xfe, 0xff}
		}
		for _, u := range utf16Units(xes) {
			pair := [2]byte{byte(u >> 8), byte(u)}
			out = append(out, pair[high], pair[low])
		}
		return string(out)
	}
	latin1 := "<?xml version='1.0' encoding='ISO-8859-1'?><log><trace><string key='concept:name' value='\xe9&#x20ac;'/>" +
		"<event><string key='concept:name' value='x&#128512;'/></event></trace></log>"
	var zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	if _, err := io.WriteString(zip, xes); err != nil || zip.Close() != nil {
		t.Fatal("the gzip was not written")
	}
	for name, text := range map[string]string{
		"plain": xes, "byte order mark": "\ufeff" + xes, "gzip": zipped.String(), "latin 1": latin1,
		"utf-16 little": utf16(1, 0), "utf-16 big": utf16(0, 1),
	} {
		records, err := readText(t, text, Options{Format: XES})
		want := `import-é€ | x😀 | 1 | - | {"concept:name":"x😀"}` + "\n" + `  meta {"case":{"concept:name":"é€"}}` + "\n"
		if got := show(records); err != nil || got != want {
			t.Errorf("%s: got %s, %v", name, got, err)
		}
	}
}

func utf16Units(s string) (units []uint16) {
	for _, r := range s {
		if r < 0x10000 {
			units = append(units, uint16(r))
		} else {
			units = append(units, uint16(0xd800+(r-0x10000)>>10), uint16(0xdc00+(r-0x10000)&0x3ff))
		}
	}
	return units
}

// TestIDsStay pins derived IDs: a change here makes every import that is repeated write its events twice.
func TestIDsStay(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"loans.xes":     "018df906-f8fa-8000-9d4b-e619f72fac25",
		"tickets.csv":   "018f332a-e400-8000-b058-89febd523fb8",
		"export.ndjson": "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b",
		"access.log":    "018f8595-4398-8000-a78f-7d3ba3f9a620",
		"webhooks":      "c0e8d0f3-8d7d-812e-81a9-155f29e7db69",
	} {
		first, err := readAll(t, filepath.Join("testdata", path), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := first[0].ID; got != want {
			t.Errorf("%s begins with ID %s, want %s", path, got, want)
		}
		again, err := readAll(t, filepath.Join("testdata", path), Options{})
		if err != nil || !slices.EqualFunc(first, again, func(a, b Record) bool { return a.ID == b.ID }) {
			t.Errorf("%s gives other IDs when it is read again (%v)", path, err)
		}
	}
}

func TestIDsRiseInAStreamThatIsInTheOrderOfTime(t *testing.T) {
	t.Parallel()
	const rows = "1,a,1969-12-31\n1,b,1970-01-02\n1,c,2024-01-01\n1,d,2024-01-01\n" +
		"1,e,2024-01-01T00:00:00.001Z\n1,f,9999-12-31\n"
	records, err := readText(t, "case,activity,time\n"+rows, Options{Format: CSV})
	if err != nil || len(records) != 6 {
		t.Fatal(len(records), err)
	}
	for i, r := range records[1:] {
		if r.ID <= records[i].ID {
			t.Errorf("%s, at %v, follows %s, at %v", r.ID, r.Time, records[i].ID, records[i].Time)
		}
	}
}

func TestEqualEventsOfOneCaseHaveTheirOwnIDs(t *testing.T) {
	t.Parallel()
	const row = "1,scan,2024-01-01\n"
	records, err := readText(t, "case,activity,time\n"+row+row+row, Options{Format: CSV})
	if err != nil || len(records) != 3 {
		t.Fatal(len(records), err)
	}
	ids := map[string]bool{}
	for _, r := range records {
		ids[r.ID] = true
		if !isUUID(r.ID) || r.ID[14] != '8' || !strings.Contains("89ab", r.ID[19:20]) {
			t.Errorf("%s is no UUID of version 8", r.ID)
		}
	}
	if len(ids) != 3 {
		t.Errorf("3 events have %d IDs", len(ids))
	}
}

func TestSmallReadsGiveTheSameRecords(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"loans.xes", "tickets.csv", "objects.csv", "export.ndjson", "access.log"} {
		whole, err := readAll(t, filepath.Join("testdata", name), Options{})
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		o := Options{Stdin: iotest.DataErrReader(iotest.OneByteReader(bytes.NewReader(text)))}
		if name == "export.ndjson" {
			o.Format = NDJSON
		} else {
			o.Category = defaultCategory(name, Auto)
			if name == "access.log" {
				o.Category = "visitor"
			}
		}
		pieces, err := readAll(t, "-", o)
		if got, want := show(pieces), show(whole); err != nil || got != want {
			t.Errorf("%s: got:\n%s\nwant:\n%s (%v)", name, got, want, err)
		}
	}
}

func TestOffsetEndsAtSize(t *testing.T) {
	t.Parallel()
	r, err := Open(filepath.Join("testdata", "loans.xes"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for rec, err := range r.All() {
		if err != nil || !json.Valid(rec.Data) {
			t.Fatal(rec, err)
		}
	}
	if r.Offset() != r.Size() || r.Size() < 1000 {
		t.Errorf("read %d of %d bytes", r.Offset(), r.Size())
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	for rec, err := range r.All() {
		if err == nil {
			t.Errorf("event %v after the end", rec)
		}
	}
}
