// SPDX-License-Identifier: Apache-2.0

// Tests that the borrowed servers are separate, survive crashes, and never outlive their borrower.

//go:build unix

package pgtest

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestOpenGivesEachTestItsOwnDatabase(t *testing.T) {
	t.Parallel()
	one, two := connect(t, Open(t)), connect(t, Open(t))
	mustExec(t, one, "create table only_here (n int)")
	if got := ask[bool](t, two, "select to_regclass('only_here') is null"); !got {
		t.Error("the second database sees the first one's table")
	}
	if a, b := ask[string](t, one, "show data_directory"), ask[string](t, two, "show data_directory"); a != b {
		t.Errorf("one test process started two servers: %s and %s", a, b)
	}
}

func TestOpenDropsTheDatabaseWithTheTest(t *testing.T) {
	t.Parallel()
	var name string
	t.Run("borrower", func(t *testing.T) {
		name = ask[string](t, connect(t, Open(t)), "select current_database()")
	})
	left := ask[int](t, connect(t, Open(t)), "select count(*) from pg_database where datname = $1", name)
	if left != 0 {
		t.Errorf("database %s outlived its test", name)
	}
}

func TestOpenUsesTheNamedServer(t *testing.T) {
	c := Server(t, nil) // not parallel: it sets the environment
	t.Setenv("VIDIMUS_PG_URL", c.TCP("postgres"))
	got := ask[string](t, connect(t, Open(t)), "show data_directory")
	if got != c.data() {
		t.Errorf("Open went to %s, want the server named in the environment at %s", got, c.data())
	}
}

func TestKilledServerKeepsWhatWasCommitted(t *testing.T) {
	t.Parallel()
	c := Server(t, &Options{Settings: map[string]string{"wal_level": "logical"}})
	dsn := c.Database(t)
	before, pid := connect(t, dsn), c.Pid()
	mustExec(t, before, "create table kept (n int)")
	mustExec(t, before, "insert into kept select generate_series(1, 1000)")
	mustExec(t, before, "begin; insert into kept values (1001)")

	if err := c.Kill9(); err != nil {
		t.Fatal(err)
	}
	if _, err := pgx.Connect(t.Context(), dsn); err == nil || c.Pid() != 0 {
		t.Fatalf("the killed server still answers: error %v, pid %d", err, c.Pid())
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	after := connect(t, dsn)
	if got := ask[int](t, after, "select count(*) from kept"); got != 1000 {
		t.Errorf("%d rows after the crash, want the 1000 committed ones", got)
	}
	if got := ask[string](t, after, "show wal_level"); got != "logical" {
		t.Errorf("wal_level is %s after Start, want logical", got)
	}
	if c.Pid() == pid {
		t.Error("Start did not start a new server")
	}
}

func TestStoppedServerStartsAtTheSameAddress(t *testing.T) {
	t.Parallel()
	c := Server(t, nil)
	tcp := c.TCP("postgres")
	if got := ask[string](t, connect(t, tcp), "show fsync"); got != "on" {
		t.Errorf("fsync is %s, want on: a test of durability must mean it", got)
	}
	if err := c.Restart(); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err == nil || !strings.Contains(err.Error(), "call Stop or Kill9") {
		t.Errorf("starting a running server: %v, want the remedy", err)
	}
	connect(t, tcp)
	for range 2 {
		if err := c.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPortAsksForThePassword(t *testing.T) {
	t.Parallel()
	c := Server(t, nil)
	wrong := strings.Replace(c.TCP("postgres"), c.password, "guess", 1)
	if _, err := pgx.Connect(t.Context(), wrong); err == nil {
		t.Error("anyone on this machine may become superuser of a test server")
	}
}

func TestPoolerSharesFewConnections(t *testing.T) {
	t.Parallel()
	dsn := Pooler(t, Open(t))
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	seen := map[int]bool{}
	for range 3 * poolSize {
		conn, err := pgx.ConnectConfig(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close(context.Background()) })
		seen[ask[int](t, conn, "select pg_backend_pid()")] = true
	}
	if len(seen) > poolSize {
		t.Errorf("%d clients used %d server connections, want at most %d", 3*poolSize, len(seen), poolSize)
	}
}

// borrow makes this test binary a borrower that is killed without a chance to clean up.
const borrow = "VIDIMUS_PGTEST_BORROW"

func TestServerDiesWithItsBorrower(t *testing.T) {
	t.Parallel()
	if os.Getenv(borrow) != "" {
		c := Server(t, nil)
		fmt.Fprintf(os.Stderr, "home %s pid %d\n", c.home.dir, c.Pid())
		select {} // until the parent kills us
	}
	borrower := exec.Command(os.Args[0], "-test.run=^TestServerDiesWithItsBorrower$")
	borrower.Env = append(os.Environ(), borrow+"=1")
	says, err := borrower.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := borrower.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(says).ReadString('\n')
	if err != nil {
		t.Fatalf("the borrower ended early: %v", err)
	}
	var dir string
	var pid int
	if _, err := fmt.Sscanf(line, "home %s pid %d", &dir, &pid); err != nil {
		t.Fatalf("the borrower said %q: %v", line, err)
	}
	if err := borrower.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = borrower.Wait() // it was killed, as its state says

	// The directory goes last, so waiting for that is enough; the shell does the waiting.
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	wait := exec.CommandContext(ctx, "/bin/sh", "-c", `while [ -e "$1" ]; do sleep 0.05; done`, "wait", dir)
	if err := wait.Run(); err != nil {
		t.Fatalf("%s outlived the killed test process: %v", dir, err)
	}
	if cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid)); err == nil && strings.HasPrefix(cwd, dir) {
		t.Errorf("server %d outlived the killed test process", pid)
	}
}

