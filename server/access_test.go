// SPDX-License-Identifier: Apache-2.0

// Who may do what: the matrix.

package server_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/lease"
	"example.com/vidimus/server"
	"example.com/vidimus/server/remote"
	"example.com/vidimus/server/token"
	pb "example.com/vidimus/server/vidimusv1"
	"example.com/vidimus/server/vidimusv1/vidimusv1connect"
)

// deed is something to try.
type deed struct {
	name string
	do   func(ctx context.Context, l *remote.Log) error
}

func commit(name string, u journal.Unit) deed {
	return deed{name, func(ctx context.Context, l *remote.Log) error {
		fresh := u
		fresh.Appends = append([]journal.Append(nil), u.Appends...)
		for i := range fresh.Appends {
			if fresh.Appends[i].Events != nil {
				fresh.Appends[i].Events = []journal.EventData{event("x", "{}")}
			}
		}
		_, err := l.Commit(ctx, fresh)
		return err
	}}
}

func record(name, kind, key string, op journal.RecordOp) deed {
	return commit(name, journal.Unit{Records: []journal.RecordWrite{
		{Kind: kind, Key: key, Op: op, Expect: journal.Any, Value: []byte("{}")},
	}})
}

func read(name string, f journal.Filter) deed {
	return deed{name, func(ctx context.Context, l *remote.Log) error {
		for _, err := range l.Read(ctx, journal.ReadOptions{Filter: f}) {
			return err
		}
		return nil
	}}
}

var (
	some      = []journal.EventData{{}}
	toOrder   = journal.Unit{Appends: []journal.Append{{Stream: "order-1", Expect: journal.Any, Events: some}}}
	toCart    = journal.Unit{Appends: []journal.Append{{Stream: "cart-1", Expect: journal.Any, Events: some}}}
	toBoth    = journal.Unit{Appends: append(append([]journal.Append(nil), toOrder.Appends...), toCart.Appends...)}
	toSession = journal.Unit{Appends: []journal.Append{{Stream: "session-1", Expect: journal.Any, Events: some}}}
	look      = journal.Unit{Appends: []journal.Append{{Stream: "order-1", Expect: journal.Any}}}
	spy       = journal.Unit{
		Appends:    toOrder.Appends,
		Conditions: []journal.Condition{{After: 1 << 40, Filter: journal.Filter{{Category: "cart"}}}},
	}
)

