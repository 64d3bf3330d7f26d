// SPDX-License-Identifier: Apache-2.0

// The client: keeps a view fed and dated, whatever becomes of the authorities.

package heartbeat

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"example.com/vidimus/internal/chance"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/internal/outage"
	"example.com/vidimus/passport"
)

// Config configures a [Client].
type Config struct {
	// View is what is kept up to date; nil for a new one.
	View *View
	// Sources are the authorities, in the order of preference: one is used until it fails, then the next.
	Sources []Source
	// Every is the time between pings, the least staleness a view can have; 0 for 500 ms.
	Every time.Duration
	// Patience is how long a ping may take, half of it, and how long the feed may be silent or lag behind a ping: then the
	// source is left. 0 for 4 s.
	Patience time.Duration
	// Retry bounds the time between attempts to subscribe again, which begins at 50 ms and doubles; 0 for 5 s.
	Retry time.Duration
	// Logger is told of lost and regained feeds, and each minute of one that stays lost; nil for nobody.
	Logger *slog.Logger
}

// errLags: the feed is connected and does not bring what it must.
var errLags = errors.New("feed lags")

// Client follows one of several authorities. Goroutines may share it.
type Client struct {
	cfg    Config
	view   *View
	outage outage.Outage // of what follow subscribes to; follow's alone
	absent bool          // as far as the log was told; follow's alone
	mu     struct {
		sync.Mutex
		status Status
		source int                     // the one in use
		leave  context.CancelCauseFunc // ends the subscription; nil between two
		heard  time.Time               // when the subscription began or brought a frame
	}
}

// Status says how a [Client] fares.
type Status struct {
	// Connected: the source in use sent a frame since it was subscribed to.
	Connected bool
	// Source is the index of the source in use.
	Source int
	// Through and Staleness are those of the view.
	Through   passport.Mark
	Staleness time.Duration
	// Counts since the client was opened.
	Frames, Changes, Snapshots, Gaps, Resyncs, Rejected, Pings, PingsFailed int64
	// LastError is what went wrong last, "" if nothing did.
	LastError string
}

// Open checks the configuration; [Client.Run] does the work. It returns an [InvalidError].
func Open(cfg Config) (*Client, error) {
	switch {
	case len(cfg.Sources) == 0:
		return nil, invalid("sources", "are none; name at least one authority")
	case cfg.Every < 0 || cfg.Patience < 0 || cfg.Retry < 0:
		return nil, invalid("config", "has a negative time; use 0 for what is usual")
	}
	for i, s := range cfg.Sources {
		if s == nil {
			return nil, invalid("sources", "has nil at index %d", i)
		}
	}
	if cfg.View == nil {
		cfg.View = NewView(nil)
	}
	for _, d := range []struct {
		at    *time.Duration
		usual time.Duration
	}{{&cfg.Every, 500 * time.Millisecond}, {&cfg.Patience, 4 * time.Second}, {&cfg.Retry, 5 * time.Second}} {
		if *d.at == 0 {
			*d.at = d.usual
		}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Client{cfg: cfg, view: cfg.View, absent: true}, nil
}

// View returns what the client keeps up to date.
func (c *Client) View() *View { return c.view }

// Status says how the client fares now.
func (c *Client) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.mu.status
	s.Source, s.Through, s.Staleness = c.mu.source, c.view.Through(), c.view.Staleness()
	return s
}

// Run follows the feed and pings until ctx ends, and then returns nil. Run it once at a time.
func (c *Client) Run(ctx context.Context) error {
	var work sync.WaitGroup
	work.Go(func() { c.pingAlways(ctx) })
	c.follow(ctx)
	work.Wait()
	return nil
}

// Sync brings the view up to now: when it returns nil, everything acknowledged before the call, anywhere, is applied,
// and the staleness is no more than the call took. It needs [Client.Run] to be running, and returns what the ping or
// the waiting failed with, or the error of ctx.
func (c *Client) Sync(ctx context.Context) (passport.Mark, error) {
	head, _, err := c.ping(ctx)
	if err != nil {
		return passport.Mark{}, err
	}
	return head, c.view.Wait(ctx, head)
}

// follow subscribes again and again.
func (c *Client) follow(ctx context.Context) {
	first := min(50*time.Millisecond, c.cfg.Retry)
	wait := first
	for ctx.Err() == nil {
		began := c.Status().Frames
		err := c.subscribe(ctx)
		if ctx.Err() != nil {
			return
		}
		if c.Status().Frames > began {
			wait = first
		}
		c.lost(err)
		_ = clock.Sleep(ctx, chance.Jitter(wait)) // ends early with ctx
		wait = min(2*wait, c.cfg.Retry)
	}
}

