// SPDX-License-Identifier: Apache-2.0

// Calls that are kept to certain rooms: time, chance, settings, output; and what neither tests nor imports may do.

package vidimus_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// kept says which rooms may use what the others may not, and what the others do instead.
type kept struct {
	in     []string // rooms, in the notation of the plan
	tests  bool     // whether tests everywhere may as well
	remedy string
}

// keptCalls are functions by package and name.
func keptCalls() map[string]kept {
	time := kept{in: []string{"internal/clock"}, tests: true, remedy: "use internal/clock"}
	output := kept{in: []string{"cmd/vidimus"}, tests: true, remedy: "return it or write to an io.Writer"}
	settings := kept{in: []string{"cmd/vidimus", "internal/pgtest"}, tests: true, remedy: "take it in the Config"}
	exit := kept{in: []string{"cmd/vidimus", "examples/boxoffice"}, remedy: "return an error"}
	return map[string]kept{
		"time.Now": time, "time.Since": time, "time.Until": time, "time.Sleep": time, "time.After": time,
		"time.AfterFunc": time, "time.NewTimer": time, "time.NewTicker": time, "time.Tick": time,
		"fmt.Print": output, "fmt.Printf": output, "fmt.Println": output,
		"os.Getenv": settings, "os.LookupEnv": settings, "os.Environ": settings,
		"os.Exit": exit,
	}
}

// keptImports are whole packages.
func keptImports() map[string]kept {
	secrets := kept{in: []string{"internal/chance"}, remedy: "use internal/chance"}
	luck := kept{in: []string{"internal/chance"}, tests: true, remedy: "use internal/chance"}
	return map[string]kept{
		"crypto/rand": secrets, "math/rand": luck, "math/rand/v2": luck,
		"github.com/google/uuid": {in: []string{"internal/ids"}, remedy: "use internal/ids"},
		"log":                    {remedy: "take a *slog.Logger in the Config"},
	}
}

func TestCallsStayInTheirRooms(t *testing.T) {
	t.Parallel()
	eachGo(t, checkCalls)
}

func TestTestsNeitherSkipNorSleep(t *testing.T) {
	t.Parallel()
	eachGo(t, checkTests)
}

func TestNothingHappensAtImport(t *testing.T) {
	t.Parallel()
	eachGo(t, checkInit)
}

func TestCallGuardsCatch(t *testing.T) {
	t.Parallel()
	all := func(f goFile) []string {
		return slices.Concat(checkCalls(f), checkListed(f), checkTests(f), checkInit(f))
	}
	body := func(imported, statement string) string {
		return fmt.Sprintf("package x\nimport %s\nfunc f() { %s }\n", imported, statement)
	}
	catches(t, all, []sample{
		{"wall clock", "cell/a.go", body(`"time"`, "_ = time.Now()"), "a.go:3: time.Now is kept to internal/clock"},
		{"renamed import", "cell/a.go", body(`t "time"`, "_ = t.Now()"), "time.Now is kept"},
		{"passed as a value", "cell/a.go", body(`"time"`, "now := time.Now; _ = now"), "time.Now is kept"},
		{"a variable named like the package", "cell/a.go", body(`"time"`, "time := x{}; time.Now()"), ""},
		{"the room it is kept to", "internal/clock/a.go", body(`"time"`, "_ = time.Now()"), ""},
		{"a constant of the package", "cell/a.go", body(`"time"`, "_ = time.Second"), ""},
		{"measuring in a test", "cell/a_test.go", body(`"time"`, "_ = time.Now()"), ""},
		{"chance", "cell/a.go", body(`"math/rand/v2"`, "_ = rand.Int()"), "math/rand/v2 is kept to internal/chance"},
		{"secrets in a test", "cell/a_test.go", body(`"crypto/rand"`, "_ = rand.Text()"), "crypto/rand is kept"},
		{"std log", "server/a.go", body(`"log"`, "log.Println()"), "*slog.Logger"},
		{"output", "server/a.go", body(`"fmt"`, "fmt.Println()"), "fmt.Println is kept to cmd/vidimus"},
		{"output of an example", "server/a_test.go", body(`"fmt"`, "fmt.Println()"), ""},
		{"environment", "server/a.go", body(`"os"`, `os.Getenv("X")`), "take it in the Config"},
		{"exit", "server/a_test.go", body(`"os"`, "os.Exit(1)"), "return an error"},
		{"built-in print", "server/a.go", body(`"os"`, "println(1)"), "println"},
		{"panic", "server/a.go", body(`"os"`, "panic(1)"), "a.go:3: f panics"},
		{"panic in a test", "server/a_test.go", body(`"os"`, "panic(1)"), ""},
		{"goroutine", "server/a.go", body(`"os"`, "go f()"), "a.go:3: f starts a goroutine"},
		{"goroutine of a group", "server/a.go", body(`"os"`, "wg.Go(f)"), "a.go:3: f starts a goroutine"},
		{"goroutine in Run", "server/a.go", "package x\nfunc (s *S) Run() { go f() }\n", ""},
		{"goroutine in a kit", "internal/pgtest/a.go", body(`"os"`, "go f()"), ""},
		{"skip", "server/a_test.go", body(`"testing"`, "t.Skip()"), "name the remedy and fail"},
		{"skip of a benchmark", "server/a_test.go", body(`"testing"`, "b.Skipf()"), "name the remedy and fail"},
		{"sleep in a test", "server/a_test.go", body(`"time"`, "time.Sleep(1)"), "wait for a signal"},
		{
			"sleep in a bubble", "server/a_test.go",
			"package x\nimport (\n\"testing/synctest\"\n\"time\"\n)\n" +
				"func f() { synctest.Test(t, func() { time.Sleep(1) }) }\n", "",
		},
		{"init", "server/a.go", "package x\nfunc init() {}\n", "init runs at import"},
		{"method named init", "server/a.go", "package x\nfunc (a A) init() {}\n", ""},
		{"state of the package", "server/a.go", "package x\nvar n int\n", "n can only be useful when it changes"},
		{"assigned state", "server/a.go", "package x\nvar n = 1\nfunc f() { n++ }\n", "a.go:3: n belongs to the package"},
		{"assigned element", "server/a.go", "package x\nvar m = map[int]int{}\nfunc f() { m[1] = 2 }\n", "m belongs"},
		{"a local of the same name", "server/a.go", "package x\nvar n = 1\nfunc f() { n := 2; n = 3 }\n", ""},
		{"proof that a type fits", "server/a.go", "package x\nvar _ I = T{}\n", ""},
	})
}

