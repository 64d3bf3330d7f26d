// SPDX-License-Identifier: Apache-2.0

// vidimus demo: what goes wrong elsewhere, to see with one's own eyes.

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"example.com/vidimus/cmd/vidimus/internal/lostupdates"
	"example.com/vidimus/cmd/vidimus/internal/screen"
)

type demoCmd struct {
	LostUpdates demoLostUpdatesCmd `cmd:"" help:"Click in several tabs at once, and count what is lost."`
}

type demoLostUpdatesCmd struct {
	Clicks  int    `default:"120" placeholder:"N" help:"Writes for each way and number of tabs (${default})."`
	Tabs    []int  `default:"1,2,6" placeholder:"N" help:"How many tabs click at once (${default})."`
	Logouts int    `default:"12" placeholder:"N" help:"Sign-outs while every tab saves (${default})."`
	Seed    uint64 `default:"7" placeholder:"N" help:"Which requests are slow, and how slow (${default})."`
	SVG     string `name:"svg" placeholder:"FILE" help:"Draw the picture as SVG."`
	PNG     string `name:"png" placeholder:"FILE" help:"Draw the picture as PNG."`
}

// Help is shown by --help.
func (c *demoLostUpdatesCmd) Help() string {
	return `One browser puts items into its cart from several tabs at once, an operator changes the customer's limit
meanwhile, and somebody signs out while requests are still at work. The same script runs over HTTP on this machine
against three shops, which keep their state

    in an encrypted cookie (JWE, dir and A256GCM),
    in a server-side session store, loaded when a request begins and saved whole when it ends,
    in Vidimus, on a journal in a temporary directory.

A write counts as lost if it was answered as kept and is not there when the tabs are done. A read is stale if it does
not show what was acknowledged before it began. A sign-out is undone if the browser is signed in again when all requests
are done; a copied cookie, from before the sign-out, is tried at the end. It fails if the shop on Vidimus loses a write,
undoes a sign-out, takes a copied cookie or shows what is older than it promises.

Examples:

    vidimus demo lost-updates
    vidimus demo lost-updates --tabs 1,2,4,8 --svg lost.svg --png lost.png`
}

// Run plays the script and shows the results.
func (c *demoLostUpdatesCmd) Run(ctx context.Context, a *app) error {
	for flag, file := range map[string]string{"--svg": c.SVG, "--png": c.PNG} {
		made, err := writable(file)
		if err != nil {
			return usage(flag, "%v; name a file that can be written", err)
		}
		if made {
			defer removeEmpty(file)
		}
	}
	dir, err := os.MkdirTemp("", "vidimus-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	results, err := lostupdates.Run(ctx, lostupdates.Config{
		Clicks: c.Clicks, Tabs: c.Tabs, Logouts: c.Logouts, Seed: c.Seed, Dir: dir, Done: c.progress(a),
	})
	if invalid, ok := errors.AsType[*lostupdates.InvalidError](err); ok {
		return usage("--"+invalid.Field, "%s", invalid.Problem)
	}
	if err != nil {
		return err
	}
	if err := c.show(a, results); err != nil {
		return err
	}
	if err := c.draw(results); err != nil {
		return err
	}
	for _, file := range []string{c.SVG, c.PNG} {
		if file != "" {
			a.say("the picture is in %s", screen.Printable(file))
		}
	}
	return kept(results)
}

// writable finds out before the long work whether a file can be written in the end. It makes one that is not there.
func writable(file string) (made bool, err error) {
	if file == "" {
		return false, nil
	}
	const everybody = 0o666 // as far as the umask lets them
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, everybody)
	if made = err == nil; errors.Is(err, fs.ErrExist) {
		f, err = os.OpenFile(file, os.O_WRONLY, 0)
	}
	if err != nil {
		return false, err
	}
	return made, f.Close()
}

// removeEmpty takes a file away that was made, and came to nothing.
func removeEmpty(file string) {
	if info, err := os.Stat(file); err == nil && info.Size() == 0 {
		_ = os.Remove(file) // it does no harm
	}
}

