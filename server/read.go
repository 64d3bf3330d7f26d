// SPDX-License-Identifier: Apache-2.0

// The journal's service: reading and following.

package server

import (
	"context"
	"fmt"
	"iter"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/server/internal/door"
	"example.com/vidimus/server/internal/wire"
	"example.com/vidimus/server/token"
	pb "example.com/vidimus/server/vidimusv1"
)

// Read implements the service.
func (j *journalService) Read(
	ctx context.Context, m *pb.ReadRequest, out *connect.ServerStream[pb.ReadResponse],
) error {
	st, err := j.s.open(ctx, m.GetCell())
	if err != nil {
		return err
	}
	defer st.Close()
	o, err := readOptions(m)
	if err != nil {
		return err
	}
	if err := mayRead(st.Rights, o.Filter); err != nil {
		return err
	}
	return sendEvents(st, out, st.cell.log.Read(st.Ctx, o), m.GetJson())
}

// ReadStream implements the service.
func (j *journalService) ReadStream(
	ctx context.Context, m *pb.ReadStreamRequest, out *connect.ServerStream[pb.ReadResponse],
) error {
	st, err := j.s.open(ctx, m.GetCell())
	if err != nil {
		return err
	}
	defer st.Close()
	name := journal.Stream(m.GetStream())
	if err := door.Need(st.Rights, token.Read, name.Category()); err != nil {
		return err
	}
	events := st.cell.log.ReadStream(st.Ctx, name, &journal.StreamOptions{
		After: journal.Version(m.GetAfter()), Before: journal.Version(m.GetBefore()), Backwards: m.GetBackwards(),
		Limit: int(m.GetLimit()),
	})
	return sendEvents(st, out, events, m.GetJson())
}

func readOptions(m *pb.ReadRequest) (journal.ReadOptions, error) {
	filter, err := wire.ToFilter("filter", m.GetFilter())
	return journal.ReadOptions{
		After: journal.Position(m.GetAfter()), Before: journal.Position(m.GetBefore()), Backwards: m.GetBackwards(),
		Filter: filter, Limit: int(m.GetLimit()),
	}, err
}

// sendEvents sends events, many in one message.
func sendEvents(
	st *stream, out *connect.ServerStream[pb.ReadResponse], events iter.Seq2[journal.Event, error], inline bool,
) error {
	m, bytes := &pb.ReadResponse{}, 0
	for e, err := range events {
		if err != nil {
			return door.Ending(st.Ctx, err)
		}
		size := weight(&e)
		if len(m.Events) > 0 && (bytes+size > messageBytes || len(m.Events) == messageEvents) {
			if err := door.Send(st.Stream, out, m); err != nil {
				return err
			}
			m, bytes = &pb.ReadResponse{}, 0
		}
		m.Events = append(m.Events, wire.Event(&e, inline))
		bytes += size
	}
	if len(m.Events) == 0 {
		return nil
	}
	return door.Send(st.Stream, out, m)
}

// weight is about how many bytes an event takes in a message.
func weight(e *journal.Event) int {
	const names = 128
	n := names + len(e.Data) + len(e.Meta) + len(e.Stream) + len(e.Type)
	for _, tag := range e.Tags {
		n += len(tag)
	}
	return n
}

// Page implements the service.
func (j *journalService) Page(ctx context.Context, m *pb.ReadRequest) (*pb.PageResponse, error) {
	v, err := j.s.enter(ctx, m.GetCell())
	if err != nil {
		return nil, err
	}
	o, err := readOptions(m)
	if err != nil {
		return nil, err
	}
	if err := mayRead(v.Rights, o.Filter); err != nil {
		return nil, err
	}
	limit := min(o.Limit, journal.MaxPage)
	if o.Limit == 0 {
		limit = pageDefault
	}
	if limit > 0 {
		o.Limit = limit + 1 // one more tells whether there is more
	}
	out, bytes := &pb.PageResponse{}, 0
	for e, err := range v.cell.log.Read(ctx, o) {
		if err != nil {
			return nil, err
		}
		bytes += weight(&e)
		if len(out.Events) == limit || len(out.Events) > 0 && bytes > messageBytes {
			out.More = true
			break
		}
		out.Events = append(out.Events, wire.Event(&e, m.GetJson()))
	}
	return out, nil
}

