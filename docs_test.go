// SPDX-License-Identifier: Apache-2.0

// What people read: pages that must exist, links that must lead somewhere, programs in pages that must compile, and
// words that must not stand anywhere.

package vidimus_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// pages are what a newcomer looks for.
var pages = []string{
	"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "docs/ARCHITECTURE.md", "docs/decisions/README.md",
}

func TestPagesExist(t *testing.T) {
	t.Parallel()
	h := mustReadHouse(t)
	for _, complaint := range checkPages(pages, h.texts) {
		t.Error(complaint)
	}
	if got := checkPages([]string{"A.md", "B.md"}, []textFile{{path: "A.md", text: "a"}, {path: "B.md"}}); len(got) != 1 {
		t.Errorf("the guard said %q to one empty page of two", got)
	}
}

func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	for _, f := range mustReadHouse(t).texts {
		if path.Ext(f.path) != ".md" {
			continue
		}
		for _, complaint := range checkLinks(f, os.ReadFile) {
			t.Error(complaint)
		}
	}
}

func TestLinkGuardCatches(t *testing.T) {
	t.Parallel()
	read := func(name string) ([]byte, error) {
		if filepath.ToSlash(name) != "docs/b.md" {
			return nil, os.ErrNotExist
		}
		return []byte("# One idea, *two* words\n\n## `Store` seam\n"), nil
	}
	for link, want := range map[string]string{
		"b.md": "", "../docs/b.md#store-seam": "", "b.md#one-idea-two-words": "", "https://example.org/x": "",
		"#here": "", "mailto:a@example.org": "", "c.md": "docs/a.md:3: c.md does not exist",
		"b.md#gone": "b.md has no heading for #gone", "#gone": "has no heading",
	} {
		page := textFile{"docs/a.md", "# Here\n\nSee [it](" + link + ").\n```\n[not](a-link)\n```\n"}
		got := strings.Join(checkLinks(page, read), "\n")
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("link %s: the guard said %q, want %q", link, got, want)
		}
	}
}

func TestProgramsInPagesCompile(t *testing.T) {
	t.Parallel()
	for _, f := range mustReadHouse(t).texts {
		if path.Ext(f.path) != ".md" {
			continue
		}
		for line, program := range programs(f.text) {
			t.Run(fmt.Sprintf("%s:%d", f.path, line), func(t *testing.T) {
				t.Parallel()
				if out, err := vet(t, program); err != nil {
					t.Errorf("%s:%d: this program does not compile: %v\n%s", f.path, line, err, out)
				}
			})
		}
	}
}

func TestProgramGuardCatches(t *testing.T) {
	t.Parallel()
	page := "text\n```go\nx := 1\n```\n\n```go\npackage main\n\nfunc main() { undefined() }\n```\n"
	found := programs(page)
	if len(found) != 1 || !strings.HasPrefix(found[7], "package main") {
		t.Fatalf("the programs of the page are %v", found)
	}
	if out, err := vet(t, found[7]); err == nil || !strings.Contains(string(out), "undefined") {
		t.Errorf("a program that does not compile passed: %v\n%s", err, out)
	}
}

func TestWordsStayOut(t *testing.T) {
	t.Parallel()
	for _, f := range mustReadHouse(t).texts {
		if strings.Contains(f.text[:min(len(f.text), 1000)], "// Code generated ") {
			continue
		}
		for _, complaint := range checkWords(f) {
			t.Error(complaint)
		}
	}
}

func TestModulePathIsNotStored(t *testing.T) {
	t.Parallel()
	h := mustReadHouse(t)
	for _, f := range h.goes {
		for _, complaint := range checkModulePath(h.module, f) {
			t.Error(complaint)
		}
	}
}

func TestWordGuardsCatch(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"// TO" + "DO later":            "a.go:1: promises do not belong into the code",
		"it is not imple" + "mented":    "promises",
		"good enough for " + "now.":     "promises",
		"see iss" + "ue 12":             "a number in a tracker",
		"fixes " + "#12":                "a number in a tracker",
		"golang/go" + "#32819 explains": "",
		"the colour #123456":            "",
		"/ho" + "me/ann/vidimus":        "a path of one machine",
		"GET /homepage":                 "",
		"sed '/roo" + "t/s/a/b/'":       "",
		"written by an A" + "I":         "who or what wrote it",
		"the User-Agent header":         "",
		"nothing to see":                "",
	} {
		got := strings.Join(checkWords(textFile{"a.go", text}), "\n")
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%q: the guard said %q, want %q", text, got, want)
		}
	}
	const module = "house.test/m"
	guard := func(f goFile) []string { return checkModulePath(module, f) }
	catches(t, guard, []sample{
		{"import", "x/a.go", "package x\nimport _ \"house.test/m/journal\"\n", ""},
		{"literal", "x/a.go", "package x\nconst t = \"type house.test/m/journal.Event\"\n", "a.go:2: the module path"},
		{"raw literal", "x/a.go", "package x\nconst t = `\nhouse.test/m`\n", "the module path"},
	})
}

