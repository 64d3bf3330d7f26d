// SPDX-License-Identifier: Apache-2.0

// The scripts for bash and zsh, which look alike.

package completion

import (
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// Bash writes the script for bash. It returns the error of the writer.
func Bash(w io.Writer, app *kong.Application) error {
	all := places(app.Node, "", nil)
	enums, free := valued(all)
	var s script
	s.line("# bash completion of ", app.Name, ", made by `", app.Name, " completion bash`")
	s.line("_", app.Name, "() {")
	s.line(`  local at= word skip= i names= flags= files= IFS=$'\n'`)
	s.line(`  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}`)
	s.line(`  # bash takes --flag=value for three words`)
	s.line(`  if [[ $current == = ]]; then current=`)
	s.line(`  elif [[ $previous == = ]]; then previous=${COMP_WORDS[COMP_CWORD-2]}; fi`)
	s.line(`  for ((i = 1; i < COMP_CWORD; i++)); do`)
	s.line(`    word=${COMP_WORDS[i]}`)
	s.line(`    if [[ $word == = ]]; then skip=1; continue; fi`)
	s.line(`    if [[ -n $skip ]]; then skip=; continue; fi`)
	walk(&s, all, enums, free)
	s.line(`  done`)
	s.line(`  case $previous in`)
	for _, name := range slices.Sorted(maps.Keys(enums)) {
		values := quote(strings.Join(enums[name], "\n"))
		s.line(`    `, name, `) COMPREPLY=($(compgen -W `, values, ` -- "$current")); return ;;`)
	}
	if len(free) > 0 {
		s.line(`    `, strings.Join(free, "|"), `) COMPREPLY=($(compgen -f -- "$current")); return ;;`)
	}
	s.line(`  esac`)
	s.line(`  case $at in`)
	for _, p := range all {
		s.line(`    `, quote(p.path), `) names=`, quote(strings.Join(texts(p.names), "\n")),
			` flags=`, quote(strings.Join(flagTexts(p.flags), "\n")), ` files=`, yes(p.files), ` ;;`)
	}
	s.line(`  esac`)
	s.line(`  if [[ $current == -* || -z $names$files ]]; then names=$flags files=; fi`)
	s.line(`  COMPREPLY=($(compgen -W "$names" -- "$current"))`)
	s.line(`  if [[ -n $files ]]; then COMPREPLY+=($(compgen -f -- "$current")); fi`)
	s.line("}")
	s.line("complete -o filenames -F _", app.Name, " ", app.Name)
	return s.to(w)
}

// Zsh writes the script for zsh. It returns the error of the writer.
func Zsh(w io.Writer, app *kong.Application) error {
	all := places(app.Node, "", nil)
	enums, free := valued(all)
	var s script
	s.line("#compdef ", app.Name)
	s.line("# zsh completion of ", app.Name, ", made by `", app.Name, " completion zsh`")
	s.line("_", app.Name, "() {")
	s.line(`  local at= word skip= files=`)
	s.line(`  local -a names flags`)
	s.line(`  for word in "${(@)words[2,CURRENT-1]}"; do`)
	s.line(`    if [[ -n $skip ]]; then skip=; continue; fi`)
	walk(&s, all, enums, free)
	s.line(`  done`)
	s.line(`  case ${words[CURRENT-1]} in`)
	for _, name := range slices.Sorted(maps.Keys(enums)) {
		s.line(`    (`, name, `) compadd -- `, strings.Join(enums[name], " "), `; return ;;`)
	}
	if len(free) > 0 {
		s.line(`    (`, strings.Join(free, "|"), `) _files; return ;;`)
	}
	s.line(`  esac`)
	s.line(`  case $at in`)
	for _, p := range all {
		s.line(`    (`, quote(p.path), `) names=(`, strings.Join(texts(p.names), " "), `) flags=(`,
			strings.Join(flagTexts(p.flags), " "), `) files=`, yes(p.files), ` ;;`)
	}
	s.line(`  esac`)
	s.line(`  if [[ ${words[CURRENT]} == -* || ( $#names -eq 0 && -z $files ) ]]; then`)
	s.line(`    compadd -- $flags; return`)
	s.line(`  fi`)
	s.line(`  compadd -- $names`)
	s.line(`  if [[ -n $files ]]; then _files; fi`)
	s.line("}")
	s.line("if (( ! $+functions[compdef] )); then autoload -Uz compinit && compinit; fi")
	s.line("compdef _", app.Name, " ", app.Name)
	return s.to(w)
}

// walk writes the middle of a loop over the words before the cursor: it follows commands, and passes over flags and
// their values.
func walk(s *script, all []place, enums map[string][]string, free []string) {
	takers := append(slices.Sorted(maps.Keys(enums)), free...)
	s.line(`    case $word in`)
	if len(takers) > 0 {
		s.line(`      `, strings.Join(takers, "|"), `) skip=1; continue ;;`)
	}
	s.line(`      -*) continue ;;`)
	s.line(`    esac`)
	var paths []string
	for _, p := range all[1:] {
		paths = append(paths, quote(p.path))
	}
	s.line(`    case "$at $word" in`)
	s.line(`      `, strings.Join(paths, "|"), `) at="$at $word" ;;`)
	s.line(`    esac`)
}

func yes(b bool) string {
	if b {
		return "1"
	}
	return ""
}
