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

// errSignedOut ends a stream whose session has ended; errUnproved one of which nobody says that it has not; errDraining
// one that can go on at another edge.
var (
	errSignedOut = errors.New("the session has ended")
	errUnproved  = errors.New("nobody can say now who is signed in")
	errDraining  = errors.New("the edge is ending")
)

// renewalsAtOnce is how many passports for streams are asked for at once, so that requests are not kept waiting.
const renewalsAtOnce = mintsAtOnce / 4

// streams are the upgraded connections, and the requests and answers that may take long.
type streams struct {
	mu   sync.Mutex
	open map[*visit]*stream

	renewals sync.WaitGroup
	slots    chan struct{}
}

func newStreams() streams {
	return streams{open: map[*visit]*stream{}, slots: make(chan struct{}, renewalsAtOnce)}
}

// stream is one of them.
type stream struct {
	handle    string // the one to go on with
	held      *held  // nil if it needed no session
	elsewhere bool   // whether its client takes it up again at another edge
	renewing  bool   // whether a new passport is being asked for
}

// isStream reports answers that can outlive their passport.
func isStream(res *http.Response) bool {
	return endsElsewhere(res) || isLong(res.ContentLength)
}

// isLong reports bodies that may take long: those without a stated length, and large ones.
func isLong(length int64) bool { return length < 0 || length > smallBody }

func isEvents(h http.Header) bool {
	return strings.HasPrefix(strings.ToLower(h.Get("Content-Type")), "text/event-stream")
}

// endsElsewhere reports answers whose clients connect again when they end: event streams, and WebSockets.
func endsElsewhere(res *http.Response) bool {
	return res.StatusCode == http.StatusSwitchingProtocols || isEvents(res.Header)
}

// add takes a stream in. One that is open already, as an upload is when its answer comes, goes on from where it stands.
func (s *streams) add(v *visit, elsewhere bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.open[v]
	if st == nil {
		st = &stream{handle: v.handle}
		s.open[v] = st
	}
	st.elsewhere, v.streaming = elsewhere, true
	if v.held != nil && (st.held == nil || st.held.order < v.held.order) {
		st.goOn(v.held)
	}
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

// all returns the streams that are open now, as they are now.
func (s *streams) all() map[*visit]stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[*visit]stream, len(s.open))
	for v, st := range s.open {
		all[v] = *st
	}
	return all
}

// change changes a stream that is open.
func (s *streams) change(v *visit, how func(*stream)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := s.open[v]; st != nil {
		how(st)
	}
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
func (s *streams) end(cause error, chosen func(stream) bool) {
	for v, st := range s.all() {
		if chosen(st) {
			s.cut(v, cause)
		}
	}
}

// judge ends the streams whose sessions have ended, and those whose passports have. It waits for nobody: for passports
// that do not do any more, or not much longer, the authority is asked beside it. While that does not answer, a stream
// stays open until its passport ends.
func (e *Edge) judge(ctx context.Context) {
	now := clock.Now()
	for v, st := range e.streams.all() {
		check := visit{edge: e, route: v.route}
		switch {
		case st.held == nil: // it needed no session
		case e.config.View != nil && errors.Is(e.config.View.Judge(&st.held.claims), passport.ErrRevoked):
			e.streams.cut(v, errSignedOut)
		case st.held.age(now) >= st.held.total():
			e.streams.cut(v, errUnproved)
		case !st.renewing && (st.held.age(now) > st.held.total()*3/4 || !check.judge(st.held, now)):
			e.renew(ctx, v, st)
		}
	}
}

// renew gets a new passport for a stream, or ends it, as soon as there is room.
func (e *Edge) renew(ctx context.Context, v *visit, st stream) {
	e.streams.change(v, func(st *stream) { st.renewing = true })
	e.streams.renewals.Go(func() {
		defer e.streams.change(v, func(st *stream) { st.renewing = false })
		select {
		case e.streams.slots <- struct{}{}:
			defer func() { <-e.streams.slots }()
		case <-ctx.Done():
			return
		}
		at := visit{edge: e, route: v.route, from: v.from, handle: st.handle}
		switch err := at.replace(ctx, st.held); {
		case err == nil && at.authorised() == nil:
			e.streams.change(v, func(st *stream) { st.goOn(at.held) })
		case err == nil, errors.Is(err, passport.ErrNoSession):
			e.streams.cut(v, errSignedOut)
		}
	})
}

// goOn takes a newer passport for a stream, and the handle to ask for the next with.
func (st *stream) goOn(h *held) {
	st.held = h
	if h.successor != "" {
		st.handle = h.successor
	}
}

// replace finds a passport that was asked for later than another: at hand, or from the authority.
func (v *visit) replace(ctx context.Context, than *held) (err error) {
	m := v.edge.mint
	v.held = m.ready.get(v.handle)
	if v.held == nil || v.held.order <= than.order || !v.judge(v.held, clock.Now()) {
		v.held, err = m.fetch(ctx, v.handle, than.order, v.from)
	}
	return err
}
