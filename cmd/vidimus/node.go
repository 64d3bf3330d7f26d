// SPDX-License-Identifier: Apache-2.0

// vidimus dev and vidimus serve: a node, wired together.

package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"example.com/vidimus"
	"example.com/vidimus/cell"
	"example.com/vidimus/cmd/vidimus/internal/screen"
)

// drainMax bounds how long a node ends its calls, and then its services.
const drainMax = 10 * time.Second

type devCmd struct {
	Data   string `default:"vidimus-data" placeholder:"DIR" help:"Directory of the journal; it is made when there is none (${default})."`
	Listen string `default:"127.0.0.1:7420" placeholder:"ADDR" help:"Where to listen; port 0 takes a free one (${default})."`

	authorityFlags `set:"usualDomain= (dev)"`
	SealKey        string `name:"seal-key" placeholder:"FILE" help:"Key that signing keys are sealed with; without it seal.key in the directory, which is made when there is none."`
}

// Help is shown by --help.
func (c *devCmd) Help() string {
	return `The node keeps its journal in one SQLite file, has one cell named main, and lets every program on this machine in
without a token, and nobody else. It is an authority for the trust domain "dev", whose passports carry name and limit
of a subject and theme of a session, and allow "read write", unless the flags say otherwise. Ctrl-C ends it.`
}

// Run runs the node until it is interrupted.
func (c *devCmd) Run(ctx context.Context, a *app) error {
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return usage("--data", "%v; name a directory that can be made", err)
	}
	n := node{app: a, db: filepath.Join(c.Data, "main.db"), cell: cell.DefaultName, listen: c.Listen, open: true}
	n.authority = authorityConfig{
		authorityFlags: c.authorityFlags, sealKey: cmp.Or(c.SealKey, filepath.Join(c.Data, sealName)),
		create: c.SealKey == "", public: devPublic(),
	}
	n.authority.TrustDomain = cmp.Or(c.TrustDomain, "dev")
	if len(c.Scope) == 0 {
		n.authority.Scope = []string{"read", "write"}
	}
	return n.run(ctx, func(url string) error {
		return a.welcome(url, n.db, cmp.Or(c.Issuer, url), n.authority.TrustDomain)
	})
}

type serveCmd struct {
	DB      string `name:"db" placeholder:"PATH|URL" help:"The journal: a SQLite file or a postgres:// URL ($VIDIMUS_DB)."`
	Schema  string `name:"db-schema" placeholder:"NAME" help:"Schema of PostgreSQL that the journal is kept in; without it vidimus."`
	Listen  string `default:"127.0.0.1:7420" placeholder:"ADDR" help:"Where to listen; port 0 takes a free one (${default})."`
	Cell    string `placeholder:"NAME" help:"Name of the cell; it is kept in the journal, so a new one needs it at most, else main."`
	Node    string `placeholder:"NAME" help:"Name of this node, unique in the cell; without it a random one."`
	Open    bool   `help:"Let every program on this machine in without a token; only on a loopback address."`
	TLSCert string `name:"tls-cert" placeholder:"FILE" help:"Certificate chain in PEM; with --tls-key."`
	TLSKey  string `name:"tls-key" placeholder:"FILE" help:"Private key in PEM; with --tls-cert."`

	authorityFlags `set:"usualDomain="`
	SealKey        string `name:"seal-key" placeholder:"FILE" help:"Key that signing keys are sealed with. With it the node is an authority: it keeps sessions and mints passports."`
}

// Help is shown by --help.
func (c *serveCmd) Help() string {
	return `Everybody needs a token: make the first one with ` + "`vidimus token create`" + ` before the node runs on a SQLite file, or
at any time with PostgreSQL. SIGTERM drains: calls under way are answered, leases are handed over. A second one ends
the node at once.

Examples:

    vidimus token create admin --right admin --db state.db
    vidimus serve --db state.db --listen 0.0.0.0:7420 --tls-cert node.crt --tls-key node.key
    vidimus serve --db postgres://vidimus@db.internal/vidimus
    vidimus passport seal-key seal.key
    vidimus serve --db state.db --seal-key seal.key --issuer https://id.example --trust-domain shop.example --scope shop.use`
}

// Run runs the node until it is interrupted.
func (c *serveCmd) Run(ctx context.Context, a *app) error {
	db := c.DB
	if db == "" {
		db = a.getenv("VIDIMUS_DB")
	}
	if db == "" {
		return usage("--db", "is missing; name a SQLite file or a postgres:// URL, or use `vidimus dev` to try things out")
	}
	n := node{app: a, db: db, schema: c.Schema, cell: c.Cell, name: c.Node, listen: c.Listen, open: c.Open}
	var err error
	if n.tls, err = certificate(c.TLSCert, c.TLSKey); err != nil {
		return err
	}
	n.authority = authorityConfig{authorityFlags: c.authorityFlags, sealKey: c.SealKey}
	return n.run(ctx, func(url string) error {
		if a.json {
			return a.object(nodeAnswer{url, withoutPassword(db), cmp.Or(n.authority.Issuer, url), n.authority.TrustDomain})
		}
		return a.tell("serving %s", url)
	})
}

