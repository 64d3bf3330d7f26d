// SPDX-License-Identifier: Apache-2.0

// PgBouncer in transaction mode, which hands every transaction to whichever server connection is free.

//go:build unix

package pgtest

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// poolSize is how many server connections the pooler shares out: few, so that clients meet each other's leavings.
const poolSize = 2

// poolerPort only names the socket file; the pooler listens on no network.
const poolerPort = 6432

// Pooler starts PgBouncer in transaction pooling mode in front of the database of dsn and returns the URL to use
// instead. At most two server connections exist behind it. Named prepared statements, session settings, session locks
// and LISTEN do not work through it, which is what it is here to show. It ends with the test, and fails the test when
// pgbouncer is missing or does not start.
func Pooler(t testing.TB, dsn string) string {
	t.Helper()
	h, p, err := startPooler(dsn)
	if err != nil {
		t.Fatalf("start the pooler: %v", err)
	}
	t.Cleanup(func() {
		// The watchdog kills the pooler while its process id is surely still its own.
		if err := errors.Join(h.close(), p.end(syscall.SIGKILL)); err != nil {
			t.Errorf("end the pooler: %v", err)
		}
	})
	q := url.Values{"host": {h.dir}, "port": {fmt.Sprint(poolerPort)}, "user": {"pooled"}}
	return (&url.URL{Scheme: "postgres", Path: "/pooled", RawQuery: q.Encode()}).String()
}

func startPooler(dsn string) (*home, *process, error) {
	program, err := bouncer()
	if err != nil {
		return nil, nil, err
	}
	target, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, nil, err
	}
	h, err := settle()
	if err != nil {
		return nil, nil, err
	}
	config, err := h.write("pooler.ini", poolerConfig(h.dir, target))
	if err != nil {
		return nil, nil, errors.Join(err, h.close())
	}
	p, err := run(h.command(program, config), h.logFile(), "process up")
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%w; its log ends:\n%s", err, h.tail()), h.close())
	}
	return h, p, nil
}

// poolerConfig is PgBouncer's configuration: one database, whoever may enter the directory may connect.
func poolerConfig(dir string, to *pgx.ConnConfig) string {
	quote := func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
	database := fmt.Sprintf("host=%s port=%d dbname=%s user=%s",
		quote(to.Host), to.Port, quote(to.Database), quote(to.User))
	if to.Password != "" {
		database += " password=" + quote(to.Password)
	}
	lines := []string{
		"[databases]",
		"pooled = " + database,
		"[pgbouncer]",
		fmt.Sprintf("unix_socket_dir = %s", dir),
		fmt.Sprintf("listen_port = %d", poolerPort),
		fmt.Sprintf("pidfile = %s/pooler.pid", dir),
		"auth_type = any",
		"pool_mode = transaction",
		fmt.Sprintf("default_pool_size = %d", poolSize),
		"max_client_conn = 200",
	}
	return strings.Join(lines, "\n") + "\n"
}
