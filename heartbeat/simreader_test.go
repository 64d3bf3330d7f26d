// SPDX-License-Identifier: Apache-2.0

// The verifiers of the simulated world: a real view, clocks that drift, jump and stand still, and connections that
// break.

package heartbeat

import (
	"errors"
	"time"

	"example.com/vidimus/passport"
)

// simReader is a verifier with a real view.
type simReader struct {
	*sim
	view       *View
	drift      float64
	jumps      bool          // the wall clock jumps; else the machine is suspended now and then
	jumped     time.Duration // of the wall clock
	suspended  time.Duration // what the monotonic clock left out so far
	awake      time.Duration // when the process runs again
	connection int           // counts; older ones are dead
	heard      time.Duration
}

func newSimReader(s *sim) *simReader {
	r := &simReader{sim: s, drift: (2*s.rnd.Float64() - 1) * simDrift, jumps: s.rnd.IntN(2) == 0}
	if s.mutant == "drift beyond rho" {
		r.drift = -0.4
	}
	r.view = NewView(&ViewConfig{Limit: 2 + s.rnd.IntN(30), Clock: r.clock})
	r.subscribe()
	r.pingAlways()
	s.every(20*time.Millisecond, r.check)
	s.every(6*time.Second, func() {
		switch {
		case !s.odds(0.5):
		case r.jumps:
			r.jumped += []time.Duration{time.Hour, -time.Hour}[s.rnd.IntN(2)]
		default: // the machine is suspended, or only the process is stopped
			d := s.within(9 * time.Second)
			r.awake = s.now + d
			if s.rnd.IntN(2) == 0 {
				r.suspended += d // clocks are not read until it is awake
			}
		}
	})
	return r
}

// clock reads both clocks of the machine.
func (r *simReader) clock() (monotonic, wall time.Duration) {
	wall = time.Duration(float64(r.now)*(1+r.drift)) + r.jumped
	monotonic = time.Duration(float64(r.now-r.suspended) * (1 + r.drift))
	if r.mutant == "monotonic clock alone" {
		wall = monotonic
	}
	return monotonic, wall
}

// do does something in the process of the verifier: now, or in any order once it is awake.
func (r *simReader) do(what func()) {
	if r.now >= r.awake {
		what()
		return
	}
	r.after(r.awake-r.now+r.within(50*time.Millisecond), func() { r.do(what) })
}

// subscribe connects to either node, from where the view is.
func (r *simReader) subscribe() {
	r.connection++
	r.heard = r.now
	c := &simConnection{simReader: r, number: r.connection, node: r.nodes[r.rnd.IntN(len(r.nodes))]}
	c.life, c.from = c.node.lives, r.view.Through()
	r.after(r.within(100*time.Millisecond), c.pump)
}

// simConnection carries frames from a node to a verifier, in order, unless a fault comes between.
type simConnection struct {
	*simReader
	node         *simNode
	number, life int
	from         passport.Mark
	said         time.Duration // when the node sent last
	arrives      time.Duration // when the last frame arrives
}

// pump sends what is new, and a sign of life where nothing is.
func (c *simConnection) pump() {
	if c.number != c.connection {
		return
	}
	if c.node.tail == nil || c.node.lives != c.life || c.odds(0.002) { // cut; what is on its way is lost
		number := c.number
		c.after(c.within(time.Second), func() { c.lost(number) })
		c.arrives = simTime * 2
		return
	}
	if c.now >= c.node.stalledUntil {
		f, news := c.node.tail.Next(c.from)
		if news || c.now > c.said+500*time.Millisecond {
			c.said, c.from = c.now, f.Mark()
			c.send(f)
		}
	}
	c.after(30*time.Millisecond, c.pump)
}

func (c *simConnection) send(f Frame) {
	c.arrives = max(c.arrives, c.now) + c.within(100*time.Millisecond)
	if c.odds(0.01) {
		c.arrives += c.within(6 * time.Second)
	}
	if c.odds(0.02) {
		return
	}
	at := c.arrives
	deliver := func() {
		if c.number == c.connection && c.arrives < simTime*2 {
			c.do(func() { c.take(f, c.number) })
		}
	}
	c.after(at-c.now, deliver)
	if c.odds(0.02) {
		c.after(at-c.now+c.within(2*time.Second), deliver) // once more
	}
}

// take applies a frame as [Client] does.
func (r *simReader) take(f Frame, number int) {
	if number != r.connection {
		return
	}
	at := r.view.Through()
	if r.mutant == "no gap detection" && f.Mark().SameLog(at) && f.After > at.Position {
		f.After = at.Position
	}
	err := r.view.Apply(f)
	if r.mutant == "drop floors without raising the base" && r.view.mu.floors.base > f.After {
		r.view.mu.floors.base = 0
	}
	if f.Snapshot {
		r.res.snapshots++
	}
	if errors.Is(err, ErrGap) {
		r.res.gaps++
	}
	if err != nil {
		r.lost(number)
		return
	}
	r.heard = r.now
}

func (r *simReader) lost(number int) {
	if number == r.connection {
		r.subscribe()
	}
}

// pingAlways pings either node twice a second.
func (r *simReader) pingAlways() {
	r.do(func() {
		if r.now > r.heard+4*time.Second || r.view.behind() > 4*time.Second {
			r.subscribe()
		}
		sent := r.view.PingSent()
		node := r.nodes[r.rnd.IntN(len(r.nodes))]
		r.after(r.delay(), func() {
			node.ping(func(h Head, err error) {
				if err == nil {
					r.after(r.delay(), func() { r.do(func() { r.answered(sent, h) }) })
				}
			})
		})
	})
	r.after(500*time.Millisecond, r.pingAlways)
}

// delay is that of one way.
func (r *simReader) delay() time.Duration {
	d := r.within(300 * time.Millisecond)
	if r.odds(0.05) {
		d += r.within(6 * time.Second)
	}
	return d
}

func (r *simReader) answered(p Ping, h Head) {
	switch r.mutant {
	case "staleness from receipt":
		p.sent = r.view.now()
	case "dated before the frames are applied":
		if at := r.view.Through(); at.SameLog(h) {
			h = at
		}
	}
	if err := r.view.PingAnswered(p, h); errors.Is(err, ErrGap) {
		r.subscribe() // to another log
	}
}

// check presents a passport, most often a recent one. Between the two things it looks at, time may pass.
func (r *simReader) check() {
	if r.now < r.awake || len(r.tokens) == 0 {
		return
	}
	t := r.tokens[len(r.tokens)-1-min(r.rnd.IntN(len(r.tokens)), r.rnd.IntN(len(r.tokens)))]
	began := r.now
	var stale bool
	var judged error
	look := func() { stale = r.view.Staleness() > simBound }
	judge := func() { judged = r.view.Judge(&t.claims) }
	if r.mutant == "judged before the staleness is read" {
		look, judge = judge, look
	}
	look()
	pause := time.Duration(0)
	if r.odds(0.1) {
		pause = r.within(3 * time.Second)
	}
	r.after(pause, func() {
		judge()
		switch {
		case stale:
			r.res.stale++
		case errors.Is(judged, passport.ErrForeign):
			r.res.foreign++
		case judged != nil:
			r.res.changed++
		default:
			r.res.accepted++
			if r.violated(t, began) {
				r.res.violations++
			}
		}
	})
}
