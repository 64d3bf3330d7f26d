// SPDX-License-Identifier: Apache-2.0

// Opening: what is asked for is checked once, and a passport as large as any is signed to see that it can be.

package session

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"example.com/vidimus/cell"
	"example.com/vidimus/entity"
	"example.com/vidimus/internal/chance"
	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/passport"
	"example.com/vidimus/timer"
)

// Sessions keeps the sessions of a cell. Goroutines may share it, and several nodes may work on one cell. It is a
// service of its cell, whose timers end the sessions that are too old, and a [passport.Authority] and
// [passport.Replacer].
//
// Its methods return journal.ErrUnavailable, journal.ErrUncertain, journal.ErrOverloaded, journal.ErrClosed and the
// error of ctx where they cannot do their work, and a journal.InvalidError for bad input. After ErrUncertain a command
// with an ID can be sent again as it was.
type Sessions struct {
	cfg      Config
	cell     *cell.Cell
	log      *journal.Log
	lives    *entity.Entity[life]
	persons  *entity.Entity[person]
	known    known
	logger   *slog.Logger
	scratch  *passport.Signer   // signs what is thrown away
	verifier *passport.Verifier // of our own passports
}

// Open returns the sessions of a cell. It returns a journal.InvalidError for a bad field. There is nothing to close.
func Open(ctx context.Context, cfg Config) (*Sessions, error) {
	cfg.Idle, cfg.Absolute = cmp.Or(cfg.Idle, DefaultIdle), cmp.Or(cfg.Absolute, DefaultAbsolute)
	cfg.Life, cfg.Concurrent = cmp.Or(cfg.Life, DefaultLife), cmp.Or(cfg.Concurrent, DefaultConcurrent)
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Sessions{cfg: cfg, cell: cfg.Cell, log: cfg.Cell.Log(), logger: cfg.Logger}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	var err error
	if s.lives, err = entity.Define[life](sessionCategory, sessionEvents()...); err != nil {
		return nil, err
	}
	if s.persons, err = entity.Define[person](subjectCategory, subjectEvents()...); err != nil {
		return nil, err
	}
	seed := make([]byte, ed25519.SeedSize)
	chance.Fill(seed)
	if s.scratch, err = passport.NewSigner(ed25519.NewKeyFromSeed(seed), ""); err != nil {
		return nil, err
	}
	s.verifier, err = passport.New(passport.Config{
		Issuer: cfg.Issuer, Audience: cfg.TrustDomain, KeysNow: cfg.Keys.KeySet, Remember: -1,
	})
	if err != nil {
		return nil, &journal.InvalidError{Field: "Config", Problem: err.Error()}
	}
	if err := s.fits("state", full(), full()); err != nil {
		return nil, &journal.InvalidError{
			Field:   "Config",
			Problem: fmt.Sprintf("has so long an Issuer, TrustDomain or Schema that passports get too large: %v", err),
		}
	}
	if _, _, err := s.head(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

func (c *Config) validate() error {
	bad := func(field, problem string, args ...any) error {
		return &journal.InvalidError{Field: "Config." + field, Problem: fmt.Sprintf(problem, args...)}
	}
	switch {
	case c.Cell == nil:
		return bad("Cell", "is missing")
	case c.Keys == nil:
		return bad("Keys", "are missing: open a keyring on the cell's log")
	case !isWord(c.Cell.Name()):
		return bad("Cell", "has the name %q, which cannot stand in a cookie: use letters, digits and \"._-\"", c.Cell.Name())
	case c.Issuer == "":
		return bad("Issuer", "is missing: give the URL that verifiers know the authority by")
	case c.TrustDomain == "":
		return bad("TrustDomain", "is missing: give the name that services of one trust domain share")
	case c.Schema == "" && len(c.Public.Subject)+len(c.Public.Session) > 0:
		return bad("Schema", "is missing: name the public schema, such as \"shop/1\"")
	case c.Life < time.Second || c.Life > MaxLife:
		return bad("Life", "is %v: give 1 s to %v", c.Life, MaxLife)
	case c.Concurrent < 1 || c.Concurrent > MaxConcurrent:
		return bad("Concurrent", "is %d: give 1 to %d", c.Concurrent, MaxConcurrent)
	}
	if err := c.validTimes("Config.", c.Idle, c.Absolute); err != nil {
		return err
	}
	if len(c.Scopes) == 0 {
		return bad("Scopes", "are missing: a passport without a scope allows nothing")
	}
	if err := validScopes("Config.Scopes", c.Scopes); err != nil {
		return err
	}
	return c.Public.validate()
}

func (c *Config) validTimes(prefix string, idle, absolute time.Duration) error {
	switch {
	case idle < time.Second:
		return &journal.InvalidError{Field: prefix + "Idle", Problem: fmt.Sprintf("is %v: give 1 s or more", idle)}
	case absolute < time.Second || absolute > c.Keys.HandleLife():
		return &journal.InvalidError{Field: prefix + "Absolute", Problem: fmt.Sprintf(
			"is %v: give 1 s to %v, which is how long the keyring can open handles", absolute, c.Keys.HandleLife())}
	}
	return nil
}

// Name returns "session".
func (s *Sessions) Name() string { return sessionCategory }

// Serve waits until ctx ends: what there is to do comes by timers.
func (s *Sessions) Serve(ctx context.Context, _ *cell.Cell) error {
	<-ctx.Done()
	return nil
}

// timerKey returns the key of the timer that ends a session at its time.
func timerKey(sid string) string { return sessionCategory + "/" + sid + "#expiry" }

// Fire ends the session whose time has come. See [cell.Alarmed].
func (s *Sessions) Fire(ctx context.Context, f timer.Fired) error {
	_, err := s.finish(ctx, timer.Route(f.Key), expired{moment()}, func(u journal.Unit) journal.Unit {
		u.Records = withoutTimer(u.Records, f.Key)
		return f.Complete(u)
	})
	if errors.Is(err, passport.ErrNoSession) {
		return nil // nothing to end
	}
	return err
}

// moment returns the time as it is stored: to the microsecond, and of the wall clock alone.
func moment() time.Time { return clock.Now().UTC().Truncate(time.Microsecond) }

// withoutTimer returns the writes without the one that cancels the timer, which is completed instead.
func withoutTimer(writes []journal.RecordWrite, key string) []journal.RecordWrite {
	cancel := timer.Cancel(key)
	var rest []journal.RecordWrite
	for _, w := range writes {
		if w.Kind != cancel.Kind || w.Key != cancel.Key {
			rest = append(rest, w)
		}
	}
	return rest
}

// isWord reports whether a name can stand in a handle.
func isWord(name string) bool {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
	return name != "" && len(name) <= 64 && strings.Trim(name, letters) == ""
}
