// SPDX-License-Identifier: Apache-2.0

// The view: a core that goroutines share. What every request asks is read without a lock.

package heartbeat

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/passport"
)

// DefaultLimit is how many floors a view keeps at least, and how many changes a tail does.
const DefaultLimit = 1 << 16

// ViewConfig configures a [View]. The zero value is fine.
type ViewConfig struct {
	// Limit is how many floors are kept at least; 0 for [DefaultLimit]. Up to twice as many are kept, of some 100 bytes
	// each. When there are more, the oldest are dropped, and every passport minted below them counts as superseded.
	Limit int
	// Clock returns the readings of the monotonic clock and of the wall clock, each counted from any fixed instant; nil
	// for this process's own. It is for simulations, and for tests that move clocks.
	Clock func() (monotonic, wall time.Duration)
}

// View is what a verifier knows of the changes made since passports were minted: a [passport.View] that is fed frames
// and answered pings, by a [Client] or by hand. Goroutines may share it.
//
// Who decides by it calls Staleness first and Generation or Judge after it: the verdict then is at least as fresh as
// the staleness says. The other way round it may not be.
type View struct {
	now  func() moment
	face atomic.Pointer[face]
	mu   struct {
		sync.RWMutex
		core
		moved chan struct{} // closed at the next frame or answer; nil while nobody waits
	}
}

// face is what can be asked without a lock.
type face struct {
	at         passport.Mark
	asOf       moment
	dated      bool // and without a gap
	generation uint64
	known      passport.Mark
	rewinds    uint64
}

// Ping is one that was sent; see [View.PingSent].
type Ping struct {
	sent    moment
	known   passport.Mark
	rewinds uint64
}

// NewView returns a view that knows nothing yet: its staleness is [passport.Unknown]. cfg may be nil.
func NewView(cfg *ViewConfig) *View {
	if cfg == nil {
		cfg = &ViewConfig{}
	}
	limit := cfg.Limit
	if limit <= 0 {
		limit = DefaultLimit
	}
	v := &View{now: ownClock()}
	if cfg.Clock != nil {
		v.now = func() moment {
			monotonic, wall := cfg.Clock()
			return moment{mono: monotonic, wall: wall}
		}
	}
	v.mu.floors = newFloors(0, limit)
	v.face.Store(&face{})
	return v
}

func ownClock() func() moment {
	origin := clock.Now()
	wall := origin.UnixNano()
	return func() moment {
		now := clock.Now()
		return moment{mono: now.Sub(origin), wall: time.Duration(now.UnixNano() - wall)}
	}
}

// Staleness implements [passport.View]: every change acknowledged longer ago than this was applied. It is
// [passport.Unknown] before the first ping is answered and its head reached, after a gap until that is filled, and
// after the log was replaced by another until that is known as well.
func (v *View) Staleness() time.Duration {
	f := v.face.Load()
	if !f.dated {
		return passport.Unknown
	}
	return v.now().since(f.asOf)
}

// Through implements [passport.View]: the place up to which every change was applied; the zero Mark before the first
// frame.
func (v *View) Through() passport.Mark { return v.face.Load().at }

// Generation implements [passport.View]: while it stays, Judge stays with its verdicts.
func (v *View) Generation() uint64 { return v.face.Load().generation }

// Judge implements [passport.View]: the worst that is known of the passport's token, session, subject, tenant and key,
// and of all. It returns nil, [passport.ErrSuperseded], [passport.ErrRevoked] or [passport.ErrForeign]. Before the
// first frame nothing is known, and it returns nil.
func (v *View) Judge(c *passport.Claims) error {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.mu.judge(c)
}

// Apply takes in the next frame. One that brings nothing new is fine. It returns [ErrGap] when the frame does not
// begin at or before [View.Through], [ErrRewound] when it is of an earlier epoch of the log, and an [InvalidError]
// when it breaks a rule; then nothing was applied.
func (v *View) Apply(f Frame) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	err := v.mu.apply(&f)
	v.publish()
	return err
}

// PingSent notes that a ping leaves now. Call it before the request is sent, and [View.PingAnswered] with what it
// returned.
func (v *View) PingSent() Ping {
	// The place is read before the clock: what was known by then stands in a log that is asked later.
	f := v.face.Load()
	return Ping{known: f.known, rewinds: f.rewinds, sent: v.now()}
}

// PingAnswered takes in the head that a ping was answered with. Once that is applied, the view is as fresh as the
// moment the ping was sent. It returns [ErrRewound] when the log ends before what was known of it when the ping was
// sent, from frames or other answers: the staleness is [passport.Unknown] from then on until the log has grown past
// that place, and was applied anew up to its end; passports minted up to that place, or to an end that pings told of
// before, then count as superseded. It returns [ErrGap] when it is another log than the view follows, and an
// [InvalidError] when it is none; then nothing was taken in.
func (v *View) PingAnswered(p Ping, h Head) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	err := v.mu.answered(p, h)
	v.publish()
	return err
}

// Wait returns when the view has reached a place in the log. It returns [passport.ErrForeign] at once, or as soon as
// it is known, when the view follows another log than the place is in, and the error of ctx.
func (v *View) Wait(ctx context.Context, m passport.Mark) error {
	for {
		moved, done, err := v.reached(m)
		if done || err != nil {
			return err
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (v *View) reached(m passport.Mark) (moved <-chan struct{}, done bool, err error) {
	if at := v.Through(); at.Reaches(m) {
		return nil, true, nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	switch at := v.mu.at; {
	case at.Reaches(m):
		return nil, true, nil
	case at.Log != "" && !at.SameLog(m):
		return nil, false, fmt.Errorf("%w: asked for %s, followed is %s", passport.ErrForeign, m, at)
	}
	if v.mu.moved == nil {
		v.mu.moved = make(chan struct{})
	}
	return v.mu.moved, false, nil
}

// publish shows what the core holds now. The floors were raised before, so whoever sees the new face judges by them.
func (v *View) publish() {
	c := &v.mu.core
	v.face.Store(&face{
		at: c.at, asOf: c.asOf, dated: c.dated && !c.gap, generation: c.generation, known: c.known(), rewinds: c.rewinds,
	})
	if v.mu.moved != nil {
		close(v.mu.moved)
		v.mu.moved = nil
	}
}

// behind is for how long the view has waited for frames that a ping told of.
func (v *View) behind() time.Duration {
	now := v.now()
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.mu.core.behind(now)
}
