// SPDX-License-Identifier: Apache-2.0

// A strict, bounded reader of JSON (RFC 8259) that copies nothing: every text it returns is a part of what it reads.

package passport

import (
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

const (
	maxDepth   = 16        // of objects and arrays in each other
	maxMembers = 128       // of one object
	maxMethods = 8         // of amr
	maxNumber  = 1<<53 - 1 // RFC 8259, section 6: what every reader keeps exactly
)

// scanner reads from the left. The first problem stays and ends every loop. The text must be valid UTF-8.
type scanner struct {
	text     []byte
	at       int
	from, to int // of the name that was read last
	problem  string
}

func (s *scanner) fail(problem string) {
	if s.problem == "" {
		s.problem = problem
		s.at = len(s.text)
	}
}

// peek goes past white space and returns the next byte, or 0 at the end. A byte 0 fits nothing.
func (s *scanner) peek() byte {
	for s.at < len(s.text) {
		switch c := s.text[s.at]; c {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return c
		}
	}
	return 0
}

// take goes past a byte, if it is the next one.
func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.at++
	return true
}

// begin opens an object or array.
func (s *scanner) begin(open byte) {
	if !s.take(open) {
		s.fail("is of the wrong type")
	}
}

// more reports whether another member follows, after the first count of them; it goes past the comma, or the end.
func (s *scanner) more(count int, end byte) bool {
	switch {
	case s.problem != "":
		return false
	case s.take(end):
		return false
	case count > 0 && !s.take(','):
		s.fail("is no JSON: a comma is missing")
		return false
	case count == maxMembers:
		s.fail("has too many members")
		return false
	}
	return true
}

// name reads the name of a member, and its colon. A name that needs escapes is refused: it would be a second
// spelling.
func (s *scanner) name() []byte {
	raw, escaped := s.quoted()
	s.from, s.to = s.at-1-len(raw), s.at-1
	if escaped {
		s.fail("has a member whose name is escaped")
	}
	if !s.take(':') {
		s.fail("is no JSON: a colon is missing")
	}
	return raw
}

// quoted goes past a string and returns what is between the quotes, and whether there are escapes in it.
func (s *scanner) quoted() (raw []byte, escaped bool) {
	if !s.take('"') {
		s.fail("is of the wrong type")
		return nil, false
	}
	from := s.at
	for s.at < len(s.text) {
		switch c := s.text[s.at]; {
		case c == '"':
			s.at++
			return s.text[from : s.at-1 : s.at-1], escaped
		case c < ' ':
			s.fail("is no JSON: a control character in a string")
			return nil, false
		case c == '\\':
			escaped = true
			s.escape()
		default:
			s.at++
		}
	}
	s.fail("is no JSON: a string does not end")
	return nil, false
}

// escape goes past an escape, checks it, and returns what it stands for. Half of a pair of surrogates stands for
// nothing.
func (s *scanner) escape() rune {
	if s.at+1 < len(s.text) {
		c := s.text[s.at+1]
		s.at += 2
		switch c {
		case '"', '\\', '/':
			return rune(c)
		case 'b':
			return '\b'
		case 'f':
			return '\f'
		case 'n':
			return '\n'
		case 'r':
			return '\r'
		case 't':
			return '\t'
		case 'u':
			return s.unicode()
		}
	}
	s.fail("is no JSON: an unknown escape")
	return 0
}

func (s *scanner) unicode() rune {
	r := s.hex()
	if !utf16.IsSurrogate(r) {
		return r
	}
	if s.at+1 < len(s.text) && s.text[s.at] == '\\' && s.text[s.at+1] == 'u' {
		s.at += 2
		if r = utf16.DecodeRune(r, s.hex()); r != utf8.RuneError {
			return r
		}
	}
	s.fail("has half of a surrogate pair")
	return 0
}

func (s *scanner) hex() rune {
	if s.at+4 > len(s.text) {
		s.fail("is no JSON: an escape is cut off")
		return 0
	}
	var r rune
	for _, c := range s.text[s.at : s.at+4] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			s.fail("is no JSON: an escape without its digits")
			return 0
		}
	}
	s.at += 4
	return r
}

// string reads a string. It is a part of the text, in which escapes are resolved where they stand.
func (s *scanner) string() string {
	raw, escaped := s.quoted()
	if s.problem != "" || len(raw) == 0 {
		return ""
	}
	if escaped {
		raw = unescape(raw)
	}
	return unsafe.String(&raw[0], len(raw)) // the text is never written again but by unescape, in another string's place
}

