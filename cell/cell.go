// SPDX-License-Identifier: Apache-2.0

// Package cell is where state lives: one journal with its leases, its timers and the nodes that share the work.
//
// A cell's work is split into shards, 64 as a rule. Every key belongs to one shard, see [Cell.Shard], and every shard
// to one node at a time, by a lease. The nodes of a cell share the shards evenly without a leader: each looks at who
// lives and who owns what, and all come to the same plan. A node that joins is handed its part; the shards of one that
// leaves are free at once, those of one that dies after the time to live.
//
// What a cell does is given by services. A [Service] sees the cell it serves in, and nothing of the other services.
package cell

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"sync"
	"time"

	"example.com/vidimus/internal/chance"
	"example.com/vidimus/journal"
	"example.com/vidimus/lease"
	"example.com/vidimus/timer"
)

// Limits and what they default to.
const (
	DefaultName   = "main"
	DefaultShards = 64
	MaxShards     = timer.Lanes
	DefaultDrain  = 10 * time.Second
)

// KindCell is the kind of the record in which a journal keeps what its cell is.
const KindCell = "cell"

// ErrNotOwner: this node does not own the shard of the key now. Ask the node that does, or try again in a moment.
var ErrNotOwner = errors.New("not the owner")

// Config configures a [Cell].
type Config struct {
	// Log is the cell's journal. It belongs to the caller, who closes it after Run has returned.
	Log *journal.Log
	// Name is the cell's name; empty for that kept in the journal, or [DefaultName] in a new one.
	Name string
	// Node is this process's name among the nodes of the cell; empty for a random one. No two nodes may share it.
	Node string
	// Shards is how many shards the keys are split into, a power of two up to [MaxShards]. It is fixed when the cell is
	// opened for the first time; 0 for the number kept in the journal, or [DefaultShards] in a new one.
	Shards int
	// TTL is how long a node may be silent before others take over what it owns; 0 for [lease.DefaultTTL].
	TTL time.Duration
	// Drain is how long services may take to end; 0 for [DefaultDrain].
	Drain time.Duration
	// Timers configures the timers. Its Owner is set by the cell.
	Timers timer.Config
	// Logger is told of what nobody is there to return to. Nil for nobody.
	Logger *slog.Logger
}

// Service does a part of a cell's work.
type Service interface {
	// Name returns a short word that is the service's own in the cell.
	Name() string
	// Serve works until ctx ends, and returns soon after. An error ends the whole cell on this node. To return nil
	// earlier is fine.
	Serve(ctx context.Context, c *Cell) error
}

// Alarmed is a [Service] with timers. Their keys begin with the service's name and a '/', such as
// "flow/order-7#reminder"; see [timer.Route] for what follows.
type Alarmed interface {
	Service
	// Fire deals with a timer that is due, as the handler of [timer.Timers.Run] does. It may be called before Serve is.
	Fire(ctx context.Context, f timer.Fired) error
}

// Cell is this node's view of a cell. Goroutines may share it.
type Cell struct {
	cfg    Config
	keeper *lease.Keeper
	timers *timer.Timers
	mu     struct {
		sync.Mutex
		ran     bool
		shards  map[int]*shard
		owners  []lease.Holder // of every shard, as last seen
		changed chan struct{}  // closed when shards come or go
	}
}

// identity is what a journal keeps of its cell.
type identity struct {
	Name   string `json:"name"`
	Shards int    `json:"shards"`
}

// Open returns the cell of a journal, and writes down the name and the number of shards of a new one. It returns
// [journal.ErrInvalid] when a field is bad or differs from what the journal keeps, and [journal.ErrUnavailable],
// [journal.ErrUncertain] or the error of ctx when the journal cannot be reached. There is nothing to close.
func Open(ctx context.Context, cfg Config) (*Cell, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	if err := cfg.settle(ctx); err != nil {
		return nil, err
	}
	c := &Cell{cfg: cfg}
	c.mu.shards = map[int]*shard{}
	c.mu.owners = make([]lease.Holder, cfg.Shards)
	c.mu.changed = make(chan struct{})
	var err error
	if c.keeper, err = lease.Open(ctx, cfg.Log, lease.Config{Owner: cfg.Node, Group: group, TTL: cfg.TTL}); err != nil {
		return nil, err
	}
	cfg.Timers.Owner = c.timerOwner
	if c.timers, err = timer.Open(cfg.Log, cfg.Timers); err != nil {
		return nil, err
	}
	return c, nil
}

