// SPDX-License-Identifier: Apache-2.0

// Bodies of requests: how large they may be, and how long they may take to arrive.

package edge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"example.com/vidimus/internal/clock"
)

const (
	smallBody       = 64 << 10 // the largest body that is kept to be sent again
	bodyIdle        = 60 * time.Second
	bodyIdleRefresh = bodyIdle / 6
)

// errBody says that the client's body could not be read.
var errBody = errors.New("reading the client's body")

// guardBody bounds the body of a request, and keeps a small one so that it can be sent again.
func (v *visit) guardBody(w http.ResponseWriter, r *http.Request) *refusal {
	if v.upload == nil {
		return nil
	}
	limit := v.route.MaxBody
	if limit > 0 && r.ContentLength > limit {
		return refuse(http.StatusRequestEntityTooLarge, "body", "the body is larger than %d bytes", limit)
	}
	if limit > 0 && r.ContentLength < 0 {
		r.Body = http.MaxBytesReader(w, r.Body, limit)
	}
	if v.held == nil && v.route.Idempotency == Forward || r.ContentLength < 0 || r.ContentLength > smallBody {
		return nil
	}
	v.body = make([]byte, r.ContentLength)
	if _, err := io.ReadFull(r.Body, v.body); err != nil {
		return badBody(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(v.body))
	return nil
}

// badBody is the answer to a request whose body could not be read.
func badBody(err error) *refusal {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return refuse(http.StatusRequestEntityTooLarge, "body", "the body is larger than %d bytes", tooLarge.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return refuse(http.StatusRequestTimeout, "body", "the body does not arrive")
	}
	return refuse(http.StatusBadRequest, "body", "the body ends before it should")
}

// patient is a body whose sender may be slow, but not silent: it would take a place among the requests under way for
// ever, or, when nobody reads what it sends, at least a connection.
type patient struct {
	io.ReadCloser
	ctx    context.Context // of the request: Read takes none
	shared bool            // its connection is shared with other streams, as in HTTP/2
	set    time.Time

	mu struct {
		sync.Mutex
		control *http.ResponseController // nil once the request is over, and its connection another one's
	}
}

// receive bounds the body of a request, from now on; it returns nil if there is none.
func receive(ctx context.Context, w http.ResponseWriter, r *http.Request) *patient {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return nil
	}
	p := &patient{ReadCloser: r.Body, ctx: ctx, shared: r.ProtoMajor > 1}
	p.mu.control = http.NewResponseController(w)
	if !p.shared { // of a body that is refused unread, net/http itself awaits some
		p.bound()
	}
	return p
}

// over ends the say of a body in its connection. net/http sets the deadlines of the next request.
func (p *patient) over() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.control = nil
}

// interrupt makes a read that waits return, and all that follow. The context must have ended before.
func (p *patient) interrupt() { p.until(time.Unix(1, 0)) }

// Read reads within the bound.
func (p *patient) Read(b []byte) (int, error) {
	p.bound()
	if err := context.Cause(p.ctx); err != nil { // looked at after the deadline was set, or it could undo interrupt
		return 0, err
	}
	n, err := p.ReadCloser.Read(b)
	if p.shared || err == io.EOF { // the bound is the body's: whoever reads it, or answers, may take longer
		p.until(time.Time{})
	}
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%w: %w", errBody, err)
	}
	return n, err
}

// bound lets what is read next take so long. Where the connection is shared, a deadline that passes ends the stream
// even if nobody reads, so there it stands for one read alone.
func (p *patient) bound() {
	if now := clock.Now(); p.shared || now.Sub(p.set) > bodyIdleRefresh {
		p.set = now
		p.until(now.Add(bodyIdle))
	}
}

// until sets the deadline. Where it cannot be set, nothing is lost but this bound.
func (p *patient) until(t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.control != nil {
		_ = p.mu.control.SetReadDeadline(t)
	}
}