// matrix says for each deed which rights suffice. Every other set of rights of the table must be denied.
var matrix = []struct {
	deed
	by string // rights that suffice, apart by blanks; admin always does
}{
	{commit("append to order", toOrder), "append:order append:ord* append:* append:*+read:*"},
	{commit("append to order and cart", toBoth), "append:* append:*+read:*"},
	{commit("look at order's version", look), "append:order append:ord* append:* read:order read:* append:*+read:*"},
	{commit("condition on cart", spy), "append:*+read:*"},
	{commit("append to session", toSession), ""},
	{record("write the keys", "keyring", "signing", journal.Check), ""},
	{read("read all", nil), "read:* append:*+read:*"},
	{read("read order", journal.Filter{{Category: "order"}}), "read:order read:* append:*+read:*"},
	{read("read order or cart", journal.Filter{{Category: "order"}, {Category: "cart"}}), "read:* append:*+read:*"},
	{read("read by type", journal.Filter{{Types: []string{"x"}}}), "read:* append:*+read:*"},
	{read("read order or by tag", journal.Filter{{Category: "order"}, {Tags: []string{"x"}}}), "read:* append:*+read:*"},
	{read("read one order", journal.Filter{{Stream: "order-1"}}), "read:order read:* append:*+read:*"},
	{read("read the stream named order", journal.Filter{{Stream: "order"}}), "read:order read:* append:*+read:*"},
	{read("read orders", journal.Filter{{Category: "orders"}}), "read:* append:*+read:*"},
	{deed{"read stream", func(ctx context.Context, l *remote.Log) error {
		for _, err := range l.ReadStream(ctx, "order-1", nil) {
			return err
		}
		return nil
	}}, "read:order read:* append:*+read:*"},
	{deed{"follow all", func(ctx context.Context, l *remote.Log) error {
		for _, err := range l.Follow(ctx, journal.FollowOptions{}) {
			return err
		}
		return nil
	}}, "read:* append:*+read:*"},
	{deed{"count", func(ctx context.Context, l *remote.Log) error {
		_, err := l.Stat(ctx)
		return err
	}}, "read:* append:*+read:*"},
	{deed{"verify", func(ctx context.Context, l *remote.Log) error {
		_, err := l.Verify(ctx, nil)
		return err
	}}, ""},
	{deed{"renew", func(ctx context.Context, l *remote.Log) error {
		_, err := l.Renew(ctx)
		return err
	}}, ""},
	{record("write own record", "basket", "b1", journal.Put), "record:basket"},
	{record("check own record", "basket", "b1", journal.Check), "record:basket"},
	{record("check a lease", journal.KindLease, "seat", journal.Check), ""},
	{record("write a timer", "timer", "t1", journal.Put), ""},
	{record("write a checkpoint", journal.KindCheckpoint, "mailer", journal.Put), "consumer:mailer"},
	{record("write another's checkpoint", journal.KindCheckpoint, "billing", journal.Put), ""},
	{deed{"read a token", func(ctx context.Context, l *remote.Log) error {
		return absent(l.Record(ctx, token.Kind, "nobody"))
	}}, ""},
	{deed{"read a checkpoint", func(ctx context.Context, l *remote.Log) error {
		_, _, err := l.Checkpoint(ctx, "mailer")
		return err
	}}, "consumer:mailer"},
	{deed{"list checkpoints", func(ctx context.Context, l *remote.Log) error {
		_, err := l.Records(ctx, journal.RecordQuery{Kind: journal.KindCheckpoint})
		return err
	}}, ""},
	{deed{"list leases as records", func(ctx context.Context, l *remote.Log) error {
		_, err := l.Records(ctx, journal.RecordQuery{Kind: journal.KindLease})
		return err
	}}, ""},
	{deed{"list own records", func(ctx context.Context, l *remote.Log) error {
		_, err := l.Records(ctx, journal.RecordQuery{Kind: "basket"})
		return err
	}}, "record:basket"},
	{deed{"list tokens", func(ctx context.Context, l *remote.Log) error {
		_, err := l.Tokens().List(ctx)
		return err
	}}, ""},
	{deed{"make a token", func(ctx context.Context, l *remote.Log) error {
		_, _, err := l.Tokens().Create(ctx, token.Spec{Name: "x", Rights: token.Rights{{Verb: token.Admin}}})
		return err
	}}, ""},
	{deed{"revoke a token", func(ctx context.Context, l *remote.Log) error {
		return absent(0, l.Tokens().Revoke(ctx, "nobody"))
	}}, ""},
	{deed{"acquire a lease", func(ctx context.Context, l *remote.Log) error {
		s, err := l.Leases().Start(ctx, lease.Session{})
		if err != nil {
			return err
		}
		_, err = l.Leases().Acquire(ctx, lease.Claim{Name: "seat", Session: s.ID})
		return errors.Join(err, l.Leases().End(ctx, s.ID))
	}}, "lease:seat"},
	{deed{"release by force", func(ctx context.Context, l *remote.Log) error {
		return absent(l.Leases().ForceRelease(ctx, "never-held", "x"))
	}}, ""},
	{deed{"look at the head", func(ctx context.Context, l *remote.Log) error {
		_, err := l.Head(ctx)
		return err
	}}, strings.Join(holders, " ")},
}

// holders are the sets of rights that are tried, joined by '+'.
var holders = []string{
	"append:order", "append:ord*", "append:cart", "append:*", "read:order", "read:cart", "read:*", "append:*+read:*",
	"record:basket", "record:t*", "record:l*", "record:k*", "consumer:mailer", "lease:seat", "lease:other",
	"session:*", "passport:*", "feed",
}

func absent[T any](_ T, err error) error {
	if errors.Is(err, journal.ErrNotFound) {
		return nil
	}
	return err
}

func TestRightsMatrix(t *testing.T) {
	t.Parallel()
	n := start(t, server.Config{})
	for _, holder := range append([]string{"admin"}, holders...) {
		l := n.dial(t, strings.Split(holder, "+")...)
		for _, m := range matrix {
			err := m.do(t.Context(), l)
			suffices := holder == "admin"
			for _, by := range strings.Fields(m.by) {
				suffices = suffices || by == holder
			}
			switch {
			case suffices && err != nil:
				t.Errorf("%s with %s: %v, want nil", m.name, holder, err)
			case !suffices && !errors.Is(err, remote.ErrPermission):
				t.Errorf("%s with %s: %v, want permission denied", m.name, holder, err)
			}
		}
	}
}

