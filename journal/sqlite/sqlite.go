// SPDX-License-Identifier: Apache-2.0

// Package sqlite keeps a journal in one SQLite file, written by one process.
//
// An answered commit has reached the disk: the file runs in WAL mode with synchronous=FULL. Events are rows that no
// index but their position orders; each points back at the one before it in its stream, and the ends of the streams
// are kept in memory by the only writer and saved a few at a time. Opening a file after a crash reads the events that
// were not covered yet, 200,000 at most in the usual case.
//
// The application may keep its own tables in the same file and commit rows and events together; see [Tx]. Names
// that begin with journal_ belong to the journal.
package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ncruces/go-sqlite3/vfs"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/internal/plan"
)

// Config says where the journal is.
type Config struct {
	// Path names the file. It is made when there is none, for its owner alone to read and write; its folder must exist.
	// Beside it SQLite keeps -wal and -shm, which have the mode that the file has, and the journal -lock: whoever copies
	// the file while it is open must use SQLite's backup, not cp.
	Path string
}

// Limits of a store.
const (
	busyTimeout     = 5 * time.Second // how long a commit waits for a foreign transaction on the file
	rememberedHeads = 1 << 20         // ends of streams in memory, about 150 bytes each
	walLimit        = 64 << 20        // the WAL shrinks to this after a long reader
)

// tuning is what tests change. The zero value of each field stands for the default in brackets.
type tuning struct {
	vfs             string        // a registered VFS [the operating system's]
	synchronous     string        // [EXTRA]
	checkpointPages int           // pages in the WAL that start a checkpoint [1000]
	sweepEvery      int64         // events between the starts of two sweeps [100,000]
	readers         int           // connections for readers [4]
	formats         []string      // steps of the schema [formats]
	poll            time.Duration // how often a waiting reader looks for foreign commits [100 ms]
}

func (t tuning) withDefaults() tuning {
	if t.synchronous == "" {
		t.synchronous = "EXTRA"
	}
	if t.checkpointPages == 0 {
		t.checkpointPages = 1000
	}
	if t.sweepEvery == 0 {
		t.sweepEvery = 100_000
	}
	if t.readers == 0 {
		t.readers = 4
	}
	if t.formats == nil {
		t.formats = []string{format1}
	}
	if t.poll == 0 {
		t.poll = 100 * time.Millisecond
	}
	return t
}

// Open opens the journal in a file, or makes a new one. Close the log to release the file. It returns
// [journal.ErrLocked] when the file is open already, here or in another process, [journal.ErrTooNew] when a newer
// release wrote it, [journal.ErrInvalid] for a path that cannot be right or a file of another application, and
// [journal.ErrUnavailable] when the file cannot be read or written.
func Open(ctx context.Context, c Config) (*journal.Log, error) {
	s, err := open(ctx, c, tuning{})
	if err != nil {
		return nil, err
	}
	return journal.New(s), nil
}

