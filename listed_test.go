// SPDX-License-Identifier: Apache-2.0

// What is allowed in few functions only, each listed with its reason: panics and goroutines.

package vidimus_test

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// panics lists every function that may panic: for a broken invariant of ours, which no input can cause.
var panics = map[string]string{
	"journal/queue.go lead":                 "a store that answers the wrong number of outcomes",
	"journal/follow.go Save":                "numbers and strings always marshal",
	"journal/sqlite/conn.go bind":           "an argument of a type we never bind",
	"journal/postgres/ground.go filterJSON": "strings always marshal",
	"journal/postgres/migrate.go formats":   "files that the compiler has embedded",
	"lease/record.go encode":                "strings, numbers and times always marshal",
	"timer/timer.go encode":                 "times that the journal accepts always marshal",

	"server/server.go writeJSON": "our own answers always marshal",

	"cmd/vidimus/fail.go fail":                                 "an error's strings always marshal",
	"cmd/vidimus/main.go newParser":                            "the grammar of the command line is ours",
	"cmd/vidimus/internal/eventline/eventline.go appendQuoted": "a string always marshals",
}

// goroutines lists every function that may start one, besides Run and Serve. Each ends before its function returns, or
// says why not.
var goroutines = map[string]string{
	"server/write.go Verify":                         "verifies while it tells how far it is; waits for it",
	"server/serve.go serve":                          "part of Serve: the listener, while Serve waits for the end",
	"server/authority/presence.go attend":            "part of Serve: keeps presence for one term, and waits for it",
	"edge/mint.go join":                              "asks on behalf of all who wait, and ends within the time of a call",
	"edge/streams.go renew":                          "part of Run, which waits for it: asks for a passport beside others",
	"cell/run.go start":                              "part of Run, which waits for its keeper, timers and services",
	"cell/shards.go start":                           "part of EachShard, which waits for every call it made",
	"cell/spread.go do":                              "waits for its steps, which share the journal's writes",
	"cmd/vidimus/import.go open":                     "opens a pipe that may stay silent; ends with the process",
	"lease/run.go keep":                              "part of Run: renews while the trust in the lease runs out",
	"timer/run.go start":                             "part of Run: the lanes that fire",
	"cmd/vidimus/main.go untilSignal":                "waits for a signal, and ends with the returned stop",
	"cmd/vidimus/internal/importer/importer.go Feed": "reads ahead while it writes",

	"cmd/vidimus/internal/lostupdates/measure.go clicks":     "reads while it clicks; waits for the reader",
	"cmd/vidimus/internal/lostupdates/measure.go playRound":  "the tabs of a round, which it waits for",
	"cmd/vidimus/internal/lostupdates/measure.go playLogout": "the tabs at work while it signs out; waits for them",
	"cmd/vidimus/internal/lostupdates/shop.go listen":        "a server, which the returned stop ends",
	"cmd/vidimus/internal/lostupdates/vidimus.go run":        "the parts of the shop, which stop waits for",
}

// find looks at one function and returns where it does the thing, or token.NoPos.
type find func(fn *ast.FuncDecl) token.Pos

func TestPanicsAreListed(t *testing.T) {
	t.Parallel()
	compareList(t, "panics", panics, findPanic)
}

func TestGoroutinesAreListed(t *testing.T) {
	t.Parallel()
	compareList(t, "starts a goroutine", goroutines, findGoroutine)
}

// compareList complains about functions that do a thing and are not listed, and about those listed that do not.
func compareList(t *testing.T, does string, list map[string]string, look find) {
	t.Helper()
	found := map[string]token.Pos{}
	eachGo(t, func(f goFile) []string {
		var complaints []string
		for place, pos := range placesOf(f, look) {
			found[place] = pos
			if list[place] == "" {
				complaints = append(complaints, unlisted(f, place, does, pos))
			}
		}
		return complaints
	})
	for place := range list {
		if _, ok := found[place]; !ok {
			t.Errorf("%s no longer %s: take it from the list in listed_test.go", place, does)
		}
	}
}

// checkListed is the guard for one file.
func checkListed(f goFile) []string {
	var complaints []string
	for place, pos := range placesOf(f, findPanic) {
		complaints = append(complaints, unlisted(f, place, "panics", pos))
	}
	for place, pos := range placesOf(f, findGoroutine) {
		complaints = append(complaints, unlisted(f, place, "starts a goroutine", pos))
	}
	return complaints
}

func unlisted(f goFile, place, does string, pos token.Pos) string {
	_, function, _ := strings.Cut(place, " ")
	return f.at(pos, "%s %s: find another way, or list it with a reason in listed_test.go", function, does)
}

// placesOf finds the functions of a file that do a thing, as "file function". Tests and their kits may do it.
func placesOf(f goFile, look find) map[string]token.Pos {
	found := map[string]token.Pos{}
	if f.isTest() || f.room() != "journal/mem" && slices.Contains(kits, f.room()) {
		return found
	}
	for _, decl := range f.syntax.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok {
			if pos := look(fn); pos.IsValid() {
				found[f.path+" "+fn.Name.Name] = pos
			}
		}
	}
	return found
}

func findPanic(fn *ast.FuncDecl) token.Pos {
	return first(fn, func(n ast.Node) bool { return builtin(n) == "panic" })
}

// findGoroutine finds go statements and the Go methods of groups, outside functions whose name says that they run.
func findGoroutine(fn *ast.FuncDecl) token.Pos {
	if slices.Contains([]string{"Run", "Serve"}, fn.Name.Name) {
		return token.NoPos
	}
	return first(fn, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			return true
		case *ast.CallExpr:
			selector, ok := n.Fun.(*ast.SelectorExpr)
			return ok && selector.Sel.Name == "Go" && len(n.Args) == 1
		}
		return false
	})
}

// first returns the position of the first node that fits.
func first(fn *ast.FuncDecl, fits func(ast.Node) bool) token.Pos {
	pos := token.NoPos
	ast.Inspect(fn, func(n ast.Node) bool {
		if n != nil && !pos.IsValid() && fits(n) {
			pos = n.Pos()
		}
		return !pos.IsValid()
	})
	return pos
}
