// SPDX-License-Identifier: Apache-2.0

// The contract: what the data of each schema looks like, as a file that lives next to the code.

package schema

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
)

// Contract describes the data of every schema that was ever written, for JSON data.
type Contract struct {
	Types []Shape `json:"types"`
}

// Shape describes one schema of one type of event.
type Shape struct {
	// Type is the stored name, Schema its number.
	Type   string `json:"type"`
	Schema int    `json:"schema"`
	// Data is the form of the data.
	Data Form `json:"data"`
	// Sample is data as a writer of this schema stored it. Every later program must be able to read it.
	Sample json.RawMessage `json:"sample"`
	// Retired: the program does not declare the type any more, and skips such events on purpose.
	Retired bool `json:"retired,omitempty"`
}

// Form is what a JSON value may be.
type Form struct {
	// Kind is string, integer, number, boolean, object, array, map or any.
	Kind string `json:"kind"`
	// Optional: the value may be missing or null.
	Optional bool `json:"optional,omitempty"`
	// Fields are those of an object, by name.
	Fields map[string]Form `json:"fields,omitempty"`
	// Items is the form of an array's or a map's items.
	Items *Form `json:"items,omitempty"`
}

// ReadContract parses a contract file. It returns an error that says what is wrong with it.
func ReadContract(data []byte) (*Contract, error) {
	var c Contract
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return nil, fmt.Errorf("contract: %w", err)
	}
	for i, s := range c.Types {
		if s.Type == "" || s.Schema < 1 || s.Data.Kind == "" {
			return nil, fmt.Errorf("contract: types[%d] needs type, schema (from 1) and data.kind", i)
		}
	}
	return &c, nil
}

// Contract describes the present schemas of the declared types.
func (t *Types) Contract() (*Contract, error) {
	c := &Contract{}
	for _, name := range t.names {
		d := t.byName[name]
		sample, err := t.codec.Marshal(sampleOf(d.goes))
		if err != nil {
			return nil, fmt.Errorf("contract: sample of %s: %w", name, err)
		}
		if !json.Valid(sample) {
			return nil, fmt.Errorf("contract: %s is not stored as JSON; a contract describes only JSON", name)
		}
		form, err := formOf(d.goes)
		if err != nil {
			return nil, fmt.Errorf("contract: %s: %w", name, err)
		}
		c.Types = append(c.Types, Shape{Type: name, Schema: d.Schema, Data: form, Sample: sample})
	}
	c.sort()
	return c, nil
}

func (c *Contract) sort() {
	slices.SortFunc(c.Types, func(a, b Shape) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Schema, b.Schema))
	})
}

// CheckFile compares the declared types with the contract kept in a file, in a test of the program that declares
// them. With update it first writes what is new into the file, keeping all older schemas; what breaks the contract is
// never written. It returns [ErrBreaking] with every reason, or an error that says to run with update.
func (t *Types) CheckFile(path string, update bool) error {
	now, err := t.Contract()
	if err != nil {
		return err
	}
	kept := &Contract{}
	data, err := os.ReadFile(path)
	switch {
	case err == nil:
		if kept, err = ReadContract(data); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if breaks := slices.Concat(Compare(kept, now), t.reads(kept)); len(breaks) > 0 {
		return fmt.Errorf("%w %s:\n  %s", ErrBreaking, path, joinLines(breaks))
	}
	want, err := json.MarshalIndent(kept.with(now), "", "  ")
	if err != nil {
		return err
	}
	if want = append(want, '\n'); bytes.Equal(want, data) {
		return nil
	}
	if !update {
		return fmt.Errorf("%s does not have the present schemas; run the test again with update and commit the file", path)
	}
	return os.WriteFile(path, want, 0o644)
}

// with returns the contract with the shapes of now added or put in the place of their equals.
func (c *Contract) with(now *Contract) *Contract {
	out := &Contract{Types: slices.Clone(now.Types)}
	for _, s := range c.Types {
		if now.find(s.Type, s.Schema) == nil {
			out.Types = append(out.Types, s)
		}
	}
	out.sort()
	return out
}

func (c *Contract) find(name string, schema int) *Shape {
	for i := range c.Types {
		if c.Types[i].Type == name && c.Types[i].Schema == schema {
			return &c.Types[i]
		}
	}
	return nil
}

func (c *Contract) latest(name string) *Shape {
	var last *Shape
	for i := range c.Types {
		if s := &c.Types[i]; s.Type == name && (last == nil || s.Schema > last.Schema) {
			last = s
		}
	}
	return last
}
