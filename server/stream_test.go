// SPDX-License-Identifier: Apache-2.0

// Calls that last: they wake, end, drain and keep their limits.

package server_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/journal"
	"example.com/vidimus/journal/mem"
	"example.com/vidimus/server"
	"example.com/vidimus/server/remote"
	"example.com/vidimus/server/token"
	pb "example.com/vidimus/server/vidimusv1"
	"example.com/vidimus/server/vidimusv1/vidimusv1connect"
)

func TestRemoteJournalIsLikeOneAtHand(t *testing.T) {
	t.Parallel()
	n := start(t, server.Config{})
	l := n.dial(t, "admin")
	var units []journal.Unit
	for i := range 20 {
		stream := journal.Stream("order-" + itoa(i%3))
		units = append(units, journal.Unit{Appends: []journal.Append{
			{Stream: stream, Expect: journal.Exactly(journal.Version(i / 3)), Events: []journal.EventData{event("x", itoa(i))}},
		}})
	}
	units = append(units, units[0], journal.Unit{Appends: []journal.Append{{Stream: "order-0", Expect: 99}}})
	outcomes, err := l.CommitMany(t.Context(), units)
	if err != nil || len(outcomes) != 22 || !outcomes[20].Result.Duplicate {
		t.Fatalf("committed %v, %v", outcomes, err)
	}
	if !errors.Is(outcomes[21].Err, journal.ErrConflict) {
		t.Errorf("the last unit: %v, want a conflict", outcomes[21].Err)
	}
	for _, o := range []journal.ReadOptions{
		{}, {After: 5}, {Before: 9, Backwards: true}, {Limit: 7}, {Filter: journal.Filter{{Stream: "order-1"}}},
	} {
		if got, want := collect(t, l.Read(t.Context(), o)), collect(t, n.log.Read(t.Context(), o)); !slices.Equal(got, want) {
			t.Errorf("read %+v: got %v, want %v", o, got, want)
		}
	}
	o := &journal.StreamOptions{After: 1, Limit: 3}
	got := collect(t, l.ReadStream(t.Context(), "order-1", o))
	want := collect(t, n.log.ReadStream(t.Context(), "order-1", o))
	if !slices.Equal(got, want) || len(got) != 3 {
		t.Errorf("read stream: got %v, want %v", got, want)
	}
	head, err := l.Head(t.Context())
	if own, _ := n.log.Head(t.Context()); err != nil || head != own {
		t.Errorf("head is %v, %v, want %v", head, err, own)
	}
	save := journal.Unit{Records: []journal.RecordWrite{head.Save("mailer", journal.None)}}
	if _, err := l.Commit(t.Context(), save); err != nil {
		t.Fatal(err)
	}
	if c, v, err := l.Checkpoint(t.Context(), "mailer"); err != nil || c != head || v != 1 {
		t.Errorf("checkpoint is %v at version %d, %v, want %v at 1", c, v, err, head)
	}
	if stat, err := l.Stat(t.Context()); err != nil || stat.Events != 20 || stat.Streams != 3 {
		t.Errorf("stat is %+v, %v", stat, err)
	}
	if breaches, err := l.Verify(t.Context(), nil); err != nil || len(breaches) != 0 {
		t.Errorf("verify found %v, %v", breaches, err)
	}
	if renewed, err := l.Renew(t.Context()); err != nil || renewed.Epoch != head.Epoch+1 {
		t.Errorf("renewed to %v, %v", renewed, err)
	}
	for _, err := range l.Follow(t.Context(), journal.FollowOptions{From: head}) {
		if !errors.Is(err, journal.ErrDiverged) {
			t.Errorf("following from before the renewal: %v, want diverged", err)
		}
	}
}

// collect returns what events are, as texts that can be compared.
func collect(t *testing.T, events func(func(journal.Event, error) bool)) (out []string) {
	t.Helper()
	for e, err := range events {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e.ID.String()+" "+string(e.Stream)+" "+itoa(int(e.Version))+" "+itoa(int(e.Position))+" "+
			e.Time.String()+" "+string(e.Data))
	}
	return out
}

