// SPDX-License-Identifier: Apache-2.0

// Units and their results.

package wire

import (
	"fmt"
	"strconv"

	"example.com/vidimus/journal"
	pb "example.com/vidimus/server/vidimusv1"
)

// Unit turns a unit into a message.
func Unit(cell string, u *journal.Unit) *pb.AppendRequest {
	m := &pb.AppendRequest{Cell: cell}
	for _, f := range u.Fences {
		m.Fences = append(m.Fences, &pb.Fence{Lease: f.Lease, Epoch: int64(f.Epoch)})
	}
	for i := range u.Appends {
		a := &pb.Append{Stream: string(u.Appends[i].Stream), Expect: Expect(u.Appends[i].Expect)}
		for k := range u.Appends[i].Events {
			a.Events = append(a.Events, eventData(&u.Appends[i].Events[k]))
		}
		m.Appends = append(m.Appends, a)
	}
	for i := range u.Conditions {
		c := &u.Conditions[i]
		m.Conditions = append(m.Conditions, &pb.Condition{After: int64(c.After), Filter: Filter(c.Filter)})
	}
	for i := range u.Records {
		r := &u.Records[i]
		m.Records = append(m.Records, &pb.RecordWrite{
			Op: pb.RecordOp(r.Op), Kind: r.Kind, Key: r.Key, Expect: Expect(r.Expect), Due: Time(r.Due), Value: r.Value,
		})
	}
	return m
}

// ToUnit turns a message into a unit, gives ids to the events that have none, and returns the ids of all events if it
// made any. Every rule but those of the form of a message is left to [journal.Unit.Validate].
func ToUnit(m *pb.AppendRequest) (u journal.Unit, ids []string, err error) {
	if err := known("request", m); err != nil {
		return u, nil, err
	}
	for i, f := range m.GetFences() {
		if err := known(fmt.Sprintf("fences[%d]", i), f); err != nil {
			return u, nil, err
		}
		u.Fences = append(u.Fences, journal.Fence{Lease: f.GetLease(), Epoch: journal.Epoch(f.GetEpoch())})
	}
	for i, a := range m.GetAppends() {
		to, err := toAppend(fmt.Sprintf("appends[%d]", i), a)
		if err != nil {
			return u, nil, err
		}
		u.Appends = append(u.Appends, to)
	}
	for i, c := range m.GetConditions() {
		field := fmt.Sprintf("conditions[%d]", i)
		if err := known(field, c); err != nil {
			return u, nil, err
		}
		filter, err := ToFilter(field+".filter", c.GetFilter())
		if err != nil {
			return u, nil, err
		}
		u.Conditions = append(u.Conditions, journal.Condition{After: journal.Position(c.GetAfter()), Filter: filter})
	}
	for i, r := range m.GetRecords() {
		to, err := toRecordWrite(fmt.Sprintf("records[%d]", i), r)
		if err != nil {
			return u, nil, err
		}
		u.Records = append(u.Records, to)
	}
	return u, identify(&u), nil
}

func toAppend(field string, m *pb.Append) (a journal.Append, err error) {
	if err := known(field, m); err != nil {
		return a, err
	}
	a.Stream = journal.Stream(m.GetStream())
	if a.Expect, err = ToExpect(field+".expect", m.GetExpect()); err != nil {
		return a, err
	}
	for k, e := range m.GetEvents() {
		at := fmt.Sprintf("%s.events[%d]", field, k)
		if err := known(at, e); err != nil {
			return a, err
		}
		if e.GetStream() != "" && e.GetStream() != m.GetStream() || e.GetPosition() != 0 || e.GetVersion() != 0 {
			return a, invalid(at, "says where it is to be; leave out position and version, and name the stream once")
		}
		data, err := toEventData(at, e)
		if err != nil {
			return a, err
		}
		a.Events = append(a.Events, data)
	}
	return a, nil
}

func toRecordWrite(field string, m *pb.RecordWrite) (r journal.RecordWrite, err error) {
	if err := known(field, m); err != nil {
		return r, err
	}
	r.Op, r.Kind, r.Key = journal.RecordOp(m.GetOp()), m.GetKind(), m.GetKey()
	if r.Expect, err = ToExpect(field+".expect", m.GetExpect()); err != nil {
		return r, err
	}
	if r.Due, err = ToTime(field+".due", m.GetDue()); err != nil {
		return r, err
	}
	r.Value, err = payload(field+".value_json", m.GetValue(), m.GetValueJson())
	return r, err
}

// identify gives ids to events that have none, and returns those of all events if there was one.
func identify(u *journal.Unit) []string {
	made := false
	var ids []string
	for i := range u.Appends {
		for k := range u.Appends[i].Events {
			e := &u.Appends[i].Events[k]
			if e.ID == (journal.ID{}) {
				e.ID, made = journal.NewID(), true
			}
		}
	}
	if !made {
		return nil
	}
	for i := range u.Appends {
		for k := range u.Appends[i].Events {
			ids = append(ids, u.Appends[i].Events[k].ID.String())
		}
	}
	return ids
}

// Expect turns an expectation into its text.
func Expect(e journal.Expect) string {
	switch e {
	case journal.Any, journal.None, journal.Exists:
		return e.String()
	}
	return strconv.FormatInt(int64(e), 10)
}

// ToExpect reads the text of an expectation. None at all is "none": a write that does not say what it expects must
// not overwrite.
func ToExpect(field, text string) (journal.Expect, error) {
	switch text {
	case "", "none":
		return journal.None, nil
	case "any":
		return journal.Any, nil
	case "exists":
		return journal.Exists, nil
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil || v < 0 {
		return 0, invalid(field, "%q is no expectation; write none, any, exists or a version such as 12", text)
	}
	return journal.Exactly(journal.Version(v)), nil
}

// Result turns a result into a message.
func Result(r *journal.Result, ids []string) *pb.AppendResponse {
	m := &pb.AppendResponse{Duplicate: r.Duplicate, Position: int64(r.Position), Ids: ids}
	for _, v := range r.Versions {
		m.Versions = append(m.Versions, int64(v))
	}
	for _, v := range r.Records {
		m.RecordVersions = append(m.RecordVersions, int64(v))
	}
	return m
}

// ToResult turns a message into a result.
func ToResult(m *pb.AppendResponse) journal.Result {
	r := journal.Result{Duplicate: m.GetDuplicate(), Position: journal.Position(m.GetPosition())}
	for _, v := range m.GetVersions() {
		r.Versions = append(r.Versions, journal.Version(v))
	}
	for _, v := range m.GetRecordVersions() {
		r.Records = append(r.Records, journal.Version(v))
	}
	return r
}
