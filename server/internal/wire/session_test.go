// SPDX-License-Identifier: Apache-2.0

// Sessions and their commands come back from the wire as they went, and what does not fit is refused.

package wire_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"example.com/vidimus/heartbeat"
	"example.com/vidimus/journal"
	"example.com/vidimus/passport"
	"example.com/vidimus/server/internal/wire"
	pb "example.com/vidimus/server/vidimusv1"
	"example.com/vidimus/session"
)

// carried sends a message over the wire.
func carried[M any, P interface {
	*M
	proto.Message
}](t *testing.T, sent P, err error,
) P {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	data, err := proto.Marshal(sent)
	if err != nil {
		t.Fatal(err)
	}
	got := P(new(M))
	if err := proto.Unmarshal(data, got); err != nil {
		t.Fatal(err)
	}
	return got
}

func same[T any](t *testing.T, got, want T, err error) {
	t.Helper()
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
}

func TestSessionsComeBackAsTheyWent(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 31, 12, 0, 0, 123456000, time.UTC)
	state := session.State{"limit": json.RawMessage("500"), "big": json.RawMessage("9007199254740993")}
	plain := session.State{"name": json.RawMessage(`"Ada"`)}
	whole := session.Session{
		ID: "0123456789abcdefghijkl", Version: 3, Position: 9, Tenant: "acme", Subject: "u-42",
		Device: session.Device{Name: "n", UserAgent: "u", Address: "a"}, ACR: "2", AMR: []string{"pwd"}, AuthTime: at,
		Scopes: []string{"a", "b"}, State: state, Started: at, Idle: time.Minute, Expires: at.Add(time.Hour), Generation: 4,
		Rotated: at, Mark: passport.Mark{Log: "c3", Epoch: 7, Position: 9},
		Ended: &session.Ended{At: at, Why: session.Revoked, By: "x", Reason: "r"},
	}
	m, err := wire.SessionInfo(&whole)
	got, err := wire.ToSessionInfo(carried(t, m, err))
	same(t, got, whole, err)

	start := session.Start{
		ID: journal.ID{1, 2}, Tenant: "acme", Subject: "u", Device: session.Device{Name: "n"}, ACR: "1",
		AMR: []string{"otp"}, AuthTime: at, Scopes: []string{"s"}, State: plain, SubjectState: state, Idle: time.Second,
		Absolute: time.Hour, Proved: at,
	}
	sm, err := wire.Start("main", &start)
	gotStart, err := wire.ToStart(carried(t, sm, err))
	same(t, gotStart, start, err)

	change := session.Change{
		ID: journal.ID{3}, Expect: journal.Exactly(7), Set: plain, Unset: []string{"x"}, Via: "v", By: "b",
	}
	cm, err := wire.Change(&change)
	gotChange, err := wire.ToChange(carried(t, cm, err))
	same(t, gotChange, change, err)

	up := session.StepUp{
		ID: journal.ID{4}, Expect: journal.Any, ACR: "3", AMR: []string{"hwk"}, AuthTime: at,
		Scopes: []string{"pay"}, By: "b",
	}
	gotUp, err := wire.ToStepUp(carried(t, wire.StepUp("main", "s", &up), nil))
	same(t, gotUp, up, err)

	subject := session.Subject{
		Tenant: "acme", ID: "u", Version: 2, Position: 8, Mark: passport.Mark{Log: "c3", Epoch: 7, Position: 8}, State: state,
	}
	bm, err := wire.Subject(&subject)
	gotSubject, err := wire.ToSubject(carried(t, bm, err))
	same(t, gotSubject, subject, err)

	target := session.Target{Scope: heartbeat.Subject, Tenant: "acme", Subject: "u"}
	gotTarget, err := wire.ToTarget(carried(t, wire.Revoke("main", target, "b", "r"), nil))
	same(t, gotTarget, target, err)

	entry := session.Entry{Position: 4, Version: 2, Time: at, Type: "session.changed", By: "b", Detail: []byte(`{"a":1}`)}
	gotEntry, err := wire.ToEntry(carried(t, wire.Entry(&entry), nil))
	same(t, gotEntry, entry, err)

	frame := heartbeat.Frame{Log: "c3", Epoch: 7, After: 1, Through: 9, Snapshot: true, Changes: []heartbeat.Change{
		{Position: 5, Scope: heartbeat.Session, Key: "k", Effect: heartbeat.Revoked},
	}}
	same(t, wire.ToFeedFrame(carried(t, wire.FeedFrame(&frame), nil)), frame, nil)
	mark := passport.Mark{Log: "c3", Epoch: 7, Position: 9}
	same(t, wire.ToMark(carried(t, wire.Mark(mark), nil)), mark, nil)
}

func TestWhatIsForetoldComesBackAsItWent(t *testing.T) {
	t.Parallel()
	begun := session.Session{
		ID: "0123456789abcdefghijkl", Version: 3, Subject: "u-42", Mark: passport.Mark{Log: "c3", Epoch: 7, Position: 9},
	}
	fm, err := wire.Foretold(&begun)
	gotForetold, err := wire.ToForetold(carried(t, fm, err))
	same(t, gotForetold, begun, err)
	fm, err = wire.Foretold(&session.Session{})
	gotForetold, err = wire.ToForetold(carried(t, fm, err))
	same(t, gotForetold, session.Session{}, err)

	public := session.Public{
		Subject: map[string]session.Attribute{"limit": {Type: "number"}, "any": {}}, Session: map[string]session.Attribute{},
	}
	same(t, wire.ToPublic(carried(t, wire.Public(public), nil)), public, nil)
}

