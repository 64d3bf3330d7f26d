// SPDX-License-Identifier: Apache-2.0

// Golden files: what the binary depends on and what each package shows, so that a change of either is seen in review.

package vidimus_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestGoldenDependencies(t *testing.T) {
	t.Parallel()
	const others = "{{with .Module}}{{if not .Main}}{{$.ImportPath}}{{end}}{{end}}"
	list := exec.Command("go", "list", "-deps", "-f", others, "./cmd/...")
	// One platform, or the list would depend on who runs it.
	list.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0", "GOFLAGS=-mod=readonly")
	out, err := list.Output()
	if err != nil {
		t.Fatalf("%v: %v", list, err)
	}
	packages := strings.Fields(string(out))
	slices.Sort(packages)
	golden(t, "testdata/deps.golden", "# Packages of others in the binary.\n"+strings.Join(packages, "\n")+"\n")
}

// travels are the rooms that know the standard library alone, so that a service which only checks passports downloads
// nothing else; and what of ours they may stand on.
var travels = []string{
	"passport", "passport/header", "heartbeat", "heartbeat/presence", "internal/clock", "internal/chance",
	"internal/outage",
}

func TestWhatTravelsNeedsTheStandardLibraryAlone(t *testing.T) {
	t.Parallel()
	module := mustReadHouse(t).module
	arguments := []string{"list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}"}
	for _, room := range travels {
		arguments = append(arguments, "./"+room)
	}
	out, err := exec.Command("go", arguments...).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for _, more := range travelsWith(module, strings.Fields(string(out))) {
		t.Errorf("a room that travels needs %s: see travels in golden_test.go", more)
	}
	stray := []string{module + "/passport", module + "/journal", "github.com/google/uuid"}
	if got := travelsWith(module, stray); !slices.Equal(got, stray[1:]) {
		t.Errorf("the guard finds %q in %q", got, stray)
	}
}

// travelsWith returns the packages that are not of rooms that travel.
func travelsWith(module string, packages []string) []string {
	return slices.DeleteFunc(slices.Clone(packages), func(p string) bool {
		return slices.Contains(travels, strings.TrimPrefix(p, module+"/"))
	})
}

func TestGoldenAPI(t *testing.T) {
	t.Parallel()
	h := mustReadHouse(t)
	written := map[string]bool{}
	for room, files := range h.rooms() {
		if !isPublic(room, files) {
			continue
		}
		name := "testdata/api/" + apiFile(room)
		written[filepath.FromSlash(name)] = true
		text, err := exportedAPI(h.module+"/"+room, files)
		if err != nil {
			t.Errorf("%s: %v", room, err)
			continue
		}
		golden(t, name, text)
	}
	old, err := filepath.Glob("testdata/api/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range old {
		if written[name] {
			continue
		}
		if *rewrite {
			if err := os.Remove(name); err != nil {
				t.Error(err)
			}
			continue
		}
		t.Errorf("%s describes a package that is gone: run make golden", name)
	}
}

func TestGoldenGuardsCatch(t *testing.T) {
	t.Parallel()
	const source = license + "\n\n// Package x does.\npackage x\n\n" +
		"// F does.\nfunc F(n int) error { return hidden() }\n\nfunc hidden() error { return nil }\n\n" +
		"// T is.\ntype T struct {\n\t// A is.\n\tA int\n\tb string\n}\n\n" +
		"// M does.\nfunc (t *T) M() {}\n\nfunc (t *T) m() {}\n\n// C is.\nconst C = 1\n"
	f, err := parseGo("x/a.go", source)
	if err != nil {
		t.Fatal(err)
	}
	got, err := exportedAPI("house.test/m/x", []goFile{f})
	if err != nil {
		t.Fatal(err)
	}
	want := "package x\n\nconst C = 1\n\nfunc F(n int) error\n\n" +
		"type T struct {\n\tA int\n\t// contains filtered or unexported fields\n}\n\nfunc (t *T) M()\n"
	if got != want {
		t.Errorf("the exported API is\n%s\nwant\n%s", got, want)
	}
	if diff := firstDifference("a\nb\n", "a\nc\n"); diff != `line 2 is "b", want "c"` {
		t.Errorf("the first difference is %s", diff)
	}
	if diff := firstDifference("a\n", "a\n"); diff != "" {
		t.Errorf("equal texts differ: %s", diff)
	}
}

// golden compares a text with the file that remembers it, or rewrites that file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	if *rewrite {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Errorf("%v: run make golden and read the diff", err)
		return
	}
	if diff := firstDifference(got, string(want)); diff != "" {
		t.Errorf("%s: %s: if that is meant, run make golden and say why in the commit", name, diff)
	}
}

// firstDifference says where two texts part, or "" if they are equal.
func firstDifference(got, want string) string {
	if got == want {
		return ""
	}
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(a), len(b)) {
		line := func(lines []string) string {
			if i < len(lines) {
				return strconv.Quote(lines[i])
			}
			return "the end"
		}
		if line(a) != line(b) {
			return fmt.Sprintf("line %d is %s, want %s", i+1, line(a), line(b))
		}
	}
	return "the texts differ"
}

// isPublic reports whether a room's names are a promise of ours: it is no command, not internal, and not generated from
// something that is the promise itself.
func isPublic(room string, files []goFile) bool {
	if slices.Contains(strings.Split(room, "/"), "internal") || slices.ContainsFunc(files, goFile.isGenerated) {
		return false
	}
	return slices.ContainsFunc(files, func(f goFile) bool { return !f.isTest() && f.syntax.Name.Name != "main" })
}

// apiFile names the golden file of a room.
func apiFile(room string) string {
	if room == "." {
		return "vidimus.txt"
	}
	return strings.ReplaceAll(room, "/", "_") + ".txt"
}

// exportedAPI prints what a package shows, without comments and bodies.
func exportedAPI(importPath string, files []goFile) (string, error) {
	positions := token.NewFileSet()
	var syntax []*ast.File
	for _, f := range files {
		if f.isTest() {
			continue
		}
		fresh, err := parser.ParseFile(positions, f.path, f.text, parser.SkipObjectResolution)
		if err != nil {
			return "", err
		}
		syntax = append(syntax, fresh)
	}
	pkg, err := doc.NewFromFiles(positions, syntax, importPath)
	if err != nil {
		return "", err
	}
	p := &apiPrinter{positions: positions}
	fmt.Fprintf(&p.out, "package %s\n", pkg.Name)
	p.values(pkg.Consts)
	p.values(pkg.Vars)
	p.functions(pkg.Funcs)
	for _, t := range pkg.Types {
		p.print(t.Decl)
		p.values(t.Consts)
		p.values(t.Vars)
		p.functions(t.Funcs)
		p.functions(t.Methods)
	}
	return p.out.String(), p.err
}

// apiPrinter collects declarations, and the first error.
type apiPrinter struct {
	positions *token.FileSet
	out       bytes.Buffer
	err       error
}

func (p *apiPrinter) print(decl ast.Decl) {
	p.out.WriteString("\n")
	config := printer.Config{Mode: printer.UseSpaces | printer.TabIndent, Tabwidth: 8}
	if err := config.Fprint(&p.out, p.positions, decl); err != nil && p.err == nil {
		p.err = err
	}
	p.out.WriteString("\n")
}

func (p *apiPrinter) values(values []*doc.Value) {
	for _, v := range values {
		p.print(v.Decl)
	}
}

func (p *apiPrinter) functions(functions []*doc.Func) {
	for _, f := range functions {
		f.Decl.Body = nil
		p.print(f.Decl)
	}
}
