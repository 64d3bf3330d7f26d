// SPDX-License-Identifier: Apache-2.0

// The process that is killed: it appends, follows, and reports every step on its standard output.

package crashtest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
)

const (
	childArg = "crashtest-child"
	consumer = "crashtest"
	lanes    = 8
	pause    = 5 * time.Millisecond // before a step that failed is tried again
)

// Open opens the journal at a place: a path, or an address.
type Open func(ctx context.Context, place string) (*journal.Log, error)

// Child runs the process to be killed, if this process was started as one, and reports whether it was. Call it first
// in TestMain, and return if it says so.
func Child(open Open) bool {
	if len(os.Args) != 3 || os.Args[1] != childArg {
		return false
	}
	c := &child{out: os.Stdout}
	if err := c.run(context.Background(), open, os.Args[2], os.Stdin); err != nil {
		c.say(line{Op: "failed", Problem: err.Error()})
	}
	return true
}

// unit is what a child commits, in a form that survives it.
type unit struct {
	Lane    int              `json:"lane"`
	Streams []journal.Stream `json:"streams"`
	Expects []journal.Expect `json:"expects"`
	IDs     [][]journal.ID   `json:"ids"`
}

func (u *unit) key() journal.ID { return u.IDs[0][0] }

func (u *unit) build() journal.Unit {
	var out journal.Unit
	for i, s := range u.Streams {
		a := journal.Append{Stream: s, Expect: u.Expects[i]}
		for _, id := range u.IDs[i] {
			a.Events = append(a.Events, journal.EventData{
				ID: id, Type: "crash.happened", Data: id[:], Tags: []string{fmt.Sprintf("lane:%d", u.Lane)},
			})
		}
		out.Appends = append(out.Appends, a)
	}
	out.Records = []journal.RecordWrite{{
		Kind: "crashtest", Key: fmt.Sprintf("lane-%d", u.Lane), Expect: journal.Any, Value: u.IDs[0][0][:],
	}}
	return out
}

// line is a step of a child.
type line struct {
	Op       string             `json:"op"` // try, ack, saw, caught-up, failed
	Unit     *unit              `json:"unit,omitempty"`
	Key      journal.ID         `json:"key"`
	Position journal.Position   `json:"position,omitempty"`
	Versions []journal.Version  `json:"versions,omitempty"`
	From     journal.Checkpoint `json:"from"`
	Problem  string             `json:"problem,omitempty"`
}

type child struct {
	log *journal.Log
	mu  sync.Mutex // one line at a time
	out io.Writer
}

// say reports a step. Once it returned, the step is with the parent, whatever happens to this process.
func (c *child) say(l line) {
	text, err := json.Marshal(l)
	if err != nil {
		text = []byte(`{"op":"failed","problem":"line cannot be written"}`)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = c.out.Write(append(text, '\n')) // a parent that is gone needs no report
}

// run first repeats the units that earlier lives left without an answer, then goes on until it is killed or its
// standard input ends.
func (c *child) run(ctx context.Context, open Open, place string, in io.Reader) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for c.log, err = open(ctx, place); err != nil; c.log, err = open(ctx, place) {
		if !errors.Is(err, journal.ErrUnavailable) {
			return fmt.Errorf("open: %w", err)
		}
		if err := clock.Sleep(ctx, pause); err != nil {
			return err
		}
	}
	defer c.log.Close()
	commands := bufio.NewReader(in)
	var left []unit
	if text, err := commands.ReadBytes('\n'); err != nil {
		return fmt.Errorf("read what is left: %w", err)
	} else if err := json.Unmarshal(text, &left); err != nil {
		return fmt.Errorf("read what is left: %w", err)
	}
	var work sync.WaitGroup
	failed := make(chan error, lanes+1)
	work.Go(func() { failed <- c.follow(ctx) })
	for lane := range lanes {
		work.Go(func() { failed <- c.append(ctx, lane, left) })
	}
	work.Go(func() {
		_, _ = io.Copy(io.Discard, commands) // ends with the parent, or when it wants an orderly end
		cancel()
	})
	for range lanes + 1 {
		if err := <-failed; err != nil && ctx.Err() == nil {
			return err
		}
	}
	work.Wait()
	return nil
}

