// SPDX-License-Identifier: Apache-2.0

// A throw-away PostgreSQL server and the ways to end it, gently and otherwise.

//go:build unix

package pgtest

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Cluster is one PostgreSQL server with its own data directory, socket and port on 127.0.0.1.
// One goroutine at a time may start and end it; any may ask for its addresses.
type Cluster struct {
	home     *home
	bin      string
	port     int
	password string
	settings map[string]string
	server   *process // nil while the server is down
}

// launch creates a cluster and starts it.
func launch(o Options) (*Cluster, error) {
	bin, err := binaries(os.Getenv("VIDIMUS_PG_BIN"), places)
	if err != nil {
		return nil, err
	}
	h, err := settle()
	if err != nil {
		return nil, err
	}
	c := &Cluster{home: h, bin: bin, password: secret(), settings: o.Settings}
	if err := c.initialise(); err != nil {
		return nil, errors.Join(err, h.close())
	}
	for attempt := 0; ; attempt++ {
		if c.port, err = freePort(); err == nil {
			err = c.Start()
		}
		if err == nil {
			return c, nil
		}
		if attempt == 2 { // a port can be taken between our look and the server's, but not thrice
			return nil, errors.Join(fmt.Errorf("%w; its log ends:\n%s", err, h.tail()), h.close())
		}
	}
}

// initialise writes the data directory. Whoever may enter it may use the socket; the port asks for a password.
func (c *Cluster) initialise() error {
	password, err := c.home.write("password", c.password+"\n")
	if err != nil {
		return err
	}
	cmd := c.home.command(filepath.Join(c.bin, "initdb"),
		"--pgdata", c.data(), "--username", "postgres", "--pwfile", password, "--no-sync",
		"--auth-local", "trust", "--auth-host", "scram-sha-256", "--encoding", "UTF8", "--locale", "C")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w (can user postgres enter %s? if not set TMPDIR)\n%s", cmd.Path, err, c.home.dir, out)
	}
	return nil
}

// Start starts the server after Stop or Kill9 and returns when it accepts connections, recovery included.
func (c *Cluster) Start() error {
	if c.server != nil {
		return errors.New("the server is running: call Stop or Kill9 before Start")
	}
	settings := map[string]string{
		"listen_addresses":        "127.0.0.1",
		"unix_socket_directories": c.home.dir,
		"max_connections":         "200",
		"fsync":                   "on",
		"logging_collector":       "off",
		"log_destination":         "stderr",
		"lc_messages":             "C", // we wait for an English line of the log
	}
	if os.Getenv("VIDIMUS_PG_FSYNC") == "off" {
		settings["fsync"] = "off"
	}
	maps.Copy(settings, c.settings)
	args := []string{"-D", c.data(), "-p", strconv.Itoa(c.port)}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	server, err := run(c.home.command(filepath.Join(c.bin, "postgres"), args...),
		c.home.logFile(), "database system is ready to accept connections")
	c.server = server
	return err
}

// Stop ends the server as an administrator would: clients are cut off, everything is written. Stopping twice is fine.
func (c *Cluster) Stop() error { return c.end(syscall.SIGINT) }

// Restart is Stop and Start.
func (c *Cluster) Restart() error {
	if err := c.Stop(); err != nil {
		return err
	}
	return c.Start()
}

// Kill9 kills every process of the server at once, as a crash would: what was not flushed is gone from memory, and
// Start has to recover. It returns when none is left. It proves nothing about power loss: the kernel still writes.
func (c *Cluster) Kill9() error {
	if c.server == nil {
		return nil
	}
	backends := children(c.Pid())
	if err := c.server.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("kill the server: %w", err)
	}
	for _, pid := range backends {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended by itself
	}
	return c.end(syscall.SIGKILL)
}

// Pid is the process id of the server, 0 while it is down.
func (c *Cluster) Pid() int {
	if c.server == nil {
		return 0
	}
	return c.server.cmd.Process.Pid
}

// DSN is the URL of a database over the server's socket, as the superuser.
func (c *Cluster) DSN(database string) string {
	q := url.Values{"host": {c.home.dir}, "port": {strconv.Itoa(c.port)}, "user": {"postgres"}}
	return (&url.URL{Scheme: "postgres", Path: "/" + database, RawQuery: q.Encode()}).String()
}

// TCP is the URL of a database over the network, as the superuser: for tests that put something in between.
func (c *Cluster) TCP(database string) string {
	return (&url.URL{
		Scheme: "postgres", User: url.UserPassword("postgres", c.password),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port)), Path: "/" + database, RawQuery: "sslmode=disable",
	}).String()
}

// end stops the server with a signal and forgets its pid file, so that the watchdog never acts on a reused number.
func (c *Cluster) end(sig syscall.Signal) error {
	if c.server == nil {
		return nil
	}
	err := c.server.end(sig)
	c.server = nil
	if removeErr := os.Remove(filepath.Join(c.data(), "postmaster.pid")); !errors.Is(removeErr, os.ErrNotExist) {
		err = errors.Join(err, removeErr)
	}
	return err
}

// close ends the server without ceremony and removes its files.
func (c *Cluster) close() error { return errors.Join(c.end(syscall.SIGQUIT), c.home.close()) }

func (c *Cluster) data() string { return filepath.Join(c.home.dir, "data") }

// children lists the processes a process has forked, where the kernel tells.
func children(pid int) []int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil
	}
	var pids []int
	for _, field := range strings.Fields(string(text)) {
		if n, err := strconv.Atoi(field); err == nil {
			pids = append(pids, n)
		}
	}
	return pids
}

// freePort asks the kernel for a port that nobody uses at the moment.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// withDatabase is a server's URL with another database in it.
func withDatabase(t testing.TB, dsn, database string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil || u.Scheme == "" {
		t.Fatalf("VIDIMUS_PG_URL=%q is not a URL: write it as postgres://user:password@host:port/postgres", dsn)
	}
	if _, err := pgx.ParseConfig(dsn); err != nil {
		t.Fatalf("VIDIMUS_PG_URL: %v", err)
	}
	u.Path = "/" + database
	return u.String()
}
