// SPDX-License-Identifier: Apache-2.0

// Power losses on a simulated disk: what was answered is there, and nothing by halves.

package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/ncruces/go-sqlite3/vfs"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/sqlite/internal/simdisk"
)

// How often the power fails: five times on each disk, which lives on with what it kept.
const lossesPerDisk = 5

// disks is how many there are: 100, and 4,000 when VIDIMUS_SOAK is set.
func disks() int {
	if os.Getenv("VIDIMUS_SOAK") != "" {
		return 4000
	}
	return 100
}

func TestPowerLossTakesNoAnsweredCommit(t *testing.T) {
	t.Parallel()
	began := clock.Now()
	var lost, answered atomic.Int64
	t.Run("disks", func(t *testing.T) {
		for seed := range uint64(disks()) {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				m := newMachine(t, seed, "EXTRA")
				for range lossesPerDisk {
					m.live()
					if n := m.restart(); n > 0 {
						t.Fatalf("lost %d answered units", n)
					}
					lost.Add(1)
				}
				answered.Add(int64(len(m.answered)))
			})
		}
	})
	t.Logf("%d power losses in %v, %d answered units, none lost", lost.Load(), clock.Since(began), answered.Load())
	if got := lost.Load(); got != int64(disks())*lossesPerDisk {
		t.Errorf("the power failed %d times, want %d", got, disks()*lossesPerDisk)
	}
}

// Without this the test above would prove nothing: the disk must be able to lose what was not synced.
func TestPowerLossTakesCommitsThatWereNotSynced(t *testing.T) {
	t.Parallel()
	lost := 0
	for seed := range uint64(40) {
		m := newMachine(t, seed, "NORMAL")
		m.live()
		if m.restart() > 0 {
			lost++
		}
	}
	t.Logf("synchronous=NORMAL lost answered units in %d of 40 power losses", lost)
	if lost == 0 {
		t.Error("no power loss took anything under synchronous=NORMAL; the simulated disk does not lose enough")
	}
}

// machine runs a journal on a disk that loses power, and knows what must be there.
type machine struct {
	testing.TB
	name     string
	disk     *simdisk.Disk
	dice     simdisk.Dice
	with     tuning
	answered []written       // in the order of their positions
	doubtful []*journal.Unit // one batch that the power failed in
	versions map[journal.Stream]journal.Version
	records  map[string]journal.Record
	ids      uint64
}

// written is a unit that was answered.
type written struct {
	unit   *journal.Unit
	result journal.Result
}

func newMachine(t testing.TB, seed uint64, synchronous string) *machine {
	m := &machine{TB: t, name: fmt.Sprintf("%s-%d", synchronous, seed), disk: simdisk.New(seed), dice: simdisk.Dice(seed)}
	m.with = tuning{
		vfs: m.name, synchronous: synchronous,
		checkpointPages: 4 + m.dice.Roll(60), sweepEvery: int64(5 + m.dice.Roll(40)),
	}
	vfs.Register(m.name, m.disk)
	t.Cleanup(func() { vfs.Unregister(m.name) })
	m.versions, m.records = map[journal.Stream]journal.Version{}, map[string]journal.Record{}
	return m
}

// live appends until the power fails. It may fail already while the journal is opened.
func (m *machine) live() {
	m.disk.CutAfter(1 + m.dice.Roll(400))
	s, err := open(m.Context(), Config{Path: "journal"}, m.with)
	if err != nil {
		return
	}
	log := journal.New(s)
	defer func() { _ = log.Close() }()
	for {
		units := m.batch()
		results, err := commit(m.Context(), log, units)
		if err != nil {
			if !errors.Is(err, journal.ErrUncertain) && !errors.Is(err, journal.ErrUnavailable) {
				m.Fatalf("commit on a dying disk: %v", err)
			}
			if errors.Is(err, journal.ErrUncertain) {
				m.doubtful = units
			}
			return
		}
		for i, u := range units {
			m.note(u, results[i])
		}
		if m.dice.Roll(40) == 0 { // a clean restart now and then
			_ = log.Close()
			if s, err = open(m.Context(), Config{Path: "journal"}, m.with); err != nil {
				return
			}
			log = journal.New(s)
		}
	}
}

