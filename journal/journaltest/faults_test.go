// SPDX-License-Identifier: Apache-2.0

// The faults.

package journaltest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/vidimus/journal"
)

func expectMutants() []mutant {
	ignore := each(func(u *journal.Unit) {
		for i := range u.Appends {
			u.Appends[i].Expect = journal.Any
		}
	})
	anew := each(func(u *journal.Unit) {
		for i := range u.Appends {
			for k := range u.Appends[i].Events {
				u.Appends[i].Events[k].ID = journal.NewID()
			}
		}
	})
	setAll := each(func(u *journal.Unit) {
		for i := range u.Records {
			u.Records[i].Expect = journal.Any
		}
	})
	return []mutant{
		{"acknowledges and drops", "lifecycle", breaks(dropSome)},
		{"acknowledges and drops, to concurrent clients", "linear", breaks(dropSome)},
		{"ignores what streams are expected to be", "expect", ignore},
		{"ignores what streams are expected to be, to concurrent clients", "linear", ignore},
		{"ignores what streams are expected to be, at random", "model", ignore},
		{"does not recognise retries", "retry", anew},
		{"does not recognise retries, to concurrent clients", "linear", anew},
		{"does not recognise retries of those who expect anything", "retry", each(func(u *journal.Unit) {
			for i := range u.Appends {
				for k := range u.Appends[i].Events {
					if u.Appends[i].Expect == journal.Any {
						u.Appends[i].Events[k].ID = journal.NewID()
					}
				}
			}
		})},
		{"ignores what records are expected to be", "record", setAll},
		{"ignores what records are expected to be, to concurrent clients", "linear", setAll},
	}
}

func commitMutants() []mutant {
	return []mutant{
		{"ignores fences", "fence", each(func(u *journal.Unit) { u.Fences = nil })},
		{"checks the first fence only", "fence", each(func(u *journal.Unit) { u.Fences = u.Fences[:min(1, len(u.Fences))] })},
		{"ignores conditions", "condition", each(func(u *journal.Unit) { u.Conditions = nil })},
		{"checks the first condition only", "condition", each(func(u *journal.Unit) {
			u.Conditions = u.Conditions[:min(1, len(u.Conditions))]
		})},
		{"loses nanoseconds it should keep", "fidelity", each(func(u *journal.Unit) {
			for i := range u.Appends {
				for k := range u.Appends[i].Events {
					e := &u.Appends[i].Events[k]
					e.Time = e.Time.Truncate(time.Millisecond)
				}
			}
		})},
		{"ends data at a zero byte", "fidelity", each(func(u *journal.Unit) {
			for i := range u.Appends {
				for k := range u.Appends[i].Events {
					e := &u.Appends[i].Events[k]
					e.Data = []byte(strings.SplitN(string(e.Data), "\x00", 2)[0])
				}
			}
		})},
		{"sorts tags", "fidelity", each(func(u *journal.Unit) {
			for i := range u.Appends {
				for k := range u.Appends[i].Events {
					e := &u.Appends[i].Events[k]
					e.Tags = slices.Sorted(slices.Values(e.Tags))
				}
			}
		})},
		{"ignores case in names of streams", "stream", each(func(u *journal.Unit) {
			for i := range u.Appends {
				u.Appends[i].Stream = journal.Stream(strings.ToLower(string(u.Appends[i].Stream)))
			}
		})},
		{"tears units apart", "expect", breaks(tearApart)},
		{"lets the units of a batch fail together", "expect", breaks(failTogether)},
	}
}

// dropSome answers every seventh commit as if it were done.
func dropSome(b *broken) {
	b.commit = func(b *broken, ctx context.Context, units []*journal.Unit) ([]journal.Outcome, error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.commits++; b.commits%7 != 0 {
			return b.Store.Commit(ctx, units)
		}
		head, err := b.Store.Head(ctx)
		out := make([]journal.Outcome, len(units))
		for i, u := range units {
			out[i].Result = journal.Result{Position: head.Position + 1, Records: make([]journal.Version, len(u.Records))}
			for range u.Appends {
				out[i].Result.Versions = append(out[i].Result.Versions, 1)
			}
		}
		return out, err
	}
}

