// SPDX-License-Identifier: Apache-2.0

// Recognising a unit that was committed before.

package plan

import (
	"fmt"

	"example.com/vidimus/journal"
)

// duplicate looks for the unit's events in the journal. Known means that the outcome is decided: the unit is there, or
// ids of its events belong to other events.
func (b *Batch) duplicate(u *journal.Unit) (out journal.Outcome, known bool, err error) {
	found, missing := 0, 0
	res := journal.Result{Duplicate: true}
	for i := range u.Appends {
		a := &u.Appends[i]
		if len(a.Events) == 0 {
			res.Versions = append(res.Versions, 0)
			continue
		}
		at, known, err := b.find(a, b.checked.heads[i])
		if err != nil {
			return journal.Outcome{}, false, err
		}
		if !known {
			missing++
			continue
		}
		if at.Version == 0 {
			return reused(a), true, nil
		}
		found++
		res.Versions = append(res.Versions, at.Version)
		res.Position = max(res.Position, at.Position)
		if missing > 0 {
			return reused(a), true, nil
		}
	}
	switch {
	case found == 0:
		return journal.Outcome{}, false, nil
	case missing > 0:
		return reused(&u.Appends[0]), true, nil
	}
	for i := range u.Appends {
		if len(u.Appends[i].Events) == 0 { // a stream that was only checked is where it is now
			res.Versions[i] = b.checked.heads[i].Version
		}
	}
	return journal.Outcome{Result: res}, true, nil
}

func reused(a *journal.Append) journal.Outcome {
	return journal.Outcome{Err: fmt.Errorf("%w: stream %s already has an event with an id of this unit, but not "+
		"the same unit; use NewID for new events and repeat a unit only whole", journal.ErrIDReused, a.Stream)}
}

// find searches the append's stream, which ends at h, for its events. It returns where the last of them is; known
// without a version means that only some are there, or not in one row.
func (b *Batch) find(a *journal.Append, h Head) (last Seen, known bool, err error) {
	fresh := true
	for i := range a.Events {
		fresh = fresh && a.Events[i].ID.Compare(h.Newest) > 0
	}
	if fresh || h.Version == 0 {
		return Seen{}, false, nil // the usual case: newer than everything in the stream
	}
	recent, err := b.recent(a.Stream, h, journal.Window+len(a.Events)-1)
	if err != nil {
		return Seen{}, false, err
	}
	at := make(map[journal.ID]Seen, len(a.Events))
	for _, s := range recent {
		at[s.ID] = s
	}
	for i := range a.Events {
		s, ok := at[a.Events[i].ID]
		switch {
		case ok && (i > 0 && s.Version != last.Version+1 || i > 0 && !known):
			return Seen{}, true, nil
		case ok:
			last, known = s, true
		case known:
			return Seen{}, true, nil
		}
	}
	return last, known, nil
}

// recent returns the last n events of a stream that ends at h, planned and committed, the newest first. The facts of
// a stream must not lie behind where the batch began: events from there on are looked for among its rows.
func (b *Batch) recent(s journal.Stream, h Head, n int) ([]Seen, error) {
	var out []Seen
	first := b.last - journal.Position(len(b.Rows)) + 1
	for at := h.Position; at >= first && at > 0 && len(out) < n; {
		r := &b.Rows[at-first]
		out = append(out, Seen{r.ID, r.Version, r.Position})
		at = r.Prev
	}
	if len(out) == n {
		return out, nil
	}
	h, err := b.facts.Head(s)
	if err != nil || h.Version == 0 {
		return out, err
	}
	committed, err := b.facts.Recent(s, h, n-len(out))
	return append(out, committed...), err
}
