// SPDX-License-Identifier: Apache-2.0

// Errors keep their meaning on the way to the caller, and nothing else.

package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/server"
	"example.com/vidimus/server/remote"
	pb "example.com/vidimus/server/vidimusv1"
)

// failing is a journal whose store answers every commit with one error.
type failing struct {
	journal.Store
	err error
}

func (f *failing) Commit(context.Context, []*journal.Unit) ([]journal.Outcome, error) {
	return nil, f.err
}

const secret = "host=db.internal user=root"

func TestErrorsKeepTheirMeaning(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err    error
		code   connect.Code
		reason string
		hidden bool // the text must not reach the caller
	}{
		{&journal.InvalidError{Field: "appends[0].stream", Problem: "is odd"}, connect.CodeInvalidArgument, "INVALID", false},
		{&journal.ConflictError{Name: "a-1", Expect: 4, Actual: 7}, connect.CodeAborted, "CONFLICT", false},
		{&journal.ConflictError{Name: "a-1", Expect: journal.Any}, connect.CodeAborted, "CONFLICT", false},
		{fmt.Errorf("%w: at 7", journal.ErrCondition), connect.CodeAborted, "CONDITION", false},
		{&journal.FencedError{Lease: "l", Held: 3, Current: 5}, connect.CodeFailedPrecondition, "FENCED", false},
		{fmt.Errorf("%w: twice", journal.ErrIDReused), connect.CodeAlreadyExists, "ID_REUSED", false},
		{fmt.Errorf("%w: wait", journal.ErrOverloaded), connect.CodeResourceExhausted, "OVERLOADED", false},
		{fmt.Errorf("%w: %s", journal.ErrUncertain, secret), connect.CodeUnknown, "UNCERTAIN", true},
		{fmt.Errorf("%w: %s", journal.ErrUnavailable, secret), connect.CodeUnavailable, "UNAVAILABLE", true},
		{fmt.Errorf("%w: %s", journal.ErrTooNew, secret), connect.CodeFailedPrecondition, "TOO_NEW", true},
		{fmt.Errorf("%w: %s", journal.ErrLocked, secret), connect.CodeUnavailable, "LOCKED", true},
		{journal.ErrClosed, connect.CodeUnavailable, "CLOSED", true},
		{fmt.Errorf("%w: other log", journal.ErrDiverged), connect.CodeFailedPrecondition, "DIVERGED", false},
		{errors.New(secret), connect.CodeInternal, "INTERNAL", true},
	} {
		t.Run(fmt.Sprintf("%s %T", tt.reason, tt.err), func(t *testing.T) {
			t.Parallel()
			log := journal.New(&failing{Store: mem.Open().Store(), err: tt.err})
			n := start(t, server.Config{Cells: map[string]*journal.Log{"main": log}, Open: true})
			unit := journal.Unit{Appends: []journal.Append{
				{Stream: "a-1", Expect: journal.Any, Events: []journal.EventData{event("x", "{}")}},
			}}
			_, wireErr := n.client(t, "").Append(t.Context(), &pb.AppendRequest{
				Appends: []*pb.Append{{Stream: "a-1", Events: []*pb.Event{{Type: "x"}}}},
			})
			if connect.CodeOf(wireErr) != tt.code || reasonOf(t, wireErr) != tt.reason {
				t.Errorf("sent %v, reason %s; want code %v, reason %s", wireErr, reasonOf(t, wireErr), tt.code, tt.reason)
			}
			l := n.dialWith(t, "")
			_, err := l.Commit(t.Context(), unit)
			many, manyErr := l.CommitMany(t.Context(), []journal.Unit{unit})
			if manyErr == nil {
				manyErr = many[0].Err
			}
			for _, err := range []error{wireErr, err, manyErr} {
				if tt.hidden && strings.Contains(err.Error(), secret) {
					t.Errorf("%q tells what it must not", err)
				}
			}
			for _, err := range []error{err, manyErr} {
				if !tt.hidden && err.Error() != tt.err.Error() {
					t.Errorf("came back as %q, want %q", err, tt.err)
				}
				if kind := kindOf(tt.err); kind != nil && !errors.Is(err, kind) {
					t.Errorf("came back as %v, which is not %v", err, kind)
				}
			}
		})
	}
}

func kindOf(err error) error {
	for _, kind := range []error{
		journal.ErrInvalid, journal.ErrConflict, journal.ErrCondition, journal.ErrFenced, journal.ErrIDReused,
		journal.ErrOverloaded, journal.ErrUncertain, journal.ErrDiverged, journal.ErrLocked, journal.ErrTooNew,
		journal.ErrUnavailable, journal.ErrClosed,
	} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	return nil
}

func detailOf(t *testing.T, err error) *pb.ErrorDetail {
	t.Helper()
	var sent *connect.Error
	if !errors.As(err, &sent) || len(sent.Details()) != 1 {
		t.Fatalf("%v has no detail", err)
	}
	m, err := sent.Details()[0].Value()
	detail, ok := m.(*pb.ErrorDetail)
	if err != nil || !ok {
		t.Fatalf("detail is %v, %v", m, err)
	}
	return detail
}