// nodeAnswer is what a node says with --json once it can be reached.
type nodeAnswer struct {
	URL         string `json:"url"`
	DB          string `json:"db"`
	Issuer      string `json:"issuer,omitempty"`
	TrustDomain string `json:"trust_domain,omitempty"`
}

// withoutPassword returns what may be shown of a path or URL.
func withoutPassword(db string) string {
	if u, err := url.Parse(db); err == nil && isPostgres(db) {
		return u.Redacted()
	}
	return db
}

// node is one process of a cell.
type node struct {
	app    *app
	db     string
	schema string
	cell   string
	name   string
	listen string
	open   bool
	tls    *tls.Config

	authority authorityConfig
}

// run opens everything, calls ready with the node's address, and works until ctx ends.
func (n *node) run(ctx context.Context, ready func(address string) error) (err error) {
	if err := n.authority.settle(); err != nil {
		return err
	}
	log, err := openDB(ctx, n.db, n.schema, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	logger := n.app.logger()
	v, err := vidimus.Open(ctx, vidimus.Config{
		Cell:   cell.Config{Log: log, Name: n.cell, Node: n.name, Drain: drainMax, Logger: logger},
		Listen: n.listen, TLS: n.tls, Open: n.open,
	})
	if err != nil {
		return listenUsage(err)
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	if err := n.addAuthority(ctx, v); err != nil {
		return err
	}
	if !isPostgres(n.db) {
		leave, err := leaveAddress(n.db, v.URL())
		if err != nil {
			return err
		}
		defer leave()
	}
	if err := ready(v.URL()); err != nil {
		return err
	}
	logger.InfoContext(ctx, "node serves", "cell", v.Cell().Name(), "node", v.Cell().Node(), "url", v.URL())
	defer logger.InfoContext(ctx, "node has ended")
	return v.Run(ctx)
}

// listenUsage blames the flag for an address that cannot be had.
func listenUsage(err error) error {
	if op := (*net.OpError)(nil); errors.As(err, &op) && op.Op == "listen" {
		return usage("--listen", "%v; choose another address, or port 0 for a free one", op)
	}
	return err
}

// leaveAddress writes down how to reach the node that has the file open, for those who find it locked.
func leaveAddress(db, url string) (leave func(), err error) {
	path := addressFile(db)
	if err := os.WriteFile(path, []byte(url+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("leave the node's address beside the journal: %w", err)
	}
	return func() { _ = os.Remove(path) }, nil // a stale address only misleads people who read an error
}

// logger writes to the standard error: lines for people on a terminal, JSON for programs.
func (a *app) logger() *slog.Logger {
	if a.json {
		return slog.New(slog.NewJSONHandler(a.err, nil))
	}
	return slog.New(slog.NewTextHandler(a.err, nil))
}

// welcome says how to try the node out. Every line of it works as it stands.
func (a *app) welcome(url, db, issuer, audience string) error {
	if a.json {
		return a.object(nodeAnswer{url, db, issuer, audience})
	}
	append1 := `{"appends": [{"stream": "order-7", "events": [{"type": "order.placed", "json": {"total": 42}}]}]}`
	lines := []string{
		a.style.Bold("A node with the cell main runs.") + " Ctrl-C ends it.",
		"",
		"  address  " + a.style.Name(url),
		"  journal  " + screen.Printable(db),
		"  issuer   " + screen.Printable(issuer) + " of passports for " + screen.Printable(audience),
		"  keys     " + url + jwksPath,
		"",
		"Try, in another terminal:",
		"",
		"  curl -H 'Content-Type: application/json' " + url + "/vidimus.v1.JournalService/Append \\",
		"    -d '" + append1 + "'",
		"  curl -H 'Content-Type: application/json' " + url + "/vidimus.v1.JournalService/Page -d '{\"json\": true}'",
		"",
		"  export VIDIMUS_SERVER=" + url,
		"  " + a.program + ` journal append order-7 '{"amount":42}' --type order.paid --expect exists`,
		"  " + a.program + " journal read --stream order-7",
		"  " + a.program + " journal follow",
		"  " + a.program + " lease list",
		"",
		"  HANDLE=$(" + a.program + " session start u-42 --subject-set limit=500)",
		"  PASSPORT=$(" + a.program + " passport mint $HANDLE --audience " + audience + ")",
		"  " + a.program + " passport verify $PASSPORT --audience " + audience,
		"  " + a.program + " session change --subject u-42 --set limit=250",
		"  " + a.program + " session end $HANDLE",
		"",
	}
	_, err := io.WriteString(a.out, strings.Join(lines, "\n")+"\n")
	return err
}
