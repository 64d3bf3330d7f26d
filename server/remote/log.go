// SPDX-License-Identifier: Apache-2.0

// The methods of a journal.

package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/vidimus/journal"
	"example.com/vidimus/server/internal/wire"
	pb "example.com/vidimus/server/vidimusv1"
)

// Commit writes a unit, as [journal.Log.Commit] does.
func (l *Log) Commit(ctx context.Context, u journal.Unit) (journal.Result, error) {
	if err := u.Validate(); err != nil {
		return journal.Result{}, err
	}
	if err := ctx.Err(); err != nil {
		return journal.Result{}, err
	}
	m, err := l.journal.Append(ctx, wire.Unit(l.cell, &u))
	if err != nil {
		return journal.Result{}, writing(err)
	}
	return wire.ToResult(m), nil
}

// Append appends events to one stream, as [journal.Log.Append] does.
func (l *Log) Append(
	ctx context.Context, s journal.Stream, e journal.Expect, events ...journal.EventData,
) (journal.Result, error) {
	for i := range events {
		if events[i].ID == (journal.ID{}) {
			events[i].ID = journal.NewID()
		}
	}
	return l.Commit(ctx, journal.Unit{Appends: []journal.Append{{Stream: s, Expect: e, Events: events}}})
}

const (
	manyUnits = 1000
	manyBytes = 4 << 20 // where a call with many units ends
)

// CommitMany commits units in their order, as [journal.Log.CommitMany] does. Many bytes go in several calls; when one
// fails, its units have its error as their outcome, and those behind it were not sent.
func (l *Log) CommitMany(ctx context.Context, units []journal.Unit) ([]journal.Outcome, error) {
	if len(units) > manyUnits {
		return nil, &journal.InvalidError{
			Field: "units", Problem: fmt.Sprintf("are %d, at most %d are taken at once; split them", len(units), manyUnits),
		}
	}
	messages := make([]*pb.AppendRequest, len(units))
	for i := range units {
		if err := units[i].Validate(); err != nil {
			return nil, fmt.Errorf("units[%d]: %w", i, err)
		}
		messages[i] = wire.Unit("", &units[i])
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	outcomes := make([]journal.Outcome, 0, len(units))
	for len(messages) > 0 {
		n, bytes := 0, 0
		for n < len(messages) && (n == 0 || bytes < manyBytes) {
			bytes += proto.Size(messages[n])
			n++
		}
		part, err := l.commitMany(ctx, messages[:n])
		if err != nil && len(outcomes) == 0 && !errors.Is(err, journal.ErrUncertain) {
			return nil, err
		}
		if err != nil {
			return unsent(outcomes, n, len(messages)-n, err), nil
		}
		outcomes = append(outcomes, part...)
		messages = messages[n:]
	}
	return outcomes, nil
}

// unsent adds the outcomes of units whose call failed, and of those behind them.
func unsent(outcomes []journal.Outcome, failed, behind int, err error) []journal.Outcome {
	for range failed {
		outcomes = append(outcomes, journal.Outcome{Err: err})
	}
	for range behind {
		outcomes = append(outcomes, journal.Outcome{
			Err: fmt.Errorf("%w: not sent, because a unit before it failed: %v", journal.ErrUnavailable, err),
		})
	}
	return outcomes
}

func (l *Log) commitMany(ctx context.Context, units []*pb.AppendRequest) ([]journal.Outcome, error) {
	m, err := l.journal.AppendMany(ctx, &pb.AppendManyRequest{Cell: l.cell, Units: units})
	if err != nil {
		return nil, writing(err)
	}
	if len(m.GetOutcomes()) != len(units) {
		return nil, fmt.Errorf("%w: the node gave %d outcomes for %d units", journal.ErrUncertain,
			len(m.GetOutcomes()), len(units))
	}
	outcomes := make([]journal.Outcome, len(units))
	for i, o := range m.GetOutcomes() {
		if o.GetError() != nil {
			outcomes[i].Err = wire.FromDetail(o.GetError())
		} else {
			outcomes[i].Result = wire.ToResult(o.GetResult())
		}
	}
	return outcomes, nil
}

// Read returns events in the order of the journal, as [journal.Log.Read] does.
func (l *Log) Read(ctx context.Context, o journal.ReadOptions) iter.Seq2[journal.Event, error] {
	return events(ctx, func(ctx context.Context) (*connect.ServerStreamForClient[pb.ReadResponse], error) {
		return l.journal.Read(ctx, &pb.ReadRequest{
			Cell: l.cell, After: int64(o.After), Before: int64(o.Before), Backwards: o.Backwards,
			Filter: wire.Filter(o.Filter), Limit: int64(o.Limit),
		})
	})
}

// ReadStream returns events of one stream, as [journal.Log.ReadStream] does.
func (l *Log) ReadStream(
	ctx context.Context, s journal.Stream, o *journal.StreamOptions,
) iter.Seq2[journal.Event, error] {
	if o == nil {
		o = &journal.StreamOptions{}
	}
	return events(ctx, func(ctx context.Context) (*connect.ServerStreamForClient[pb.ReadResponse], error) {
		return l.journal.ReadStream(ctx, &pb.ReadStreamRequest{
			Cell: l.cell, Stream: string(s), After: int64(o.After), Before: int64(o.Before), Backwards: o.Backwards,
			Limit: int64(o.Limit),
		})
	})
}

// events returns the events of a stream of answers.
func events(
	ctx context.Context, call func(context.Context) (*connect.ServerStreamForClient[pb.ReadResponse], error),
) iter.Seq2[journal.Event, error] {
	return func(yield func(journal.Event, error) bool) {
		for m, err := range messages(ctx, call) {
			if err != nil {
				yield(journal.Event{}, err)
				return
			}
			for _, one := range m.GetEvents() {
				e, err := wire.ToEvent(one)
				if !yield(e, err) || err != nil {
					return
				}
			}
		}
	}
}

// messages returns what a stream brings, until it ends or the reader leaves. The last pair has an error if there was
// one.
func messages[T any](
	ctx context.Context, call func(context.Context) (*connect.ServerStreamForClient[T], error),
) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := call(ctx)
		if err != nil {
			yield(nil, reading(ctx, err))
			return
		}
		for stream.Receive() {
			if !yield(stream.Msg(), nil) {
				cancel() // tells the node at once
				_ = stream.Close()
				return
			}
		}
		err = reading(ctx, stream.Err())
		_ = stream.Close() // nothing more comes
		if err != nil {
			yield(nil, err)
		}
	}
}

