// SPDX-License-Identifier: Apache-2.0

// Text to JSON values and times.

package eventlog

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// appendString appends s as a JSON string. What is not UTF-8 becomes U+FFFD; sources refuse it before.
func appendString[T string | []byte](dst []byte, s T) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		case c < utf8.RuneSelf:
			dst = append(dst, c)
		default:
			r, size := utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))]))
			dst = utf8.AppendRune(dst, r)
			i += size - 1
		}
	}
	return append(dst, '"')
}

// appendMember appends the key of a JSON object's next member, with what stands before it.
func appendMember[T string | []byte](dst []byte, key T) []byte {
	if last := dst[len(dst)-1]; last != '{' {
		dst = append(dst, ',')
	}
	return append(appendString(dst, key), ':')
}

// appendInt appends an xs:long.
func appendInt(dst []byte, text string) ([]byte, error) {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil {
		return dst, fmt.Errorf("%.40q is no whole number of 64 bits", text)
	}
	return strconv.AppendInt(dst, n, 10), nil
}

// appendFloat appends a number as it was written if JSON can have it so, the infinities and NaN as strings.
func appendFloat(dst []byte, text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	switch text {
	case "INF", "+INF", "-INF", "NaN":
		return appendString(dst, text), nil
	}
	if strings.IndexFunc(text, notInNumber) >= 0 {
		return dst, fmt.Errorf("%.40q is no number", text)
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return dst, fmt.Errorf("%.40q is no number of 64 bits", text)
	}
	if json.Valid([]byte(text)) {
		return append(dst, text...), nil
	}
	return strconv.AppendFloat(dst, f, 'g', -1, 64), nil
}

// notInNumber keeps out what strconv reads beyond xs:double: hexadecimal, underscores, "Infinity".
func notInNumber(c rune) bool { return !strings.ContainsRune("0123456789+-.eE", c) }

// appendBool appends an xs:boolean, also as Python writes it: True.
func appendBool(dst []byte, text string) ([]byte, error) {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "true", "1":
		return append(dst, "true"...), nil
	case "false", "0":
		return append(dst, "false"...), nil
	}
	return dst, fmt.Errorf("%.40q is neither true nor false", text)
}

// times reads points in time and remembers which layout the file uses.
type times struct {
	layouts []string
	last    int
}

func newTimes(layout string) times {
	if layout != "" {
		return times{layouts: []string{layout}}
	}
	return times{layouts: []string{
		time.RFC3339, "2006-01-02 15:04:05Z07:00", "2006-01-02T15:04:05", "2006-01-02 15:04:05",
		"2006-01-02T15:04:05Z0700", "2006-01-02 15:04:05Z0700", "2006-01-02 15:04:05 Z07:00",
		"2006-01-02 15:04:05 Z0700", "2006-01-02 15:04:05 MST", "2006-01-02 15:04", "2006-01-02T15:04",
		"2006/01/02 15:04:05", "2006/01/02 15:04", "2006-01-02", "2006-01-02Z07:00",
	}}
}

// parse returns the time in UTC; a text without a zone is taken for UTC.
func (t *times) parse(text string) (time.Time, error) {
	text = strings.TrimSpace(text)
	for range t.layouts {
		if at, err := time.ParseInLocation(t.layouts[t.last], text, time.UTC); err == nil {
			return utc(at, text)
		}
		t.last = (t.last + 1) % len(t.layouts)
	}
	return time.Time{}, fmt.Errorf("%.40q is no time", text)
}

// utc keeps to the years that RFC 3339 can write, and refuses a zone by a name that says no offset.
func utc(at time.Time, text string) (time.Time, error) {
	if zone, offset := at.Zone(); offset == 0 && zone != "UTC" && zone != "" && zone != "GMT" {
		return time.Time{}, fmt.Errorf("%.40q has a zone without an offset", text)
	}
	at = at.UTC()
	if at.Year() < 1 || at.Year() > 9999 {
		return time.Time{}, fmt.Errorf("%.40q is out of range", text)
	}
	return at, nil
}
