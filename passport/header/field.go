// SPDX-License-Identifier: Apache-2.0

// The part of RFC 9651 that the headers need: an item or one member, with parameters that are integers, strings or
// flags.

package header

import "strings"

// field reads a value from the left. The first error stays, and ends every loop.
type field struct {
	name, text string
	at         int
	key        string // of the parameter that parameter found
	keys       [8]string
	count      int
	err        error
}

func (f *field) fail(problem string) {
	if f.err == nil {
		f.err = &Error{f.name, problem}
		f.at = len(f.text)
	}
}

// peek returns the next byte, or 0 at the end. A byte 0 in the text fits nothing, so they need not be told apart.
func (f *field) peek() byte {
	if f.at < len(f.text) {
		return f.text[f.at]
	}
	return 0
}

// skip goes past a byte that peek has seen.
func (f *field) skip() {
	if f.at < len(f.text) {
		f.at++
	}
}

// while takes bytes as long as they fit.
func (f *field) while(fits func(byte) bool) string {
	from := f.at
	for f.at < len(f.text) && fits(f.text[f.at]) {
		f.at++
	}
	return f.text[from:f.at]
}

// token reads a token (3.3.4).
func (f *field) token() string {
	if c := f.peek(); !isLetter(c) && c != '*' {
		f.fail("begins with no token")
		return ""
	}
	return f.while(func(c byte) bool {
		return isLetter(c) || isDigit(c) || c != 0 && strings.IndexByte("!#$%&'*+-.^_`|~:/", c) >= 0
	})
}

// name1 reads a key (3.1.2).
func (f *field) name1() string {
	if c := f.peek(); (c < 'a' || c > 'z') && c != '*' {
		f.fail("has a parameter without a name; names are in lower case")
		return ""
	}
	return f.while(func(c byte) bool {
		return c >= 'a' && c <= 'z' || isDigit(c) || c == '_' || c == '-' || c == '.' || c == '*'
	})
}

// parameter goes to the next parameter and reports whether there is one. Anything else but the end is an error.
func (f *field) parameter() bool {
	if f.err != nil || f.at == len(f.text) {
		return false
	}
	if f.peek() != ';' {
		f.fail("goes on after its value; parameters begin with a semicolon")
		return false
	}
	f.skip()
	f.while(func(c byte) bool { return c == ' ' })
	f.key = f.name1()
	for _, seen := range f.keys[:f.count] {
		if seen == f.key {
			f.fail("has a parameter twice")
		}
	}
	if f.count == len(f.keys) {
		f.fail("has too many parameters")
	}
	if f.err != nil {
		return false
	}
	f.keys[f.count] = f.key
	f.count++
	return true
}

// value goes past the "=" of the parameter's value.
func (f *field) value() {
	if f.count > 0 && f.key != "" {
		if f.peek() != '=' {
			f.fail("has a parameter without its value")
			return
		}
		f.at++
	}
}

// integer reads an integer (3.3.1), after "=" if it is a parameter's.
func (f *field) integer() int64 {
	f.value()
	minus := f.peek() == '-'
	if minus {
		f.at++
	}
	digits := f.while(isDigit)
	if digits == "" || len(digits) > 15 || f.peek() == '.' {
		f.fail("has no integer of at most 15 digits where one is due")
		return 0
	}
	var n int64
	for i := range len(digits) {
		n = n*10 + int64(digits[i]-'0')
	}
	if minus {
		n = -n
	}
	return n
}

// mark reads a string (3.3.3) that holds a mark.
func (f *field) mark() Mark {
	f.value()
	if f.peek() != '"' {
		f.fail(`has no string where one is due; write pos="log.epoch:position"`)
		return Mark{}
	}
	f.at++
	text := f.while(func(c byte) bool { return c >= ' ' && c <= '~' && c != '"' && c != '\\' })
	if f.peek() != '"' {
		f.fail("has a string that does not end, or needs escapes")
		return Mark{}
	}
	f.at++
	m, err := ParseMark(text)
	if err != nil {
		f.fail(err.(*Error).Problem)
	}
	return m
}

// flag reads a boolean parameter (3.1.2): true if it has no value.
func (f *field) flag() bool {
	if f.peek() != '=' {
		return true
	}
	rest := f.text[f.at:]
	if !strings.HasPrefix(rest, "=?0") && !strings.HasPrefix(rest, "=?1") {
		f.fail("has a flag that is neither ?0 nor ?1")
		return false
	}
	f.at += 3
	return rest[2] == '1'
}

// unknown refuses a parameter of another name: a misspelt bound that is silently ignored would be no bound.
func (f *field) unknown() { f.fail("has the unknown parameter " + f.key) }

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
