// SPDX-License-Identifier: Apache-2.0

// Package screen writes for people: aligned columns, colours where a terminal shows them, times, grouped numbers.
package screen

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Style says how to write for the reader at hand. The zero value is plain text with local times. It is a value;
// goroutines may share it.
type Style struct {
	// Colour allows escape sequences.
	Colour bool
	// UTC writes times in UTC instead of the local zone.
	UTC bool
	// Width is that of the terminal in characters; lines are cut there. 0 cuts nothing.
	Width int
}

// Escape sequences of the few colours in use.
const (
	reset = "\x1b[0m"
	dim   = "\x1b[2m"
	bold  = "\x1b[1m"
	red   = "\x1b[31m"
	cyan  = "\x1b[36m"
)

// Dim writes what matters less.
func (s Style) Dim(text string) string { return s.paint(dim, text) }

// Bold writes what the eye should find first.
func (s Style) Bold(text string) string { return s.paint(bold, text) }

// Bad writes what went wrong.
func (s Style) Bad(text string) string { return s.paint(red, text) }

// Name writes a name that tells lines apart.
func (s Style) Name(text string) string { return s.paint(cyan, text) }

func (s Style) paint(colour, text string) string {
	if !s.Colour || text == "" {
		return text
	}
	return colour + text + reset
}

// Time writes a moment to the millisecond; a zero time is "-".
func (s Style) Time(t time.Time) string {
	switch {
	case t.IsZero():
		return "-"
	case s.UTC:
		return t.UTC().Format("2006-01-02 15:04:05.000Z")
	}
	return t.Local().Format("2006-01-02 15:04:05.000")
}

// Number writes n with its digits in groups of three, as 1,234,567.
func Number[N ~int | ~int64](n N) string {
	digits := strconv.FormatInt(int64(n), 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	var b strings.Builder
	b.WriteString(sign)
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

// Bytes writes a size with a unit that fits, as 12.3 MiB.
func Bytes(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	size, unit := float64(n)/1024, 0
	for size >= 1024 && unit < len(units)-1 {
		size, unit = size/1024, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", size, units[unit])
}

// Rate writes how many of n happened in a second, 0 for no time at all.
func Rate(n int64, d time.Duration) string {
	if d <= 0 {
		return "0"
	}
	return Number(int64(float64(n) / d.Seconds()))
}

// Plural writes n grouped and the noun, with an s unless n is 1.
func Plural[N ~int | ~int64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return Number(n) + " " + noun + "s"
}
