// SPDX-License-Identifier: Apache-2.0

// What a gate counts: how cookies fared, how often and how far they disagree with the journal.

package legacy

import (
	"encoding/json"
	"math"
	"reflect"
	"sync"
	"time"

	"example.com/vidimus/internal/clock"
)

// maxAttributes is how many attributes are counted by name; the rest share the name "(others)".
const maxAttributes = 64

// Stats is what a [Gate] counted since it was made.
type Stats struct {
	Stage Stage     `json:"stage"`
	Since time.Time `json:"since"`
	// Imported counts requests that were let in by a cookie, repeated ones too: a browser sends its cookie until it has
	// the handle, and a client that drops the handle sends it always.
	Imported uint64 `json:"imported"`
	// Failed counts cookies for which the journal had no answer.
	Failed uint64 `json:"failed"`
	// Refused counts bad cookies by reason; in shadow, those that would be refused.
	Refused map[string]uint64 `json:"refused,omitempty"`
	Shadow  *Disagreement     `json:"shadow,omitempty"`
}

// Disagreement is how far cookies and journal are apart.
type Disagreement struct {
	Compared uint64 `json:"compared"`
	// Unknown counts cookies of subjects that the journal does not know.
	Unknown uint64 `json:"unknown"`
	Agree   uint64 `json:"agree"`
	// Differ counts cookies with an attribute that the journal has otherwise. Stale of them were made before the
	// journal's last change, and so hold an old state; Contrary ones were made after it, so that the journal missed a
	// write. The rest cannot be told.
	Differ   uint64 `json:"differ"`
	Stale    uint64 `json:"stale"`
	Contrary uint64 `json:"contrary"`
	// Attributes counts differences by attribute.
	Attributes map[string]uint64 `json:"attributes,omitempty"`
	// Age is that of the cookies that were compared, DifferAge of those that differ.
	Age       Quantiles `json:"age_seconds"`
	DifferAge Quantiles `json:"differ_age_seconds"`
}

// Quantiles are seconds that so many did not exceed, at most 19 % too high.
type Quantiles struct {
	Count uint64  `json:"count"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

// counter counts in bounded space.
type counter struct {
	mu struct {
		sync.Mutex
		Stats
		age, differAge histogram
	}
}

func (c *counter) start(s Stage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.Stage, c.mu.Since, c.mu.Refused = s, clock.Now(), map[string]uint64{}
	if s == Shadow {
		c.mu.Shadow = &Disagreement{Attributes: map[string]uint64{}}
	}
}

func (c *counter) imported() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.Imported++
}

func (c *counter) failed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.Failed++
}

func (c *counter) refused(why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.Refused[why]++
}

// compared counts one comparison. Attributes that the cookie does not speak of are not compared; null in it says that
// there is none.
func (c *counter) compared(f *Found, k *Known) {
	var differ []string
	for name, value := range f.Identity.SubjectState {
		if k.Found && !equalJSON(value, k.State[name]) {
			differ = append(differ, name)
		}
	}
	now := clock.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.mu.Shadow
	d.Compared++
	if !f.Issued.IsZero() {
		c.mu.age.add(now.Sub(f.Issued))
	}
	switch {
	case !k.Found:
		d.Unknown++
		return
	case len(differ) == 0:
		d.Agree++
		return
	}
	d.Differ++
	for _, name := range differ {
		if _, known := d.Attributes[name]; !known && len(d.Attributes) >= maxAttributes {
			name = "(others)"
		}
		d.Attributes[name]++
	}
	if f.Issued.IsZero() {
		return
	}
	c.mu.differAge.add(now.Sub(f.Issued))
	switch {
	case k.Changed.IsZero():
	case f.Issued.Before(k.Changed):
		d.Stale++
	default:
		d.Contrary++
	}
}

func (c *counter) stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.mu.Stats
	s.Refused = copied(s.Refused)
	if s.Shadow != nil {
		d := *s.Shadow
		d.Attributes = copied(d.Attributes)
		d.Age, d.DifferAge = c.mu.age.quantiles(), c.mu.differAge.quantiles()
		s.Shadow = &d
	}
	return s
}

func copied(m map[string]uint64) map[string]uint64 {
	made := make(map[string]uint64, len(m))
	for k, v := range m {
		made[k] = v
	}
	return made
}

// equalJSON compares two values, numbers as JavaScript does; what is missing equals null.
func equalJSON(a, b json.RawMessage) bool {
	if string(a) == string(b) {
		return true
	}
	var x, y any
	if len(a) > 0 && json.Unmarshal(a, &x) != nil || len(b) > 0 && json.Unmarshal(b, &y) != nil {
		return false
	}
	return reflect.DeepEqual(x, y)
}

// histogram counts durations in buckets, four to a doubling, from a second to two years.
type histogram struct {
	buckets [4*26 + 1]uint64
	count   uint64
	max     time.Duration
}

func (h *histogram) add(d time.Duration) {
	i := 0
	if s := d.Seconds(); s > 1 {
		i = min(int(math.Ceil(4*math.Log2(s))), len(h.buckets)-1)
	}
	h.buckets[i]++
	h.count++
	h.max = max(h.max, d)
}

func (h *histogram) quantiles() Quantiles {
	at := func(q float64) float64 {
		rank, sum := uint64(math.Ceil(q*float64(h.count))), uint64(0)
		for i, n := range h.buckets {
			if sum += n; sum >= rank {
				return min(math.Round(math.Exp2(float64(i)/4)), math.Ceil(h.max.Seconds()))
			}
		}
		return 0
	}
	return Quantiles{Count: h.count, P50: at(0.5), P90: at(0.9), P99: at(0.99), Max: math.Ceil(h.max.Seconds())}
}
