// SPDX-License-Identifier: Apache-2.0

// How the guards of the house read it: every file once, and every complaint with its place and remedy.

package vidimus_test

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files in testdata")

// goFile is one parsed Go file of the module.
type goFile struct {
	path      string // from the root of the module, with slashes
	text      string
	syntax    *ast.File
	positions *token.FileSet
}

// textFile is any file of the repository that people read.
type textFile struct{ path, text string }

// house is all that the guards look at.
type house struct {
	module string
	goes   []goFile // of this module; tools and bench are modules of their own
	texts  []textFile
}

// readHouse reads the repository once for all guards.
var readHouse = sync.OnceValues(func() (house, error) {
	var h house
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return skipDir(name)
		case !d.Type().IsRegular():
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil || bytes.IndexByte(text[:min(len(text), 8000)], 0) >= 0 {
			return err
		}
		return h.add(filepath.ToSlash(name), string(text))
	})
	return h, err
})

// skipDir leaves out what is not ours to judge: history, build output and what .gitignore names.
func skipDir(name string) error {
	if slices.Contains([]string{".git", "bin", ".cache", "data", "vidimus-data"}, name) {
		return fs.SkipDir
	}
	return nil
}

// add sorts one file in.
func (h *house) add(name, text string) error {
	h.texts = append(h.texts, textFile{name, text})
	if name == "go.mod" {
		first, _, _ := strings.Cut(text, "\n")
		h.module = strings.TrimSpace(strings.TrimPrefix(first, "module"))
	}
	if path.Ext(name) != ".go" || strings.Contains(name, "testdata/") || otherModule(name) {
		return nil
	}
	f, err := parseGo(name, text)
	if err == nil {
		h.goes = append(h.goes, f)
	}
	return err
}

// otherModule reports whether a file lies below a go.mod that is not the root's.
func otherModule(name string) bool {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if _, err := os.Stat(filepath.Join(filepath.FromSlash(dir), "go.mod")); err == nil {
			return true
		}
	}
	return false
}

// parseGo parses a file or a sample.
func parseGo(name, text string) (goFile, error) {
	positions := token.NewFileSet()
	syntax, err := parser.ParseFile(positions, name, text, parser.ParseComments)
	return goFile{path: name, text: text, syntax: syntax, positions: positions}, err
}

// rooms groups the files by their folder.
func (h house) rooms() map[string][]goFile {
	rooms := map[string][]goFile{}
	for _, f := range h.goes {
		rooms[f.room()] = append(rooms[f.room()], f)
	}
	return rooms
}

// room is the folder of the file; the root is ".".
func (f goFile) room() string { return path.Dir(f.path) }

func (f goFile) isTest() bool { return strings.HasSuffix(f.path, "_test.go") }

// isGenerated reports whether a program wrote the file, which the rules for hand-written code then leave alone.
func (f goFile) isGenerated() bool { return ast.IsGenerated(f.syntax) }

// at formats a complaint about a place in the file.
func (f goFile) at(pos token.Pos, format string, args ...any) string {
	return fmt.Sprintf("%s:%d: %s", f.path, f.positions.Position(pos).Line, fmt.Sprintf(format, args...))
}

// imported returns the import path behind a name used in the file, or "" if the name is no package.
func (f goFile) imported(name string) string {
	for _, spec := range f.syntax.Imports {
		at, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		base := path.Base(at)
		if strings.HasPrefix(base, "v") && strings.Trim(base[1:], "0123456789") == "" {
			base = path.Base(path.Dir(at))
		}
		if spec.Name != nil {
			base = spec.Name.Name
		}
		if base == name {
			return at
		}
	}
	return ""
}

// eachGo runs a guard over every hand-written Go file.
func eachGo(t *testing.T, guard func(goFile) []string) {
	t.Helper()
	h := mustReadHouse(t)
	for _, f := range h.goes {
		if f.isGenerated() {
			continue
		}
		for _, complaint := range guard(f) {
			t.Error(complaint)
		}
	}
}

func mustReadHouse(t *testing.T) house {
	t.Helper()
	h, err := readHouse()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// sample is a small bad file and what a guard has to say about it; want "" means that it is fine.
type sample struct{ name, path, text, want string }

// catches proves a guard on samples: a guard that cannot fail guards nothing.
func catches(t *testing.T, guard func(goFile) []string, samples []sample) {
	t.Helper()
	for _, s := range samples {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			f, err := parseGo(s.path, s.text)
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(guard(f), "\n")
			if s.want == "" && got != "" || !strings.Contains(got, s.want) {
				t.Errorf("the guard said %q, want %q", got, s.want)
			}
		})
	}
}

// eachLine calls see with every line and its number, counted from 1.
func eachLine(text string, see func(number int, line string)) {
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, 1<<24)
	for number := 1; lines.Scan(); number++ {
		see(number, lines.Text())
	}
}
