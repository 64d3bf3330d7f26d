// SPDX-License-Identifier: Apache-2.0

// The import plan: which room may know which. To add a room or an arrow, change the plan in the same commit.

package vidimus_test

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// room is one row of the plan. A row may name only rows above it, so imports point downwards and never in a circle.
type room struct {
	path    string   // from the root of the module; "x/..." stands for every room below x that has no row of its own
	may     []string // our rooms it may import; its own name with "/..." allows what lies below it
	outside []string // other people's modules it may import
}

// floor1 is open to every room: time, chance, what fails again and again, and nothing of the domain.
var floor1 = []string{"internal/clock", "internal/chance", "internal/outage", "internal/ids"}

// plan lists the rooms from the ground up.
var plan = []room{
	{path: "internal/clock"},
	{path: "internal/clock/clocktest"},
	{path: "internal/chance"},
	{path: "internal/outage"},
	{path: "internal/ids", outside: []string{"github.com/google/uuid"}},
	{path: "internal/pgtest", outside: []string{"github.com/jackc/pgx/v5"}},

	{path: "journal"},
	{path: "journal/internal/plan", may: []string{"journal"}},
	{path: "journal/mem", may: []string{"journal", "journal/internal/plan"}},
	{path: "journal/sqlite/internal/simdisk", outside: []string{"github.com/ncruces/go-sqlite3"}},
	{
		path: "journal/sqlite", may: []string{"journal", "journal/internal/plan"},
		outside: []string{"github.com/ncruces/go-sqlite3"},
	},
	{
		path: "journal/postgres", may: []string{"journal", "journal/internal/plan"},
		outside: []string{"github.com/jackc/pgx/v5"},
	},
	{
		path: "journal/journaltest", may: []string{"journal", "journal/mem"},
		outside: []string{"github.com/anishathalye/porcupine"},
	},
	{
		path: "journal/journaltest/stores", may: []string{
			"journal", "journal/mem", "journal/sqlite", "journal/postgres", "internal/pgtest",
		},
	},
	{path: "journal/crashtest", may: []string{"journal", "journal/mem"}},
	{path: "journal/schema", may: []string{"journal"}},

	{path: "lease", may: []string{"journal"}},
	{path: "timer", may: []string{"journal"}},
	{path: "cell", may: []string{"journal", "lease", "timer"}},

	// What travels knows the standard library alone: a service which only checks passports downloads nothing else.
	{path: "passport/header"},
	{path: "passport", may: []string{"passport/header"}},
	{
		path: "passport/passportconnect", may: []string{"passport", "passport/header"},
		outside: []string{"connectrpc.com/connect"},
	},
	{path: "passport/keyring", may: []string{"journal", "cell", "passport", "passport/header"}},
	{path: "heartbeat", may: []string{"passport"}},
	{path: "heartbeat/feed", may: []string{"journal", "passport", "passport/header", "heartbeat"}},
	{path: "heartbeat/attack"}, // tests alone, in processes
	{path: "heartbeat/presence", may: []string{"heartbeat"}},
	{path: "entity", may: []string{"journal", "journal/schema", "cell"}},
	{path: "entity/entitytest", may: []string{"entity"}},
	{
		path: "session", may: []string{
			"journal", "journal/schema", "lease", "timer", "cell", "entity",
			"passport", "passport/keyring", "heartbeat", "heartbeat/presence",
		},
	},
	{path: "edge/legacy"},
	{path: "edge/legacy/sessionlegacy", may: []string{"journal", "heartbeat", "session", "edge/legacy"}},
	{
		path: "edge", may: []string{"passport", "passport/header", "heartbeat", "heartbeat/presence"},
		outside: []string{"golang.org/x/time"},
	},

	{path: "server/vidimusv1", outside: []string{"google.golang.org/protobuf"}},
	{
		path: "server/vidimusv1/...", may: []string{"server/vidimusv1"},
		outside: []string{"google.golang.org/protobuf", "connectrpc.com/connect"},
	},
	{path: "server/token", may: []string{"journal"}},
	{
		path: "server/internal/wire", may: []string{
			"journal", "lease", "passport", "heartbeat", "session", "server/token", "server/vidimusv1",
		},
		outside: []string{"google.golang.org/protobuf", "connectrpc.com/connect"},
	},
	{
		// What the server and the handlers that are mounted on it both ask of a request, before they read it.
		path: "server/internal/door", may: []string{"server/internal/wire", "server/token"},
		outside: []string{"connectrpc.com/connect"},
	},
	{
		path: "server", may: []string{
			"journal", "lease", "timer", "cell",
			"server/vidimusv1", "server/vidimusv1/...", "server/internal/wire", "server/internal/door", "server/token",
		},
		outside: []string{"google.golang.org/protobuf", "connectrpc.com/connect"},
	},

	{
		path: "edge/extauthz", may: []string{"edge"},
		outside: []string{"google.golang.org/protobuf", "connectrpc.com/connect"},
	},
	{
		path: "server/authority", may: []string{
			"journal", "lease", "cell", "passport", "passport/header", "passport/keyring",
			"heartbeat", "heartbeat/feed", "heartbeat/presence", "session",
			"server/vidimusv1", "server/vidimusv1/...", "server/internal/wire", "server/internal/door", "server/token",
		},
		outside: []string{"google.golang.org/protobuf", "connectrpc.com/connect"},
	},

	{
		path: "server/remote", may: []string{
			"passport", "passport/header", "heartbeat", "heartbeat/presence", "session",
			"journal", "lease", "server/internal/wire", "server/token", "server/vidimusv1", "server/vidimusv1/...",
		},
		outside: []string{"google.golang.org/protobuf", "connectrpc.com/connect"},
	},

	{path: ".", may: []string{"journal", "lease", "timer", "cell", "server", "server/token"}},
	{path: "examples/boxoffice/internal/seat"}, // its domain imports nothing of ours
	{path: "examples/boxoffice/internal/...", may: []string{
		".", "journal", "journal/sqlite", "journal/schema", "cell", "entity", "session", "passport", "passport/header",
		"passport/keyring", "heartbeat", "heartbeat/presence", "edge", "server/authority", "server/remote", "server/token",
		"examples/boxoffice/internal/...",
	}},
	{path: "examples/boxoffice", may: []string{"examples/boxoffice/internal/..."}},
	{
		path: "cmd/vidimus/internal/...", may: []string{"journal", "cmd/vidimus/internal/..."},
		outside: []string{"github.com/schollz/progressbar/v3", "golang.org/x/term", "github.com/alecthomas/kong"},
	},
	{
		// It measures the databases bare, beside what the journal makes of them.
		path: "cmd/vidimus/internal/bulk", may: []string{"journal", "cmd/vidimus/internal/..."},
		outside: []string{"github.com/jackc/pgx/v5", "github.com/ncruces/go-sqlite3"},
	},
	{path: "cmd/vidimus/internal/canvas", outside: []string{"golang.org/x/image"}},
	{
		// It runs a shop on everything that a user's shop stands on.
		path: "cmd/vidimus/internal/lostupdates", may: []string{
			"journal", "journal/sqlite", "cell", "session", "passport", "passport/header", "passport/keyring",
			"heartbeat", "heartbeat/feed", "edge", "cmd/vidimus/internal/canvas",
		},
	},
	{
		path: "cmd/vidimus",
		may: []string{
			".", "journal", "journal/mem", "journal/sqlite", "journal/postgres", "journal/schema", "lease", "timer", "cell",
			"entity", "session", "passport", "passport/header", "passport/keyring", "heartbeat", "heartbeat/feed",
			"heartbeat/presence", "edge", "edge/legacy", "edge/legacy/sessionlegacy", "edge/extauthz", "server/authority",
			"server", "server/remote", "server/token", "server/vidimusv1", "server/vidimusv1/...",
			"cmd/vidimus/internal/...", "cmd/vidimus/internal/bulk",
		},
		outside: []string{
			"github.com/alecthomas/kong", "github.com/schollz/progressbar/v3", "golang.org/x/term",
			"github.com/jackc/pgx/v5", "github.com/ncruces/go-sqlite3", "connectrpc.com/connect",
		},
	},
}

