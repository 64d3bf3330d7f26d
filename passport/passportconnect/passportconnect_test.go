// SPDX-License-Identifier: Apache-2.0

// Calls and streams with good, bad and ageing passports, over Connect and over gRPC.

package passportconnect_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"example.com/vidimus/passport"
	"example.com/vidimus/passport/header"
	"example.com/vidimus/passport/passportconnect"
)

type (
	text   = wrapperspb.StringValue
	client = connect.Client[text, text]
)

const (
	whoAmI = "/shop.v1.SeatService/WhoAmI"
	buy    = "/shop.v1.SeatService/Buy"
	give   = "/shop.v1.SeatService/Give"
	watch  = "/shop.v1.SeatService/Watch"
	tail   = "/shop.v1.SeatService/Tail"
)

// shop is a service behind the interceptor, which answers with the subject of the passport.
type shop struct {
	signer  *passport.Signer
	view    *view
	url     string
	http    *http.Client
	options []connect.ClientOption
	next    chan struct{} // lets Tail send its next message
	grpc    bool          // whose refusals have no header of their own
}

// protocols runs a test over each protocol.
func protocols(t *testing.T, test func(t *testing.T, s *shop)) {
	for name, options := range map[string][]connect.ClientOption{
		"connect": nil, "grpc": {connect.WithGRPC()}, "grpc-web": {connect.WithGRPCWeb()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, options)
			s.grpc = options != nil
			test(t, s)
		})
	}
}