func TestBadCommandsNameTheFieldAndTheRemedy(t *testing.T) {
	t.Parallel()
	attributes := func(text string) *pb.Attributes { return &pb.Attributes{Data: []byte(text)} }
	for name, tt := range map[string]struct {
		field string
		read  func() error
	}{
		"no change": {"change", func() error { _, err := wire.ToChange(nil); return err }},
		"no expectation": {"change.expect", func() error {
			_, err := wire.ToChange(&pb.AttributeChange{Set: attributes("{}")})
			return err
		}},
		"negative expectation": {"change.expect", func() error {
			_, err := wire.ToChange(&pb.AttributeChange{Expect: "-1"})
			return err
		}},
		"id that is none": {"id", func() error { _, err := wire.ToStart(&pb.StartRequest{Id: "x"}); return err }},
		"no scope":        {"scope", func() error { _, err := wire.ToTarget(&pb.RevokeRequest{}); return err }},
		"unknown scope":   {"scope", func() error { _, err := wire.ToTarget(&pb.RevokeRequest{Scope: "world"}); return err }},
		"attribute twice": {"s", func() error { _, err := wire.ToAttributes("s", attributes(`{"a":1,"a":2}`)); return err }},
		"a list":          {"s", func() error { _, err := wire.ToAttributes("s", attributes(`[1]`)); return err }},
		"half an object":  {"s", func() error { _, err := wire.ToAttributes("s", attributes(`{"a":1`)); return err }},
		"two objects":     {"s", func() error { _, err := wire.ToAttributes("s", attributes(`{} {}`)); return err }},
		"broken value":    {"s.a", func() error { _, err := wire.ToAttributes("s", attributes(`{"a":nope}`)); return err }},
	} {
		err := tt.read()
		var bad *journal.InvalidError
		if !errors.As(err, &bad) || bad.Field != tt.field || bad.Problem == "" {
			t.Errorf("%s: %v, want invalid %s", name, err, tt.field)
		}
	}
}

func TestErrorsOfSessionsComeBackAsTheyWent(t *testing.T) {
	t.Parallel()
	for _, want := range []error{
		session.ErrEnded, session.ErrTooMany, passport.ErrNoSession, passport.ErrRevoked, passport.ErrSuperseded,
		passport.ErrUnavailable, wire.ErrNotOwner,
	} {
		sent := wire.Error(errors.Join(errors.New("outer"), want), nil)
		back, ours := wire.FromError(sent)
		if !ours || !errors.Is(back, want) {
			t.Errorf("%v came back as %v, %v", want, back, ours)
		}
	}
	back, _ := wire.FromError(wire.Error(&wire.NotOwnerError{URL: "http://n2"}, nil))
	var astray *wire.NotOwnerError
	if !errors.As(back, &astray) || astray.URL != "http://n2" || !strings.Contains(back.Error(), "http://n2") {
		t.Errorf("the owner came back as %v", back)
	}
	said := wire.Error(errors.Join(passport.ErrUnavailable, errors.New("host db-7 is down")), nil)
	if strings.Contains(said.Message(), "db-7") {
		t.Errorf("strangers are told %q", said.Message())
	}
}

func FuzzAttributes(f *testing.F) {
	for _, text := range []string{
		`{}`, `{"limit":500,"big":9007199254740993}`, `{"a":1,"a":2}`, `{"a":{"b":[1,null]}} `, `[1]`, `{"a":1`, `{} {}`, ``,
		`{"\u0061":1,"a":2}`, "{\"a\":\"\xff\"}",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		state, err := wire.ToAttributes("state", &pb.Attributes{Data: text})
		if err != nil {
			if !errors.Is(err, journal.ErrInvalid) {
				t.Errorf("%q is refused with %v, want invalid", text, err)
			}
			return
		}
		var want map[string]json.RawMessage
		if len(text) > 0 {
			if err := json.Unmarshal(text, &want); err != nil || len(want) != len(state) {
				t.Errorf("%q was read as %v, but is %v, %v", text, state, want, err)
			}
		}
		m, err := wire.Attributes(state)
		if err != nil {
			t.Fatal(err)
		}
		again, err := wire.ToAttributes("state", m)
		if err != nil || len(again) != len(state) {
			t.Errorf("%q came back as %v, %v", text, again, err)
		}
	})
}

// TestADeviceThatIsNoTextIsSent: what a browser says of itself is not refused on the way either.
func TestADeviceThatIsNoTextIsSent(t *testing.T) {
	t.Parallel()
	m, err := wire.Start("shop", &session.Start{Subject: "ada", Device: session.Device{UserAgent: "Fire\xfffox\n"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := proto.Marshal(m); err != nil || m.GetDevice().GetUserAgent() != "Firefox" {
		t.Errorf("it is sent as %q, %v", m.GetDevice().GetUserAgent(), err)
	}
}
