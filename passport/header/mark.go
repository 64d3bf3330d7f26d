// SPDX-License-Identifier: Apache-2.0

// A place in a log, and its text.

package header

import (
	"strconv"
	"strings"
)

// maxLog is the longest name of a log, in bytes.
const maxLog = 64

// Mark is a place in a log: which log, in which epoch of it, and how far. Its text is "c3.7:184467". The zero Mark is
// no place.
type Mark struct {
	Log      string `json:"log"`
	Epoch    int64  `json:"ep"`
	Position int64  `json:"pos"`
}

// ParseMark reads the text of a mark: the log's name, of at most 64 letters, digits and "._-", a point, the epoch
// from 1, a colon, and the position from 0, both decimal without leading zeros. There is one spelling of each mark.
// It returns an [Error].
func ParseMark(s string) (Mark, error) {
	refused := func(problem string) (Mark, error) { return Mark{}, &Error{Field: Position, Problem: problem} }
	colon := strings.LastIndexByte(s, ':')
	if colon < 0 {
		return refused(`has no ":"; write it as "log.epoch:position"`)
	}
	point := strings.LastIndexByte(s[:colon], '.')
	if point < 0 {
		return refused(`has no "." before the epoch; write it as "log.epoch:position"`)
	}
	epoch, ok := decimal(s[point+1 : colon])
	if !ok || epoch < 1 {
		return refused("has an epoch that is no decimal number from 1")
	}
	position, ok := decimal(s[colon+1:])
	if !ok {
		return refused("has a position that is no decimal number from 0")
	}
	m := Mark{Log: s[:point], Epoch: epoch, Position: position}
	if !m.Valid() {
		return refused(`names no log; a name has 1 to 64 letters, digits and "._-"`)
	}
	return m, nil
}

// decimal reads a number that is written in the one shortest way.
func decimal(s string) (int64, bool) {
	if s == "" || len(s) > 19 || len(s) > 1 && s[0] == '0' {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// Valid reports whether the mark is a place that [ParseMark] would read again from its text.
func (m Mark) Valid() bool {
	if m.Log == "" || len(m.Log) > maxLog || m.Epoch < 1 || m.Position < 0 {
		return false
	}
	for i := range len(m.Log) {
		if c := m.Log[i]; !isLetter(c) && !isDigit(c) && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// String returns the text of the mark, or "" for the zero Mark.
func (m Mark) String() string {
	if m == (Mark{}) {
		return ""
	}
	text := make([]byte, 0, len(m.Log)+24)
	text = append(append(text, m.Log...), '.')
	text = append(strconv.AppendInt(text, m.Epoch, 10), ':')
	return string(strconv.AppendInt(text, m.Position, 10))
}

// SameLog reports whether both are places of one log in one epoch: only then do their positions compare.
func (m Mark) SameLog(o Mark) bool { return m.Log == o.Log && m.Epoch == o.Epoch }

// Reaches reports whether m is o or a later place in the same log and epoch. A place of another log is never reached.
func (m Mark) Reaches(o Mark) bool { return m.SameLog(o) && m.Position >= o.Position }