// kits are open to the tests of every room.
var kits = []string{
	"internal/clock/clocktest", "internal/pgtest", "journal/mem", "journal/journaltest",
	"journal/journaltest/stores", "journal/crashtest",
	"entity/entitytest",
}

// testOutside are the modules that any test may import.
var testOutside = []string{
	"github.com/anishathalye/porcupine", "github.com/cockroachdb/datadriven", "github.com/rogpeppe/go-internal",
	"github.com/jackc/pgx/v5", "github.com/ncruces/go-sqlite3", "connectrpc.com/connect", "google.golang.org/protobuf",
	"github.com/coder/websocket",
}

func TestImportsFollowThePlan(t *testing.T) {
	t.Parallel()
	h := mustReadHouse(t)
	for _, f := range h.goes {
		for _, complaint := range checkImports(h.module, f) {
			t.Error(complaint)
		}
	}
}

func TestPlanPointsDownwards(t *testing.T) {
	t.Parallel()
	for _, complaint := range checkPlan(plan) {
		t.Error(complaint)
	}
	bad := []room{{path: "low", may: []string{"high"}}, {path: "high"}}
	if got := checkPlan(bad); len(got) != 1 || !strings.Contains(got[0], `"low" may import "high"`) {
		t.Errorf("checkPlan says %q to an arrow upwards", got)
	}
}

