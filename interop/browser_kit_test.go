// SPDX-License-Identifier: Apache-2.0

// Chromium and the box office as processes of their own.

package interop

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is how long a browser test waits for anything.
const patience = 20 * time.Second

// boxOffice is the sample as it introduces itself.
type boxOffice struct {
	url   string            // of the edge
	parts map[string]string // URLs of the authority and the services
	lines []string          // that it tells people to paste
}

// openBoxOffice builds the sample and runs it on free ports. It ends with the test, and then must have ended in order.
func openBoxOffice(t *testing.T) boxOffice {
	t.Helper()
	program := filepath.Join(t.TempDir(), "boxoffice")
	build(t, "./examples/boxoffice", program)
	run := exec.Command(program, "-data", t.TempDir(), "-authority", "127.0.0.1:0", "-edge", "127.0.0.1:0")
	run.Stderr = os.Stderr
	out, err := run.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	t.Cleanup(func() {
		_ = run.Process.Signal(os.Interrupt)
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("the box office ended with %v", err)
			}
		case <-time.After(patience):
			_ = run.Process.Signal(syscall.SIGQUIT) // shows where it hangs
			t.Errorf("the box office does not end: %v", <-ended)
		}
	})
	opened := make(chan boxOffice, 1)
	go func() {
		office := boxOffice{parts: map[string]string{}}
		for lines := bufio.NewScanner(out); lines.Scan(); {
			line, indented := strings.CutPrefix(lines.Text(), "  ")
			fields := strings.Fields(line)
			switch {
			case len(fields) > 1 && fields[0] == "shop":
				office.url = fields[1]
			case len(fields) > 1 && strings.HasPrefix(fields[1], "http://"):
				office.parts[fields[0]] = fields[1]
			case indented && strings.Contains(line, "curl "):
				office.lines = append(office.lines, line)
			case len(fields) == 0 && len(office.lines) > 0:
				opened <- office
			}
		}
		ended <- run.Wait()
	}()
	select {
	case office := <-opened:
		return office
	case err := <-ended:
		ended <- err
		t.Fatalf("the box office did not open: %v", err)
	case <-time.After(patience):
		t.Fatal("the box office did not open in time")
	}
	return boxOffice{}
}

// openBrowser runs Chromium with a fresh profile, and returns a context for its first tab.
func openBrowser(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if path, err = exec.LookPath("google-chrome"); err != nil {
			t.Fatal("there is no Chromium: install it (Debian: apt-get install chromium)")
		}
	}
	flag := func(name string) chromedp.ExecAllocatorOption { return chromedp.Flag(name, true) }
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path),
		chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox, chromedp.DisableGPU, flag("disable-quic"),
		flag("disable-component-update"), flag("hide-scrollbars"))
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	ctx, cancelAllocator := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancelAllocator)
	return newTab(t, ctx)
}

// newTab opens a tab, 1,200 by 900.
func newTab(t *testing.T, ctx context.Context) context.Context {
	t.Helper()
	ctx, cancel := chromedp.NewContext(ctx, chromedp.WithListener(func(event any) {
		switch e := event.(type) {
		case *log.EventEntryAdded:
			if e.Entry.Source == log.EntrySourceSecurity || strings.Contains(e.Entry.Text, "Content Security Policy") {
				t.Errorf("the browser complains: %s", e.Entry.Text)
			}
		case *runtime.EventExceptionThrown:
			t.Errorf("a script fails: %v", e.ExceptionDetails)
		}
	}))
	t.Cleanup(cancel)
	// The first action starts the tab, which lasts as long as the context of that action: no shorter one will do.
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(1200, 900)); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// do runs actions in a tab.
func do(t *testing.T, tab context.Context, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(tab, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// until waits until an expression is true in a tab.
func until(t *testing.T, tab context.Context, expression string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(tab, patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		done, err := chromedp.Run(ctx, chromedp.Evaluate[bool](fmt.Sprintf("Boolean(%s)", expression)))
		if err == nil && done {
			return
		}
		select {
		case <-tick.C: // the page may be between two documents
		case <-ctx.Done():
			picture(t, tab, "failed")
			t.Fatalf("%s does not become true: %v", expression, errors.Join(err, ctx.Err()))
		}
	}
}

// text returns the text that a tab shows.
func text(t *testing.T, tab context.Context) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(tab, patience)
	defer cancel()
	s, err := chromedp.Run(ctx, chromedp.Evaluate[string]("document.body.innerText"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// look sets the colours that the reader prefers, and the size of the window.
func look(t *testing.T, tab context.Context, scheme string, width, height int64) {
	t.Helper()
	media := emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	}
	do(t, tab, chromedp.EmulateViewport(width, height), chromedp.Func(func(ctx context.Context, at *chromedp.Target) error {
		_, err := cdp.Call(ctx, at, emulation.SetEmulatedMedia, media)
		return err
	}))
}

// picture saves what a tab shows as name.png among the artifacts of the test.
func picture(t *testing.T, tab context.Context, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(tab, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.WriteFile(filepath.Join(t.ArtifactDir(), name+".png"), png, 0o600)
	}
	if err != nil {
		t.Errorf("picture %s: %v", name, err)
	}
}
