// SPDX-License-Identifier: Apache-2.0

// Events, well and badly formed.

package heartbeat

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"example.com/vidimus/passport"
)

const oneFrame = `{"log":"c3","ep":7,"after":1,"through":3}`

func TestEventsAreRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text   string
		frames int
		end    error
	}{
		"one":                        {"id: c3.7:3\ndata: " + oneFrame + "\n\n", 1, io.EOF},
		"CRLF":                       {"data: " + oneFrame + "\r\n\r\n", 1, io.EOF},
		"no space":                   {"data:" + oneFrame + "\n\n", 1, io.EOF},
		"comments and empty events":  {":\n\n: hello\n\n\n\ndata: " + oneFrame + "\n\nid: x\n\n", 1, io.EOF},
		"data in two lines":          {"data: {\"log\":\"c3\",\ndata: \"ep\":7,\"through\":3}\n\n", 1, io.EOF},
		"fields of a later release":  {`data: {"log":"c3","ep":7,"through":3,"mood":"fine"}` + "\n\n", 1, io.EOF},
		"two":                        {strings.Repeat("data: "+oneFrame+"\n\n", 2), 2, io.EOF},
		"nothing":                    {"", 0, io.EOF},
		"cut within a line":          {"data: " + oneFrame, 0, io.ErrUnexpectedEOF},
		"cut before the empty line":  {"data: " + oneFrame + "\n", 0, io.ErrUnexpectedEOF},
		"an unheard field":           {"date: " + oneFrame + "\n\n", 0, ErrInvalid},
		"a CR alone":                 {"data: " + oneFrame + "\rdata: x\n\n", 0, ErrInvalid},
		"no UTF-8":                   {"data: \xff\n\n", 0, ErrInvalid},
		"no JSON":                    {"data: {\n\n", 0, ErrInvalid},
		"two values":                 {"data: " + oneFrame + oneFrame + "\n\n", 0, ErrInvalid},
		"a frame that breaks a rule": {`data: {"log":"c3","ep":7,"after":5,"through":3}` + "\n\n", 0, ErrInvalid},
		"a frame of no log":          {"data: {}\n\n", 0, ErrInvalid},
		"a line without end":         {"data: " + strings.Repeat("x", maxEvent+1), 0, ErrInvalid},
		"lines without end":          {strings.Repeat("data: xxxxxxxxxxxxxxxx\n", maxEvent/16), 0, ErrInvalid},
	} {
		for way, r := range map[string]io.Reader{
			"at once": strings.NewReader(c.text), "byte by byte": iotest.OneByteReader(strings.NewReader(c.text)),
		} {
			events, n := newEventReader(r), 0
			var err error
			for err == nil {
				if _, err = events.next(); err == nil {
					n++
				}
			}
			if n != c.frames || !errors.Is(err, c.end) {
				t.Errorf("%s, %s: %d frames, then %v; want %d and %v", name, way, n, err, c.frames, c.end)
			}
		}
	}
}

func TestReaderKeepsNoMoreThanItsLimit(t *testing.T) {
	t.Parallel()
	endless := io.MultiReader(strings.NewReader("data: "), endlessReader{})
	read := &countingReader{r: endless}
	if _, err := newEventReader(read).next(); !errors.Is(err, ErrInvalid) {
		t.Errorf("got %v", err)
	}
	if read.n > maxEvent+64<<10 {
		t.Errorf("%d bytes were read", read.n)
	}
}

type endlessReader struct{}

func (endlessReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

type countingReader struct {
	r io.Reader
	n int
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

func TestLargestFrameFitsAnEvent(t *testing.T) {
	t.Parallel()
	var changes []Change
	for i := range int64(MaxChanges) {
		key := strings.Repeat("<", MaxKey) // JSON writes it with six bytes
		changes = append(changes, Change{Position: 1<<52 + i, Scope: Session, Key: key, Effect: Superseded})
	}
	f := frame(1<<52-1, 1<<52+MaxChanges, changes...)
	text, err := f.AppendEvent(nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := newEventReader(strings.NewReader(string(text))).next()
	if err != nil || !reflect.DeepEqual(got, f) {
		t.Errorf("%d bytes were not read again: %v", len(text), err)
	}
}

// FuzzEvents reads any bytes as events. What is read is a frame that obeys the rules, and reads the same when it is
// written.
func FuzzEvents(f *testing.F) {
	f.Add([]byte("id: c3.7:3\ndata: " + oneFrame + "\n\n"))
	f.Add([]byte("retry: 5\r\n: x\r\n\r\ndata:{\r\ndata:}\r\n\r\n"))
	whole := snapshot(3, 9, ended(4, "s"), Change{Position: 9, Scope: All, Effect: Superseded})
	text, err := whole.AppendEvent(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(append(text, text[:20]...))
	f.Fuzz(func(t *testing.T, text []byte) {
		for events := newEventReader(strings.NewReader(string(text))); ; {
			got, err := events.next()
			if err != nil {
				if !errors.Is(err, ErrInvalid) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Fatalf("an error of no kind: %v", err)
				}
				return
			}
			if err := got.Validate(); err != nil {
				t.Fatalf("a frame was read that breaks a rule: %v", err)
			}
			written, err := got.AppendEvent(nil)
			if err != nil {
				t.Fatal(err)
			}
			again, err := newEventReader(strings.NewReader(string(written))).next()
			if err != nil || fmt.Sprint(again) != fmt.Sprint(got) {
				t.Fatalf("%+v was written and read as %+v, %v", got, again, err)
			}
		}
	})
}

// FuzzFrame reads any bytes as a frame and applies it: the view stays within its rules.
func FuzzFrame(f *testing.F) {
	f.Add([]byte(oneFrame))
	f.Add([]byte(`{"log":"c3","ep":7,"after":4,"through":9,"snapshot":true,"changes":[` +
		`{"pos":5,"scope":"session","key":"s","effect":"revoked"},{"pos":9,"scope":"all","effect":"superseded"}]}`))
	f.Add([]byte(`{"log":"c3","ep":7,"through":9223372036854775807,"changes":[{"pos":1,"scope":"x","effect":"y"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := parseFrame(data)
		if err != nil {
			return
		}
		v, _ := newTestView(2)
		if err := v.Apply(snapshot(2, 4)); err != nil {
			t.Fatal(err)
		}
		before := v.Through()
		err = v.Apply(got)
		after := v.Through()
		switch {
		case err != nil && after != before:
			t.Fatalf("refused with %v, and moved from %v to %v", err, before, after)
		case after.SameLog(before) && !after.Reaches(before):
			t.Fatalf("went back from %v to %v", before, after)
		case !after.SameLog(before) && !got.Snapshot:
			t.Fatalf("went over to %v without a snapshot", after)
		case len(v.mu.floors.order) > 4:
			t.Fatalf("%d floors are kept", len(v.mu.floors.order))
		}
		for i := range got.Changes {
			ch := &got.Changes[i]
			below := passport.Claims{Mark: after, Session: ch.Key, Txn: ch.Key, Tenant: ch.Key, KeyID: ch.Key}
			below.Position = ch.Position - 1
			if err == nil && ch.Scope != Subject && v.Judge(&below) == nil {
				t.Fatalf("%+v was applied, and a passport below it is good", ch)
			}
		}
	})
}