func TestSweepTakesOnlyWhatIsAbandoned(t *testing.T) {
	t.Parallel()
	tmp := t.TempDir()
	make := func(name string) string {
		dir := filepath.Join(tmp, name)
		if err := os.MkdirAll(filepath.Join(dir, "data"), 0o700); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	owned, abandoned, starting, other := make(prefix+"1"), make(prefix+"2"), make(prefix+"3"), make("other")
	held, err := lockFile(owned)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	for _, dir := range []string{abandoned, other} {
		released, err := lockFile(dir)
		if err != nil {
			t.Fatal(err)
		}
		released.Close()
	}

	sweep(tmp)
	for dir, want := range map[string]bool{owned: true, abandoned: false, starting: true, other: true} {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s kept: %t, want %t", filepath.Base(dir), err == nil, want)
		}
	}
}

func TestMissingServerNamesTheRemedy(t *testing.T) {
	empty := t.TempDir() // not parallel: it sets the environment
	if _, err := binaries(empty, nil); err == nil || !strings.Contains(err.Error(), "make postgres") {
		t.Errorf("binaries(%q) = %v, want the remedy", empty, err)
	}
	t.Setenv("PATH", empty)
	if _, err := binaries("", []string{empty}); err == nil || !strings.Contains(err.Error(), "VIDIMUS_PG_BIN") {
		t.Errorf("binaries without any server = %v, want the remedy", err)
	}
}

func TestNewestServerIsTaken(t *testing.T) {
	t.Parallel()
	tmp := t.TempDir()
	for _, version := range []string{"9", "15", "17", "18"} {
		bin := filepath.Join(tmp, version, "bin")
		if err := os.MkdirAll(bin, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, program := range []string{"initdb", "postgres"} {
			mode := os.FileMode(0o700)
			if version == "18" {
				mode = 0o600 // a half-removed package
			}
			if err := os.WriteFile(filepath.Join(bin, program), nil, mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got, want := newest([]string{tmp + "/*/bin"}), filepath.Join(tmp, "17", "bin"); got != want {
		t.Errorf("newest = %s, want %s", got, want)
	}
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func mustExec(t *testing.T, conn *pgx.Conn, statement string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func ask[T any](t *testing.T, conn *pgx.Conn, query string, args ...any) T {
	t.Helper()
	var answer T
	if err := conn.QueryRow(t.Context(), query, args...).Scan(&answer); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return answer
}