// checkPages wants each page to be there and to say something.
func checkPages(wanted []string, texts []textFile) []string {
	var complaints []string
	for _, page := range wanted {
		says := func(f textFile) bool { return f.path == page && strings.TrimSpace(f.text) != "" }
		if !slices.ContainsFunc(texts, says) {
			complaints = append(complaints, page+" is missing or empty: newcomers look for it")
		}
	}
	return complaints
}

var (
	linkPattern    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	headingPattern = regexp.MustCompile(`^#+\s+(.*)`)
	notInAnchor    = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// checkLinks follows the relative links of a page, with the heading they name.
func checkLinks(f textFile, read func(string) ([]byte, error)) []string {
	var complaints []string
	prose(f.text, func(number int, line string) {
		for _, match := range linkPattern.FindAllStringSubmatch(line, -1) {
			file, anchor, _ := strings.Cut(match[1], "#")
			if strings.Contains(match[1], ":") {
				continue // another site
			}
			target, text := f.path, f.text
			if file != "" {
				target = path.Join(path.Dir(f.path), file)
				if info, err := os.Stat(filepath.FromSlash(target)); err == nil && info.IsDir() {
					continue
				}
				content, err := read(filepath.FromSlash(target))
				if err != nil {
					complaints = append(complaints, fmt.Sprintf("%s:%d: %s does not exist", f.path, number, file))
					continue
				}
				text = string(content)
			}
			if anchor != "" && path.Ext(target) == ".md" && !anchors(text)[anchor] {
				complaints = append(complaints, fmt.Sprintf("%s:%d: %s has no heading for #%s", f.path, number, target, anchor))
			}
		}
	})
	return complaints
}

// anchors are the names by which the headings of a page can be linked.
func anchors(text string) map[string]bool {
	found := map[string]bool{}
	prose(text, func(_ int, line string) {
		if match := headingPattern.FindStringSubmatch(line); match != nil {
			plain := notInAnchor.ReplaceAllString(strings.ToLower(match[1]), "")
			found[strings.ReplaceAll(strings.TrimSpace(plain), " ", "-")] = true
		}
	})
	return found
}

// prose shows the lines of a page that are not in fenced blocks.
func prose(text string, see func(number int, line string)) {
	fenced := false
	eachLine(text, func(number int, line string) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
		} else if !fenced {
			see(number, line)
		}
	})
}

// programs returns the complete Go programs of a page by the line they begin at: fenced go blocks with a package.
func programs(text string) map[int]string {
	found := map[int]string{}
	begin := 0
	var block []string
	eachLine(text, func(number int, line string) {
		switch {
		case begin == 0 && strings.TrimSpace(line) == "```go":
			begin, block = number+1, nil
		case begin > 0 && strings.TrimSpace(line) == "```":
			if program := strings.Join(block, "\n") + "\n"; strings.HasPrefix(program, "package ") {
				found[begin] = program
			}
			begin = 0
		case begin > 0:
			block = append(block, line)
		}
	})
	return found
}

// vet compiles a program as a user of the module would, without keeping anything.
func vet(t *testing.T, program string) ([]byte, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	return exec.CommandContext(t.Context(), "go", "vet", file).CombinedOutput()
}

// unwanted are words that say nothing to a reader of the code. Written so that they do not find themselves.
var unwanted = []struct {
	pattern *regexp.Regexp
	why     string
}{
	{
		regexp.MustCompile(`\b(TO[D]O|FIX[M]E|XX[X]|HA[C]K)\b|(?i)\bnot imple[m]ented\b|\bfor no[w]\b`),
		"promises do not belong into the code: do it, or leave it out",
	},
	{
		regexp.MustCompile(`(?i)\bissu[e] #?\d+\b|(^|[\s(])#\d{1,5}\b`),
		"a number in a tracker means nothing to a reader: say what it says",
	},
	{
		regexp.MustCompile(`(^|[\s"'(=:])/(hom[e]|User[s]|wor[k]|roo[t])/[\w.-]{2}`),
		"a path of one machine means nothing elsewhere",
	},
	{
		regexp.MustCompile(`\b(A[I]|LL[M]s?|Clau[d]e|Copilo[t]|ChatGP[T])\b|(?i)\b(coding|a[i]) agen[t]s?\b`),
		"the text counts, not who or what wrote it",
	},
}

// checkWords looks for them in any text.
func checkWords(f textFile) []string {
	var complaints []string
	eachLine(f.text, func(number int, line string) {
		for _, u := range unwanted {
			if match := u.pattern.FindString(line); match != "" {
				complaints = append(complaints, fmt.Sprintf("%s:%d: %s (%q)", f.path, number, u.why, match))
			}
		}
	})
	return complaints
}

// checkModulePath keeps the module's path out of everything that could be stored or sent: a rename would break it.
func checkModulePath(module string, f goFile) []string {
	var complaints []string
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		if _, ok := n.(*ast.ImportSpec); ok {
			return false
		}
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING && strings.Contains(lit.Value, module) {
			complaints = append(complaints, f.at(lit.Pos(), "the module path must not be stored or sent: name it otherwise"))
		}
		return true
	})
	return complaints
}