// Follow returns what is in the journal after a checkpoint, then what comes, as [journal.Log.Follow] does. A pulse is
// held between 100 milliseconds and one minute. AsOf is of the node's clock. After [journal.ErrUnavailable] and
// [ErrDraining] follow again from the last checkpoint.
func (l *Log) Follow(ctx context.Context, o journal.FollowOptions) iter.Seq2[journal.Frame, error] {
	m := &pb.FollowRequest{
		Cell: l.cell, From: wire.Checkpoint(o.From), Filter: wire.Filter(o.Filter),
		Page: int32(min(max(o.Page, -1), journal.MaxPage)),
	}
	if o.Pulse > 0 {
		m.Pulse = durationpb.New(min(max(o.Pulse, 100*time.Millisecond), time.Minute))
	}
	return func(yield func(journal.Frame, error) bool) {
		if o.Pulse < 0 {
			yield(journal.Frame{}, &journal.InvalidError{
				Field: "pulse", Problem: fmt.Sprintf("%v is negative; use 0 for one second", o.Pulse),
			})
			return
		}
		frames := messages(ctx, func(ctx context.Context) (*connect.ServerStreamForClient[pb.Frame], error) {
			return l.journal.Follow(ctx, m)
		})
		for one, err := range frames {
			var f journal.Frame
			if err == nil {
				f, err = wire.ToFrame(one)
			}
			if !yield(f, err) || err != nil {
				return
			}
		}
		yield(journal.Frame{}, fmt.Errorf("%w: the node ended the stream; follow again from the last checkpoint",
			journal.ErrUnavailable))
	}
}

