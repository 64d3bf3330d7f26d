// SPDX-License-Identifier: Apache-2.0

// The door: its configuration, and what callers are told.

// Package door lets callers in: it finds out who calls before a request is read, what they may do, how much of it at
// once, and what they are told when it fails.
//
// A request passes [Door.Admit] first. A call of a service is then let in by the options that [Door.Options] returns, a
// plain request by [Door.Caller]. A handler that is mounted on a server has a door of its own; what the server's door
// has found out of a request goes on with it.
package door

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"

	"connectrpc.com/connect"

	"example.com/vidimus/server/internal/wire"
	"example.com/vidimus/server/token"
)

// Limits that are not for configuration.
const (
	// BodyMax is how many bytes a request may have, after decompression.
	BodyMax = 16 << 20
	// PublicMax is the same for a request that needs no token.
	PublicMax   = 4 << 10
	compressMin = 1 << 10 // smaller answers are cheaper to send as they are
)

// Config says whom a door lets in. It is not checked: whoever has it from outside does that.
type Config struct {
	// Books have the tokens, by the name of their cell.
	Books map[string]*token.Book
	// Open lets programs on the same machine in without a token.
	Open bool
	// Public reports whether a procedure takes no token; nil for none.
	Public func(procedure string) bool
	// Lasting reports whether a unary procedure can last; nil for none. Streams always can.
	Lasting func(procedure string) bool
	// Streams is how many streams one token may have open, Requests how many other calls may be under way in all, and
	// Bytes how much memory their bodies may take together.
	Streams, Requests int
	Bytes             int64
	Logger            *slog.Logger
}

// Door lets callers in. Goroutines may share it.
type Door struct {
	config   Config
	origin   *http.CrossOriginProtection
	streams  *counter
	requests chan struct{}
	bytes    ration
}

// New returns a door.
func New(c Config) *Door {
	d := &Door{
		config: c, origin: http.NewCrossOriginProtection(), streams: newCounter(c.Streams),
		requests: make(chan struct{}, c.Requests),
	}
	d.bytes.left.Store(c.Bytes)
	return d
}

// Options returns what the handlers of services are made with.
func (d *Door) Options() []connect.HandlerOption {
	return []connect.HandlerOption{
		connect.WithRequestGate(d.gate),
		connect.WithInterceptors(&teller{d}),
		connect.WithRecover(d.recovered),
		connect.WithReadMaxBytes(BodyMax),
		connect.WithCompressMinBytes(compressMin),
		connect.WithCodec(wire.Binary{}),
		connect.WithCodec(wire.Codec{Type: "json"}),
		connect.WithCodec(wire.Codec{Type: "json; charset=utf-8"}),
	}
}

// teller turns what handlers return into what callers are told, and bounds how long a call takes.
type teller struct{ d *Door }

// WrapUnary implements [connect.Interceptor].
func (t *teller) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
		limited, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		out, err := next(limited, r)
		callOf(ctx).sending() // ends with the request
		if err != nil {
			return nil, t.d.Tell(ctx, r.Spec().Procedure, err)
		}
		return out, nil
	}
}

// WrapStreamingHandler implements [connect.Interceptor].
func (t *teller) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		if err := next(ctx, conn); err != nil {
			return t.d.Tell(ctx, conn.Spec().Procedure, err)
		}
		return nil
	}
}

// WrapStreamingClient implements [connect.Interceptor].
func (t *teller) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// Made is an error with the ids that the server made for the unit that failed, which its caller needs for a retry.
type Made struct {
	error
	ids []string
}

// WithIDs returns an error that carries ids.
func WithIDs(err error, ids []string) *Made { return &Made{err, ids} }

// Unwrap returns the error itself.
func (m *Made) Unwrap() error { return m.error }

// Tell returns an error as callers may see it, and logs what they may not.
func (d *Door) Tell(ctx context.Context, procedure string, err error) error {
	if !wire.Expected(err) {
		d.config.Logger.ErrorContext(ctx, "call failed", "procedure", procedure, "error", err)
	}
	var made *Made
	if errors.As(err, &made) {
		return wire.Error(err, made.ids)
	}
	return wire.Error(err, nil)
}

// recovered answers a call whose handler panicked.
func (d *Door) recovered(ctx context.Context, spec connect.Spec, _ http.Header, what any) error {
	return d.Tell(ctx, spec.Procedure, fmt.Errorf("panic: %v", what))
}

// Audit logs what a caller with a right to more than reading did.
func (d *Door) Audit(ctx context.Context, v *Visit, did string, args ...any) {
	by := slices.Concat([]any{"cell", v.Cell, "by", v.Token.Name, "token", v.Token.ID}, args)
	d.config.Logger.InfoContext(ctx, did, by...)
}