// unescape resolves escapes that were checked, in place: what they stand for is never longer.
func unescape(raw []byte) []byte {
	s, to := scanner{text: raw}, raw[:0]
	for s.at < len(raw) {
		if c := raw[s.at]; c != '\\' {
			to = append(to, c)
			s.at++
			continue
		}
		to = utf8.AppendRune(to, s.escape())
	}
	return to
}

// integer reads a number that is an integer from 0 to maxNumber, written in the one shortest way.
func (s *scanner) integer() int64 {
	if s.peek() == 0 {
		s.fail("is of the wrong type")
		return 0
	}
	from := s.at
	var n int64
	for s.at < len(s.text) && s.text[s.at] >= '0' && s.text[s.at] <= '9' {
		if n = n*10 + int64(s.text[s.at]-'0'); n > maxNumber {
			s.fail("is too large")
			return 0
		}
		s.at++
	}
	digits := s.text[from:s.at]
	if len(digits) == 0 || digits[0] == '0' && len(digits) > 1 || s.at < len(s.text) && isNumeric(s.text[s.at]) {
		s.fail("is no integer from 0, written plainly")
		return 0
	}
	return n
}

// isNumeric reports whether a byte would go on with a number.
func isNumeric(c byte) bool {
	return c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-' || c >= '0' && c <= '9'
}

// raw reads an object and returns it as it stands.
func (s *scanner) raw() []byte {
	if s.peek() != '{' {
		s.fail("is of the wrong type")
		return nil
	}
	from := s.at
	s.skip(1)
	if s.problem != "" {
		return nil
	}
	return s.text[from:s.at:s.at]
}

// strings reads an array of strings and returns it as it stands.
func (s *scanner) strings() []byte {
	s.peek()
	from := s.at
	s.begin('[')
	for n := 0; s.more(n, ']'); n++ {
		if n == maxMethods {
			s.fail("has too many members")
		}
		s.quoted()
	}
	if s.problem != "" {
		return nil
	}
	return s.text[from:s.at:s.at]
}

// skip goes past any value, checked. depth is how many objects and arrays it lies in.
func (s *scanner) skip(depth int) {
	if depth > maxDepth {
		s.fail("is nested too deeply")
		return
	}
	switch c := s.peek(); {
	case c == '{':
		s.skipObject(depth + 1)
	case c == '[':
		s.at++
		for n := 0; s.more(min(n, 1), ']'); n++ {
			s.skip(depth + 1)
		}
	case c == '"':
		s.quoted()
	case c == '-' || c >= '0' && c <= '9':
		s.skipNumber()
	default:
		s.word()
	}
}

// skipObject goes past an object.
func (s *scanner) skipObject(depth int) {
	var seen names
	s.begin('{')
	for n := 0; s.more(n, '}'); n++ {
		s.name()
		seen.add(s, n)
		s.skip(depth)
	}
}

// names are where the names of an object's members stand.
type names [maxMembers]struct{ from, to uint16 }

// add remembers the name that was read last, as the n-th, unless it is there.
func (m *names) add(s *scanner, n int) {
	if s.problem != "" {
		return
	}
	name := string(s.text[s.from:s.to])
	for _, other := range m[:n] {
		if string(s.text[other.from:other.to]) == name {
			s.fail("has a member twice")
			return
		}
	}
	m[n].from, m[n].to = uint16(s.from), uint16(s.to)
}

func (s *scanner) skipNumber() {
	if s.text[s.at] == '-' {
		s.at++
	}
	first := s.at
	whole := s.digits()
	if whole > 1 && s.text[first] == '0' {
		s.fail("is no JSON: a number with a leading zero")
	}
	if s.at < len(s.text) && s.text[s.at] == '.' {
		s.at++
		s.digits()
	}
	if s.at < len(s.text) && (s.text[s.at] == 'e' || s.text[s.at] == 'E') {
		s.at++
		if s.at < len(s.text) && (s.text[s.at] == '+' || s.text[s.at] == '-') {
			s.at++
		}
		s.digits()
	}
}

// digits goes past digits, at least one, and returns how many.
func (s *scanner) digits() int {
	from := s.at
	for s.at < len(s.text) && s.text[s.at] >= '0' && s.text[s.at] <= '9' {
		s.at++
	}
	if s.at == from {
		s.fail("is no JSON: a number without digits")
	}
	return s.at - from
}

// word goes past true, false or null.
func (s *scanner) word() {
	for _, word := range [...]string{"true", "false", "null"} {
		if len(s.text)-s.at >= len(word) && string(s.text[s.at:s.at+len(word)]) == word {
			s.at += len(word)
			return
		}
	}
	s.fail("is no JSON: a value is missing")
}
