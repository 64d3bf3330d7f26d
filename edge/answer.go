// SPDX-License-Identifier: Apache-2.0

// Answers to clients: what they may not say, and how long they may take to be read.

package edge

import (
	"net/http"
	"time"

	"example.com/vidimus/internal/clock"
)

// answer is what a client is answered with, without what a service may not say before it. The client may read slowly,
// but not stop: it would take a place among the requests under way for ever, or at least a connection or a stream.
type answer struct {
	http.ResponseWriter
	control *http.ResponseController
	shared  bool // its connection is shared with other streams, as in HTTP/2
	ours    bool // whatever comes next on its connection is answered by an edge, too
	set     time.Time
}

// answerTo begins an answer.
func (e *Edge) answerTo(w http.ResponseWriter, r *http.Request) *answer {
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	a := &answer{
		ResponseWriter: w, control: http.NewResponseController(w), shared: r.ProtoMajor > 1,
		ours: ok && server.Handler == http.Handler(e),
	}
	if !a.shared {
		a.bound() // instead of that of the answer before
	}
	return a
}

// Write writes within the bound.
func (a *answer) Write(p []byte) (int, error) {
	a.bound()
	defer a.rest()
	return a.ResponseWriter.Write(p)
}

// FlushError is for [http.ResponseController].
func (a *answer) FlushError() error {
	a.bound()
	defer a.rest()
	return a.control.Flush()
}

// bound lets what is written next take so long.
func (a *answer) bound() {
	if now := clock.Now(); a.shared || now.Sub(a.set) > bodyIdleRefresh {
		a.set = now
		a.until(now.Add(bodyIdle))
	}
}

// rest lets an answer be quiet: where the connection is shared, the deadline would end its stream for that, too.
func (a *answer) rest() {
	if a.shared {
		a.until(time.Time{})
	}
}

// end bounds what net/http itself writes then: a short answer as a whole, and the rest of a long one. Where others may
// answer the next request, it gives the connection back as it was instead.
func (a *answer) end() {
	if a.shared || a.ours {
		a.bound()
		return
	}
	a.until(time.Time{})
}

// until sets the deadline. Where it cannot be set, nothing is lost but this bound.
func (a *answer) until(t time.Time) { _ = a.control.SetWriteDeadline(t) }

// Unwrap is for [http.ResponseController].
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader keeps cookies and internal fields out of informational answers (RFC 8297), which nobody has looked at.
func (a *answer) WriteHeader(status int) {
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		a.bound()
		defer a.rest()
		h := a.Header()
		dropInternal(h)
		h.Del("Set-Cookie")
	}
	a.ResponseWriter.WriteHeader(status)
}
