// SPDX-License-Identifier: Apache-2.0

// Passports at hand: a bounded cache by the whole handle, which can forget.

package edge

import (
	"hash/maphash"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/passport"
	"example.com/vidimus/passport/header"
)

// held is a passport at hand.
type held struct {
	handle    string
	token     []string // one element, as a header has it; never written to
	position  []string // as a header has it
	claims    passport.Claims
	subject   string // see floors
	successor string // the handle to go on with, if this one was rotated

	asked time.Time     // before the authority was asked
	order uint64        // when it was asked, in the edge's own order of events
	life  time.Duration // how old it gets

	judged atomic.Uint64 // 1 + the view's generation at which it last held
	used   atomic.Bool
	slot   int
}

const (
	// endMargin is how long before its end a passport is not sent any more: it is still under way then.
	endMargin = 2 * time.Second
	// successorLife is how long a passport is kept that was given for a handle which is about to be refused.
	successorLife = time.Second
)

// hold makes a passport ready that was asked for at a time. How long it holds is counted from then, on the edge's
// own clock: its clock and the authority's need not agree.
func hold(handle string, g *passport.Grant, asked time.Time, order uint64) *held {
	c := &g.Claims
	life := c.ExpiresAt.Sub(c.IssuedAt) - endMargin
	if g.Handle != "" {
		life = min(life, successorLife)
	}
	return &held{
		handle: handle, token: []string{g.Token}, position: []string{c.Mark.String()}, claims: *c,
		subject: passport.SubjectKey(c.Tenant, c.Subject), successor: g.Handle,
		asked: asked, order: order, life: life,
	}
}

// age is how long ago the passport was asked for, also when the machine slept since.
func (h *held) age(now time.Time) time.Duration { return clock.Elapsed(h.asked, now) }

// total is how long the passport is good for. Near its end it is not sent any more, but proves that its session lives.
func (h *held) total() time.Duration { return h.claims.ExpiresAt.Sub(h.claims.IssuedAt) }

// set puts the passport on a request.
func (h *held) set(to http.Header) {
	to[header.TxnToken] = h.token
	if to[header.Position] == nil {
		to[header.Position] = h.position
	}
}

// shards of the cache, so that requests do not wait for one lock.
const shards = 16

// cache keeps passports by handle. What was not used for longest, roughly, makes room.
type cache struct {
	seed  maphash.Seed
	parts [shards]cachePart
}

type cachePart struct {
	sync.RWMutex
	by   map[string]*held
	ring []*held // all of them, for the hand that looks for room
	hand int
	max  int
}

func newCache(sessions int) *cache {
	c := &cache{seed: maphash.MakeSeed()}
	for i := range c.parts {
		c.parts[i].by = map[string]*held{}
		c.parts[i].max = max(1, sessions/shards)
	}
	return c
}

func (c *cache) part(handle string) *cachePart {
	return &c.parts[maphash.String(c.seed, handle)%shards]
}

// get returns the passport for a handle, or nil.
func (c *cache) get(handle string) *held {
	p := c.part(handle)
	p.RLock()
	h := p.by[handle]
	p.RUnlock()
	if h != nil && !h.used.Load() {
		h.used.Store(true)
	}
	return h
}

// put keeps a passport, unless it has one that was asked for later.
func (c *cache) put(h *held) {
	p := c.part(h.handle)
	p.Lock()
	defer p.Unlock()
	if before := p.by[h.handle]; before != nil {
		if before.order < h.order {
			h.slot = before.slot
			p.ring[h.slot], p.by[h.handle] = h, h
		}
		return
	}
	h.slot = p.room()
	p.ring[h.slot], p.by[h.handle] = h, h
}

// room returns a free slot.
func (p *cachePart) room() int {
	if len(p.ring) < p.max {
		p.ring = append(p.ring, nil)
		return len(p.ring) - 1
	}
	for {
		p.hand = (p.hand + 1) % len(p.ring)
		h := p.ring[p.hand]
		if h == nil {
			return p.hand
		}
		if !h.used.Swap(false) {
			delete(p.by, h.handle)
			return p.hand
		}
	}
}

// drop forgets the passport for a handle.
func (c *cache) drop(handle string) {
	p := c.part(handle)
	p.Lock()
	defer p.Unlock()
	if h := p.by[handle]; h != nil {
		p.ring[h.slot] = nil
		delete(p.by, handle)
	}
}

// size returns how many passports are at hand.
func (c *cache) size() int {
	n := 0
	for i := range c.parts {
		p := &c.parts[i]
		p.RLock()
		n += len(p.by)
		p.RUnlock()
	}
	return n
}

// recent remembers strings with a number, the newest at least: it holds two generations, and drops the older one
// when the younger is full.
type recent struct {
	sync.RWMutex
	young, old map[string]uint64
	max        int
	base       uint64 // no number that was dropped is greater
}

func newRecent(max int) *recent { return &recent{young: map[string]uint64{}, max: max} }

// note remembers a number for a string; numbers only rise.
func (r *recent) note(s string, n uint64) {
	r.Lock()
	defer r.Unlock()
	r.young[s] = max(n, r.young[s])
	if len(r.young) < r.max {
		return
	}
	for _, dropped := range r.old {
		r.base = max(r.base, dropped)
	}
	r.young, r.old = map[string]uint64{}, r.young
}

// atMost returns the number for a string; for one that it may have dropped, the greatest that it dropped.
func (r *recent) atMost(s string) uint64 {
	r.RLock()
	defer r.RUnlock()
	return max(r.young[s], r.old[s], r.base)
}

// known returns the number for a string if it is remembered.
func (r *recent) known(s string) (uint64, bool) {
	r.RLock()
	defer r.RUnlock()
	if n, ok := r.young[s]; ok {
		return n, true
	}
	n, ok := r.old[s]
	return n, ok
}