func TestDenialNamesTheRightAndTheWayOut(t *testing.T) {
	t.Parallel()
	n := start(t, server.Config{})
	l := n.dial(t, "read:order", "read:cart*")
	err := read("", nil).do(t.Context(), l)
	if err == nil || !strings.Contains(err.Error(), "read:*") || !strings.Contains(err.Error(), "order, cart*") {
		t.Errorf("got %v, want the right read:* and the categories that may be read", err)
	}
	err = commit("", toOrder).do(t.Context(), l)
	if err == nil || !strings.Contains(err.Error(), "append:order") {
		t.Errorf("got %v, want the right append:order", err)
	}
}

func TestNobodyForgesLeasesSessionsOrTokens(t *testing.T) {
	t.Parallel()
	n := start(t, server.Config{})
	l := n.dial(t, "admin")
	for _, kind := range []string{journal.KindLease, lease.KindSession, lease.KindQueue, token.Kind, "keyring"} {
		for _, op := range []journal.RecordOp{journal.Put, journal.Delete} {
			if err := record("", kind, "x", op).do(t.Context(), l); !errors.Is(err, journal.ErrInvalid) {
				t.Errorf("writing a record of kind %s, op %d: %v, want invalid", kind, op, err)
			}
		}
	}
	r, err := l.Records(t.Context(), journal.RecordQuery{Kind: token.Kind})
	if err != nil || len(r) != 1 || r[0].Value != nil {
		t.Errorf("records of tokens are %v, %v, want one without its value", r, err)
	}
}

