// SPDX-License-Identifier: Apache-2.0

// Package schema turns stored events into values of a program and back, while both change over the years.
//
// A program declares the types of events it knows, each by its stored name and with the number of its present schema.
// Old data is lifted to it step by step by upcasters when it is read; the journal itself is never rewritten. The rules
// for events that a program meets are a contract:
//
//   - a type that is not declared is skipped, so that new types can be rolled out before old readers know them;
//   - a declared type that cannot be decoded is an error, never skipped.
//
// A change that only adds optional fields keeps the schema's number: old readers ignore them. Any other change takes
// the next number and an upcaster. The contract can be kept in a file next to the code, see [Types.CheckFile].
package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"example.com/vidimus/journal"
)

// Errors to branch on with errors.Is.
var (
	// ErrUndeclared: the value's type was not declared.
	ErrUndeclared = errors.New("event type not declared")
	// ErrDecode: the data of a declared type cannot be decoded.
	ErrDecode = errors.New("event cannot be decoded")
	// ErrNewer: the data has a later schema than the program knows.
	ErrNewer = errors.New("event schema is newer than this program")
	// ErrBreaking: the contract was changed in a way that breaks readers or stored events.
	ErrBreaking = errors.New("breaking change of the contract")
)

// Event is a value that can be an event. The name is what is stored: it never changes, and is not the Go name.
type Event interface{ EventType() string }

// Cast turns data of one schema into data of the next, or of the one before.
type Cast func(data []byte) ([]byte, error)

// Declaration says how one type of event is stored.
type Declaration struct {
	// Event is any value of the Go type that holds such an event, most often its zero value; no pointer.
	Event Event
	// Schema is the number of the schema that the Go type has now; 0 stands for 1.
	Schema int
	// Up lifts old data: Up[0] from schema 1 to 2, Up[1] from 2 to 3, up to Schema.
	Up []Cast
	// Down lowers data for readers that are not upgraded yet: Down[0] from schema 2 to 1 and so on. It may be shorter
	// than Up or nil.
	Down []Cast
	// Writes is the schema that Encode writes, Schema where it is 0. Set it to the old number until every reader is
	// upgraded; it needs Down.
	Writes int
}

// Codec turns values into data and back.
type Codec interface {
	Marshal(value any) ([]byte, error)
	Unmarshal(data []byte, value any) error
}

// JSON is the usual codec, that of encoding/json: fields it does not know are ignored.
type JSON struct{}

// Marshal implements [Codec].
func (JSON) Marshal(value any) ([]byte, error) { return json.Marshal(value) }

// Unmarshal implements [Codec].
func (JSON) Unmarshal(data []byte, value any) error { return json.Unmarshal(data, value) }

// Types are the declared types of events. Goroutines may share them.
type Types struct {
	codec  Codec
	byName map[string]*declared
	names  []string // in the order of declaration
}

type declared struct {
	Declaration
	name string
	goes reflect.Type
}

// New declares types of events, encoded by codec, which is [JSON] where it is nil. It returns an error that names the
// type whose declaration is wrong.
func New(codec Codec, declarations ...Declaration) (*Types, error) {
	if codec == nil {
		codec = JSON{}
	}
	t := &Types{codec: codec, byName: map[string]*declared{}}
	for _, d := range declarations {
		if d.Event == nil {
			return nil, errors.New("schema: a declaration has no Event; set it to a value of the Go type")
		}
		n := &declared{Declaration: d, name: d.Event.EventType(), goes: reflect.TypeOf(d.Event)}
		if err := n.complete(); err != nil {
			return nil, fmt.Errorf("schema: type %q (%v): %w", n.name, n.goes, err)
		}
		if other := t.byName[n.name]; other != nil {
			return nil, fmt.Errorf("schema: %v and %v both have the stored name %q", other.goes, n.goes, n.name)
		}
		t.byName[n.name] = n
		t.names = append(t.names, n.name)
	}
	return t, nil
}

