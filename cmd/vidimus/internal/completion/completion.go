// SPDX-License-Identifier: Apache-2.0

// Package completion writes scripts that let a shell complete commands, made from the grammar of a program.
package completion

import (
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// place is a spot on the command line: behind the words of one command.
type place struct {
	path  string // the command's words, each behind a space; "" is the program itself
	names []word // commands that may follow, or the values of the first argument where they are known
	flags []flag
	files bool // an argument follows that may be a file
}

type word struct{ text, help string }

// flag is a flag with its dashes.
type flag struct {
	word
	short string
	value bool // a value follows
	enum  []string
}

// places lists all spots, the program first.
func places(n *kong.Node, path string, above []flag) []place {
	p := place{path: path, flags: slices.Clone(above)}
	for _, f := range n.Flags {
		if f.Hidden {
			continue
		}
		one := flag{word: word{"--" + f.Name, f.Help}, value: !f.IsBool() && !f.IsCounter()}
		if f.Short != 0 {
			one.short = "-" + string(f.Short)
		}
		if f.Enum != "" {
			one.enum = f.EnumSlice()
		}
		p.flags = append(p.flags, one)
	}
	for _, arg := range n.Positional {
		if arg.Enum == "" {
			p.files = true
			continue
		}
		for _, value := range arg.EnumSlice() {
			p.names = append(p.names, word{text: value})
		}
	}
	var below []place
	for _, child := range n.Children {
		if child.Hidden || child.Type != kong.CommandNode {
			continue
		}
		p.names = append(p.names, word{child.Name, child.Help})
		below = append(below, places(child, path+" "+child.Name, p.flags)...)
	}
	return append([]place{p}, below...)
}

// valued lists the flags, in all places, that a value follows; values with an enum and without.
func valued(all []place) (enums map[string][]string, free []string) {
	enums = map[string][]string{}
	for _, p := range all {
		for _, f := range p.flags {
			if !f.value {
				continue
			}
			names := []string{f.text}
			if f.short != "" {
				names = append(names, f.short)
			}
			for _, name := range names {
				switch {
				case len(f.enum) > 0:
					enums[name] = f.enum
				case !slices.Contains(free, name):
					free = append(free, name)
				}
			}
		}
	}
	slices.Sort(free)
	return enums, free
}

// texts returns the words alone.
func texts(words []word) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = w.text
	}
	return out
}

func flagTexts(flags []flag) []string {
	out := make([]string, len(flags))
	for i, f := range flags {
		out[i] = f.text
	}
	return out
}

// quote puts text into single quotes for a POSIX shell.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// script collects the lines of a script.
type script struct{ strings.Builder }

func (s *script) line(parts ...string) {
	for _, p := range parts {
		s.WriteString(p)
	}
	s.WriteByte('\n')
}

func (s *script) to(w io.Writer) error {
	_, err := io.WriteString(w, s.String())
	return err
}
