// SPDX-License-Identifier: Apache-2.0

// The rules that a unit must keep before it may reach a database.

package journal

import (
	"bytes"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"example.com/vidimus/internal/clock"
)

// Limits of one unit, in bytes where no other measure is named.
const (
	MaxName   = 255       // a stream's, type's, tag's, lease's or record's name
	MaxData   = 1 << 20   // an event's data, a record's value
	MaxMeta   = 64 << 10  // an event's meta
	MaxTags   = 32        // tags of an event
	MaxEvents = 1000      // events of a unit
	MaxParts  = 100       // fences, streams, conditions and records of a unit, each
	MaxUnit   = 8 << 20   // all data, meta and values of a unit
	maxSchema = 1<<31 - 1 // a schema number
)

// Validate reports the first rule that u breaks, as an [InvalidError]. It also fills in what a caller may leave out:
// the schema number and the time of events, in place. [Log.Commit] calls it.
func (u *Unit) Validate() error {
	for _, part := range []struct {
		field string
		n     int
	}{
		{"fences", len(u.Fences)},
		{"appends", len(u.Appends)},
		{"conditions", len(u.Conditions)},
		{"records", len(u.Records)},
	} {
		if part.n > MaxParts {
			return invalid(part.field, "are %d, a unit takes at most %d; split it", part.n, MaxParts)
		}
	}
	if err := u.validateAppends(); err != nil {
		return err
	}
	for i, f := range u.Fences {
		field := fmt.Sprintf("fences[%d]", i)
		if err := checkName(field+".lease", f.Lease); err != nil {
			return err
		}
		if f.Epoch < 1 {
			return invalid(field+".epoch", "%d is no epoch of a lease; use the one it was acquired with", f.Epoch)
		}
	}
	for i := range u.Conditions {
		if err := u.Conditions[i].validate(fmt.Sprintf("conditions[%d]", i)); err != nil {
			return err
		}
	}
	if err := u.validateRecords(); err != nil {
		return err
	}
	if size := u.size(); size > MaxUnit {
		return invalid("unit", "holds %d bytes, the limit is %d; split it", size, MaxUnit)
	}
	return nil
}

func (u *Unit) validateAppends() error {
	events := 0
	var streams once[Stream]
	var ids once[ID]
	now := clock.Now()
	for i := range u.Appends {
		a := &u.Appends[i]
		field := fmt.Sprintf("appends[%d]", i)
		if err := checkName(field+".stream", string(a.Stream)); err != nil {
			return err
		}
		if !streams.add(a.Stream) {
			return invalid(field+".stream", "%q is named twice in one unit; put its events into one append", a.Stream)
		}
		if a.Expect < Exists {
			return invalid(field+".expect", "%d is no version; use a version, Any, None or Exists", a.Expect)
		}
		if events += len(a.Events); events > MaxEvents {
			return invalid("appends", "hold over %d events; append them in several units", MaxEvents)
		}
		for k := range a.Events {
			e := &a.Events[k]
			if err := e.validate(now); err != nil {
				err.Field = fmt.Sprintf("%s.events[%d].%s", field, k, err.Field)
				return err
			}
			if !ids.add(e.ID) {
				return invalid(fmt.Sprintf("%s.events[%d].id", field, k), "%s is used twice in one unit", e.ID)
			}
		}
	}
	return nil
}

// once remembers what it was given. The first item, most often the only one, costs no memory.
type once[T comparable] struct {
	n     int
	first T
	rest  map[T]bool
}

func (o *once[T]) add(item T) bool {
	o.n++
	switch {
	case o.n == 1:
		o.first = item
		return true
	case item == o.first || o.rest[item]:
		return false
	case o.rest == nil:
		o.rest = map[T]bool{}
	}
	o.rest[item] = true
	return true
}