// Checkpoint returns the checkpoint saved under a consumer's name, as [journal.Log.Checkpoint] does.
func (l *Log) Checkpoint(ctx context.Context, consumer string) (journal.Checkpoint, journal.Version, error) {
	var c journal.Checkpoint
	r, err := l.Record(ctx, journal.KindCheckpoint, consumer)
	if errors.Is(err, journal.ErrNotFound) {
		return c, 0, nil
	}
	if err != nil {
		return c, 0, err
	}
	if err := json.Unmarshal(r.Value, &c); err != nil {
		return c, 0, fmt.Errorf("checkpoint of %s: %w", consumer, err)
	}
	return c, r.Version, nil
}

// Head returns the end of the journal, as [journal.Log.Head] does.
func (l *Log) Head(ctx context.Context) (journal.Checkpoint, error) {
	m, err := l.journal.Head(ctx, &pb.HeadRequest{Cell: l.cell})
	if err != nil {
		return journal.Checkpoint{}, reading(ctx, err)
	}
	return wire.ToCheckpoint("head", m)
}

// Record returns a record, as [journal.Log.Record] does. The values of tokens stay on the node.
func (l *Log) Record(ctx context.Context, kind, key string) (journal.Record, error) {
	m, err := l.journal.GetRecord(ctx, &pb.GetRecordRequest{Cell: l.cell, Kind: kind, Key: key})
	if err != nil {
		return journal.Record{}, reading(ctx, err)
	}
	return wire.ToRecord(m)
}

// Records returns records of one kind, as [journal.Log.Records] does. With a due time there may be fewer than were
// asked for, where their values are large: page on by due time until none is left.
func (l *Log) Records(ctx context.Context, q journal.RecordQuery) ([]journal.Record, error) {
	limit := q.Limit
	if limit <= 0 || limit > journal.MaxPage {
		limit = journal.MaxPage
	}
	var records []journal.Record
	for more := true; more && len(records) < limit; {
		m, err := l.journal.ListRecords(ctx, &pb.ListRecordsRequest{
			Cell: l.cell, Kind: q.Kind, Prefix: q.Prefix, After: q.After, DueBy: wire.Time(q.DueBy),
			Limit: int32(limit - len(records)),
		})
		if err != nil {
			return nil, reading(ctx, err)
		}
		for _, one := range m.GetRecords() {
			r, err := wire.ToRecord(one)
			if err != nil {
				return nil, err
			}
			records = append(records, r)
			q.After = r.Key
		}
		more = m.GetMore() && len(m.GetRecords()) > 0 && q.DueBy.IsZero()
	}
	return records, nil
}

// Stat counts what the journal holds, as [journal.Log.Stat] does.
func (l *Log) Stat(ctx context.Context) (journal.Stat, error) {
	m, err := l.journal.Stat(ctx, &pb.StatRequest{Cell: l.cell})
	if err != nil {
		return journal.Stat{}, reading(ctx, err)
	}
	return wire.ToStat(m)
}

// Verify checks the whole journal, as [journal.Log.Verify] does.
func (l *Log) Verify(ctx context.Context, progress func(journal.Position)) ([]string, error) {
	if progress == nil {
		progress = func(journal.Position) {}
	}
	steps := messages(ctx, func(ctx context.Context) (*connect.ServerStreamForClient[pb.VerifyResponse], error) {
		return l.journal.Verify(ctx, &pb.VerifyRequest{Cell: l.cell})
	})
	for m, err := range steps {
		if err != nil {
			return nil, err
		}
		progress(journal.Position(m.GetPosition()))
		if m.GetDone() {
			return m.GetBreaches(), nil
		}
	}
	return nil, fmt.Errorf("%w: the node ended before it was done", journal.ErrUnavailable)
}

// Renew gives the journal its next epoch, as [journal.Log.Renew] does. It returns [journal.ErrUncertain] when the
// answer was lost; a second Renew does no harm.
func (l *Log) Renew(ctx context.Context) (journal.Checkpoint, error) {
	m, err := l.journal.Renew(ctx, &pb.RenewRequest{Cell: l.cell})
	if err != nil {
		return journal.Checkpoint{}, writing(err)
	}
	return wire.ToCheckpoint("head", m)
}
