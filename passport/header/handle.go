// SPDX-License-Identifier: Apache-2.0

// The form of handles, which browsers hold in a cookie.

package header

import "strings"

// HandlePrefix is what every handle of a session begins with, and no passport does.
const HandlePrefix = "v1."

// HandleMax is how many bytes a handle has at most.
const HandleMax = 512

// HandleCell returns the cell that a handle names, as in v1.<cell>.<session>.<generation>.<code>; ok is false for what
// has not the form of one. Only the authority knows whether it is genuine.
func HandleCell(handle string) (cell string, ok bool) {
	const part = 22 // base64url of 128 bits
	rest, ok := strings.CutPrefix(handle, HandlePrefix)
	if !ok || len(handle) > HandleMax {
		return "", false
	}
	rest, code, _ := cutLast(rest)
	rest, generation, _ := cutLast(rest)
	cell, sid, ok := cutLast(rest)
	if !ok || cell == "" || !isName(cell) || len(sid) != part || !isName(sid) || len(code) != part || !isName(code) ||
		!isNumber(generation) {
		return "", false
	}
	return cell, true
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '.')
	if i < 0 {
		return "", s, false
	}
	return s[:i], s[i+1:], true
}

func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

func isNumber(s string) bool {
	if s == "" || len(s) > 19 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
