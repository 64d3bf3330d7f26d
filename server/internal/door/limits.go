// SPDX-License-Identifier: Apache-2.0

// How many may do what at once, and how much memory that may take.

package door

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"

	"example.com/vidimus/server/internal/wire"
)

// counter bounds how much each holder has open. Goroutines may share it.
type counter struct {
	limit int
	mu    struct {
		sync.Mutex
		open map[string]int
	}
}

func newCounter(limit int) *counter {
	c := &counter{limit: limit}
	c.mu.open = map[string]int{}
	return c
}

// enter counts one more for a holder, until leave is called.
func (c *counter) enter(holder string) (leave func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.open[holder] >= c.limit {
		return nil, fmt.Errorf("%w: %d are open with this token, which is the limit; close some, or use another token",
			wire.ErrLimit, c.limit)
	}
	c.mu.open[holder]++
	return sync.OnceFunc(func() { c.leave(holder) }), nil
}

func (c *counter) leave(holder string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.open[holder]--; c.mu.open[holder] == 0 {
		delete(c.mu.open, holder)
	}
}

// ration is the memory that the bodies of all requests may take together. Goroutines may share it.
type ration struct{ left atomic.Int64 }

// take takes n bytes, or none and returns false.
func (r *ration) take(n int64) bool {
	if r.left.Add(-n) < 0 {
		r.left.Add(n)
		return false
	}
	return true
}

// body is a request's body that is paid for out of a ration while its caller is let in. One call reads it at a time.
type body struct {
	io.ReadCloser
	ration *ration
	mu     struct {
		sync.Mutex
		counts bool
		read   int64 // bytes so far
		taken  int64 // of the ration
	}
}

// count begins to count. What is packed may become as large as a request may be.
func (b *body) count(packed bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.counts = true
	if !packed {
		return nil
	}
	return b.grow(BodyMax)
}

// grow makes sure that so many bytes are taken.
func (b *body) grow(to int64) error {
	if to <= b.mu.taken {
		return nil
	}
	if !b.ration.take(to - b.mu.taken) {
		return fmt.Errorf("%w: the requests under way on this node take all the memory there is for them; try again, or "+
			"send less at once", wire.ErrLimit)
	}
	b.mu.taken = to
	return nil
}

// Read implements [io.Reader].
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.mu.counts {
		return n, err
	}
	b.mu.read += int64(n)
	if full := b.grow(b.mu.read); full != nil {
		return 0, wire.Error(full, nil)
	}
	return n, err
}

// settle gives back what was taken beyond what was read: the request is unpacked by now, and small if it lasts.
func (b *body) settle() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if over := b.mu.taken - b.mu.read; over > 0 {
		b.ration.left.Add(over)
		b.mu.taken -= over
	}
}

// done gives everything back.
func (b *body) done() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ration.left.Add(b.mu.taken)
	b.mu.taken, b.mu.counts = 0, false
}

// packed reports whether a request says that it is compressed, in one of the protocols' ways.
func packed(h http.Header) bool {
	for _, name := range []string{"Content-Encoding", "Connect-Content-Encoding", "Grpc-Encoding"} {
		if v := h.Get(name); v != "" && v != "identity" {
			return true
		}
	}
	return false
}
