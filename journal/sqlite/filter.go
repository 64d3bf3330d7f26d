// SPDX-License-Identifier: Apache-2.0

// Filters in the words of SQL.

package sqlite

import (
	"strings"

	"example.com/vidimus/journal"
)

// filterTest returns an expression on journal_events e that is true where the filter chooses the event.
func filterTest(f journal.Filter) (test string, args []any) {
	if len(f) == 0 {
		return "1", nil
	}
	tests := make([]string, len(f))
	for i := range f {
		var more []any
		tests[i], more = conditions(&f[i])
		args = append(args, more...)
	}
	return "(" + strings.Join(tests, " OR ") + ")", args
}

// conditions returns an expression on journal_events e that is true where the match fits the event.
func conditions(m *journal.Match) (test string, args []any) {
	tests := []string{"1"}
	if m.Stream != "" {
		tests, args = append(tests, "e.stream = ?"), append(args, string(m.Stream))
	}
	switch {
	case m.Category == "":
	case strings.Contains(m.Category, "-"):
		tests = append(tests, "0") // a category ends before the first '-'
	default: // '.' is the character after '-'
		tests = append(tests, "(e.stream = ? OR e.stream >= ? AND e.stream < ?)")
		args = append(args, m.Category, m.Category+"-", m.Category+".")
	}
	if len(m.Types) > 0 {
		tests = append(tests, "e.type IN (?"+strings.Repeat(", ?", len(m.Types)-1)+")")
		for _, name := range m.Types {
			args = append(args, name)
		}
	}
	for _, tag := range m.Tags {
		tests = append(tests, "instr(char(10) || e.tags || char(10), ?)")
		args = append(args, "\n"+tag+"\n")
	}
	return "(" + strings.Join(tests, " AND ") + ")", args
}
