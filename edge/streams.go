// SPDX-License-Identifier: Apache-2.0

// What stays open after its request was admitted, and is judged again as long as it does.

package edge

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/passport"
)

// errSignedOut ends a stream whose session has ended; errDraining one that can go on at another edge.
var (
	errSignedOut = errors.New("the session has ended")
	errDraining  = errors.New("the edge is ending")
)

// streams are the upgraded connections, and the requests and answers without a stated end.
type streams struct {
	mu   sync.Mutex
	open map[*visit]*stream
}

// stream is one of them. Only [Edge.Run] changes it.
type stream struct {
	handle string // the one to go on with
	held   *held  // nil if it needed no session
	events bool   // an event stream, which its client takes up again elsewhere
}

// isStream reports answers that can outlive their passport.
func isStream(res *http.Response) bool {
	return res.StatusCode == http.StatusSwitchingProtocols || isEvents(res.Header) || res.ContentLength < 0
}

func isEvents(h http.Header) bool {
	return strings.HasPrefix(strings.ToLower(h.Get("Content-Type")), "text/event-stream")
}

func (s *streams) add(v *visit, events bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[v] = &stream{handle: v.handle, held: v.held, events: events}
	v.streaming = true
}

func (s *streams) remove(v *visit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, v)
}

func (s *streams) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// all returns the streams that are open now.
func (s *streams) all() map[*visit]*stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[*visit]*stream, len(s.open))
	for v, st := range s.open {
		all[v] = st
	}
	return all
}

// cut ends a stream, unless it has ended by itself: then its connection may serve another request by now.
func (s *streams) cut(v *visit, cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[v] == nil {
		return
	}
	v.cancel(cause)
	if v.upload != nil {
		v.upload.interrupt()
	}
}

// end ends the streams that are chosen.
func (s *streams) end(cause error, chosen func(*stream) bool) {
	for v, st := range s.all() {
		if chosen(st) {
			s.cut(v, cause)
		}
	}
}

// judge ends the streams whose sessions have ended. What the view knows is minded at once; only for passports that
// do not do any more is the authority asked. While it does not answer, a stream stays open until its passport ends.
func (e *Edge) judge(ctx context.Context) {
	now := clock.Now()
	ask := map[*visit]*stream{}
	for v, st := range e.streams.all() {
		check := visit{edge: e, route: v.route}
		switch {
		case st.held == nil: // it needed no session
		case e.config.View != nil && errors.Is(e.config.View.Judge(&st.held.claims), passport.ErrRevoked):
			e.streams.cut(v, errSignedOut)
		case !check.judge(st.held, now):
			ask[v] = st
		}
	}
	for v, st := range ask {
		if ctx.Err() != nil {
			return
		}
		e.renew(ctx, v, st)
	}
}

// renew gets a new passport for a stream, or ends it.
func (e *Edge) renew(ctx context.Context, v *visit, st *stream) {
	at := visit{edge: e, route: v.route, in: v.in, from: v.from, handle: st.handle}
	err := at.obtain(ctx)
	switch {
	case err == nil && at.authorised() == nil:
		st.held = at.held
		if at.held.successor != "" {
			st.handle = at.held.successor
		}
	case err == nil, errors.Is(err, passport.ErrNoSession), errors.Is(err, passport.ErrRevoked):
		e.streams.cut(v, errSignedOut)
	case !clock.Now().Before(st.held.end):
		e.streams.cut(v, err)
	}
}
