// SPDX-License-Identifier: Apache-2.0

// The journal's service: writing, and what administrators do.

package server

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/server/internal/door"
	"example.com/vidimus/server/internal/wire"
	"example.com/vidimus/server/token"
	pb "example.com/vidimus/server/vidimusv1"
)

type journalService struct{ s *Server }

// Append implements the service.
func (j *journalService) Append(ctx context.Context, m *pb.AppendRequest) (*pb.AppendResponse, error) {
	v, err := j.s.enter(ctx, m.GetCell())
	if err != nil {
		return nil, err
	}
	u, ids, err := wire.ToUnit(m)
	if err != nil {
		return nil, err
	}
	if err := mayWrite(v.Rights, &u); err != nil {
		return nil, err
	}
	res, err := v.cell.log.Commit(ctx, u)
	if err != nil {
		return nil, door.WithIDs(blind(v.Rights, err), ids)
	}
	v.say(ctx, res.Position)
	return wire.Result(&res, ids), nil
}

// positionHeader says where in the log an answer stands.
const positionHeader = "Vidimus-Position"

// say puts the place of a write into the header of the answer. Log and epoch may be those of a moment ago: a place in
// another epoch than the reader's is never taken for seen.
func (v *visit) say(ctx context.Context, p journal.Position) {
	info, ok := connect.CallInfoForHandlerContext(ctx)
	if !ok || p == 0 {
		return
	}
	head := v.cell.head.Load()
	if head == nil {
		read, err := v.cell.log.Head(ctx)
		if err != nil {
			return // the write is done and answered; the header is only a convenience
		}
		head = &read
		v.cell.head.Store(head)
	}
	at := *head
	at.Position = p
	info.ResponseHeader().Set(positionHeader, at.String())
}

// AppendMany implements the service.
func (j *journalService) AppendMany(ctx context.Context, m *pb.AppendManyRequest) (*pb.AppendManyResponse, error) {
	v, err := j.s.enter(ctx, m.GetCell())
	if err != nil {
		return nil, err
	}
	units := make([]journal.Unit, len(m.GetUnits()))
	ids := make([][]string, len(units))
	for i, unit := range m.GetUnits() {
		field := fmt.Sprintf("units[%d]", i)
		if unit.GetCell() != "" && unit.GetCell() != m.GetCell() {
			return nil, &journal.InvalidError{Field: field + ".cell", Problem: "differs; name the cell once, outside"}
		}
		if units[i], ids[i], err = wire.ToUnit(unit); err != nil {
			return nil, fmt.Errorf("%s: %w", field, err)
		}
		if err := mayWrite(v.Rights, &units[i]); err != nil {
			return nil, fmt.Errorf("%s: %w", field, err)
		}
	}
	outcomes, err := v.cell.log.CommitMany(ctx, units)
	if err != nil {
		return nil, err
	}
	out := &pb.AppendManyResponse{}
	failed, first, last := 0, error(nil), journal.Position(0)
	for i := range outcomes {
		o := &outcomes[i]
		last = max(last, o.Result.Position)
		if o.Err = blind(v.Rights, o.Err); o.Err != nil && !wire.Expected(o.Err) {
			if failed++; failed == 1 {
				first = o.Err
			}
		}
		out.Outcomes = append(out.Outcomes, outcome(o, ids[i]))
	}
	if failed > 0 { // once: a full disk fails a thousand alike
		j.s.config.Logger.ErrorContext(ctx, "units failed", "cell", v.cell.name, "units", failed, "first", first)
	}
	v.say(ctx, last)
	return out, nil
}

func outcome(o *journal.Outcome, ids []string) *pb.AppendOutcome {
	if o.Err == nil {
		return &pb.AppendOutcome{Outcome: &pb.AppendOutcome_Result{Result: wire.Result(&o.Result, ids)}}
	}
	return &pb.AppendOutcome{Outcome: &pb.AppendOutcome_Error{Error: wire.Detail(o.Err, ids)}}
}

// Head implements the service.
func (j *journalService) Head(ctx context.Context, m *pb.HeadRequest) (*pb.Checkpoint, error) {
	v, err := j.s.enter(ctx, m.GetCell())
	if err != nil {
		return nil, err
	}
	head, err := v.cell.log.Head(ctx)
	if err != nil {
		return nil, err
	}
	return wire.Checkpoint(head), nil
}

// GetRecord implements the service.
func (j *journalService) GetRecord(ctx context.Context, m *pb.GetRecordRequest) (*pb.Record, error) {
	v, err := j.s.enter(ctx, m.GetCell())
	if err != nil {
		return nil, err
	}
	if err := mayTouch(v.Rights, m.GetKind(), m.GetKey()); err != nil {
		return nil, err
	}
	r, err := v.cell.log.Record(ctx, m.GetKind(), m.GetKey())
	if err != nil {
		return nil, fmt.Errorf("record %s/%s: %w", m.GetKind(), m.GetKey(), err)
	}
	return wire.Record(veil(&r), m.GetJson()), nil
}