// tearApart commits the streams of a unit one by one.
func tearApart(b *broken) {
	b.commit = func(b *broken, ctx context.Context, units []*journal.Unit) ([]journal.Outcome, error) {
		out := make([]journal.Outcome, len(units))
		for i, u := range units {
			rest := *u
			for len(rest.Appends) > 1 {
				first := journal.Unit{Appends: rest.Appends[:1]}
				rest.Appends = rest.Appends[1:]
				if some, err := b.Store.Commit(ctx, []*journal.Unit{&first}); err != nil || some[0].Err != nil {
					return nil, cmp.Or(err, some[0].Err)
				}
			}
			some, err := b.Store.Commit(ctx, []*journal.Unit{&rest})
			if err != nil {
				return nil, err
			}
			out[i] = some[0]
		}
		return out, nil
	}
}

func failTogether(b *broken) {
	b.commit = func(b *broken, ctx context.Context, units []*journal.Unit) ([]journal.Outcome, error) {
		out, err := b.Store.Commit(ctx, units)
		for _, o := range out {
			if o.Err != nil {
				for i := range out {
					out[i] = journal.Outcome{Err: o.Err}
				}
			}
		}
		return out, err
	}
}

func readMutants() []mutant {
	reads := func(change func(q journal.Query, p *journal.Page)) func(journal.Store) journal.Store {
		return breaks(func(b *broken) {
			b.read = func(b *broken, ctx context.Context, q journal.Query) (journal.Page, error) {
				p, err := b.Store.Read(ctx, q)
				change(q, &p)
				return p, err
			}
		})
	}
	skip := reads(func(_ journal.Query, p *journal.Page) {
		if n := len(p.Events); n > 2 {
			p.Events = append(p.Events[:1:1], p.Events[2:]...)
		}
	})
	return []mutant{
		{"skips an event", "read", skip},
		{"skips an event, to followers", "follow", skip},
		{"skips an event, at random", "model", skip},
		{"uses a position twice", "expect", reads(func(_ journal.Query, p *journal.Page) {
			for i := 1; i < len(p.Events); i += 2 {
				p.Events[i].Position = p.Events[i-1].Position
			}
		})},
		{"says that there is no more when there is", "read", reads(func(_ journal.Query, p *journal.Page) {
			p.More = false
		})},
		{"does not advance over what does not fit", "follow", reads(func(q journal.Query, p *journal.Page) {
			if n := len(p.Events); n > 0 {
				p.Through, p.ThroughID = p.Events[n-1].Position, p.Events[n-1].ID
			} else {
				p.Through, p.ThroughID, p.More = q.After, journal.ID{}, false
			}
		})},
		{"claims to have looked further than it has", "read", reads(func(_ journal.Query, p *journal.Page) {
			if p.More {
				p.Through++
			}
		})},
		{"forgets the id of a page's end", "checkpoint", reads(func(_ journal.Query, p *journal.Page) {
			for i := range p.Events {
				p.Events[i].ID[3]++
			}
		})},
	}
}

func filterMutants() []mutant {
	asks := func(change func(q *journal.Query)) func(journal.Store) journal.Store {
		return breaks(func(b *broken) {
			b.read = func(b *broken, ctx context.Context, q journal.Query) (journal.Page, error) {
				q.Filter = slices.Clone(q.Filter)
				change(&q)
				return b.Store.Read(ctx, q)
			}
		})
	}
	return []mutant{
		{"includes the lower bound", "read", asks(func(q *journal.Query) { q.After = max(0, q.After-1) })},
		{"ignores the upper bound", "read", asks(func(q *journal.Query) { q.Before = 0 })},
		{"ignores the bytes of a page", "read", asks(func(q *journal.Query) { q.Bytes = 1 << 40 })},
		{"takes any of several tags", "read", asks(func(q *journal.Query) {
			for i := range q.Filter {
				q.Filter[i].Tags = q.Filter[i].Tags[:min(1, len(q.Filter[i].Tags))]
			}
		})},
		{"takes the first type only", "read", asks(func(q *journal.Query) {
			for i := range q.Filter {
				q.Filter[i].Types = q.Filter[i].Types[:min(1, len(q.Filter[i].Types))]
			}
		})},
		{"takes the first match only", "read", asks(func(q *journal.Query) { q.Filter = q.Filter[:min(1, len(q.Filter))] })},
		{"takes a prefix for a category", "read", breaks(prefixForCategory)},
		{"reads streams one short", "stream", breaks(func(b *broken) {
			b.readStream = func(b *broken, ctx context.Context, q journal.StreamQuery) ([]journal.Event, error) {
				q.Before = max(0, q.Before-1)
				return b.Store.ReadStream(ctx, q)
			}
		})},
		{"loses its way in long streams", "window", breaks(func(b *broken) {
			b.readStream = func(b *broken, ctx context.Context, q journal.StreamQuery) ([]journal.Event, error) {
				if q.After == 64 {
					q.After = 65
				}
				return b.Store.ReadStream(ctx, q)
			}
		})},
	}
}

