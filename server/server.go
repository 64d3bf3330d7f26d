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
	"encoding/json"
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
	"example.com/vidimus/server/internal/door"
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
	// RequestBytes is how much memory the bodies of requests under way may take together; 0 stands for 256 MiB. A
	// compressed one counts as the largest that is taken, which is 16 MiB.
	RequestBytes int64
	// Connections is how many connections may be open; 0 stands for 4096. One more takes the place of that which has
	// waited for a request for longest, and for a second at least; it waits while there is none.
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
	if c.RequestBytes < 0 {
		return invalid("RequestBytes", fmt.Sprintf("%d is negative; use 0 for 256 MiB", c.RequestBytes))
	}
	if c.RequestBytes == 0 {
		c.RequestBytes = bytesDefault
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
	head   atomic.Pointer[journal.Checkpoint] // one of the log and epoch; nil until it is asked for
}

// Server serves the journals of a node. It is an [http.Handler]; [Server.Serve] also listens. Goroutines may share it.
type Server struct {
	config   Config
	cells    map[string]*cell
	mux      *http.ServeMux
	door     *door.Door
	draining atomic.Bool
}

// New returns a server. It returns a [journal.InvalidError] for a bad configuration.
func New(c Config) (*Server, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	s := &Server{config: c, cells: map[string]*cell{}, mux: http.NewServeMux()}
	books := map[string]*token.Book{}
	for name, log := range c.Cells {
		s.cells[name] = &cell{
			name: name, log: log, book: token.NewBook(log), leases: lease.NewTable(log), heavy: make(chan struct{}, 1),
		}
		books[name] = s.cells[name].book
	}
	s.door = door.New(door.Config{
		Books: books, Open: c.Open, Public: public, Lasting: lasting, Streams: c.Streams, Requests: c.Requests,
		Bytes: c.RequestBytes, Logger: c.Logger,
	})
	options := s.door.Options()
	s.mux.Handle(vidimusv1connect.NewJournalServiceHandler(&journalService{s}, options...))
	s.mux.Handle(vidimusv1connect.NewLeaseServiceHandler(&leaseService{s}, options...))
	s.mux.Handle(vidimusv1connect.NewTokenServiceHandler(&tokenService{s}, options...))
	checks := &healthService{s}
	options = append(options, connect.WithReadMaxBytes(door.PublicMax))
	s.mux.Handle(vidimusv1connect.NewHealthServiceHandler(checks, options...))
	s.mux.Handle(grpcHealth, connect.NewUnaryHandlerSimple(grpcHealth, checks.Check, options...))
	s.mux.HandleFunc("GET /livez", s.livez)
	s.mux.HandleFunc("GET /readyz", s.readyz)
	return s, nil
}

// public reports whether a procedure takes no token.
func public(procedure string) bool {
	return procedure == vidimusv1connect.HealthServiceCheckProcedure || procedure == grpcHealth
}

// lasting reports whether a unary call can last, so that it counts as a stream of its token and not as a request.
func lasting(procedure string) bool { return procedure == vidimusv1connect.JournalServicePollProcedure }

// Mount serves what a handler answers beside what the server does, for the requests that fit a pattern of
// [http.ServeMux]. The handler gets them after the server has refused those of pages of other sites and, where it is
// open, those from elsewhere; who else may call is for the handler to find out. Mount before the server is used. It
// returns a [journal.InvalidError] for a pattern that is none, or that another one leaves nothing.
func (s *Server) Mount(pattern string, h http.Handler) (err error) {
	if h == nil {
		return &journal.InvalidError{Field: "handler", Problem: "is nil; mount what answers"}
	}
	defer func() {
		if refused := recover(); refused != nil { // as http.ServeMux says no
			err = &journal.InvalidError{Field: "pattern", Problem: fmt.Sprintf("%q cannot be served: %v", pattern, refused)}
		}
	}()
	s.mux.Handle(pattern, h)
	return nil
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
	admitted, leave, err := s.door.Admit(w, r)
	if err != nil {
		writeJSON(w, http.StatusForbidden, map[string]string{"code": "permission_denied", "message": err.Error()})
		return
	}
	defer leave()
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

// names returns the names of the cells, sorted.
func (s *Server) names() []string { return slices.Sorted(maps.Keys(s.cells)) }