// Limits of waiting.
const (
	pulseMin = 100 * time.Millisecond
	waitMax  = time.Minute
)

// Follow implements the service.
func (j *journalService) Follow(
	ctx context.Context, m *pb.FollowRequest, out *connect.ServerStream[pb.Frame],
) error {
	st, err := j.s.open(ctx, m.GetCell())
	if err != nil {
		return err
	}
	defer st.Close()
	pulse, err := duration("pulse", m.GetPulse(), pulseMin, waitMax, time.Second)
	if err != nil {
		return err
	}
	o, err := st.followOptions(m.GetFrom(), m.GetFilter(), m.GetPage())
	if err != nil {
		return err
	}
	// Between frames the token is looked at again, so a frame without events may be made and not be sent.
	o.Pulse = min(pulse, token.Bound)
	var sent time.Time
	for f, err := range st.cell.log.Follow(st.Ctx, o) {
		if err == nil {
			err = st.Still(st.Ctx)
		}
		if err != nil {
			return door.Ending(st.Ctx, err)
		}
		if len(f.Events) == 0 && !sent.IsZero() && clock.Since(sent) < pulse-o.Pulse/2 {
			continue
		}
		for part := range parts(&f) {
			if err := door.Send(st.Stream, out, wire.Frame(part, m.GetJson())); err != nil {
				return err
			}
		}
		sent = clock.Now()
	}
	return nil
}

// Poll implements the service.
func (j *journalService) Poll(ctx context.Context, m *pb.PollRequest) (*pb.Frame, error) {
	st, err := j.s.open(ctx, m.GetCell())
	if err != nil {
		return nil, err
	}
	defer st.Close()
	wait, err := duration("wait", m.GetWait(), 0, waitMax, 0)
	if err != nil {
		return nil, err
	}
	o, err := st.followOptions(m.GetFrom(), m.GetFilter(), m.GetPage())
	if err != nil {
		return nil, err
	}
	o.Pulse = max(time.Millisecond, min(wait, token.Bound))
	began := clock.Now()
	for f, err := range st.cell.log.Follow(st.Ctx, o) {
		if err == nil {
			err = st.Still(st.Ctx)
		}
		if err != nil {
			return nil, door.Ending(st.Ctx, err)
		}
		waited := clock.Since(began) >= wait
		if len(f.Events) == 0 && !waited {
			continue
		}
		for part := range parts(&f) {
			return wire.Frame(part, m.GetJson()), nil
		}
	}
	return nil, door.Ending(st.Ctx, fmt.Errorf("%w: following ended", journal.ErrClosed))
}

func (st *stream) followOptions(
	from *pb.Checkpoint, filter []*pb.Match, page int32,
) (o journal.FollowOptions, err error) {
	if o.From, err = wire.ToCheckpoint("from", from); err != nil {
		return o, err
	}
	if o.Filter, err = wire.ToFilter("filter", filter); err != nil {
		return o, err
	}
	o.Page = int(page)
	return o, mayRead(st.Rights, o.Filter)
}

func duration(field string, d *durationpb.Duration, least, most, standard time.Duration) (time.Duration, error) {
	if d == nil {
		return standard, nil
	}
	if got := d.AsDuration(); d.CheckValid() == nil && got >= least && got <= most {
		return got, nil
	}
	return 0, &journal.InvalidError{
		Field: field, Problem: fmt.Sprintf("%v is out of range; use %v to %v", d.AsDuration(), least, most),
	}
}

// parts cuts a frame into frames that fit into one message each. All but the last say where they end, and that there
// is more.
func parts(f *journal.Frame) iter.Seq[*journal.Frame] {
	return func(yield func(*journal.Frame) bool) {
		first, bytes := 0, 0
		for i := range f.Events {
			size := weight(&f.Events[i])
			if i > first && bytes+size > messageBytes {
				last := &f.Events[i-1]
				at := f.Checkpoint
				at.Position, at.ID = last.Position, last.ID
				if !yield(&journal.Frame{Events: f.Events[first:i], Checkpoint: at, AsOf: f.AsOf}) {
					return
				}
				first, bytes = i, 0
			}
			bytes += size
		}
		yield(&journal.Frame{Events: f.Events[first:], Checkpoint: f.Checkpoint, CaughtUp: f.CaughtUp, AsOf: f.AsOf})
	}
}
