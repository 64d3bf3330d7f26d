// SPDX-License-Identifier: Apache-2.0

// The edge's own pages: is it well, and is a tab's state still so.

package edge

import (
	"encoding/binary"
	"encoding/json"
	"io"
	"net/http"

	"example.com/vidimus/heartbeat/presence"
	"example.com/vidimus/internal/chance"
	"example.com/vidimus/passport"
)

// ownPaths is where the edge's own pages are. Nothing below it is passed on.
const ownPaths = "/.vidimus/"

// ownRoutes admit requests to the edge's own pages.
func (e *Edge) ownRoutes() []*route {
	return []*route{
		{
			Route: Route{Path: ownPaths, Public: true},
			own: func(w *answer, _ *visit) {
				refuse(http.StatusNotFound, "no_route", "the edge has no such page").answer(w)
			},
		},
		{Route: Route{Path: ownPaths + "status", Methods: []string{"GET", "HEAD"}, Public: true}, own: e.serveStatus},
		{Route: Route{Path: ownPaths + "heartbeat", Methods: []string{"POST"}}, own: e.serveHeartbeat},
	}
}

// status is what the page of that name says. All but the first field is for trusted proxies and this machine alone.
type status struct {
	Status     string `json:"status"` // ok, degraded or draining
	Staleness  *int64 `json:"staleness_ms,omitempty"`
	Through    string `json:"through,omitempty"`
	AtHand     *int   `json:"passports,omitempty"`
	InFlight   *int64 `json:"requests,omitempty"`
	Streams    *int   `json:"streams,omitempty"`
	Legacy     any    `json:"legacy,omitempty"`
	Replays    *int   `json:"replays,omitempty"`
	ReplayByte *int   `json:"replay_bytes,omitempty"`
}

// serveStatus answers 200 while the edge takes requests, even if it is degraded (its view lost touch, so that the
// authority is asked more often), and 503 once it is to end (see [Config.Notice]).
func (e *Edge) serveStatus(w *answer, v *visit) {
	s, code := status{Status: "ok"}, http.StatusOK
	view := e.config.View
	if view != nil && view.Staleness() > DefaultMaxStale {
		s.Status = "degraded"
	}
	if e.draining.Load() {
		s.Status, code = "draining", http.StatusServiceUnavailable
	}
	if v.near() {
		e.describe(&s)
	}
	writeJSON(w, code, s)
}

// near reports whether this machine asks, or a trusted proxy: for itself, and not for one of its clients.
func (v *visit) near() bool {
	trusted := v.edge.config.TrustedProxies
	if !among(peer(v.in), trusted) && (v.in.Header["X-Forwarded-For"] != nil || v.in.Header["Forwarded"] != nil) {
		return false // a proxy asks of which nobody told us
	}
	return v.from.IsLoopback() || among(v.from, trusted)
}

func (e *Edge) describe(s *status) {
	if view := e.config.View; view != nil {
		if stale := view.Staleness(); stale != passport.Unknown {
			s.Staleness = new(stale.Milliseconds())
		}
		s.Through = view.Through().String()
	}
	replays, bytes := e.replays.size()
	s.AtHand, s.InFlight, s.Streams = new(e.mint.ready.size()), new(e.inFlight.Load()), new(e.streams.count())
	s.Replays, s.ReplayByte = &replays, &bytes
	if importer, ok := e.config.Legacy.(interface{ Status() any }); ok {
		s.Legacy = importer.Status()
	}
}

// serveHeartbeat tells a tab whether the state it shows is still so. Being admitted, it was a beat of its session.
func (e *Edge) serveHeartbeat(w *answer, v *visit) {
	body, err := io.ReadAll(http.MaxBytesReader(w.ResponseWriter, v.in.Body, presence.MaxHeartbeat))
	if err != nil {
		badBody(err).answer(w)
		return
	}
	beat, err := presence.ParseHeartbeat(body)
	if err != nil {
		refuse(http.StatusBadRequest, "heartbeat", "%v", err).answer(w)
		return
	}
	c := &v.held.claims
	v.report(w.Header(), c.Mark)
	writeJSON(w, http.StatusOK, beat.Answer(presence.Answer{
		Version: c.Version, SubjectVersion: c.SubjectVersion, Position: c.Mark.String(),
	}, 0, draw()))
}

// draw returns a random number from 0 up to 1.
func draw() float64 {
	var raw [4]byte
	chance.Fill(raw[:])
	return float64(binary.LittleEndian.Uint32(raw[:])) / (1 << 32)
}

func writeJSON(w http.ResponseWriter, code int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		refuse(http.StatusInternalServerError, "internal", "the answer cannot be written").answer(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write(append(body, '\n'))
}