func (e *EventData) validate(now time.Time) *InvalidError {
	switch {
	case e.ID == ID{}:
		return invalid("id", "is missing; set it to NewID() before the first try, so that a retry is recognised")
	case e.Schema < 0 || e.Schema > maxSchema:
		return invalid("schema", "%d is out of range; number schemas from 1", e.Schema)
	case len(e.Data) > MaxData:
		return invalid("data", "has %d bytes, the limit is %d; store large things elsewhere and refer to them",
			len(e.Data), MaxData)
	case len(e.Meta) > MaxMeta:
		return invalid("meta", "has %d bytes, the limit is %d", len(e.Meta), MaxMeta)
	case len(e.Tags) > MaxTags:
		return invalid("tags", "are %d, the limit is %d", len(e.Tags), MaxTags)
	}
	if err := checkName("type", e.Type); err != nil {
		return err
	}
	for i, tag := range e.Tags {
		if err := checkName("tags", tag); err != nil {
			err.Field = fmt.Sprintf("tags[%d]", i)
			return err
		}
	}
	if e.Schema == 0 {
		e.Schema = 1
	}
	if e.Time.IsZero() {
		e.Time = now
	}
	e.Time = e.Time.UTC().Truncate(time.Microsecond)
	return checkTime("time", e.Time)
}

// checkTime keeps times within what every database can store to the microsecond.
func checkTime(field string, t time.Time) *InvalidError {
	if year := t.Year(); year < 1 || year > 9999 {
		return invalid(field, "year %d is out of range; use years 1 to 9999", year)
	}
	return nil
}

func (c *Condition) validate(field string) error {
	if c.After < 0 {
		return invalid(field+".after", "%d is no position; use 0 for the whole journal", c.After)
	}
	return c.Filter.validate(field + ".filter")
}

func (f Filter) validate(field string) error {
	if len(f) > MaxParts {
		return invalid(field, "has %d matches, the limit is %d", len(f), MaxParts)
	}
	for i, m := range f {
		at := fmt.Sprintf("%s[%d]", field, i)
		if len(m.Types) > MaxParts || len(m.Tags) > MaxTags {
			return invalid(at, "names %d types and %d tags, the limits are %d and %d",
				len(m.Types), len(m.Tags), MaxParts, MaxTags)
		}
		names := slices.Concat([]string{string(m.Stream), m.Category}, m.Types, m.Tags)
		for k, name := range names {
			if k < 2 && name == "" {
				continue
			}
			if err := checkName(at, name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (u *Unit) validateRecords() error {
	type recordName struct{ kind, key string }
	var names once[recordName]
	for i := range u.Records {
		r := &u.Records[i]
		field := fmt.Sprintf("records[%d]", i)
		if err := checkName(field+".kind", r.Kind); err != nil {
			return err
		}
		if err := checkName(field+".key", r.Key); err != nil {
			return err
		}
		switch {
		case !names.add(recordName{r.Kind, r.Key}):
			return invalid(field, "%s/%s is named twice in one unit", r.Kind, r.Key)
		case r.Op < Put || r.Op > Check:
			return invalid(field+".op", "%d is unknown; use Put, Delete or Check", r.Op)
		case r.Op == Delete && r.Kind == KindLease:
			return invalid(field+".op", "a lease cannot be deleted: its epochs would start anew; put it without an owner")
		case r.Expect < Exists:
			return invalid(field+".expect", "%d is no version; use a version, Any, None or Exists", r.Expect)
		case len(r.Value) > MaxData:
			return invalid(field+".value", "has %d bytes, the limit is %d", len(r.Value), MaxData)
		}
		if !r.Due.IsZero() {
			r.Due = r.Due.UTC().Truncate(time.Microsecond)
			if err := checkTime(field+".due", r.Due); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkName holds names to what every database stores and compares alike.
func checkName(field, name string) *InvalidError {
	switch {
	case name == "":
		return invalid(field, "is missing; give it a name")
	case len(name) > MaxName:
		return invalid(field, "has %d bytes, the limit is %d", len(name), MaxName)
	case !utf8.ValidString(name):
		return invalid(field, "%q is not UTF-8", name)
	}
	for _, r := range name {
		if r < ' ' || r == 0x7f {
			return invalid(field, "%q holds a control character; use printable ones", name)
		}
	}
	return nil
}

// size is what the unit brings along, in bytes, with a little for each part.
func (u *Unit) size() int {
	const perPart = 64
	n := perPart * (len(u.Fences) + len(u.Conditions))
	for i := range u.Appends {
		for k := range u.Appends[i].Events {
			e := &u.Appends[i].Events[k]
			n += perPart + len(e.Data) + len(e.Meta)
		}
	}
	for i := range u.Records {
		n += perPart + len(u.Records[i].Value)
	}
	return n
}

// Compare orders ids byte by byte; UUIDv7 then stand in the order of their time.
func (id ID) Compare(other ID) int { return bytes.Compare(id[:], other[:]) }