func open(t *testing.T, options []connect.ClientOption) *shop {
	t.Helper()
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	signer, err := passport.NewSigner(private, "")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := passport.NewKeySet(signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	s := &shop{signer: signer, view: &view{}, next: make(chan struct{})}
	cfg := passport.Config{Issuer: "https://id.example", Audience: "shop", Keys: keys, View: s.view}
	verifier, err := passport.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	check, err := passportconnect.Check(passportconnect.Config{
		Verifier: verifier,
		Rule:     &passport.Rule{MaxStale: time.Second, WhenStale: passport.ReadOnly},
		Rules:    map[string]*passport.Rule{buy: {Scopes: []string{"seats.buy"}, MaxStale: time.Second}},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler(check, s.next))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	s.url, s.http = server.URL, server.Client()
	s.options = append(options, connect.WithInterceptors(passportconnect.Pass()))
	return s
}

func handler(check connect.Interceptor, next <-chan struct{}) http.Handler {
	mux := http.NewServeMux()
	answer := func(ctx context.Context, _ *connect.Request[text]) (*connect.Response[text], error) {
		c, ok := passport.FromContext(ctx)
		if !ok {
			return nil, errors.New("no claims")
		}
		return connect.NewResponse(wrapperspb.String(c.Subject)), nil
	}
	write := func(context.Context, *connect.Request[text]) (*connect.Response[text], error) {
		res := connect.NewResponse(wrapperspb.String("bought"))
		header.SetEffect(res.Header(), header.Effect{Mark: mark(151), Version: 2})
		return res, nil
	}
	guard := connect.WithInterceptors(check)
	safe := connect.WithIdempotency(connect.IdempotencyNoSideEffects)
	mux.Handle(whoAmI, connect.NewUnaryHandler(whoAmI, answer, guard, safe))
	mux.Handle(buy, connect.NewUnaryHandler(buy, answer, guard))
	mux.Handle(give, connect.NewUnaryHandler(give, write, guard))
	mux.Handle(tail, connect.NewServerStreamHandler(tail,
		func(ctx context.Context, _ *connect.Request[text], stream *connect.ServerStream[text]) error {
			for {
				if err := stream.Send(wrapperspb.String("news")); err != nil {
					return err
				}
				select {
				case <-next:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}, guard))
	mux.Handle(watch, connect.NewBidiStreamHandler(watch,
		func(ctx context.Context, stream *connect.BidiStream[text, text]) error {
			for {
				m, err := stream.Receive()
				if errors.Is(err, io.EOF) {
					return nil
				}
				if err != nil {
					return err
				}
				if err := stream.Send(m); err != nil {
					return err
				}
			}
		}, guard))
	return mux
}

// client returns a client of a procedure.
func (s *shop) client(procedure string) *client {
	return connect.NewClient[text, text](s.http, s.url+procedure, s.options...)
}

// passport returns a context with a passport of a scope.
func (s *shop) passport(t *testing.T, scope string) context.Context {
	t.Helper()
	now := time.Now()
	token, err := s.signer.Sign(&passport.Claims{
		Issuer: "https://id.example", Audience: "shop", IssuedAt: now, ExpiresAt: now.Add(time.Minute), Txn: "t1",
		Subject: "alice", Scope: scope, Workload: "edge", Session: "S1", AsOf: now, Mark: mark(100),
	})
	if err != nil {
		t.Fatal(err)
	}
	return passport.NewContext(t.Context(), passport.Decision{Token: token})
}

func mark(position int64) passport.Mark {
	return passport.Mark{Log: "c3", Epoch: 7, Position: position}
}

func TestCallsNeedAPassport(t *testing.T) {
	t.Parallel()
	protocols(t, func(t *testing.T, s *shop) {
		for _, c := range []struct {
			name      string
			ctx       context.Context
			procedure string
			header    [2]string
			stale     time.Duration
			want      connect.Code
			challenge string
		}{
			{"none", t.Context(), whoAmI, [2]string{}, 0, connect.CodeUnauthenticated, "Txn-Token"},
			{"a good one", s.passport(t, "seats.buy"), buy, [2]string{}, 0, 0, ""},
			{
				"one without the scope", s.passport(t, "seats.hold"), buy,
				[2]string{},
				0,
				connect.CodePermissionDenied, `Txn-Token error="insufficient_scope"`,
			},
			{
				"garbage", t.Context(), whoAmI,
				[2]string{header.TxnToken, "a.b.c"},
				0,
				connect.CodeUnauthenticated, `Txn-Token error="invalid_token"`,
			},
			{"a stale view, and a safe call", s.passport(t, "x"), whoAmI, [2]string{}, time.Hour, 0, ""},
			{
				"a stale view, and a call that is not safe", s.passport(t, "seats.buy"), buy,
				[2]string{},
				time.Hour,
				connect.CodeUnavailable, "",
			},
			{
				"a malformed wish", s.passport(t, "x"), whoAmI,
				[2]string{header.ConsistencyField, "eventual"},
				0,
				connect.CodeInvalidArgument, "",
			},
			{
				"another position", s.passport(t, "x"), whoAmI,
				[2]string{header.ConsistencyField, "exact"},
				0,
				connect.CodeInvalidArgument, "",
			},
		} {
			s.view.stale.Store(int64(c.stale))
			r := connect.NewRequest(wrapperspb.String(""))
			if c.header[0] != "" {
				r.Header().Set(c.header[0], c.header[1])
			}
			answer, err := s.client(c.procedure).CallUnary(c.ctx, r)
			if c.want == 0 {
				if err != nil || answer.Msg.Value != "alice" {
					t.Errorf("%s: got %v, %v; want alice", c.name, answer, err)
					continue
				}
				if at, err := header.GetPosition(answer.Header()); err != nil || at != mark(150) {
					t.Errorf("%s: the position is %v, %v; want that of the view", c.name, at, err)
				}
				st, ok, err := header.GetStaleness(answer.Header())
				if err != nil || !ok || st.Age != c.stale || st.ReadOnly != (c.stale > time.Second) {
					t.Errorf("%s: the staleness is %+v, %v", c.name, st, err)
				}
				continue
			}
			s.refused(t, c.name, err, c.want, c.challenge)
		}
	})
}

func (s *shop) refused(t *testing.T, name string, err error, want connect.Code, challenge string) {
	t.Helper()
	if s.grpc {
		challenge = ""
	}
	var bad *connect.Error
	if !errors.As(err, &bad) || bad.Code() != want {
		t.Errorf("%s: got %v, want %v", name, err, want)
		return
	}
	if got := bad.Meta().Get("WWW-Authenticate"); got != challenge {
		t.Errorf("%s: WWW-Authenticate is %q, want %q", name, got, challenge)
	}
	if strings.Contains(bad.Message(), "eyJ") {
		t.Errorf("%s: the error holds a token: %v", name, bad)
	}
}

func TestAWriteIsAtThePositionOfItsEffect(t *testing.T) {
	t.Parallel()
	protocols(t, func(t *testing.T, s *shop) {
		answer, err := s.client(give).CallUnary(s.passport(t, "seats.buy"), connect.NewRequest(wrapperspb.String("")))
		if err != nil {
			t.Fatal(err)
		}
		if at, err := header.GetPosition(answer.Header()); err != nil || at != mark(151) {
			t.Errorf("the position is %v, %v; want that of what was written", at, err)
		}
	})
}

func TestStreamsEndWithTheirPassport(t *testing.T) {
	t.Parallel()
	protocols(t, func(t *testing.T, s *shop) {
		stream := s.client(watch).CallBidiStream(s.passport(t, "seats.hold"))
		if err := stream.Send(wrapperspb.String("one")); err != nil {
			t.Fatal(err)
		}
		if m, err := stream.Receive(); err != nil || m.Value != "one" {
			t.Fatalf("the first message gives %v, %v", m, err)
		}
		if at, err := header.GetPosition(stream.ResponseHeader()); err != nil || at != mark(150) {
			t.Errorf("the position is %v, %v", at, err)
		}
		s.view.revoked.Store(true)
		s.view.generation.Add(1)
		if err := stream.Send(wrapperspb.String("two")); err != nil {
			t.Fatal(err)
		}
		_, err := stream.Receive()
		s.refused(t, "a revoked passport", err, connect.CodeUnauthenticated, `Txn-Token error="revoked"`)

		none := s.client(watch).CallBidiStream(t.Context())
		_ = none.Send(wrapperspb.String("one")) // may find the stream refused already
		_, err = none.Receive()
		s.refused(t, "no passport", err, connect.CodeUnauthenticated, "Txn-Token")
	})
}

func TestNothingMoreIsSentOnceAPassportIsRevoked(t *testing.T) {
	t.Parallel()
	protocols(t, func(t *testing.T, s *shop) {
		r := connect.NewRequest(wrapperspb.String(""))
		stream, err := s.client(tail).CallServerStream(s.passport(t, "seats.hold"), r)
		if err != nil {
			t.Fatal(err)
		}
		if !stream.Receive() {
			t.Fatal(stream.Err())
		}
		s.view.revoked.Store(true)
		s.view.generation.Add(1)
		s.next <- struct{}{}
		if stream.Receive() {
			t.Error("a message is sent after the passport was revoked")
		}
		s.refused(t, "a revoked passport", stream.Err(), connect.CodeUnauthenticated, `Txn-Token error="revoked"`)
	})
}

func TestACheckerNeedsAVerifier(t *testing.T) {
	t.Parallel()
	if _, err := passportconnect.Check(passportconnect.Config{}); !errors.Is(err, passport.ErrInvalid) {
		t.Errorf("got %v, want a refusal", err)
	}
}

// view is fresh, unless it is told otherwise.
type view struct {
	stale      atomic.Int64
	generation atomic.Uint64
	revoked    atomic.Bool
}

func (v *view) Staleness() time.Duration { return time.Duration(v.stale.Load()) }
func (v *view) Through() passport.Mark   { return mark(150) }
func (v *view) Generation() uint64       { return v.generation.Load() }

func (v *view) Judge(*passport.Claims) error {
	if v.revoked.Load() {
		return passport.ErrRevoked
	}
	return nil
}
