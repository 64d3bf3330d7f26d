// SPDX-License-Identifier: Apache-2.0

// The server: its configuration and its handlers.

// Package server serves the journals of a node over the network: Connect, gRPC, gRPC-Web and plain HTTP with JSON, all
// at one address.
//
// Every call carries a token (see package token) that says what it may do in the cell it names. Only a server that is
// configured as Open lets callers in without one, and only those on its own machine. Errors carry a code and a detail
// that programs can read; package remote turns them back into those of package journal.
//
// Besides the services of proto/vidimus/v1 it answers GET /livez, which says that the process runs, GET /readyz, which
// says whether its journals can be used and why not, and gRPC's health checks.
package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"

	"example.com/vidimus/journal"
	"example.com/vidimus/lease"
	"example.com/vidimus/server/internal/wire"
	"example.com/vidimus/server/token"
	"example.com/vidimus/server/vidimusv1/vidimusv1connect"
)

// Config says what a server serves, and to whom.
type Config struct {
	// Cells are the journals to serve, by the name of their cell; at least one. The server does not close them.
	Cells map[string]*journal.Log
	// Open lets programs on the same machine in without a token, and lets them do everything. Callers from elsewhere,
	// through proxies or from web pages are refused. False asks everybody for a token.
	Open bool
	// Logger is told of failures and of what administrators do; nil stands for slog.Default().
	Logger *slog.Logger
	// Streams is how many streams one token may have open; 0 stands for 64.
	Streams int
	// Requests is how many other calls may be under way in all; 0 stands for 1024.
	Requests int
	// Connections is how many connections may be open; 0 stands for 4096. More wait.
	Connections int
	// Drain bounds how long [Server.Serve] waits at its end for calls under way; 0 stands for 20 seconds.
	Drain time.Duration
}

func (c *Config) validate() error {
	invalid := func(field, problem string) error { return &journal.InvalidError{Field: field, Problem: problem} }
	if len(c.Cells) == 0 {
		return invalid("Cells", "is empty; name at least one journal")
	}
	for name, log := range c.Cells {
		if name == "" || log == nil {
			return invalid("Cells", fmt.Sprintf("%q has no name or no journal", name))
		}
	}
	for _, f := range []struct {
		name     string
		value    *int
		standard int
	}{{"Streams", &c.Streams, 64}, {"Requests", &c.Requests, 1024}, {"Connections", &c.Connections, 4096}} {
		if *f.value < 0 {
			return invalid(f.name, fmt.Sprintf("%d is negative; use 0 for %d", *f.value, f.standard))
		}
		if *f.value == 0 {
			*f.value = f.standard
		}
	}
	if c.Drain < 0 {
		return invalid("Drain", fmt.Sprintf("%v is negative; use 0 for 20s", c.Drain))
	}
	if c.Drain == 0 {
		c.Drain = 20 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return nil
}

// cell is one journal with what belongs to it.
type cell struct {
	name   string
	log    *journal.Log
	book   *token.Book
	leases *lease.Table
	heavy  chan struct{} // has a place for one call that reads everything
	health health
}

// Server serves the journals of a node. It is an [http.Handler]; [Server.Serve] also listens. Goroutines may share it.
type Server struct {
	config   Config
	cells    map[string]*cell
	mux      *http.ServeMux
	origin   *http.CrossOriginProtection
	streams  *counter
	requests chan struct{}
	draining atomic.Bool
}

// New returns a server. It returns a [journal.InvalidError] for a bad configuration.
func New(c Config) (*Server, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	s := &Server{
		config: c, cells: map[string]*cell{}, mux: http.NewServeMux(), origin: http.NewCrossOriginProtection(),
		streams: newCounter(c.Streams), requests: make(chan struct{}, c.Requests),
	}
	for name, log := range c.Cells {
		s.cells[name] = &cell{
			name: name, log: log, book: token.NewBook(log), leases: lease.NewTable(log), heavy: make(chan struct{}, 1),
		}
	}
	options := []connect.HandlerOption{
		connect.WithRequestGate(s.gate),
		connect.WithInterceptors(&teller{s}),
		connect.WithRecover(s.recovered),
		connect.WithReadMaxBytes(bodyMax),
		connect.WithCompressMinBytes(compressMin),
		connect.WithCodec(wire.Binary{}),
		connect.WithCodec(wire.Codec{Type: "json"}),
		connect.WithCodec(wire.Codec{Type: "json; charset=utf-8"}),
	}
	s.mux.Handle(vidimusv1connect.NewJournalServiceHandler(&journalService{s}, options...))
	s.mux.Handle(vidimusv1connect.NewLeaseServiceHandler(&leaseService{s}, options...))
	s.mux.Handle(vidimusv1connect.NewTokenServiceHandler(&tokenService{s}, options...))
	checks := &healthService{s}
	options = append(options, connect.WithReadMaxBytes(publicMax))
	s.mux.Handle(vidimusv1connect.NewHealthServiceHandler(checks, options...))
	s.mux.Handle(grpcHealth, connect.NewUnaryHandlerSimple(grpcHealth, checks.Check, options...))
	s.mux.HandleFunc("GET /livez", s.livez)
	s.mux.HandleFunc("GET /readyz", s.readyz)
	return s, nil
}

// Tokens returns the book of tokens of a cell, or nil if the server has no such cell.
func (s *Server) Tokens(cell string) *token.Book {
	if c := s.cells[cell]; c != nil {
		return c.book
	}
	return nil
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
	w.Header().Set("Cache-Control", "no-store")
	admitted, c, err := s.admit(w, r)
	if err != nil {
		writeJSON(w, http.StatusForbidden, map[string]string{"code": "permission_denied", "message": err.Error()})
		return
	}
	defer func() {
		if c.leave != nil {
			c.leave()
		}
	}()
	s.mux.ServeHTTP(w, admitted)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("server: answer %v: %v", v, err)) // strings, lists and bools always marshal
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // the caller is gone if it cannot be told
}

