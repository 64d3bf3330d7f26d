// SPDX-License-Identifier: Apache-2.0

// Random commands by several writers, against a model that is nothing but the domain itself.

package entity_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"example.com/vidimus/entity"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
)

func contains(text string, parts ...string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}

// FuzzModel: each byte is a step: who does what, with which version, new or repeated.
func FuzzModel(f *testing.F) {
	f.Add([]byte{0x00, 0x11, 0x22, 0x83, 0x44, 0xff, 0x05, 0x46})
	f.Add([]byte("hold free hold again and again"))
	f.Fuzz(func(t *testing.T, steps []byte) {
		ctx, c, e := context.Background(), mustCell(t, mem.Open()), seats(t)
		type past struct {
			o   entity.Options
			cmd any
			res entity.Result[Seat]
		}
		var (
			model   Seat
			version journal.Version
			done    []past
		)
		for _, step := range steps[:min(len(steps), 200)] {
			guest := string('a' + rune(step&3))
			var cmd any = Hold{guest}
			if step&4 != 0 {
				cmd = Free{guest}
			}
			o := entity.Options{ID: journal.NewID()}
			if step&8 != 0 {
				o.Version = version - journal.Version(step>>4&1)
			}
			if repeat := step&0xc0 == 0xc0 && len(done) > 0; repeat {
				p := done[int(step>>2)%len(done)]
				res, err := e.Do(ctx, c, "A12", p.cmd, &p.o)
				if err != nil || !res.Duplicate || res.Snapshot != p.res.Snapshot {
					t.Fatalf("repeated: %+v, %v, want %+v", res, err, p.res)
				}
				continue
			}
			events, refused := model.Decide(cmd)
			res, err := e.Do(ctx, c, "A12", cmd, &o)
			switch {
			case o.Version != 0 && o.Version != version:
				if !errors.Is(err, journal.ErrConflict) {
					t.Fatalf("at version %d for %d: %v", version, o.Version, err)
				}
				continue
			case refused != nil:
				if err == nil || err.Error() != refused.Error() {
					t.Fatalf("Do says %v, the domain %v", err, refused)
				}
				continue
			}
			for _, ev := range events {
				model = model.Evolve(ev)
				version++
			}
			if err != nil || res.State != model || res.Version != version {
				t.Fatalf("Do = %+v, %v; the model is %+v at %d", res, err, model, version)
			}
			if len(events) > 0 {
				done = append(done, past{o, cmd, res})
			}
		}
		if got, err := e.Load(ctx, c, "A12"); err != nil || got.State != model || got.Version != version {
			t.Fatalf("Load = %+v, %v; the model is %+v at %d", got, err, model, version)
		}
	})
}
