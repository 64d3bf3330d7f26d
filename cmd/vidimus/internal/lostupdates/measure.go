// SPDX-License-Identifier: Apache-2.0

// Measuring one shop: clicks, reads beside them, and sign-outs.

package lostupdates

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"example.com/vidimus/internal/clock"
)

// readEvery is how often a further tab reads the state.
const readEvery = 20 * time.Millisecond

// measure opens a shop, lets it be clicked by the script, and closes it.
func (c *Config) measure(ctx context.Context, o opener, tabs int) (r Result, err error) {
	dir := filepath.Join(c.Dir, string(o.way)+"-"+strconv.Itoa(tabs))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return r, err
	}
	s, err := o.open(ctx, dir)
	if err != nil {
		return r, fmt.Errorf("open the shop of %s: %w", o.way, err)
	}
	url, stop, err := s.serve(ctx)
	if err != nil {
		return r, fmt.Errorf("serve the shop of %s: %w", o.way, err)
	}
	defer func() { err = errors.Join(err, stop()) }()
	b, err := newBrowser(url)
	if err != nil {
		return r, err
	}
	defer b.close()
	r = Result{Way: o.way, Tabs: tabs, Bound: s.bound}
	play := newScript(c.Seed, c.Clicks, c.Logouts, tabs)
	if err := r.clicks(ctx, b, play.rounds); err != nil {
		return r, fmt.Errorf("%s with %d tabs: %w", o.way, tabs, err)
	}
	if err := r.signOuts(ctx, url, play.logouts); err != nil {
		return r, fmt.Errorf("%s with %d tabs: %w", o.way, tabs, err)
	}
	r.Retries = s.retries()
	return r, nil
}

// clicks plays the rounds, with a further tab that reads all the while.
func (r *Result) clicks(ctx context.Context, b *browser, rounds []round) error {
	if err := b.signIn(ctx); err != nil {
		return err
	}
	var limits timeline
	limits.set(0, clock.Now())
	reading, stop := context.WithCancel(ctx)
	var reader sync.WaitGroup
	var failed error
	reader.Go(func() { failed = r.read(reading, b, &limits) })
	err := r.play(ctx, b, rounds, &limits)
	stop()
	reader.Wait()
	return errors.Join(err, failed)
}

// play plays the rounds one after another and counts what is missing after each.
func (r *Result) play(ctx context.Context, b *browser, rounds []round, limits *timeline) error {
	item := 0
	for _, round := range rounds {
		first := item + 1
		item += len(round.work)
		kept, err := playRound(ctx, b, round, first, limits)
		if err != nil {
			return err
		}
		shown, signedIn, err := b.look(ctx)
		if err != nil {
			return err
		}
		if !signedIn {
			return errors.New("the browser is signed out, and nobody signed it out")
		}
		r.Kept += len(kept)
		for _, i := range kept {
			if !slices.Contains(shown.Items, i) {
				r.Lost++
			}
		}
	}
	return nil
}

// playRound lets every tab add an item, from first on, and returns those that were acknowledged.
func playRound(ctx context.Context, b *browser, play round, first int, limits *timeline) (kept []int, err error) {
	answers := make([]bool, len(play.work))
	failures := make([]error, len(play.work)+1)
	var tabs sync.WaitGroup
	for tab, work := range play.work {
		tabs.Go(func() { answers[tab], failures[tab] = b.add(ctx, first+tab, work) })
	}
	if play.operate > 0 {
		tabs.Go(func() { failures[len(play.work)] = operate(ctx, b, play.operate, limits) })
	}
	tabs.Wait()
	for tab, answer := range answers {
		if answer {
			kept = append(kept, first+tab)
		}
	}
	return kept, errors.Join(failures...)
}

// operate raises the limit by one after a while.
func operate(ctx context.Context, b *browser, after time.Duration, limits *timeline) error {
	if err := clock.Sleep(ctx, after); err != nil {
		return err
	}
	next := limits.last() + 1
	if err := b.operate(ctx, next); err != nil {
		return err
	}
	limits.set(next, clock.Now())
	return nil
}

// read looks at the limit until ctx ends, and at how outdated it is.
func (r *Result) read(ctx context.Context, b *browser, limits *timeline) error {
	for clock.Sleep(ctx, readEvery) == nil {
		began := clock.Now()
		shown, signedIn, err := b.look(context.WithoutCancel(ctx))
		if err != nil {
			return err
		}
		if !signedIn {
			return errors.New("the browser is signed out, and nobody signed it out")
		}
		r.Reads++
		if age := limits.age(shown.Limit, began); age > 0 {
			r.Stale++
			r.Oldest = max(r.Oldest, age)
		}
	}
	return nil
}

// signOuts signs out while every tab saves, and looks whether the browser is signed in afterwards; and at the end, when
// the shop has had the time that it asks for, whether copies of the cookies from before still sign in.
func (r *Result) signOuts(ctx context.Context, url string, logouts []logout) error {
	var copies []*browser
	defer func() {
		for _, b := range copies {
			b.close()
		}
	}()
	for _, play := range logouts {
		before, undone, err := playLogout(ctx, url, play)
		if err != nil {
			return err
		}
		copies = append(copies, before)
		r.Logouts++
		if undone {
			r.Undone++
		}
	}
	if err := clock.Sleep(ctx, r.Bound); err != nil {
		return err
	}
	for _, b := range copies {
		_, signedIn, err := b.look(ctx)
		if err != nil {
			return err
		}
		if signedIn {
			r.Copies++
		}
	}
	return nil
}

// playLogout also returns a browser with the cookies from before the sign-out.
func playLogout(ctx context.Context, url string, play logout) (before *browser, undone bool, err error) {
	b, err := newBrowser(url)
	if err != nil {
		return nil, false, err
	}
	defer b.close()
	if err := b.signIn(ctx); err != nil {
		return nil, false, err
	}
	if before, err = b.copied(); err != nil {
		return nil, false, err
	}
	failures := make([]error, len(play.work))
	var tabs sync.WaitGroup
	for tab, work := range play.work {
		tabs.Go(func() { _, failures[tab] = b.add(ctx, tab+1, work) })
	}
	err = clock.Sleep(ctx, play.after)
	if err == nil {
		err = b.signOut(ctx)
	}
	tabs.Wait()
	if err := errors.Join(append(failures, err)...); err != nil {
		return nil, false, err
	}
	_, undone, err = b.look(ctx)
	return before, undone, err
}

// timeline knows when each value was acknowledged. Values rise by one from 0. Goroutines may share it.
type timeline struct {
	mu    sync.Mutex
	times []time.Time // by value
}

func (t *timeline) set(value int, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if value == len(t.times) {
		t.times = append(t.times, at)
	}
}

func (t *timeline) last() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.times) - 1
}

// age says for how long a value that is shown to a read had been outdated when the read began; 0 if it was not.
func (t *timeline) age(shown int, began time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if shown+1 >= len(t.times) {
		return 0
	}
	return max(0, began.Sub(t.times[shown+1]))
}
