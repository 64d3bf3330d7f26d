// SPDX-License-Identifier: Apache-2.0

// Package passportconnect requires passports of Connect, gRPC and gRPC-Web calls, and passes them on to the next
// service.
package passportconnect

import (
	"context"
	"errors"
	"net/http"

	"connectrpc.com/connect"

	"example.com/vidimus/passport"
	"example.com/vidimus/passport/header"
)

// Config configures a checking interceptor.
type Config struct {
	// Verifier decides. It is required.
	Verifier *passport.Verifier
	// Rule is what every procedure demands; nil for a passport that is genuine and not known to be changed since.
	Rule *passport.Rule
	// Rules are what procedures demand that differ, by name: "/shop.v1.SeatService/Hold".
	Rules map[string]*passport.Rule
}

// Check returns an interceptor for handlers that lets a call through if its one header Txn-Token holds a passport
// that is good under the rule of the procedure. The handler finds the claims with [passport.FromContext]. Procedures
// that are declared free of side effects are safe, which matters to [passport.ReadOnly].
//
// Answers carry Vidimus-Position and Vidimus-Staleness. Refusals are Unauthenticated, PermissionDenied, Unavailable,
// FailedPrecondition or InvalidArgument. Their message begins with the code that [passport.Status] gives, such as
// "superseded". Over the Connect protocol they carry WWW-Authenticate where the passport is at fault; over gRPC there
// are only trailers, where it may not stand.
//
// A stream is decided on again with each message, in either direction, so it ends when its passport is revoked,
// superseded or expires. The messages see the claims that the stream began with.
//
// It returns a [passport.InvalidError] for a Config without a verifier. Goroutines may share the interceptor.
func Check(cfg Config) (connect.Interceptor, error) {
	if cfg.Verifier == nil {
		return nil, &passport.InvalidError{Field: "Config.Verifier", Problem: "is missing: passports cannot be checked"}
	}
	return &checker{cfg: cfg}, nil
}

// Pass returns an interceptor for clients that passes the passport of a call's context on, unmodified, in place of
// one that is there. A call whose context has none is sent as it is. Use it only for services of the own trust
// domain. Goroutines may share the interceptor.
func Pass() connect.Interceptor { return passer{} }

type checker struct{ cfg Config }

// WrapUnary checks calls of handlers.
func (c *checker) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
		if r.Spec().IsClient {
			return next(ctx, r)
		}
		d, err := c.decide(ctx, r.Spec(), r.Peer(), r.Header())
		if err != nil {
			return nil, err
		}
		answer, err := next(passport.NewContext(ctx, d), r)
		if err == nil {
			say(answer.Header(), d)
		}
		return answer, err
	}
}

// WrapStreamingClient does nothing.
func (c *checker) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler checks streams of handlers.
func (c *checker) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		d, err := c.decide(ctx, conn.Spec(), conn.Peer(), conn.RequestHeader())
		if err != nil {
			return err
		}
		say(conn.ResponseHeader(), d)
		ctx = passport.NewContext(ctx, d)
		return next(ctx, &checked{StreamingHandlerConn: conn, ctx: ctx, checker: c, token: d.Token})
	}
}

// decide decides on a call.
func (c *checker) decide(
	ctx context.Context, spec connect.Spec, from connect.Peer, h http.Header,
) (passport.Decision, error) {
	token, err := passport.TokenOf(h)
	if err != nil {
		return passport.Decision{}, refusal(err, from)
	}
	need, err := passport.NeedOf(h)
	if err != nil {
		return passport.Decision{}, refusal(err, from)
	}
	need.Safe = spec.IdempotencyLevel == connect.IdempotencyNoSideEffects
	d, err := c.cfg.Verifier.Decide(ctx, token, c.rule(spec), need)
	if err != nil {
		return passport.Decision{}, refusal(err, from)
	}
	return d, nil
}

func (c *checker) rule(spec connect.Spec) *passport.Rule {
	if rule, ok := c.cfg.Rules[spec.Procedure]; ok {
		return rule
	}
	return c.cfg.Rule
}

// say writes what a decision was based on.
func say(h http.Header, d passport.Decision) {
	header.SetPosition(h, d.At)
	header.SetStaleness(h, d.Staleness)
	if e, ok, err := header.GetEffect(h); ok && err == nil {
		header.SetEffect(h, e) // once more: it may be further than what the decision was based on
	}
}

// refusal says an error of passport in Connect's words.
func refusal(err error, to connect.Peer) error {
	status, code := passport.Status(err)
	reason := "internal error" // of which a client learns nothing
	if status != http.StatusInternalServerError {
		reason = code
		var bad *passport.InvalidError
		var field *header.Error
		switch {
		case errors.As(err, &bad):
			reason += ": " + bad.Error()
		case errors.As(err, &field):
			reason += ": " + field.Error()
		}
	}
	answer := connect.NewError(codeOf(status), errors.New(reason))
	switch {
	case to.Protocol != connect.ProtocolConnect:
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		answer.Meta().Set("WWW-Authenticate", passport.Challenge(err))
	case status == http.StatusServiceUnavailable:
		answer.Meta().Set("Retry-After", "1")
	}
	return answer
}

// codeOf is the code of a status.
func codeOf(status int) connect.Code {
	switch status {
	case http.StatusBadRequest:
		return connect.CodeInvalidArgument
	case http.StatusUnauthorized:
		return connect.CodeUnauthenticated
	case http.StatusForbidden:
		return connect.CodePermissionDenied
	case http.StatusPreconditionFailed:
		return connect.CodeFailedPrecondition
	case http.StatusServiceUnavailable:
		return connect.CodeUnavailable
	}
	return connect.CodeInternal
}

// checked is a stream whose passport is decided on again with each message.
type checked struct {
	connect.StreamingHandlerConn
	ctx     context.Context // of the stream, whose methods take none
	checker *checker
	token   string
}

// Receive waits for a message, and then decides.
func (s *checked) Receive(message any) error {
	if err := s.StreamingHandlerConn.Receive(message); err != nil {
		return err
	}
	return s.again()
}

// Send decides before it sends.
func (s *checked) Send(message any) error {
	if err := s.again(); err != nil {
		return err
	}
	return s.StreamingHandlerConn.Send(message)
}

func (s *checked) again() error {
	need := passport.Need{Safe: s.Spec().IdempotencyLevel == connect.IdempotencyNoSideEffects}
	if _, err := s.checker.cfg.Verifier.Decide(s.ctx, s.token, s.checker.rule(s.Spec()), need); err != nil {
		return refusal(err, s.Peer())
	}
	return nil
}

type passer struct{}

// WrapUnary passes the passport on.
func (passer) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
		if token, ok := passport.TokenFromContext(ctx); ok && r.Spec().IsClient {
			r.Header().Set(header.TxnToken, token)
		}
		return next(ctx, r)
	}
}

// WrapStreamingClient passes the passport on.
func (passer) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return func(ctx context.Context, spec connect.Spec) connect.StreamingClientConn {
		conn := next(ctx, spec)
		if token, ok := passport.TokenFromContext(ctx); ok {
			conn.RequestHeader().Set(header.TxnToken, token)
		}
		return conn
	}
}

// WrapStreamingHandler does nothing.
func (passer) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}
