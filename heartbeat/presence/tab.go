// SPDX-License-Identifier: Apache-2.0

// What a browser's tab says, and what it is answered: whether it is stale, and when to ask again.

package presence

import (
	"bytes"
	"encoding/json"
	"io"
	"time"
)

// MaxHeartbeat is the size of the largest heartbeat of a tab, in bytes.
const MaxHeartbeat = 256

// Heartbeat is what a tab says every half a minute: which state it shows. The session is told by its cookie.
type Heartbeat struct {
	// Version and SubjectVersion are those of the state the tab shows, 0 if it shows none yet.
	Version        int64 `json:"seen_ver"`
	SubjectVersion int64 `json:"seen_sver"`
	// Tab tells tabs of one browser apart, in logs; at most 64 bytes.
	Tab string `json:"tab,omitempty"`
}

// Answer is what a tab is answered. It is also what is known of the session now, for [Heartbeat.Answer].
type Answer struct {
	Version        int64  `json:"ver"`
	SubjectVersion int64  `json:"sver"`
	Position       string `json:"pos"` // as in the header Vidimus-Position
	// Stale tells the tab to fetch its state again.
	Stale bool `json:"stale"`
	// Next is in how many milliseconds the tab shall ask again.
	Next int64 `json:"next_ms"`
}

// ParseHeartbeat reads a heartbeat of at most [MaxHeartbeat] bytes. It returns an [*InvalidError] for anything else.
func ParseHeartbeat(data []byte) (Heartbeat, error) {
	if len(data) > MaxHeartbeat {
		return Heartbeat{}, invalid("heartbeat", "is longer than %d bytes", MaxHeartbeat)
	}
	var h Heartbeat
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&h); err != nil {
		const like = `{"seen_ver":412,"seen_sver":7,"tab":"k3"}`
		return Heartbeat{}, invalid("heartbeat", "is not JSON like %s: %v", like, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return Heartbeat{}, invalid("heartbeat", "goes on after its closing brace")
	}
	switch {
	case h.Version < 0:
		return Heartbeat{}, invalid("seen_ver", "is negative; give the version shown, or 0")
	case h.SubjectVersion < 0:
		return Heartbeat{}, invalid("seen_sver", "is negative; give the version shown, or 0")
	case len(h.Tab) > 64:
		return Heartbeat{}, invalid("tab", "is longer than 64 bytes")
	}
	return h, nil
}

// Answer completes what is known of the session: a tab is stale when it shows less of either version. It shall ask
// again after an interval of 80 to 120 percent of the one given, by draw, which is from 0 up to 1; so tabs that began
// together do not stay together. An interval of 0 is [DefaultInterval].
func (h Heartbeat) Answer(now Answer, interval time.Duration, draw float64) Answer {
	setDefault(&interval, DefaultInterval)
	now.Stale = h.Version < now.Version || h.SubjectVersion < now.SubjectVersion
	now.Next = int64(float64(interval.Milliseconds()) * (0.8 + 0.4*min(max(draw, 0), 1)))
	return now
}
