// SPDX-License-Identifier: Apache-2.0

// Package entitytest tests a domain as a story: given what has happened, when a command comes, then that happens.
//
//	entitytest.Given[Seat](t, Held{"ada"}).When(Free{"ada"}).Then(Freed{})
//	entitytest.Given[Seat](t, Held{"ada"}).When(Hold{"bob"}).Refused(ErrTaken)
//
// It needs no journal, and each decision is made twice: one that comes out differently is not pure.
//
// [Carried] tests that a state that closes its books says all of itself.
package entitytest

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"example.com/vidimus/entity"
)

// Story is a state that events have led to. It belongs to one test.
type Story[S entity.State[S]] struct {
	t     testing.TB
	state S
}

// Outcome is what a command came to.
type Outcome[S entity.State[S]] struct {
	t      testing.TB
	state  S
	events []any
	err    error
}

// Given begins a story with what has happened.
func Given[S entity.State[S]](t testing.TB, events ...any) Story[S] {
	var state S
	for _, e := range events {
		state = state.Evolve(e)
	}
	return Story[S]{t, state}
}

// When has the state decide a command. It fails the test when deciding again comes to something else.
func (s Story[S]) When(command any) Outcome[S] {
	s.t.Helper()
	events, err := s.state.Decide(command)
	again, errAgain := s.state.Decide(command)
	if !reflect.DeepEqual(events, again) || (err == nil) != (errAgain == nil) {
		s.t.Errorf("%T is decided as %v, %v, and again as %v, %v: Decide must depend on the state alone",
			command, events, err, again, errAgain)
	}
	state := s.state
	for _, e := range events {
		state = state.Evolve(e)
	}
	return Outcome[S]{s.t, state, events, err}
}

// Then fails the test unless the command led to these events, and returns the state after them.
func (o Outcome[S]) Then(want ...any) S {
	o.t.Helper()
	if o.err != nil || len(o.events) != len(want) || len(want) > 0 && !reflect.DeepEqual(o.events, want) {
		o.t.Errorf("it led to %#v, %v, want %#v", o.events, o.err, want)
	}
	return o.state
}

// Refused fails the test unless the command was refused with an error that is want.
func (o Outcome[S]) Refused(want error) {
	o.t.Helper()
	if !errors.Is(o.err, want) {
		o.t.Errorf("it led to %#v, %v, want the refusal %v", o.events, o.err, want)
	}
}

// Carried fails the test unless each state is the same after it was carried: by the event that an [entity.Carrier]
// returns, taken in by the zero state and by the state itself, as it is and as it is stored. Give it states that differ
// in everything they may differ in, the zero state as well.
func Carried[S interface {
	entity.State[S]
	entity.Carrier
}](t testing.TB, states ...S) {
	t.Helper()
	var zero S
	kind := reflect.TypeOf(zero.Carry())
	for _, state := range states {
		event := state.Carry()
		if got := reflect.TypeOf(event); got != kind {
			t.Errorf("%+v is carried by a %v, the zero state by a %v: it must be one type", state, got, kind)
			continue
		}
		stored := reflect.New(kind)
		data, err := json.Marshal(event)
		if err == nil {
			err = json.Unmarshal(data, stored.Interface())
		}
		if err != nil {
			t.Errorf("%+v cannot be stored: %v", event, err)
			continue
		}
		for name, got := range map[string]S{
			"":                      zero.Evolve(event),
			" by itself":            state.Evolve(event),
			" as it is stored":      zero.Evolve(stored.Elem().Interface()),
			" by itself, as stored": state.Evolve(stored.Elem().Interface()),
		} {
			if !reflect.DeepEqual(got, state) {
				t.Errorf("%+v, carried%s, becomes %+v: Carry must say everything, and Evolve take it", state, name, got)
			}
		}
	}
}
