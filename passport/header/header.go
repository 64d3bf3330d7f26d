// SPDX-License-Identifier: Apache-2.0

// Package header is what Vidimus says in HTTP headers: how far a reader is, how fresh it must be, how stale it may
// be, and what it changed.
//
// The values are structured fields (RFC 9651), each with one strict grammar, but for the position: the name of a log
// may begin with a digit, which no token of RFC 9651 may, so it stands as it is.
//
//	Vidimus-Position: c3.7:184467
//	Vidimus-Consistency: at-least-as-fresh;max-staleness=2000
//	Vidimus-Staleness: 412;pos="c3.7:184467"
//	Vidimus-Effect: pos="c3.7:184470";ver=413
package header

import (
	"fmt"
	"net/http"
)

// The names of the headers.
const (
	TxnToken         = "Txn-Token"
	Position         = "Vidimus-Position"
	ConsistencyField = "Vidimus-Consistency"
	StalenessField   = "Vidimus-Staleness"
	EffectField      = "Vidimus-Effect"
)

// maxValue is the longest value of a header that is read.
const maxValue = 256

// Error says which header was refused and why.
type Error struct {
	Field   string // the name of the header
	Problem string // what is wrong with its value, and what would be right
}

func (e *Error) Error() string { return fmt.Sprintf("%s %s", e.Field, e.Problem) }

// single returns the one value of a header, or "" if there is none.
func single(h http.Header, name string) (string, error) {
	values := h[name]
	switch {
	case len(values) == 0:
		return "", nil
	case len(values) > 1:
		return "", &Error{name, "is there more than once; send it once"}
	case values[0] == "":
		return "", &Error{name, "is empty; leave it out"}
	case len(values[0]) > maxValue:
		return "", &Error{name, fmt.Sprintf("is longer than %d bytes", maxValue)}
	}
	return values[0], nil
}

// GetPosition returns the mark in the header Vidimus-Position, or the zero Mark if there is none. It returns an
// [Error] for a header that is malformed or there twice.
func GetPosition(h http.Header) (Mark, error) {
	value, err := single(h, Position)
	if value == "" {
		return Mark{}, err
	}
	return ParseMark(value)
}

// SetPosition writes the header Vidimus-Position. The zero Mark removes it.
func SetPosition(h http.Header, m Mark) {
	if m == (Mark{}) {
		h.Del(Position)
		return
	}
	h.Set(Position, m.String())
}
