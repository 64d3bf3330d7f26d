// SPDX-License-Identifier: Apache-2.0

// Sessions and subjects, and the commands that change them.

package wire

import (
	"bytes"
	"encoding/json"
	"strconv"

	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/vidimus/heartbeat"
	"example.com/vidimus/journal"
	pb "example.com/vidimus/server/vidimusv1"
	"example.com/vidimus/session"
)

// SessionInfo turns a session of a subject into a message.
func SessionInfo(s *session.Session) (*pb.SessionInfo, error) {
	state, err := Attributes(s.State)
	if err != nil {
		return nil, err
	}
	m := &pb.SessionInfo{
		Id: s.ID, Version: int64(s.Version), Position: int64(s.Position), Tenant: s.Tenant, Subject: s.Subject,
		Device: device(s.Device), Acr: s.ACR, Amr: s.AMR, AuthTime: Time(s.AuthTime), Scopes: s.Scopes, State: state,
		Started: Time(s.Started), Idle: durationpb.New(s.Idle), Expires: Time(s.Expires), Generation: s.Generation,
		Rotated: Time(s.Rotated), Mark: Mark(s.Mark),
	}
	if e := s.Ended; e != nil {
		m.Ended = &pb.SessionEnd{At: Time(e.At), Why: string(e.Why), By: e.By, Reason: e.Reason}
	}
	return m, nil
}

// ToSessionInfo turns a message into a session of a subject.
func ToSessionInfo(m *pb.SessionInfo) (session.Session, error) {
	s := session.Session{
		ID: m.GetId(), Version: journal.Version(m.GetVersion()), Position: journal.Position(m.GetPosition()),
		Tenant: m.GetTenant(), Subject: m.GetSubject(), Device: toDevice(m.GetDevice()), ACR: m.GetAcr(), AMR: m.GetAmr(),
		Scopes: m.GetScopes(), Idle: m.GetIdle().AsDuration(), Generation: m.GetGeneration(),
		Mark: ToMark(m.GetMark()),
	}
	var err error
	if s.State, err = ToAttributes("session.state", m.GetState()); err != nil {
		return s, err
	}
	if s.AuthTime, err = ToTime("session.auth_time", m.GetAuthTime()); err != nil {
		return s, err
	}
	if s.Started, err = ToTime("session.started", m.GetStarted()); err != nil {
		return s, err
	}
	if s.Expires, err = ToTime("session.expires", m.GetExpires()); err != nil {
		return s, err
	}
	if s.Rotated, err = ToTime("session.rotated", m.GetRotated()); err != nil || m.GetEnded() == nil {
		return s, err
	}
	e := m.GetEnded()
	s.Ended = &session.Ended{Why: session.Why(e.GetWhy()), By: e.GetBy(), Reason: e.GetReason()}
	s.Ended.At, err = ToTime("session.ended.at", e.GetAt())
	return s, err
}

func device(d session.Device) *pb.Device {
	d = d.Clean() // a message holds nothing but UTF-8
	return &pb.Device{Name: d.Name, UserAgent: d.UserAgent, Address: d.Address}
}

func toDevice(m *pb.Device) session.Device {
	return session.Device{Name: m.GetName(), UserAgent: m.GetUserAgent(), Address: m.GetAddress()}
}

// Started turns a session with its handle into a message.
func Started(s *session.Started) (*pb.StartResponse, error) {
	info, err := SessionInfo(&s.Session)
	return &pb.StartResponse{Session: info, Handle: s.Handle}, err
}

// ToStarted turns a message into a session with its handle.
func ToStarted(m *pb.StartResponse) (session.Started, error) {
	s, err := ToSessionInfo(m.GetSession())
	return session.Started{Session: s, Handle: m.GetHandle()}, err
}

// Foretold turns what a start was foretold into a message.
func Foretold(s *session.Session) (*pb.ForetellResponse, error) {
	if s.ID == "" {
		return &pb.ForetellResponse{}, nil
	}
	info, err := SessionInfo(s)
	return &pb.ForetellResponse{Session: info}, err
}

// ToForetold turns a message into what a start was foretold.
func ToForetold(m *pb.ForetellResponse) (session.Session, error) {
	if m.GetSession() == nil {
		return session.Session{}, nil
	}
	return ToSessionInfo(m.GetSession())
}

// Public turns a public schema into a message.
func Public(p session.Public) *pb.PublicAttributes {
	kinds := func(declared map[string]session.Attribute) map[string]string {
		named := make(map[string]string, len(declared))
		for name, a := range declared {
			named[name] = a.Type
		}
		return named
	}
	return &pb.PublicAttributes{Subject: kinds(p.Subject), Session: kinds(p.Session)}
}

// ToPublic turns a message into a public schema.
func ToPublic(m *pb.PublicAttributes) session.Public {
	declared := func(kinds map[string]string) map[string]session.Attribute {
		named := make(map[string]session.Attribute, len(kinds))
		for name, kind := range kinds {
			named[name] = session.Attribute{Type: kind}
		}
		return named
	}
	return session.Public{Subject: declared(m.GetSubject()), Session: declared(m.GetSession())}
}

