// SPDX-License-Identifier: Apache-2.0

// Tests that each event comes in once and in order, whatever interrupts the import.

package importer

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"example.com/vidimus/cmd/vidimus/internal/eventlog"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
)

// record is event n of a log whose events take turns in the given number of streams.
func record(n, streams int) eventlog.Record {
	return eventlog.Record{
		Stream: fmt.Sprintf("case-%d", n%streams), Type: "step", Schema: 1,
		ID:   journal.ID{0: byte(n >> 16), 1: byte(n >> 8), 2: byte(n), 6: 0x80, 8: 0x80}.String(),
		Time: time.Unix(int64(n), 0).UTC(), Data: fmt.Appendf(nil, `{"n":%d}`, n), Tags: []string{"a:1"},
	}
}

func records(from, to, streams int) iter.Seq2[eventlog.Record, error] {
	return func(yield func(eventlog.Record, error) bool) {
		for n := from; n < to; n++ {
			if !yield(record(n, streams), nil) {
				return
			}
		}
	}
}

// contents returns the data of all events in their order.
func contents(t *testing.T, log *journal.Log) []string {
	t.Helper()
	var out []string
	for e, err := range log.Read(t.Context(), journal.ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(e.Data))
	}
	return out
}

func wantContents(t *testing.T, log *journal.Log, n int) {
	t.Helper()
	got := contents(t, log)
	if len(got) != n {
		t.Fatalf("got %d events, want %d", len(got), n)
	}
	for i, data := range got {
		if want := fmt.Sprintf(`{"n":%d}`, i); data != want {
			t.Fatalf("event %d: got %s, want %s", i, data, want)
		}
	}
}

func TestEventsComeInOnceAndInTheirOrder(t *testing.T) {
	t.Parallel()
	for _, streams := range []int{1, 7, 5000} {
		log := mem.Open()
		steps := 0
		got, err := Run(t.Context(), log, records(0, 9000, streams), func(Result) { steps++ })
		if err != nil || got.New != 9000 || got.Duplicates != 0 || got.Position != 9000 || steps != 3 {
			t.Fatalf("%d streams: got %+v, %v in %d steps", streams, got, err, steps)
		}
		wantContents(t, log, 9000)
		got, err = Run(t.Context(), log, records(0, 9500, streams), nil)
		if err != nil || got.New != 500 || got.Duplicates != 9000 || got.Done() != 9500 {
			t.Fatalf("%d streams, again and more: got %+v, %v", streams, got, err)
		}
		wantContents(t, log, 9500)
	}
}

func TestAnEventThatTheLogHoldsTwiceComesInOnce(t *testing.T) {
	t.Parallel()
	log := mem.Open()
	twice := func(yield func(eventlog.Record, error) bool) {
		for range 2 {
			for r := range records(0, 3, 1) {
				if !yield(r, nil) {
					return
				}
			}
		}
	}
	got, err := Run(t.Context(), log, twice, nil)
	if err != nil || got.New != 3 || got.Duplicates != 3 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestWhatCameBeforeAnErrorIsIn(t *testing.T) {
	t.Parallel()
	broken := errors.New("line 4243")
	for _, c := range []struct {
		name string
		last eventlog.Record
		err  error
		want error
	}{
		{"malformed", eventlog.Record{}, broken, broken},
		{"no id", eventlog.Record{Stream: "s", Type: "t"}, nil, journal.ErrInvalid},
		{"against the rules", eventlog.Record{Stream: "s", ID: record(1, 1).ID}, nil, journal.ErrInvalid},
	} {
		log := mem.Open()
		cut := func(yield func(eventlog.Record, error) bool) {
			for r := range records(0, 4242, 3) {
				if !yield(r, nil) {
					return
				}
			}
			yield(c.last, c.err)
		}
		got, err := Run(t.Context(), log, cut, nil)
		if !errors.Is(err, c.want) || got.New != 4242 {
			t.Errorf("%s: got %+v, %v, want all before the error and %v", c.name, got, err, c.want)
		}
		wantContents(t, log, 4242)
	}
}

func TestAnImportThatIsInterruptedSaysHowFarItIsAndCanBeRepeated(t *testing.T) {
	t.Parallel()
	log := mem.Open()
	ctx, cancel := context.WithCancel(t.Context())
	got, err := Run(ctx, log, records(0, 50000, 10), func(Result) { cancel() })
	head, headErr := log.Head(t.Context())
	if !errors.Is(err, context.Canceled) || headErr != nil || int64(head.Position) != got.New || got.New == 50000 {
		t.Fatalf("got %+v, %v, the journal is at %v, %v", got, err, head, headErr)
	}
	got, err = Run(t.Context(), log, records(0, 50000, 10), nil)
	if err != nil || got.Done() != 50000 {
		t.Fatalf("repeated: got %+v, %v", got, err)
	}
	wantContents(t, log, 50000)
}

func TestAnImportThatWaitsForItsLogCanBeInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	asked, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	hangs := func(func(eventlog.Record, error) bool) {
		close(asked)
		<-release
	}
	go func() {
		<-asked
		cancel()
	}()
	if got, err := Run(ctx, mem.Open(), hangs, nil); !errors.Is(err, context.Canceled) || got.New != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
}

