// SPDX-License-Identifier: Apache-2.0

// The form of every file: its head, its size, the number of names a package shows, and a comment for each of them.

package vidimus_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// Sizes to stop at. Aim at half of them.
const (
	maxFunction = 70  // lines
	maxFile     = 500 // lines
	maxTestFile = 700 // lines
	maxLine     = 120 // characters
	maxUnbroken = 200 // characters of a line that cannot be broken: a struct tag, or text that is quoted as it is
	maxNames    = 40  // exported names of a package
)

// license is the first line of every Go file.
const license = "// SPDX-License-Identifier: Apache-2.0"

// manyNames lists the packages that may show more than maxNames, with the number and the reason.
var manyNames = map[string]struct {
	names  int
	reason string
}{
	"journal":              {72, "the ground room: the words, limits and errors that all other rooms share"},
	"server/internal/wire": {70, "two words for each message, there and back; only the server's rooms see them"},
	"session":              {41, "the commands on sessions and subjects, what they answer, and what feeds read of both"},
	"passport":             {55, "the ground room of what travels: its words, errors and seams, for both sides"},
}

// plainMethods fit interfaces of the standard library, which say what they do.
var plainMethods = []string{"Error", "Is", "As", "Unwrap", "String", "Len", "Less", "Swap", "Read", "Write"}

func TestFilesHaveTheirHead(t *testing.T) {
	t.Parallel()
	eachGo(t, checkHead)
}

func TestSizesStayReadable(t *testing.T) {
	t.Parallel()
	eachGo(t, checkSizes)
}

func TestExportedNamesAreExplained(t *testing.T) {
	t.Parallel()
	eachGo(t, checkComments)
}

func TestEachPackageHasOneDoc(t *testing.T) {
	t.Parallel()
	for _, files := range mustReadHouse(t).rooms() {
		for _, complaint := range checkPackageDoc(files) {
			t.Error(complaint)
		}
	}
}

func TestPackagesShowFewNames(t *testing.T) {
	t.Parallel()
	for _, files := range mustReadHouse(t).rooms() {
		for _, complaint := range checkNames(files) {
			t.Error(complaint)
		}
	}
}

func TestFormGuardsCatch(t *testing.T) {
	t.Parallel()
	const head = license + "\n\n// What lives here.\n\npackage x\n"
	lines := func(n int) string { return strings.Repeat("\n", n) }
	catches(t, checkHead, []sample{
		{"good head", "x/a.go", head, ""},
		{"no license", "x/a.go", "// What lives here.\n\npackage x\n", "the first line must be"},
		{"license in a comment", "x/a.go", license + "\n// Package x does.\npackage x\n", "a blank line must follow"},
		{"no sentence", "x/a.go", license + "\n\npackage x\n", "say in a sentence what lives here"},
		{"only a directive", "x/a.go", license + "\n\n//go:build unix\n\npackage x\n", "say in a sentence"},
		{"fragment", "x/a.go", license + "\n\n// stuff\n\npackage x\n", "say in a sentence"},
	})
	catches(t, checkSizes, []sample{
		{"small", "x/a.go", head, ""},
		{"long function", "x/a.go", head + "func f() {" + lines(maxFunction) + "}\n", "f has 71 lines"},
		{"longest function", "x/a.go", head + "func f() {" + lines(maxFunction-1) + "}\n", ""},
		{"long file", "x/a.go", head + lines(maxFile), "has 505 lines"},
		{"test files are longer", "x/a_test.go", head + lines(maxFile), ""},
		{"long line", "x/a.go", head + "// " + strings.Repeat("ä", maxLine), "a.go:6: 123 characters"},
		{"long tag", "x/a.go", head + "type t struct {\nA int `" + strings.Repeat("a", maxLine) + "`\n}\n", ""},
		{"long text", "x/a.go", head + "const c = `\n" + strings.Repeat("a", maxLine+1) + "\n`\n", ""},
		{"long output", "x/a_test.go", head + "// Output:\n// " + strings.Repeat("a", maxLine) + "\n", ""},
		{"endless tag", "x/a.go", head + "type t struct {\nA int `" + strings.Repeat("a", maxUnbroken) + "`\n}\n", "at 200"},
		{"characters, not bytes", "x/a.go", head + "// " + strings.Repeat("ä", maxLine-3), ""},
	})
	catches(t, checkComments, []sample{
		{"function", "x/a.go", head + "func F() {}\n", "F is exported"},
		{"method", "x/a.go", head + "// T is.\ntype T int\nfunc (t *T) M() {}\n", "M is exported"},
		{"method of a hidden type", "x/a.go", head + "func (t *t) M() {}\n", ""},
		{"type", "x/a.go", head + "type T int\n", "T is exported"},
		{"constant", "x/a.go", head + "const C = 1\n", "C is exported"},
		{"constants under one comment", "x/a.go", head + "// Sizes.\nconst (\nC = 1\nD = 2\n)\n", ""},
		{"constant with a comment beside it", "x/a.go", head + "const (\nC = 1 // is one\n)\n", ""},
		{"another name's comment", "x/a.go", head + "// G does.\nfunc F() {}\n", `must begin with "F "`},
		{"test", "x/a_test.go", head + "func TestF() {}\n", ""},
	})
	catches(t, one(checkPackageDoc), []sample{
		{"one doc", "x/a.go", license + "\n\n// Package x does.\npackage x\n", ""},
		{"no doc", "x/a.go", head, "0 files explain package x"},
		{"wrong name", "x/a.go", license + "\n\n// Package y does.\npackage x\n", `must begin with "Package x "`},
		{"command", "cmd/x/a.go", license + "\n\n// Command x does.\npackage main\n", ""},
		{"tests alone", "x/a_test.go", head, ""},
	})
	catches(t, one(checkNames), []sample{
		{"few names", "x/a.go", head + "const A = 1\nfunc (T) B() {}\n", ""},
		{"many names", "x/a.go", head + "const (\n" + manyConstants(maxNames+1) + ")\n", "x shows 41 names"},
	})
}