func (d *declared) complete() error {
	if d.Schema == 0 {
		d.Schema = 1
	}
	if d.Writes == 0 {
		d.Writes = d.Schema
	}
	switch {
	case d.name == "":
		return errors.New("EventType returns no name")
	case d.goes.Kind() == reflect.Pointer:
		return errors.New("Event is a pointer; declare the value")
	case d.Schema < 1:
		return fmt.Errorf("schema %d; number schemas from 1", d.Schema)
	case len(d.Up) != d.Schema-1:
		return fmt.Errorf("schema %d needs %d upcasters in Up, there are %d", d.Schema, d.Schema-1, len(d.Up))
	case len(d.Down) > len(d.Up):
		return fmt.Errorf("Down has %d casts, schema %d can be lowered %d times", len(d.Down), d.Schema, d.Schema-1)
	case d.Writes < 1 || d.Writes > d.Schema:
		return fmt.Errorf("Writes %d is not between 1 and %d", d.Writes, d.Schema)
	}
	for i, cast := range d.Up {
		if cast == nil {
			return fmt.Errorf("Up[%d] is nil", i)
		}
	}
	if err := d.castable(d.Schema, d.Writes); err != nil {
		return fmt.Errorf("Writes %d: %w", d.Writes, err)
	}
	return nil
}

func (d *declared) castable(from, to int) error {
	for s := from; s > to; s-- {
		if s-2 >= len(d.Down) || d.Down[s-2] == nil {
			return fmt.Errorf("there is no downcaster from schema %d to %d in Down[%d]", s, s-1, s-2)
		}
	}
	return nil
}

// Encode makes an event of a value, with a new id. It returns [ErrUndeclared], or the error of the codec.
func (t *Types) Encode(value Event) (journal.EventData, error) {
	d := t.byName[value.EventType()]
	if d == nil || d.goes != reflect.TypeOf(value) {
		return journal.EventData{}, fmt.Errorf("%w: %q (%T); add it to schema.New", ErrUndeclared, value.EventType(), value)
	}
	data, err := t.codec.Marshal(value)
	if err == nil {
		data, err = d.cast(data, d.Schema, d.Writes)
	}
	if err != nil {
		return journal.EventData{}, fmt.Errorf("encode %s: %w", d.name, err)
	}
	return journal.EventData{ID: journal.NewID(), Type: d.name, Schema: d.Writes, Data: data}, nil
}

// Decode makes a value of an event: one of the declared Go type, never a pointer. Of an event whose type is not
// declared it returns nil without an error: skip it. It returns [ErrDecode] or [ErrNewer] when a declared type
// cannot be read; going on would lose the event.
func (t *Types) Decode(e *journal.Event) (Event, error) {
	d := t.byName[e.Type]
	if d == nil {
		return nil, nil
	}
	data, err := t.Lift(e, d.Schema)
	if err != nil {
		return nil, err
	}
	value := reflect.New(d.goes)
	if err := t.codec.Unmarshal(data, value.Interface()); err != nil {
		return nil, d.failed(e, err)
	}
	return value.Elem().Interface().(Event), nil
}

func (d *declared) failed(e *journal.Event, err error) error {
	return fmt.Errorf("%w: %s version %d at position %d, type %s schema %d, into %v: %w",
		ErrDecode, e.Stream, e.Version, e.Position, e.Type, e.Schema, d.goes, err)
}

// Lift returns the event's data in the given schema of its type, raised or lowered, to serve readers of another age.
// It returns [ErrUndeclared], [ErrNewer] or [ErrDecode].
func (t *Types) Lift(e *journal.Event, schema int) ([]byte, error) {
	d := t.byName[e.Type]
	switch {
	case d == nil:
		return nil, fmt.Errorf("%w: %q", ErrUndeclared, e.Type)
	case e.Schema > d.Schema:
		return nil, fmt.Errorf("%w: %s version %d has type %s schema %d, this program knows up to %d; upgrade it, or "+
			"have the writer set Writes to %d", ErrNewer, e.Stream, e.Version, e.Type, e.Schema, d.Schema, d.Schema)
	case schema < 1 || schema > d.Schema || e.Schema < 1:
		return nil, d.failed(e, fmt.Errorf("there is no cast from schema %d to %d", e.Schema, schema))
	}
	data, err := d.cast(e.Data, e.Schema, schema)
	if err != nil {
		return nil, d.failed(e, err)
	}
	return data, nil
}

func (d *declared) cast(data []byte, from, to int) (out []byte, err error) {
	if err := d.castable(from, to); err != nil {
		return nil, err
	}
	for ; from < to; from++ {
		if data, err = d.Up[from-1](data); err != nil {
			return nil, fmt.Errorf("raise schema %d to %d: %w", from, from+1, err)
		}
	}
	for ; from > to; from-- {
		if data, err = d.Down[from-2](data); err != nil {
			return nil, fmt.Errorf("lower schema %d to %d: %w", from, from-1, err)
		}
	}
	return data, nil
}
