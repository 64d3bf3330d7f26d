// SPDX-License-Identifier: Apache-2.0

// What an import knows of the streams it writes to.

package importer

import "example.com/vidimus/journal"

// idsMax bounds the ids remembered, about 40 bytes each; streams that were not met for longest are read again.
const idsMax = 4 << 20

// stream is a stream's version and the ids of all its events.
type stream struct {
	version journal.Version
	ids     map[journal.ID]struct{}
}

func (s *stream) has(id journal.ID) bool {
	_, ok := s.ids[id]
	return ok
}

// memory holds streams in two generations: what was not met for a whole generation is dropped.
type memory struct {
	limit    int
	young    map[journal.Stream]*stream
	previous map[journal.Stream]*stream
	ids      int // in young, more or less
	complete bool
	lost     map[journal.Stream]bool
}

func newMemory() *memory {
	return &memory{
		limit: idsMax, complete: true,
		young: map[journal.Stream]*stream{}, lost: map[journal.Stream]bool{},
	}
}

// get returns a stream, or nil for one that is not remembered.
func (m *memory) get(name journal.Stream) *stream {
	if s, ok := m.young[name]; ok {
		return s
	}
	s, ok := m.previous[name]
	if !ok {
		return nil
	}
	delete(m.previous, name)
	m.keep(name, s)
	return s
}

// put remembers a stream without events.
func (m *memory) put(name journal.Stream) *stream {
	s := &stream{ids: map[journal.ID]struct{}{}}
	m.keep(name, s)
	return s
}

func (m *memory) keep(name journal.Stream, s *stream) {
	if m.ids >= m.limit/2 {
		m.complete = m.complete && len(m.previous) == 0
		m.previous, m.young, m.ids = m.young, map[journal.Stream]*stream{}, 0
	}
	m.young[name] = s
	m.ids += len(s.ids) + 1 // a stream takes room even without events
}

// add remembers the next event of a stream.
func (m *memory) add(s *stream, id journal.ID) {
	s.version++
	s.ids[id] = struct{}{}
	m.ids++
}

// lose marks a stream as not as remembered.
func (m *memory) lose(name journal.Stream) { m.lost[name] = true }

func (m *memory) isLost(name journal.Stream) bool { return m.lost[name] }

// forgetLost drops the streams that were marked.
func (m *memory) forgetLost() {
	for name := range m.lost {
		delete(m.young, name)
		delete(m.previous, name)
		m.complete = false
	}
	clear(m.lost)
}
