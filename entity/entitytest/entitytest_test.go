// SPDX-License-Identifier: Apache-2.0

// Stories about a door, true ones and others.

package entitytest_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"example.com/vidimus/entity/entitytest"
)

var errLocked = errors.New("door is locked")

// door is a domain: it opens unless it is locked. moody doors decide by something else than their state.
type door struct{ open, locked bool }

type (
	openIt struct{ moody *int }
	opened struct{}
	locked struct{}
)

func (d door) Decide(command any) ([]any, error) {
	if moody := command.(openIt).moody; moody != nil {
		*moody++
		return []any{*moody}, nil
	}
	switch {
	case d.locked:
		return nil, errLocked
	case d.open:
		return nil, nil
	}
	return []any{opened{}}, nil
}

func (d door) Evolve(event any) door {
	switch event.(type) {
	case opened:
		d.open = true
	case locked:
		d.locked = true
	}
	return d
}

func TestTrueStoriesPass(t *testing.T) {
	t.Parallel()
	if after := entitytest.Given[door](t).When(openIt{}).Then(opened{}); !after.open {
		t.Error("the door is not open")
	}
	entitytest.Given[door](t, opened{}).When(openIt{}).Then()
	entitytest.Given[door](t, locked{}).When(openIt{}).Refused(errLocked)
}

// lamp is carried well, unless it forgets, adds up, hides from what is stored, or is moody.
type lamp struct {
	on, forgets, moody, weird bool
	adds, hides               int
}

type lampCarried struct {
	On, Forgets, Moody, Weird bool
	Adds                      int
	hides                     int
	Value                     any
}

func (l lamp) Decide(any) ([]any, error) { return nil, nil }

func (l lamp) Carry() any {
	if l.moody {
		return opened{}
	}
	e := lampCarried{On: l.on && !l.forgets, Forgets: l.forgets, Weird: l.weird, Adds: l.adds, hides: l.hides}
	if l.weird {
		e.Value = func() {}
	}
	return e
}

func (l lamp) Evolve(event any) lamp {
	e := event.(lampCarried)
	return lamp{on: e.On, forgets: e.Forgets, weird: e.Weird, adds: l.adds + e.Adds, hides: e.hides}
}

func TestWhatIsCarriedWholePasses(t *testing.T) {
	t.Parallel()
	entitytest.Carried(t, lamp{}, lamp{on: true})
}

// listener hears what a test says.
type listener struct {
	testing.TB
	heard string
}

func (l *listener) Helper()                           {}
func (l *listener) Errorf(format string, args ...any) { l.heard += fmt.Sprintf(format, args...) }

func TestOtherStoriesFail(t *testing.T) {
	t.Parallel()
	for name, tell := range map[string]func(testing.TB){
		"led to":              func(t testing.TB) { entitytest.Given[door](t).When(openIt{}).Then() },
		"door is locked":      func(t testing.TB) { entitytest.Given[door](t, locked{}).When(openIt{}).Then(opened{}) },
		"want the refusal":    func(t testing.TB) { entitytest.Given[door](t).When(openIt{}).Refused(errLocked) },
		"on the state alone":  func(t testing.TB) { entitytest.Given[door](t).When(openIt{new(int)}) },
		"must say everything": func(t testing.TB) { entitytest.Carried(t, lamp{forgets: true, on: true}) },
		"Evolve take it":      func(t testing.TB) { entitytest.Carried(t, lamp{adds: 1}) },
		"as it is stored":     func(t testing.TB) { entitytest.Carried(t, lamp{hides: 7}) },
		"must be one type":    func(t testing.TB) { entitytest.Carried(t, lamp{on: true, moody: true}) },
		"cannot be stored":    func(t testing.TB) { entitytest.Carried(t, lamp{weird: true}) },
	} {
		l := &listener{TB: t}
		if tell(l); !strings.Contains(l.heard, name) {
			t.Errorf("%s: the story said %q", name, l.heard)
		}
	}
}
