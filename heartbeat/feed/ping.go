// SPDX-License-Identifier: Apache-2.0

// Pings: where the journal ends, asked of the database, for many at once.

package feed

import (
	"context"
	"time"

	"example.com/vidimus/heartbeat"
	"example.com/vidimus/journal"
	"example.com/vidimus/passport"
)

// lookTimeout bounds one look at the end of the journal, which others wait for.
const lookTimeout = 5 * time.Second

// look is one look at the end of the journal, for every ping that came before it began.
type look struct {
	done chan struct{} // closed when the rest is set
	head journal.Checkpoint
	err  error
}

// Ping implements [heartbeat.Source]: the end of the journal, read from the database after the call began. Pings that
// come while the database is asked wait for the next answer, and share it. It returns [journal.ErrUnavailable], with
// [heartbeat.ErrRewound] when the journal has lost what was read of it, until it has grown past that or was renewed; or
// the error of ctx.
func (f *Feed) Ping(ctx context.Context) (heartbeat.Head, error) {
	l, first := f.join()
	if first {
		f.take(ctx, l)
	}
	select {
	case <-l.done:
	case <-ctx.Done():
		return heartbeat.Head{}, ctx.Err()
	}
	if l.err != nil {
		return heartbeat.Head{}, l.err
	}
	head := markOf(l.head)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.tail != nil && f.mu.restart != nil && !f.mu.tail.Through().SameLog(head) {
		f.mu.restart() // the journal was renewed, and following it does not show that
	}
	return head, nil
}

// join returns the look that has not begun, and whether the caller is the one to take it.
func (f *Feed) join() (l *look, first bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.next == nil {
		f.mu.next, first = &look{done: make(chan struct{})}, true
	}
	return f.mu.next, first
}

// take waits for its turn and looks, for all that joined until then: also if the caller itself no longer waits.
func (f *Feed) take(ctx context.Context, l *look) {
	f.reading <- struct{}{}
	defer func() { <-f.reading }()
	f.mu.Lock()
	f.mu.next = nil // who comes from now on may have seen what this look does not
	tail, at, told := f.mu.tail, f.mu.at, f.mu.told
	f.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
	defer cancel()
	l.head, l.err = f.cfg.Log.Head(ctx)
	if l.err == nil {
		l.err = f.holds(tail, at, told, l.head)
	}
	close(l.done)
}

// holds makes sure that the journal, as its end was read, holds what was read of it before: that the tail ended at a
// checkpoint, and pings were told of an end. What lies behind that checkpoint is for [Feed.joins] to look at.
func (f *Feed) holds(tail *heartbeat.Tail, at journal.Checkpoint, told passport.Mark, head journal.Checkpoint) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	end := markOf(head)
	other := at.ID != head.ID && at.ID != (journal.ID{}) && head.ID != (journal.ID{})
	before := tail != nil && markOf(at).SameLog(end) &&
		(head.Position < at.Position || head.Position == at.Position && other)
	short := told.SameLog(end) && end.Position < told.Position
	if (before || short) && f.mu.tail == tail { // which has not begun anew meanwhile
		f.drop()
		if short {
			f.lose(told)
		}
		if f.mu.restart != nil {
			f.mu.restart()
		}
	}
	if f.mu.tail == nil && end.SameLog(f.mu.lost) && end.Position <= f.mu.lost.Position {
		return rewound(f.mu.lost, end)
	}
	if !f.mu.told.Reaches(end) {
		f.mu.told = end
	}
	return nil
}
