// SPDX-License-Identifier: Apache-2.0

// A world for the contract: a log, authorities with real tails, verifiers with real views, and a network that delays,
// stalls, loses, doubles and cuts. One thread, one seed, one history.

package heartbeat

import (
	"container/heap"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"example.com/vidimus/passport"
)

// What the contract is stated for.
const (
	simBound = 2 * time.Second // S
	simDrift = 0.001           // rho
	simTime  = 60 * time.Second
	simUsers = 6
)

// simEvent is an event of the simulation.
type simEvent struct {
	at  time.Duration
	seq int
	do  func()
}

type simQueue []simEvent

func (q simQueue) Len() int { return len(q) }
func (q simQueue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q simQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *simQueue) Push(x any)   { *q = append(*q, x.(simEvent)) }
func (q *simQueue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// simResult counts what verifiers did.
type simResult struct {
	accepted, changed, foreign, stale, violations int
	snapshots, gaps, overflows                    int
}

func (r *simResult) add(o simResult) {
	r.accepted += o.accepted
	r.changed += o.changed
	r.foreign += o.foreign
	r.stale += o.stale
	r.violations += o.violations
	r.snapshots += o.snapshots
	r.gaps += o.gaps
	r.overflows += o.overflows
}

func (r simResult) String() string {
	return fmt.Sprintf("%d accepted, %d refused as superseded or revoked, %d as of another epoch, %d as stale; "+
		"%d snapshots, %d gaps, %d overflows; %d violations",
		r.accepted, r.changed, r.foreign, r.stale, r.snapshots, r.gaps, r.overflows, r.violations)
}

// simCommit is an event of the simulated log. A change of no scope is somebody else's event.
type simCommit struct {
	change  Change
	visible bool
	acked   time.Duration // 0 until then
}

// simToken is a passport, and what its state knows.
type simToken struct {
	claims passport.Claims
	read   int          // the state was read when there were so many commits
	hidden []*simCommit // those of them that were not visible
}

// sim is the world.
type sim struct {
	rnd         *rand.Rand
	faults      bool
	mutant      string // what is taken away, "" for nothing
	now         time.Duration
	queue       simQueue
	seq         int
	epoch       int64
	commits     []*simCommit // in the order of positions
	pos         int64
	revokedKeys int // keys so far
	nodes       []*simNode
	readers     []*simReader
	tokens      []*simToken
	res         simResult
}

func newSim(seed uint64, faults bool, mutant string) *sim {
	s := &sim{rnd: rand.New(rand.NewPCG(seed, 77)), faults: faults, mutant: mutant, epoch: 1}
	for range 2 {
		s.nodes = append(s.nodes, newSimNode(s))
	}
	for range 2 {
		s.readers = append(s.readers, newSimReader(s))
	}
	s.every(400*time.Millisecond, s.commit)
	s.every(60*time.Millisecond, func() { s.mint() })
	if s.faults && s.rnd.IntN(3) == 0 {
		s.after(s.within(simTime), func() { s.epoch++ }) // the journal is renewed
	}
	return s
}

func (s *sim) run() simResult {
	for len(s.queue) > 0 {
		e := heap.Pop(&s.queue).(simEvent)
		if s.now = e.at; s.now > simTime {
			break
		}
		e.do()
	}
	return s.res
}

func (s *sim) after(d time.Duration, do func()) {
	s.seq++
	heap.Push(&s.queue, simEvent{s.now + d, s.seq, do})
}

// every does something again and again, at random distances around d.
func (s *sim) every(d time.Duration, do func()) {
	s.after(time.Duration(s.rnd.ExpFloat64()*float64(d)), func() {
		do()
		s.every(d, do)
	})
}

func (s *sim) within(d time.Duration) time.Duration { return time.Duration(s.rnd.Int64N(int64(d))) }

// odds is true with a probability, where there are faults.
func (s *sim) odds(p float64) bool { return s.faults && s.rnd.Float64() < p }

// head is the end of the log, as the database says.
func (s *sim) head() passport.Mark {
	m := passport.Mark{Log: "sim", Epoch: s.epoch}
	for i := len(s.commits) - 1; i >= 0; i-- {
		if s.commits[i].visible {
			m.Position = s.commits[i].change.Position
			break
		}
	}
	return m
}

// readLog returns the visible commits behind a position.
func (s *sim) readLog(after int64) []*simCommit {
	i := len(s.commits)
	for i > 0 && s.commits[i-1].change.Position > after {
		i--
	}
	var out []*simCommit
	for _, c := range s.commits[i:] {
		if c.visible {
			out = append(out, c)
		}
	}
	return out
}

// commit appends to the log: one of a session mostly, sometimes of something wider, often of nothing that matters.
func (s *sim) commit() {
	s.pos += 1 + s.rnd.Int64N(3)
	c := &simCommit{change: Change{Position: s.pos, Effect: Superseded}}
	if s.rnd.IntN(3) == 0 {
		c.change.Effect = Revoked
	}
	user := s.rnd.IntN(simUsers)
	switch n := s.rnd.IntN(40); {
	case n < 20:
		c.change.Scope, c.change.Key = Session, simName("sid", user)
	case n < 26:
		c.change.Scope, c.change.Key = Subject, passport.SubjectKey(simName("ten", user%2), simName("sub", user%3))
	case n < 27:
		c.change.Scope, c.change.Key = Tenant, simName("ten", user%2)
	case n < 28:
		c.change.Scope, c.change.Key = Key, s.signs(user)
		if c.change.Effect == Revoked {
			s.revokedKeys++ // a key never signs again once it was revoked
		}
	case n < 29 && len(s.tokens) > 0:
		c.change.Scope, c.change.Key = Token, s.tokens[s.rnd.IntN(len(s.tokens))].claims.Txn
	}
	s.commits = append(s.commits, c)
	show := func() {
		c.visible = true
		s.after(s.within(20*time.Millisecond), func() { c.acked = s.now })
	}
	if s.mutant == "positions before commit" {
		s.after(s.within(1500*time.Millisecond), show)
		return
	}
	show()
}

// signs names the key that signs for a user.
func (s *sim) signs(user int) string { return simName(fmt.Sprint("kid-", user%2), s.revokedKeys) }

func simName(kind string, n int) string { return fmt.Sprintf("%s-%d", kind, n) }

// mint makes a passport: first the head is read, then the state.
func (s *sim) mint() {
	user := s.rnd.IntN(simUsers)
	t := &simToken{}
	t.claims = passport.Claims{
		Txn: fmt.Sprintf("txn-%d", s.seq), Session: simName("sid", user), Subject: simName("sub", user%3),
		Tenant: simName("ten", user%2), KeyID: s.signs(user),
	}
	state := func() {
		t.read = len(s.commits)
		for i := max(0, t.read-50); i < t.read; i++ {
			if !s.commits[i].visible {
				t.hidden = append(t.hidden, s.commits[i])
			}
		}
	}
	head := func() { t.claims.Mark = s.head() }
	first, second := head, state
	if s.mutant == "state read before the head" {
		first, second = state, head
	}
	first()
	s.after(s.within(300*time.Millisecond), func() {
		second()
		s.tokens = append(s.tokens, t)
		if len(s.tokens) > 150 {
			s.tokens = s.tokens[50:]
		}
	})
}

// covers reports whether a change is about a passport.
func (t *simToken) covers(c *Change) bool {
	switch c.Scope {
	case Token:
		return c.Key == t.claims.Txn
	case Session:
		return c.Key == t.claims.Session
	case Subject:
		return c.Key == passport.SubjectKey(t.claims.Tenant, t.claims.Subject)
	case Tenant:
		return c.Key == t.claims.Tenant
	case Key:
		return c.Key == t.claims.KeyID
	case All:
		return true
	}
	return false
}

// violated reports whether a check that began at u and accepted the passport broke the contract: a change which the
// passport does not know was acknowledged too long before.
func (s *sim) violated(t *simToken, u time.Duration) bool {
	bound, slowest := float64(simBound), 1-simDrift
	limit := time.Duration(bound/slowest) + time.Nanosecond
	broken := func(c *simCommit) bool { return c.acked > 0 && u > c.acked+limit && t.covers(&c.change) }
	return slices.ContainsFunc(t.hidden, broken) || slices.ContainsFunc(s.commits[t.read:], broken)
}

// simNode is an authority with a real tail. It is deposed while it cannot reach the database.
type simNode struct {
	*sim
	tail         *Tail // nil while it is down
	deposedUntil time.Duration
	stalledUntil time.Duration
	lives        int
}

func newSimNode(s *sim) *simNode {
	n := &simNode{sim: s}
	n.begin()
	s.every(40*time.Millisecond, n.follow)
	s.every(7*time.Second, func() {
		if s.odds(0.5) {
			n.deposedUntil = s.now + s.within(9*time.Second)
		}
	})
	s.every(15*time.Second, func() {
		if s.odds(0.7) && n.tail != nil {
			n.tail, n.lives = nil, n.lives+1 // its connections are cut
			s.after(s.within(2*time.Second), n.begin)
		}
	})
	return n
}

// begin makes a tail that begins a little before the end of the log.
func (n *simNode) begin() {
	start := n.head()
	start.Position = max(0, start.Position-n.rnd.Int64N(40))
	n.tail = NewTail(start, 2+n.rnd.IntN(40))
	if n.mutant == "resume without a base" {
		n.tail.base = 0
	}
}

// follow takes in what is new in the log, as package feed does.
func (n *simNode) follow() {
	if n.tail == nil || n.now < n.stalledUntil || n.now < n.deposedUntil {
		return
	}
	if n.odds(0.01) {
		n.stalledUntil = n.now + n.within(8*time.Second)
		return
	}
	if n.tail.Through().Epoch != n.epoch {
		n.begin()
	}
	var changes []Change
	through := n.tail.Through().Position
	for _, c := range n.readLog(through) {
		through = c.change.Position
		if c.change.Scope != "" {
			changes = append(changes, c.change)
		}
	}
	before := n.tail.base
	if err := n.tail.Add(through, changes...); err != nil {
		panic(err)
	}
	if n.tail.base != before {
		n.res.overflows++
		if n.mutant == "drop from the tail without raising the base" {
			n.tail.base = before
		}
	}
}

// ping answers with the head, after some time, or not at all.
func (n *simNode) ping(answer func(Head, error)) {
	if n.tail == nil {
		answer(Head{}, errors.New("down"))
		return
	}
	if n.now < n.deposedUntil {
		if n.mutant == "deposed authority answers from memory" {
			answer(n.tail.Through(), nil)
			return
		}
		answer(Head{}, errors.New("the database cannot be reached"))
		return
	}
	answer(n.head(), nil)
}
