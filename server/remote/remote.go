// SPDX-License-Identifier: Apache-2.0

// Reaching a node: where it is, with which token, and what its errors mean.

// Package remote is a journal on another node, with the methods and the errors of a [journal.Log] at hand; and beside
// it the sessions, the feed of changes and the authority of that node.
//
// What differs is the network between: a commit whose answer is lost returns [journal.ErrUncertain] more often than a
// journal at hand does. Commit the same unit again to find out.
package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"connectrpc.com/connect"

	"example.com/vidimus/journal"
	"example.com/vidimus/server/internal/wire"
	"example.com/vidimus/server/token"
	"example.com/vidimus/server/vidimusv1/vidimusv1connect"
)

// Errors of a node besides those of package journal, to branch on with errors.Is.
var (
	// ErrUnauthenticated: the token is missing, unknown, expired or revoked.
	ErrUnauthenticated = token.ErrUnauthenticated
	// ErrPermission: the token lacks a right, which the message names.
	ErrPermission = wire.ErrPermission
	// ErrDraining: the node is shutting down. Nothing was written; go on at another, or here later.
	ErrDraining = wire.ErrDraining
	// ErrLimit: too many calls or streams are open. Nothing was written; try again later.
	ErrLimit = wire.ErrLimit
	// ErrUnknownCell: the node has no such cell, or none that the token opens.
	ErrUnknownCell = wire.ErrUnknownCell
)

// Config says which journal is meant.
type Config struct {
	// URL is where the node is, such as http://127.0.0.1:7420 or https://node.example.
	URL string
	// Token is the caller's token. A node that is open to its own machine needs none.
	Token string
	// Cell is the name of the cell; it may be empty where the token opens only one.
	Cell string
	// Plain allows to send the token over http to another machine, where everybody on the way can read it.
	Plain bool
	// HTTP carries the calls; nil stands for one of its own.
	HTTP *http.Client
}

func (c *Config) validate() (*url.URL, error) {
	invalid := func(field, problem string) error { return &journal.InvalidError{Field: field, Problem: problem} }
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, invalid("URL", fmt.Sprintf("%q is no address of a node; write http://127.0.0.1:7420", c.URL))
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, invalid("URL", "has more than a host and a path; give the token on its own")
	case u.Scheme == "http" && c.Token != "" && !c.Plain && !near(u.Hostname()):
		return nil, invalid("URL", fmt.Sprintf("would show the token to everybody on the way to %s; use https, or allow it",
			u.Hostname()))
	case strings.ContainsFunc(c.Token, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return nil, invalid("Token", "holds characters that no token has; it reads vid_<id>_<secret>")
	}
	return u, nil
}

// near reports whether a host is this machine.
func near(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// Log is a journal on another node. Goroutines may share it.
type Log struct {
	config   Config
	cell     string
	http     *http.Client
	journal  vidimusv1connect.JournalServiceClient
	leases   vidimusv1connect.LeaseServiceClient
	tokens   vidimusv1connect.TokenServiceClient
	sessions vidimusv1connect.SessionServiceClient
	feed     vidimusv1connect.FeedServiceClient
	presence vidimusv1connect.PresenceServiceClient
}

// New returns the journal that c describes. It returns a [journal.InvalidError]; whether the node can be reached is
// found out by the first call.
func New(c Config) (*Log, error) {
	u, err := c.validate()
	if err != nil {
		return nil, err
	}
	base := strings.TrimRight(u.String(), "/")
	l := &Log{config: c, cell: c.Cell, http: c.HTTP}
	if l.http == nil {
		l.http = newHTTP()
	}
	options := []connect.ClientOption{connect.WithInterceptors(&bearer{c.Token})}
	if near(u.Hostname()) {
		options = append(options, connect.WithAcceptCompression("gzip", nil, nil)) // memory is faster than gzip
	}
	l.journal = vidimusv1connect.NewJournalServiceClient(l.http, base, options...)
	l.leases = vidimusv1connect.NewLeaseServiceClient(l.http, base, options...)
	l.tokens = vidimusv1connect.NewTokenServiceClient(l.http, base, options...)
	l.sessions = vidimusv1connect.NewSessionServiceClient(l.http, base, options...)
	l.feed = vidimusv1connect.NewFeedServiceClient(l.http, base, options...)
	l.presence = vidimusv1connect.NewPresenceServiceClient(l.http, base, options...)
	return l, nil
}

// newHTTP returns a client for many calls at once to one node. It follows no redirect: the token is for that node.
func newHTTP() *http.Client {
	const (
		dialTimeout   = 10 * time.Second
		answerTimeout = 2 * time.Minute
		connections   = 256
	)
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
			TLSHandshakeTimeout:   dialTimeout,
			ResponseHeaderTimeout: answerTimeout,
			IdleConnTimeout:       time.Minute,
			MaxIdleConnsPerHost:   connections,
			MaxConnsPerHost:       2 * connections,
			ForceAttemptHTTP2:     true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Close gives the connections back. Calls under way go on. Twice is fine.
func (l *Log) Close() error {
	l.http.CloseIdleConnections()
	return nil
}

// bearer puts the token on every call.
type bearer struct{ token string }

func (b *bearer) put(h http.Header) {
	if b.token != "" {
		h.Set("Authorization", "Bearer "+b.token)
	}
}

// WrapUnary implements [connect.Interceptor].
func (b *bearer) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
		b.put(r.Header())
		return next(ctx, r)
	}
}

// WrapStreamingClient implements [connect.Interceptor].
func (b *bearer) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return func(ctx context.Context, spec connect.Spec) connect.StreamingClientConn {
		conn := next(ctx, spec)
		b.put(conn.RequestHeader())
		return conn
	}
}

// WrapStreamingHandler implements [connect.Interceptor].
func (b *bearer) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}

// reading returns what an error of a call that writes nothing means.
func reading(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if back, ours := wire.FromError(err); ours {
		return back
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if certain(err) {
		return stranger(err)
	}
	return fmt.Errorf("%w: the node cannot be reached or did not answer: %w", journal.ErrUnavailable, err)
}

// writing returns what an error of a call that writes means: without a word from the node the outcome is unknown,
// unless the call certainly never got there.
func writing(err error) error {
	if err == nil {
		return nil
	}
	if back, ours := wire.FromError(err); ours {
		return back
	}
	var network *net.OpError
	switch {
	case errors.As(err, &network) && network.Op == "dial":
		return fmt.Errorf("%w: the node cannot be reached: %w", journal.ErrUnavailable, err)
	case certain(err):
		return stranger(err)
	}
	return fmt.Errorf("%w: the node's answer was lost; repeat the call as it is: %w", journal.ErrUncertain, err)
}

// stranger says that a refusal came from something else than a node.
func stranger(err error) error {
	return fmt.Errorf("the answer is not that of a node, so check the address, and what is on the way: %w", err)
}

// certain reports whether a refusal without a detail, as of a proxy on the way, means that nothing was done.
func certain(err error) bool {
	switch connect.CodeOf(err) {
	case connect.CodeInvalidArgument, connect.CodeUnimplemented, connect.CodeUnauthenticated,
		connect.CodePermissionDenied, connect.CodeNotFound, connect.CodeFailedPrecondition:
		return true
	}
	return false
}
