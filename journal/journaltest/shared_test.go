// SPDX-License-Identifier: Apache-2.0

// A journal in memory that outlives its logs, so that every case of the suite runs on it.

package journaltest

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
)

func TestEveryCasePassesOnSharedMemory(t *testing.T) {
	t.Parallel()
	Run(t, func(testing.TB) Harness { return sharedMemory(nil) })
}

// sharedMemory offers everything a harness can. wrap, if not nil, stands between each log and the journal.
func sharedMemory(wrap func(journal.Store) journal.Store) Harness {
	below := mem.Open().Store()
	if wrap != nil {
		below = wrap(below)
	}
	open := func(testing.TB) *journal.Log { return journal.New(&handle{below: below}) }
	var user userTable
	return Harness{
		Open: open, Reopens: true, Second: open,
		Tx: &Transactions{
			Isolations: []string{"usual", "snapshot"}, Snapshot: []string{"snapshot"}, Do: user.do, Rows: user.all,
		},
		Hold:  func(testing.TB) func() { return func() {} },
		Seeds: seeds(),
	}
}

// seeds is how many random histories to try; a long run asks for more.
func seeds() int {
	if os.Getenv("VIDIMUS_SOAK") != "" {
		return 2000
	}
	return 3
}

// handle is one opening of a store that stays open underneath.
type handle struct {
	below journal.Store
	shut  atomic.Bool
	end   sync.Once
	ended chan struct{}
	mu    sync.Mutex // guards making ended
}

func (h *handle) closing() chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended == nil {
		h.ended = make(chan struct{})
	}
	return h.ended
}

func (h *handle) Close() error {
	h.end.Do(func() {
		h.shut.Store(true)
		close(h.closing())
	})
	return nil
}

func (h *handle) usable() error {
	if h.shut.Load() {
		return journal.ErrClosed
	}
	return nil
}

func (h *handle) Commit(ctx context.Context, units []*journal.Unit) ([]journal.Outcome, error) {
	if err := h.usable(); err != nil {
		return nil, err
	}
	return h.below.Commit(ctx, units)
}

func (h *handle) Head(ctx context.Context) (journal.Checkpoint, error) {
	if err := h.usable(); err != nil {
		return journal.Checkpoint{}, err
	}
	return h.below.Head(ctx)
}

func (h *handle) Read(ctx context.Context, q journal.Query) (journal.Page, error) {
	if err := h.usable(); err != nil {
		return journal.Page{}, err
	}
	return h.below.Read(ctx, q)
}

func (h *handle) ReadStream(ctx context.Context, q journal.StreamQuery) ([]journal.Event, error) {
	if err := h.usable(); err != nil {
		return nil, err
	}
	return h.below.ReadStream(ctx, q)
}

func (h *handle) Record(ctx context.Context, kind, key string) (journal.Record, error) {
	if err := h.usable(); err != nil {
		return journal.Record{}, err
	}
	return h.below.Record(ctx, kind, key)
}

func (h *handle) Records(ctx context.Context, q journal.RecordQuery) ([]journal.Record, error) {
	if err := h.usable(); err != nil {
		return nil, err
	}
	return h.below.Records(ctx, q)
}

func (h *handle) Wait(ctx context.Context, after journal.Position) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-h.closing():
			cancel(journal.ErrClosed)
		case <-stop:
		}
	}()
	if err := h.usable(); err != nil {
		return err
	}
	if err := h.below.Wait(ctx, after); err != nil {
		return context.Cause(ctx)
	}
	return nil
}

func (h *handle) Stat(ctx context.Context) (journal.Stat, error) {
	if err := h.usable(); err != nil {
		return journal.Stat{}, err
	}
	return h.below.Stat(ctx)
}

func (h *handle) Verify(ctx context.Context, progress func(journal.Position)) ([]string, error) {
	if err := h.usable(); err != nil {
		return nil, err
	}
	return h.below.Verify(ctx, progress)
}

func (h *handle) Renew(ctx context.Context) (journal.Checkpoint, error) {
	if err := h.usable(); err != nil {
		return journal.Checkpoint{}, err
	}
	return h.below.Renew(ctx)
}

// userTable stands for a table of the user's: its transactions keep units and rows until they commit.
type userTable struct {
	mu   sync.Mutex
	rows []string
}

func (u *userTable) all(testing.TB) []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.rows)
}

func (u *userTable) do(ctx context.Context, log *journal.Log, isolation string, fn func(tx Tx) error) error {
	tx := &memTx{snapshot: isolation == "snapshot"}
	if err := fn(tx); err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := tx.commit(ctx, log); err != nil {
		return err
	}
	u.rows = append(u.rows, tx.rows...)
	return nil
}

type memTx struct {
	snapshot bool
	rows     []string
	units    []journal.Unit
}

func (tx *memTx) Insert(_ context.Context, row string) error {
	tx.rows = append(tx.rows, row)
	return nil
}

func (tx *memTx) Add(_ context.Context, u journal.Unit) error {
	if tx.snapshot && len(u.Conditions) > 0 {
		return fmt.Errorf("conditions on a snapshot: %w", journal.ErrInvalid)
	}
	if err := u.Validate(); err != nil {
		return err
	}
	tx.units = append(tx.units, u)
	return nil
}

// commit first tries the units on a copy of the journal, so that all of them are written or none.
func (tx *memTx) commit(ctx context.Context, log *journal.Log) error {
	trial := mem.Open()
	if err := replay(ctx, log, trial); err != nil {
		return err
	}
	for _, at := range []*journal.Log{trial, log} {
		for _, u := range tx.units {
			if _, err := at.Commit(ctx, u); err != nil {
				return err
			}
		}
	}
	return nil
}

// replay copies events and records, the latter with their versions.
func replay(ctx context.Context, from, to *journal.Log) error {
	for e, err := range from.Read(ctx, journal.ReadOptions{}) {
		if err != nil {
			return err
		}
		if _, err := to.Append(ctx, e.Stream, journal.Any, e.EventData); err != nil {
			return err
		}
	}
	for _, kind := range []string{journal.KindLease, "note"} {
		records, err := from.Records(ctx, journal.RecordQuery{Kind: kind})
		if err != nil {
			return err
		}
		for _, r := range records {
			for range r.Version {
				w := journal.RecordWrite{Kind: kind, Key: r.Key, Expect: journal.Any, Value: r.Value}
				if _, err := to.Commit(ctx, journal.Unit{Records: []journal.RecordWrite{w}}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