// Subject turns a subject into a message.
func Subject(s *session.Subject) (*pb.SubjectInfo, error) {
	state, err := Attributes(s.State)
	return &pb.SubjectInfo{
		Tenant: s.Tenant, Subject: s.ID, Version: int64(s.Version), Position: int64(s.Position), State: state,
		Mark: Mark(s.Mark),
	}, err
}

// ToSubject turns a message into a subject.
func ToSubject(m *pb.SubjectInfo) (session.Subject, error) {
	state, err := ToAttributes("subject.state", m.GetState())
	return session.Subject{
		Tenant: m.GetTenant(), ID: m.GetSubject(), Version: journal.Version(m.GetVersion()),
		Position: journal.Position(m.GetPosition()), State: state, Mark: ToMark(m.GetMark()),
	}, err
}

// Attributes turns attributes into a message, nil into none.
func Attributes(s session.State) (*pb.Attributes, error) {
	if s == nil {
		return nil, nil
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, invalid("state", "is no JSON: %v", err)
	}
	return Detailed(text), nil
}

// Detailed turns a JSON object into a message.
func Detailed(text []byte) *pb.Attributes {
	if v := Inline(text); v != nil {
		return &pb.Attributes{Json: v}
	}
	return &pb.Attributes{Data: text}
}

// ToDetail returns the JSON of a message.
func ToDetail(field string, m *pb.Attributes) (json.RawMessage, error) {
	return payload(field, m.GetData(), m.GetJson())
}

// ToAttributes turns a message into attributes, none into nil.
func ToAttributes(field string, m *pb.Attributes) (session.State, error) {
	if m == nil {
		return nil, nil
	}
	if err := known(field, m); err != nil {
		return nil, err
	}
	text, err := ToDetail(field, m)
	if err != nil {
		return nil, err
	}
	if len(text) == 0 {
		return session.State{}, nil
	}
	in := json.NewDecoder(bytes.NewReader(text))
	if t, err := in.Token(); err != nil || t != json.Delim('{') {
		return nil, invalid(field, "is no JSON object; send one value by the name of each attribute")
	}
	state := session.State{}
	for in.More() {
		t, err := in.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, invalid(field, "is no JSON object: %v", err)
		}
		if _, twice := state[name]; twice {
			return nil, invalid(field, "has %q twice; send it once", name)
		}
		var value json.RawMessage
		if err := in.Decode(&value); err != nil {
			return nil, invalid(field+"."+name, "is no JSON: %v", err)
		}
		state[name] = value
	}
	if _, err := in.Token(); err != nil || in.InputOffset() != int64(len(bytes.TrimRight(text, " \t\r\n"))) {
		return nil, invalid(field, "is more, or less, than one JSON object")
	}
	return state, nil
}

// Start turns a command into a message.
func Start(cell string, s *session.Start) (*pb.StartRequest, error) {
	m := &pb.StartRequest{
		Cell: cell, Id: id(s.ID), Tenant: s.Tenant, Subject: s.Subject, Device: device(s.Device), Acr: s.ACR, Amr: s.AMR,
		AuthTime: Time(s.AuthTime), Scopes: s.Scopes, Proved: Time(s.Proved),
	}
	if s.Idle != 0 {
		m.Idle = durationpb.New(s.Idle)
	}
	if s.Absolute != 0 {
		m.Absolute = durationpb.New(s.Absolute)
	}
	var err error
	if m.State, err = Attributes(s.State); err != nil {
		return nil, err
	}
	m.SubjectState, err = Attributes(s.SubjectState)
	return m, err
}

// ToStart turns a message into a command.
func ToStart(m *pb.StartRequest) (s session.Start, err error) {
	if err := known("start", m); err != nil {
		return s, err
	}
	s = session.Start{
		Tenant: m.GetTenant(), Subject: m.GetSubject(), Device: toDevice(m.GetDevice()), ACR: m.GetAcr(), AMR: m.GetAmr(),
		Scopes: m.GetScopes(), Idle: m.GetIdle().AsDuration(), Absolute: m.GetAbsolute().AsDuration(),
	}
	if m.GetIdle().CheckValid() != nil && m.GetIdle() != nil {
		return s, invalid("idle", "is no duration; write it as 1800s")
	}
	if m.GetAbsolute().CheckValid() != nil && m.GetAbsolute() != nil {
		return s, invalid("absolute", "is no duration; write it as 43200s")
	}
	if s.ID, err = toID("id", m.GetId()); err != nil {
		return s, err
	}
	if s.AuthTime, err = ToTime("auth_time", m.GetAuthTime()); err != nil {
		return s, err
	}
	if s.Proved, err = ToTime("proved", m.GetProved()); err != nil {
		return s, err
	}
	if s.State, err = ToAttributes("state", m.GetState()); err != nil {
		return s, err
	}
	s.SubjectState, err = ToAttributes("subject_state", m.GetSubjectState())
	return s, err
}