// complete fills in what was left out and refuses what cannot be.
func (c *Config) complete() error {
	if c.Node == "" {
		c.Node = chance.Short()
	}
	if c.TTL == 0 {
		c.TTL = lease.DefaultTTL
	}
	if c.Drain == 0 {
		c.Drain = DefaultDrain
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Timers.Logger == nil {
		c.Timers.Logger = c.Logger
	}
	switch {
	case c.Log == nil:
		return invalid("log", "is missing; open a journal first")
	case c.Shards < 0, c.Shards > MaxShards, c.Shards&(c.Shards-1) != 0:
		return invalid("shards", "%d is no power of two up to %d; use %d", c.Shards, MaxShards, DefaultShards)
	case c.Drain < 0:
		return invalid("drain", "%v is negative; use 0 for %v", c.Drain, DefaultDrain)
	case len(c.Name) > journal.MaxName:
		return invalid("name", "has %d bytes, the limit is %d", len(c.Name), journal.MaxName)
	}
	return nil
}

// settle compares the configuration with what the journal keeps, or writes it down in a new one.
func (c *Config) settle(ctx context.Context) error {
	r, err := c.Log.Record(ctx, KindCell, KindCell)
	if errors.Is(err, journal.ErrNotFound) {
		if err = c.found(ctx); !errors.Is(err, journal.ErrConflict) {
			return err
		}
		r, err = c.Log.Record(ctx, KindCell, KindCell)
	}
	if err != nil {
		return err
	}
	var kept identity
	if err := json.Unmarshal(r.Value, &kept); err != nil {
		return fmt.Errorf("record %s/%s: %w", r.Kind, r.Key, err)
	}
	if c.Name != "" && c.Name != kept.Name {
		return invalid("name", "is %q, but the journal belongs to cell %q; use that, or another journal",
			c.Name, kept.Name)
	}
	if c.Shards != 0 && c.Shards != kept.Shards {
		return invalid("shards", "is %d, but the cell was made with %d; leave it at 0", c.Shards, kept.Shards)
	}
	c.Name, c.Shards = kept.Name, kept.Shards
	return nil
}

// found writes down what a new cell is.
func (c *Config) found(ctx context.Context) error {
	id := identity{Name: c.Name, Shards: c.Shards}
	if id.Name == "" {
		id.Name = DefaultName
	}
	if id.Shards == 0 {
		id.Shards = DefaultShards
	}
	value, err := json.Marshal(id)
	if err != nil {
		return err
	}
	_, err = c.Log.Commit(ctx, journal.Unit{Records: []journal.RecordWrite{
		{Kind: KindCell, Key: KindCell, Expect: journal.None, Value: value},
	}})
	if err == nil {
		c.Name, c.Shards = id.Name, id.Shards
	}
	return err
}

// Name returns the cell's name.
func (c *Cell) Name() string { return c.cfg.Name }

// Node returns this node's name.
func (c *Cell) Node() string { return c.cfg.Node }

// Log returns the cell's journal.
func (c *Cell) Log() *journal.Log { return c.cfg.Log }

// Leases returns what holds leases for this node. It works while Run runs.
func (c *Cell) Leases() *lease.Keeper { return c.keeper }

// Timers returns the cell's timers, for looking at. Run fires them.
func (c *Cell) Timers() *timer.Timers { return c.timers }

// Shards returns how many shards the cell has.
func (c *Cell) Shards() int { return c.cfg.Shards }

// Shard returns the shard of a key: FNV-1a, 64 bits, modulo the number of shards. It never changes for a cell.
func (c *Cell) Shard(key string) int {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key)) // never fails
	return int(h.Sum64() % uint64(c.cfg.Shards))
}

func invalid(field, format string, args ...any) *journal.InvalidError {
	return &journal.InvalidError{Field: field, Problem: fmt.Sprintf(format, args...)}
}
