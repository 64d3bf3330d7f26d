// SPDX-License-Identifier: Apache-2.0

// The protected header of a JWE: a flat object of few names, read without building anything.

package legacy

import (
	"bytes"
	"strings"
)

// maxParam is how many bytes a header parameter may have.
const maxParam = 256

// header is the whole of a header that is allowed. All else is refused: zip, which would inflate what is small; crit,
// p2c and everything that brings a key along; and what nobody knows.
type header struct{ Alg, Enc, Kid string }

// readHeader reads a header whose names are known, given once, and have strings without escapes.
func readHeader(data []byte) (header, string) {
	var typ, cty string
	var h header
	t := text{data}
	if !t.skip('{') {
		return h, malformed
	}
	for more := true; more; more = t.skip(',') {
		name, ok := t.word()
		if !ok || !t.skip(':') {
			return h, malformed
		}
		var place *string
		switch name {
		case "alg":
			place = &h.Alg
		case "enc":
			place = &h.Enc
		case "kid":
			place = &h.Kid
		case "typ":
			place = &typ
		case "cty":
			place = &cty
		default:
			return h, badHeader
		}
		value, ok := t.word()
		switch {
		case !ok || value == "" || len(value) > maxParam:
			return h, badHeader
		case *place != "":
			return h, malformed
		}
		*place = value
	}
	if !t.skip('}') || !t.end() {
		return h, malformed
	}
	if strings.EqualFold(cty, "JWT") { // a token within the token
		return h, badHeader
	}
	return h, ""
}

// text is JSON that is still to be read.
type text struct{ rest []byte }

// end skips white space and reports whether nothing is left.
func (t *text) end() bool {
	t.rest = bytes.TrimLeft(t.rest, " \t\r\n")
	return len(t.rest) == 0
}

// skip skips white space and one character, if that is next.
func (t *text) skip(c byte) bool {
	if t.end() || t.rest[0] != c {
		return false
	}
	t.rest = t.rest[1:]
	return true
}

// word reads a string of plain ASCII.
func (t *text) word() (string, bool) {
	if !t.skip('"') {
		return "", false
	}
	for i, c := range t.rest {
		switch {
		case c == '"':
			word := string(t.rest[:i])
			t.rest = t.rest[i+1:]
			return word, true
		case c == '\\' || c < ' ' || c > '~':
			return "", false
		}
	}
	return "", false
}
