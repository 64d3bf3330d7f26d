// SPDX-License-Identifier: Apache-2.0

// Command vidimus is the one binary: a node to run, and the verbs to look at a journal and to mend it.
//
// Every verb answers people by default and programs with --json. It ends with
//
//	0  done
//	1  failed, or found something broken
//	2  usage: a flag, an argument or the input is wrong
//	3  conflict: somebody else was faster (version, condition, fence, reused id)
//	4  not found: no such journal, record, lease or token
//	5  try again: the journal is locked, unavailable or overloaded, or the outcome is unknown
//	6  refused: the token is missing, unknown or has no right to this
//	130, 143  ended by SIGINT or SIGTERM
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"example.com/vidimus/cmd/vidimus/internal/screen"
)

func main() {
	os.Exit(run(os.Args[1:]))
}

// grammar is the command line; its verbs stand in the files named after them.
type grammar struct {
	JSON bool `help:"Answer in JSON, one object a line, errors too."`
	UTC  bool `name:"utc" help:"Write times in UTC instead of the local zone."`

	Dev        devCmd        `cmd:"" help:"Run a node to try things out: one command, no set-up."`
	Serve      serveCmd      `cmd:"" help:"Run a node."`
	Journal    journalCmd    `cmd:"" help:"Read and write a journal."`
	Lease      leaseCmd      `cmd:"" help:"See who owns what, and take it away."`
	Token      tokenCmd      `cmd:"" help:"Let programs and people in."`
	Session    sessionCmd    `cmd:"" help:"See who is signed in, change their state, and sign them out."`
	Passport   passportCmd   `cmd:"" help:"Read and verify passports, and keep their keys."`
	Edge       edgeCmd       `cmd:"" help:"Stand between browsers and a service: a cookie comes in, a passport goes out."`
	Demo       demoCmd       `cmd:"" help:"See what goes wrong elsewhere."`
	Schema     schemaCmd     `cmd:"" help:"Guard the contracts of events."`
	Version    versionCmd    `cmd:"" help:"Say what this program is."`
	Completion completionCmd `cmd:"" help:"Write the script that completes commands in a shell."`
}

// app is what every verb works with.
type app struct {
	program  string // as it was called
	in       io.Reader
	out, err io.Writer
	getenv   func(string) string
	json     bool
	style    screen.Style // of out
	errStyle screen.Style
	live     bool // err is a terminal
	model    *kong.Application
}

// run does what the arguments say and returns the exit code.
func run(args []string) int {
	a := newApp()
	a.json = slices.Contains(args, "--json") // for what goes wrong before the arguments are understood
	var g grammar
	parser := newParser(&g, a)
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return a.fail(err)
	}
	a.json, a.style.UTC = g.JSON, g.UTC
	ctx, stop := untilSignal(context.Background())
	defer stop()
	parsed.BindTo(ctx, (*context.Context)(nil))
	if err := parsed.Run(); err != nil {
		if cause, ok := errors.AsType[*signalError](context.Cause(ctx)); ok && errors.Is(err, context.Canceled) {
			err = &signalError{signal: cause.signal, done: err}
		}
		return a.fail(err)
	}
	return exitDone
}

const description = `Keeps the state of a distributed backend correct. Try: vidimus dev

Exit codes: 0 done; 1 failed, or found something broken; 2 wrong usage or input;
3 conflict; 4 not found; 5 try again; 6 refused; 130 and 143 ended by a signal
before the work was done (follow is done whenever it is ended).`

func newParser(g *grammar, a *app) *kong.Kong {
	parser, err := kong.New(
		g, kong.Name("vidimus"),
		kong.Description(description),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100, NoAppDescFormat: true}),
		kong.Writers(a.out, a.err), kong.Bind(a),
	)
	if err != nil {
		panic("vidimus: the grammar of the command line: " + err.Error())
	}
	a.model = parser.Model
	return parser
}

func newApp() *app {
	a := &app{program: "vidimus", in: os.Stdin, out: os.Stdout, err: os.Stderr, getenv: os.Getenv}
	if called := os.Args[0]; !filepath.IsAbs(called) {
		a.program = called // as in bin/vidimus; `go run` calls by an absolute path that soon is gone
	}
	plain := os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb"
	if width, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil {
		a.style.Colour, a.style.Width = !plain, width
	}
	a.live = term.IsTerminal(int(os.Stderr.Fd()))
	a.errStyle.Colour = a.live && !plain
	return a
}

// signalError says that a signal ended the work.
type signalError struct {
	signal syscall.Signal
	done   error // how far the work is, if it says so
}

func (e *signalError) Error() string {
	var h *haltError
	if errors.As(e.done, &h) {
		return h.Error()
	}
	return "interrupted"
}

// haltError is an interruption that says how far the work is.
type haltError struct{ far string }

func (e *haltError) Error() string        { return "interrupted: " + e.far }
func (e *haltError) Is(target error) bool { return target == context.Canceled }

// untilSignal returns a context that ends with the first SIGINT or SIGTERM. The second ends the process at once.
func untilSignal(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	got := make(chan os.Signal, 1)
	signal.Notify(got, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		select {
		case s := <-got:
			signal.Reset(syscall.SIGINT, syscall.SIGTERM)
			cancel(&signalError{signal: s.(syscall.Signal)})
		case <-ctx.Done():
		}
	}()
	return ctx, func() { signal.Stop(got); cancel(nil) }
}

// say writes a line for people to the standard error, where it does not mix with the answer.
func (a *app) say(format string, args ...any) {
	if !a.json {
		fmt.Fprintf(a.err, format+"\n", args...)
	}
}

// tell writes lines for people to the standard output.
func (a *app) tell(format string, args ...any) error {
	_, err := fmt.Fprintf(a.out, format+"\n", args...)
	return err
}
