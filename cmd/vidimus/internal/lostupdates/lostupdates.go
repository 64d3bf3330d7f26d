// SPDX-License-Identifier: Apache-2.0

// Package lostupdates shows what becomes of state when several requests of one browser work on it at once: the same
// clicks, over real HTTP, against a state cookie, a server-side session store, and Vidimus.
//
// Nothing here is computed from a model. A browser with a cookie jar sends requests, and each answer that says "kept"
// is held against what the shop says afterwards.
package lostupdates

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Limits of a run.
const (
	MaxClicks  = 5000
	MaxTabs    = 16
	MaxColumns = 6 // numbers of tabs in one run
	MaxLogouts = 200
)

// Config says what is clicked. The zero value of a field is its default.
type Config struct {
	Clicks  int    // adds to the cart, for each way and number of tabs; default 120
	Tabs    []int  // how many tabs click at once; default 1, 2 and 6
	Logouts int    // how often somebody signs out while every tab saves; default 12
	Seed    uint64 // of the script: which request is slow, and how slow
	Dir     string // for the journals; whoever calls removes it
	// Done is told of each result, by several goroutines at once. Nil tells nobody.
	Done func(Result)
}

// Result is what one way of keeping state did, with so many tabs.
type Result struct {
	Way   Way `json:"way"`
	Tabs  int `json:"tabs"`
	Kept  int `json:"acknowledged"` // writes that were answered as kept
	Lost  int `json:"lost"`         // of those, not there when the tabs were done
	Reads int `json:"reads"`
	Stale int `json:"stale_reads"` // reads that did not show what had been acknowledged before they began
	// Oldest is for how long the most outdated of them had been outdated.
	Oldest  time.Duration `json:"-"`
	Bound   time.Duration `json:"-"` // that the way promises for Oldest; 0 if it promises nothing
	Logouts int           `json:"logouts"`
	Undone  int           `json:"logouts_undone"` // after which the browser was signed in again
	Copies  int           `json:"copies_working"` // sign-outs after which a copy of the cookie still signed in
	Retries int           `json:"retries"`        // decisions taken again because somebody else had been faster
}

// InvalidError says which setting is out of bounds, and what would do.
type InvalidError struct{ Field, Problem string }

// Error names the field and the problem.
func (e *InvalidError) Error() string { return e.Field + ": " + e.Problem }

// Way is a way of keeping state.
type Way string

// The ways, in the order in which they are shown.
const (
	Cookie  Way = "jwe-cookie"
	Store   Way = "session-store"
	Vidimus Way = "vidimus"
)

// Share is how many percent of the acknowledged writes were lost.
func (r Result) Share() float64 {
	if r.Kept == 0 {
		return 0
	}
	return 100 * float64(r.Lost) / float64(r.Kept)
}

// shop is one way at work: a handler and what it can tell of itself.
type shop struct {
	serve   func(ctx context.Context) (url string, stop func() error, err error)
	retries func() int
	bound   time.Duration
}

// opener opens a shop of its own for every number of tabs. The directory is empty and the shop's alone.
type opener struct {
	way  Way
	open func(ctx context.Context, dir string) (*shop, error)
}

// ways lists how to open each.
func ways() []opener {
	return []opener{{Cookie, openCookieShop}, {Store, openStoreShop}, {Vidimus, openVidimusShop}}
}

// Run lets all shops be clicked at the same time, and returns their results in order. It returns an [*InvalidError], or
// an error if a shop cannot be opened, or answers what no shop should.
func Run(ctx context.Context, cfg Config) ([]Result, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	openers := ways()
	results := make([]Result, len(openers)*len(cfg.Tabs))
	var group sync.WaitGroup
	for i, o := range openers {
		for j, tabs := range cfg.Tabs {
			group.Go(func() {
				r, err := cfg.measure(ctx, o, tabs)
				if err != nil {
					cancel(err) // the first error is the cause of all others
					return
				}
				results[i*len(cfg.Tabs)+j] = r
				if cfg.Done != nil {
					cfg.Done(r)
				}
			})
		}
	}
	group.Wait()
	return results, context.Cause(ctx)
}

func (c *Config) complete() error {
	if c.Clicks == 0 {
		c.Clicks = 120
	}
	if c.Logouts == 0 {
		c.Logouts = 12
	}
	if len(c.Tabs) == 0 {
		c.Tabs = []int{1, 2, 6}
	}
	outside := func(n int) bool { return n < 1 || n > MaxTabs }
	sorted := slices.Sorted(slices.Values(c.Tabs))
	switch {
	case c.Clicks < 1 || c.Clicks > MaxClicks:
		return &InvalidError{"clicks", fmt.Sprintf("%d is out of bounds; give 1 to %d", c.Clicks, MaxClicks)}
	case c.Logouts < 1 || c.Logouts > MaxLogouts:
		return &InvalidError{"logouts", fmt.Sprintf("%d is out of bounds; give 1 to %d", c.Logouts, MaxLogouts)}
	case len(c.Tabs) > MaxColumns || len(slices.Compact(sorted)) < len(c.Tabs) || slices.ContainsFunc(c.Tabs, outside):
		problem := fmt.Sprintf("%v will not do; give up to %d different numbers from 1 to %d", c.Tabs, MaxColumns, MaxTabs)
		return &InvalidError{"tabs", problem}
	}
	return nil
}
