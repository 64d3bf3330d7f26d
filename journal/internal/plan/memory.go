// SPDX-License-Identifier: Apache-2.0

// What a writer remembers of the streams it wrote to.

package plan

import "example.com/vidimus/journal"

// Memory remembers facts about streams in front of a database, so that the usual append asks it nothing. It forgets
// the streams it did not meet for longest. Its owner is the only writer, or tells it what others wrote. One goroutine
// at a time may use it.
type Memory struct {
	facts  Facts
	heads  cache[Head]
	recent cache[[]Seen] // newest last; only streams in which a retry was looked for
}

const (
	// recentStreams bounds the streams of which ids are remembered, 160 kB each at the most.
	recentStreams = 256
	// depth is how many events of such a stream are remembered: the window, and the longest append that ends in it.
	depth = journal.Window + journal.MaxEvents
)

// NewMemory returns a memory for at most the given number of streams, in front of facts.
func NewMemory(facts Facts, streams int) *Memory {
	return &Memory{facts: facts, heads: newCache[Head](streams), recent: newCache[[]Seen](recentStreams)}
}

// Head implements [Facts].
func (m *Memory) Head(s journal.Stream) (Head, error) {
	if h, ok := m.heads.get(s); ok {
		return h, nil
	}
	h, err := m.facts.Head(s)
	if err != nil {
		return Head{}, err
	}
	m.heads.put(s, h)
	return h, nil
}

// Recent implements [Facts].
func (m *Memory) Recent(s journal.Stream, h Head, n int) ([]Seen, error) {
	known, _ := m.recent.get(s)
	if len(known) == 0 || known[len(known)-1].Version != h.Version { // others appended what was not told here
		newest, err := m.facts.Recent(s, h, depth)
		if err != nil {
			return nil, err
		}
		known = make([]Seen, 0, len(newest))
		for i := len(newest) - 1; i >= 0; i-- {
			known = append(known, newest[i])
		}
		m.recent.put(s, known)
	}
	n = min(n, len(known))
	out := make([]Seen, 0, n)
	for i := len(known) - 1; len(out) < n; i-- {
		out = append(out, known[i])
	}
	return out, nil
}

// Record implements [Facts].
func (m *Memory) Record(kind, key string) (journal.Version, error) { return m.facts.Record(kind, key) }

// Match implements [Facts].
func (m *Memory) Match(c *journal.Condition) (journal.Position, error) { return m.facts.Match(c) }

// Knows reports whether the memory holds the stream's head.
func (m *Memory) Knows(s journal.Stream) bool {
	_, ok := m.heads.get(s)
	return ok
}

// Learn remembers a stream's head.
func (m *Memory) Learn(s journal.Stream, h Head) { m.heads.put(s, h) }

// Saw remembers a committed event, and that it is its stream's head. Events of a stream must come in order.
func (m *Memory) Saw(s journal.Stream, h Head, e Seen) {
	m.heads.put(s, h)
	if known, ok := m.recent.get(s); ok {
		m.recent.put(s, remember(known, e))
	}
}

// Apply remembers a batch that was committed.
func (m *Memory) Apply(b *Batch) {
	for s, h := range b.Heads {
		m.heads.put(s, h)
	}
	if m.recent.empty() {
		return
	}
	for i := range b.Rows {
		r := &b.Rows[i]
		if known, ok := m.recent.get(r.Stream); ok {
			m.recent.put(r.Stream, remember(known, Seen{r.ID, r.Version, r.Position}))
		}
	}
}

// remember adds an event and keeps between depth and twice depth of them. It drops them all where one is missing.
func remember(known []Seen, e Seen) []Seen {
	if n := len(known); n == 0 || known[n-1].Version+1 != e.Version {
		return nil
	}
	if len(known) >= 2*depth {
		known = append(known[:0], known[len(known)-depth:]...)
	}
	return append(known, e)
}

// Forget drops everything, for when it is not known what was committed.
func (m *Memory) Forget() {
	m.heads = newCache[Head](m.heads.limit)
	m.recent = newCache[[]Seen](m.recent.limit)
}

// cache is a map of bounded size in two generations: what was not met for a whole generation is dropped.
type cache[V any] struct {
	limit    int
	young    map[journal.Stream]V
	previous map[journal.Stream]V
}

func newCache[V any](limit int) cache[V] {
	return cache[V]{limit: limit, young: map[journal.Stream]V{}}
}

func (c *cache[V]) get(s journal.Stream) (V, bool) {
	if v, ok := c.young[s]; ok {
		return v, true
	}
	v, ok := c.previous[s]
	if ok {
		c.put(s, v)
	}
	return v, ok
}

func (c *cache[V]) empty() bool { return len(c.young)+len(c.previous) == 0 }

func (c *cache[V]) put(s journal.Stream, v V) {
	if len(c.young) >= max(1, c.limit/2) {
		if _, known := c.young[s]; !known {
			c.previous, c.young = c.young, make(map[journal.Stream]V, len(c.young))
		}
	}
	c.young[s] = v
}
