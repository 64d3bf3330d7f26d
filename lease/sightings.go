// SPDX-License-Identifier: Apache-2.0

// How long things have been seen unchanged, by this process's monotonic clock.

package lease

import (
	"sync"
	"time"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
)

// sightingsMax bounds what is remembered. Forgetting only makes a takeover later.
const sightingsMax = 4096

// sightings remembers versions and since when they have been seen.
type sightings struct {
	mu struct {
		sync.Mutex
		seen map[string]sighting
	}
}

type sighting struct {
	version journal.Version
	since   time.Time // after the read that saw this version first
	last    time.Time
}

// see notes that a read which began at the given time found a version. It returns for how long that version has
// certainly been there.
func (s *sightings) see(key string, v journal.Version, began time.Time) time.Duration {
	now := clock.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	old, ok := s.mu.seen[key]
	if ok && old.version == v {
		old.last = now
		s.mu.seen[key] = old
		return began.Sub(old.since)
	}
	if !ok {
		s.makeRoom()
	}
	s.mu.seen[key] = sighting{version: v, since: now, last: now}
	return 0
}

func (s *sightings) forget(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.mu.seen, key)
}

// makeRoom drops what was not looked at for longest. The caller holds the lock.
func (s *sightings) makeRoom() {
	if s.mu.seen == nil {
		s.mu.seen = map[string]sighting{}
	}
	if len(s.mu.seen) < sightingsMax {
		return
	}
	var oldest string
	for key, at := range s.mu.seen {
		if found := s.mu.seen[oldest]; oldest == "" || at.last.Before(found.last) ||
			at.last.Equal(found.last) && key < oldest {
			oldest = key
		}
	}
	delete(s.mu.seen, oldest)
}
