// SPDX-License-Identifier: Apache-2.0

// Random commands by several writers, against a model that is nothing but the domain itself.

package entity_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"example.com/vidimus/cell"
	"example.com/vidimus/entity"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
)

func contains(text string, parts ...string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}

// FuzzModel: each byte is a step: who does what, with which version, new or repeated. The books are closed never,
// always or now and then: that must not be seen in any answer.
func FuzzModel(f *testing.F) {
	f.Add([]byte{0x00, 0x11, 0x22, 0x83, 0x44, 0xff, 0x05, 0x46})
	f.Add([]byte("hold free hold again and again"))
	f.Fuzz(func(t *testing.T, steps []byte) {
		for _, carryAfter := range []int{0, 1, 3} {
			e := seats(t)
			e.CarryAfterOnly(carryAfter)
			walk(t, mustCell(t, mem.Open()), e, carryAfter, steps[:min(len(steps), 200)])
		}
	})
}

// past is a command that was carried out.
type past struct {
	o   entity.Options
	cmd any
	res entity.Result[Seat]
}

// model is nothing but the domain, and what is known of the books.
type model struct {
	seat    Seat
	version journal.Version
	since   int // events since the books were closed
	done    []past
}

// walk carries out commands and compares each answer with the model's.
func walk(t *testing.T, c *cell.Cell, e *entity.Entity[Seat], carryAfter int, steps []byte) {
	t.Helper()
	ctx := context.Background()
	var m model
	var older entity.Snapshot[Seat]
	for i, step := range steps {
		guest := string('a' + rune(step&3))
		var cmd any = Hold{guest}
		if step&4 != 0 {
			cmd = Free{guest}
		}
		o := entity.Options{ID: journal.NewID()}
		if step&8 != 0 && m.version > 0 {
			o.Expect = new(journal.Exactly(m.version - journal.Version(step>>4&1)))
		}
		if repeat := step&0xc0 == 0xc0 && len(m.done) > 0; repeat {
			p := m.done[int(step>>2)%len(m.done)]
			res, err := e.Do(ctx, c, "A12", p.cmd, &p.o)
			if err != nil || !res.Duplicate || res.Snapshot != p.res.Snapshot || !reflect.DeepEqual(res.Events, p.res.Events) {
				t.Fatalf("repeated: %+v, %v, want %+v", res, err, p.res)
			}
			continue
		}
		events, refused := m.seat.Decide(cmd)
		res, err := e.Do(ctx, c, "A12", cmd, &o)
		switch {
		case o.Expect != nil && !o.Expect.Holds(m.version):
			if !errors.Is(err, journal.ErrConflict) {
				t.Fatalf("at version %d for %v: %v", m.version, *o.Expect, err)
			}
			continue
		case refused != nil:
			if err == nil || err.Error() != refused.Error() {
				t.Fatalf("Do says %v, the domain %v", err, refused)
			}
			continue
		}
		m.take(events, carryAfter)
		if err != nil || res.State != m.seat || res.Version != m.version || !reflect.DeepEqual(res.Events, events) {
			t.Fatalf("Do = %+v, %v; the model is %+v after %v", res, err, m, events)
		}
		if len(events) > 0 {
			m.done = append(m.done, past{o, cmd, res})
		}
		if i%7 == 0 {
			older, err = e.Extend(ctx, c, "A12", older)
			m.check(t, "Extend", older, err)
		}
	}
	got, err := e.Load(ctx, c, "A12")
	m.check(t, "Load", got, err)
}

// take takes the events of a command in.
func (m *model) take(events []any, carryAfter int) {
	for _, ev := range events {
		m.seat = m.seat.Evolve(ev)
		m.version++
		m.since++
	}
	if carryAfter > 0 && m.since >= carryAfter {
		m.version++
		m.since = 0
	}
}

func (m *model) check(t *testing.T, call string, got entity.Snapshot[Seat], err error) {
	t.Helper()
	if err != nil || got.State != m.seat || got.Version != m.version {
		t.Fatalf("%s = %+v, %v; the model is %+v at %d", call, got, err, m.seat, m.version)
	}
}
