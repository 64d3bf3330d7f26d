// SPDX-License-Identifier: Apache-2.0

// The verifier's process: a view of its own, a client of the proxies, and a real passport.Verifier that is shown the
// same passports again and again.

//go:build linux

package attack_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"sync"
	"time"

	"example.com/vidimus/heartbeat"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/passport"
)

// verifierSettings are what a verifier is started with.
type verifierSettings struct {
	Authorities []string // URLs of the proxies before them
	Jumps       bool     // its wall clock jumps by an hour
	Mutant      string
}

// present is a passport to be shown from now on.
type present struct {
	ID    int
	Token string
}

// report is what happened since the last one.
type report struct {
	// Accepted says when the last check began that accepted a passport, by its id.
	Accepted                            map[int]time.Duration
	Checks, Passed, Changed, Stale, Odd int
	Problem                             string
	Status                              heartbeat.Status
}

// shown is a passport that is checked again and again.
type shown struct {
	present
	accepted, reported time.Duration
}

func runVerifier(ctx context.Context, s verifierSettings, in io.Reader, say func(any)) error {
	view := heartbeat.NewView(&heartbeat.ViewConfig{Limit: 5000, Clock: s.clock()})
	var sources []heartbeat.Source
	for _, url := range s.Authorities {
		remote := &heartbeat.Remote{URL: url}
		if s.Mutant == "no gap detection" {
			sources = append(sources, &gapless{remote, view})
			continue
		}
		sources = append(sources, remote)
	}
	client, err := heartbeat.Open(heartbeat.Config{
		View: view, Sources: sources, Every: 200 * time.Millisecond, Patience: 3 * time.Second, Retry: 500 * time.Millisecond,
	})
	if err != nil {
		return err
	}
	signer, err := passport.NewSigner(testKey(), "")
	if err != nil {
		return err
	}
	keys, err := passport.NewKeySet(signer.Public())
	if err != nil {
		return err
	}
	verifier, err := passport.New(passport.Config{Issuer: issuer, Audience: audience, Keys: keys, View: view})
	if err != nil {
		return err
	}
	go func() { _ = client.Run(ctx) }()
	if s.Mutant != "" {
		go s.misdate(ctx, sources[0], view)
	}
	w := &watch{verifier: verifier, client: client}
	go w.show(ctx, say)
	say("ready")
	return w.read(in)
}

// clock is that of the process, unless something is wrong with it.
func (s *verifierSettings) clock() func() (time.Duration, time.Duration) {
	began := monotonic()
	return func() (time.Duration, time.Duration) {
		now := monotonic()
		wall := now
		if s.Jumps { // every few seconds, ahead and back
			wall += time.Duration((now-began)/(5*time.Second)%2) * time.Hour
		}
		if s.Mutant == "drift beyond rho" {
			return now * 6 / 10, wall * 6 / 10
		}
		return now, wall
	}
}

// misdate is what two of the mutants do beside the client.
func (s *verifierSettings) misdate(ctx context.Context, source heartbeat.Source, view *heartbeat.View) {
	for ctx.Err() == nil {
		sent := view.PingSent()
		head, err := source.Ping(ctx)
		received := view.PingSent()
		at := view.Through()
		switch {
		case err != nil || !at.SameLog(head):
		case s.Mutant == "staleness from receipt":
			head.Position = max(head.Position, at.Position) // for the view looks whether the log was rewound
			_ = view.PingAnswered(received, head)
		case s.Mutant == "dated before the frames are applied":
			_ = view.PingAnswered(sent, at)
		}
		_ = clock.Sleep(ctx, 200*time.Millisecond)
	}
}

// gapless takes every frame for the next one.
type gapless struct {
	heartbeat.Source
	view *heartbeat.View
}

func (g *gapless) Subscribe(ctx context.Context, from passport.Mark) iter.Seq2[heartbeat.Frame, error] {
	return func(yield func(heartbeat.Frame, error) bool) {
		for f, err := range g.Source.Subscribe(ctx, from) {
			if at := g.view.Through(); f.Mark().SameLog(at) {
				f.After = min(f.After, at.Position)
			}
			if !yield(f, err) {
				return
			}
		}
	}
}

// watch shows passports to a verifier.
type watch struct {
	verifier *passport.Verifier
	client   *heartbeat.Client
	mu       sync.Mutex
	shown    []*shown
	counts   report
}

// read takes passports in until the driver ends.
func (w *watch) read(in io.Reader) error {
	for lines := bufio.NewReader(in); ; {
		text, err := lines.ReadBytes('\n')
		if err != nil {
			return nil
		}
		p := &shown{}
		if err := json.Unmarshal(text, &p.present); err != nil {
			return err
		}
		w.mu.Lock()
		if w.shown = append(w.shown, p); len(w.shown) > window {
			w.shown = w.shown[window/4:]
		}
		w.mu.Unlock()
	}
}

// show checks all passports over and over, and reports ten times a second.
func (w *watch) show(ctx context.Context, say func(any)) {
	for ctx.Err() == nil {
		began := monotonic()
		for monotonic()-began < 100*time.Millisecond {
			w.mu.Lock()
			all := w.shown[:len(w.shown):len(w.shown)]
			w.mu.Unlock()
			for _, p := range all {
				w.check(ctx, p)
			}
			_ = clock.Sleep(ctx, 10*time.Millisecond)
		}
		w.counts.Accepted, w.counts.Status = map[int]time.Duration{}, w.client.Status()
		w.mu.Lock()
		for _, p := range w.shown {
			if p.accepted > p.reported {
				p.reported = p.accepted
				w.counts.Accepted[p.ID] = p.accepted
			}
		}
		w.mu.Unlock()
		say(w.counts)
		w.counts = report{}
	}
}

func (w *watch) check(ctx context.Context, p *shown) {
	began := monotonic()
	_, err := w.verifier.Check(ctx, p.Token, &passport.Rule{MaxStale: bound})
	w.counts.Checks++
	switch {
	case err == nil:
		w.counts.Passed++
		p.accepted = began
	case errors.Is(err, passport.ErrStale):
		w.counts.Stale++
	case errors.Is(err, passport.ErrSuperseded), errors.Is(err, passport.ErrRevoked):
		w.counts.Changed++
	default:
		w.counts.Odd++
		w.counts.Problem = err.Error()
	}
}