func TestTwoPackageDocsAreCaught(t *testing.T) {
	t.Parallel()
	a, errA := parseGo("x/a.go", license+"\n\n// Package x does.\npackage x\n")
	b, errB := parseGo("x/b.go", license+"\n\n// Package x does too.\npackage x\n")
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	if got := checkPackageDoc([]goFile{a, b}); len(got) != 1 || !strings.Contains(got[0], "2 files explain") {
		t.Errorf("the guard said %q to two package docs", got)
	}
}

// one makes a guard of packages one of files.
func one(guard func([]goFile) []string) func(goFile) []string {
	return func(f goFile) []string { return guard([]goFile{f}) }
}

func manyConstants(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "N%d = %d\n", i, i)
	}
	return b.String()
}

// checkHead wants the license, a blank line, and a sentence about the file before the package clause.
func checkHead(f goFile) []string {
	first, rest, _ := strings.Cut(f.text, "\n")
	if first != license {
		return []string{fmt.Sprintf("%s:1: the first line must be %q", f.path, license)}
	}
	if !strings.HasPrefix(rest, "\n") {
		return []string{f.path + ":2: a blank line must follow the license"}
	}
	for _, group := range f.syntax.Comments {
		text := strings.TrimSpace(group.Text()) // without directives
		sentence := strings.ContainsAny(text, ".:") && strings.Contains(text, " ")
		if group.Pos() < f.syntax.Package && sentence && !strings.HasPrefix(text, "SPDX-") {
			return nil
		}
	}
	return []string{f.path + ":3: say in a sentence what lives here, before the package clause"}
}

// checkSizes wants functions, files and lines that fit a screen.
func checkSizes(f goFile) []string {
	var complaints []string
	limit := maxFile
	if f.isTest() {
		limit = maxTestFile
	}
	total, unbroken := 0, unbreakable(f)
	eachLine(f.text, func(number int, line string) {
		total = number
		most := maxLine
		if unbroken[number] {
			most = maxUnbroken
		}
		if n := utf8.RuneCountInString(line); n > most {
			complaints = append(complaints, fmt.Sprintf("%s:%d: %d characters: break it at %d", f.path, number, n, most))
		}
	})
	if total > limit {
		complaints = append(complaints, fmt.Sprintf("%s has %d lines: split it before %d", f.path, total, limit))
	}
	for _, decl := range f.syntax.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		first, last := f.positions.Position(fn.Pos()).Line, f.positions.Position(fn.End()).Line
		if n := last - first + 1; n > maxFunction {
			complaints = append(complaints, f.at(fn.Pos(), "%s has %d lines: split it before %d", fn.Name.Name, n, maxFunction))
		}
	}
	return complaints
}