func reasonOf(t *testing.T, err error) string {
	t.Helper()
	return detailOf(t, err).GetReason()
}

func TestUncertainTellsTheIDsItMade(t *testing.T) {
	t.Parallel()
	log := journal.New(&failing{Store: mem.Open().Store(), err: journal.ErrUncertain})
	n := start(t, server.Config{Cells: map[string]*journal.Log{"main": log}, Open: true})
	_, err := n.client(t, "").Append(t.Context(), &pb.AppendRequest{
		Appends: []*pb.Append{{Stream: "a-1", Events: []*pb.Event{{Type: "x"}, {Type: "y"}}}},
	})
	if ids := detailOf(t, err).GetIds(); len(ids) != 2 {
		t.Errorf("made ids %v, want two to repeat the unit with", ids)
	}
}

func TestConflictsCarryTheActualVersion(t *testing.T) {
	t.Parallel()
	n := start(t, server.Config{})
	l := n.dial(t, "append:*")
	n.fill(t, "order-1", 3)
	_, err := l.Append(t.Context(), "order-1", journal.Exactly(2), event("x", "{}"))
	var conflict *journal.ConflictError
	if !errors.As(err, &conflict) || conflict.Actual != 3 || conflict.Expect != 2 || conflict.Name != "order-1" {
		t.Errorf("got %#v, want a conflict at version 3", err)
	}
}

func TestRemoteSaysWhatIsCertain(t *testing.T) {
	t.Parallel()
	n := start(t, server.Config{})
	l := n.dial(t, "append:*", "read:*")
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), "a-1", journal.Any, event("x", "{}")); !errors.Is(err, journal.ErrUnavailable) {
		t.Errorf("append to a node that is not there: %v, want unavailable", err)
	}
	if _, err := l.Head(t.Context()); !errors.Is(err, journal.ErrUnavailable) {
		t.Errorf("head of a node that is not there: %v, want unavailable", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Append(ctx, "a-1", journal.Any, event("x", "{}")); !errors.Is(err, context.Canceled) {
		t.Errorf("append after the end: %v, want canceled", err)
	}
	if _, err := l.Commit(t.Context(), journal.Unit{Appends: []journal.Append{{}}}); !errors.Is(err, journal.ErrInvalid) {
		t.Errorf("a unit that breaks a rule: %v, want invalid", err)
	}
}

func TestRemoteTellsStrangersFromNodes(t *testing.T) {
	t.Parallel()
	n := start(t, server.Config{Open: true})
	l, err := remote.New(remote.Config{URL: n.url + "/elsewhere"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.Head(t.Context())
	_, errWrite := l.Append(t.Context(), "a-1", journal.Any, event("x", "{}"))
	for _, err := range []error{err, errWrite} {
		if err == nil || !strings.Contains(err.Error(), "check the address") || errors.Is(err, journal.ErrUncertain) {
			t.Errorf("got %v, want to be told to check the address", err)
		}
	}
}

func TestAFullDiskFillsNoLog(t *testing.T) {
	t.Parallel()
	good := mem.Open()
	var logged bytes.Buffer
	n := start(t, server.Config{
		Open: true, Logger: logTo(&logged),
		Cells: map[string]*journal.Log{"main": journal.New(&failing{good.Store(), journal.ErrUnavailable})},
	})
	units := make([]journal.Unit, 100)
	for i := range units {
		events := []journal.EventData{event("x", "")}
		units[i].Appends = []journal.Append{{Stream: "order-1", Expect: journal.Any, Events: events}}
	}
	l, err := remote.New(remote.Config{URL: n.url})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.CommitMany(t.Context(), units); err != nil {
		t.Fatal(err)
	}
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(logged.String(), "\n"); lines != 1 || !strings.Contains(logged.String(), "units=100") {
		t.Errorf("logged %d lines, want one for 100 units: %s", lines, logged.String())
	}
}

func TestAnAnswerThatIsCutOffIsUncertain(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Error(err)
		}
		// With the rest of the request unread, this resets the connection.
		if err := errors.Join(conn.(*net.TCPConn).SetLinger(0), conn.Close(), listener.Close()); err != nil {
			t.Error(err)
		}
	}()
	l, err := remote.New(remote.Config{URL: "http://" + listener.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), "a-1", journal.Any, event("x", "{}")); !errors.Is(err, journal.ErrUncertain) {
		t.Errorf("got %v, want uncertain", err)
	}
}

func TestRemoteKeepsTheTokenToItself(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		config remote.Config
		want   string
	}{
		{remote.Config{URL: "http://node.example", Token: "vid_x"}, "https"},
		{remote.Config{URL: "127.0.0.1:7420"}, "http://127.0.0.1:7420"},
		{remote.Config{URL: "http://a@127.0.0.1"}, "token"},
		{remote.Config{URL: "http://127.0.0.1", Token: "a\nb"}, "characters"},
		{remote.Config{URL: "http://node.example", Token: "vid_x", Plain: true}, ""},
		{remote.Config{URL: "https://node.example/vidimus/", Token: "vid_x"}, ""},
	} {
		_, err := remote.New(tt.config)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v, want an error with %q", tt.config, err, tt.want)
		}
	}
}