// prefixForCategory finds "orders-1" in the category "order".
func prefixForCategory(b *broken) {
	b.read = func(b *broken, ctx context.Context, q journal.Query) (journal.Page, error) {
		if len(q.Filter) != 1 || q.Filter[0].Category == "" {
			return b.Store.Read(ctx, q)
		}
		category := q.Filter[0].Category
		q.Filter = nil
		p, err := b.Store.Read(ctx, q)
		p.Events = slices.DeleteFunc(p.Events, func(e journal.Event) bool {
			return !strings.HasPrefix(string(e.Stream), category)
		})
		return p, err
	}
}

func otherMutants() []mutant {
	lists := func(change func(q *journal.RecordQuery)) func(journal.Store) journal.Store {
		return breaks(func(b *broken) {
			b.records = func(b *broken, ctx context.Context, q journal.RecordQuery) ([]journal.Record, error) {
				change(&q)
				return b.Store.Records(ctx, q)
			}
		})
	}
	return []mutant{
		{"answers with an old head", "lifecycle", breaks(func(b *broken) {
			b.head = func(b *broken, ctx context.Context) (journal.Checkpoint, error) {
				b.mu.Lock()
				defer b.mu.Unlock()
				old := b.stale
				now, err := b.Store.Head(ctx)
				if b.stale = now; old.Log == "" {
					old = now
				}
				return old, err
			}
		})},
		{"keeps its epoch when it is renewed", "checkpoint", breaks(keepEpoch)},
		{"keeps the epochs of leases when it is renewed", "fence", breaks(keepEpoch)},
		{"never wakes who waits", "follow", breaks(func(b *broken) {
			b.wait = func(_ *broken, ctx context.Context, _ journal.Position) error {
				<-ctx.Done()
				return ctx.Err()
			}
		})},
		{"reads records from a cache", "linear", breaks(func(b *broken) {
			cache := map[string]journal.Record{}
			b.record = func(b *broken, ctx context.Context, kind, key string) (journal.Record, error) {
				b.mu.Lock()
				defer b.mu.Unlock()
				name := fmt.Sprint(kind, "/", key)
				if r, ok := cache[name]; ok {
					return r, nil
				}
				r, err := b.Store.Record(ctx, kind, key)
				if err == nil {
					cache[name] = r
				}
				return r, err
			}
		})},
		{"lists records of other prefixes", "record", lists(func(q *journal.RecordQuery) { q.Prefix = "" })},
		{"lists records from the start", "record", lists(func(q *journal.RecordQuery) { q.After = "" })},
		{"holds back what is due now", "record", lists(func(q *journal.RecordQuery) {
			if !q.DueBy.IsZero() {
				q.DueBy = q.DueBy.Add(-time.Microsecond)
			}
		})},
		{"sorts due records by key", "model", breaks(func(b *broken) {
			b.records = func(b *broken, ctx context.Context, q journal.RecordQuery) ([]journal.Record, error) {
				out, err := b.Store.Records(ctx, q)
				slices.SortFunc(out, func(a, b journal.Record) int { return cmp.Compare(a.Key, b.Key) })
				return out, err
			}
		})},
	}
}

// keepEpoch answers a renewal as if it were done.
func keepEpoch(b *broken) {
	b.renew = func(b *broken, ctx context.Context) (journal.Checkpoint, error) {
		head, err := b.Store.Head(ctx)
		head.Epoch++
		return head, err
	}
}
