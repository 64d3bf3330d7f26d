// SPDX-License-Identifier: Apache-2.0

// How far long work is: a bar on a terminal, a line every two seconds elsewhere.

package main

import (
	"fmt"
	"time"

	"github.com/schollz/progressbar/v3"

	"example.com/vidimus/cmd/vidimus/internal/screen"
	"example.com/vidimus/internal/clock"
)

const meterEvery = 2 * time.Second

// meter shows progress on the standard error, and nothing with --json.
type meter struct {
	app   *app
	verb  string
	noun  string
	total int64 // of the work; 0 or less is not known
	bar   *progressbar.ProgressBar
	began time.Time
	shown time.Time
}

// newMeter starts to measure work of a known total, counted in nouns a second.
func (a *app) newMeter(verb string, total int64, noun string) *meter {
	m := &meter{app: a, verb: verb, noun: noun, total: total, began: clock.Now()}
	m.shown = m.began
	if a.live && !a.json {
		m.bar = progressbar.NewOptions64(
			max(total, -1), progressbar.OptionSetWriter(a.err), progressbar.OptionSetDescription(verb),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionSetWidth(12),
			progressbar.OptionClearOnFinish(), progressbar.OptionSetPredictTime(true),
			progressbar.OptionEnableColorCodes(a.errStyle.Colour),
		)
	}
	return m
}

// at shows that done of the total is reached, which is so many nouns.
func (m *meter) at(done, count int64) {
	rate := screen.Rate(count, clock.Since(m.began)) + " " + m.noun + "/s"
	if m.bar != nil {
		m.bar.Describe(fmt.Sprintf("%s %s %s, %s", m.verb, screen.Number(count), m.noun, rate))
		if m.total > 0 {
			done = min(done, m.total-1) // a full bar is the end, which is said by end
		}
		_ = m.bar.Set64(done) // a terminal that went away is no reason to stop
		return
	}
	if clock.Since(m.shown) < meterEvery {
		return
	}
	m.shown = clock.Now()
	share := ""
	if m.total > 0 {
		share = fmt.Sprintf(" (%d %%)", 100*done/m.total)
	}
	m.app.say("%s: %s %s%s, %s", m.verb, screen.Number(count), m.noun, share, rate)
}

// end takes the bar away.
func (m *meter) end() {
	if m.bar != nil {
		_ = m.bar.Finish()
	}
}