func (c *child) append(ctx context.Context, lane int, left []unit) error {
	for i := range left {
		if left[i].Lane == lane {
			if err := c.commit(ctx, &left[i]); err != nil {
				return err
			}
		}
	}
	own := journal.Stream(fmt.Sprintf("own-%d", lane))
	version, err := c.version(ctx, own)
	if err != nil {
		return err
	}
	for n := 0; ctx.Err() == nil; n++ {
		u := unit{
			Lane: lane, Streams: []journal.Stream{own}, Expects: []journal.Expect{journal.Exactly(version)},
			IDs: [][]journal.ID{{journal.NewID()}},
		}
		switch n % 3 {
		case 1: // two streams at once, one of them everybody's
			u.Streams, u.Expects = append(u.Streams, "shared-1"), append(u.Expects, journal.Any)
			u.IDs = append(u.IDs, []journal.ID{journal.NewID(), journal.NewID()})
		case 2: // a stream of its own, so that there are many
			u.Streams = append(u.Streams, journal.Stream("short-"+u.IDs[0][0].String()))
			u.Expects, u.IDs = append(u.Expects, journal.None), append(u.IDs, []journal.ID{journal.NewID()})
		}
		if err := c.commit(ctx, &u); err != nil {
			return err
		}
		version++
	}
	return nil
}

// commit commits the unit however often it takes, and reports it before and after.
func (c *child) commit(ctx context.Context, u *unit) error {
	c.say(line{Op: "try", Unit: u})
	for {
		res, err := c.log.Commit(ctx, u.build())
		if err == nil {
			c.say(line{Op: "ack", Key: u.key(), Position: res.Position, Versions: res.Versions})
			return nil
		}
		if !transient(err) {
			return fmt.Errorf("lane %d: unit %s: %w", u.Lane, u.key(), err)
		}
		if err := clock.Sleep(ctx, pause); err != nil {
			return err
		}
	}
}

func transient(err error) bool {
	return errors.Is(err, journal.ErrUnavailable) || errors.Is(err, journal.ErrUncertain) ||
		errors.Is(err, journal.ErrOverloaded)
}

// version asks where a stream ends.
func (c *child) version(ctx context.Context, s journal.Stream) (journal.Version, error) {
	for {
		var last journal.Version
		var failed error
		for e, err := range c.log.ReadStream(ctx, s, &journal.StreamOptions{Backwards: true, Limit: 1}) {
			last, failed = e.Version, err
		}
		if failed == nil || !transient(failed) {
			return last, failed
		}
		if err := clock.Sleep(ctx, pause); err != nil {
			return 0, err
		}
	}
}

// follow reads from the checkpoint that was saved last, and saves its own after each frame it reported.
func (c *child) follow(ctx context.Context) error {
	for {
		err := c.followOnce(ctx)
		// A conflict is with the checkpoint of an earlier life, which PostgreSQL may commit after that life has ended.
		if err != nil && !transient(err) && !errors.Is(err, journal.ErrConflict) {
			return fmt.Errorf("follow: %w", err)
		}
		if err := clock.Sleep(ctx, pause); err != nil {
			return err
		}
	}
}

func (c *child) followOnce(ctx context.Context) error {
	from, version, err := c.log.Checkpoint(ctx, consumer)
	if err != nil {
		return err
	}
	c.say(line{Op: "follow", From: from})
	for frame, err := range c.log.Follow(ctx, journal.FollowOptions{From: from, Page: 64}) {
		if err != nil {
			return err
		}
		for i := range frame.Events {
			c.say(line{Op: "saw", Key: frame.Events[i].ID, Position: frame.Events[i].Position})
		}
		if len(frame.Events) == 0 {
			continue
		}
		save := frame.Checkpoint.Save(consumer, journal.Exactly(version))
		res, err := c.log.Commit(ctx, journal.Unit{Records: []journal.RecordWrite{save}})
		if err != nil {
			return err // after ErrUncertain the version is read again
		}
		version = res.Records[0]
	}
	return ctx.Err()
}