// meddler lets somebody else append to the streams that are about to be committed.
type meddler struct {
	*journal.Log
	times int
}

func (m *meddler) CommitMany(ctx context.Context, units []journal.Unit) ([]journal.Outcome, error) {
	if m.times > 0 {
		m.times--
		met := map[journal.Stream]bool{}
		for i := range units {
			if met[units[i].Appends[0].Stream] {
				continue
			}
			met[units[i].Appends[0].Stream] = true
			other := journal.EventData{Type: "other"}
			if _, err := m.Append(ctx, units[i].Appends[0].Stream, journal.Any, other); err != nil {
				return nil, err
			}
		}
	}
	return m.Log.CommitMany(ctx, units)
}

func TestOthersMayWriteMeanwhile(t *testing.T) {
	t.Parallel()
	log := mem.Open()
	got, err := Run(t.Context(), &meddler{log, 2}, records(0, 100, 100), nil)
	if err != nil || got.New != 100 {
		t.Fatalf("got %+v, %v", got, err)
	}
	all := slices.DeleteFunc(contents(t, log), func(data string) bool { return data == "" })
	if len(all) != 100 {
		t.Errorf("got %d events of the log, want 100", len(all))
	}
	_, err = Run(t.Context(), &meddler{log, 1000}, records(100, 200, 100), nil)
	if !errors.Is(err, journal.ErrConflict) {
		t.Errorf("a writer that never stops: got %v, want a conflict", err)
	}
}

func TestALostOrderIsNotHidden(t *testing.T) {
	t.Parallel()
	log := mem.Open()
	// The other's one event makes the first run of case-0 fail and its second, at version 1, fit by accident.
	_, err := Run(t.Context(), &meddler{log, 1}, records(0, 4, 2), nil)
	if !errors.Is(err, journal.ErrConflict) {
		t.Errorf("got %v, want a conflict", err)
	}
}

func TestStreamsThatWereForgottenAreReadAgain(t *testing.T) {
	t.Parallel()
	log := mem.Open()
	im := &importer{journal: log, streams: newMemory()}
	im.streams.limit = 64
	if err := im.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		for n := 0; n < 2000; n += 10 {
			var events []Item
			for r := range records(n, n+10, 50) {
				i, err := itemOf(&r, n)
				if err != nil {
					t.Fatal(err)
				}
				events = append(events, i)
			}
			if err := im.add(t.Context(), events); err != nil {
				t.Fatalf("round %d, event %d: %v", round, n, err)
			}
		}
	}
	if im.result.New != 2000 || im.result.Duplicates != 2000 {
		t.Errorf("got %+v", im.result)
	}
	wantContents(t, log, 2000)
}
