// SPDX-License-Identifier: Apache-2.0

// Package crashtest kills processes that write to a journal, and checks what they leave behind.
//
// A child process appends on several lanes and follows the journal with a durable checkpoint. It reports each step
// before and after on a pipe, which survives it. The parent kills it at random moments, starts it again with the units
// that were left without an answer, and in the end compares what was acknowledged and what the follower saw with
// what is in the journal.
package crashtest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
)

// Config says what is killed, and how often.
type Config struct {
	// Open and Place are how parent and child open the journal.
	Open  Open
	Place string
	// Kills is how often.
	Kills int
	// IntN draws a number from 0 to n-1; the moments of the kills come from it.
	IntN func(n int) int
	// Victim, if not nil, is killed in the child's place, and must be up again when it returns.
	Victim func(t *testing.T)
}

// history is what the children said, over all their lives.
type history struct {
	tried map[journal.ID]*unit
	acked map[journal.ID]line
	saw   []line
	lives int
}

// Run kills, and fails the test for every promise of the journal that it finds broken.
func Run(t *testing.T, c Config) {
	t.Helper()
	h := &history{tried: map[journal.ID]*unit{}, acked: map[journal.ID]line{}}
	for kills := 0; kills < c.Kills && !t.Failed(); {
		kills += c.life(t, h, c.Kills-kills)
	}
	if t.Failed() {
		return
	}
	ctx := t.Context()
	log, err := c.Open(ctx, c.Place)
	if err != nil {
		t.Fatalf("open after the last kill: %v", err)
	}
	defer log.Close()
	h.check(ctx, t, log)
	t.Logf("%d kills in %d lives: %d units tried, %d acknowledged, %d events seen by the follower",
		c.Kills, h.lives, len(h.tried), len(h.acked), len(h.saw))
}

// life starts a child, lets it work, and kills it or its victim; it returns the number of kills.
func (c *Config) life(t *testing.T, h *history, left int) int {
	t.Helper()
	cmd := exec.Command(os.Args[0], childArg, c.Place)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h.lives++
	unanswered := h.unanswered()
	acks := make(chan struct{}, 1)
	ended := make(chan error, 1)
	go func() { ended <- h.listen(out, acks) }()
	if err := json.NewEncoder(in).Encode(unanswered); err != nil {
		t.Error(err)
	}
	kills := 1
	switch {
	case c.Victim != nil:
		kills = c.killVictims(t, acks, left)
		_ = in.Close() // the child ends by itself
	default:
		c.killSoon(acks, cmd.Process)
	}
	if err := <-ended; err != nil {
		t.Errorf("life %d: %v", h.lives, err)
	}
	_ = cmd.Wait() // it was killed, that is no error
	_ = in.Close()
	return kills
}

// killSoon kills the child: most often while it works, sometimes before it has come that far.
func (c *Config) killSoon(acks <-chan struct{}, p *os.Process) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if c.IntN(8) == 0 {
		_ = clock.Sleep(ctx, time.Duration(c.IntN(40))*time.Millisecond)
	} else {
		select {
		case <-acks:
		case <-ctx.Done():
		}
		_ = clock.Sleep(ctx, time.Duration(c.IntN(60_000))*time.Microsecond)
	}
	_ = p.Kill()
}

// killVictims kills the victim several times under one child, each time after the child came forward.
func (c *Config) killVictims(t *testing.T, acks <-chan struct{}, left int) int {
	t.Helper()
	const perLife = 20
	kills := min(left, perLife)
	limit := clock.NewTimer(10 * time.Minute)
	defer limit.Stop()
	for range kills {
		select {
		case <-acks:
		case <-limit.C:
			t.Error("the child made no progress for minutes")
			return left
		}
		_ = clock.Sleep(t.Context(), time.Duration(c.IntN(60_000))*time.Microsecond)
		c.Victim(t)
		drain(acks)
	}
	select {
	case <-acks: // the last kill was survived, too
	case <-t.Context().Done():
	}
	return kills
}

func drain(acks <-chan struct{}) {
	select {
	case <-acks:
	default:
	}
}

// listen notes what a child says until it ends.
func (h *history) listen(out io.Reader, acks chan<- struct{}) error {
	lines := bufio.NewReader(out)
	for {
		text, err := lines.ReadBytes('\n')
		if err != nil {
			return nil // the last line may be half
		}
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			return fmt.Errorf("line %q: %w", text, err)
		}
		switch l.Op {
		case "try":
			h.tried[l.Unit.key()] = l.Unit
		case "ack":
			if before, ok := h.acked[l.Key]; ok && before.Position != l.Position {
				return fmt.Errorf("unit %s was acknowledged at position %d, then at %d", l.Key, before.Position, l.Position)
			}
			h.acked[l.Key] = l
			select {
			case acks <- struct{}{}:
			default:
			}
		case "follow", "saw":
			h.saw = append(h.saw, l)
		case "failed":
			return fmt.Errorf("the child failed: %s", l.Problem)
		}
	}
}

// unanswered returns the units whose fate is not known, in the order of their ids.
func (h *history) unanswered() []unit {
	out := []unit{}
	for key, u := range h.tried {
		if _, ok := h.acked[key]; !ok {
			out = append(out, *u)
		}
	}
	slices.SortFunc(out, func(a, b unit) int { return a.key().Compare(b.key()) })
	return out
}