// ListRecords implements the service.
func (j *journalService) ListRecords(ctx context.Context, m *pb.ListRecordsRequest) (*pb.ListRecordsResponse, error) {
	v, err := j.s.enter(ctx, m.GetCell())
	if err != nil {
		return nil, err
	}
	if err := mayList(v.Rights, m.GetKind()); err != nil {
		return nil, err
	}
	q := journal.RecordQuery{
		Kind: m.GetKind(), Prefix: m.GetPrefix(), After: m.GetAfter(), Limit: pageSize(int(m.GetLimit())),
	}
	if q.DueBy, err = wire.ToTime("due_by", m.GetDueBy()); err != nil {
		return nil, err
	}
	records, err := v.cell.log.Records(ctx, q)
	if err != nil {
		return nil, err
	}
	out := &pb.ListRecordsResponse{More: len(records) == q.Limit}
	bytes := 0
	for i := range records {
		if bytes += len(records[i].Value); i > 0 && bytes > messageBytes {
			out.More = true
			break
		}
		out.Records = append(out.Records, wire.Record(veil(&records[i]), m.GetJson()))
	}
	return out, nil
}

// veil takes out of a record what not even administrators need to read: the hash of a token's secret, and sealed keys.
func veil(r *journal.Record) *journal.Record {
	if r.Kind == token.Kind || r.Kind == "keyring" {
		r.Value = nil
	}
	return r
}

func pageSize(limit int) int {
	if limit <= 0 || limit > journal.MaxPage {
		return journal.MaxPage
	}
	return limit
}

// Stat implements the service.
func (j *journalService) Stat(ctx context.Context, m *pb.StatRequest) (*pb.StatResponse, error) {
	v, err := j.s.enter(ctx, m.GetCell())
	if err != nil {
		return nil, err
	}
	if err := mayRead(v.Rights, nil); err != nil {
		return nil, err
	}
	leave, err := v.cell.alone()
	if err != nil {
		return nil, err
	}
	defer leave()
	stat, err := v.cell.log.Stat(ctx)
	if err != nil {
		return nil, err
	}
	return wire.Stat(stat), nil
}

// alone lets one call at a time read the whole journal.
func (c *cell) alone() (leave func(), err error) {
	select {
	case c.heavy <- struct{}{}:
		return func() { <-c.heavy }, nil
	default:
		return nil, fmt.Errorf("%w: another call reads the whole journal already; try again when it is done", wire.ErrLimit)
	}
}

// verifyTick is how often a caller hears how far the verification is.
const verifyTick = time.Second

// Verify implements the service.
func (j *journalService) Verify(
	ctx context.Context, m *pb.VerifyRequest, out *connect.ServerStream[pb.VerifyResponse],
) error {
	st, err := j.s.open(ctx, m.GetCell())
	if err != nil {
		return err
	}
	defer st.Close()
	if err := door.NeedAdmin(st.Rights); err != nil {
		return err
	}
	leave, err := st.cell.alone()
	if err != nil {
		return err
	}
	defer leave()
	limited, cancel := context.WithCancelCause(st.Ctx)
	defer cancel(nil)
	var at atomic.Int64
	var breaches []string
	done := make(chan error, 1)
	// The journal may hold what others wait for while it verifies, so it must not wait for the caller.
	go func() {
		var err error
		breaches, err = st.cell.log.Verify(limited, func(p journal.Position) { at.Store(int64(p)) })
		done <- err
	}()
	for {
		tick := clock.NewTimer(verifyTick)
		select {
		case err := <-done:
			tick.Stop()
			if err != nil {
				return door.Ending(limited, err)
			}
			return door.Send(st.Stream, out, &pb.VerifyResponse{Position: at.Load(), Done: true, Breaches: breaches})
		case <-tick.C:
			if err := door.Send(st.Stream, out, &pb.VerifyResponse{Position: at.Load()}); err != nil {
				cancel(err)
				<-done
				return err
			}
		}
	}
}

// Renew implements the service.
func (j *journalService) Renew(ctx context.Context, m *pb.RenewRequest) (*pb.Checkpoint, error) {
	v, err := j.s.enter(ctx, m.GetCell())
	if err != nil {
		return nil, err
	}
	if err := door.NeedAdmin(v.Rights); err != nil {
		return nil, err
	}
	head, err := v.cell.log.Renew(ctx)
	if err != nil {
		return nil, err
	}
	v.cell.head.Store(&head)
	j.s.door.Audit(ctx, v.Visit, "journal renewed", "epoch", int64(head.Epoch))
	return wire.Checkpoint(head), nil
}
