// SPDX-License-Identifier: Apache-2.0

// The one reading of a request's path, and the refusal of paths that an upstream could read in another way.

package edge

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxTarget is the longest request target, path and query together.
const maxTarget = 8 << 10

// pathError says why a request target is refused.
type pathError string

func (p pathError) Error() string { return string(p) }

// Reasons to refuse a target. Each names what servers are known to read differently.
const (
	pathForm    pathError = "the request target must begin with a slash"
	pathLong    pathError = "the request target is too long"
	pathEscape  pathError = "the path has a percent sign without two hexadecimal digits"
	pathByte    pathError = "the path has a control character, or a byte that must be percent-encoded"
	pathText    pathError = "the path is no UTF-8"
	pathSpecial pathError = `the path has a backslash, ";" or "#", or an encoded "/", "%" or "?"`
	pathSegment pathError = `the path has an empty segment, or one that ends in "." or begins or ends with a space`
	pathWide    pathError = "the path has full-width punctuation, or another character that is read as such a mark"
)

// canonical returns the decoded path of a request target in origin-form (RFC 9112, section 3.2.1). It accepts only
// what has one meaning: however often the path is decoded, cleaned or split again, it stays the same.
func canonical(target string) (string, error) {
	switch {
	case len(target) > maxTarget:
		return "", pathLong
	case target == "" || target[0] != '/':
		return "", pathForm
	case !isPrintable(target):
		return "", pathByte
	}
	raw, _, _ := strings.Cut(target, "?")
	if strings.IndexByte(target, '#') >= 0 {
		return "", pathSpecial
	}
	path, err := decode(raw)
	if err != nil {
		return "", err
	}
	return path, checkSegments(path)
}

func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// decode takes the percent signs out. It refuses characters that mean something to whoever decodes or splits again.
func decode(raw string) (string, error) {
	if strings.IndexByte(raw, '\\') >= 0 || strings.IndexByte(raw, ';') >= 0 {
		return "", pathSpecial
	}
	if strings.IndexByte(raw, '%') < 0 {
		return raw, nil
	}
	path := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] != '%' {
			path = append(path, raw[i])
			continue
		}
		if i+2 >= len(raw) {
			return "", pathEscape
		}
		high, low := unhex(raw[i+1]), unhex(raw[i+2])
		if high > 15 || low > 15 {
			return "", pathEscape
		}
		i += 2
		switch b := high<<4 | low; {
		case b < ' ' || b == 0x7f:
			return "", pathByte
		case strings.IndexByte(`/\%;?#`, b) >= 0:
			return "", pathSpecial
		default:
			path = append(path, b)
		}
	}
	return string(path), checkText(string(path))
}

func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 0xff
}

// marks are the characters beside the full-width ones of whose compatibility forms (Unicode Standard Annex 15) one or
// two dots, a slash, a backslash, or one of ";?#%" is a part.
const marks = "\u037e\u2024\u2025\u2047\u2048\u2049\u2100\u2101\u2105\u2106" +
	"\ufe14\ufe16\ufe30\ufe52\ufe54\ufe56\ufe5f\ufe68\ufe6a"

// checkText refuses what is no text, full-width forms of ASCII other than letters and digits, and marks: Unicode's
// compatibility forms would make a slash or a dot of them.
func checkText(path string) error {
	if !utf8.ValidString(path) {
		return pathText
	}
	for _, r := range path {
		narrow := narrowed(r)
		if narrow != r && !unicode.IsLetter(narrow) && !unicode.IsDigit(narrow) || strings.ContainsRune(marks, r) {
			return pathWide
		}
		if unicode.IsControl(r) {
			return pathByte
		}
	}
	return nil
}

// narrowed returns the ASCII character that a full-width one stands for, or r.
func narrowed(r rune) rune {
	if 0xff01 <= r && r <= 0xff5e {
		return r - 0xff01 + '!'
	}
	return r
}

// checkSegments refuses segments that servers drop, resolve or trim.
func checkSegments(path string) error {
	rest := path[1:]
	for {
		segment, after, more := strings.Cut(rest, "/")
		switch {
		case segment == "" && (more || len(path) > 1 && path[len(path)-1] != '/'):
			return pathSegment
		case segment != "" && (segment[0] == ' ' || segment[len(segment)-1] == ' ' || segment[len(segment)-1] == '.'):
			return pathSegment
		case !more:
			return nil
		}
		rest = after
	}
}

// folded returns a path as a server would see it that does not tell letters by case or width.
func folded(path string) string {
	if isLower(path) {
		return path
	}
	return strings.Map(func(r rune) rune {
		r = narrowed(r)
		smallest := r
		for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
			smallest = min(smallest, next)
		}
		return unicode.ToLower(smallest)
	}, path)
}

func isLower(s string) bool {
	for i := range len(s) {
		if c := s[i]; c >= utf8.RuneSelf || 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return true
}