func TestImportGuardCatches(t *testing.T) {
	t.Parallel()
	const module = "house.test/m"
	file := func(imported string) string { return "package x\nimport _ \"" + imported + "\"\n" }
	guard := func(f goFile) []string { return checkImports(module, f) }
	catches(t, guard, []sample{
		{"upwards", "journal/a.go", file(module + "/cell"), `"journal" may not import "cell"`},
		{"sideways", "lease/a.go", file(module + "/timer"), `"lease" may not import "timer"`},
		{"no row", "unheard/a.go", file("fmt"), `"unheard" is not in the plan`},
		{"foreign module", "cell/a.go", file("github.com/jackc/pgx/v5"), "github.com/jackc/pgx/v5"},
		{"likeness is not kinship", "journal/sqlite/a.go", file("github.com/ncruces/go-sqlite3-wasm/v6"), "sqlite3-wasm"},
		{"downwards", "cell/a.go", file(module + "/lease"), ""},
		{"a package of an allowed module", "journal/postgres/a.go", file("github.com/jackc/pgx/v5/pgxpool"), ""},
		{"standard library", "journal/a.go", file("net/http"), ""},
		{"kit in a test", "lease/a_test.go", file(module + "/journal/mem"), ""},
		{"kit outside tests", "lease/a.go", file(module + "/internal/pgtest"), `may not import "internal/pgtest"`},
		{"test looks up", "journal/a_test.go", file(module + "/cell"), `"journal" may not import "cell"`},
	})
}

// checkImports compares the imports of one file with the plan.
func checkImports(module string, f goFile) []string {
	row := rowOf(f.room())
	if row < 0 {
		why := "is not in the plan: give it a row in arch_test.go and say why"
		return []string{fmt.Sprintf("%s: %q %s", f.path, f.room(), why)}
	}
	var complaints []string
	for _, spec := range f.syntax.Imports {
		at, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		ours, isOurs := strings.CutPrefix(at, module+"/")
		switch {
		case at == module:
			ours, isOurs = ".", true
		case !isOurs && !strings.Contains(strings.Split(at, "/")[0], "."):
			continue // the standard library
		}
		const see = "see the plan in arch_test.go"
		if isOurs && !mayImport(row, f, ours) {
			complaints = append(complaints, f.at(spec.Pos(), "%q may not import %q: %s", f.room(), ours, see))
		}
		if !isOurs && !mayUse(row, f, at) {
			complaints = append(complaints, f.at(spec.Pos(), "%q may not use %s: %s", f.room(), at, see))
		}
	}
	return complaints
}

// mayImport reports whether the file may know another of our rooms.
func mayImport(row int, f goFile, other string) bool {
	if other == f.room() || covered(floor1, other) || covered(plan[row].may, other) {
		return true
	}
	if !f.isTest() {
		return false
	}
	// A test may look at everything that stands below, at the kits, and at what lies inside its own room.
	below := rowOf(other)
	return covered(kits, other) || covered([]string{f.room() + "/..."}, other) || below >= 0 && below < row
}

// mayUse reports whether the file may import a package of somebody else's module.
func mayUse(row int, f goFile, at string) bool {
	within := func(module string) bool { return at == module || strings.HasPrefix(at, module+"/") }
	return slices.ContainsFunc(plan[row].outside, within) || f.isTest() && slices.ContainsFunc(testOutside, within)
}

// rowOf finds the row of a room: its own, or the nearest "x/..." above it; -1 if it has none.
func rowOf(name string) int {
	if i := slices.IndexFunc(plan, func(r room) bool { return r.path == name }); i >= 0 {
		return i
	}
	for above := path.Dir(name); above != "."; above = path.Dir(above) {
		if i := slices.IndexFunc(plan, func(r room) bool { return r.path == above+"/..." }); i >= 0 {
			return i
		}
	}
	return -1
}

// covered reports whether a list names a room, itself or by "x/...".
func covered(list []string, name string) bool {
	return slices.ContainsFunc(list, func(entry string) bool {
		above, wild := strings.CutSuffix(entry, "/...")
		return entry == name || wild && strings.HasPrefix(name, above+"/")
	})
}

// checkPlan finds rows that name rows which do not stand above them.
func checkPlan(rooms []room) []string {
	var complaints []string
	for i, r := range rooms {
		for _, entry := range r.may {
			below := func(lower room) bool { return covered([]string{entry}, lower.path) }
			if entry != r.path && !slices.ContainsFunc(rooms[:i], below) {
				complaints = append(complaints, fmt.Sprintf("%q may import %q, which does not stand below it", r.path, entry))
			}
		}
	}
	return complaints
}