func TestFollowWakesAndResumes(t *testing.T) {
	t.Parallel()
	n := start(t, server.Config{})
	l := n.dial(t, "read:order")
	n.fill(t, "order-1", 3)
	o := journal.FollowOptions{Filter: journal.Filter{{Category: "order"}}, Pulse: time.Minute, Page: 2}
	seen := 0
	for f, err := range l.Follow(t.Context(), o) {
		if err != nil {
			t.Fatal(err)
		}
		if len(f.Events) > 2 || f.AsOf.IsZero() || f.Checkpoint.Log == "" {
			t.Fatalf("frame %+v", f)
		}
		seen += len(f.Events)
		o.From = f.Checkpoint
		if f.CaughtUp && seen == 3 {
			n.fill(t, "cart-1", 1) // must not arrive
			n.fill(t, "order-1", 2)
		}
		if seen == 5 {
			break
		}
	}
	n.fill(t, "order-2", 1)
	for f, err := range l.Follow(t.Context(), o) {
		if err != nil || len(f.Events) > 0 && f.Events[0].Stream != "order-2" {
			t.Fatalf("resumed with %+v, %v", f, err)
		}
		if len(f.Events) > 0 {
			break
		}
	}
}

func TestPollWaitsForTheFirstEvent(t *testing.T) {
	t.Parallel()
	n := start(t, server.Config{Open: true})
	c := n.client(t, "")
	answer := make(chan *pb.Frame, 1)
	go func() {
		f, err := c.Poll(t.Context(), &pb.PollRequest{Wait: durationpb.New(time.Minute)})
		if err != nil {
			t.Error(err)
		}
		answer <- f
	}()
	n.fill(t, "order-1", 1)
	if f := <-answer; len(f.GetEvents()) != 1 || f.GetCheckpoint().GetPosition() != 1 {
		t.Errorf("poll answered %v", f)
	}
}

func TestLargeFramesAreCut(t *testing.T) {
	t.Parallel()
	n := start(t, server.Config{})
	big := strings.Repeat("x", 300<<10)
	for range 10 {
		if _, err := n.log.Append(t.Context(), "big-1", journal.Any, event("x", `"`+big+`"`)); err != nil {
			t.Fatal(err)
		}
	}
	// A client with gRPC's usual limit of 4 MiB for one message must be able to read.
	c := n.client(t, n.token(t, "read:*"), connect.WithGRPC(), connect.WithReadMaxBytes(4<<20))
	follow, err := c.Follow(t.Context(), &pb.FollowRequest{})
	if err != nil {
		t.Fatal(err)
	}
	seen, last := 0, int64(0)
	for !follow.Msg().GetCaughtUp() && follow.Receive() {
		m := follow.Msg()
		seen += len(m.GetEvents())
		if at := m.GetEvents()[len(m.GetEvents())-1]; m.GetCheckpoint().GetPosition() != at.GetPosition() ||
			m.GetCheckpoint().GetId() != at.GetId() || at.GetPosition() <= last {
			t.Errorf("a frame ends at %d and covers %v", at.GetPosition(), m.GetCheckpoint())
		}
		last = m.GetCheckpoint().GetPosition()
	}
	if seen != 10 || follow.Err() != nil {
		t.Errorf("saw %d events, %v, want 10", seen, follow.Err())
	}
	page, err := c.Page(t.Context(), &pb.ReadRequest{})
	if err != nil || !page.GetMore() || len(page.GetEvents()) != 3 {
		t.Errorf("a page has %d events, more %v, %v; want 3 and more", len(page.GetEvents()), page.GetMore(), err)
	}
	all := 0
	for _, err := range n.dial(t, "read:*").Read(t.Context(), journal.ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		all++
	}
	if all != 10 {
		t.Errorf("read %d events, want 10", all)
	}
}

