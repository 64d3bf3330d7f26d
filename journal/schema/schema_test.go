// SPDX-License-Identifier: Apache-2.0

// What the contract promises.

package schema_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/schema"
)

type placedV1 struct {
	Customer string `json:"customer"`
	Total    int    `json:"total"`
}

func (placedV1) EventType() string { return "order.placed" }

type money struct {
	Amount   int    `json:"amount"`
	Currency string `json:"currency"`
}

type placedV2 struct {
	Customer string    `json:"customer"`
	Total    money     `json:"total"`
	At       time.Time `json:"at,omitzero"`
	Notes    []string  `json:"notes,omitempty"`
}

func (placedV2) EventType() string { return "order.placed" }

func up(data []byte) ([]byte, error) {
	var old placedV1
	if err := json.Unmarshal(data, &old); err != nil {
		return nil, err
	}
	return json.Marshal(placedV2{Customer: old.Customer, Total: money{old.Total, "EUR"}})
}

func down(data []byte) ([]byte, error) {
	var now placedV2
	if err := json.Unmarshal(data, &now); err != nil {
		return nil, err
	}
	return json.Marshal(placedV1{now.Customer, now.Total.Amount})
}

func typesV1(t testing.TB) *schema.Types {
	t.Helper()
	types, err := schema.New(nil, schema.Declaration{Event: placedV1{}})
	if err != nil {
		t.Fatal(err)
	}
	return types
}

func typesV2(t testing.TB, writes int) *schema.Types {
	t.Helper()
	types, err := schema.New(nil, schema.Declaration{
		Event: placedV2{}, Schema: 2, Up: []schema.Cast{up}, Down: []schema.Cast{down}, Writes: writes,
	})
	if err != nil {
		t.Fatal(err)
	}
	return types
}

func stored(t testing.TB, types *schema.Types, value schema.Event) *journal.Event {
	t.Helper()
	data, err := types.Encode(value)
	if err != nil {
		t.Fatal(err)
	}
	return &journal.Event{EventData: data, Stream: "order-1", Version: 1, Position: 1}
}

func TestOldEventsAreReadByNewCode(t *testing.T) {
	t.Parallel()
	got, err := typesV2(t, 0).Decode(stored(t, typesV1(t), placedV1{"ann", 42}))
	want := placedV2{Customer: "ann", Total: money{42, "EUR"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %#v, %v, want %#v", got, err, want)
	}
}

func TestNewCodeWritesWhatOldReadersKnow(t *testing.T) {
	t.Parallel()
	e := stored(t, typesV2(t, 1), placedV2{Customer: "ann", Total: money{42, "EUR"}})
	got, err := typesV1(t).Decode(e)
	if want := (placedV1{"ann", 42}); err != nil || got != want || e.Schema != 1 {
		t.Fatalf("got %#v of schema %d, %v, want %#v of schema 1", got, e.Schema, err, want)
	}
}

func TestDecodeFollowsTheContract(t *testing.T) {
	t.Parallel()
	newer := stored(t, typesV2(t, 2), placedV2{Customer: "ann"})
	broken := stored(t, typesV1(t), placedV1{})
	broken.Data = []byte(`{"total":"many"}`)
	undeclared := &journal.Event{EventData: journal.EventData{Type: "order.lost", Schema: 1, Data: []byte("?")}}
	zero := stored(t, typesV1(t), placedV1{})
	zero.Schema = 0
	for _, test := range []struct {
		name  string
		event *journal.Event
		want  error
	}{
		{"a type that is not declared is skipped", undeclared, nil},
		{"a newer schema is an error", newer, schema.ErrNewer},
		{"declared data that cannot be decoded is an error", broken, schema.ErrDecode},
		{"schema 0 is an error", zero, schema.ErrDecode},
	} {
		got, err := typesV1(t).Decode(test.event)
		if got != nil || !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, %v, want %v", test.name, got, err, test.want)
		}
	}
	if _, err := typesV2(t, 0).Decode(broken); !errors.Is(err, schema.ErrDecode) {
		t.Errorf("an upcaster that fails: got %v", err)
	}
}

func TestDeclarationsThatAreWrongAreRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		want string
		d    []schema.Declaration
	}{
		{"has no Event", []schema.Declaration{{}}},
		{"is a pointer", []schema.Declaration{{Event: &placedV1{}}}},
		{"needs 1 upcasters", []schema.Declaration{{Event: placedV1{}, Schema: 2}}},
		{"Up[0] is nil", []schema.Declaration{{Event: placedV1{}, Schema: 2, Up: []schema.Cast{nil}}}},
		{"no downcaster", []schema.Declaration{{Event: placedV2{}, Schema: 2, Up: []schema.Cast{up}, Writes: 1}}},
		{"Down has 1", []schema.Declaration{{Event: placedV1{}, Down: []schema.Cast{down}}}},
		{"not between", []schema.Declaration{{Event: placedV1{}, Writes: 3}}},
		{"number schemas from 1", []schema.Declaration{{Event: placedV1{}, Schema: -1}}},
		{"both have the stored name", []schema.Declaration{{Event: placedV1{}}, {
			Event: placedV2{}, Schema: 2, Up: []schema.Cast{up},
		}}},
	} {
		if _, err := schema.New(nil, test.d...); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want an error that says %q", err, test.want)
		}
	}
	if _, err := typesV1(t).Encode(placedV2{}); !errors.Is(err, schema.ErrUndeclared) {
		t.Errorf("another Go type of a declared name: got %v", err)
	}
}

