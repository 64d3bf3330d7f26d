// SPDX-License-Identifier: Apache-2.0

// The stored form of the events: what was written once is read for ever, and is written in the same way.

package session

import (
	"encoding/json"
	"maps"
	"reflect"
	"testing"
	"time"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/schema"
)

func TestStoredEventsAreReadForEver(t *testing.T) {
	t.Parallel()
	types, err := schema.New(nil, append(sessionEvents(), subjectEvents()...)...)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 21, 14, 30, 0, 123456000, time.UTC)
	attributes := State{"tab": json.RawMessage(`1`)}
	stored := map[string]schema.Event{
		`{"tenant":"acme","subject":"ada","device":{"name":"Firefox"},"acr":"2","amr":["pwd"],` +
			`"auth_time":"2026-11-21T14:30:00.123456Z","scopes":["read"],"state":{"tab":1},"idle_ms":1800000,` +
			`"expires":"2026-11-21T14:30:00.123456Z","at":"2026-11-21T14:30:00.123456Z",` +
			`"floors":{"subject":1,"tenant":2,"all":3}}`: started{
			"acme", "ada",
			Device{Name: "Firefox"},
			"2",
			[]string{"pwd"},
			at,
			[]string{"read"},
			attributes, 1800000, at, at,
			floors{1, 2, 3},
		},
		`{"set":{"tab":1},"unset":["cart"],"by":"desk"}`: changed{attributes, []string{"cart"}, "desk"},
		`{"acr":"2","amr":["otp"],"auth_time":"2026-11-21T14:30:00.123456Z","scopes":["buy"],"generation":2,` +
			`"at":"2026-11-21T14:30:00.123456Z","by":"login"}`: steppedUp{
			"2", []string{"otp"}, at, []string{"buy"}, 2, at, "login",
		},
		`{"generation":3,"at":"2026-11-21T14:30:00.123456Z"}`:                        rotated{3, at},
		`{"generation":1,"at":"2026-11-21T14:30:00.123456Z"}`:                        refused{1, at},
		`{"since":"2026-11-21T14:30:00.123456Z","at":"2026-11-21T14:30:00.123456Z"}`: wentIdle{at, at},
		`{"at":"2026-11-21T14:30:00.123456Z"}`:                                       expired{at},
		`{"why":"revoked","by":"ops","reason":"lost","at":"2026-11-21T14:30:00.123456Z"}`: ended{
			Revoked, "ops", "lost", at,
		},
		`{"set":{"tab":1},"unset":["cart"],"via":"s","by":"desk"}`: subjectChanged{
			attributes, []string{"cart"}, "s", "desk",
		},
		`{"by":"ops","reason":"lost","at":"2026-11-21T14:30:00.123456Z"}`: subjectRevoked{"ops", "lost", at},
	}
	maps.Copy(stored, storedCarried(at, attributes))
	if want := len(sessionEvents()) + len(subjectEvents()); len(stored) != want {
		t.Errorf("%d types of events are here, %d are declared", len(stored), want)
	}
	for text, value := range stored {
		e, err := types.Encode(value)
		if err != nil || string(e.Data) != text {
			t.Errorf("%s is written as %s, %v; it was %s", e.Type, e.Data, err, text)
		}
		e.Data = []byte(text)
		got, err := types.Decode(&journal.Event{EventData: e})
		if err != nil || !reflect.DeepEqual(got, value) {
			t.Errorf("%s is read as %+v, %v; it was %+v", text, got, err, value)
		}
	}
}

// storedCarried returns the events that carry states.
func storedCarried(at time.Time, attributes State) map[string]schema.Event {
	return map[string]schema.Event{
		`{"tenant":"acme","subject":"ada","device":{"name":"Firefox"},"acr":"2","amr":["pwd"],` +
			`"auth_time":"2026-11-21T14:30:00.123456Z","scopes":["read"],"state":{"tab":1},` +
			`"started":"2026-11-21T14:30:00.123456Z","idle_ms":1800000,"expires":"2026-11-21T14:30:00.123456Z",` +
			`"floors":{"subject":1,"tenant":2,"all":3},"generation":2,"rotated":"2026-11-21T14:30:00.123456Z",` +
			`"before":{"acr":"1","amr":[],"auth_time":"2026-11-21T14:30:00.123456Z","scopes":["read"],"generation":1},` +
			`"refusals":3,"refused_at":"2026-11-21T14:30:00.123456Z",` +
			`"ended":{"why":"revoked","by":"ops","reason":"lost","at":"2026-11-21T14:30:00.123456Z"}}`: carried{
			"acme", "ada",
			Device{Name: "Firefox"},
			"2",
			[]string{"pwd"},
			at,
			[]string{"read"},
			attributes, at, 1800000, at,
			floors{1, 2, 3},
			2, at,
			&carriedBefore{"1", []string{}, at, []string{"read"}, 1},
			3, at,
			&ended{Revoked, "ops", "lost", at},
		},
		`{"state":{},"count":7,"revoked":6,"end":{"by":"ops","reason":"lost",` +
			`"at":"2026-11-21T14:30:00.123456Z"}}`: subjectCarried{
			State{}, 7, 6, &subjectRevoked{"ops", "lost", at},
		},
	}
}

func TestRecordsAreReadForEver(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 21, 14, 30, 0, 0, time.UTC)
	const text = `{"started":"2026-11-21T14:30:00Z","idle_ms":5,"expires":"2026-11-21T14:30:00Z","tenant":"acme",` +
		`"floors":{"subject":1,"tenant":2,"all":3}}`
	want := place{at, 5, at, "acme", floors{1, 2, 3}}
	written, err := json.Marshal(want)
	var read place
	if err == nil {
		err = json.Unmarshal([]byte(text), &read)
	}
	if err != nil || string(written) != text || read != want {
		t.Errorf("written as %s, read as %+v, %v", written, read, err)
	}
}
