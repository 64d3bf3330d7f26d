// SPDX-License-Identifier: Apache-2.0

// What may change in a contract, and whether data keeps it.

package schema

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"example.com/vidimus/journal"
)

// Compare returns what breaks when a program of the old contract is replaced by one of the new: every change of a
// schema that keeps its number, other than adding optional fields, and every type that is gone without being retired.
// Nothing returned means that old events stay readable, and that old readers can read new ones of the same schema.
func Compare(older, newer *Contract) []string {
	var out []string
	for _, s := range older.Types {
		if s.Retired {
			continue
		}
		last := newer.latest(s.Type)
		if last == nil {
			out = append(out, fmt.Sprintf("%s: no longer declared, so stored events would be skipped in silence; "+
				"declare it, or set retired in the contract", s.Type))
			continue
		}
		if last.Schema < s.Schema {
			out = append(out, fmt.Sprintf("%s: schema %d was declared before, now only %d; numbers never go back",
				s.Type, s.Schema, last.Schema))
		}
		if same := newer.find(s.Type, s.Schema); same != nil {
			out = append(out, compareForms(fmt.Sprintf("%s schema %d", s.Type, s.Schema), s.Data, same.Data)...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func compareForms(at string, older, newer Form) []string {
	const remedy = "; give the new form the next schema number and an upcaster"
	var out []string
	if older.Kind != newer.Kind {
		return []string{fmt.Sprintf("%s: was %s, is %s%s", at, older.Kind, newer.Kind, remedy)}
	}
	if older.Optional != newer.Optional {
		out = append(out, fmt.Sprintf("%s: was %s, is %s%s", at, need(older), need(newer), remedy))
	}
	for _, name := range slices.Sorted(maps.Keys(older.Fields)) {
		was := older.Fields[name]
		is, ok := newer.Fields[name]
		if !ok {
			out = append(out, fmt.Sprintf("%s.%s: is gone, readers may need it%s", at, name, remedy))
			continue
		}
		out = append(out, compareForms(at+"."+name, was, is)...)
	}
	for _, name := range slices.Sorted(maps.Keys(newer.Fields)) {
		if _, ok := older.Fields[name]; !ok && !newer.Fields[name].Optional {
			out = append(out, fmt.Sprintf("%s.%s: is new and required, stored events do not have it; make it optional "+
				"(omitempty or a pointer)%s", at, name, remedy))
		}
	}
	if older.Items != nil && newer.Items != nil {
		out = append(out, compareForms(at+"[]", *older.Items, *newer.Items)...)
	}
	return out
}

func need(f Form) string {
	if f.Optional {
		return "optional"
	}
	return "required"
}

func joinLines(lines []string) string { return strings.Join(lines, "\n  ") }

// reads decodes every sample of a contract with the declared types.
func (t *Types) reads(c *Contract) []string {
	var out []string
	for _, s := range c.Types {
		if t.byName[s.Type] == nil || len(s.Sample) == 0 {
			continue
		}
		e := journal.Event{EventData: journal.EventData{Type: s.Type, Schema: s.Schema, Data: s.Sample}}
		if _, err := t.Decode(&e); err != nil {
			out = append(out, fmt.Sprintf("%s schema %d: the sample cannot be read any more: %v", s.Type, s.Schema, err))
		}
	}
	return out
}

// CheckEvent returns what an event's data has against the contract, nothing if it keeps it. Declared is false when
// the contract does not know the type at all.
func (c *Contract) CheckEvent(e *journal.EventData) (problems []string, declared bool) {
	if c.latest(e.Type) == nil {
		return nil, false
	}
	shape := c.find(e.Type, e.Schema)
	if shape == nil {
		return []string{fmt.Sprintf("%s: schema %d is not in the contract", e.Type, e.Schema)}, true
	}
	var value any
	if err := json.Unmarshal(e.Data, &value); err != nil {
		return []string{fmt.Sprintf("%s schema %d: data is no JSON: %v", e.Type, e.Schema, err)}, true
	}
	return shape.Data.check(fmt.Sprintf("%s schema %d", e.Type, e.Schema), value), true
}

func (f Form) check(at string, value any) []string {
	if value == nil {
		if f.Optional || f.Kind == "any" {
			return nil
		}
		return []string{at + ": is missing"}
	}
	ok := true
	var out []string
	switch v := value.(type) {
	case string:
		ok = f.Kind == "string"
	case bool:
		ok = f.Kind == "boolean"
	case float64:
		ok = f.Kind == "number" || f.Kind == "integer" && v == float64(int64(v))
	case []any:
		ok = f.Kind == "array"
		for i := 0; ok && i < len(v) && f.Items != nil; i++ {
			out = append(out, f.Items.check(fmt.Sprintf("%s[%d]", at, i), v[i])...)
		}
	case map[string]any:
		ok = f.Kind == "object" || f.Kind == "map"
		if ok {
			out = f.checkObject(at, v)
		}
	}
	if !ok && f.Kind != "any" {
		return []string{fmt.Sprintf("%s: is %T, the contract says %s", at, value, f.Kind)}
	}
	return out
}

func (f Form) checkObject(at string, value map[string]any) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(f.Fields)) {
		out = append(out, f.Fields[name].check(at+"."+name, value[name])...)
	}
	if f.Kind == "map" && f.Items != nil {
		for _, key := range slices.Sorted(maps.Keys(value)) {
			out = append(out, f.Items.check(at+"."+key, value[key])...)
		}
	}
	return out
}