// Change turns a command into a message.
func Change(c *session.Change) (*pb.AttributeChange, error) {
	set, err := Attributes(c.Set)
	return &pb.AttributeChange{
		Id: id(c.ID), Expect: expectation(c.Expect), Set: set, Unset: c.Unset, Via: c.Via, By: c.By,
	}, err
}

// ToChange turns a message into a command.
func ToChange(m *pb.AttributeChange) (c session.Change, err error) {
	if m == nil {
		return c, invalid("change", "is missing; say what to set or unset")
	}
	if err := known("change", m); err != nil {
		return c, err
	}
	c = session.Change{Unset: m.GetUnset(), Via: m.GetVia(), By: m.GetBy()}
	if c.ID, err = toID("change.id", m.GetId()); err != nil {
		return c, err
	}
	if c.Expect, err = toExpectation("change.expect", m.GetExpect()); err != nil {
		return c, err
	}
	c.Set, err = ToAttributes("change.set", m.GetSet())
	return c, err
}

// StepUp turns a command into a message.
func StepUp(cell, sid string, u *session.StepUp) *pb.StepUpRequest {
	return &pb.StepUpRequest{
		Cell: cell, Session: sid, Id: id(u.ID), Expect: expectation(u.Expect), Acr: u.ACR, Amr: u.AMR,
		AuthTime: Time(u.AuthTime), Scopes: u.Scopes, By: u.By,
	}
}

// ToStepUp turns a message into a command.
func ToStepUp(m *pb.StepUpRequest) (u session.StepUp, err error) {
	if err := known("step_up", m); err != nil {
		return u, err
	}
	u = session.StepUp{ACR: m.GetAcr(), AMR: m.GetAmr(), Scopes: m.GetScopes(), By: m.GetBy()}
	if u.ID, err = toID("id", m.GetId()); err != nil {
		return u, err
	}
	if u.Expect, err = toExpectation("expect", m.GetExpect()); err != nil {
		return u, err
	}
	u.AuthTime, err = ToTime("auth_time", m.GetAuthTime())
	return u, err
}

// Revoke turns a command into a message.
func Revoke(cell string, t session.Target, by, reason string) *pb.RevokeRequest {
	return &pb.RevokeRequest{
		Cell: cell, Scope: string(t.Scope), Key: t.Key, Tenant: t.Tenant, Subject: t.Subject, By: by, Reason: reason,
	}
}

// ToTarget turns a message into what to revoke.
func ToTarget(m *pb.RevokeRequest) (session.Target, error) {
	if err := known("revoke", m); err != nil {
		return session.Target{}, err
	}
	t := session.Target{
		Scope: heartbeat.Scope(m.GetScope()), Key: m.GetKey(), Tenant: m.GetTenant(), Subject: m.GetSubject(),
	}
	switch t.Scope {
	case heartbeat.Token, heartbeat.Session, heartbeat.Subject, heartbeat.Tenant, heartbeat.Key, heartbeat.All:
		return t, nil
	}
	return t, invalid("scope", "%q is none; use token, session, subject, tenant, key or all", m.GetScope())
}

// Entry turns a line of a history into a message.
func Entry(e *session.Entry) *pb.HistoryEntry {
	return &pb.HistoryEntry{
		Position: int64(e.Position), Version: int64(e.Version), Time: Time(e.Time), Type: e.Type, By: e.By,
		Detail: Detailed(e.Detail),
	}
}

// ToEntry turns a message into a line of a history.
func ToEntry(m *pb.HistoryEntry) (session.Entry, error) {
	e := session.Entry{
		Position: journal.Position(m.GetPosition()), Version: journal.Version(m.GetVersion()), Type: m.GetType(),
		By: m.GetBy(),
	}
	var err error
	if e.Time, err = ToTime("entry.time", m.GetTime()); err != nil {
		return e, err
	}
	e.Detail, err = ToDetail("entry.detail", m.GetDetail())
	return e, err
}

// id writes an id, zero as nothing.
func id(i journal.ID) string {
	if i == (journal.ID{}) {
		return ""
	}
	return i.String()
}

func toID(field, text string) (journal.ID, error) {
	if text == "" {
		return journal.ID{}, nil
	}
	i, err := journal.ParseID(text)
	if err != nil {
		return i, invalid(field, "%q is no UUID; make a new one for each command, or leave it out", clip(text))
	}
	return i, nil
}

// expectation writes what a command was decided on.
func expectation(e journal.Expect) string {
	switch e {
	case journal.Any:
		return "any"
	case journal.Exists:
		return "exists"
	}
	return strconv.FormatInt(int64(e), 10)
}

func toExpectation(field, text string) (journal.Expect, error) {
	switch text {
	case "any":
		return journal.Any, nil
	case "exists":
		return journal.Exists, nil
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil || v < 0 {
		return 0, invalid(field, "%q is no version; write the one that was read, such as 412, or any", clip(text))
	}
	return journal.Exactly(journal.Version(v)), nil
}