// Exists reports whether the file at path has a journal. It changes nothing, also in a file of another application,
// which [Open] would give one. It returns [journal.ErrInvalid] and [journal.ErrUnavailable] as Open does.
func Exists(ctx context.Context, path string) (found bool, err error) {
	if _, err := os.Stat(path); path != "" && errors.Is(err, fs.ErrNotExist) {
		return false, nil // opening would make the file
	}
	s := &store{}
	if s.path, err = resolve(path, ""); err != nil {
		return false, err
	}
	c, err := s.dial(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", busyTimeout.Milliseconds()), "PRAGMA query_only = ON")
	if err != nil {
		return false, err
	}
	defer c.close()
	err = c.query("SELECT 1 FROM sqlite_schema WHERE name = 'journal_log'", nil, func(row) error {
		found = true
		return nil
	})
	if err != nil {
		return false, s.unavailable("read", err)
	}
	return found, nil
}

// store implements [journal.Store] on one file.
type store struct {
	path    string
	log     string
	tuning  tuning
	alone   bool // one connection does everything: nobody else can reach the file
	lock    *fileLock
	writer  pool
	readers pool // the same as writer when alone
	closed  chan struct{}
	closing sync.Once
	known   atomic.Int64 // state.last, for those who only want to compare

	state struct {
		sync.Mutex
		last    journal.Position
		epoch   journal.LogEpoch
		streams int64
		heads   heads
		facts   *facts        // what the file says; of use while a commit holds it
		memory  *plan.Memory  // in front of facts
		grown   chan struct{} // closed when last moves
		polled  time.Time
	}
}

func open(ctx context.Context, cfg Config, t tuning) (_ *store, err error) {
	s := &store{tuning: t.withDefaults(), closed: make(chan struct{})}
	s.alone = t.vfs != "" || !vfs.SupportsSharedMemory
	if s.path, err = resolve(cfg.Path, t.vfs); err != nil {
		return nil, err
	}
	if t.vfs == "" {
		if s.lock, err = lockFile(s.path); err != nil {
			return nil, err
		}
	}
	if !s.alone {
		s.claim()
	}
	c, err := s.connect(ctx)
	if err == nil {
		if err = s.load(ctx, c); err != nil {
			c.close()
		}
	}
	if err != nil {
		s.lock.release()
		return nil, err
	}
	s.writer = newPool(1, s.connect)
	s.writer.fill(c)
	s.readers = s.writer
	if !s.alone {
		s.readers = newPool(s.tuning.readers, s.connectReader)
		s.readers.fill()
	}
	return s, nil
}

// load brings the schema up to date and the ends of all streams into memory.
func (s *store) load(ctx context.Context, c *conn) error {
	if err := s.upgrade(c); err != nil {
		return err
	}
	defer c.interruptedBy(ctx)()
	var headsFrom, high int64
	err := c.query("SELECT log, heads_from, high, streams, epoch FROM journal_log", nil, func(r row) error {
		s.log, headsFrom, high, s.state.streams = r.text(0), r.int(1), r.int(2), r.int(3)
		s.state.epoch = journal.LogEpoch(r.int(4))
		return nil
	})
	if err != nil {
		return s.unavailable("read", err)
	}
	s.state.heads = newHeads(s.tuning.sweepEvery, journal.Position(headsFrom), s.state.streams)
	s.state.facts = &facts{ends: []map[journal.Stream]plan.Head{s.state.heads.unsaved}}
	s.state.memory = plan.NewMemory(s.state.facts, rememberedHeads)
	s.state.last = journal.Position(headsFrom)
	s.state.grown = make(chan struct{})
	if err := s.absorb(c); err != nil {
		return s.unavailable("read", err)
	}
	s.state.last = max(s.state.last, journal.Position(high))
	s.known.Store(int64(s.state.last))
	return nil
}

// Close implements [journal.Store]. It waits for the calls under way.
func (s *store) Close() error {
	s.closing.Do(func() {
		close(s.closed)
		writer := s.writer.drain()
		if !s.alone {
			closeAll(s.readers.drain())
		}
		for _, c := range writer {
			_ = s.saveAllHeads(c) // what is not saved now is found again by the next Open
		}
		closeAll(writer)
		s.state.Lock()
		s.announce()
		s.state.Unlock()
		s.lock.release()
	})
	return nil
}

// announce wakes who waits for events. The caller holds the state.
func (s *store) announce() {
	close(s.state.grown)
	s.state.grown = make(chan struct{})
}

// take borrows a connection, for as long as neither ctx nor the store ends.
func (s *store) take(ctx context.Context, p pool) (*conn, error) {
	select {
	case <-s.closed:
		return nil, journal.ErrClosed
	default:
	}
	c, err := p.take(ctx, s.closed)
	if err != nil && !errors.Is(err, journal.ErrClosed) && ctx.Err() == nil {
		return nil, s.unavailable("open", err)
	}
	return c, err
}

// reading runs fn on a connection for readers, until ctx ends.
func (s *store) reading(ctx context.Context, fn func(c *conn) error) error {
	c, err := s.take(ctx, s.readers)
	if err != nil {
		return err
	}
	defer s.readers.give(c)
	defer c.interruptedBy(ctx)()
	err = fn(c)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, journal.ErrNotFound):
		return err
	}
	return s.unavailable("read", err)
}
