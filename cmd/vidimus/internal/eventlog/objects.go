// SPDX-License-Identifier: Apache-2.0

// Lists of objects in a cell, as Python or JSON write them.

package eventlog

import (
	"errors"
	"strings"
)

// objectsOf reads a cell such as "['o1','o2']", `["o1"]`, "[1, 2]" or "o1". Empty names are left out.
func objectsOf(cell string) ([]string, error) {
	inside, isList := strings.CutPrefix(cell, "[")
	if !isList {
		if cell == "" {
			return nil, nil
		}
		return []string{cell}, nil
	}
	inside, closed := strings.CutSuffix(inside, "]")
	if !closed {
		return nil, errors.New("a list that is not closed")
	}
	var objects []string
	for rest := strings.TrimSpace(inside); rest != ""; {
		object, after, err := cutObject(rest)
		if err != nil {
			return nil, err
		}
		if object != "" {
			objects = append(objects, object)
		}
		after = strings.TrimSpace(after)
		if after != "" && after[0] != ',' {
			return nil, errors.New("no comma between two objects")
		}
		rest = strings.TrimSpace(strings.TrimPrefix(after, ","))
	}
	return objects, nil
}

// cutObject cuts the first object from a list that is not empty.
func cutObject(s string) (object, after string, err error) {
	quote := s[0]
	if quote != '\'' && quote != '"' {
		object, _, _ = strings.Cut(s, ",")
		return strings.TrimSpace(object), s[len(object):], nil
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == quote:
			return b.String(), s[i+1:], nil
		case c != '\\':
			b.WriteByte(c)
		case i+1 < len(s) && strings.IndexByte(`\'"/`, s[i+1]) >= 0:
			i++
			b.WriteByte(s[i])
		default:
			return "", "", errors.New("an escape other than of quote and backslash")
		}
	}
	return "", "", errors.New("a quote that is not closed")
}
