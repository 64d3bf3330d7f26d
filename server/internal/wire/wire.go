// SPDX-License-Identifier: Apache-2.0

// Events and readers, from the journal's words to those on the wire and back.

// Package wire turns the journal's words into messages and back, for the server and for its client alike.
package wire

import (
	"fmt"
	"math"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/vidimus/journal"
	pb "example.com/vidimus/server/vidimusv1"
)

func invalid(field, format string, args ...any) error {
	return &journal.InvalidError{Field: field, Problem: fmt.Sprintf(format, args...)}
}

// known refuses a message with fields that this release does not know: one of them could be a check, and a check that
// is passed over in silence is worse than a refusal.
func known(field string, m interface{ ProtoReflect() protoreflect.Message }) error {
	if len(m.ProtoReflect().GetUnknown()) > 0 {
		return invalid(field, "has fields that this server does not know; upgrade the server, or leave them out")
	}
	return nil
}

// Time turns a time into a message, zero into none.
func Time(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// ToTime turns a message into a time, none into zero.
func ToTime(field string, t *timestamppb.Timestamp) (time.Time, error) {
	if t == nil {
		return time.Time{}, nil
	}
	if t.CheckValid() != nil {
		return time.Time{}, invalid(field, "is no time; write it as 2026-01-31T12:00:00Z")
	}
	return t.AsTime(), nil
}

// Event turns an event into a message; with inline its payload is JSON in place, where it is JSON.
func Event(e *journal.Event, inline bool) *pb.Event {
	m := eventData(&e.EventData)
	m.Position, m.Stream, m.Version = int64(e.Position), string(e.Stream), int64(e.Version)
	if inline {
		if v := Inline(e.Data); v != nil {
			m.Data, m.Json = nil, v
		}
		if v := Inline(e.Meta); v != nil {
			m.Meta, m.MetaJson = nil, v
		}
	}
	return m
}

func eventData(e *journal.EventData) *pb.Event {
	m := &pb.Event{
		Type: e.Type, Schema: int32(min(max(e.Schema, math.MinInt32), math.MaxInt32)), Time: Time(e.Time),
		Data: e.Data, Meta: e.Meta, Tags: e.Tags,
	}
	if e.ID != (journal.ID{}) {
		m.Id = e.ID.String()
	}
	return m
}

// ToEvent turns a message into an event.
func ToEvent(m *pb.Event) (journal.Event, error) {
	data, err := toEventData("event", m)
	if err != nil {
		return journal.Event{}, err
	}
	return journal.Event{
		EventData: data, Position: journal.Position(m.GetPosition()), Stream: journal.Stream(m.GetStream()),
		Version: journal.Version(m.GetVersion()),
	}, nil
}

func toEventData(field string, m *pb.Event) (journal.EventData, error) {
	e := journal.EventData{Type: m.GetType(), Schema: int(m.GetSchema()), Tags: m.GetTags()}
	var err error
	if m.GetId() != "" {
		if e.ID, err = journal.ParseID(m.GetId()); err != nil {
			return e, within(field, err)
		}
	}
	if e.Time, err = ToTime(field+".time", m.GetTime()); err != nil {
		return e, err
	}
	if e.Data, err = payload(field+".json", m.GetData(), m.GetJson()); err != nil {
		return e, err
	}
	e.Meta, err = payload(field+".meta_json", m.GetMeta(), m.GetMetaJson())
	return e, err
}

// within puts the field of an error into a larger one.
func within(field string, err error) error {
	if bad, ok := err.(*journal.InvalidError); ok {
		return &journal.InvalidError{Field: field + "." + bad.Field, Problem: bad.Problem}
	}
	return err
}

// Events turns messages into events.
func Events(ms []*pb.Event) ([]journal.Event, error) {
	events := make([]journal.Event, 0, len(ms))
	for _, m := range ms {
		e, err := ToEvent(m)
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	return events, nil
}

// Filter turns a filter into messages.
func Filter(f journal.Filter) []*pb.Match {
	ms := make([]*pb.Match, 0, len(f))
	for i := range f {
		ms = append(ms, &pb.Match{
			Stream: string(f[i].Stream), Category: f[i].Category, Types: f[i].Types, Tags: f[i].Tags,
		})
	}
	return ms
}

// ToFilter turns messages into a filter.
func ToFilter(field string, ms []*pb.Match) (journal.Filter, error) {
	var f journal.Filter
	for i, m := range ms {
		if err := known(fmt.Sprintf("%s[%d]", field, i), m); err != nil {
			return nil, err
		}
		f = append(f, journal.Match{
			Stream: journal.Stream(m.GetStream()), Category: m.GetCategory(), Types: m.GetTypes(), Tags: m.GetTags(),
		})
	}
	return f, nil
}

// Checkpoint turns a checkpoint into a message.
func Checkpoint(c journal.Checkpoint) *pb.Checkpoint {
	m := &pb.Checkpoint{Log: c.Log, Epoch: int64(c.Epoch), Position: int64(c.Position)}
	if c.ID != (journal.ID{}) {
		m.Id = c.ID.String()
	}
	return m
}

// ToCheckpoint turns a message into a checkpoint.
func ToCheckpoint(field string, m *pb.Checkpoint) (journal.Checkpoint, error) {
	c := journal.Checkpoint{
		Log: m.GetLog(), Epoch: journal.LogEpoch(m.GetEpoch()), Position: journal.Position(m.GetPosition()),
	}
	if m.GetId() == "" {
		return c, nil
	}
	var err error
	c.ID, err = journal.ParseID(m.GetId())
	return c, within(field, err)
}

// Frame turns a frame into a message; with inline payloads are JSON in place, where they are JSON.
func Frame(f *journal.Frame, inline bool) *pb.Frame {
	m := &pb.Frame{Checkpoint: Checkpoint(f.Checkpoint), CaughtUp: f.CaughtUp, AsOf: Time(f.AsOf)}
	for i := range f.Events {
		m.Events = append(m.Events, Event(&f.Events[i], inline))
	}
	return m
}

// ToFrame turns a message into a frame.
func ToFrame(m *pb.Frame) (f journal.Frame, err error) {
	if f.Events, err = Events(m.GetEvents()); err != nil {
		return f, err
	}
	if f.Checkpoint, err = ToCheckpoint("checkpoint", m.GetCheckpoint()); err != nil {
		return f, err
	}
	f.CaughtUp = m.GetCaughtUp()
	f.AsOf, err = ToTime("as_of", m.GetAsOf())
	return f, err
}

// Record turns a record into a message; with inline its value is JSON in place, where it is JSON.
func Record(r *journal.Record, inline bool) *pb.Record {
	m := &pb.Record{Kind: r.Kind, Key: r.Key, Version: int64(r.Version), Due: Time(r.Due), Value: r.Value}
	if inline {
		if v := Inline(r.Value); v != nil {
			m.Value, m.ValueJson = nil, v
		}
	}
	return m
}

// ToRecord turns a message into a record.
func ToRecord(m *pb.Record) (journal.Record, error) {
	r := journal.Record{
		Kind: m.GetKind(), Key: m.GetKey(), Version: journal.Version(m.GetVersion()), Value: m.GetValue(),
	}
	var err error
	r.Due, err = ToTime("due", m.GetDue())
	return r, err
}

// Stat turns counts into a message.
func Stat(s journal.Stat) *pb.StatResponse {
	return &pb.StatResponse{
		Backend: s.Backend, Head: Checkpoint(s.Head), Events: s.Events, Streams: s.Streams, Records: s.Records,
		Bytes: s.Bytes,
	}
}

// ToStat turns a message into counts.
func ToStat(m *pb.StatResponse) (journal.Stat, error) {
	head, err := ToCheckpoint("head", m.GetHead())
	return journal.Stat{
		Backend: m.GetBackend(), Head: head, Events: m.GetEvents(), Streams: m.GetStreams(), Records: m.GetRecords(),
		Bytes: m.GetBytes(),
	}, err
}