// subscribe applies the frames of the source in use, from where the view is, until something is wrong.
func (c *Client) subscribe(ctx context.Context) error {
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	for f, err := range c.enter(leave).Subscribe(ctx, c.view.Through()) {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		if err == nil {
			err = c.apply(f)
		}
		if err != nil {
			return err
		}
	}
	return errors.New("feed ended")
}

// enter notes that a subscription begins and returns its source.
func (c *Client) enter(leave context.CancelCauseFunc) Source {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.leave, c.mu.heard = leave, clock.Now()
	return c.cfg.Sources[c.mu.source]
}

// apply takes a frame in and counts it.
func (c *Client) apply(f Frame) error {
	err := c.view.Apply(f)
	if err == nil {
		c.outage.Works()
	}
	if source, first := c.count(&f, err); first && c.absent {
		c.absent = false
		c.cfg.Logger.Info("feed is followed", "source", source, "through", c.view.Through().String())
	}
	return err
}

// count counts a frame that was applied, or failed to be. It returns the source in use, and whether the frame is the
// first one that was applied of its subscription.
func (c *Client) count(f *Frame, err error) (source int, first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.heard = clock.Now()
	s := &c.mu.status
	switch {
	case err == nil:
		first = !s.Connected
		s.Connected = true
		s.Frames++
		s.Changes += int64(len(f.Changes))
		if f.Snapshot {
			s.Snapshots++
		}
	case errors.Is(err, ErrGap):
		s.Gaps++
	default:
		s.Rejected++
	}
	return c.mu.source, first
}

// lost notes that a subscription ended, and turns to the next source. The log is told at once of the first failure,
// and when an authority begins or ceases to refuse; then now and then.
func (c *Client) lost(err error) {
	next, kind := c.turn(err), "lost"
	var answer *answerError
	refused := errors.As(err, &answer) &&
		(answer.status == http.StatusUnauthorized || answer.status == http.StatusForbidden)
	if refused {
		kind = "refused"
	}
	if !c.outage.Failed(kind) {
		return
	}
	c.absent = true
	if refused {
		c.cfg.Logger.Error("the authority refuses the feed", "status", answer.status, "error", answer.reason,
			"remedy", "give an API token that has the right feed (vidimus edge: --token or $VIDIMUS_TOKEN)",
			"attempts", c.outage.Failures())
		return
	}
	c.cfg.Logger.Warn("feed was lost", "error", err, "next", next, "attempts", c.outage.Failures())
}

// turn returns the source to use after a subscription ended.
func (c *Client) turn(err error) (source int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.status.Connected = false
	c.mu.status.Resyncs++
	c.mu.status.LastError = err.Error()
	c.mu.leave = nil
	if !errors.Is(err, ErrGap) { // the source is well, a frame was lost on the way
		c.mu.source = (c.mu.source + 1) % len(c.cfg.Sources)
	}
	return c.mu.source
}

// pingAlways pings, and leaves a source that does not answer, or whose frames do not follow.
func (c *Client) pingAlways(ctx context.Context) {
	for ctx.Err() == nil {
		began := clock.Now()
		_, source, err := c.ping(ctx)
		if err == nil {
			err = c.lags()
		}
		if err != nil && ctx.Err() == nil {
			c.leave(source, err)
		}
		_ = clock.Sleep(ctx, c.cfg.Every-clock.Since(began)) // ends early with ctx
	}
}

// lags says what is wrong with a feed that is connected and yet brings nothing, or not what a ping waits for.
func (c *Client) lags() error {
	if behind := c.view.behind(); behind > c.cfg.Patience {
		return fmt.Errorf("%w: a ping has waited %v for its frames", errLags, behind)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if silent := clock.Since(c.mu.heard); c.mu.leave != nil && silent > c.cfg.Patience {
		return fmt.Errorf("%w: it was silent for %v", errLags, silent)
	}
	return nil
}

// ping asks the source in use for its head, tells the view, and returns which source that was.
func (c *Client) ping(ctx context.Context) (Head, int, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Patience/2)
	defer cancel()
	c.mu.Lock()
	source := c.mu.source
	c.mu.status.Pings++
	c.mu.Unlock()
	sent := c.view.PingSent()
	head, err := c.cfg.Sources[source].Ping(ctx)
	if err == nil {
		err = c.view.PingAnswered(sent, head)
	}
	if err != nil {
		c.mu.Lock()
		c.mu.status.PingsFailed++
		c.mu.status.LastError = err.Error()
		c.mu.Unlock()
	}
	return head, source, err
}

// leave ends the subscription, so that the next one is with the next source. A feed that lags, or is of another log,
// is taken up anew even where there is no other.
func (c *Client) leave(source int, cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	again := len(c.cfg.Sources) > 1 || errors.Is(cause, errLags) || errors.Is(cause, ErrGap)
	if c.mu.leave != nil && c.mu.source == source && again {
		c.mu.leave(cause)
		c.mu.leave = nil
	}
}
