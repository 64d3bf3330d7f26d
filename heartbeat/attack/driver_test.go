// SPDX-License-Identifier: Apache-2.0

// The driver: starts, stops and kills processes, makes changes, and compares what was acknowledged with what was
// accepted.

//go:build linux

package attack_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
)

const (
	writers   = 6
	verifiers = 2
)

// attack is one run.
type attack struct {
	places []string // of the journal, for each authority
	mutant string
	seed   uint64

	proxies     []*proxy
	authorities []*process
	verifiers   []*process

	mu     sync.Mutex
	tokens []*token
	acks   map[journal.Stream][]ack
	acked  int
	sum    report
	stops  int // of processes
	kills  int
}

// token is a passport that verifiers are shown, and when each accepted it last.
type token struct {
	minted
	accepted [verifiers]time.Duration
}

// ack is a change that was acknowledged.
type ack struct {
	version journal.Version
	at      time.Duration
}

// process is a child that is started again when it was killed.
type process struct {
	args  []string
	hear  func(line []byte)
	mu    sync.Mutex
	cmd   *exec.Cmd
	in    io.WriteCloser
	lives int
}

// start starts the process and returns once it is ready.
func (p *process) start(t *testing.T) {
	t.Helper()
	cmd := exec.Command(os.Args[0], p.args...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Error(err)
		return
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Error(err)
		return
	}
	if err := cmd.Start(); err != nil {
		t.Error(err)
		return
	}
	lines := bufio.NewReader(out)
	if _, err := lines.ReadBytes('\n'); err != nil {
		t.Errorf("%s did not start: %v", p.args[0], err)
		return
	}
	p.mu.Lock()
	p.cmd, p.in, p.lives = cmd, in, p.lives+1
	p.mu.Unlock()
	go func() {
		for {
			line, err := lines.ReadBytes('\n')
			if err != nil {
				return
			}
			if p.hear != nil {
				p.hear(line)
			}
		}
	}()
}

func (p *process) signal(s os.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.cmd.Process.Signal(s)
}

// kill kills the process and waits for its end.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.cmd.Wait()
}

// tell writes a line to the process, unless it is dead.
func (p *process) tell(v any) {
	text, _ := json.Marshal(v)
	p.mu.Lock()
	in := p.in
	p.mu.Unlock()
	_, _ = in.Write(append(text, '\n'))
}

// run attacks for a while; with a mutant until it is caught.
func (a *attack) run(t *testing.T, d time.Duration) {
	t.Helper()
	a.acks = map[journal.Stream][]ack{}
	a.begin(t)
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var work sync.WaitGroup
	for n := range writers {
		work.Go(func() { a.write(ctx, rand.New(rand.NewPCG(a.seed, uint64(n)))) })
	}
	work.Go(func() { a.disturb(ctx, t, rand.New(rand.NewPCG(a.seed, 99))) })
	for ctx.Err() == nil {
		_ = clock.Sleep(ctx, time.Second)
		if a.mutant != "" && len(a.violations()) > 0 {
			cancel()
		}
	}
	work.Wait()
	a.log(t)
}

