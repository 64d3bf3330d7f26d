// SPDX-License-Identifier: Apache-2.0

// The feed over HTTP: server-sent events, and pings.

package feed

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"example.com/vidimus/heartbeat"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/passport"
	"example.com/vidimus/passport/header"
)

// patience is how long a subscriber may take to accept a frame before it is cut off. It resumes where it was.
const patience = 10 * time.Second

// memo is the frame that was encoded last: most subscribers need the same.
type memo struct {
	at       passport.Mark
	after    int64
	snapshot bool
	text     []byte
}

// ServeHTTP answers GET with the feed as server-sent events, from behind the mark in Last-Event-ID, and POST with the
// head as JSON: a ping. Who may ask is for the caller to decide.
func (f *Feed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	switch r.Method {
	case http.MethodGet:
		f.serveFeed(w, r)
	case http.MethodPost:
		f.servePing(w, r)
	default:
		w.Header().Set("Allow", "GET, POST")
		problem(w, http.StatusMethodNotAllowed, "use GET for the feed and POST to ping")
	}
}

func (f *Feed) servePing(w http.ResponseWriter, r *http.Request) {
	head, err := f.Ping(r.Context())
	switch {
	case errors.Is(err, heartbeat.ErrRewound):
		problem(w, http.StatusServiceUnavailable, "the journal has lost commits; whoever runs it must renew it")
		return
	case err != nil:
		problem(w, http.StatusServiceUnavailable, "the journal does not answer; try again or ask another node")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(head) // whoever left needs no answer
}

func (f *Feed) serveFeed(w http.ResponseWriter, r *http.Request) {
	var from passport.Mark
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		var err error
		if from, err = header.ParseMark(id); err != nil {
			problem(w, http.StatusBadRequest, "Last-Event-ID: "+err.Error())
			return
		}
	}
	out, begun := http.NewResponseController(w), false
	for frame, err := range f.Subscribe(r.Context(), from) {
		if err != nil && !begun && !errors.Is(err, r.Context().Err()) {
			problem(w, http.StatusServiceUnavailable, err.Error()+"; try again or ask another node")
		}
		if err != nil {
			return
		}
		if !begun {
			begun = true
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("X-Accel-Buffering", "no") // nginx would hold frames back
		}
		text, err := f.encode(&frame)
		if err != nil {
			return
		}
		_ = out.SetWriteDeadline(clock.Now().Add(patience)) // where there is none, the server's own holds
		if _, err := w.Write(text); err != nil {
			return
		}
		if err := out.Flush(); err != nil {
			return
		}
	}
}

// encode returns the frame as an event.
func (f *Feed) encode(frame *heartbeat.Frame) ([]byte, error) {
	f.mu.Lock()
	m := f.mu.memo
	f.mu.Unlock()
	if m.at == frame.Mark() && m.after == frame.After && m.snapshot == frame.Snapshot {
		return m.text, nil
	}
	text, err := frame.AppendEvent(nil)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.mu.memo = memo{at: frame.Mark(), after: frame.After, snapshot: frame.Snapshot, text: text}
	f.mu.Unlock()
	return text, nil
}

// problem answers with an error (RFC 9457).
func problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"title": http.StatusText(status), "status": status, "detail": detail})
}

var _ heartbeat.Source = (*Feed)(nil)
