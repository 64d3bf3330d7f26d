// SPDX-License-Identifier: Apache-2.0

// Command lines that the pages, the help and the program itself tell people to type.

package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// typed finds a command line of ours that stands on its own, and what follows the program's name.
var typed = regexp.MustCompile(`(?m)^\s*(?:\$ )?(?:[A-Z_]+=\S+ )?(?:bin/)?vidimus ([a-z][^|>&#\n]*)`)

// understood complains about lines of a text that the grammar does not take.
func understood(t *testing.T, where, text string) (lines int) {
	t.Helper()
	for _, found := range typed.FindAllStringSubmatch(text, -1) {
		var g grammar
		a := &app{out: io.Discard, err: io.Discard, getenv: func(string) string { return "" }}
		if _, err := newParser(&g, a).Parse(words(found[1])); err != nil {
			t.Errorf("%s: vidimus %s: %v", where, found[1], err)
		}
		lines++
	}
	return lines
}

// words splits a line as a shell does, as far as quotes go.
func words(line string) []string {
	var out []string
	for _, part := range regexp.MustCompile(`(?:[^\s']|'[^']*')+`).FindAllString(line, -1) {
		out = append(out, strings.ReplaceAll(part, "'", ""))
	}
	return out
}

func TestPagesTellLinesThatWork(t *testing.T) {
	t.Parallel()
	fences := regexp.MustCompile("(?s)```(?:sh|bash|console|text)?\n(.*?)```")
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range fences.FindAllStringSubmatch(string(text), -1) {
			lines += understood(t, page, block[1])
		}
	}
	if lines == 0 {
		t.Error("no page shows the program at work; does the test still find the lines?")
	}
}

func TestHelpAndWelcomeTellLinesThatWork(t *testing.T) {
	t.Parallel()
	var welcome bytes.Buffer
	a := &app{program: "vidimus", out: &welcome}
	if err := a.welcome("http://127.0.0.1:7420", "vidimus-data/main.db", "http://127.0.0.1:7420", "dev"); err != nil {
		t.Fatal(err)
	}
	if lines := understood(t, "welcome", welcome.String()); lines != 7 {
		t.Errorf("welcome: found %d lines, want 7", lines)
	}
	var g grammar
	model := newParser(&g, &app{out: io.Discard, err: io.Discard}).Model
	lines := 0
	for _, leaf := range model.Leaves(true) {
		lines += understood(t, "help of "+leaf.Name, leaf.Detail)
	}
	if lines < 10 {
		t.Errorf("help: found %d lines, want more; does the test still find them?", lines)
	}
}