func TestContractFileKeepsWhatWasPromised(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "contract.json")
	if err := typesV1(t).CheckFile(path, false); err == nil || !strings.Contains(err.Error(), "run the test again") {
		t.Fatalf("a missing file: got %v", err)
	}
	for _, types := range []*schema.Types{typesV1(t), typesV2(t, 0)} {
		if err := types.CheckFile(path, true); err != nil {
			t.Fatal(err)
		}
		if err := types.CheckFile(path, false); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := schema.ReadContract(data); err != nil || len(c.Types) != 2 {
		t.Fatalf("the file has %v, %v, want both schemas", c, err)
	}
	if err := typesV1(t).CheckFile(path, true); !errors.Is(err, schema.ErrBreaking) {
		t.Fatalf("going back to schema 1: got %v", err)
	}
	careless, err := schema.New(nil, schema.Declaration{Event: placedV2{}, Schema: 2, Up: []schema.Cast{
		func([]byte) ([]byte, error) { return []byte(`[]`), nil },
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := careless.CheckFile(path, true); !errors.Is(err, schema.ErrBreaking) ||
		!strings.Contains(err.Error(), "sample cannot be read") {
		t.Fatalf("an upcaster that breaks old samples: got %v", err)
	}
}

func TestCompareFindsBreakingChanges(t *testing.T) {
	t.Parallel()
	base := `{"types":[{"type":"t","schema":1,"sample":{},"data":{"kind":"object","fields":{
		"a":{"kind":"string"},"b":{"kind":"array","optional":true,"items":{"kind":"integer"}}}}}]}`
	for _, test := range []struct{ name, from, to, want string }{
		{"nothing changed", ``, ``, ""},
		{"a new optional field", `"a":`, `"c":{"kind":"string","optional":true},"a":`, ""},
		{"a new required field", `"a":`, `"c":{"kind":"string"},"a":`, "t schema 1.c: is new and required"},
		{"a field gone", `"a":{"kind":"string"},`, ``, "t schema 1.a: is gone"},
		{"another kind", `"kind":"string"`, `"kind":"number"`, "was string, is number"},
		{"another kind of item", `"kind":"integer"`, `"kind":"string"`, "t schema 1.b[]: was integer, is string"},
		{"optional made required", `"optional":true,`, ``, "was optional, is required"},
		{"the type gone", `"type":"t"`, `"type":"u"`, "t: no longer declared"},
		{"a new schema", `"schema":1`, `"schema":2`, ""},
	} {
		older, err := schema.ReadContract([]byte(base))
		if err != nil {
			t.Fatal(err)
		}
		newer, err := schema.ReadContract([]byte(strings.Replace(base, test.from, test.to, 1)))
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(schema.Compare(older, newer), "\n")
		if (test.want == "") != (got == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestEventsAreCheckedAgainstTheContract(t *testing.T) {
	t.Parallel()
	c, err := typesV2(t, 0).Contract()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		data string
		want string
	}{
		{string(c.Types[0].Sample), ""},
		{`{"customer":"ann","total":{"amount":1,"currency":"EUR"},"more":true}`, ""},
		{`{"customer":"ann","total":{"amount":1.5,"currency":"EUR"}}`, "order.placed schema 2.total.amount: is float64"},
		{`{"total":{"amount":1,"currency":"EUR"}}`, "order.placed schema 2.customer: is missing"},
		{`{"customer":"ann","total":{"amount":1,"currency":"EUR"},"notes":[1]}`, ".notes[0]: is float64"},
		{`nonsense`, "data is no JSON"},
	} {
		problems, declared := c.CheckEvent(&journal.EventData{Type: "order.placed", Schema: 2, Data: []byte(test.data)})
		got := strings.Join(problems, "\n")
		if !declared || (test.want == "") != (got == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.data, got, test.want)
		}
	}
	if p, declared := c.CheckEvent(&journal.EventData{Type: "order.placed", Schema: 9}); !declared || len(p) != 1 {
		t.Errorf("an unknown schema: got %v", p)
	}
	if _, declared := c.CheckEvent(&journal.EventData{Type: "other", Schema: 1}); declared {
		t.Error("an unknown type counts as declared")
	}
}

func FuzzReadContract(f *testing.F) {
	f.Add([]byte(`{"types":[{"type":"t","schema":1,"data":{"kind":"object","fields":{"a":{"kind":"any"}}},"sample":{}}]}`),
		[]byte(`{"a":[1,{"b":null}]}`))
	f.Add([]byte(`{"types":[{"type":"t","schema":1,"data":{"kind":"array"}}]}`), []byte(`[1,"x"]`))
	f.Fuzz(func(t *testing.T, contract, data []byte) {
		c, err := schema.ReadContract(contract)
		if err != nil {
			return
		}
		if broken := schema.Compare(c, c); len(c.Types) == 1 && len(broken) > 0 && !c.Types[0].Retired {
			t.Fatalf("a contract breaks itself: %v", broken)
		}
		for _, s := range c.Types {
			c.CheckEvent(&journal.EventData{Type: s.Type, Schema: s.Schema, Data: data})
		}
	})
}