// commit writes a batch as the log's queue would, or a single unit through the log.
func commit(ctx context.Context, log *journal.Log, units []*journal.Unit) ([]journal.Result, error) {
	if len(units) == 1 {
		res, err := log.Commit(ctx, *units[0])
		return []journal.Result{res}, err
	}
	for _, u := range units {
		if err := u.Validate(); err != nil {
			return nil, err
		}
	}
	outcomes, err := log.Store().Commit(ctx, units)
	if err != nil {
		return nil, err
	}
	results := make([]journal.Result, len(units))
	for i, o := range outcomes {
		if o.Err != nil {
			return nil, o.Err
		}
		results[i] = o.Result
	}
	return results, nil
}

// batch makes units of several streams, with tags, records and data of all sizes.
func (m *machine) batch() []*journal.Unit {
	units := make([]*journal.Unit, 1+max(0, m.dice.Roll(8)-4))
	at := map[journal.Stream]journal.Version{}
	for i := range units {
		u := &journal.Unit{}
		for range 1 + m.dice.Roll(3) {
			name := journal.Stream(fmt.Sprintf("order-%d", m.dice.Roll(30)))
			if m.dice.Roll(3) == 0 {
				name = "order-long"
			}
			if slices.ContainsFunc(u.Appends, func(a journal.Append) bool { return a.Stream == name }) {
				continue
			}
			if _, ok := at[name]; !ok {
				at[name] = m.versions[name]
			}
			a := journal.Append{Stream: name, Expect: journal.Exactly(at[name])}
			for range 1 + m.dice.Roll(4) {
				a.Events = append(a.Events, m.event())
				at[name]++
			}
			u.Appends = append(u.Appends, a)
		}
		if m.dice.Roll(3) == 0 {
			u.Records = []journal.RecordWrite{{
				Kind: "timer", Key: fmt.Sprintf("t%d-%d", m.dice.Roll(10), i), Expect: journal.Any,
				Op: journal.RecordOp(m.dice.Roll(2)), Value: bytes.Repeat([]byte("v"), m.dice.Roll(300)), Due: clock.Now(),
			}}
		}
		units[i] = u
	}
	return units
}

func (m *machine) event() journal.EventData {
	e := journal.EventData{Type: "test.happened", Schema: 1, Data: bytes.Repeat([]byte("d"), m.dice.Roll(1500))}
	m.ids++
	for i := range 8 {
		e.ID[i] = byte(m.ids >> (56 - 8*i)) // rising, as with UUIDv7
		e.ID[8+i] = byte(m.dice.Roll(256))
	}
	if m.dice.Roll(4) == 0 {
		e.ID[0] = byte(m.dice.Roll(256)) // or anything
	}
	if m.dice.Roll(20) == 0 {
		e.Data = bytes.Repeat([]byte("D"), 20_000)
	}
	for range m.dice.Roll(3) {
		e.Tags = append(e.Tags, fmt.Sprintf("tag:%d", m.dice.Roll(5)))
	}
	return e
}

// note remembers an answered unit.
func (m *machine) note(u *journal.Unit, res journal.Result) {
	m.answered = append(m.answered, written{u, res})
	for i, a := range u.Appends {
		m.versions[a.Stream] = res.Versions[i]
	}
	for i, w := range u.Records {
		if w.Op == journal.Delete {
			delete(m.records, w.Key)
			continue
		}
		m.records[w.Key] = journal.Record{Kind: w.Kind, Key: w.Key, Version: res.Records[i], Due: w.Due, Value: w.Value}
	}
}