// teller turns what handlers return into what callers are told, and bounds how long a call takes.
type teller struct{ s *Server }

// WrapUnary implements [connect.Interceptor].
func (t *teller) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
		limited, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		out, err := next(limited, r)
		callOf(ctx).sending() // ends with the request
		if err != nil {
			return nil, t.s.tell(ctx, r.Spec().Procedure, err)
		}
		return out, nil
	}
}

// WrapStreamingHandler implements [connect.Interceptor].
func (t *teller) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		if err := next(ctx, conn); err != nil {
			return t.s.tell(ctx, conn.Spec().Procedure, err)
		}
		return nil
	}
}

// WrapStreamingClient implements [connect.Interceptor].
func (t *teller) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// tell returns an error as callers may see it, and logs what they may not.
func (s *Server) tell(ctx context.Context, procedure string, err error) error {
	if !wire.Expected(err) {
		s.config.Logger.ErrorContext(ctx, "call failed", "procedure", procedure, "error", err)
	}
	var made *madeIDs
	if errors.As(err, &made) {
		return wire.Error(err, made.ids)
	}
	return wire.Error(err, nil)
}

// recovered answers a call whose handler panicked.
func (s *Server) recovered(ctx context.Context, spec connect.Spec, _ http.Header, what any) error {
	return s.tell(ctx, spec.Procedure, fmt.Errorf("panic: %v", what))
}

// audit logs what an administrator did.
func (s *Server) audit(ctx context.Context, v *visit, did string, args ...any) {
	by := slices.Concat([]any{"cell", v.cell.name, "by", v.token.Name, "token", v.token.ID}, args)
	s.config.Logger.InfoContext(ctx, did, by...)
}

// names returns the names of the cells, sorted.
func (s *Server) names() []string { return slices.Sorted(maps.Keys(s.cells)) }
