// SPDX-License-Identifier: Apache-2.0

// One shard of the sessions: a slab of slots, an index that finds them, and a lazy timing wheel that visits them.

package presence

import (
	"math"
	"sync"
)

// tick counts ticks of an owner. It begins at firstTick, so that silence from before the owner's start can be told.
type tick uint32

const (
	firstTick tick = 1 << 30
	farPast   tick = 1 << 29 // the longest silence and the longest limit that are told apart

	shardBits  = 6
	shardCount = 1 << shardBits
	chunkSize  = 256  // slots that are allocated together
	wheelSize  = 1024 // ticks; who is due later is visited and linked again
	retryTicks = 5    // after a failure of Expire
	noSlot     = math.MaxUint32
)

// Lists that a slot may be in, beside the buckets of the wheel.
const (
	dueList   = wheelSize + iota // the time is up, and nobody has let them go yet
	readyList                    // they wait for Expire
	freeList
	listCount
)

// The standing of a slot.
const (
	alive   uint8 = iota // in the wheel
	due                  // in dueList
	ready                // in readyList
	leaving              // in no list: Expire has it
)

// slot is one session, in 32 bytes and without a pointer, so that the collector has nothing to do here.
type slot struct {
	id       ID
	last     tick   // when it was heard
	limit    limit  // how long it may be silent, its standing, and whether it was let go before
	next     uint32 // slot of the same list, or noSlot
	previous uint32 // slot of the same list, or headMark and the list
}

const headMark = 1 << 31

// limit packs an idle limit in ticks with a slot's standing.
type limit uint32

const (
	standingShift = 30
	passedBit     = limit(1) << 29 // it was let go once, and Expire failed
	ticksMask     = passedBit - 1
)

func (l limit) ticks() tick     { return tick(l & ticksMask) }
func (l limit) standing() uint8 { return uint8(l >> standingShift) }
func (l limit) passed() bool    { return l&passedBit != 0 }

func (sl *slot) setStanding(s uint8) {
	sl.limit = sl.limit&(ticksMask|passedBit) | limit(s)<<standingShift
}

// deadline is the first tick at which the whole limit has passed, whenever within its tick the last beat was.
func (sl *slot) deadline() tick { return sl.last + sl.limit.ticks() + 1 }

// shard is guarded by its mutex.
type shard struct {
	sync.Mutex
	index  index
	chunks [][]slot
	size   uint32 // slots ever used
	heads  [listCount]uint32
	done   tick // buckets up to here were visited
	due    int  // length of dueList
	ready  int  // length of readyList
}

func newShard(now tick) *shard {
	s := &shard{done: now}
	for i := range s.heads {
		s.heads[i] = noSlot
	}
	return s
}

func (s *shard) at(i uint32) *slot { return &s.chunks[i/chunkSize][i%chunkSize] }

// find returns the slot of an id.
func (s *shard) find(id *ID, hash uint64) (uint32, bool) {
	x := &s.index
	if x.used == 0 {
		return 0, false
	}
	tag := uint32(hash)
	for p := tag & x.mask; ; p = (p + 1) & x.mask {
		e := x.table[p]
		if e == 0 {
			return 0, false
		}
		if uint32(e>>32) == tag {
			if i := uint32(e) - 1; s.at(i).id == *id {
				return i, true
			}
		}
	}
}

// track adds a session, or hears it again, and reports whether it is new.
func (s *shard) track(id ID, hash uint64, heard, ticks tick) bool {
	i, known := s.find(&id, hash)
	if !known {
		i = s.take()
		s.index.add(uint32(hash), i)
		*s.at(i) = slot{id: id}
	}
	sl := s.at(i)
	sl.last = max(sl.last, heard)
	sl.limit = sl.limit&^(ticksMask|passedBit) | limit(ticks)
	switch {
	case !known:
		s.arm(i)
	case sl.limit.standing() == alive: // a limit that shrank must be visited earlier
		s.unlink(i)
		s.arm(i)
	}
	return !known
}

// take finds a free slot, or makes one.
func (s *shard) take() uint32 {
	if i := s.heads[freeList]; i != noSlot {
		s.unlink(i)
		return i
	}
	if s.size%chunkSize == 0 {
		s.chunks = append(s.chunks, make([]slot, chunkSize))
	}
	s.size++
	return s.size - 1
}

// remove frees a slot, whatever list it is in.
func (s *shard) remove(i uint32, hash uint64) {
	s.leave(i)
	s.index.remove(uint32(hash), i)
	sl := s.at(i)
	*sl = slot{}
	s.link(i, freeList)
}

// leave takes a slot out of its list, if it is in one.
func (s *shard) leave(i uint32) {
	switch s.at(i).limit.standing() {
	case leaving:
		return
	case due:
		s.due--
	case ready:
		s.ready--
	}
	s.unlink(i)
}

// arm links a slot, which is in no list, into the wheel: at its deadline, or as late as the wheel reaches.
func (s *shard) arm(i uint32) {
	sl := s.at(i)
	sl.setStanding(alive)
	at := min(max(sl.deadline(), s.done+1), s.done+wheelSize-1)
	s.link(i, uint32(at%wheelSize))
}

// retry links a slot whose Expire failed: it will be due again soon, and is not counted against a hold again.
func (s *shard) retry(i uint32) {
	sl := s.at(i)
	sl.setStanding(alive)
	sl.limit |= passedBit
	s.link(i, uint32((s.done+retryTicks)%wheelSize))
}

func (s *shard) link(i, list uint32) {
	sl := s.at(i)
	sl.next, sl.previous = s.heads[list], headMark|list
	if sl.next != noSlot {
		s.at(sl.next).previous = i
	}
	s.heads[list] = i
}

func (s *shard) unlink(i uint32) {
	sl := s.at(i)
	if sl.previous&headMark != 0 {
		s.heads[sl.previous&^headMark] = sl.next
	} else {
		s.at(sl.previous).next = sl.next
	}
	if sl.next != noSlot {
		s.at(sl.next).previous = sl.previous
	}
}

// advance visits the buckets up to now and looks again at who is due. It returns how many were heard again.
func (s *shard) advance(now tick) (recovered int) {
	if now <= s.done {
		return 0
	}
	first := max(s.done+1, now-wheelSize+1)
	s.done = now
	recovered = s.recheck(now)
	for t := first; t <= now; t++ {
		bucket := t % wheelSize
		i := s.heads[bucket]
		s.heads[bucket] = noSlot
		for i != noSlot {
			sl := s.at(i)
			next := sl.next
			switch {
			case sl.deadline() > now:
				sl.limit &^= passedBit
				s.arm(i)
			case sl.limit.passed():
				s.toReady(i)
			default:
				sl.setStanding(due)
				s.link(i, dueList)
				s.due++
			}
			i = next
		}
	}
	return recovered
}

// recheck arms those that were heard after their time was up.
func (s *shard) recheck(now tick) (recovered int) {
	for i := s.heads[dueList]; i != noSlot; {
		next := s.at(i).next
		if s.at(i).deadline() > now {
			s.leave(i)
			s.arm(i)
			recovered++
		}
		i = next
	}
	return recovered
}

// pass lets everybody go who is due and was so by then, and returns how many those are.
func (s *shard) pass(by tick) (passed int) {
	for i := s.heads[dueList]; i != noSlot; {
		next := s.at(i).next
		if s.at(i).deadline() <= by {
			s.leave(i)
			s.toReady(i)
			passed++
		}
		i = next
	}
	return passed
}

func (s *shard) toReady(i uint32) {
	s.at(i).setStanding(ready)
	s.link(i, readyList)
	s.ready++
}