// restart turns the power on again, checks everything, and returns how many answered units are gone.
func (m *machine) restart() (gone int) {
	m.disk = m.disk.Restart()
	vfs.Register(m.name, m.disk)
	s, err := open(m.Context(), Config{Path: "journal"}, m.with)
	if err != nil {
		m.Fatalf("open after a power loss: %v", err)
	}
	log := journal.New(s)
	defer func() { _ = log.Close() }()
	mustVerify(m, log)
	there := map[journal.ID]journal.Event{}
	for e, err := range log.Read(m.Context(), journal.ReadOptions{}) {
		if err != nil {
			m.Fatal(err)
		}
		there[e.ID] = e
	}
	for _, w := range m.answered {
		if n := m.present(w.unit, there); n == 0 {
			gone++
		}
	}
	if gone > 0 {
		return gone // under NORMAL; what else to expect is not known
	}
	m.settleDoubt(log, there)
	m.compare(log, there)
	m.repeat(log)
	return 0
}

// present counts the events of a unit that are there. A unit that is there in part fails the test.
func (m *machine) present(u *journal.Unit, there map[journal.ID]journal.Event) int {
	n, all := 0, 0
	for _, a := range u.Appends {
		for _, e := range a.Events {
			all++
			got, ok := there[e.ID]
			if ok {
				n++
			}
			if ok && (got.Stream != a.Stream || !bytes.Equal(got.Data, e.Data) || !slices.Equal(got.Tags, e.Tags)) {
				m.Fatalf("event %s came back changed: %+v", e.ID, got.Position)
			}
		}
	}
	if n != 0 && n != all {
		m.Fatalf("%d of the %d events of a unit are there", n, all)
	}
	return n
}

// settleDoubt finds out whether the batch that was not answered is there: all of it or nothing.
func (m *machine) settleDoubt(log *journal.Log, there map[journal.ID]journal.Event) {
	batch := m.doubtful
	m.doubtful = nil
	whole := 0
	for _, u := range batch {
		if m.present(u, there) > 0 {
			whole++
		}
	}
	if whole != 0 && whole != len(batch) {
		m.Fatalf("%d of the %d units of a batch are there", whole, len(batch))
	}
	if whole == 0 {
		return
	}
	for _, u := range batch {
		res, err := log.Commit(m.Context(), *u)
		if err != nil || !res.Duplicate {
			m.Fatalf("a unit that is there, committed again: %+v, %v", res, err)
		}
		for _, w := range u.Records {
			rec, err := log.Record(m.Context(), w.Kind, w.Key)
			if err != nil && !errors.Is(err, journal.ErrNotFound) {
				m.Fatal(err)
			}
			res.Records = append(res.Records, rec.Version)
		}
		m.note(u, res)
	}
}

// compare wants exactly what was answered.
func (m *machine) compare(log *journal.Log, there map[journal.ID]journal.Event) {
	want, last := 0, journal.Position(0)
	for _, w := range m.answered {
		for _, a := range w.unit.Appends {
			want += len(a.Events)
			for _, e := range a.Events {
				last = max(last, there[e.ID].Position)
			}
		}
		if last != w.result.Position {
			m.Fatalf("a unit ends at position %d, it was answered %d", last, w.result.Position)
		}
	}
	if len(there) != want {
		m.Fatalf("%d events are there, %d were written", len(there), want)
	}
	records, err := log.Records(m.Context(), journal.RecordQuery{Kind: "timer"})
	if err != nil || len(records) != len(m.records) {
		m.Fatalf("%d records, want %d; %v", len(records), len(m.records), err)
	}
	for _, r := range records {
		if want := m.records[r.Key]; r.Version != want.Version || !bytes.Equal(r.Value, want.Value) {
			m.Fatalf("record %s is at version %d, want %d", r.Key, r.Version, want.Version)
		}
	}
}

// repeat commits some answered units again.
func (m *machine) repeat(log *journal.Log) {
	for range min(10, len(m.answered)) {
		w := m.answered[m.dice.Roll(len(m.answered))]
		res, err := log.Commit(m.Context(), *w.unit)
		if err != nil || !res.Duplicate || res.Position != w.result.Position {
			m.Fatalf("repeated: %+v, %v; was %+v", res, err, w.result)
		}
	}
}