// checkCalls finds uses of packages and functions outside the rooms they are kept to.
func checkCalls(f goFile) []string {
	var complaints []string
	denied := func(k kept) bool { return !covered(k.in, f.room()) && !(k.tests && f.isTest()) }
	say := func(pos token.Pos, what string, k kept) {
		where := "nobody"
		if len(k.in) > 0 {
			where = strings.Join(k.in, ", ")
		}
		complaints = append(complaints, f.at(pos, "%s is kept to %s: %s", what, where, k.remedy))
	}
	imports, calls := keptImports(), keptCalls()
	for _, spec := range f.syntax.Imports {
		at, _ := strconv.Unquote(spec.Path.Value)
		if k, ok := imports[at]; ok && denied(k) {
			say(spec.Pos(), at, k)
		}
	}
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		if name := f.function(n); name != "" {
			if k, ok := calls[name]; ok && denied(k) {
				say(n.Pos(), name, k)
			}
		}
		if name := builtin(n); name == "print" || name == "println" {
			say(n.Pos(), name, kept{remedy: "it writes to standard error"})
		}
		return true
	})
	return complaints
}

// function names the package-level thing a selector means, as in "time.Now", or "".
func (f goFile) function(n ast.Node) string {
	selector, ok := n.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	x, ok := selector.X.(*ast.Ident)
	if !ok || x.Obj != nil { // an object of this file is a variable, not a package
		return ""
	}
	if at := f.imported(x.Name); at != "" {
		return at + "." + selector.Sel.Name
	}
	return ""
}

// builtin names the built-in function that a call calls, or "".
func builtin(n ast.Node) string {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return ""
	}
	if id, ok := call.Fun.(*ast.Ident); ok && id.Obj == nil {
		return id.Name
	}
	return ""
}

// checkTests finds tests that leave something out or wait for time to pass. Inside a synctest bubble a sleep costs
// nothing and cannot be too short.
func checkTests(f goFile) []string {
	var complaints []string
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && f.function(call.Fun) == "testing/synctest.Test" {
			return false
		}
		selector, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		x, _ := selector.X.(*ast.Ident)
		switch {
		case f.isTest() && f.function(n) == "time.Sleep":
			complaints = append(complaints, f.at(n.Pos(), "a test sleeps: wait for a signal the code gives"))
		case x != nil && slices.Contains([]string{"t", "b", "f", "tb"}, x.Name) &&
			slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, selector.Sel.Name):
			complaints = append(complaints, f.at(n.Pos(), "a test skips: name the remedy and fail"))
		}
		return true
	})
	return complaints
}

// checkInit finds code that runs at import and state that belongs to a package instead of a value.
func checkInit(f goFile) []string {
	var complaints []string
	if f.isTest() {
		return nil
	}
	for _, decl := range f.syntax.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil && d.Name.Name == "init" {
				complaints = append(complaints, f.at(d.Pos(), "init runs at import: make it a function that is called"))
			}
			complaints = append(complaints, assignments(f, d)...)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if v, ok := spec.(*ast.ValueSpec); ok && d.Tok == token.VAR && len(v.Values) == 0 && !embedded(d) {
					complaints = append(complaints,
						f.at(v.Pos(), "%s can only be useful when it changes: put it into a value", v.Names[0].Name))
				}
			}
		}
	}
	return complaints
}

// embedded reports whether the compiler fills the variable from a file.
func embedded(d *ast.GenDecl) bool {
	return d.Doc != nil && slices.ContainsFunc(d.Doc.List, func(c *ast.Comment) bool {
		return strings.HasPrefix(c.Text, "//go:embed ")
	})
}

// assignments finds assignments in a function to variables of the package that the same file declares.
func assignments(f goFile, fn *ast.FuncDecl) []string {
	var complaints []string
	check := func(target ast.Expr) {
		for {
			switch x := target.(type) {
			case *ast.IndexExpr:
				target = x.X
				continue
			case *ast.SelectorExpr:
				target = x.X
				continue
			case *ast.Ident:
				if x.Obj != nil && f.syntax.Scope.Lookup(x.Name) == x.Obj && x.Obj.Kind == ast.Var {
					complaints = append(complaints, f.at(x.Pos(), "%s belongs to the package: put it into a value", x.Name))
				}
			}
			return
		}
	}
	ast.Inspect(fn, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for _, target := range n.Lhs {
				check(target)
			}
		case *ast.IncDecStmt:
			check(n.X)
		}
		return true
	})
	return complaints
}
