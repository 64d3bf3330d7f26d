// SPDX-License-Identifier: Apache-2.0

// The command line as people type it: each script in testdata/script is a conversation with the program.
// Run with -rewrite to write what the program says now into the scripts, then read the difference.

package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/ncruces/go-sqlite3"
	"github.com/rogpeppe/go-internal/testscript"

	"example.com/vidimus/internal/pgtest"
)

var rewrite = flag.Bool("rewrite", false, "write the answers of the program into the scripts")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"vidimus": main})
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *rewrite,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			docs, err := filepath.Abs("../../docs")
			e.Vars = append(e.Vars, "TZ=UTC", "NO_COLOR=1", "DOCS="+docs)
			e.Values[processesKey{}] = map[string]*process{}
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"start": start, "line": line, "end": end, "request": request, "get": get, "sql": sql, "fifo": fifo,
			"generate": generate,
			"postgres": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Setenv("PGURL", pgtest.Open(t))
			},
		},
	})
}

type processesKey struct{}

// process is a program that runs beside the script.
type process struct {
	cmd    *exec.Cmd
	out    *bufio.Reader
	stderr bytes.Buffer
}

func processOf(ts *testscript.TestScript, name string) *process {
	p := ts.Value(processesKey{}).(map[string]*process)[name]
	if p == nil {
		ts.Fatalf("no process %q was started", name)
	}
	return p
}

// start NAME ARG... runs vidimus in the background.
func start(ts *testscript.TestScript, _ bool, args []string) {
	binary := ""
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if _, err := os.Stat(filepath.Join(dir, "vidimus")); err == nil {
			binary = filepath.Join(dir, "vidimus")
			break
		}
	}
	p := &process{cmd: exec.Command(binary, args[1:]...)}
	p.cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "TZ", "NO_COLOR"} {
		p.cmd.Env = append(p.cmd.Env, name+"="+ts.Getenv(name))
	}
	p.cmd.Stderr = &p.stderr
	out, err := p.cmd.StdoutPipe()
	ts.Check(err)
	p.out = bufio.NewReader(out)
	ts.Check(p.cmd.Start())
	ts.Defer(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	})
	ts.Value(processesKey{}).(map[string]*process)[args[0]] = p
}

var urlText = regexp.MustCompile(`https?://[0-9.:\[\]]+`)

// line NAME PATTERN waits for the next line of a process and matches it. A URL in it becomes $NAME_URL.
func line(ts *testscript.TestScript, _ bool, args []string) {
	p := processOf(ts, args[0])
	text, err := p.out.ReadString('\n')
	if err != nil {
		ts.Fatalf("read a line of %s: %v\n%s", args[0], err, p.stderr.String())
	}
	text = strings.TrimSuffix(text, "\n")
	if !regexp.MustCompile(args[1]).MatchString(text) {
		ts.Fatalf("%s says %q, which does not match %s", args[0], text, args[1])
	}
	if url := urlText.FindString(text); url != "" {
		ts.Setenv(args[0]+"_URL", url)
	}
}

// end NAME SIGNAL CODE sends a signal, and checks how the process ends. Signal 0 only waits. What it wrote to its
// standard error is shown as the standard error of the script.
func end(ts *testscript.TestScript, _ bool, args []string) {
	p := processOf(ts, args[0])
	signals := map[string]os.Signal{"INT": os.Interrupt, "TERM": syscall.SIGTERM, "KILL": os.Kill, "0": nil}
	if s := signals[args[1]]; s != nil {
		ts.Check(p.cmd.Process.Signal(s))
	}
	rest, err := io.ReadAll(p.out)
	ts.Check(err)
	var ended *exec.ExitError
	if err := p.cmd.Wait(); err != nil && !errors.As(err, &ended) {
		ts.Fatalf("wait for %s: %v", args[0], err)
	}
	_, err = ts.Stdout().Write(rest)
	ts.Check(err)
	_, err = ts.Stderr().Write(p.stderr.Bytes())
	ts.Check(err)
	if got := strconv.Itoa(p.cmd.ProcessState.ExitCode()); got != args[2] {
		ts.Fatalf("%s ended with code %s, want %s\n%s", args[0], got, args[2], p.stderr.String())
	}
}

// request URL [BODY] is curl with a JSON body. It fails unless the answer is 200, or with ! unless it is not.
func request(ts *testscript.TestScript, neg bool, args []string) {
	var body io.Reader = strings.NewReader("{}")
	if len(args) > 1 {
		body = strings.NewReader(args[1])
	}
	r, err := http.Post(args[0], "application/json", body)
	ts.Check(err)
	defer r.Body.Close()
	_, err = io.Copy(ts.Stdout(), r.Body)
	ts.Check(err)
	if ok := r.StatusCode == http.StatusOK; ok == neg {
		ts.Fatalf("%s answers %s", args[0], r.Status)
	}
}

// get STATUS URL [NAME:VALUE...] sends a GET request with headers and waits until it is answered with a status; then it
// shows head and body of the answer. A value that names a file stands for what is in it.
func get(ts *testscript.TestScript, _ bool, args []string) {
	const tries = 200
	for try := 1; ; try++ {
		r, err := http.NewRequest(http.MethodGet, args[1], nil)
		ts.Check(err)
		for _, header := range args[2:] {
			name, value, _ := strings.Cut(header, ":")
			before, file, ok := strings.Cut(value, "@")
			if ok {
				value = before + strings.TrimSpace(ts.ReadFile(file))
			}
			r.Header.Set(name, value)
		}
		res, err := http.DefaultTransport.RoundTrip(r)
		ts.Check(err)
		got := strconv.Itoa(res.StatusCode)
		if got == args[0] || try == tries {
			ts.Check(res.Write(ts.Stdout()))
		}
		ts.Check(res.Body.Close())
		if got == args[0] {
			return
		}
		if try == tries {
			ts.Fatalf("%s answers %s, want %s", args[1], res.Status, args[0])
		}
	}
}

// sql FILE STATEMENT changes a SQLite file behind the journal's back.
func sql(ts *testscript.TestScript, _ bool, args []string) {
	db, err := sqlite3.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	defer db.Close()
	ts.Check(db.Exec(args[1]))
}

// fifo NAME waits until a process opens the pipe of this name for reading, and holds the other end open.
func fifo(ts *testscript.TestScript, _ bool, args []string) {
	file, err := os.OpenFile(ts.MkAbs(args[0]), os.O_WRONLY, 0)
	ts.Check(err)
	ts.Defer(func() { _ = file.Close() })
}

// generate FILE N writes an event log of n lines of NDJSON.
func generate(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	var b bytes.Buffer
	for i := range n {
		b.WriteString(`{"stream":"case-` + strconv.Itoa(i%97) + `","type":"step","time":"2026-01-31T12:00:00Z","data":{"n":` +
			strconv.Itoa(i) + "}}\n")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b.Bytes(), 0o600))
}
