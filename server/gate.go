// SPDX-License-Identifier: Apache-2.0

// Who calls: before a request's body is read.

package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"

	"example.com/vidimus/internal/clock"
	"example.com/vidimus/server/internal/wire"
	"example.com/vidimus/server/token"
	"example.com/vidimus/server/vidimusv1/vidimusv1connect"
)

// Times within which a peer must do its part.
const (
	headerTimeout = 10 * time.Second
	bodyTimeout   = 30 * time.Second
	sendTimeout   = 30 * time.Second
	idleTimeout   = 2 * time.Minute
	callTimeout   = 90 * time.Second
)

// call is what is known of a request from its transport.
type call struct {
	control *http.ResponseController
	// open: without a token, the caller may do everything.
	open bool
	// leave gives back what the call took of a limit; nil when it took nothing.
	leave func()
}

type callKey struct{}

func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

// received ends the time limit for reading the request.
func (c *call) received() {
	_ = c.control.SetReadDeadline(time.Time{}) // a transport without deadlines has none to end
}

// sending limits the time for what is sent next, until the returned function is called.
func (c *call) sending() (sent func()) {
	_ = c.control.SetWriteDeadline(clock.Now().Add(sendTimeout)) // a transport without deadlines bounds itself
	return func() { _ = c.control.SetWriteDeadline(time.Time{}) }
}

// admit looks at a request before anything else does. It returns the request to go on with, or an error that is fit
// to be told.
func (s *Server) admit(w http.ResponseWriter, r *http.Request) (*http.Request, *call, error) {
	c := &call{control: http.NewResponseController(w), open: s.config.Open}
	if c.open {
		if err := s.direct(r); err != nil {
			return nil, nil, err
		}
	}
	if err := s.origin.Check(r); err != nil {
		return nil, nil, fmt.Errorf("refused: a page of another site sent this request (%w)", err)
	}
	_ = c.control.SetReadDeadline(clock.Now().Add(bodyTimeout))
	_ = c.control.SetWriteDeadline(time.Time{})
	return r.WithContext(context.WithValue(r.Context(), callKey{}, c)), c, nil
}

// direct makes sure that a request to an open server came from a program on this machine, not through a proxy and not
// from a page in a browser, whose requests can be made to look local by a name that points to 127.0.0.1.
func (s *Server) direct(r *http.Request) error {
	addr, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if addr == nil || !local(addr) {
		return errors.New("refused: without tokens this node serves its own machine alone; create a token and " +
			"start it with authentication")
	}
	for _, header := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"} {
		if r.Header.Get(header) != "" {
			return fmt.Errorf("refused: the request came through a proxy (%s), and without tokens this node cannot tell "+
				"who sent it; create a token and start it with authentication", header)
		}
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return errors.New("refused: a page of another site sent this request")
	}
	if addr.Network() == "unix" || loopbackName(r.Host) {
		return nil
	}
	return fmt.Errorf("refused: the request names the host %q; without tokens use localhost or 127.0.0.1", r.Host)
}

// loopbackName reports whether the host of a request, with or without a port, is this machine by its own name.
func loopbackName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return ip != nil && ip.IsLoopback()
}

// local reports whether an address can be reached from this machine alone.
func local(a net.Addr) bool {
	switch a := a.(type) {
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	case *net.UnixAddr:
		return true
	}
	return false
}

// caller is who calls, by cell.
type caller struct {
	open bool
	in   map[string]token.Token
}

type callerKey struct{}

// gate authenticates a call before its message is read.
func (s *Server) gate(ctx context.Context, spec connect.Spec, _ connect.Peer, h http.Header) (context.Context, error) {
	c := callOf(ctx)
	if c == nil {
		return nil, wire.Error(errors.New("call did not pass through ServeHTTP"), nil)
	}
	if public(spec.Procedure) {
		return ctx, nil
	}
	who, err := s.authenticate(ctx, h.Values("Authorization"), c.open)
	if err != nil {
		return nil, s.tell(ctx, spec.Procedure, err)
	}
	// Only now: who has no token takes no place from those who have.
	if !lasting(spec) {
		select {
		case s.requests <- struct{}{}:
			c.leave = func() { <-s.requests }
		default:
			busy := fmt.Errorf("%w: %d calls are under way on this node; try again", wire.ErrLimit, s.config.Requests)
			return nil, s.tell(ctx, spec.Procedure, busy)
		}
	}
	return context.WithValue(ctx, callerKey{}, who), nil
}

// lasting reports whether a call can last, so that it counts as a stream of its token and not as a request.
func lasting(spec connect.Spec) bool {
	return spec.StreamType != connect.StreamTypeUnary || spec.Procedure == vidimusv1connect.JournalServicePollProcedure
}

// public reports whether a procedure takes no token.
func public(procedure string) bool {
	return procedure == vidimusv1connect.HealthServiceCheckProcedure || procedure == grpcHealth
}

// authenticate finds out who calls. A token that is given must be good, also where none is needed.
func (s *Server) authenticate(ctx context.Context, header []string, open bool) (*caller, error) {
	if len(header) == 0 && open {
		return &caller{open: true}, nil
	}
	if len(header) == 0 {
		return nil, fmt.Errorf("%w: send a token, as in Authorization: Bearer vid_...", token.ErrUnauthenticated)
	}
	scheme, text, _ := strings.Cut(header[0], " ")
	if len(header) > 1 || !strings.EqualFold(scheme, "Bearer") {
		return nil, fmt.Errorf("%w: send one token, as in Authorization: Bearer vid_...", token.ErrUnauthenticated)
	}
	who := &caller{in: map[string]token.Token{}}
	var refusal error
	for name, c := range s.cells {
		t, err := c.book.Verify(ctx, text)
		switch {
		case err == nil:
			who.in[name] = t
		case refusal == nil || errors.Is(refusal, token.ErrUnauthenticated):
			refusal = err // a journal that cannot be read says more than an unknown token
		}
	}
	if len(who.in) == 0 {
		return nil, refusal
	}
	return who, nil
}

// visit is a call within one cell.
type visit struct {
	cell   *cell
	open   bool
	token  token.Token
	rights token.Rights
}

// enter returns the cell that a request names, and what the caller may do there. A caller learns of no cell that its
// token does not open.
func (s *Server) enter(ctx context.Context, name string) (*visit, error) {
	callOf(ctx).received()
	who, _ := ctx.Value(callerKey{}).(*caller)
	if who == nil {
		return nil, errors.New("call did not pass through the gate")
	}
	usable := slices.Sorted(maps.Keys(who.in))
	if who.open {
		usable = slices.Sorted(maps.Keys(s.cells))
	}
	if name == "" && len(usable) == 1 {
		name = usable[0]
	}
	if !slices.Contains(usable, name) {
		return nil, fmt.Errorf("%w: %q is not among those this node has for you: %s", wire.ErrUnknownCell, name,
			strings.Join(usable, ", "))
	}
	v := &visit{cell: s.cells[name], open: who.open}
	if who.open {
		v.token = token.Token{Name: "local"}
		v.rights = token.Rights{{Verb: token.Admin}}
	} else {
		v.token = who.in[name]
		v.rights = v.token.Rights
	}
	return v, nil
}

// still reports whether the caller is still welcome, for calls that last.
func (v *visit) still(ctx context.Context) error {
	if v.open {
		return nil
	}
	return v.cell.book.Still(ctx, v.token)
}