func TestDrainSendsFollowersAwayAndFinishesAppends(t *testing.T) {
	t.Parallel()
	gate := &slow{Store: mem.Open().Store(), began: make(chan struct{}), finish: make(chan struct{})}
	n := start(t, server.Config{Cells: map[string]*journal.Log{"main": journal.New(gate)}, Open: true})
	l := n.dialWith(t, "")
	appended := make(chan error, 1)
	go func() {
		_, err := l.Append(t.Context(), "a-1", journal.Any, event("x", "{}"))
		appended <- err
	}()
	<-gate.began
	stopped := make(chan error, 1)
	var once bool
	for _, err := range l.Follow(t.Context(), journal.FollowOptions{}) {
		if !once {
			once = true
			go func() { stopped <- n.stop() }()
			continue
		}
		if !errors.Is(err, remote.ErrDraining) {
			t.Errorf("following ended with %v, want draining", err)
		}
	}
	close(gate.finish)
	if err := <-appended; err != nil {
		t.Errorf("an append under way: %v, want nil", err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Serve returned %v, want nil", err)
	}
}

// slow is a store whose commits wait.
type slow struct {
	journal.Store
	began, finish chan struct{}
}

func (s *slow) Commit(ctx context.Context, units []*journal.Unit) ([]journal.Outcome, error) {
	close(s.began)
	<-s.finish
	return s.Store.Commit(ctx, units)
}

func TestDrainIsBounded(t *testing.T) {
	t.Parallel()
	gate := &slow{Store: mem.Open().Store(), began: make(chan struct{}), finish: make(chan struct{})}
	s, err := server.New(server.Config{
		Cells: map[string]*journal.Log{"main": journal.New(gate)}, Open: true, Drain: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, listener) }()
	l, err := remote.New(remote.Config{URL: "http://" + listener.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	appended := make(chan error, 1)
	go func() {
		_, err := l.Append(t.Context(), "a-1", journal.Any, event("x", "{}"))
		appended <- err
	}()
	<-gate.began
	cancel()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("Serve returned %v, want that calls were cut off", err)
	}
	if err := <-appended; !errors.Is(err, journal.ErrUncertain) {
		t.Errorf("an append that was cut off: %v, want uncertain", err)
	}
	close(gate.finish)
}

func TestStreamsPerTokenAreLimited(t *testing.T) {
	t.Parallel()
	n := start(t, server.Config{Streams: 2})
	text := n.token(t, "read:*")
	c := n.client(t, text)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 2 {
		follow, err := c.Follow(ctx, &pb.FollowRequest{})
		if err != nil || !follow.Receive() {
			t.Fatal(errors.Join(err, follow.Err()))
		}
	}
	over, err := c.Follow(ctx, &pb.FollowRequest{})
	if err != nil || over.Receive() || connect.CodeOf(over.Err()) != connect.CodeResourceExhausted {
		t.Errorf("a third stream: %v, want resource exhausted", errors.Join(err, over.Err()))
	}
	other := n.dial(t, "read:*")
	for _, err := range other.Follow(ctx, journal.FollowOptions{}) {
		if err != nil {
			t.Errorf("another token: %v", err)
		}
		break
	}
}

func TestBodiesAreLimited(t *testing.T) {
	t.Parallel()
	n := start(t, server.Config{})
	text := n.token(t, "append:*")
	body := `{"appends":[{"stream":"` + strings.Repeat("x", 17<<20) + `"}]}`
	status, answer := n.post(t, appendPath, text, body)
	if status != 429 || !strings.Contains(answer, "resource_exhausted") {
		t.Errorf("answered %d %.200s, want resource exhausted", status, answer)
	}
	// Without a token the body is not even read.
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.url+appendPath, &endless{})
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if status, _ := do(t, r); status != 401 {
		t.Errorf("an endless body without a token: answered %d, want 401", status)
	}
}

func TestCallsUnderWayAreLimited(t *testing.T) {
	t.Parallel()
	gate := &slow{Store: mem.Open().Store(), began: make(chan struct{}), finish: make(chan struct{})}
	text, _, err := token.NewBook(journal.New(gate.Store)).Create(t.Context(), token.Spec{
		Name: "test", Rights: token.Rights{{Verb: token.Admin}},
	})
	if err != nil {
		t.Fatal(err)
	}
	n := start(t, server.Config{Cells: map[string]*journal.Log{"main": journal.New(gate)}, Requests: 1})
	l := n.dialWith(t, text)
	appended := make(chan error, 1)
	go func() {
		_, err := l.Append(t.Context(), "a-1", journal.Any, event("x", "{}"))
		appended <- err
	}()
	<-gate.began
	if _, err := l.Head(t.Context()); !errors.Is(err, remote.ErrLimit) {
		t.Errorf("a second call: %v, want the limit", err)
	}
	if status, _ := n.post(t, headPath, "", `{}`); status != 401 {
		t.Errorf("a call without a token: answered %d, want 401 and not the limit", status)
	}
	if status, _ := n.post(t, vidimusv1connect.HealthServiceCheckProcedure, "", `{}`); status != 200 {
		t.Errorf("a health check: answered %d, want 200", status)
	}
	close(gate.finish)
	if err := <-appended; err != nil {
		t.Error(err)
	}
	if _, err := l.Head(t.Context()); err != nil {
		t.Errorf("once it is done: %v", err)
	}
}

// endless is a body without an end.
type endless struct{}

func (*endless) Read(p []byte) (int, error) { return len(p), nil }

func TestConnectionsAreLimited(t *testing.T) {
	t.Parallel()
	n := start(t, server.Config{Open: true, Connections: 1})
	first, err := net.Dial("tcp", strings.TrimPrefix(n.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	ask := "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
	if _, err := io.WriteString(first, ask); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Read(make([]byte, 1)); err != nil {
		t.Fatal(err) // now the first connection has the only place
	}
	answered := make(chan int, 1)
	go func() {
		status, _ := n.get(t, "/livez")
		answered <- status
	}()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if status := <-answered; status != 200 {
		t.Errorf("the next one is answered %d, want 200 once the first has gone", status)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	log := mem.Open()
	n := start(t, server.Config{Cells: map[string]*journal.Log{"main": log}})
	if status, body := n.get(t, "/livez"); status != 200 {
		t.Errorf("livez: %d %s", status, body)
	}
	if status, body := n.get(t, "/readyz"); status != 200 || strings.TrimSpace(body) != `{"ready":true,"reasons":[]}` {
		t.Errorf("readyz: %d %s", status, body)
	}
	for _, path := range []string{vidimusv1connect.HealthServiceCheckProcedure, "/grpc.health.v1.Health/Check"} {
		if status, body := n.post(t, path, "", `{}`); status != 200 || !strings.Contains(body, "SERVING") {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	down := start(t, server.Config{Cells: map[string]*journal.Log{"main": log, "next": closed(t)}})
	status, body := down.get(t, "/readyz")
	if status != 503 || !strings.Contains(body, "1 of 2 journals") || strings.Contains(body, "next") {
		t.Errorf("readyz: %d %s, want 503 with a reason and no names", status, body)
	}
	if status, _ := down.get(t, "/livez"); status != 200 {
		t.Errorf("livez depends on a journal: %d", status)
	}
}

func TestAskingForHealthIsCheap(t *testing.T) {
	t.Parallel()
	store := &asked{Store: mem.Open().Store()}
	n := start(t, server.Config{Cells: map[string]*journal.Log{"main": journal.New(store)}})
	began := clock.Now()
	for range 50 {
		n.get(t, "/readyz")
	}
	if got, most := store.heads.Load(), int64(clock.Since(began)/time.Second)+1; got > most {
		t.Errorf("50 questions asked the journal %d times, want %d at most", got, most)
	}
}

// asked counts how often the head is asked for.
type asked struct {
	journal.Store
	heads atomic.Int64
}

func (a *asked) Head(ctx context.Context) (journal.Checkpoint, error) {
	a.heads.Add(1)
	return a.Store.Head(ctx)
}

func closed(t *testing.T) *journal.Log {
	t.Helper()
	log := mem.Open()
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	return log
}

func TestPanicsAreAnsweredAndLogged(t *testing.T) {
	t.Parallel()
	var seen bytes.Buffer
	log := journal.New(&broken{mem.Open().Store()})
	n := start(t, server.Config{
		Cells: map[string]*journal.Log{"main": log}, Open: true, Logger: logTo(&seen),
	})
	status, body := n.post(t, headPath, "", `{}`)
	if status != 500 || strings.Contains(body, secret) {
		t.Errorf("answered %d %s, want 500 without the cause", status, body)
	}
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(seen.String(), secret) {
		t.Errorf("the log has %q, want the cause", seen.String())
	}
}

type broken struct{ journal.Store }

func (*broken) Head(context.Context) (journal.Checkpoint, error) { panic(secret) }
