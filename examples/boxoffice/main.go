// SPDX-License-Identifier: Apache-2.0

// Command boxoffice is a small ticket office that shows Vidimus at work: people sign in, hold seats and change their
// account, in several tabs at once, and nothing is lost or undone.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"example.com/vidimus/examples/boxoffice/internal/office"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "boxoffice:", err)
		os.Exit(1)
	}
}

// run runs the box office until ctx ends.
func run(ctx context.Context, args []string, out, complaints io.Writer) error {
	var cfg office.Config
	flags := flag.NewFlagSet("boxoffice", flag.ContinueOnError)
	flags.SetOutput(complaints)
	flags.StringVar(&cfg.Data, "data", office.DefaultData, "`directory` of the journal; it is made when there is none")
	flags.StringVar(&cfg.Authority, "authority", office.DefaultAuthority,
		"`address` of the authority; port 0 for a free one")
	flags.StringVar(&cfg.Edge, "edge", office.DefaultEdge, "`address` for browsers; port 0 for a free one")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%q is not understood; see boxoffice -help", flags.Arg(0))
	}
	cfg.Logger = slog.New(slog.NewTextHandler(complaints, &slog.HandlerOptions{Level: slog.LevelWarn}))
	var o *office.Office
	cfg.Ready = func() { welcome(out, o, cfg.Data) }
	o, err := office.Open(ctx, cfg)
	if err != nil {
		return fmt.Errorf("%w\n(-data, -authority and -edge choose another directory and other addresses)", err)
	}
	return errors.Join(o.Run(ctx), o.Close())
}

// welcome says what runs where, and what to try. Every line of it works as it stands.
func welcome(out io.Writer, o *office.Office, data string) {
	edge, authority, seats, account := o.URLs()
	text := strings.NewReplacer(
		"EDGE", edge, "AUTHORITY", authority, "SEATS", seats, "ACCOUNT", account, "PAGES", o.Pages(),
		"JAR", filepath.Join(data, "jar.txt"),
	).Replace(welcomeText)
	_, _ = io.WriteString(out, text) // whoever cannot be told finds out by the pages
}

const welcomeText = `The box office is open. Ctrl-C closes it.

  shop       EDGE
             sign in as ada (analytical-engine) or ben (kite-and-key), in two tabs, and change something in one
  live page  EDGE/live
             who is signed in, what happened, and how fresh each service's knowledge is

  authority  AUTHORITY
  seats      SEATS  believes nothing but passports: ask it directly, and it answers 401
  account    ACCOUNT
  pages      PAGES  signing in and out, for an nginx or Caddy of yours that asks "vidimus edge --auth"

Or, in another terminal:

  curl -sc JAR -w 'signed in: %{http_code}\n' -d user=ada -d password=analytical-engine EDGE/signin
  VERSION=$(curl -sb JAR -o /dev/null -w '%header{etag}' EDGE/api/account)
  curl -sb JAR -X PATCH -H "If-Match: $VERSION" --json '{"permit": "NJ"}' EDGE/api/account
  curl -sb JAR -X POST EDGE/api/seats/lyra-b4/hold
  curl -sb JAR -X PATCH -H 'If-Match: "0"' --json '{"permit": "PA"}' EDGE/api/account
  curl -sb JAR -X POST EDGE/api/seats/tempest-a1/hold
  curl -sb JAR -w 'signed out: %{http_code}\n' -X POST EDGE/signout
  curl -sb JAR EDGE/api/account
  curl -s SEATS/api/seats

The second change is refused (412): it was decided on an old version. The next seat is (403): no permit there. And the
last two (401): who has signed out stays out, and a service believes passports alone.
`
