// SPDX-License-Identifier: Apache-2.0

// One node, wired together.

package vidimus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"example.com/vidimus/cell"
	"example.com/vidimus/journal"
	"example.com/vidimus/server"
	"example.com/vidimus/server/token"
)

// Config configures a node. Its cell's own settings are in Cell.
type Config struct {
	// Cell configures the cell: its journal above all. The journal belongs to the caller, who closes it after the node.
	Cell cell.Config
	// Services are what the cell does.
	Services []cell.Service
	// Listen is the address at which the node answers, such as "127.0.0.1:7420"; port 0 takes a free one. Empty for a
	// node that nobody calls.
	Listen string
	// TLS, if not nil, is what the node answers with.
	TLS *tls.Config
	// Open lets every program on this machine in without a token. It is refused on any but a loopback address.
	Open bool
}

// Node is one process of a cell. Goroutines may share it.
type Node struct {
	cell     *cell.Cell
	services []cell.Service
	server   *server.Server
	listener net.Listener
	tls      *tls.Config
}

// Open joins the cell and takes the address, but does no work yet: see [Node.Run]. It returns the errors of
// [cell.Open], [server.New], [net.Listen] and [server.Server.MayListen].
func Open(ctx context.Context, cfg Config) (*Node, error) {
	c, err := cell.Open(ctx, cfg.Cell)
	if err != nil {
		return nil, err
	}
	n := &Node{cell: c, services: cfg.Services, tls: cfg.TLS}
	if cfg.Listen == "" {
		return n, nil
	}
	n.server, err = server.New(server.Config{
		Cells: map[string]*journal.Log{c.Name(): cfg.Cell.Log}, Open: cfg.Open, Drain: drain(cfg.Cell.Drain),
		Logger: logger(cfg.Cell.Logger),
	})
	if err != nil {
		return nil, err
	}
	if n.listener, err = net.Listen("tcp", cfg.Listen); err != nil {
		return nil, fmt.Errorf("%w; choose another address, or port 0 for a free one", err)
	}
	if err := n.server.MayListen(ctx, n.listener.Addr()); err != nil {
		return nil, errors.Join(err, n.listener.Close())
	}
	return n, nil
}

func drain(d time.Duration) time.Duration {
	if d == 0 {
		return cell.DefaultDrain
	}
	return d
}

func logger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}

// Add gives the cell more services to run, made for the cell that [Node.Cell] returns. Call it before Run.
func (n *Node) Add(services ...cell.Service) { n.services = append(n.services, services...) }

// Mount answers requests that fit a pattern with a handler, as [server.Server.Mount] does. Call it before Run. It
// returns a [journal.InvalidError] when the node does not listen, too.
func (n *Node) Mount(pattern string, h http.Handler) error {
	if n.server == nil {
		return &journal.InvalidError{Field: "Listen", Problem: "is empty, so nobody calls; give the node an address"}
	}
	return n.server.Mount(pattern, h)
}

// Tokens returns the book of tokens of the node's cell, or nil if the node does not listen.
func (n *Node) Tokens() *token.Book {
	if n.server == nil {
		return nil
	}
	return n.server.Tokens(n.cell.Name())
}

// Cell returns the cell that the node belongs to.
func (n *Node) Cell() *cell.Cell { return n.cell }

// URL is the address at which programs on this machine reach the node, or empty if it does not listen.
func (n *Node) URL() string {
	if n.listener == nil {
		return ""
	}
	scheme := "http"
	if n.tls != nil {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(n.listener.Addr().String())
	if err != nil {
		return scheme + "://" + n.listener.Addr().String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// Run does the cell's work on this node and answers calls, until ctx ends or something fails, then drains: calls under
// way are answered while their leases are still held, then services end and what the node owns is handed over. It
// returns nil after an orderly end. Call it once.
func (n *Node) Run(ctx context.Context) error {
	if n.server == nil {
		return n.cell.Run(ctx, n.services...)
	}
	serving, endServing := context.WithCancel(ctx)
	defer endServing()
	working, endWorking := context.WithCancel(context.WithoutCancel(ctx))
	defer endWorking()
	worked := make(chan error, 1)
	go func() {
		defer endServing()
		worked <- n.cell.Run(working, n.services...)
	}()
	var err error
	if n.tls != nil {
		err = n.server.ServeTLS(serving, n.listener, n.tls)
	} else {
		err = n.server.Serve(serving, n.listener)
	}
	endWorking()
	return errors.Join(err, <-worked)
}

// Close gives the address back, for a node that is not to run. Twice is fine, and so is after Run.
func (n *Node) Close() error {
	if n.listener == nil {
		return nil
	}
	if err := n.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
