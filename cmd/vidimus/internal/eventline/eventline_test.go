// SPDX-License-Identifier: Apache-2.0

// Tests that a line is read back as the event it was written from.

package eventline_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"example.com/vidimus/cmd/vidimus/internal/eventline"
	"example.com/vidimus/cmd/vidimus/internal/eventlog"
	"example.com/vidimus/journal"
)

func event(data, meta string, tags ...string) *journal.Event {
	return &journal.Event{
		EventData: journal.EventData{
			ID: journal.ID{1, 2, 3}, Type: "order.placed", Schema: 2,
			Time: time.Date(2026, 1, 31, 12, 0, 0, 123456000, time.UTC),
			Data: []byte(data), Meta: []byte(meta), Tags: tags,
		},
		Position: 7, Stream: "order-1", Version: 3,
	}
}

func TestALineComesBackTheSame(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]*journal.Event{
		"plain":              event(`{"total":42}`, `{"actor":"a"}`, "order:1", `quote:"é`),
		"nothing":            event("", ""),
		"space within":       event(`{ "b" : 1.50, "a":"<&>\u00e9" }`, `{ }`),
		"space around":       event(" {}\n", "{\n}"),
		"no JSON":            event("\x00\xff", "[1]"),
		"no UTF-8":           event("\"\xff\"", "{\"\xff\":1}"),
		"null":               event("null", "null"),
		"number":             event("12345678901234567890", ""),
		"two values":         event("{}{}", ""),
		"unicode line break": event("\"\u2028\"", ""),
	} {
		line := string(eventline.Append(nil, e))
		if !json.Valid([]byte(line)) || strings.Count(line, "\n") != 1 {
			t.Errorf("%s: no line of JSON: %q", name, line)
		}
		r, err := eventlog.Open("-", eventlog.Options{Format: eventlog.NDJSON, Stdin: strings.NewReader(line)})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for rec, err := range r.All() {
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			same := rec.Stream == string(e.Stream) && rec.Type == e.Type && rec.ID == e.ID.String() &&
				rec.Schema == e.Schema && rec.Time.Equal(e.Time) && string(rec.Data) == string(e.Data) &&
				string(rec.Meta) == string(e.Meta) && strings.Join(rec.Tags, "|") == strings.Join(e.Tags, "|")
			if !same {
				t.Errorf("%s: got %+v, want %+v", name, rec, e)
			}
		}
	}
}

func ExampleAppend() {
	e := journal.Event{
		EventData: journal.EventData{
			ID: journal.ID{15: 1}, Type: "order.placed", Schema: 1, Time: time.Unix(0, 0), Data: []byte(`{"total":42}`),
		},
		Position: 1, Stream: "order-7", Version: 1,
	}
	_, _ = os.Stdout.Write(eventline.Append(nil, &e))
	// Output:
	// {"position":1,"stream":"order-7","version":1,"type":"order.placed","schema":1,"id":"00000000-0000-0000-0000-000000000001","time":"1970-01-01T00:00:00Z","data":{"total":42}}
}