// begin starts everything.
func (a *attack) begin(t *testing.T) {
	t.Helper()
	settings := verifierSettings{Mutant: a.mutant}
	for i, place := range a.places {
		address := freeAddress(t)
		text, _ := json.Marshal(authoritySettings{Place: place, Address: address, Mutant: a.mutant})
		p := &process{args: []string{"attacked-authority", string(text)}}
		p.start(t)
		a.authorities = append(a.authorities, p)
		a.proxies = append(a.proxies, newProxy(t, "http://"+address, a.seed+uint64(i), a.mutant != ""))
		settings.Authorities = append(settings.Authorities, a.proxies[i].URL)
	}
	for n := range verifiers {
		settings.Jumps = n == 1
		text, _ := json.Marshal(settings)
		p := &process{args: []string{"attacked-verifier", string(text)}}
		p.hear = func(line []byte) { a.hear(n, line) }
		p.start(t)
		a.verifiers = append(a.verifiers, p)
	}
	t.Cleanup(func() {
		for _, p := range append(a.authorities, a.verifiers...) {
			p.kill()
		}
	})
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// hear takes in what a verifier reports.
func (a *attack) hear(verifier int, line []byte) {
	var r report
	if err := json.Unmarshal(line, &r); err != nil {
		return // the last line of one that was killed
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, at := range r.Accepted {
		a.tokens[id].accepted[verifier] = max(a.tokens[id].accepted[verifier], at)
	}
	a.sum.Checks += r.Checks
	a.sum.Passed += r.Passed
	a.sum.Changed += r.Changed
	a.sum.Stale += r.Stale
	a.sum.Odd += r.Odd
	if r.Problem != "" {
		a.sum.Problem = r.Problem
	}
}

// write mints passports, has them shown, and changes what they say.
func (a *attack) write(ctx context.Context, rnd *rand.Rand) {
	base := func() string { return a.proxies[rnd.IntN(len(a.proxies))].target }
	for ctx.Err() == nil {
		session := rnd.IntN(sessions)
		m, err := ask[minted](ctx, base()+"/mint", url.Values{"session": {fmt.Sprint(session)}})
		if err == nil {
			a.show(m)
		}
		_ = clock.Sleep(ctx, time.Duration(rnd.Int64N(int64(20*time.Millisecond))))
		stream := sessionStream(session)
		if rnd.IntN(20) == 0 {
			stream = subjectStream(session % subjects)
		}
		kind := []string{"thing.changed", "thing.revoked"}[rnd.IntN(2)]
		version, err := ask[journal.Version](ctx, base()+"/change", url.Values{"stream": {string(stream)}, "type": {kind}})
		if err != nil {
			_ = clock.Sleep(ctx, 50*time.Millisecond)
			continue
		}
		a.mu.Lock()
		a.acks[stream] = append(a.acks[stream], ack{version, monotonic()})
		a.acked++
		a.mu.Unlock()
	}
}

// ask posts a form and reads the answer.
func ask[T any](ctx context.Context, at string, form url.Values) (out T, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at+"?"+form.Encode(), nil)
	if err != nil {
		return out, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return out, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return out, fmt.Errorf("%s: %s", at, res.Status)
	}
	return out, json.NewDecoder(res.Body).Decode(&out)
}

// show has a passport shown by every verifier.
func (a *attack) show(m minted) {
	a.mu.Lock()
	id := len(a.tokens)
	a.tokens = append(a.tokens, &token{minted: m})
	a.mu.Unlock()
	for _, v := range a.verifiers {
		v.tell(present{ID: id, Token: m.Token})
	}
}

// disturb stops processes for seconds, kills them, and cuts authorities off from their database.
func (a *attack) disturb(ctx context.Context, t *testing.T, rnd *rand.Rand) {
	within := func(d time.Duration) time.Duration { return time.Duration(rnd.Int64N(int64(d))) }
	for {
		if clock.Sleep(ctx, time.Second+within(2*time.Second)) != nil {
			return
		}
		i := rnd.IntN(len(a.authorities))
		victim := a.authorities[i]
		if rnd.IntN(3) == 0 {
			victim = a.verifiers[rnd.IntN(verifiers)]
		}
		switch rnd.IntN(4) {
		case 0:
			victim.kill()
			_ = clock.Sleep(ctx, within(500*time.Millisecond))
			victim.start(t)
			a.kills++
		case 1:
			victim.signal(syscall.SIGSTOP)
			_ = clock.Sleep(ctx, within(4*time.Second))
			victim.signal(syscall.SIGCONT)
			a.stops++
		default:
			_, _ = ask[string](ctx, a.proxies[i].target+"/cut", url.Values{"for": {within(4 * time.Second).String()}})
		}
	}
}

// violations are passports that were accepted in a check that began too long after a change that they do not know.
func (a *attack) violations() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, slowest := float64(bound), 1-drift
	limit := time.Duration(s/slowest) + 1
	var out []string
	for id, k := range a.tokens {
		for stream, knows := range map[journal.Stream]journal.Version{
			sessionStream(k.Session): k.At, subjectStream(k.Subject): k.SubjectAt,
		} {
			for _, c := range a.acks[stream] {
				for n, at := range k.accepted {
					if c.version > knows && at > c.at+limit {
						out = append(out, fmt.Sprintf("verifier %d accepted passport %d of %s, version %d, %v after version %d was "+
							"acknowledged", n, id, stream, knows, at-c.at, c.version))
					}
				}
			}
		}
	}
	return out
}

// late counts passports that some verifier accepted after a change which they do not know, within the bound: those
// that show that the test would see it.
func (a *attack) late() (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, k := range a.tokens {
		for _, c := range a.acks[sessionStream(k.Session)] {
			if c.version > k.At && max(k.accepted[0], k.accepted[1]) > c.at {
				n++
				break
			}
		}
	}
	return n
}

func (a *attack) log(t *testing.T) {
	late := a.late()
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.sum
	t.Logf("seed %d: %d passports, %d changes acknowledged, %d stops, %d kills",
		a.seed, len(a.tokens), a.acked, a.stops, a.kills)
	t.Logf("%d checks: %d accepted, %d refused as superseded or revoked, %d as stale; %d passports were accepted "+
		"after a change, within the bound", s.Checks, s.Passed, s.Changed, s.Stale, late)
	for _, p := range a.proxies {
		t.Logf("network: %d events, %d of them dropped, %d pings, %d stalls, %d cuts", p.events.Load(), p.dropped.Load(),
			p.pings.Load(), p.stalled.Load(), p.cuts.Load())
	}
}