// unbreakable are the lines of a file with a struct tag, inside a literal of several lines, and in an Example's output.
func unbreakable(f goFile) map[int]bool {
	lines := map[int]bool{}
	mark := func(n ast.Node) {
		for line := f.positions.Position(n.Pos()).Line; line <= f.positions.Position(n.End()).Line; line++ {
			lines[line] = true
		}
	}
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			if n.Tag != nil {
				mark(n.Tag)
			}
		case *ast.BasicLit:
			if strings.Contains(n.Value, "\n") {
				mark(n)
			}
		}
		return true
	})
	for _, group := range f.syntax.Comments {
		if strings.Contains(strings.ToLower(group.Text()), "output:\n") {
			mark(group)
		}
	}
	return lines
}

// checkPackageDoc wants exactly one file of a package to explain it.
func checkPackageDoc(files []goFile) []string {
	var complaints []string
	var room, name string
	docs := 0
	for _, f := range files {
		if f.isTest() || f.isGenerated() {
			continue
		}
		room, name = f.room(), f.syntax.Name.Name
		doc := strings.TrimSpace(f.syntax.Doc.Text())
		if doc == "" {
			continue
		}
		docs++
		begin := "Package " + name + " "
		if name == "main" {
			begin = "Command " + path.Base(room) + " "
		}
		if !strings.HasPrefix(doc, begin) {
			complaints = append(complaints, fmt.Sprintf("%s: the package doc must begin with %q", f.path, begin))
		}
	}
	if name != "" && docs != 1 {
		complaints = append(complaints, fmt.Sprintf("%s: %d files explain package %s: exactly one must", room, docs, name))
	}
	return complaints
}

// checkNames counts the exported names of a package; methods and fields belong to their type.
func checkNames(files []goFile) []string {
	names := 0
	for _, f := range files {
		if f.isTest() || f.isGenerated() {
			continue
		}
		for _, decl := range f.syntax.Decls {
			for _, id := range declared(decl) {
				if id.IsExported() {
					names++
				}
			}
		}
	}
	room := files[0].room()
	limit := max(maxNames, manyNames[room].names)
	if names > limit {
		return []string{fmt.Sprintf("%s shows %d names: hide some, split it, or list it with a reason in form_test.go "+
			"(limit %d)", room, names, limit)}
	}
	return nil
}

// declared lists the names that a declaration gives to the package, without methods.
func declared(decl ast.Decl) []*ast.Ident {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			return []*ast.Ident{d.Name}
		}
	case *ast.GenDecl:
		var ids []*ast.Ident
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				ids = append(ids, s.Name)
			case *ast.ValueSpec:
				ids = append(ids, s.Names...)
			}
		}
		return ids
	}
	return nil
}

// checkComments wants a comment on every exported name; a group of values may share one.
func checkComments(f goFile) []string {
	if f.isTest() {
		return nil
	}
	var complaints []string
	need := func(id *ast.Ident, mustBegin bool, docs ...*ast.CommentGroup) {
		if !id.IsExported() {
			return
		}
		text := ""
		for _, doc := range docs {
			text += doc.Text()
		}
		switch {
		case text == "":
			complaints = append(complaints, f.at(id.Pos(), "%s is exported: say what it promises", id.Name))
		case mustBegin && !begins(text, id.Name):
			complaints = append(complaints, f.at(id.Pos(), "the comment must begin with %s", strconv.Quote(id.Name+" ")))
		}
	}
	for _, decl := range f.syntax.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil || ast.IsExported(receiver(d)) && !slices.Contains(plainMethods, d.Name.Name) {
				need(d.Name, true, d.Doc)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					need(s.Name, !d.Lparen.IsValid(), d.Doc, s.Doc, s.Comment)
				case *ast.ValueSpec:
					for _, id := range s.Names {
						need(id, false, d.Doc, s.Doc, s.Comment)
					}
				}
			}
		}
	}
	return complaints
}

// begins reports whether a comment begins with a name, after an article or as part of an enumeration.
func begins(text, name string) bool {
	for _, article := range []string{"", "A ", "An ", "The "} {
		rest, ok := strings.CutPrefix(text, article+name)
		if ok && (rest == "" || strings.ContainsAny(rest[:1], " ,:.\n'")) {
			return true
		}
	}
	return false
}

// receiver names the type that a method belongs to.
func receiver(fn *ast.FuncDecl) string {
	t := fn.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name
		default:
			return token.IDENT.String()
		}
	}
}
