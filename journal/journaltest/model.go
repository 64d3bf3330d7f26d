// SPDX-License-Identifier: Apache-2.0

// A case that does random things to a journal and to one in memory, and wants the same from both.

package journaltest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
)

func modelCases() []testCase {
	return []testCase{{name: "random units and reads are answered as in memory", run: likeMemory}}
}

const modelBatches = 60

// pair is a journal under test and its model in memory. Positions of the two are matched by rank: the n-th event of
// the model is at position n.
type pair struct {
	*kit
	lots
	seed   uint64
	model  *journal.Log
	nodes  []*journal.Log
	places []journal.Position // of the events of the journal under test
}

func likeMemory(k *kit) {
	k.eachSeed(func(k *kit, seed uint64) {
		p := &pair{kit: k, seed: seed, model: mem.Open(), nodes: k.logs(), lots: newLots(seed)}
		for range modelBatches {
			p.step()
		}
		p.sound()
	})
}

// step commits a batch to both and reads from both.
func (p *pair) step() {
	p.Helper()
	batch := make([]*journal.Unit, p.below(8)+1)
	for i := range batch {
		u := p.unit(len(p.places))
		batch[i] = &u
	}
	want := p.commitToModel(batch)
	got := p.commitToReal(batch)
	p.learn()
	for i := range batch {
		out := got[i]
		out.Result.Position = p.rank(out.Result.Position)
		same(p.kit, fmt.Sprintf("seed %d: result of %+v", p.seed, *batch[i]), out.Result, want[i].Result)
		same(p.kit, fmt.Sprintf("seed %d: error of %+v", p.seed, *batch[i]), kindOf(out.Err), kindOf(want[i].Err))
		p.learnt(*batch[i], out)
	}
	p.compareReads()
	if p.h.Reopens && p.one(15) {
		p.reopen()
		p.nodes[0] = p.log
	}
}

func (p *pair) commitToModel(batch []*journal.Unit) []journal.Outcome {
	out := make([]journal.Outcome, len(batch))
	for i, u := range batch {
		out[i].Result, out[i].Err = p.model.Commit(p.ctx, *u)
	}
	return out
}

// commitToReal commits in one batch or one by one, through any node.
func (p *pair) commitToReal(batch []*journal.Unit) []journal.Outcome {
	p.Helper()
	log := pick(&p.chance, p.nodes...)
	placed := make([]*journal.Unit, len(batch))
	for i, u := range batch {
		c := *u
		c.Conditions = slices.Clone(u.Conditions)
		for n := range c.Conditions {
			c.Conditions[n].After = p.place(c.Conditions[n].After)
		}
		if err := c.Validate(); err != nil {
			p.Fatalf("seed %d: %v", p.seed, err)
		}
		placed[i] = &c
	}
	if p.one(2) {
		out, err := log.Store().Commit(p.ctx, placed)
		if err != nil || len(out) != len(batch) {
			p.Fatalf("seed %d: commit a batch: %d outcomes, %v", p.seed, len(out), err)
		}
		return out
	}
	out := make([]journal.Outcome, len(batch))
	for i, u := range placed {
		out[i].Result, out[i].Err = log.Commit(p.ctx, *u)
	}
	return out
}

// learn reads the events that are new, and compares them.
func (p *pair) learn() {
	p.Helper()
	known := len(p.places)
	after := p.place(journal.Position(known))
	for _, e := range p.readFrom(pick(&p.chance, p.nodes...), journal.ReadOptions{After: after}) {
		p.places = append(p.places, e.Position)
	}
	p.compareEvents(journal.ReadOptions{After: journal.Position(known)})
}

// place returns where an event of the model is in the journal under test.
func (p *pair) place(rank journal.Position) journal.Position {
	switch n := journal.Position(len(p.places)); {
	case rank == 0:
		return 0
	case rank > n && n == 0:
		return rank
	case rank > n:
		return p.places[n-1] + rank - n
	}
	return p.places[rank-1]
}

func (p *pair) rank(at journal.Position) journal.Position {
	p.Helper()
	if at == 0 {
		return 0
	}
	i, found := slices.BinarySearch(p.places, at)
	if !found {
		p.Fatalf("seed %d: there is no event at position %d", p.seed, at)
	}
	return journal.Position(i + 1)
}

// compareEvents reads from both; o speaks in ranks.
func (p *pair) compareEvents(o journal.ReadOptions) {
	p.Helper()
	want := normal(p.readFrom(p.model, o))
	o.After, o.Before = p.place(o.After), p.place(o.Before)
	got := normal(p.readFrom(pick(&p.chance, p.nodes...), o))
	for i := range got {
		got[i].Position = p.rank(got[i].Position)
	}
	same(p.kit, fmt.Sprintf("seed %d: events read with %+v", p.seed, o), got, want)
}

func (p *pair) compareReads() {
	p.Helper()
	n := len(p.places)
	p.compareEvents(journal.ReadOptions{
		After: journal.Position(p.below(n + 2)), Before: journal.Position(p.below(n+2) * p.below(2)),
		Limit: p.below(6), Backwards: p.one(2), Filter: p.filter(),
	})
	so := &journal.StreamOptions{
		After: journal.Version(p.below(20)), Before: journal.Version(p.below(30) * p.below(2)),
		Limit: p.below(6), Backwards: p.one(2),
	}
	s := p.anyStream()
	got, want := normal(p.streamFrom(pick(&p.chance, p.nodes...), s, so)), normal(p.streamFrom(p.model, s, so))
	for i := range got {
		got[i].Position = p.rank(got[i].Position)
	}
	same(p.kit, fmt.Sprintf("seed %d: events of %s with %+v", p.seed, s, *so), got, want)
	q := p.query()
	same(p.kit, fmt.Sprintf("seed %d: records with %+v", p.seed, q),
		p.listed(p.ctx, pick(&p.chance, p.nodes...), q), p.listed(p.ctx, p.model, q))
}

// listed describes records so that they can be compared.
func (p *pair) listed(ctx context.Context, log *journal.Log, q journal.RecordQuery) []string {
	p.Helper()
	records, err := log.Records(ctx, q)
	if err != nil {
		p.Fatalf("seed %d: records %+v: %v", p.seed, q, err)
	}
	out := make([]string, len(records))
	for i, r := range records {
		out[i] = fmt.Sprintf("%s/%s@%d due %v: %q", r.Kind, r.Key, r.Version, r.Due, r.Value)
	}
	return out
}

// kindOf says what an error is, without what may differ between databases.
func kindOf(err error) string {
	var conflict *journal.ConflictError
	var fenced *journal.FencedError
	switch {
	case err == nil:
		return "none"
	case errors.As(err, &conflict):
		return fmt.Sprintf("%+v", *conflict)
	case errors.As(err, &fenced):
		return fmt.Sprintf("%+v", *fenced)
	case errors.Is(err, journal.ErrCondition):
		return journal.ErrCondition.Error()
	case errors.Is(err, journal.ErrIDReused):
		return journal.ErrIDReused.Error()
	}
	return err.Error()
}
