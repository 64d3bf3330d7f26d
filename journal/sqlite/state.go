// SPDX-License-Identifier: Apache-2.0

// What the store remembers of the file.

package sqlite

import (
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/internal/plan"
)

// apply remembers what was committed. A reader may have found it in the file before.
func (s *store) apply(b *plan.Batch, part saving) {
	s.state.Lock()
	defer s.state.Unlock()
	if s.state.last < b.Last() {
		s.state.memory.Apply(b)
		for name, h := range b.Heads {
			s.state.heads.unsaved[name] = h
		}
		for i := range b.Rows {
			if b.Rows[i].Version == 1 {
				s.state.streams++
			}
		}
		s.moveTo(b.Last())
	}
	s.state.heads.saved(part)
}

// moveTo sets the end of the journal. The caller holds the state.
func (s *store) moveTo(last journal.Position) {
	s.state.last = last
	s.known.Store(int64(last))
	s.announce()
}

// forget drops what is only remembered, for when a commit failed. The ends that are not in the file stay.
func (s *store) forget() {
	s.state.Lock()
	defer s.state.Unlock()
	s.state.memory.Forget()
}

// absorb learns the events after the known end, as another connection or an earlier process committed them. The
// caller holds the state.
func (s *store) absorb(c *conn) error {
	last := s.state.last
	f := &facts{db: c, ends: s.state.facts.ends}
	err := readTail(c, last, func(e tailEvent) error {
		h, err := f.after(e)
		if err != nil {
			return err
		}
		s.state.heads.unsaved[e.stream] = h
		s.state.memory.Saw(e.stream, h, e.Seen)
		if e.Version == 1 {
			s.state.streams++
		}
		last = e.Position
		return nil
	})
	if last > s.state.last {
		s.moveTo(last)
	}
	return err
}

// saveAllHeads saves every end, so that the next Open has nothing to read again.
func (s *store) saveAllHeads(c *conn) error {
	s.state.Lock()
	defer s.state.Unlock()
	h := &s.state.heads
	if len(h.unsaved) == 0 {
		return nil
	}
	return c.writing(func() error {
		if err := s.absorb(c); err != nil {
			return err
		}
		h.begin(mark{s.state.last, s.state.streams})
		return writeHeads(c, h.next(len(h.rest), h.begun, nil))
	})
}
