// SPDX-License-Identifier: Apache-2.0

// What the cases share: short ways to write, to read and to compare.

package journaltest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"example.com/vidimus/journal"
)

// kit is what a case works with: the test, an open journal and a context that bounds it all.
type kit struct {
	testing.TB
	h   Harness
	log *journal.Log
	// second is that of a second node, once it was asked for.
	second *journal.Log
	ctx    context.Context
	// fresh returns a kit at a place of its own.
	fresh func() *kit
}

func newKit(t testing.TB, h Harness, newHarness func(testing.TB) Harness, limit time.Duration) *kit {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	k := &kit{TB: t, h: h, ctx: ctx}
	k.fresh = func() *kit { return newKit(t, newHarness(t), newHarness, limit) }
	k.log = k.open(h.Open)
	return k
}

// open opens a log that is closed when the case ends.
func (k *kit) open(opener func(testing.TB) *journal.Log) *journal.Log {
	k.Helper()
	log := opener(k)
	k.Cleanup(func() {
		if err := log.Close(); err != nil {
			k.Errorf("close the journal: %v", err)
		}
	})
	return log
}

// reopen closes the journal and opens it again.
func (k *kit) reopen() {
	k.Helper()
	if err := k.log.Close(); err != nil {
		k.Fatalf("close the journal: %v", err)
	}
	k.log = k.open(k.h.Open)
}

// logs returns the log and, where there can be one, that of a second node.
func (k *kit) logs() []*journal.Log {
	k.Helper()
	if k.h.Second == nil {
		return []*journal.Log{k.log}
	}
	if k.second == nil {
		k.second = k.open(k.h.Second)
	}
	return []*journal.Log{k.log, k.second}
}

// commit writes a unit that must succeed.
func (k *kit) commit(u journal.Unit) journal.Result {
	k.Helper()
	res, err := k.log.Commit(k.ctx, u)
	if err != nil {
		k.Fatalf("commit: %v", err)
	}
	return res
}

// append appends events to one stream, which must succeed.
func (k *kit) append(s journal.Stream, e journal.Expect, events ...journal.EventData) journal.Result {
	k.Helper()
	res, err := k.log.Append(k.ctx, s, e, events...)
	if err != nil {
		k.Fatalf("append to %s: %v", s, err)
	}
	return res
}

// refused commits a unit that must be refused for cause, and must leave no trace.
func (k *kit) refused(cause error, u journal.Unit) error {
	k.Helper()
	before := k.head()
	res, err := k.log.Commit(k.ctx, u)
	if !errors.Is(err, cause) {
		k.Fatalf("commit: got %+v, %v; want the error %q", res, err, cause)
	}
	if after := k.head(); after != before {
		k.Fatalf("a refused unit moved the head from %v to %v", before, after)
	}
	return err
}

// batch writes units in one call to the store, so that they share a transaction.
func (k *kit) batch(units ...*journal.Unit) []journal.Outcome {
	k.Helper()
	for _, u := range units {
		if err := u.Validate(); err != nil {
			k.Fatalf("validate: %v", err)
		}
	}
	outcomes, err := k.log.Store().Commit(k.ctx, units)
	if err != nil {
		k.Fatalf("commit a batch: %v", err)
	}
	if len(outcomes) != len(units) {
		k.Fatalf("got %d outcomes for %d units", len(outcomes), len(units))
	}
	return outcomes
}

func (k *kit) head() journal.Checkpoint {
	k.Helper()
	c, err := k.log.Head(k.ctx)
	if err != nil {
		k.Fatalf("head: %v", err)
	}
	return c
}

// read returns what Log.Read yields.
func (k *kit) read(o journal.ReadOptions) []journal.Event {
	k.Helper()
	return k.readFrom(k.log, o)
}

func (k *kit) readFrom(log *journal.Log, o journal.ReadOptions) []journal.Event {
	k.Helper()
	var out []journal.Event
	for e, err := range log.Read(k.ctx, o) {
		if err != nil {
			k.Fatalf("read %+v: %v", o, err)
		}
		out = append(out, e)
	}
	return out
}

// stream returns what Log.ReadStream yields.
func (k *kit) stream(s journal.Stream, o *journal.StreamOptions) []journal.Event {
	k.Helper()
	return k.streamFrom(k.log, s, o)
}

func (k *kit) streamFrom(log *journal.Log, s journal.Stream, o *journal.StreamOptions) []journal.Event {
	k.Helper()
	var out []journal.Event
	for e, err := range log.ReadStream(k.ctx, s, o) {
		if err != nil {
			k.Fatalf("read stream %s %+v: %v", s, o, err)
		}
		out = append(out, e)
	}
	return out
}

// sound has the store check itself.
func (k *kit) sound() {
	k.Helper()
	breaches, err := k.log.Verify(k.ctx, nil)
	if err != nil {
		k.Fatalf("verify: %v", err)
	}
	for _, b := range breaches {
		k.Errorf("verify: %s", b)
	}
}

// eachSeed runs fn with every seed, each at a place of its own.
func (k *kit) eachSeed(fn func(k *kit, seed uint64)) {
	k.Helper()
	seeds := k.h.Seeds
	if seeds == 0 {
		seeds = 3
	}
	for seed := range seeds {
		if seed > 0 {
			k = k.fresh()
		}
		fn(k, uint64(seed))
		for _, log := range k.logs() {
			if err := log.Close(); err != nil {
				k.Fatalf("seed %d: close: %v", seed, err)
			}
		}
	}
}

// same compares two values.
func same[T any](k *kit, what string, got, want T) {
	k.Helper()
	if !reflect.DeepEqual(got, want) {
		k.Fatalf("%s:\n got %.2000s\nwant %.2000s", what, fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want))
	}
}

// event returns a new event of a type.
func event(typ string, tags ...string) journal.EventData {
	return journal.EventData{ID: journal.NewID(), Type: typ, Data: []byte(`{}`), Tags: tags}
}

// events returns n new events.
func events(n int) []journal.EventData {
	out := make([]journal.EventData, n)
	for i := range out {
		out[i] = event(fmt.Sprintf("test.event.%d", i+1))
	}
	return out
}

// to is a part of a unit: events for one stream.
func to(s journal.Stream, e journal.Expect, events ...journal.EventData) journal.Append {
	return journal.Append{Stream: s, Expect: e, Events: events}
}

// unit puts parts together.
func unit(appends ...journal.Append) journal.Unit { return journal.Unit{Appends: appends} }

// ids returns the ids of events.
func ids(events []journal.Event) []journal.ID {
	out := make([]journal.ID, len(events))
	for i := range events {
		out[i] = events[i].ID
	}
	return out
}

// normal returns events in the form in which they can be compared: with nil for what is empty.
func normal(events []journal.Event) []journal.Event {
	out := slices.Clone(events)
	for i := range out {
		e := &out[i]
		e.Time = e.Time.UTC()
		if len(e.Data) == 0 {
			e.Data = nil
		}
		if len(e.Meta) == 0 {
			e.Meta = nil
		}
		if len(e.Tags) == 0 {
			e.Tags = nil
		}
	}
	return out
}