func TestSessionsBelongToTheirToken(t *testing.T) {
	t.Parallel()
	n := start(t, server.Config{})
	mine, other := n.dial(t, "lease:*").Leases(), n.dial(t, "lease:*").Leases()
	s, err := mine.Start(t.Context(), lease.Session{Owner: "worker", TTL: time.Minute})
	if err != nil || s.Owner != "test/worker" {
		t.Fatalf("started %+v, %v, want the owner test/worker", s, err)
	}
	claim := lease.Claim{Name: "seat", Session: s.ID}
	epoch, err := mine.Acquire(t.Context(), claim)
	if err != nil || epoch != 1 {
		t.Fatalf("acquired epoch %d, %v", epoch, err)
	}
	for name, err := range map[string]error{
		"renew":   second(other.Renew(t.Context(), s.ID)),
		"end":     other.End(t.Context(), s.ID),
		"acquire": second(other.Acquire(t.Context(), claim)),
		"release": other.Release(t.Context(), claim),
	} {
		if !errors.Is(err, remote.ErrPermission) {
			t.Errorf("%s with another's session: %v, want permission denied", name, err)
		}
	}
	theirs, err := other.Start(t.Context(), lease.Session{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = other.Acquire(t.Context(), lease.Claim{Name: "seat", Session: theirs.ID, Wait: true})
	var held *lease.HeldError
	if !errors.As(err, &held) || held.Holder.Owner != "test/worker" || held.Place != 1 || held.Epoch != 1 {
		t.Fatalf("got %v, want held by test/worker, place 1", err)
	}
	infos, err := other.List(t.Context(), "", "", 0)
	if err != nil || len(infos) != 1 || infos[0].Holder.Session != s.ID || len(infos[0].Waiting) != 1 {
		t.Fatalf("listed %+v, %v", infos, err)
	}
	if err := mine.Release(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	if err := mine.End(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := mine.Renew(t.Context(), s.ID); !errors.Is(err, lease.ErrLost) {
		t.Errorf("renewing an ended session: %v, want lost", err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestTokensMustBeGood(t *testing.T) {
	t.Parallel()
	n := start(t, server.Config{})
	good := n.token(t, "admin")
	for name, text := range map[string]string{
		"none": "", "garbage": "x", "half": good[:20], "another secret": good[:len(good)-4] + "0000",
		"another id": "vid_0000000000" + good[14:],
	} {
		status, body := n.post(t, headPath, text, `{}`)
		if status != 401 || !strings.Contains(body, "unauthenticated") || strings.Contains(body, "main") {
			t.Errorf("%s: answered %d %s, want 401 without names of cells", name, status, body)
		}
	}
	if status, body := n.post(t, headPath, "", `{}`, "Authorization", "Basic "+good); status != 401 {
		t.Errorf("basic: answered %d %s, want 401", status, body)
	}
	if status, body := n.post(t, headPath, good, `{}`); status != 200 {
		t.Errorf("good: answered %d %s", status, body)
	}
}

func TestCellsAreKeptApart(t *testing.T) {
	t.Parallel()
	a, b := mem.Open(), mem.Open()
	n := start(t, server.Config{Cells: map[string]*journal.Log{"main": a, "other": b}})
	text := n.token(t, "admin")
	for cell, want := range map[string]string{
		"":      `"log"`,
		"main":  `"log"`,
		"other": `"unknown cell: \"other\" is not among those this node has for you: main"`,
	} {
		if _, body := n.post(t, headPath, text, `{"cell":"`+cell+`"}`); !strings.Contains(body, want) {
			t.Errorf("cell %q: answered %s, want %s", cell, body, want)
		}
	}
}

func TestOpenServesThisMachineAlone(t *testing.T) {
	t.Parallel()
	n := start(t, server.Config{Open: true})
	bad := n.token(t, "read:order")[:20]
	for _, tt := range []struct {
		name   string
		header []string
		token  string
		want   int
	}{
		{"a program", nil, "", 200},
		{"by name", []string{"Host", "localhost:7420"}, "", 200},
		{"by IPv6", []string{"Host", "[::1]:7420"}, "", 200},
		{"by a name that was made to point here", []string{"Host", "evil.example"}, "", 403},
		{"a page of another site", []string{"Origin", "https://evil.example"}, "", 403},
		{"a cross-site fetch", []string{"Sec-Fetch-Site", "cross-site"}, "", 403},
		{"a page of this machine", []string{"Sec-Fetch-Site", "same-origin"}, "", 200},
		{"through a proxy", []string{"X-Forwarded-For", "192.0.2.1"}, "", 403},
		{"as a form", []string{"Content-Type", "text/plain"}, "", 415},
		{"a bad token", nil, bad, 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if status, body := n.post(t, headPath, tt.token, `{}`, tt.header...); status != tt.want {
				t.Errorf("answered %d %s, want %d", status, body, tt.want)
			}
		})
	}
	path := vidimusv1connect.JournalServiceHeadProcedure + "?connect=v1&encoding=json&message=%7B%7D"
	if status, _ := n.get(t, path); status != 200 {
		t.Errorf("GET: answered %d", status)
	}
	if status, _ := n.get(t, path, "Sec-Fetch-Site", "cross-site"); status != 403 {
		t.Errorf("GET from another site: answered %d", status)
	}
}

func TestNothingListensBeyondThisMachineWithoutTokens(t *testing.T) {
	t.Parallel()
	for _, open := range []bool{true, false} {
		s, err := server.New(server.Config{Cells: map[string]*journal.Log{"main": mem.Open()}, Open: open})
		if err != nil {
			t.Fatal(err)
		}
		err = s.Serve(t.Context(), elsewhere{})
		if err == nil || !strings.Contains(err.Error(), "refusing to listen") {
			t.Errorf("open %v: Serve returned %v, want a refusal", open, err)
		}
		rights := token.Rights{{Verb: token.Admin}}
		if _, _, err := s.Tokens("main").Create(t.Context(), token.Spec{Name: "x", Rights: rights}); err != nil {
			t.Fatal(err)
		}
		err = s.Serve(t.Context(), elsewhere{})
		if refused := strings.Contains(err.Error(), "refusing to listen"); refused != open {
			t.Errorf("open %v, with a token: Serve returned %v", open, err)
		}
	}
}

// elsewhere is a listener that others can reach, without being one.
type elsewhere struct{ net.Listener }

func (elsewhere) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4zero, Port: 7420} }

func (elsewhere) Accept() (net.Conn, error) { return nil, errors.New("nobody comes") }

func (elsewhere) Close() error { return nil }

func TestRevocationEndsWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	for name, events := range map[string]int{"with an event": 1, "idle": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := start(t, server.Config{})
			text := n.token(t, "read:*")
			c := n.client(t, text)
			follow, err := c.Follow(t.Context(), &pb.FollowRequest{Pulse: durationpb.New(time.Minute)})
			if err != nil || !follow.Receive() {
				t.Fatalf("following: %v", errors.Join(err, follow.Err()))
			}
			if err := n.Tokens("main").Revoke(t.Context(), strings.Split(text, "_")[1]); err != nil {
				t.Fatal(err)
			}
			began := clock.Now()
			n.fill(t, "order-1", events)
			for follow.Receive() {
				t.Errorf("%v reached a revoked token", follow.Msg())
			}
			if connect.CodeOf(follow.Err()) != connect.CodeUnauthenticated {
				t.Errorf("following ended with %v, want unauthenticated", follow.Err())
			}
			if took := clock.Since(began); took > 30*time.Second {
				t.Errorf("following ended only after %v", took)
			}
			if _, err := c.Head(t.Context(), &pb.HeadRequest{}); connect.CodeOf(err) != connect.CodeUnauthenticated {
				t.Errorf("head returned %v, want unauthenticated", err)
			}
		})
	}
}