// progress tells a person at a terminal how far it is.
func (c *demoLostUpdatesCmd) progress(a *app) func(lostupdates.Result) {
	if !a.live || a.json {
		return nil
	}
	var done atomic.Int64
	return func(lostupdates.Result) {
		if n, all := int(done.Add(1)), 3*len(c.Tabs); n < all {
			fmt.Fprintf(a.err, "\r%d of %d runs done ", n, all)
			return
		}
		fmt.Fprint(a.err, "\r\x1b[K")
	}
}

// lostAnswer is one line of the answer to --json.
type lostAnswer struct {
	lostupdates.Result

	Percent float64 `json:"lost_percent"`
	Oldest  float64 `json:"oldest_stale_ms"`
	Bound   float64 `json:"promised_ms,omitempty"`
}

func (c *demoLostUpdatesCmd) show(a *app, results []lostupdates.Result) error {
	if a.json {
		for _, r := range results {
			err := a.object(lostAnswer{r, r.Share(), milliseconds(r.Oldest), milliseconds(r.Bound)})
			if err != nil {
				return err
			}
		}
		return nil
	}
	table := screen.NewTable(
		a.out, a.style,
		screen.Column{Title: "state is kept in", Paint: a.style.Name},
		screen.Column{Title: "tabs", Right: true},
		screen.Column{Title: "acknowledged", Right: true},
		screen.Column{Title: "lost", Right: true, Paint: a.style.Bold},
		screen.Column{Title: "%", Right: true, Paint: a.style.Bold},
		screen.Column{Title: "stale reads", Right: true},
		screen.Column{Title: "oldest", Right: true},
		screen.Column{Title: "sign-outs undone", Right: true},
		screen.Column{Title: "copied cookies good", Right: true},
	)
	for _, r := range results {
		err := table.Row(
			r.Way.Name(), strconv.Itoa(r.Tabs), screen.Number(r.Kept), screen.Number(r.Lost),
			strconv.FormatFloat(r.Share(), 'f', 1, 64), fmt.Sprintf("%s of %s", screen.Number(r.Stale), screen.Number(r.Reads)),
			lostupdates.Seconds(r.Oldest), fmt.Sprintf("%d of %d", r.Undone, r.Logouts),
			fmt.Sprintf("%d of %d", r.Copies, r.Logouts),
		)
		if err != nil {
			return err
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(a.out, "\n"+summary(results))
	return err
}

// summary says what Vidimus promised, and what that took.
func summary(results []lostupdates.Result) string {
	retries, bound := 0, time.Duration(0)
	for _, r := range results {
		retries, bound = retries+r.Retries, max(bound, r.Bound)
	}
	return fmt.Sprintf("Vidimus promised that no read is more than %s old. It refused %s writes because others had been "+
		"faster, and each was decided again.", lostupdates.Seconds(bound), screen.Number(retries))
}

// draw writes the pictures that were asked for.
func (c *demoLostUpdatesCmd) draw(results []lostupdates.Result) error {
	tabs := make([]string, len(c.Tabs))
	for i, n := range c.Tabs {
		tabs[i] = strconv.Itoa(n)
	}
	const form = "vidimus demo lost-updates --clicks %d --tabs %s --logouts %d --seed %d"
	command := fmt.Sprintf(form, c.Clicks, strings.Join(tabs, ","), c.Logouts, c.Seed)
	for _, picture := range []struct {
		file  string
		write func(io.Writer, []lostupdates.Result, string) error
	}{{c.SVG, lostupdates.WriteSVG}, {c.PNG, lostupdates.WritePNG}} {
		if picture.file == "" {
			continue
		}
		f, err := os.Create(picture.file)
		if err != nil {
			return err
		}
		if err := errors.Join(picture.write(f, results, command), f.Close()); err != nil {
			return fmt.Errorf("draw %s: %w", picture.file, err)
		}
	}
	return nil
}

// kept fails if Vidimus did not keep what it promises.
func kept(results []lostupdates.Result) error {
	for _, r := range results {
		if r.Way == lostupdates.Vidimus && (r.Lost+r.Undone+r.Copies > 0 || r.Oldest > r.Bound) {
			const found = "Vidimus lost %d writes with %d tabs, undid %d sign-outs, took %d copied cookies, and showed " +
				"what was %v old"
			return &brokenError{fmt.Sprintf(found, r.Lost, r.Tabs, r.Undone, r.Copies, r.Oldest)}
		}
	}
	return nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
