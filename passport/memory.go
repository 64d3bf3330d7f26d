// SPDX-License-Identifier: Apache-2.0

// What a verifier remembers: passports that were found genuine, by their whole text.

package passport

import (
	"hash/maphash"
	"math/bits"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"
)

const (
	inline   = 1024 // bytes of a token that lie in its entry
	shards   = 16   // of a memory; each has its own lock for writing
	ways     = 5    // entries of a bucket, so that it fills a cache line
	sweep    = 2    // buckets that are cleared of expired entries with each new one
	hashTail = 32   // characters of the signature that are hashed: they are as good as random in a genuine passport
)

// entry is a passport that was found genuine. What each decision looks at stands together, in front: with many
// passports none of it is in the processor's cache.
type entry struct {
	token             string // a part of text, unless it is longer
	notBefore, expiry int64  // seconds of the wall clock between which it is in time, skew included
	keys              atomic.Pointer[KeySet]
	judged            atomic.Uint64 // the view's generation and the verdict, packed; 0 for none
	mark              Mark          // of the claims
	scope             string        // of the claims
	claims            Claims
	key               *Key
	replaced          atomic.Pointer[replacement]
	text              [inline]byte
}

// own copies a token into the entry: then its text lies where the entry does, and the processor need not wait for the
// entry to learn where that is.
func (e *entry) own(token string) {
	if len(token) > len(e.text) {
		e.token = strings.Clone(token)
		return
	}
	e.token = unsafe.String(&e.text[0], copy(e.text[:], token))
}

// is reports whether the entry is that of exactly this token.
func (e *entry) is(token string) bool {
	if len(token) > len(e.text) {
		return e.token == token
	}
	return string(e.text[:len(token)]) == token && len(e.token) == len(token)
}

// memory holds entries until their time is over, or others take their place. Reading takes no lock.
type memory struct {
	seed   maphash.Seed
	shards [shards]shard
}

type shard struct {
	buckets []bucket
	mu      struct {
		sync.Mutex
		count, limit int
		hand         int // the bucket that is swept next
	}
}

// bucket is a few entries with a part of their hashes, which saves looking at most of the others.
type bucket struct {
	tags    [ways]atomic.Uint32
	entries [ways]atomic.Pointer[entry]
}

// newMemory returns a memory of about limit entries.
func newMemory(limit int) *memory {
	m := &memory{seed: maphash.MakeSeed()}
	// Shards and buckets do not fill evenly: with this much room, less than one in a thousand has to go before its time.
	each := limit/shards + limit/shards/16 + 16
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.limit = each
		s.buckets = make([]bucket, 1<<bits.Len(uint(each)))
	}
	return m
}

// hash returns where a token belongs. The token is longer than its signature.
func (m *memory) hash(token string) uint64 {
	return maphash.String(m.seed, token[len(token)-hashTail:])
}

// place returns the shard, the bucket in it, and the tag of a hash.
func (m *memory) place(hash uint64) (s *shard, b *bucket, tag uint32) {
	s = &m.shards[hash%shards]
	return s, &s.buckets[hash/shards&uint64(len(s.buckets)-1)], uint32(hash >> 32)
}

// find returns the entry of exactly this token, or nil.
func (m *memory) find(token string, hash uint64) *entry {
	_, b, tag := m.place(hash)
	for i := range b.tags {
		if b.tags[i].Load() != tag {
			continue
		}
		if e := b.entries[i].Load(); e != nil && e.is(token) {
			return e
		}
	}
	return nil
}

// keep remembers an entry, unless its token is remembered, and returns the one that is.
func (m *memory) keep(e *entry, hash uint64, now int64) *entry {
	s, b, tag := m.place(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := m.find(e.token, hash); old != nil {
		return old
	}
	for range sweep {
		s.next().drop(s, func(e *entry) bool { return e.expiry <= now })
	}
	free := b.free()
	if free < 0 { // another one of the bucket has to go: which one is as good as random
		free = int(hash >> 28 % ways)
		b.clear(s, free)
	}
	for s.mu.count >= s.mu.limit { // another one of the shard has to go
		left := 1
		s.next().drop(s, func(*entry) bool { left--; return left >= 0 })
	}
	b.entries[free].Store(e)
	b.tags[free].Store(tag)
	s.mu.count++
	return e
}

// next returns the bucket under the hand, and moves it on. The lock is held.
func (s *shard) next() *bucket {
	b := &s.buckets[s.mu.hand]
	s.mu.hand = (s.mu.hand + 1) & (len(s.buckets) - 1)
	return b
}

// free returns an empty place, or -1. The lock is held.
func (b *bucket) free() int {
	for i := range b.entries {
		if b.entries[i].Load() == nil {
			return i
		}
	}
	return -1
}

// drop clears the places of entries that fit. The lock is held.
func (b *bucket) drop(s *shard, fits func(*entry) bool) {
	for i := range b.entries {
		if e := b.entries[i].Load(); e != nil && fits(e) {
			b.clear(s, i)
		}
	}
}

func (b *bucket) clear(s *shard, i int) {
	b.tags[i].Store(0)
	b.entries[i].Store(nil)
	s.mu.count--
}
