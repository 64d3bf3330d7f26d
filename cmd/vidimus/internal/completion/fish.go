// SPDX-License-Identifier: Apache-2.0

// The script for fish.

package completion

import (
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// Fish writes the script for fish. It returns the error of the writer.
func Fish(w io.Writer, app *kong.Application) error {
	all := places(app.Node, "", nil)
	enums, free := valued(all)
	takers := append(slices.Sorted(maps.Keys(enums)), free...)
	var paths []string
	for _, p := range all[1:] {
		paths = append(paths, fishQuote(p.path))
	}
	var s script
	s.line("# fish completion of ", app.Name, ", made by `", app.Name, " completion fish`")
	s.line("function __", app.Name, "_at")
	s.line(`  set -l at ""`)
	s.line(`  set -l skip ""`)
	s.line(`  for word in (commandline -opc)[2..-1]`)
	s.line(`    if test -n "$skip"`)
	s.line(`      set skip ""`)
	s.line(`      continue`)
	s.line(`    end`)
	s.line(`    switch $word`)
	if len(takers) > 0 {
		s.line(`      case `, strings.Join(takers, " "))
		s.line(`        set skip 1`)
	}
	s.line(`      case '-*'`)
	s.line(`      case '*'`)
	s.line(`        if contains -- "$at $word" `, strings.Join(paths, " "))
	s.line(`          set at "$at $word"`)
	s.line(`        end`)
	s.line(`    end`)
	s.line(`  end`)
	s.line(`  test "$at" = "$argv[1]"`)
	s.line("end")
	for _, p := range all {
		fishPlace(&s, app.Name, &p)
	}
	return s.to(w)
}

func fishPlace(s *script, program string, p *place) {
	begin := "complete -c " + program + " -n " + fishQuote("__"+program+"_at "+fishQuote(p.path))
	if !p.files {
		s.line(begin, " -f")
	}
	for _, name := range p.names {
		s.line(begin, " -a ", name.text, describe(name.help))
	}
	for _, f := range p.flags {
		parts := begin + " -l " + strings.TrimPrefix(f.text, "--")
		if f.short != "" {
			parts += " -s " + strings.TrimPrefix(f.short, "-")
		}
		switch {
		case len(f.enum) > 0:
			parts += " -x -a " + fishQuote(strings.Join(f.enum, " "))
		case f.value:
			parts += " -r"
		}
		s.line(parts, describe(f.help))
	}
}

func describe(help string) string {
	if help == "" {
		return ""
	}
	return " -d " + fishQuote(help)
}

// fishQuote puts text into single quotes, in which fish knows two escapes.
func fishQuote(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}
