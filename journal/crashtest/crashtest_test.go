// SPDX-License-Identifier: Apache-2.0

// The checks themselves can fail.

package crashtest

import (
	"testing"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
)

// TestCheckFindsWhatIsBroken plants each breach in a history that is sound, so that no check is one that cannot fail.
func TestCheckFindsWhatIsBroken(t *testing.T) {
	t.Parallel()
	for name, breach := range map[string]func(h *history){
		"":                             func(*history) {},
		"an acknowledged unit is lost": func(h *history) { h.lose() },
		"an acknowledged unit is elsewhere": func(h *history) {
			for key, l := range h.acked {
				l.Position++
				h.acked[key] = l
			}
		},
		"half a unit is there": func(h *history) {
			for _, u := range h.tried {
				u.IDs = append(u.IDs, []journal.ID{journal.NewID()})
			}
		},
		"the follower left one out":        func(h *history) { h.saw = append(h.saw[:2], h.saw[3:]...) },
		"the follower saw a stranger":      func(h *history) { h.saw[2].Key = journal.NewID() },
		"the follower began too far ahead": func(h *history) { h.saw[0].From.Position = 3 },
	} {
		h, log := sound(t)
		breach(h)
		found := &recorder{TB: t}
		h.check(t.Context(), found, log)
		if found.failed != (name != "") {
			t.Errorf("%q: check failed %v", name, found.failed)
		}
	}
}

// recorder notes failures without failing the test.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Errorf(string, ...any) { r.failed = true }

// lose makes the history claim a unit that never was.
func (h *history) lose() {
	u := &unit{Streams: []journal.Stream{"own-9"}, IDs: [][]journal.ID{{journal.NewID()}}}
	h.tried[u.key()] = u
	h.acked[u.key()] = line{Op: "ack", Key: u.key(), Position: 99, Versions: []journal.Version{1}}
}

// sound returns a journal of three units with the history that belongs to it.
func sound(t *testing.T) (*history, *journal.Log) {
	t.Helper()
	log := mem.Open()
	h := &history{tried: map[journal.ID]*unit{}, acked: map[journal.ID]line{}, saw: []line{{Op: "follow"}}}
	for v := range journal.Version(3) {
		u := &unit{
			Streams: []journal.Stream{"own-0"}, Expects: []journal.Expect{journal.Exactly(v)},
			IDs: [][]journal.ID{{journal.NewID()}},
		}
		res, err := log.Commit(t.Context(), u.build())
		if err != nil {
			t.Fatal(err)
		}
		h.tried[u.key()] = u
		h.acked[u.key()] = line{Op: "ack", Key: u.key(), Position: res.Position, Versions: res.Versions}
		h.saw = append(h.saw, line{Op: "saw", Key: u.key(), Position: res.Position})
	}
	return h, log
}
